//! What a workload can see and do.

use std::fs;
use std::os::unix::fs::MetadataExt;

use sandboxed_domain::sandbox::{Network, RepositoryLayout, repository_binds};

use crate::support::{Place, finish, say, script};

#[tokio::test]
async fn the_walls_stand_around_a_workload() {
    let mut place = Place::new("walls");
    place.spec.network = Network::None;
    let sandbox = place.start().await;
    let runner = sandbox.runner();
    let base = place.spec.uid_base;

    let map = say(runner, "cat /proc/self/uid_map /proc/self/gid_map").await;
    let words: Vec<&str> = map.split_whitespace().collect();
    assert_eq!(words, ["0", &base.to_string(), "65536", "0", &base.to_string(), "65536"]);

    let status = say(runner, "cat /proc/self/status").await;
    let field = |name: &str| {
        let line = status.lines().find(|l| l.split(':').next() == Some(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().to_owned()
    };
    assert_eq!((field("NoNewPrivs"), field("Seccomp")), ("1".into(), "2".into()));
    // CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, NET_BIND_SERVICE.
    let kept: u64 = [0, 1, 3, 4, 5, 6, 7, 10].iter().map(|bit| 1u64 << bit).sum();
    for set in ["CapPrm", "CapEff", "CapBnd"] {
        assert_eq!(u64::from_str_radix(&field(set), 16).unwrap(), kept, "{set}");
    }
    assert_eq!(say(runner, "hostname").await.trim(), "workspace");

    sandbox.stop(std::time::Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn nothing_of_the_host_is_seen() {
    let place = Place::new("view");
    let secret = place.dir.path().join("secret");
    fs::write(&secret, "of the host").unwrap();
    let sandbox = place.start().await;
    let runner = sandbox.runner();

    let pids = say(runner, "ls -d /proc/[0-9]*").await;
    let pids: Vec<u32> = pids.lines().map(|l| l.rsplit('/').next().unwrap().parse().unwrap()).collect();
    assert!(pids.len() <= 4, "only the runner and this run: {pids:?}");
    assert!(say(runner, "tr '\\0' ' ' < /proc/1/cmdline").await.contains("sandboxed-sh/runner init"));

    for path in [secret.clone(), place.spec.image.clone(), place.spec.control.join("runs")] {
        let outside = path.display();
        let look = format!("for p in {outside} /proc/1/root{outside}; do test -e $p && echo $p; done; true");
        assert_eq!(say(runner, &look).await, "", "{outside}");
    }
    // The control directory is hidden at its own place, too.
    let control = finish(runner, script("control", "ls /run/sandboxed-sh/control/runs")).await;
    assert_ne!(control.exit.exit_code, Some(0), "{control:?}");

    sandbox.stop(std::time::Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn what_is_written_stays_in_the_layer_and_belongs_to_root_there() {
    let place = Place::new("layer");
    let sandbox = place.start().await;
    let text = "echo changed >> /etc/passwd && mkdir -p /opt/a && echo new > /opt/a/b && rm /etc/group && \
                stat -c %u:%g /etc/passwd /opt/a/b";
    assert_eq!(say(sandbox.runner(), text).await, "0:0\n0:0\n");
    sandbox.stop(std::time::Duration::ZERO).await.unwrap();

    let image = &place.spec.image;
    assert!(!fs::read_to_string(image.join("etc/passwd")).unwrap().contains("changed"));
    assert!(image.join("etc/group").exists() && !image.join("opt").exists());
    let written = fs::metadata(place.spec.layer.join("upper/opt/a/b")).unwrap();
    assert_eq!((written.uid(), written.gid()), (0, 0), "stored without the sandbox's range");

    // So another range sees the same files as its own root's.
    let mut again = place;
    again.spec.uid_base += 65_536 * 10_000;
    let sandbox = again.start().await;
    assert_eq!(
        say(sandbox.runner(), "stat -c %u /opt/a/b; cat /opt/a/b; ls /etc/group 2>&1 | wc -l").await,
        "0\nnew\n1\n"
    );
    sandbox.stop(std::time::Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn files_made_in_a_bound_directory_belong_to_its_owner() {
    let mut place = Place::new("owner");
    let theirs = place.bind_dir("theirs: a repo", 1000);
    let ours = place.bind_dir("ours", 0);
    let sandbox = place.start().await;
    let text = format!(
        "for d in '{}' '{}'; do echo x > \"$d/new\"; stat -c %u \"$d\" \"$d/new\"; done",
        theirs.display(),
        ours.display()
    );
    assert_eq!(say(sandbox.runner(), &text).await, "0\n0\n0\n0\n");
    assert_eq!(fs::metadata(theirs.join("new")).unwrap().uid(), 1000);
    assert_eq!(fs::metadata(ours.join("new")).unwrap().uid(), 0);
    sandbox.stop(std::time::Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn of_a_repository_only_its_data_can_be_written() {
    let mut place = Place::new("repo");
    let repo = place.dir.path().join("repo");
    let layout = RepositoryLayout { worktree: Some(repo.clone()), git_dir: repo.join(".git") };
    fs::create_dir_all(layout.git_dir.join("hooks")).unwrap();
    fs::write(layout.git_dir.join("config"), "[core]\n").unwrap();
    for dir in layout.writable_dirs() {
        fs::create_dir_all(dir).unwrap();
    }
    place.spec.binds.extend(repository_binds(&layout));
    let sandbox = place.start().await;
    let top = repo.display();
    for place in ["file", ".git/objects/x", ".git/refs/x", ".git/logs/x", ".git/worktrees/x"] {
        say(sandbox.runner(), &format!("echo x > {top}/{place}")).await;
    }
    for (n, place) in [".git/config", ".git/hooks/pre-commit", ".git/info", ".git/HEAD"].iter().enumerate() {
        let tried =
            finish(sandbox.runner(), script(&format!("no-{n}"), &format!("echo x > {top}/{place}"))).await;
        assert_ne!(tried.exit.exit_code, Some(0), "{place}");
    }
    let moved = finish(sandbox.runner(), script("mv", &format!("mv {top}/.git {top}/.old"))).await;
    assert_ne!(moved.exit.exit_code, Some(0), "{moved:?}");
    assert_eq!(fs::read_to_string(repo.join(".git/config")).unwrap(), "[core]\n");
    sandbox.stop(std::time::Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn without_a_network_there_is_only_a_loopback() {
    let mut place = Place::new("net");
    let sandbox = place.start().await;
    let with = say(sandbox.runner(), "tail -n +3 /proc/net/dev | cut -d: -f1").await;
    assert!(with.split_whitespace().count() > 1, "the host's devices show that the test can tell: {with}");
    sandbox.stop(std::time::Duration::ZERO).await.unwrap();

    place.spec.network = Network::None;
    let sandbox = place.start().await;
    let without = say(sandbox.runner(), "tail -n +3 /proc/net/dev | cut -d: -f1").await;
    assert_eq!(without.split_whitespace().collect::<Vec<_>>(), ["lo"]);
    sandbox.stop(std::time::Duration::ZERO).await.unwrap();
}
