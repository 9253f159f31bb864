//! What `batch_create_workers` accepts, and how it names what it refuses.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]

use sandboxed_domain::api::{BatchCreateParams, ErrorCode, ReportOutcomeParams};
use sandboxed_domain::policy::{
    branch_name, check_batch, check_report, effort, message, parse_params, worker_spec,
};
use serde_json::{Value, json};

fn spec(changes: Value) -> Value {
    let mut spec = json!({"title": "t", "prompt": "p", "backend": "claudecode"});
    for (key, value) in changes.as_object().unwrap() {
        spec[key] = value.clone();
    }
    spec
}

/// Code and field of the refusal as entry 3 of a batch.
fn refused(changes: Value) -> (ErrorCode, String) {
    match worker_spec(&spec(changes.clone()), 3) {
        Ok(_) => panic!("accepted: {}", changes.to_string().chars().take(200).collect::<String>()),
        Err(error) => {
            assert!(error.message.len() < 500, "a long message: {}", error.message);
            (error.code, error.field.unwrap_or_default())
        }
    }
}

#[test]
fn complete_and_minimal_workers_are_accepted() {
    let full = spec(json!({
        "task_key": "k", "model": "sonnet", "effort": "high", "workspace_id": "w", "isolation": "inherit",
        "worktree": {"repo": "/r", "branch": "task/a-1", "base": "origin/main~2"},
        "acceptance_criteria": ["a"], "verification_command": "make test", "timeout_seconds": 604_800,
        "env": {"_A1": "", "B": "x"},
    }));
    let spec_full = worker_spec(&full, 0).unwrap();
    assert_eq!(spec_full.worktree.unwrap().branch, "task/a-1");
    worker_spec(&spec(json!({"title": "ä".repeat(200), "prompt": "x".repeat(1 << 20)})), 0).unwrap();
    worker_spec(&spec(json!({"backend": "command", "command": ["make", ""]})), 0).unwrap();
    worker_spec(&spec(json!({"working_directory": "/a/..b/c"})), 0).unwrap();
}

#[test]
fn what_cannot_be_read_is_named_by_its_path() {
    use ErrorCode::{InvalidArgument as Invalid, UnknownField as Unknown};
    for (changes, code, field) in [
        (json!({"titel": "x"}), Unknown, "workers[3].titel"),
        (json!({"we`ird, expected": 1}), Unknown, "workers[3].we`ird, expected"),
        (json!({"worktree": {"branch": "b", "brnch": 1}}), Unknown, "workers[3].worktree.brnch"),
        (json!({"worktree": {}}), Invalid, "workers[3].worktree.branch"),
        (json!({"worktree": {"branch": 5}}), Invalid, "workers[3].worktree.branch"),
        (json!({"title": null}), Invalid, "workers[3].title"),
        (json!({"effort": "huge"}), Invalid, "workers[3].effort"),
        (json!({"acceptance_criteria": ["a", 7]}), Invalid, "workers[3].acceptance_criteria[1]"),
        (json!({"env": {"A": 7}}), Invalid, "workers[3].env.A"),
        (json!({"timeout_seconds": -1}), Invalid, "workers[3].timeout_seconds"),
        (json!({"timeout_seconds": "x".repeat(1 << 20)}), Invalid, "workers[3].timeout_seconds"),
    ] {
        assert_eq!(refused(changes), (code, field.to_owned()));
    }
    let not_an_object = worker_spec(&json!("x"), 3).unwrap_err();
    assert_eq!(not_an_object.field.as_deref(), Some("workers[3]"));
    let missing = worker_spec(&json!({"title": "t", "prompt": "p"}), 0).unwrap_err();
    assert_eq!((missing.code, missing.field.as_deref()), (Invalid, Some("workers[0].backend")));
}

