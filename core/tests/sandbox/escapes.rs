//! Ways out of a sandbox, tried from inside by the root of a sandbox that has the host's network, the weakest there is.
//! Each is tried on the host as well, where it works: an attempt that fails everywhere would show nothing.

use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use sandboxed_core::sandbox::Sandbox;

use crate::support::{Place, finish, say, script};

/// Calls that reach the kernel or the host's world, with arguments that do no harm where they are allowed.
const CALLS: &[(&str, i64, &str)] = &[
    ("mount", libc::SYS_mount, "'x','/nonexistent','nofs',0,0"),
    ("umount2", libc::SYS_umount2, "'/nonexistent',0"),
    ("pivot_root", libc::SYS_pivot_root, "'/nonexistent','/nonexistent'"),
    ("chroot", libc::SYS_chroot, "'/nonexistent'"),
    ("setns", libc::SYS_setns, "-1,0"),
    ("open_tree", libc::SYS_open_tree, "-1,0,0"),
    ("move_mount", libc::SYS_move_mount, "-1,0,-1,0,0"),
    ("fsopen", libc::SYS_fsopen, "0,0"),
    ("mount_setattr", libc::SYS_mount_setattr, "-1,0,0,0,0"),
    ("open_by_handle_at", libc::SYS_open_by_handle_at, "-1,0,0"),
    ("unshare user", libc::SYS_unshare, "0x10000000"),
    ("unshare mount", libc::SYS_unshare, "0x00020000"),
    ("unshare net", libc::SYS_unshare, "0x40000000"),
    ("unshare cgroup", libc::SYS_unshare, "0x02000000"),
    ("bpf", libc::SYS_bpf, "-1,0,0"),
    ("perf_event_open", libc::SYS_perf_event_open, "0,0,-1,-1,0"),
    ("keyctl", libc::SYS_keyctl, "-1"),
    ("add_key", libc::SYS_add_key, "0,0,0,0,0"),
    ("request_key", libc::SYS_request_key, "0,0,0,0"),
    ("userfaultfd", libc::SYS_userfaultfd, "-1"),
    ("io_uring_setup", libc::SYS_io_uring_setup, "0,0"),
    ("kexec_load", libc::SYS_kexec_load, "0,0,0,0xffff"),
    ("init_module", libc::SYS_init_module, "0,0,0"),
    ("finit_module", libc::SYS_finit_module, "-1,0,0"),
    ("delete_module", libc::SYS_delete_module, "'nonexistent',0"),
    ("reboot", libc::SYS_reboot, "0,0,0,0"),
    ("swapon", libc::SYS_swapon, "'/nonexistent',0"),
    ("acct", libc::SYS_acct, "'/nonexistent'"),
    ("syslog", libc::SYS_syslog, "-1,0,0"),
    ("sethostname", libc::SYS_sethostname, "0,-1"),
    ("clock_settime", libc::SYS_clock_settime, "-1,0"),
    ("fanotify_init", libc::SYS_fanotify_init, "-1,-1"),
    ("pidfd_getfd", libc::SYS_pidfd_getfd, "-1,0,0"),
    ("TIOCSTI", libc::SYS_ioctl, "0,0x5412,'x'"),
    ("TIOCLINUX", libc::SYS_ioctl, "0,0x541c,'x'"),
    ("mknod of a disk", libc::SYS_mknodat, "-100,'/tmp/escape-disk',0060600,0xfe00"),
    ("mknod of memory", libc::SYS_mknodat, "-100,'/tmp/escape-mem',0020600,0x101"),
];

/// A script that prints the name and the error number of each call, 0 being success. Each is made in a process of its
/// own, as some change it.
fn calls() -> String {
    let mut text = String::from("$| = 1; sub try { my ($n, $nr, @a) = @_; my $p = fork; ");
    text.push_str("if (!$p) { my $r = syscall($nr, @a); printf \"%d %s\\n\", $r < 0 ? $! : 0, $n; exit } waitpid $p, 0 }\n");
    for (name, number, arguments) in CALLS {
        text.push_str(&format!("try('{name}', {number}, {arguments});\n"));
    }
    text + "unlink '/tmp/escape-disk', '/tmp/escape-mem';\n"
}

