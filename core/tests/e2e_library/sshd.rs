//! The host of a remote: OpenSSH's own server, which lets in one key. It serves each connection to a port of the test's
//! own, so there is nothing to wait for, and nothing is left when it is dropped.

use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};

/// The server's own program; it starts itself anew by its path.
const SSHD: &str = "/usr/sbin/sshd";

/// See the module.
pub struct Sshd {
    folder: PathBuf,
    port: u16,
    serving: AbortHandle,
}

impl Sshd {
    /// Serves with a host's key of its own, and keys for clients: `right` (let in) and `wrong`. Its files are in
    /// `folder`.
    pub async fn serve(folder: PathBuf) -> Self {
        std::fs::create_dir_all(&folder).unwrap();
        // Where it parts with its rights; otherwise its service makes it.
        std::fs::create_dir_all("/run/sshd").unwrap();
        for (name, passphrase) in
            [("host", ""), ("right", ""), ("wrong", ""), ("locked", "s3cret passphrase")]
        {
            keygen(&folder, name, passphrase);
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        // By that level a shell leaves the account's own start-up files alone.
        let config = format!(
            "HostKey {0}/host\nAuthorizedKeysFile {0}/right.pub {0}/locked.pub\nStrictModes no\nUsePAM no\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n\
             AllowTcpForwarding no\nLogLevel VERBOSE\nSetEnv SHLVL=2\n",
            folder.display()
        );
        std::fs::write(folder.join("config"), config).unwrap();
        let served = folder.clone();
        let serving = tokio::spawn(async move {
            // All end with this task.
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let stream = stream.into_std().unwrap();
                stream.set_nonblocking(false).unwrap();
                connections.spawn(connection(served.clone(), stream));
            }
        });
        Self { folder, port, serving: serving.abort_handle() }
    }

    /// The address of a repository of this machine.
    pub fn url(&self, repository: &Path) -> String {
        format!("ssh://root@127.0.0.1:{}{}", self.port, repository.display())
    }

    /// The file of a client's key.
    pub fn key(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// A file of known hosts in which this one has the key of that name.
    pub fn known_as(&self, name: &str) -> String {
        let public = std::fs::read_to_string(self.folder.join(format!("{name}.pub"))).unwrap();
        let file = self.folder.join(format!("known by {name}"));
        std::fs::write(&file, format!("[127.0.0.1]:{} {public}", self.port)).unwrap();
        file.display().to_string()
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// One connection, as from inetd.
async fn connection(folder: PathBuf, stream: std::net::TcpStream) {
    let log = std::fs::File::options().create(true).append(true).open(folder.join("log")).unwrap();
    let (stdin, stdout) = (OwnedFd::from(stream.try_clone().unwrap()), OwnedFd::from(stream));
    let mut child = tokio::process::Command::new(SSHD)
        .args(["-i", "-e", "-f"])
        .arg(folder.join("config"))
        .stdin(Stdio::from(stdin))
        .stdout(Stdio::from(stdout))
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    child.wait().await.unwrap();
}

fn keygen(folder: &Path, name: &str, passphrase: &str) {
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", passphrase, "-f", name])
        .current_dir(folder)
        .status()
        .unwrap();
    assert!(made.success());
}
