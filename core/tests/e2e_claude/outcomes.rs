//! What a worker says of itself, and what the platform finds.

use sandboxed_domain::mission::{MissionStatus as S, Outcome, ReportedBy, TerminalReason as R};
use sandboxed_testkit::stub::{Script, Step};
use serde_json::json;

use crate::stage::{BOSS, Stage, end_of, report, word_of, worker, worker_with};

#[tokio::test]
async fn without_the_tool_only_an_exact_line_of_the_last_message_counts() {
    let script = Script::default()
        .scenario("done", [Step::text("Everything is there.\n\nDONE: wrote the file")])
        .scenario("blocked", [Step::text("BLOCKED: no network")])
        .scenario("infeasible", [Step::text("NOT_FEASIBLE: needs a GPU")])
        .scenario("prose", [Step::text("I think I am DONE. BLOCKED was only step two.")])
        .scenario(
            "earlier",
            [Step { text: Some("DONE".into()), ..Step::bash("true") }, Step::text("Well, no.")],
        );
    let stage = Stage::new(script).await;
    let wanted = [
        ("done", S::Completed, R::Done, Some(Outcome::Done), ReportedBy::Text, "wrote the file"),
        ("blocked", S::Blocked, R::ReportedBlocked, Some(Outcome::Blocked), ReportedBy::Text, "no network"),
        (
            "infeasible",
            S::NotFeasible,
            R::ReportedNotFeasible,
            Some(Outcome::NotFeasible),
            ReportedBy::Text,
            "needs a GPU",
        ),
        ("prose", S::Completed, R::Done, None, ReportedBy::None, ""),
        ("earlier", S::Completed, R::Done, None, ReportedBy::None, ""),
    ];
    let workers: Vec<_> = wanted.iter().map(|case| worker(&format!("go [[{}]]", case.0))).collect();
    let ids = stage.create(json!(workers)).await;
    stage.daemon.wait_all(BOSS, &ids).await;
    for (id, (name, status, reason, outcome, by, summary)) in ids.into_iter().zip(wanted) {
        let record = stage.daemon.record(BOSS, id).await;
        assert_eq!(end_of(&record), (status, Some(reason)), "{name}: {record:#?}");
        assert_eq!(word_of(&record), (outcome, by), "{name}");
        assert_eq!(record.reported.summary, summary, "{name}");
    }
    stage.finish().await;
}

#[tokio::test]
async fn a_worker_that_says_done_is_shown_as_the_platform_finds_it() {
    let dirty = "echo x > untracked.txt; echo more >> README.md";
    let script = Script::default()
        .scenario("dirty", [Step::bash(dirty), report("DONE", "all committed"), Step::text("Finished.")])
        .scenario("failing", [report("DONE", "tests pass"), Step::text("DONE")]);
    let stage = Stage::new(script).await;
    let ids = stage
        .create(json!([
            worker_with("go [[dirty]]", json!({"worktree": {"branch": "task/dirty"}})),
            worker_with("go [[failing]]", json!({
                "worktree": {"branch": "task/failing"},
                "verification_command": "echo checking; test -f nothing || { echo 'no such file' >&2; exit 7; }",
            })),
        ]))
        .await;
    stage.daemon.wait_all(BOSS, &ids).await;

    let dirty = stage.daemon.record(BOSS, ids[0]).await;
    assert_eq!(word_of(&dirty), (Some(Outcome::Done), ReportedBy::Tool));
    let facts = dirty.git.as_ref().unwrap();
    assert_eq!((facts.commits_ahead, facts.dirty, facts.untracked), (0, 1, 1), "{facts:?}");

    let failing = stage.daemon.record(BOSS, ids[1]).await;
    assert_eq!(end_of(&failing), (S::Failed, Some(R::VerificationFailed)));
    assert_eq!(word_of(&failing), (Some(Outcome::Done), ReportedBy::Tool));
    let check = failing.verification.as_ref().unwrap();
    assert_eq!((check.exit_code, check.output_tail.as_str()), (Some(7), "checking\nno such file\n"));
    assert_eq!(failing.git.as_ref().unwrap().commits_ahead, 0);
    stage.finish().await;
}

#[tokio::test]
async fn a_report_of_blocked_by_the_tool_ends_the_worker_as_blocked_and_nothing_is_checked() {
    let blocked = Step::mcp(
        "orchestrator",
        "report_outcome",
        json!({"outcome": "BLOCKED", "summary": "cannot go on", "blocker": "no schema"}),
    );
    let stage = Stage::with([blocked, Step::text("I stop here.")]).await;
    let record = stage.run(worker_with("go [[s]]", json!({"verification_command": "true"}))).await;
    assert_eq!(end_of(&record), (S::Blocked, Some(R::ReportedBlocked)));
    assert_eq!(record.reported.blocker.as_deref(), Some("no schema"));
    assert_eq!((record.verification, record.reported.by), (None, ReportedBy::Tool));
    stage.finish().await;
}