/// Files of the kernel by which a host's root rules it, for writing (`w`) or reading.
const KERNEL_FILES: &[(&str, char)] = &[
    ("/proc/sys/kernel/core_pattern", 'w'),
    ("/proc/sys/kernel/modprobe", 'w'),
    ("/proc/sys/vm/panic_on_oom", 'w'),
    ("/proc/sysrq-trigger", 'w'),
    ("/proc/sys/fs/binfmt_misc/register", 'w'),
    ("/proc/kcore", 'r'),
    ("/proc/timer_list", 'r'),
    ("/proc/vmallocinfo", 'r'),
    ("/sys/kernel/uevent_helper", 'w'),
    ("/sys/power/state", 'w'),
    ("/sys/kernel/mm/transparent_hugepage/enabled", 'w'),
    ("/dev/mem", 'r'),
    ("/dev/kmsg", 'r'),
    ("/dev/loop-control", 'r'),
    ("/dev/kvm", 'r'),
    ("/dev/net/tun", 'r'),
    ("/dev/fuse", 'r'),
];

/// A script that prints those that could be opened. Nothing is written.
fn opened() -> String {
    let list: Vec<String> = KERNEL_FILES.iter().map(|(path, how)| format!("['{path}','{how}']")).collect();
    format!(
        "for ({}) {{ my ($p, $h) = @$_; print \"$p\\n\" if sysopen(my $f, $p, ($h eq 'w' ? 1 : 0) | 0x800) }}\n",
        list.join(",")
    )
}

