//! A missing program is installed where a setting allows it: once, for sandboxes that run already too.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sandboxed_domain::api::{BackendStatus, BatchCreateResponse, ErrorCode, EventBody, ProgramSource};
use sandboxed_domain::harness::CLAUDE;
use sandboxed_domain::mission::MissionStatus;
use sandboxed_testkit::stub::{Script, Step, StubModel};
use serde_json::{Value, json};

use crate::stage::{BOSS, Stage, report, worker};
use crate::support::{Daemon, ids};

/// Any key will do: the stub asks for none in particular.
const KEY: &str = "sk-test-installing";
const SYSTEM: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// A directory that is all of the daemon's `PATH` beside the system's, and what its npm writes down.
struct Host {
    root: tempfile::TempDir,
}

impl Host {
    /// With an npm that does `first`, and then what npm does; archives are kept for other tests.
    fn with_npm(first: &str) -> Self {
        let host = Self { root: tempfile::tempdir().unwrap() };
        let archives = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("test-archives");
        fs::create_dir_all(&archives).unwrap();
        let (root, archives) = (host.root.path().display(), archives.display());
        let path = std::env::var("PATH").unwrap();
        host.write_npm(&format!(
            "#!/bin/bash\nset -eu\nPATH={path:?}\necho called >> {root}/calls\n{first}\nspec=${{!#}}\n\
             kept={archives}/${{spec//\\//-}}.tgz\nexec 9>{archives}/lock; flock 9\n\
             if [ ! -f $kept ]; then npm \"$@\"; mv *.tgz $kept; fi\ncp $kept .\n"
        ));
        host
    }

    fn write_npm(&self, script: &str) {
        let npm = self.root.path().join("npm");
        fs::write(&npm, script).unwrap();
        fs::set_permissions(&npm, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn gate(&self) -> PathBuf {
        self.root.path().join("gate")
    }

    fn calls(&self) -> usize {
        fs::read_to_string(self.root.path().join("calls")).unwrap_or_default().lines().count()
    }

    async fn daemon(&self, more: &[(&str, &str)]) -> Daemon {
        let path = format!("{}:{SYSTEM}", self.root.path().display());
        let mut env = vec![("PATH", path.as_str()), ("CLAUDE_CLI_PATH", ""), ("ANTHROPIC_API_KEY", KEY)];
        env.extend(more);
        Daemon::start_with(&env).await
    }
}

async fn status(daemon: &Daemon) -> BackendStatus {
    let mut all = daemon.client().backends().await.unwrap();
    all.remove(all.iter().position(|backend| backend.backend == "claudecode").unwrap())
}

#[tokio::test]
async fn the_first_missions_install_it_once_in_a_sandbox_that_runs() {
    let host = Host::with_npm("cat $(dirname $0)/gate");
    nix::unistd::mkfifo(&host.gate(), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let stub = StubModel::start(Script::default().scenario("s", [report("DONE", "ok"), Step::text("Done.")]))
        .await
        .unwrap();
    let allow = ("SANDBOXED_SH_AUTO_INSTALL_CLAUDECODE", "true");
    let daemon = host.daemon(&[allow, ("ANTHROPIC_BASE_URL", &stub.base_url())]).await;
    let stage = Stage::of(stub, daemon);
    let before = status(&stage.daemon).await;
    assert!(before.ready && !before.installed, "{before:?}");
    assert!(before.reason.contains("installed at first use"), "{before:?}");
    // The sandbox is there before the program is.
    stage.daemon.run(BOSS, "echo up").await;
    let both = stage.create(json!([worker("go [[s]]"), worker("go [[s]]")])).await;
    stage.open_gate(&host.gate()).await;
    let shown: Value = stage.daemon.call(BOSS, "wait_for_any_worker", json!({"timeout_seconds": 1})).await;
    let activity = format!("installing claude {} from npm", CLAUDE.version);
    assert!(shown["running"].to_string().contains(&activity), "{shown}");
    stage.daemon.wait_all(BOSS, &both).await;
    for id in both {
        let record = stage.daemon.record(BOSS, id).await;
        assert_eq!(record.status, MissionStatus::Completed, "{record:?}");
    }
    assert_eq!(host.calls(), 1);
    let after = status(&stage.daemon).await;
    assert_eq!((after.installed, after.source), (true, ProgramSource::Installed), "{after:?}");
    assert_eq!(after.version, CLAUDE.version);
    assert!(Path::new(&after.program).starts_with(stage.daemon.data().join("clis")), "{after:?}");
    stage.finish().await;
}

#[tokio::test]
async fn what_is_missing_is_named_before_anything_starts() {
    let host = Host::with_npm("exit 1");
    let daemon = host.daemon(&[]).await;
    let answer: BatchCreateResponse = daemon.create(BOSS, json!([worker("go")])).await;
    let error = answer.workers[0].error.clone().unwrap();
    assert_eq!(error.code, ErrorCode::BackendNotReady);
    for words in [
        "claude is not installed",
        "sandboxed-sh backend install claudecode",
        "SANDBOXED_SH_AUTO_INSTALL_CLAUDECODE",
        "CLAUDE_CLI_PATH",
    ] {
        assert!(error.hint.contains(words), "{words:?} is missing: {error:?}");
    }
    assert_eq!(host.calls(), 0, "nothing is installed unasked");
    daemon.finish().await;
}

#[tokio::test]
async fn an_image_brings_the_programs_that_settings_want_or_says_why_not() {
    let host = Host::with_npm("");
    let daemon = host.daemon(&[("SANDBOXED_SH_BOOTSTRAP_CLAUDECODE", "true")]).await;
    let made: Value = daemon.call(BOSS, "get_workspace_layout", json!({})).await;
    let workspace = made["workspace"]["id"].as_str().unwrap();
    daemon.client().build_workspace(workspace, |_| ()).await.unwrap();
    assert_eq!((status(&daemon).await.source, host.calls()), (ProgramSource::Installed, 1));
    daemon.client().build_workspace(workspace, |_| ()).await.unwrap();
    assert_eq!(host.calls(), 1);
    fs::remove_dir_all(daemon.data().join("clis").join(CLAUDE.directory())).unwrap();
    host.write_npm("#!/bin/sh\necho no route to the registry >&2\nexit 1\n");
    let error = daemon.client().build_workspace(workspace, |_| ()).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::BackendNotReady);
    assert!(
        error.message.contains("no route to the registry") && error.hint.contains("npm ping"),
        "{error:?}"
    );
    daemon.finish().await;
}

#[tokio::test]
async fn a_failed_installation_ends_the_mission_with_the_reason() {
    let host = Host::with_npm("echo no route to the registry >&2; exit 1");
    let daemon = host.daemon(&[("SANDBOXED_SH_AUTO_INSTALL_CLAUDECODE", "true")]).await;
    let made = ids(&daemon.create(BOSS, json!([worker("go")])).await);
    daemon.wait_all(BOSS, &made).await;
    let events = daemon.events(made[0]).await;
    let told = events.iter().any(|event| {
        matches!(&event.body, EventBody::Error { code, message }
            if code == "backend_not_ready" && message.contains("no route to the registry"))
    });
    assert!(told, "{events:#?}");
    daemon.finish().await;
}
