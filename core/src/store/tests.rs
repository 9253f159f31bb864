//! The store against real SQLite files.

use sandboxed_domain::api::{ApiError, AttentionEvent, AttentionKind, ErrorCode, EventBody};
use sandboxed_domain::mission::{Cursor, MissionStatus};
use sandboxed_domain::policy::Destination;
use uuid::Uuid;

use super::*;

struct Fixture {
    store: Store,
    _directory: tempfile::TempDir,
}

fn open() -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("missions/missions.db")).unwrap();
    Fixture { store, _directory: directory }
}

fn mission(boss: &str) -> MissionRow {
    let mut row = MissionRow::new("title".into(), "command".into(), Uuid::nil());
    row.boss = Some(boss.into());
    row
}

fn text(content: &str) -> EventBody {
    EventBody::TextDelta { content: content.into() }
}

fn finished(worker: Uuid) -> AttentionEvent {
    AttentionEvent {
        worker_id: worker,
        task_key: None,
        kind: AttentionKind::Finished,
        status: MissionStatus::Completed,
        terminal_reason: None,
        outcome: None,
        summary: String::new(),
        request_id: None,
        request_kind: None,
        options: Vec::new(),
        parked_until: None,
    }
}

#[tokio::test]
async fn a_row_comes_back_as_it_was_written() {
    let Fixture { store, .. } = &open();
    let mut row = mission("boss");
    row.spec.env.insert("NAME".into(), "value".into());
    row.task_key = Some("key".into());
    row.codec_state = Some(serde_json::json!({"total": 1.5}));
    let written = row.clone();
    store.write(move |tx| save_mission(tx, &written)).await.unwrap();
    let id = row.id;
    let read = store.read(move |c| get_mission(c, id)).await.unwrap();
    assert_eq!((read.spec, read.task_key, read.codec_state), (row.spec, row.task_key, row.codec_state));
}

/// Changes that wait behind a slow one are written together with it or with each other.
#[tokio::test]
async fn of_changes_written_together_only_the_failed_ones_are_rolled_back() {
    let Fixture { store, .. } = &open();
    let slow = store.write(|_| {
        std::thread::sleep(std::time::Duration::from_millis(2));
        Ok(())
    });
    let changes = (0..200).map(|n| {
        let row = mission("boss");
        store.write(move |tx| {
            save_mission(tx, &row)?;
            append_event(tx, row.id, &text(&n.to_string()))?;
            match n % 3 {
                0 => Err(ApiError::new(ErrorCode::Conflict, "no").into()),
                _ => Ok(row.id),
            }
        })
    });
    let (_, answers) = futures::join!(slow, futures::future::join_all(changes));
    let kept: Vec<Uuid> = answers.into_iter().flatten().collect();
    assert_eq!(kept.len(), 133);
    let events =
        store.read(|c| query_events(c, &EventQuery { limit: 1000, ..Default::default() })).await.unwrap();
    assert_eq!(events.iter().map(|event| event.mission_id).collect::<Vec<_>>(), kept);
    assert_eq!(*store.watch_events().borrow(), events.last().unwrap().sequence);
}

#[tokio::test]
async fn a_failed_transaction_leaves_nothing_and_publishes_nothing() {
    let Fixture { store, .. } = &open();
    let news = store.watch_events();
    let row = mission("boss");
    let id = row.id;
    let result = store.write(move |tx| {
        save_mission(tx, &row)?;
        append_event(tx, id, &text("lost"))?;
        let mut row = get_mission(tx, id)?;
        transition(tx, &mut row, MissionStatus::Active, None)
    });
    assert!(matches!(result.await, Err(StoreError::Refused(error)) if error.code == ErrorCode::WrongState));
    assert!(store.read(move |c| find_mission(c, id)).await.unwrap().is_none());
    assert!(!news.has_changed().unwrap());
}

