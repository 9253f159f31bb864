//! Networks of a sandbox's own. Each wall has a control: the same question in the host's network, where it is answered.

use std::time::Duration;

use sandboxed_core::sandbox::Sandbox;
use sandboxed_core::sandbox::network::resolv_conf;
use sandboxed_core::sandbox::process::PidFd;
use sandboxed_domain::sandbox::{Bind, IdMap, Network};

use crate::internet::{self, HOST, PRIVATE, PUBLIC};
use crate::support::{PATIENCE, Place, finish, say, script};

impl Place {
    /// The same with a network.
    pub fn with(name: &str, network: Network) -> Self {
        let mut place = Self::new(name);
        place.spec.network = network;
        if let Some(text) = resolv_conf(&place.spec.network) {
            let source = place.dir.path().join("inside-resolv.conf");
            std::fs::write(&source, text).unwrap();
            let target = "/etc/resolv.conf".into();
            place.spec.binds.push(Bind { source, target, read_only: true, idmap: IdMap::None });
        }
        place
    }
}

/// What an address answers to a run inside; empty when it cannot be reached.
async fn ask(sandbox: &Sandbox, address: &str, port: u16, request: &str) -> String {
    let text = format!(
        "exec 2>/dev/null; timeout 3 bash -c 'exec 3<>/dev/tcp/{address}/{port} && printf \"{request}\" >&3 && cat <&3' || true"
    );
    say(sandbox.runner(), &text).await
}

async fn get(sandbox: &Sandbox, address: &str) -> String {
    ask(sandbox, address, 80, "GET / HTTP/1.0\\r\\n\\r\\n").await
}

#[tokio::test]
async fn nat_reaches_the_internet_and_nothing_else() {
    let mut place = Place::with("nat", Network::Host);
    internet::enter(place.dir.path());
    let control = place.start().await;
    for address in [PUBLIC.as_slice(), &PRIVATE, &["127.0.0.1", HOST]].concat() {
        assert!(get(&control, address).await.contains(address), "the test's own {address} answers");
    }
    control.stop(Duration::ZERO).await.unwrap();

    place = Place::with("nat", Network::Nat);
    let sandbox = place.start().await;
    for address in PUBLIC {
        assert!(get(&sandbox, address).await.contains(address), "{address}");
    }
    for address in [PRIVATE.as_slice(), &["127.0.0.1", HOST]].concat() {
        assert_eq!(get(&sandbox, address).await, "", "{address}");
    }
    let found = say(sandbox.runner(), "getent ahostsv4 any.test | head -1").await;
    assert!(found.starts_with(PUBLIC[0]), "names are the host's: {found}");
    // What holds the walls cannot be touched from inside.
    for attempt in
        ["nft flush ruleset", "ip link set lo down", "ip route flush table main", "ip link add x type dummy"]
    {
        let tried = finish(sandbox.runner(), script("undo", attempt)).await;
        assert_ne!(tried.exit.exit_code, Some(0), "{attempt}: {tried:?}");
        sandbox.runner().close_run("undo").await.unwrap();
    }
    assert_eq!(get(&sandbox, PRIVATE[0]).await, "", "still");
    let devices = say(sandbox.runner(), "ls /sys/class/net").await;
    assert_eq!(devices.split_whitespace().count(), 2, "only its own devices: {devices}");
    let helpers = egress(&place);
    sandbox.stop(Duration::ZERO).await.unwrap();
    assert!(helpers.len() >= 2 && all_end(&helpers), "the way out ends with its sandbox");
}

pub fn rules() -> Network {
    let rules = ["good.test", "*.good.test", "private.test", "unknown.invalid", "203.0.113.11:8080"];
    Network::Allowlist(rules.iter().map(|rule| rule.parse().unwrap()).collect())
}

/// What the proxy answers.
async fn proxy(sandbox: &Sandbox, request: &str) -> String {
    ask(sandbox, "127.0.0.1", 3128, &request.replace('\n', "\\r\\n")).await
}

