//! The loop: one thread that sleeps until a signal, a connection, a pipe or a clock has something for it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{getsockopt, sockopt};

use crate::connection::{Connection, Fate};
use crate::host::Leave;
use crate::kernel::Signals;
use crate::run::Part;
use crate::supervisor::Supervisor;

/// Connections at once; one more closes the one that was silent longest.
const MAX_CONNECTIONS: usize = 64;
/// How long nothing is accepted after that failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a runner that leaves when it is unused waits for who started it.
const FIRST_CLIENT: Duration = Duration::from_secs(10);
/// Grace of the runs when a signal asked to end.
const SIGNAL_GRACE: Duration = Duration::from_secs(2);

/// Whose connections are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peers {
    /// Processes of the runner's own user.
    SameUser,
    /// Processes that the runner's pid namespace does not contain.
    Outside,
}

/// Everything that the loop watches.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    signals: Signals,
    peers: Peers,
    supervisor: Supervisor,
    connections: Vec<Connection>,
    accept_after: Option<Instant>,
    leave: Leave,
    /// Until when a first client is waited for; none once one came.
    first_client_by: Option<Instant>,
}

#[derive(Debug, Clone)]
enum Source {
    Signals,
    Listener,
    Connection(usize),
    Run(String, Part),
}

impl Server {
    /// `listener` does not block.
    pub fn new(
        listener: UnixListener,
        signals: Signals,
        peers: Peers,
        supervisor: Supervisor,
        leave: Leave,
    ) -> Self {
        Self {
            listener,
            signals,
            peers,
            supervisor,
            connections: Vec::new(),
            accept_after: None,
            leave,
            first_client_by: (leave == Leave::WhenUnused).then(|| Instant::now() + FIRST_CLIENT),
        }
    }

    /// Serves until told to end and every run is recorded.
    pub fn run(mut self) -> io::Result<()> {
        loop {
            let ready = self.wait()?;
            let woken = self.serve(&ready);
            let now = Instant::now();
            self.supervisor.advance(now, woken);
            if self.supervisor.is_done(now) || self.is_unused(now) {
                return Ok(());
            }
        }
    }

    fn is_unused(&self, now: Instant) -> bool {
        self.leave == Leave::WhenUnused
            && self.connections.is_empty()
            && self.supervisor.is_idle()
            && self.first_client_by.is_none_or(|by| by <= now)
    }

    /// Sleeps; what is ready then.
    fn wait(&mut self) -> io::Result<Vec<(Source, PollFlags)>> {
        let now = Instant::now();
        self.accept_after = self.accept_after.filter(|at| *at > now);
        let own = [self.accept_after, self.first_client_by].into_iter().flatten();
        let due = self.supervisor.due_at().into_iter().chain(own).min();
        let timeout = match due {
            None => PollTimeout::NONE,
            // One more millisecond, or a rest below one would make the loop spin.
            Some(at) if at > now => {
                PollTimeout::try_from(at - now + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
            }
            Some(_) => PollTimeout::ZERO,
        };
        let (sources, mut fds): (Vec<_>, Vec<_>) = self.watched().into_iter().unzip();
        match poll(&mut fds, timeout) {
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let happened = fds.iter().map(|fd| fd.revents().unwrap_or(PollFlags::empty()));
        let ready = sources.into_iter().zip(happened).filter(|(_, events)| !events.is_empty());
        Ok(ready.collect())
    }

    fn watched(&self) -> Vec<(Source, PollFd<'_>)> {
        fn entry(source: Source, fd: BorrowedFd<'_>, events: PollFlags) -> (Source, PollFd<'_>) {
            (source, PollFd::new(fd, events))
        }
        let mut watched = vec![entry(Source::Signals, self.signals.as_fd(), PollFlags::POLLIN)];
        if self.accept_after.is_none() {
            watched.push(entry(Source::Listener, self.listener.as_fd(), PollFlags::POLLIN));
        }
        watched.extend(self.connections.iter().enumerate().map(|(index, connection)| {
            let events = if connection.is_answering() { PollFlags::POLLOUT } else { PollFlags::POLLIN };
            entry(Source::Connection(index), connection.as_fd(), events)
        }));
        watched.extend(self.supervisor.watched().map(|(id, part, fd)| {
            let events = match part {
                Part::Stdin => PollFlags::POLLOUT,
                Part::Terminal => PollFlags::POLLIN,
                // Its hang-up is told without asking.
                Part::Lease => PollFlags::empty(),
            };
            entry(Source::Run(id.to_owned(), part), fd, events)
        }));
        watched
    }

    /// Handles what is ready; whether children died.
    fn serve(&mut self, ready: &[(Source, PollFlags)]) -> bool {
        let mut died = false;
        let mut closed = Vec::new();
        for (source, events) in ready {
            match source {
                Source::Signals => died |= self.signalled(),
                Source::Connection(index) => {
                    if self.converse(*index, *events) == Fate::Close {
                        closed.push(*index);
                    }
                }
                Source::Run(run_id, part) => self.supervisor.ready(run_id, *part, Instant::now()),
                // Afterwards, because accepting may change the connections' indexes.
                Source::Listener => {}
            }
        }
        for index in closed.into_iter().rev() {
            self.connections.swap_remove(index);
        }
        if ready.iter().any(|(source, _)| matches!(source, Source::Listener)) {
            self.accept();
        }
        died
    }

    fn signalled(&mut self) -> bool {
        let woken = self.signals.drain();
        if woken.child {
            self.supervisor.reap();
        }
        if woken.end {
            self.supervisor.shut_down(Instant::now(), SIGNAL_GRACE);
        }
        woken.child
    }

    fn converse(&mut self, index: usize, events: PollFlags) -> Fate {
        let Some(connection) = self.connections.get_mut(index) else { return Fate::Close };
        if connection.is_answering() {
            // A peer that hung up does not want the answer.
            let gone = events.intersects(PollFlags::POLLERR | PollFlags::POLLHUP);
            return if gone { Fate::Close } else { connection.writable(&mut self.supervisor) };
        }
        connection.readable(&mut self.supervisor, Instant::now())
    }

    fn accept(&mut self) {
        loop {
            let now = Instant::now();
            match self.listener.accept() {
                Ok((stream, _)) if self.is_welcome(&stream) => {
                    if self.connections.len() >= MAX_CONNECTIONS {
                        self.close_most_silent();
                    }
                    if stream.set_nonblocking(true).is_ok() {
                        self.first_client_by = None;
                        self.connections.push(Connection::new(stream, now));
                    }
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {
                    self.close_most_silent();
                    self.accept_after = Some(now + ACCEPT_PAUSE);
                    return;
                }
            }
        }
    }

    fn is_welcome(&self, stream: &UnixStream) -> bool {
        let Ok(peer) = getsockopt(stream, sockopt::PeerCredentials) else { return false };
        match self.peers {
            Peers::SameUser => peer.uid() == nix::unistd::geteuid().as_raw(),
            Peers::Outside => peer.pid() == 0,
        }
    }

    fn close_most_silent(&mut self) {
        let silent = self.connections.iter().enumerate().min_by_key(|(_, c)| c.active_at);
        if let Some((index, _)) = silent {
            self.connections.swap_remove(index);
        }
    }
}
