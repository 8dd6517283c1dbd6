//! A provider that does what it is told, word by word.

use app::model::time::UnixMillis;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_tungstenite::{WebSocketStream, accept_async, tungstenite::Message};

/// Where it is, and how often somebody called.
pub(super) struct Provider {
    pub(super) address: SocketAddr,
    pub(super) calls: Arc<AtomicUsize>,
}

impl Provider {
    /// Answers every call with `answer`, which is given its number from 1.
    pub(super) async fn start<F: Future<Output = ()> + Send + 'static>(
        answer: impl Fn(usize, TcpStream) -> F + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let provider = Self { address: listener.local_addr().unwrap(), calls: Arc::default() };
        let calls = Arc::clone(&provider.calls);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let call = calls.fetch_add(1, Ordering::SeqCst) + 1;
                tokio::spawn(answer(call, stream));
            }
        });
        provider
    }

    pub(super) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

/// Answers the handshake with this status line and these headers instead of a WebSocket.
pub(super) async fn refuse(mut stream: TcpStream, head: &str) {
    let mut request = [0; 4_096];
    let _ = stream.read(&mut request).await;
    let answer = format!("HTTP/1.1 {head}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

/// A caller who was let in and whose key was taken.
pub(super) struct Session {
    pub(super) socket: WebSocketStream<TcpStream>,
    /// What it asked for.
    pub(super) params: Vec<String>,
}

impl Session {
    /// Greets, takes any key, reads the subscription and does not answer it.
    pub(super) async fn welcome(stream: TcpStream) -> Self {
        let mut session = Self { socket: accept_async(stream).await.unwrap(), params: Vec::new() };
        session.say(json!([{"ev": "status", "status": "connected", "message": "Connected Successfully"}])).await;
        session.read().await;
        session.say(json!([{"ev": "status", "status": "auth_success", "message": "authenticated"}])).await;
        let subscription: Value = serde_json::from_str(&session.read().await).unwrap();
        session.params = subscription["params"].as_str().unwrap().split(',').map(str::to_owned).collect();
        session
    }

    /// The same with everything acknowledged.
    pub(super) async fn subscribed(stream: TcpStream) -> Self {
        let mut session = Self::welcome(stream).await;
        session.acknowledge().await;
        session
    }

    /// Acknowledges everything in one message.
    pub(super) async fn acknowledge(&mut self) {
        let message = format!("subscribed to: {}", self.params.join(", "));
        self.say(json!([{"ev": "status", "status": "success", "message": message}])).await;
    }

    pub(super) async fn say(&mut self, events: Value) {
        let _ = self.socket.send(Message::text(events.to_string())).await;
    }

    /// A trade of AAPL that happened now.
    pub(super) async fn trade(&mut self, price: f64) {
        self.say(json!([{"ev": "T", "sym": "AAPL", "p": price, "s": 1, "t": UnixMillis::now().0}])).await;
    }

    /// Answers pings until the other side is gone.
    pub(super) async fn stay(&mut self) {
        while let Some(Ok(_)) = self.socket.next().await {}
    }

    async fn read(&mut self) -> String {
        loop {
            if let Message::Text(text) = self.socket.next().await.unwrap().unwrap() {
                return text.to_string();
            }
        }
    }
}
