//! An internet of the test's own: its thread stands in a network namespace that is the host, behind which another one
//! has servers on addresses of every kind. Everything goes with the process.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};

/// Public servers; the first is `good.test`, the second `other.test`.
pub const PUBLIC: [&str; 2] = ["203.0.113.10", "203.0.113.11"];
/// Servers that no sandbox with a network of its own may reach; the first is also `private.test`.
pub const PRIVATE: [&str; 5] = ["10.9.9.9", "192.168.7.7", "172.20.0.1", "169.254.169.254", "100.64.0.1"];
/// The host's own address, which is public.
pub const HOST: &str = "203.0.113.2";
/// The host's name server, which answers every question with the first public server.
const NAME_SERVER: &str = "203.0.113.53";

/// Makes it around this thread; children of this thread are in it. `dir` is the test's own.
pub fn enter(dir: &Path) {
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    let slave = MsFlags::MS_REC | MsFlags::MS_SLAVE;
    mount(None::<&str>, "/", None::<&str>, slave, None::<&str>).unwrap();
    fs::create_dir_all("/run/netns").unwrap();
    mount(Some("tmpfs"), "/run/netns", Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
    unshare(CloneFlags::CLONE_NEWNET).unwrap();
    let outside = File::open("/proc/thread-self/ns/net").unwrap();
    cover("/run/netns/outside".into(), Path::new("/proc/thread-self/ns/net"));
    for name in [PUBLIC.as_slice(), &PRIVATE, &[NAME_SERVER]].concat() {
        ip(&format!("addr add {name}/32 dev lo"));
    }
    ip("link set lo up");
    unshare(CloneFlags::CLONE_NEWNET).unwrap();
    ip("link set lo up");
    ip("link add h0 type veth peer name i0 netns outside");
    ip(&format!("addr add {HOST}/24 dev h0"));
    ip("link set h0 up");
    ip("-n outside addr add 203.0.113.1/24 dev i0");
    ip("-n outside link set i0 up");
    ip("route add default via 203.0.113.1");

    let hosts = format!(
        "127.0.0.1 localhost\n{} good.test\n{} other.test\n{} private.test\n",
        PUBLIC[0], PUBLIC[1], PRIVATE[0]
    );
    for (file, text) in [("hosts", hosts), ("resolv.conf", format!("nameserver {NAME_SERVER}\n"))] {
        let own = dir.join(file);
        fs::write(&own, text).unwrap();
        cover(Path::new("/etc").join(file), &own);
    }
    serve_all(None, &["127.0.0.1", HOST], "host");
    serve_all(Some(outside), &[PUBLIC.as_slice(), &PRIVATE].concat(), "server");
}

/// Puts `source` over a file, in this mount namespace only.
fn cover(target: PathBuf, source: &Path) {
    if !target.exists() {
        File::create(&target).unwrap();
    }
    let target = target.canonicalize().unwrap();
    mount(Some(source), &target, None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap();
}

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status().unwrap();
    assert!(status.success(), "ip {arguments}");
}

/// Answers on ports 80, 443 and 8080 of each address with its name; of the outside also name queries.
fn serve_all(namespace: Option<File>, addresses: &[&str], what: &'static str) {
    let addresses: Vec<String> = addresses.iter().map(|a| (*a).to_owned()).collect();
    let listening = std::thread::spawn(move || {
        if let Some(namespace) = &namespace {
            setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
            let socket = UdpSocket::bind((NAME_SERVER, 53)).unwrap();
            std::thread::spawn(move || answer_names(&socket));
        }
        for address in addresses {
            for port in [80, 443, 8080] {
                let listener = TcpListener::bind((address.as_str(), port)).unwrap();
                let name = format!("{what} {address}:{port}");
                std::thread::spawn(move || answer_all(&listener, &name));
            }
        }
    });
    listening.join().unwrap();
}

fn answer_all(listener: &TcpListener, name: &str) {
    for client in listener.incoming() {
        let Ok(mut client) = client else { return };
        let name = name.to_owned();
        std::thread::spawn(move || {
            let mut asked = [0; 4096];
            let count = client.read(&mut asked).unwrap_or(0);
            let asked = String::from_utf8_lossy(&asked[..count]).into_owned();
            let _ = write!(client, "HTTP/1.0 200 OK\r\n\r\n{name}\n{asked}");
            // What comes later is read as well: a socket that is closed over it is reset, and its answer lost.
            let _ = client.shutdown(Shutdown::Write);
            let _ = std::io::copy(&mut client, &mut std::io::sink());
        });
    }
}

fn answer_names(socket: &UdpSocket) {
    let mut query = [0; 512];
    while let Ok((count, client)) = socket.recv_from(&mut query) {
        // The question ends after the name, a type and a class.
        let end = 12 + query[12..count].iter().position(|b| *b == 0).unwrap() + 5;
        let is_v4 = query[end - 3] == 1;
        let mut answer = query[..end].to_vec();
        let unknown = query[..end].windows(7).any(|part| part == b"invalid");
        let (code, found) = if unknown { (0x83, false) } else { (0x80, is_v4) };
        answer[2..12].copy_from_slice(&[0x81, code, 0, 1, 0, u8::from(found), 0, 0, 0, 0]);
        if found {
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 203, 0, 113, 10]);
        }
        let _ = socket.send_to(&answer, client);
    }
}