#[tokio::test]
async fn an_allowlist_reaches_the_named_hosts_through_the_proxy_and_nothing_around_it() {
    let place = Place::with("allow", rules());
    internet::enter(place.dir.path());
    let sandbox = place.start().await;
    let plain = proxy(&sandbox, "GET http://good.test/a?b HTTP/1.1\nHost: evil.test\nProxy-X: 1\n\n").await;
    assert!(plain.contains(&format!("server {}:80", PUBLIC[0])), "{plain}");
    assert!(plain.contains("GET /a?b HTTP/1.1") && plain.contains("Host: good.test"), "{plain}");
    assert!(!plain.contains("evil.test") && !plain.contains("Proxy-X"), "{plain}");
    let tunnel = proxy(&sandbox, "CONNECT good.test:80 HTTP/1.1\n\nGET / HTTP/1.0\n\n").await;
    assert!(tunnel.contains("200 Connection") && tunnel.contains(PUBLIC[0]), "{tunnel}");
    let named = proxy(&sandbox, "CONNECT 203.0.113.11:8080 HTTP/1.1\n\nGET / HTTP/1.0\n\n").await;
    assert!(named.contains("203.0.113.11:8080"), "{named}");

    for (request, status) in [
        ("CONNECT other.test:443 HTTP/1.1\n\n", "403"),
        ("CONNECT good.test:22 HTTP/1.1\n\n", "403"),
        ("CONNECT evilgood.test:443 HTTP/1.1\n\n", "403"),
        ("CONNECT 203.0.113.10:443 HTTP/1.1\n\n", "403"),
        ("CONNECT private.test:80 HTTP/1.1\n\n", "403"),
        ("CONNECT 127.0.0.1:80 HTTP/1.1\n\n", "403"),
        ("CONNECT 169.254.169.254:80 HTTP/1.1\n\n", "403"),
        ("CONNECT 2852039166:80 HTTP/1.1\n\n", "403"),
        ("CONNECT good.test@other.test:443 HTTP/1.1\n\n", "400"),
        ("CONNECT unknown.invalid:443 HTTP/1.1\n\n", "502"),
        ("GET http://other.test/ HTTP/1.1\nHost: good.test\n\n", "403"),
        ("GET / HTTP/1.1\nHost: good.test\n\n", "400"),
        ("nonsense\n\n", "400"),
    ] {
        let answer = proxy(&sandbox, request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?}: {answer}");
        assert!(!answer.contains("server "), "{request:?}: {answer}");
    }
    // Around the proxy there is nothing: no route, no name, no device.
    for address in [PUBLIC.as_slice(), &PRIVATE, &[HOST]].concat() {
        assert_eq!(get(&sandbox, address).await, "", "{address}");
    }
    let none = say(sandbox.runner(), "getent hosts good.test || echo none").await;
    assert_eq!(none.trim(), "none");
    sandbox.stop(Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn a_tunnel_to_443_must_begin_with_tls_for_its_own_host() {
    let place = Place::with("sni", rules());
    internet::enter(place.dir.path());
    let sandbox = place.start().await;
    let plain = proxy(&sandbox, "CONNECT good.test:443 HTTP/1.1\n\nGET / HTTP/1.0\n\n").await;
    assert!(plain.contains("200 Connection") && !plain.contains("server"), "{plain}");
    // The server answers in plain text, which a TLS client that reached it calls a wrong version.
    let tls = async |name: &str| {
        let text = format!(
            "openssl s_client -proxy 127.0.0.1:3128 -connect good.test:443 -servername {name} </dev/null 2>&1 || true"
        );
        say(sandbox.runner(), &text).await
    };
    let (own, other) = (tls("good.test").await, tls("other.test").await);
    assert!(own.contains("wrong version number"), "{own}");
    assert!(!other.contains("wrong version number"), "{other}");
    sandbox.stop(Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn without_its_way_out_a_sandbox_is_closed_and_the_way_out_ends_with_it() {
    let place = Place::with("closed", rules());
    internet::enter(place.dir.path());
    let sandbox = place.start().await;
    let request = "GET http://good.test/ HTTP/1.1\n\n";
    assert!(proxy(&sandbox, request).await.contains(PUBLIC[0]));
    let helpers = egress(&place);
    assert_eq!(helpers.len(), 1);
    helpers[0].kill().unwrap();
    assert!(all_end(&helpers));
    assert_eq!(proxy(&sandbox, request).await, "");
    assert_eq!(get(&sandbox, PUBLIC[0]).await, "");
    sandbox.stop(Duration::ZERO).await.unwrap();

    // Nobody looks after this one: its PID 1 is killed, and what was outside goes too.
    let sandbox = place.start().await;
    let helpers = egress(&place);
    PidFd::open(sandbox.record().init.pid).unwrap().kill().unwrap();
    assert!(all_end(&helpers));
    sandbox.stop(Duration::ZERO).await.unwrap();
}

/// The sandbox's processes that are its way out.
fn egress(place: &Place) -> Vec<PidFd> {
    let group = place.tree.machine(&place.spec.machine).unwrap();
    let is_egress = |pid: &i32| {
        let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.contains("\0egress\0") || line.starts_with("pasta")
    };
    let found = group.main().processes().unwrap().into_iter().filter(is_egress);
    found.map(|pid| PidFd::open(pid).unwrap()).collect()
}

fn all_end(processes: &[PidFd]) -> bool {
    processes.iter().all(|process| process.wait_exit(PATIENCE).unwrap())
}

/// Listens on a port that is in use elsewhere, and stays.
const LISTEN: &str = "perl -MIO::Socket::INET -e '
    $s = IO::Socket::INET->new(LocalAddr => q(127.0.0.1:8080), Listen => 1) or do { print qq(taken\n); exit };
    $| = 1; print qq(bound\n); sleep 600'";

#[tokio::test]
async fn two_sandboxes_listen_on_the_same_port_unless_they_share_the_hosts_network() {
    let dir = tempfile::tempdir().unwrap();
    // Its host listens there as well.
    internet::enter(dir.path());
    for (network, second) in [(Network::None, "bound\n"), (Network::Host, "taken\n")] {
        let (one, two) = (Place::with("port-one", network.clone()), Place::with("port-two", network));
        let (first, other) = (one.start().await, two.start().await);
        for sandbox in [&first, &other] {
            sandbox.runner().start_run(script("listen", LISTEN)).await.unwrap();
            let said = first_line(&sandbox.runner().runs_dir("listen").join("stdout.log")).await;
            assert_eq!(said, second);
        }
        for sandbox in [first, other] {
            sandbox.stop(Duration::ZERO).await.unwrap();
        }
    }
}

/// What a run prints first, told by the kernel.
async fn first_line(path: &std::path::Path) -> String {
    let path = path.to_owned();
    let read = tokio::task::spawn_blocking(move || {
        let mut inotify = inotify::Inotify::init().unwrap();
        inotify.watches().add(&path, inotify::WatchMask::MODIFY | inotify::WatchMask::CLOSE_WRITE).unwrap();
        loop {
            let text = std::fs::read_to_string(&path).unwrap();
            if text.ends_with('\n') {
                return text;
            }
            inotify.read_events_blocking(&mut [0; 4096]).unwrap();
        }
    });
    tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap()
}

#[tokio::test]
async fn without_a_way_out_no_protocol_leaves() {
    let script = "use Socket qw(:DEFAULT inet_pton); $SIG{ALRM} = sub { die };
        for (['tcp', AF_INET, SOCK_STREAM, pack_sockaddr_in(80, inet_aton('203.0.113.10'))],
             ['udp', AF_INET, SOCK_DGRAM, pack_sockaddr_in(53, inet_aton('203.0.113.53'))],
             ['tcp6', AF_INET6, SOCK_STREAM, pack_sockaddr_in6(80, inet_pton(AF_INET6, '2001:db8::10'))],
             ['udp6', AF_INET6, SOCK_DGRAM, pack_sockaddr_in6(53, inet_pton(AF_INET6, '2001:db8::53'))],
             ['ping', AF_INET, SOCK_DGRAM, pack_sockaddr_in(0, inet_aton('203.0.113.10')), 1],
             ['raw', AF_INET, SOCK_RAW, pack_sockaddr_in(0, inet_aton('203.0.113.10')), 1]) {
            my ($name, $family, $type, $to, $protocol) = @$_;
            my ($s, $r);
            my $sent = eval { alarm 3; $r = socket($s, $family, $type, $protocol // 0)
                && ($type == SOCK_STREAM ? connect($s, $to) : defined send($s, pack('C8', 8, 0, 0xf7, 0xff, 0, 0, 0, 0), 0, $to));
                alarm 0; $r };
            print \"$name \" if $sent }
        print qq(end\n)";
    let text = format!("perl <<'END_OF_SCRIPT'\n{script}\nEND_OF_SCRIPT");
    let place = Place::with("protocols", Network::Host);
    internet::enter(place.dir.path());
    let control = place.start().await;
    assert_eq!(say(control.runner(), &text).await, "tcp udp end\n", "on this host two of them leave");
    control.stop(Duration::ZERO).await.unwrap();
    for network in [Network::None, rules()] {
        let place = Place::with("protocols", network);
        let sandbox = place.start().await;
        assert_eq!(say(sandbox.runner(), &text).await, "end\n");
        sandbox.stop(Duration::ZERO).await.unwrap();
    }
}
