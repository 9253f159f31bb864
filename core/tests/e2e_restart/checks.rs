//! What must be true of every worker when all is over.

use sandboxed_domain::api::{CompletionRecord, Event, EventBody, ListWorkersResponse};
use sandboxed_domain::mission::{MissionStatus, TerminalReason};
use serde_json::json;
use std::collections::BTreeSet;
use uuid::Uuid;

use crate::boss::Boss;
use crate::plan::Plan;
use crate::support::Daemon;

/// Checks every worker, and that there are no others.
pub async fn everything(daemon: &Daemon, boss: &Boss) {
    let (workers, finished) = {
        let book = boss.book.lock().unwrap();
        println!("{} workers in {} batches, {} waits answered", book.workers.len(), book.batches, book.waits);
        (book.workers.clone(), book.finished.clone())
    };
    assert!(workers.len() >= 12, "too few workers to prove anything: {}", workers.len());
    let asked: BTreeSet<Uuid> = workers.keys().copied().collect();
    assert_eq!(all_workers(daemon, boss).await, asked, "exactly the workers that were asked for");
    assert_eq!(finished.keys().copied().collect::<BTreeSet<_>>(), asked, "each finished once");
    for (id, plan) in workers {
        let record = daemon.record(&boss.name, id).await;
        let end = expected(&plan);
        assert_eq!((record.status, record.terminal_reason), (end.0, Some(end.1)), "{plan:?} {record:?}");
        assert_eq!((finished[&id].status, finished[&id].terminal_reason), (end.0, Some(end.1)), "{plan:?}");
        assert_eq!((record.exit_code, record.signal), (Some(i32::from(plan.exit)), None), "{plan:?}");
        assert_eq!(record.turns, 1, "{plan:?}");
        check(&plan, &record);
        events(&plan, &daemon.events(id).await);
    }
}

/// How it must have ended.
fn expected(plan: &Plan) -> (MissionStatus, TerminalReason) {
    match (plan.exit, plan.check) {
        (1.., _) => (MissionStatus::Failed, TerminalReason::HarnessError),
        (0, Some(1..)) => (MissionStatus::Failed, TerminalReason::VerificationFailed),
        (0, None | Some(0)) => (MissionStatus::Completed, TerminalReason::Done),
    }
}

/// Its process and its check ran once, whatever happened to the daemon.
fn check(plan: &Plan, record: &CompletionRecord) {
    let directory = std::path::PathBuf::from(record.working_directory.clone().unwrap());
    let starts = std::fs::read_to_string(directory.join("starts")).unwrap();
    assert_eq!(starts, "started\n", "it ran once: {plan:?}");
    let wanted = plan.check.filter(|_| plan.exit == 0);
    let code = record.verification.as_ref().map(|check| check.exit_code);
    assert_eq!(code, wanted.map(|code| Some(i32::from(code))), "{plan:?} {record:?}");
    let checks = std::fs::read_to_string(directory.join("checks")).unwrap_or_default();
    assert_eq!(checks, if wanted.is_some() { "checked\n" } else { "" }, "{plan:?}");
}

/// Each number once, in order; each status once; one message, one end.
fn events(plan: &Plan, events: &[Event]) {
    assert!(events.windows(2).all(|pair| pair[0].sequence < pair[1].sequence), "{plan:?}");
    let (mut printed, mut statuses, mut messages, mut usages) = (String::new(), Vec::new(), 0, 0);
    for event in events {
        match &event.body {
            EventBody::TextDelta { content } => printed.push_str(content),
            EventBody::MissionStatusChanged { status, .. } => statuses.push(*status),
            EventBody::UserMessage { .. } => messages += 1,
            EventBody::Usage(_) => usages += 1,
            EventBody::Error { .. } => assert!(plan.exit != 0, "{plan:?}: {event:?}"),
            other => panic!("{plan:?}: {other:?}"),
        }
    }
    assert_eq!(printed, plan.output(), "{plan:?}");
    let end = expected(plan).0;
    assert_eq!(
        statuses,
        [MissionStatus::Pending, MissionStatus::Preparing, MissionStatus::Active, end],
        "{plan:?}"
    );
    assert_eq!((messages, usages), (1, 1), "{plan:?}");
}

async fn all_workers(daemon: &Daemon, boss: &Boss) -> BTreeSet<Uuid> {
    let (mut all, mut cursor) = (BTreeSet::new(), None::<String>);
    loop {
        let page: ListWorkersResponse =
            daemon.call(&boss.name, "list_workers", json!({"cursor": cursor})).await;
        for row in page.workers {
            assert!(all.insert(row.worker_id), "listed twice: {row:?}");
        }
        match page.next_cursor {
            Some(next) => cursor = Some(next),
            None => return all,
        }
    }
}