#[tokio::test]
async fn two_workers_never_share_a_key_or_a_branch() {
    let Fixture { store, .. } = &open();
    let with = |key: Option<&str>, branch: Option<&str>| {
        let mut row = mission("boss");
        row.task_key = key.map(str::to_owned);
        row.repo = Some("/repo".into());
        row.branch = branch.map(str::to_owned);
        row
    };
    for (row, taken) in [
        (with(Some("k"), Some("b")), false),
        (with(Some("k"), None), true),
        (with(None, Some("b")), true),
        (with(Some("other"), Some("c")), false),
    ] {
        assert_eq!(store.write(move |tx| save_mission(tx, &row)).await.is_err(), taken);
    }
}

#[tokio::test]
async fn events_are_paged_by_sequence_and_by_offset_alike() {
    let Fixture { store, .. } = &open();
    let (mine, other) = (Uuid::now_v7(), Uuid::now_v7());
    store
        .write(move |tx| {
            for n in 0..10 {
                append_event(tx, mine, &text(&n.to_string()))?;
                append_event(tx, other, &text("other"))?;
            }
            append_event(tx, mine, &EventBody::Usage(Default::default())).map(drop)
        })
        .await
        .unwrap();
    let query =
        EventQuery { mission: Some(mine), limit: 4, types: vec!["text_delta".into()], ..Default::default() };
    let by_offset = EventQuery { offset: 4, ..query.clone() };
    let first = store.read(move |c| event_page(c, &query)).await.unwrap();
    assert_eq!((first.events.len(), first.total), (4, 10));
    let by_sequence = EventQuery {
        mission: Some(mine),
        since: first.next_since_seq.unwrap(),
        limit: 4,
        types: vec!["text_delta".into()],
        ..Default::default()
    };
    let a = store.read(move |c| query_events(c, &by_sequence)).await.unwrap();
    let b = store.read(move |c| query_events(c, &by_offset)).await.unwrap();
    assert_eq!(a, b);
    assert_eq!(a[0].body, text("4"));
}

#[tokio::test]
async fn a_filtered_wait_leaves_other_workers_events_unseen() {
    let Fixture { store, .. } = &open();
    let (a, b) = (Uuid::now_v7(), Uuid::now_v7());
    store
        .write(move |tx| {
            append_attention(tx, "boss", &finished(a))?;
            append_attention(tx, "boss", &finished(b))?;
            append_attention(tx, "somebody else", &finished(b))
        })
        .await
        .unwrap();
    let (seen, cursor) = store
        .read(move |c| {
            let found = attention_after(c, "boss", &Cursor::default(), &[b], 10)?;
            let delivered: Vec<i64> = found.iter().map(|(sequence, _)| *sequence).collect();
            Ok((found, advance_cursor(c, "boss", Cursor::default(), &delivered)?))
        })
        .await
        .unwrap();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].1.worker_id, b);
    let kept = cursor.clone();
    store.write(move |tx| acknowledge(tx, "boss", &kept)).await.unwrap();
    let rest = store
        .read(move |c| {
            let cursor = acknowledged(c, "boss")?;
            attention_after(c, "boss", &cursor, &[], 10)
        })
        .await
        .unwrap();
    assert_eq!(rest.iter().map(|(_, event)| event.worker_id).collect::<Vec<_>>(), [a]);
}

#[tokio::test]
async fn promised_stdin_is_kept_until_it_is_confirmed() {
    let Fixture { store, .. } = &open();
    let mut run = RunRow {
        id: Uuid::now_v7(),
        mission_id: Uuid::now_v7(),
        attempt: 1,
        kind: RunKind::Turn,
        phase: RunPhase::Running,
        plan: RunPlan {
            argv: vec![],
            cwd: "/".into(),
            stdout_name: "stdout.ndjson".into(),
            stdin_pipe: true,
            credential: None,
        },
        offset: 0,
        stored_bytes: 0,
        stdin_planned: 0,
        stdin_closed: false,
        idle: true,
        exit: None,
        started_at: chrono::Utc::now(),
        clocks: None,
    };
    let id = run.id;
    let pending = store
        .write(move |tx| {
            save_run(tx, &run)?;
            plan_stdin(tx, &mut run, "one\n")?;
            plan_stdin(tx, &mut run, "two\n")?;
            confirm_stdin(tx, id, 0)?;
            pending_stdin(tx, id)
        })
        .await
        .unwrap();
    assert_eq!(pending, [(4, "two\n".to_owned())]);
}

