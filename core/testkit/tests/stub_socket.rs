//! The stub over a real WebSocket: several requests of one connection, the faults and the log.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use sandboxed_testkit::stub::{Limit, Outcome, RequestRecord, Script, Step, StubModel};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message},
};

const SOON: Duration = Duration::from_secs(60);

struct Asking {
    stub: StubModel,
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Asking {
    async fn start(script: Script) -> Self {
        let stub = StubModel::start(script).await.unwrap();
        let url = format!("{}/v1/responses", stub.base_url().replace("http", "ws"));
        let (socket, _) = connect_async(url).await.unwrap();
        Self { stub, socket }
    }

    async fn ask(&mut self, text: &str, before: Option<&str>) {
        let request = json!({
            "type": "response.create", "model": "m", "tools": [{"name": "a"}, {"name": "b"}],
            "input": [{"role": "user", "content": text}], "previous_response_id": before,
        });
        self.socket.send(Message::text(request.to_string())).await.unwrap();
    }

    /// The next event; none at the end of the connection.
    async fn event(&mut self) -> Option<Value> {
        match timeout(SOON, self.socket.next()).await.expect("no event in time")? {
            Ok(message) => Some(serde_json::from_str(message.to_text().unwrap()).unwrap()),
            Err(Error::Protocol(_) | Error::Io(_)) => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// Events up to the one of that type.
    async fn until(&mut self, kind: &str) -> Value {
        loop {
            let event = self.event().await.expect("the connection ended");
            if event["type"] == kind {
                return event;
            }
        }
    }

    async fn logged(&self, answer: &str, outcome: Outcome) {
        let wanted = |record: &RequestRecord| record.answer == answer && record.outcome == outcome;
        self.stub.wait_for_request(wanted, SOON).await.unwrap();
    }
}

#[tokio::test]
async fn a_request_that_goes_on_is_answered_by_the_next_step() {
    let script = Script::default().scenario("s", [Step::text("first"), Step::text("second")]);
    let mut asking = Asking::start(script).await;
    asking.ask("go [[s]]", None).await;
    let done = asking.until("response.completed").await;
    assert_eq!(done["response"]["output"][0]["content"][0]["text"], "first");
    asking.ask("on", done["response"]["id"].as_str()).await;
    let done = asking.until("response.completed").await;
    assert_eq!(done["response"]["output"][0]["content"][0]["text"], "second");
    asking.ask("on", Some("resp_unknown")).await;
    assert_eq!(asking.until("error").await["error"]["code"], "previous_response_not_found");
    asking.socket.close(None).await.unwrap();
    asking.logged("websocket", Outcome::Complete).await;
    let seen: Vec<_> = asking.stub.requests().iter().map(|r| (r.method.clone(), r.status)).collect();
    let expected = [("GET", 101), ("WS", 200), ("WS", 200), ("WS", 400)];
    assert_eq!(seen, expected.map(|(method, status)| (method.to_owned(), status)));
}

#[tokio::test]
async fn an_error_leaves_the_connection_open_and_a_cut_ends_it() {
    let script = Script::default()
        .scenario("limit", [Step::limit(Limit::Usage)])
        .scenario("cut", [Step { disconnect_after: Some(2), ..Step::text("never whole") }]);
    let mut asking = Asking::start(script).await;
    asking.ask("[[limit]]", None).await;
    let error = asking.event().await.unwrap();
    assert_eq!((&error["status"], &error["error"]["type"]), (&json!(429), &json!("usage_limit_reached")));
    asking.ask("[[cut]]", None).await;
    assert!(asking.event().await.is_some() && asking.event().await.is_some());
    assert_eq!(asking.event().await, None);
    asking.logged("cut/0", Outcome::Cut).await;
}

#[tokio::test]
async fn a_hang_ends_with_the_next_request_or_when_the_client_leaves() {
    let script = Script::default().scenario("hang", [Step { hang: true, ..Step::text("hello") }]);
    let mut asking = Asking::start(script).await;
    asking.ask("[[hang]]", None).await;
    asking.until("response.output_text.delta").await;
    asking.ask("something else", None).await;
    asking.until("response.completed").await;
    asking.logged("hang/0", Outcome::ClientLeft).await;
    asking.stub.reset();
    asking.ask("[[hang]]", None).await;
    asking.until("response.output_text.delta").await;
    let Asking { stub, socket } = asking;
    drop(socket);
    let left = |record: &RequestRecord| record.outcome == Outcome::ClientLeft;
    stub.wait_for_request(left, SOON).await.unwrap();
}

#[tokio::test]
async fn a_stub_that_stops_ends_open_connections() {
    let script = Script::default().scenario("hang", [Step { hang: true, ..Step::text("hello") }]);
    let mut asking = Asking::start(script).await;
    asking.ask("[[hang]]", None).await;
    asking.until("response.output_text.delta").await;
    let Asking { stub, mut socket } = asking;
    drop(stub);
    let end = timeout(SOON, socket.next()).await.expect("no end in time");
    assert!(matches!(end, None | Some(Err(_))), "{end:?}");
}
