//! The real program as PID 1 of a real systemd-nspawn container with a user namespace of its own. The root is an empty
//! directory with the host's `/usr`, read-only.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use sandbox_runner::client::RunnerClient;
use sandbox_runner::protocol::*;
use tempfile::TempDir;

use crate::support::*;

const INSIDE: &str = "/run/sandboxed-sh";

struct Container {
    control: Control,
    nspawn: Child,
    base: u32,
    _dir: TempDir,
}

/// None where no container can be made; says so.
fn container() -> Option<Container> {
    if !nix::unistd::geteuid().is_root() || !Path::new("/usr/bin/systemd-nspawn").exists() {
        eprintln!("skipped: needs root and systemd-nspawn");
        return None;
    }
    let dir = tempfile::tempdir().unwrap();
    let (root, control) = (dir.path().join("root"), dir.path().join("control"));
    for name in ["etc", "proc", "sys", "dev", "tmp", "run", "usr"] {
        fs::create_dir_all(root.join(name)).unwrap();
    }
    for name in ["bin", "lib", "lib64"] {
        symlink(format!("usr/{name}"), root.join(name)).unwrap();
    }
    fs::create_dir(&control).unwrap();
    let id = std::process::id();
    let base = 0x6000_0000 + (id % 4096) * 0x1_0000;
    let nspawn = Command::new("systemd-nspawn")
        .env("SYSTEMD_SECCOMP", "0")
        .args([
            "-q",
            "--register=no",
            "--keep-unit",
            "--console=pipe",
            "--link-journal=no",
            "--resolv-conf=off",
        ])
        .args([
            "--timezone=off",
            "--private-users-ownership=map",
            "--no-new-privileges=yes",
            "--bind-ro=/usr",
        ])
        .arg(format!("--machine=runner-test-{id}"))
        .arg(format!("--private-users={base}:65536"))
        .arg(format!("--directory={}", root.display()))
        .arg(format!("--bind={}:{INSIDE}:rootidmap", control.display()))
        // A second way to the socket, which a real sandbox does not have.
        .arg(format!("--bind={}:/run/again", control.display()))
        .arg(format!("--bind-ro={PROGRAM}:{INSIDE}-runner"))
        .args([&format!("{INSIDE}-runner"), "init", "--control", INSIDE])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    wait_for(&control, SOCKET_FILE);
    Some(Container { control: Control { dir: control }, nspawn, base, _dir: dir })
}

impl Container {
    /// The container's first process as the host sees it.
    fn init(&self) -> i32 {
        let mut pid = self.nspawn.id();
        loop {
            let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
            pid = children.split_whitespace().next().unwrap().parse().unwrap();
            if fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap().contains("\0--control\0") {
                return pid.try_into().unwrap();
            }
        }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // Never by KILL: nspawn would leave its files behind. It ends when its first process does.
        if let Ok(mut client) = RunnerClient::connect(&self.control.dir.join(SOCKET_FILE)) {
            let _ = client.request(&Request::Shutdown { grace_ms: 0 }, &[]);
        }
        let _ = self.nspawn.wait();
    }
}

#[test]
fn the_workload_is_confined() {
    let Some(container) = container() else { return };
    let (_, status) = container.control.shell("status", "cat /proc/self/status /proc/self/uid_map");
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().to_owned()
    };
    // CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID; the network is the host's, so no NET_BIND_SERVICE.
    for set in ["CapPrm:", "CapEff:", "CapBnd:"] {
        assert_eq!(field(set), "00000000000000fb", "{set}");
    }
    for set in ["CapInh:", "CapAmb:"] {
        assert_eq!(field(set), "0000000000000000", "{set}");
    }
    assert_eq!((field("NoNewPrivs:").as_str(), field("Seccomp:").as_str()), ("1", "2"));
    let map: Vec<&str> = status.lines().last().unwrap().split_whitespace().collect();
    assert_eq!(map, ["0", &container.base.to_string(), "65536"]);
}

#[test]
fn the_control_directory_is_out_of_reach() {
    let Some(container) = container() else { return };
    let script = format!(
        "ls -A {INSIDE} | wc -l; umount {INSIDE} || umount -l {INSIDE}; ls -A {INSIDE} | wc -l
         cat /proc/1/environ; readlink /proc/1/fd/*; ls -A /proc/1/root{INSIDE} | wc -l"
    );
    let (_, output) = container.control.shell("look", &script);
    assert_eq!(output, "0\n0\n0\n");
    let script = "perl -MIO::Socket::UNIX -e '
        $SIG{PIPE} = \"IGNORE\";
        my $s = IO::Socket::UNIX->new(Peer => \"/run/again/runner.sock\") or die \"connect: $!\";
        syswrite $s, pack(\"N\", 14).\"{\\\"op\\\":\\\"hello\\\"}\";
        print defined(sysread($s, my $b, 1)) && length($b) ? \"served\" : \"refused\"'";
    fs::set_permissions(&container.control.dir, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let socket = container.control.dir.join(SOCKET_FILE);
    fs::set_permissions(&socket, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let (_, output) = container.control.shell("connect", script);
    assert_eq!(output, "refused", "{}", container.control.output("connect", STDERR_FILE));
}

#[test]
fn the_workload_cannot_end_the_runner_and_its_orphans_are_reaped() {
    let Some(container) = container() else { return };
    let script = "kill -TERM 1; kill -INT 1; kill -37 1; kill -KILL 1; kill -STOP 1
                  prlimit --pid 1 --nofile=0 2>&1
                  perl -e 'for (1..50) { fork or do { fork; exit } }'";
    let (exit, output) = container.control.shell("hostile", script);
    assert_eq!(exit.reason, None);
    assert!(output.contains("Operation not permitted"), "{output}");
    let (exit, count) = container.control.shell("after", "ls -d /proc/[0-9]* | wc -l");
    assert_eq!(exit.exit_code, Some(0));
    // The runner, the shell, ls and wc.
    assert!(count.trim().parse::<u32>().unwrap() <= 4, "{count}");
}

#[test]
fn common_tools_work_under_the_filter() {
    let Some(container) = container() else { return };
    let script = "set -e; cd /tmp; git init -q r; cd r; git config user.email a@b; git config user.name a; echo x > f
                  git add f; git commit -qm m; git log --oneline | wc -l; tar cf - . | tar tf - | wc -l > /dev/null
                  mkfifo p; chown 5:5 f; setpriv --reuid 7 --clear-groups id -u; perl -e 'print 1+1, qq(\\n)'";
    let mut start = plan("tools", &["bash", "-c", script]);
    start.env.insert("HOME".into(), "/tmp".into());
    container.control.start(start, &[]);
    let exit = container.control.exit("tools");
    let stderr = container.control.output("tools", STDERR_FILE);
    assert_eq!(exit.exit_code, Some(0), "{stderr}");
    assert_eq!(container.control.output("tools", "stdout.log"), "1\n7\n2\n");
}

#[test]
fn a_signal_from_outside_records_every_run_and_ends_the_container() {
    let Some(mut container) = container() else { return };
    container.control.start(plan("long", &["sleep", "1000"]), &[]);
    let init = nix::unistd::Pid::from_raw(container.init());
    nix::sys::signal::kill(init, nix::sys::signal::Signal::SIGTERM).unwrap();
    let exit = container.control.exit("long");
    assert_eq!((exit.signal, exit.reason.as_deref()), (Some(libc::SIGTERM), Some("shutdown")));
    assert!(container.nspawn.wait().unwrap().success());
}