/// Of messages for the running turn: those still to be given, and the next turn's.
async fn ahead(store: &Store, id: Uuid) -> (Vec<String>, Option<String>) {
    let read = store.read(move |c| Ok((messages_to_steer(c, id)?, next_message(c, id)?)));
    let (steer, next) = read.await.unwrap();
    (steer.into_iter().map(|(message, _)| message).collect(), next.map(|(message, _)| message))
}

#[tokio::test]
async fn a_message_for_the_running_turn_is_the_next_one_until_it_is_taken() {
    let Fixture { store, .. } = &open();
    let row = mission("boss");
    let id = row.id;
    store.write(move |tx| save_mission(tx, &row)).await.unwrap();
    let places = store.write(move |tx| {
        let one = enqueue_for(tx, id, "one", "x", Destination::RunningTurn)?;
        Ok((one, enqueue_for(tx, id, "two", "x", Destination::NextTurn)?))
    });
    assert_eq!(places.await.unwrap(), (0, 1));
    let name = |text: &str| Some(text.to_owned());
    assert_eq!(ahead(store, id).await, (vec!["one".to_owned()], name("one")), "should its turn end");
    store.write(|tx| message_steered(tx, "one")).await.unwrap();
    assert_eq!(ahead(store, id).await, (vec![], name("two")), "it is with the process");
    store.write(move |tx| requeue_steered(tx, id)).await.unwrap();
    assert_eq!(ahead(store, id).await, (vec![], name("one")), "which died before it took it");
    store.write(|tx| message_steered(tx, "one")).await.unwrap();
    store.write(|tx| message_taken(tx, "one")).await.unwrap();
    store.write(move |tx| requeue_steered(tx, id)).await.unwrap();
    assert_eq!(ahead(store, id).await, (vec![], name("two")), "or after it did");
}

#[test]
fn a_damaged_file_is_named_and_a_newer_one_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("missions.db");
    std::fs::write(&path, vec![b'x'; 8192]).unwrap();
    let error: sandboxed_domain::api::ApiError = Store::open(&path).err().unwrap().into();
    assert_eq!(error.code, ErrorCode::DatabaseDamaged);
    assert!(error.field.unwrap().contains("missions.db"));
    std::fs::remove_file(&path).unwrap();
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 999).unwrap();
    let error: sandboxed_domain::api::ApiError = Store::open(&path).err().unwrap().into();
    assert_eq!(error.code, ErrorCode::DatabaseDamaged);
    assert!(error.hint.contains("newer"));
}

#[tokio::test]
async fn notes_and_writes_keep_their_order_and_every_write_is_synced() {
    let Fixture { store, .. } = &open();
    let row = mission("boss");
    let id = row.id;
    store.write(move |tx| save_mission(tx, &row)).await.unwrap();
    let mut all = Vec::new();
    for n in 0..40u32 {
        let note = move |tx: &mut Tx<'_>| {
            let mut row = get_mission(tx, id)?;
            row.last_activity.push('.');
            save_mission(tx, &row)?;
            Ok((
                row.last_activity.len(),
                tx.pragma_query_value(None, "synchronous", |row| row.get::<_, u8>(0))?,
            ))
        };
        let store = store.clone();
        all.push(tokio::spawn(async move {
            if n % 3 == 0 {
                (true, store.write(note).await.unwrap())
            } else {
                (false, store.note(note).await.unwrap())
            }
        }));
    }
    let mut lengths = Vec::new();
    for one in all {
        let (synced, (length, level)) = one.await.unwrap();
        assert!(level == 2 || (!synced && level == 1), "{level}");
        lengths.push(length);
    }
    lengths.sort_unstable();
    assert_eq!(lengths, (1..=40).collect::<Vec<_>>());
}