/// What a perl script prints on the host.
fn on_host(text: &str) -> String {
    let output = Command::new("perl").args(["-e", text]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// And what it prints inside.
async fn inside(sandbox: &Sandbox, text: &str) -> String {
    say(sandbox.runner(), &format!("perl <<'END_OF_SCRIPT'\n{text}\nEND_OF_SCRIPT")).await
}

#[tokio::test]
async fn calls_that_reach_the_kernel_or_the_host_are_refused_one_by_one() {
    let refused = |text: &str| -> Vec<String> {
        let lines = text.lines().map(|line| line.split_once(' ').unwrap());
        lines
            .filter(|(error, _)| *error == libc::EPERM.to_string())
            .map(|(_, name)| name.to_owned())
            .collect()
    };
    let place = Place::new("calls");
    let sandbox = place.start().await;
    let names: Vec<&str> = CALLS.iter().map(|(name, ..)| *name).collect();
    assert_eq!(refused(&inside(&sandbox, &calls()).await), names);
    let host = on_host(&calls());
    assert_eq!((host.lines().count(), refused(&host)), (names.len(), vec![]), "on the host none is: {host}");
    sandbox.stop(Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn files_that_rule_the_kernel_cannot_be_opened() {
    let place = Place::new("files");
    let sandbox = place.start().await;
    assert_eq!(inside(&sandbox, &opened()).await, "");
    let host = on_host(&opened());
    assert!(
        host.contains("core_pattern") && host.contains("/proc/vmallocinfo"),
        "on the host they can: {host}"
    );
    // Whatever this kernel has besides: no file of its own can be written, whoever owns it.
    let writable = "find /proc/sys /sys -xdev \\( -type f -o -type d \\) -writable 2>/dev/null; ls -A /sys/fs/cgroup /dev/net 2>/dev/null | grep -v ':$' | grep .; true";
    assert_eq!(say(sandbox.runner(), writable).await, "");
    sandbox.stop(Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn a_file_of_the_host_is_reached_by_no_link_and_no_magic() {
    let mut place = Place::new("links");
    let secret = place.dir.path().join("of-the-host");
    fs::write(&secret, "untouched").unwrap();
    let shared = place.bind_dir("shared", 0);
    symlink(&secret, shared.join("link")).unwrap();
    symlink("../of-the-host", shared.join("up")).unwrap();
    let sandbox = place.start().await;
    let (outside, top) = (secret.display().to_string(), shared.display().to_string());
    let ways = [
        outside.clone(),
        format!("{top}/link"),
        format!("{top}/up"),
        format!("/proc/1/root{outside}"),
        format!("/proc/self/root{outside}"),
        format!("/proc/self/cwd/../../../../../..{outside}"),
        format!("/run/host/../..{outside}"),
    ];
    let write = |way: &str| format!("echo changed > {way}");
    for (n, way) in ways.iter().enumerate() {
        finish(sandbox.runner(), script(&format!("way-{n}"), &write(way))).await;
        assert_eq!(fs::read_to_string(&secret).unwrap(), "untouched", "{way}");
    }
    // Not every host's root may look through its own PID 1.
    let of_inside = |way: &str| ["/run/host", "/proc/1/"].iter().any(|part| way.contains(part));
    for (n, way) in ways.iter().enumerate().filter(|(_, way)| !of_inside(way)) {
        let status =
            Command::new("sh").args(["-c", &format!("cd {top} && {}", write(way))]).status().unwrap();
        assert!(status.success(), "on the host {n} {way} works");
        assert_eq!(fs::read_to_string(&secret).unwrap(), "changed\n", "{way}");
        fs::write(&secret, "untouched").unwrap();
    }
    sandbox.stop(Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn a_program_that_takes_another_users_rights_gains_none() {
    let place = Place::new("setuid");
    let take = |dir: &str| {
        format!(
            "cp /usr/bin/id {dir}/taker && chmod 4755 {dir}/taker && chmod 755 {dir} && \
             setpriv --reuid 1000 --regid 1000 --clear-groups {dir}/taker -u"
        )
    };
    let sandbox = place.start().await;
    assert_eq!(say(sandbox.runner(), &take("/root")).await, "1000\n");
    let dir = place.dir.path().join("host");
    fs::create_dir(&dir).unwrap();
    fs::set_permissions(place.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let output = Command::new("sh").args(["-c", &take(dir.to_str().unwrap())]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "0\n", "on the host it does: {output:?}");
    sandbox.stop(Duration::ZERO).await.unwrap();
}

/// Prints what listens under an abstract name says, or the error's number.
fn dial(name: &str) -> String {
    format!(
        "use Socket; socket(my $s, AF_UNIX, SOCK_STREAM, 0) or die; \
         if (connect($s, pack('Sxa*', AF_UNIX, '{name}'))) {{ print <$s> }} else {{ print $!+0 }}"
    )
}

#[tokio::test]
async fn abstract_sockets_of_the_host_do_not_answer_and_those_of_the_sandbox_do() {
    let name = format!("sandboxed-test-{}", std::process::id());
    let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    std::thread::spawn(move || {
        use std::io::Write;
        for stream in listener.incoming() {
            let _ = stream.unwrap().write_all(b"the host");
        }
    });
    assert_eq!(on_host(&dial(&name)), "the host", "for the host itself it answers");
    let place = Place::new("abstract");
    let sandbox = place.start().await;
    assert_eq!(inside(&sandbox, &dial(&name)).await, libc::EPERM.to_string());
    let own = format!("{name}-own");
    let both = format!(
        "use Socket; socket(my $l, AF_UNIX, SOCK_STREAM, 0); bind($l, pack('Sxa*', AF_UNIX, '{own}')) or die; listen($l, 1); \
         if (!fork) {{ accept(my $c, $l); print $c 'a sibling'; exit }} {}",
        dial(&own)
    );
    assert_eq!(inside(&sandbox, &both).await, "a sibling");
    sandbox.stop(Duration::ZERO).await.unwrap();
}

/// Prints the descriptors that a program finds open at its start, and where they lead.
const DESCRIPTORS: &str = "opendir(my $d, '/proc/self/fd'); my $own = fileno($d); \
    for (sort { $a <=> $b } grep /\\d/, readdir $d) { print \"$_ \", readlink(\"/proc/self/fd/$_\"), \"\\n\" if $_ != $own }";

#[tokio::test]
async fn a_program_begins_with_its_input_and_outputs_and_no_other_descriptor() {
    let place = Place::new("descriptors");
    let sandbox = place.start().await;
    let mut audit = script("audit", "");
    audit.argv = ["/usr/bin/perl", "-e", DESCRIPTORS].map(str::to_owned).into();
    let ended = finish(sandbox.runner(), audit).await;
    let numbers: Vec<_> = ended.stdout.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(numbers, ["0", "1", "2"], "{ended:?}");
    assert!(ended.stdout.starts_with("0 /dev/null\n"), "{ended:?}");
    let leaked = format!("perl -e '{}' 7< /", DESCRIPTORS.replace('\'', "'\\''"));
    let host = Command::new("sh").args(["-c", &leaked]).output().unwrap();
    assert!(String::from_utf8_lossy(&host.stdout).contains("7 /\n"), "a leaked one is found: {host:?}");
    sandbox.stop(Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn a_crash_starts_no_handler_of_the_hosts_and_leaves_no_dump() {
    let place = Place::new("dumps");
    let sandbox = place.start().await;
    // 1 is the kernel's word for neither; 0 would still start a handler. Whoever asks for another one is told yes.
    let text = "(ulimit -c 0 && grep 'core file' /proc/self/limits); \
                perl -e 'exit(system(qw(perl -e), q(kill SEGV => $$)) & 128)' && echo none";
    let said = say(sandbox.runner(), text).await;
    let words: Vec<_> = said.split_whitespace().collect();
    assert_eq!(words[words.len() - 4..], ["1", "1", "bytes", "none"], "{said}");
    let limits = say(
        sandbox.runner(),
        "cd /tmp; ulimit -c 0; prlimit --core=0:0 --pid $$; prlimit --core -o SOFT,HARD --noheadings --pid $$",
    );
    assert_eq!(limits.await.split_whitespace().collect::<Vec<_>>(), ["1", "1"]);
    sandbox.stop(Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn of_one_sandbox_another_sees_neither_process_nor_file_nor_name() {
    let (one, two) = (Place::new("one"), Place::new("two"));
    let (first, second) = (one.start().await, two.start().await);
    let mut holder = script("holder", "echo canary-file > /root/canary; echo $$; exec sleep 600");
    holder.env.insert("CANARY".into(), "canary-environment".into());
    first.runner().start_run(holder).await.unwrap();
    let look = "cat /root/canary 2>/dev/null; for e in /proc/[0-9]*/environ; do tr '\\0' '\\n' < $e; done 2>/dev/null | grep canary-env; \
                ls /proc | grep -c '^[0-9]'; ls /dev/mqueue /dev/shm; ipcs -q -m -s | grep -c 0x; true";
    let find_both = "until test -e /root/canary; do :; done; ";
    let seen = say(first.runner(), &format!("{find_both}{look}")).await;
    assert!(seen.contains("canary-file") && seen.contains("canary-environment"), "it sees itself: {seen}");
    let other = say(second.runner(), look).await;
    assert!(!other.contains("canary"), "{other}");
    // Nor can it be named: the process has no number there.
    let pid = place_pid(&one);
    for attempt in
        [format!("kill -0 {pid}"), format!("cat /proc/{pid}/status"), format!("prlimit --pid {pid}")]
    {
        let tried = finish(second.runner(), script("reach", &attempt)).await;
        assert_ne!(tried.exit.exit_code, Some(0), "{attempt}: {tried:?}");
        second.runner().close_run("reach").await.unwrap();
        assert!(
            Command::new("sh").args(["-c", &attempt]).status().unwrap().success(),
            "the host can: {attempt}"
        );
    }
    for sandbox in [first, second] {
        sandbox.stop(Duration::ZERO).await.unwrap();
    }
}

/// A process of the sandbox by the host's number.
fn place_pid(place: &Place) -> i32 {
    let group = place.tree.machine(&place.spec.machine).unwrap();
    *group.run("holder").unwrap().processes().unwrap().iter().next().unwrap()
}

#[tokio::test]
async fn what_a_sandbox_is_made_of_is_as_written_down() {
    let mut place = Place::new("audit");
    place.spec.network = sandboxed_domain::sandbox::Network::None;
    let sandbox = place.start().await;
    let text = include_str!("audit.sh");
    let found = say(sandbox.runner(), text).await;
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sandbox/audit.golden");
    let expected = fs::read_to_string(&golden).unwrap_or_default();
    assert_eq!(found, expected, "if this is as it should be, write it into {}", golden.display());
    let host = Command::new("sh").args(["-c", text]).output().unwrap();
    let host = String::from_utf8_lossy(&host.stdout);
    let same = host.lines().filter(|line| expected.lines().any(|own| own == *line)).count();
    assert!(same * 2 < expected.lines().count(), "the host is another thing: {host}");
    sandbox.stop(Duration::ZERO).await.unwrap();
}
