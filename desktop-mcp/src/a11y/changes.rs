//! What programs say of themselves unasked, over the accessibility bus: that something about their elements changed.
//! Only that it did is kept; who waits looks for himself at what he waits for.

use futures::{StreamExt, stream};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use atspi::zbus::{MatchRule, MessageStream, message::Type};

use super::Bus;
use crate::error::{Problem, Result};

/// Interfaces of what is told.
const INTERFACES: [&str; 3] =
    ["org.a11y.atspi.Event.Object", "org.a11y.atspi.Event.Window", "org.a11y.atspi.Event.Document"];
/// What programs are asked to tell: without being asked they are silent.
const EVENTS: [&str; 8] = [
    "object:children-changed",
    "object:property-change",
    "object:selection-changed",
    "object:state-changed",
    "object:text-changed",
    "object:visible-data-changed",
    "window:",
    "document:load-complete",
];
/// Messages that wait to be counted.
const QUEUE: usize = 64;

/// Counts what is told; ends with its last owner.
#[derive(Debug)]
pub struct Changes {
    count: watch::Receiver<u64>,
    _task: AbortOnDropHandle<()>,
}

impl Changes {
    /// Begins to listen.
    ///
    /// # Errors
    /// `desktop_ended`: the bus is gone.
    pub async fn listen(bus: &Bus) -> Result<Self> {
        let mut streams = Vec::new();
        for interface in INTERFACES {
            let rule = MatchRule::builder()
                .msg_type(Type::Signal)
                .interface(interface)
                .map_err(Problem::internal)?;
            let stream = MessageStream::for_match_rule(rule.build(), bus.connection(), Some(QUEUE)).await;
            streams.push(stream.map_err(Problem::internal)?);
        }
        let registry = Bus::registrar();
        for event in EVENTS {
            bus.call::<_, ()>(&registry, "Registry", "RegisterEvent", &(event,)).await?;
        }
        let (sender, count) = watch::channel(0);
        let mut told = stream::select_all(streams);
        // Always read, or the connection's answers would be stuck behind it.
        let task = tokio::spawn(async move {
            while told.next().await.is_some() {
                sender.send_modify(|n| *n += 1)
            }
        });
        Ok(Self { count, _task: AbortOnDropHandle::new(task) })
    }

    /// What is told from now on. An error of the receiver: the bus is gone.
    pub fn receiver(&self) -> watch::Receiver<u64> {
        let mut receiver = self.count.clone();
        receiver.mark_unchanged();
        receiver
    }
}
