//! Destroying a workspace: what is nowhere else is named first and goes only with a yes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::raw::Http;
use crate::support::{Daemon, git, ids, script};
use crate::terminal::AtTerminal;

/// `workspace destroy` with nobody at a terminal.
fn destroy(daemon: &Daemon, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sandboxed-sh"))
        .args(["workspace", "destroy"])
        .args(arguments)
        .env("SANDBOXED_SH_DATA_DIR", daemon.data())
        .env("SANDBOXED_SH_API_URL", daemon.settings().endpoint.to_string())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn destroying_names_what_it_would_lose_and_goes_on_with_a_yes_only() {
    let daemon = Daemon::start().await;
    let http = Http::new(daemon.settings());
    let commit = "git add . && git -c user.name=W -c user.email=w@x commit -qm Work";
    let worker = |title: &str, text: &str| {
        let mut worker = script(title, text);
        worker["worktree"] = json!({"branch": format!("task/{title}")});
        worker
    };
    let workers = json!([
        worker("clean", "true"),
        worker("dirty", "echo x >> README.md"),
        worker("unmerged", &format!("echo x > new.txt; {commit}")),
        script("running", "echo begun; exec sleep 600"),
    ]);
    let all = ids(&daemon.create("boss", workers).await);
    daemon.wait_all("boss", &all[..3]).await;
    crate::stream::wait_for_status(&daemon, &all[3].to_string(), "active").await;
    let mission = http.get(&format!("/api/control/missions/{}", all[0])).await.ok();
    let workspace = mission["workspace_id"].as_str().unwrap().to_owned();
    let view = http.get(&format!("/api/workspaces/{workspace}")).await.ok();
    fs::write(Path::new(view["inbox"].as_str().unwrap()).join("letter"), "dear worker").unwrap();
    let mut places = Vec::new();
    for id in &all[..3] {
        places.push(PathBuf::from(daemon.record("boss", *id).await.working_directory.unwrap()));
    }

    let losses = http.get(&format!("/api/workspaces/{workspace}/losses")).await.ok();
    let of = |list: &str, field: &str| -> Vec<Value> {
        losses[list].as_array().unwrap().iter().map(|entry| entry[field].clone()).collect()
    };
    assert_eq!(of("missions", "mission_id"), [json!(all[3])]);
    let mut named = of("worktrees", "path");
    named.sort_by_key(Value::to_string);
    let mut wanted = [json!(places[1]), json!(places[2])];
    wanted.sort_by_key(Value::to_string);
    assert_eq!(named, wanted, "{losses}");
    assert!(losses["inbox_bytes"].as_u64().unwrap() > 0);

    let field = losses["worktrees"][0]["path"].as_str().unwrap();
    let refused = http.delete(&format!("/api/workspaces/{workspace}")).await;
    let refused = refused.problem(409, "wrong_state", Some(field));
    let told = destroy(&daemon, &[&workspace]);
    let stderr = String::from_utf8_lossy(&told.stderr).into_owned();
    assert_eq!(told.status.code(), Some(4), "{stderr}");
    for text in [refused["detail"].as_str().unwrap(), &stderr] {
        for word in [
            &*all[3].to_string(),
            places[1].to_str().unwrap(),
            places[2].to_str().unwrap(),
            "task/unmerged",
            "not committed",
            "on no other branch",
            "inbox",
        ] {
            assert!(text.contains(word), "{word} is not in {text}");
        }
        assert!(!text.contains(places[0].to_str().unwrap()), "nothing is lost with that: {text}");
    }
    let record = daemon.record("boss", all[3]).await;
    assert!(!record.status.is_ended() && places.iter().all(|place| place.exists()), "nothing was touched");

    let done = destroy(&daemon, &[&workspace, "--yes"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    http.get(&format!("/api/workspaces/{workspace}")).await.problem(
        404,
        "unknown_workspace",
        Some("workspace_id"),
    );
    assert_eq!(daemon.record("boss", all[3]).await.status.as_str(), "cancelled");
    assert!(!Path::new(view["root"].as_str().unwrap()).exists());
    assert!(!git(&daemon.repo(), &["worktree", "list"]).contains("sandboxed"), "no entry is left");
    let branches = git(&daemon.repo(), &["branch", "--format=%(refname:short)"]);
    assert!(branches.contains("task/unmerged"), "commits stay: {branches}");
    assert_eq!(git(&daemon.repo(), &["show", "task/unmerged:new.txt"]), "x");
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workspace_that_holds_nothing_of_its_own_goes_without_a_word() {
    let daemon = Daemon::start().await;
    let http = Http::new(daemon.settings());
    http.post("/api/workspaces", json!({"name": "one"})).await.ok();
    let losses = http.get("/api/workspaces/one/losses").await.ok();
    assert_eq!(losses, json!({"missions": [], "worktrees": []}));
    assert!(destroy(&daemon, &["one"]).status.success());
    assert_eq!(destroy(&daemon, &["one"]).status.code(), Some(3));
    assert_eq!(destroy(&daemon, &["host", "--yes"]).status.code(), Some(4));
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_a_terminal_it_names_what_goes_and_only_a_yes_goes_on() {
    let daemon = Daemon::start().await;
    let http = Http::new(daemon.settings());
    let view = http.post("/api/workspaces", json!({"name": "one"})).await.ok();
    let letter = Path::new(view["inbox"].as_str().unwrap()).join("letter");
    fs::write(&letter, "dear worker").unwrap();
    for no in ["\n", "n\n", "yesterday\n", "\u{4}"] {
        let mut asked = AtTerminal::run(&daemon, &["workspace", "destroy", "one"]);
        let shown = asked.shows("[y/N] ").await;
        assert!(shown.contains("inbox") && shown.contains("loses what is nowhere else"), "{shown}");
        asked.type_in(no);
        let (code, data, shown) = asked.ends().await;
        assert_eq!((code, data.as_str()), (Some(4), ""), "{no:?}: {shown}");
        assert!(shown.contains("nothing was touched") && letter.exists(), "{shown}");
    }
    let mut asked = AtTerminal::run(&daemon, &["workspace", "destroy", "one"]);
    asked.shows("[y/N] ").await;
    asked.type_in("y\n");
    let (code, data, shown) = asked.ends().await;
    assert_eq!((code, data.as_str()), (Some(0), ""), "{shown}");
    assert!(shown.contains("deleted") && !letter.exists(), "{shown}");
    daemon.finish().await;
}
