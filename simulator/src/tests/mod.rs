//! The simulator over real sockets, spoken to by the WebSocket client that the connection manager uses.

mod control;
mod protocol;

use super::peer::QueueLimits;
use super::{Bounds, SimulatorConfig, serve_within};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::{net::SocketAddr, time::Duration};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Message, error::Error};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, client_async, connect_async};
use tokio_util::sync::{CancellationToken, DropGuard};

/// A test that waits longer than this for a frame has failed.
const PATIENCE: Duration = Duration::from_secs(5);

struct Server {
    address: SocketAddr,
    http: reqwest::Client,
    /// Stops the server with the test.
    _shutdown: DropGuard,
}

impl Server {
    async fn start(config: SimulatorConfig) -> Self {
        Self::start_within(config, Bounds::default()).await
    }

    async fn start_within(config: SimulatorConfig, limits: Bounds) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shutdown = CancellationToken::new();
        let stopped = shutdown.clone();
        tokio::spawn(async move { serve_within(&config, limits, listener, stopped).await });
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { address, http, _shutdown: shutdown.drop_guard() }
    }

    /// Connects and reads the greeting.
    async fn connect(&self, connection: u32) -> Client {
        let mut client = self.connect_unheard(connection).await;
        assert_eq!(client.status().await, ("connected".to_owned(), "Connected Successfully".to_owned()));
        client
    }

    async fn connect_unheard(&self, connection: u32) -> Client {
        let url = format!("ws://{}/stocks?connection={connection}", self.address);
        Client(connect_async(url).await.expect("a WebSocket").0)
    }

    /// Connects with little room for what arrives, so that a reader becomes slow soon.
    async fn connect_narrow(&self) -> Client {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4 * 1024).expect("a small buffer");
        let stream = MaybeTlsStream::Plain(socket.connect(self.address).await.expect("a connection"));
        let url = format!("ws://{}/stocks", self.address);
        Client(client_async(url, stream).await.expect("a WebSocket").0)
    }

    /// Connects, authenticates, subscribes and reads the answers.
    async fn subscribed(&self, connection: u32, topics: &str) -> Client {
        let mut client = self.connect(connection).await;
        client.authenticate("key").await;
        client.ask("subscribe", topics).await;
        client.expect_acknowledged(topics).await;
        client
    }

    async fn control(&self, fault: Value) -> Value {
        let (status, answer) = self.try_control(fault).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    async fn try_control(&self, fault: Value) -> (u16, Value) {
        let request = self.http.post(format!("http://{}/control", self.address)).json(&fault);
        let response = request.send().await.expect("an answer");
        (response.status().as_u16(), response.json().await.expect("JSON"))
    }

    async fn show(&self) -> Value {
        let response = self.http.get(format!("http://{}/control", self.address)).send().await;
        response.expect("an answer").json().await.expect("JSON")
    }
}

/// How a socket ended, for the client.
#[derive(Debug, PartialEq)]
enum Ended {
    /// A close frame with this code.
    Closed(u16),
    /// The connection went away without a close frame.
    Lost,
}

struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    async fn send(&mut self, message: Message) {
        self.0.send(message).await.expect("sent");
    }

    async fn ask(&mut self, action: &str, params: &str) {
        self.send(Message::text(json!({"action": action, "params": params}).to_string())).await;
    }

    async fn authenticate(&mut self, key: &str) {
        self.ask("auth", key).await;
        assert_eq!(self.status().await, ("auth_success".to_owned(), "authenticated".to_owned()));
    }

    async fn next(&mut self) -> Option<Result<Message, Error>> {
        timeout(PATIENCE, self.0.next()).await.expect("a frame in time")
    }

    async fn text(&mut self) -> String {
        loop {
            match self.next().await {
                Some(Ok(Message::Text(text))) => return text.to_string(),
                Some(Ok(Message::Pong(_))) => {}
                other => panic!("{other:?} where text was expected"),
            }
        }
    }

    /// The next text frame: always an array.
    async fn frame(&mut self) -> Vec<Value> {
        let text = self.text().await;
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    /// The next frame of statuses, past the data.
    async fn statuses(&mut self) -> Vec<(String, String)> {
        loop {
            let frame = self.frame().await;
            if frame[0]["ev"] == "status" {
                let text = |value: &Value| value.as_str().expect("text").to_owned();
                return frame.iter().map(|status| (text(&status["status"]), text(&status["message"]))).collect();
            }
        }
    }

    /// The next status, which is alone in its frame.
    async fn status(&mut self) -> (String, String) {
        let [status] = <[_; 1]>::try_from(self.statuses().await).expect("one status in the frame");
        status
    }

    /// Every topic is acknowledged, in order, in as many frames as it takes.
    async fn expect_acknowledged(&mut self, topics: &str) {
        let expected: Vec<_> = topics.split(',').map(|topic| ok(&format!("subscribed to: {topic}"))).collect();
        let mut answers = Vec::new();
        while answers.len() < expected.len() {
            answers.extend(self.statuses().await);
        }
        assert_eq!(answers, expected);
    }

    /// The next event of a kind, past everything else.
    async fn event(&mut self, kind: &str) -> Value {
        loop {
            if let Some(event) = self.frame().await.into_iter().find(|event| event["ev"] == kind) {
                return event;
            }
        }
    }

    /// Sends a ping and reads on until its answer.
    async fn ping(&mut self) {
        self.send(Message::Ping("are you there".into())).await;
        while !matches!(self.next().await, Some(Ok(Message::Pong(payload))) if payload == "are you there") {}
    }

    /// Nothing comes for a while.
    async fn expect_silence(&mut self, duration: Duration) {
        if let Ok(frame) = timeout(duration, self.0.next()).await {
            panic!("{frame:?} where silence was expected");
        }
    }

    /// Reads on to the end.
    async fn ended(&mut self) -> Ended {
        loop {
            match self.next().await {
                Some(Ok(Message::Close(frame))) => return Ended::Closed(frame.expect("a code").code.into()),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Ended::Lost,
            }
        }
    }
}

/// An acknowledgement.
fn ok(message: &str) -> (String, String) {
    ("success".to_owned(), message.to_owned())
}

fn small_queue() -> Bounds {
    Bounds { queue: QueueLimits { frames: 4, bytes: 1 }, farewell: Duration::from_secs(5), ..Bounds::default() }
}

fn with_rate(tick_rate: f64) -> SimulatorConfig {
    SimulatorConfig { tick_rate, ..SimulatorConfig::default() }
}
