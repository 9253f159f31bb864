//! A connection to the accessibility bus of one desktop. Every call has a time-out: programs answer, or they hang.

use std::{fmt, io, time::Duration};

use atspi::zbus::{
    self, Connection, Message,
    connection::Builder,
    zvariant::{DynamicDeserialize, DynamicType, ObjectPath, OwnedObjectPath, OwnedValue, Value},
};
use serde::Serialize;

use super::Object;
use crate::error::{Code, Problem, Result};

/// Longest time that one call waits for a program. A click may open a dialog before it is answered.
const CALL: Duration = Duration::from_secs(5);
/// Longest time that the bus itself takes to come up: it is started by the first who asks for it.
const START: Duration = Duration::from_secs(30);

/// The connection; clones share it.
#[derive(Clone)]
pub struct Bus {
    connection: Connection,
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bus")
    }
}

impl Bus {
    /// Asks the session bus at `address` for its accessibility bus and connects to that.
    ///
    /// # Errors
    /// `not_installed`: the session has no accessibility; `desktop_ended`; `timed_out`.
    pub async fn connect(address: &str) -> Result<Self> {
        let connecting = Self::try_connect(address);
        tokio::time::timeout(START, connecting)
            .await
            .unwrap_or_else(|_| Err(Problem::new(Code::TimedOut, "the accessibility bus does not come up")))
    }

    async fn try_connect(address: &str) -> Result<Self> {
        let gone = |error| match error {
            zbus::Error::InputOutput(_) | zbus::Error::Connection(..) => {
                Problem::new(Code::DesktopEnded, "the desktop's session bus cannot be reached")
            }
            error => Problem::internal(format!("the accessibility bus: {error}")),
        };
        let session =
            Builder::address(address).map_err(gone)?.method_timeout(START).build().await.map_err(gone)?;
        let reply = session
            .call_method(Some("org.a11y.Bus"), "/org/a11y/bus", Some("org.a11y.Bus"), "GetAddress", &())
            .await
            .map_err(|error| match error {
                zbus::Error::MethodError(..) => missing(),
                error => gone(error),
            })?;
        let address: String = reply.body().deserialize().map_err(gone)?;
        let builder = Builder::address(address.as_str()).map_err(gone)?;
        let connection = builder.method_timeout(CALL).build().await.map_err(gone)?;
        Ok(Self { connection })
    }

    /// The connection itself, for what it pushes.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The object that has all programs as its children.
    pub fn registry() -> Object {
        Object { name: "org.a11y.atspi.Registry".to_owned(), path: root() }
    }

    /// The object that is told which events are wanted.
    pub fn registrar() -> Object {
        Object { path: static_path("/org/a11y/atspi/registry"), ..Self::registry() }
    }

    /// Calls a method of an AT-SPI interface.
    ///
    /// # Errors
    /// `stale_element`: the object or its program is gone. `not_actionable`: the object cannot do that. `timed_out`.
    pub async fn call<A, R>(&self, object: &Object, interface: &str, method: &str, arguments: &A) -> Result<R>
    where
        A: Serialize + DynamicType,
        R: for<'d> DynamicDeserialize<'d> + 'static,
    {
        let interface = format!("org.a11y.atspi.{interface}");
        read(&self.raw(object, &interface, method, arguments).await?)
    }

    /// A property of an AT-SPI interface.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn property<R>(&self, object: &Object, interface: &str, name: &str) -> Result<R>
    where
        R: TryFrom<OwnedValue>,
    {
        let arguments = (format!("org.a11y.atspi.{interface}"), name);
        let reply = self.raw(object, "org.freedesktop.DBus.Properties", "Get", &arguments).await?;
        let value: OwnedValue = read(&reply)?;
        R::try_from(value)
            .map_err(|_| Problem::new(Code::NotActionable, format!("{interface}.{name} is of another kind")))
    }

    /// Sets a property of an AT-SPI interface.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn set_property(&self, object: &Object, interface: &str, name: &str, value: f64) -> Result<()> {
        let arguments = (format!("org.a11y.atspi.{interface}"), name, Value::from(value));
        self.raw(object, "org.freedesktop.DBus.Properties", "Set", &arguments).await.map(drop)
    }

    async fn raw<A>(&self, object: &Object, interface: &str, method: &str, arguments: &A) -> Result<Message>
    where
        A: Serialize + DynamicType,
    {
        let Object { name, path } = object;
        let called =
            self.connection.call_method(Some(name.as_str()), path, Some(interface), method, arguments);
        called.await.map_err(|error| failed(&error))
    }

    /// The process at the other end of a connection to the bus.
    ///
    /// # Errors
    /// `stale_element`: it has gone.
    pub async fn process(&self, name: &str) -> Result<u32> {
        let bus = "org.freedesktop.DBus";
        let (path, method) = ("/org/freedesktop/DBus", "GetConnectionUnixProcessID");
        let called = self.connection.call_method(Some(bus), path, Some(bus), method, &(name,)).await;
        read(&called.map_err(|error| failed(&error))?)
    }

    /// Whether a program is still connected.
    ///
    /// # Errors
    /// `desktop_ended`.
    pub async fn is_connected(&self, name: &str) -> Result<bool> {
        match self.process(name).await {
            Ok(_) => Ok(true),
            Err(problem) if problem.code == Code::StaleElement => Ok(false),
            Err(problem) => Err(problem),
        }
    }
}

/// The path of a program's uppermost object.
pub(super) fn root() -> OwnedObjectPath {
    static_path("/org/a11y/atspi/accessible/root")
}

fn static_path(path: &'static str) -> OwnedObjectPath {
    OwnedObjectPath::from(ObjectPath::from_static_str_unchecked(path))
}

fn missing() -> Problem {
    Problem::new(Code::NotInstalled, "the desktop has no accessibility bus")
        .hint("install it: apt-get install at-spi2-core")
}

fn read<R>(reply: &Message) -> Result<R>
where
    R: for<'d> DynamicDeserialize<'d> + 'static,
{
    reply
        .body()
        .deserialize()
        .map_err(|error| Problem::internal(format!("a program answers nonsense: {error}")))
}

fn failed(error: &zbus::Error) -> Problem {
    match error {
        zbus::Error::MethodError(name, words, _) => {
            match name.as_str().rsplit('.').next().unwrap_or_default() {
                "UnknownObject" | "ServiceUnknown" | "NameHasNoOwner" | "NoReply" | "Disconnected" => {
                    Problem::new(Code::StaleElement, "the element or its program is gone")
                }
                "UnknownMethod" | "UnknownInterface" | "UnknownProperty" | "NotSupported" | "InvalidArgs" => {
                    Problem::new(Code::NotActionable, "the element cannot do that")
                }
                other => {
                    let words = words.as_deref().unwrap_or(other).chars().take(200).collect::<String>();
                    Problem::new(Code::NotActionable, format!("the program refuses: {words}"))
                }
            }
        }
        zbus::Error::InputOutput(error) if error.kind() == io::ErrorKind::TimedOut => {
            let seconds = CALL.as_secs();
            Problem::new(Code::TimedOut, format!("the program does not answer within {seconds} seconds"))
        }
        zbus::Error::InputOutput(_) => {
            Problem::new(Code::DesktopEnded, "the desktop's accessibility bus is gone")
        }
        error => Problem::internal(error),
    }
}