#[test]
fn each_limit_is_held() {
    use ErrorCode::{InvalidArgument as Invalid, TooLarge};
    for (changes, code, field) in [
        (json!({"title": " "}), Invalid, "title"),
        (json!({"title": "a\nb"}), Invalid, "title"),
        (json!({"title": "x".repeat(201)}), TooLarge, "title"),
        (json!({"prompt": ""}), Invalid, "prompt"),
        (json!({"prompt": " \n"}), Invalid, "prompt"),
        (json!({"prompt": "x".repeat((1 << 20) + 1)}), TooLarge, "prompt"),
        (json!({"prompt": " ".repeat(20 << 20)}), TooLarge, "prompt"),
        (json!({"task_key": ""}), Invalid, "task_key"),
        (json!({"task_key": "x".repeat(201)}), TooLarge, "task_key"),
        (json!({"acceptance_criteria": vec!["a"; 51]}), TooLarge, "acceptance_criteria"),
        (json!({"acceptance_criteria": ["a", "x".repeat(2001)]}), TooLarge, "acceptance_criteria[1]"),
        (json!({"acceptance_criteria": [""]}), Invalid, "acceptance_criteria[0]"),
        (json!({"verification_command": "x".repeat(65537)}), TooLarge, "verification_command"),
        (json!({"verification_command": "a\u{0}b"}), Invalid, "verification_command"),
        (json!({"verification_command": " "}), Invalid, "verification_command"),
        (json!({"timeout_seconds": 0}), Invalid, "timeout_seconds"),
        (json!({"timeout_seconds": 604_801}), Invalid, "timeout_seconds"),
        (json!({"env": {"": "x"}}), Invalid, "env"),
        (json!({"env": {"1A": "x"}}), Invalid, "env.1A"),
        (json!({"env": {"A-B": "x"}}), Invalid, "env.A-B"),
        (json!({"env": {"SANDBOXED_SH_TOKEN": "x"}}), Invalid, "env.SANDBOXED_SH_TOKEN"),
        (json!({"env": {"A": "x\u{0}"}}), Invalid, "env.A"),
        (json!({"env": {"A": "x".repeat(32769)}}), TooLarge, "env.A"),
        (json!({"command": ["ls"]}), Invalid, "command"),
        (json!({"backend": "command", "command": ["ls", "a\u{0}"]}), Invalid, "command[1]"),
        (json!({"backend": "command", "command": [""]}), Invalid, "command[0]"),
        (json!({"backend": "command", "prompt": "a\u{0}"}), Invalid, "prompt"),
    ] {
        assert_eq!(refused(changes), (code, format!("workers[3].{field}")));
    }
}

#[test]
fn places_and_branches_are_legal() {
    use ErrorCode::{InvalidArgument as Invalid, PathOutsideWorkspace as Outside};
    for (changes, code, field) in [
        (json!({"working_directory": "a/b"}), Invalid, "working_directory"),
        (json!({"working_directory": ""}), Invalid, "working_directory"),
        (json!({"working_directory": "/a/../b"}), Outside, "working_directory"),
        (json!({"working_directory": "/a", "worktree": {"branch": "b"}}), Invalid, "working_directory"),
        (json!({"worktree": {"branch": "b", "repo": "/a/.."}}), Outside, "worktree.repo"),
        (json!({"worktree": {"branch": "b", "base": "--all"}}), Invalid, "worktree.base"),
        (json!({"worktree": {"branch": "b", "base": "a b"}}), Invalid, "worktree.base"),
        (json!({"worktree": {"branch": "a b"}}), Invalid, "worktree.branch"),
    ] {
        assert_eq!(refused(changes), (code, format!("workers[3].{field}")));
    }
    for legal in ["a", "task/fix-login", "v1.2", "über", "a@b", "feature/HEAD"] {
        assert!(branch_name("f", legal).is_ok(), "{legal}");
    }
    for illegal in [
        "",
        "-a",
        "/a",
        "a/",
        "a//b",
        ".a",
        "a/.b",
        "a.lock",
        "a.lock/b",
        "a..b",
        "a.",
        "a@{b",
        "@",
        "HEAD",
        "a~b",
        "a^b",
        "a:b",
        "a?b",
        "a*b",
        "a[b",
        "a\\b",
        "a b",
        "a\tb",
        "refs/heads/a",
    ] {
        assert!(branch_name("f", illegal).is_err(), "{illegal}");
    }
}

#[test]
fn backends_models_and_missing_features_are_refused_with_a_hint() {
    use ErrorCode::{ModelMismatch, NotAvailable, UnknownBackend};
    for (changes, code, field) in [
        (json!({"backend": "claude"}), UnknownBackend, "backend"),
        (json!({"model": "gpt-5"}), ModelMismatch, "model"),
        (json!({"backend": "command", "model": "sonnet"}), ModelMismatch, "model"),
        (json!({"backend": "command", "effort": "low"}), ModelMismatch, "effort"),
        (json!({"budget_usd": 1.5}), NotAvailable, "budget_usd"),
    ] {
        let error = worker_spec(&spec(changes), 7).unwrap_err();
        assert_eq!((error.code, error.field), (code, Some(format!("workers[7].{field}"))));
        assert!(!error.hint.is_empty());
    }
}

#[test]
fn an_error_about_env_never_repeats_a_value() {
    for env in [json!({"A": "s3cret\u{0}"}), json!({"A B": "s3cret"}), json!({"A": ["s3cret"]})] {
        let error = worker_spec(&spec(json!({ "env": env })), 0).unwrap_err();
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
}

#[test]
fn a_batch_has_1_to_64_workers() {
    let batch = |count| BatchCreateParams { workers: vec![json!({}); count], idempotency_key: None };
    for (count, ok) in [(0, false), (1, true), (64, true), (65, false)] {
        assert_eq!(check_batch(&batch(count)).is_ok(), ok, "{count}");
    }
    let keyed = BatchCreateParams { idempotency_key: Some(String::new()), ..batch(1) };
    assert_eq!(check_batch(&keyed).unwrap_err().field.as_deref(), Some("idempotency_key"));
}

#[test]
fn messages_reports_and_efforts_are_checked() {
    assert!(message("content", "x").is_ok());
    assert_eq!(message("content", "\n").unwrap_err().field.as_deref(), Some("content"));
    assert_eq!(message("content", &"x".repeat((1 << 20) + 1)).unwrap_err().code, ErrorCode::TooLarge);
    let report = |summary: &str| -> ReportOutcomeParams {
        parse_params(&json!({"outcome": "DONE", "summary": summary}), "").unwrap()
    };
    assert!(check_report(&report("done")).is_ok());
    assert!(check_report(&report("")).is_err());
    assert_eq!(check_report(&report(&"x".repeat(4001))).unwrap_err().code, ErrorCode::TooLarge);
    assert!(effort("model_effort", "max").is_ok());
    assert_eq!(effort("model_effort", "most").unwrap_err().field.as_deref(), Some("model_effort"));
}

#[test]
fn parameters_without_a_prefix_name_their_fields_plainly() {
    let unknown = parse_params::<ReportOutcomeParams>(&json!({"outcom": "DONE"}), "").unwrap_err();
    assert_eq!((unknown.code, unknown.field.as_deref()), (ErrorCode::UnknownField, Some("outcom")));
    assert!(unknown.hint.contains("outcome, summary"), "{}", unknown.hint);
    let missing = parse_params::<ReportOutcomeParams>(&json!({"outcome": "DONE"}), "").unwrap_err();
    assert_eq!(missing.field.as_deref(), Some("summary"));
    let not_an_object = parse_params::<ReportOutcomeParams>(&json!(7), "").unwrap_err();
    assert_eq!((not_an_object.code, not_an_object.field), (ErrorCode::InvalidArgument, None));
}
