//! A receiver of messages, as simple and as badly behaved as a test wants it.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// A request as it came.
#[derive(Clone, Debug, Default)]
pub(super) struct Request {
    pub(super) line: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// What a receiver answers.
#[derive(Clone, Debug)]
pub(super) enum Behaviour {
    /// A status, and a body.
    Answer(u16, String),
    /// A redirection.
    Redirect(String),
    /// So many bytes.
    Endless(usize),
    /// Closes within the answer's head.
    Breaks,
    /// Takes the request and says nothing.
    Silent,
}

/// Listens on loopback.
#[derive(Clone)]
pub(super) struct Receiver {
    pub(super) url: String,
    requests: Arc<Mutex<Vec<Request>>>,
    script: Arc<Mutex<VecDeque<Behaviour>>>,
}

impl Receiver {
    /// Behaves as the script says, request by request, and then takes everything.
    pub(super) async fn start(script: impl IntoIterator<Item = Behaviour>) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), script).await
    }

    /// The same at an address.
    pub(super) async fn start_at(address: SocketAddr, script: impl IntoIterator<Item = Behaviour>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let script = Arc::new(Mutex::new(script.into_iter().collect()));
        let receiver = Self { url, requests: Arc::default(), script };
        let own = receiver.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(own.clone().serve(socket));
            }
        });
        receiver
    }

    pub(super) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    async fn serve(self, mut socket: TcpStream) -> Option<()> {
        let mut bytes = Vec::new();
        let head_end = loop {
            if let Some(at) = bytes.windows(4).position(|part| part == b"\r\n\r\n") {
                break at;
            }
            if socket.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        };
        let head = String::from_utf8(bytes[..head_end].to_vec()).ok()?;
        let mut lines = head.lines();
        let line = lines.next()?.to_owned();
        let headers: Vec<_> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let mut request = Request { line, headers, body: String::new() };
        let length: usize = request.header("content-length").parse().unwrap_or(0);
        let mut body = bytes.split_off(head_end + 4);
        while body.len() < length {
            if socket.read_buf(&mut body).await.ok()? == 0 {
                return None;
            }
        }
        request.body = String::from_utf8(body).ok()?;
        self.requests.lock().unwrap().push(request);
        let behaviour = self.script.lock().unwrap().pop_front();
        match behaviour.unwrap_or(Behaviour::Answer(200, String::new())) {
            Behaviour::Answer(status, body) => {
                let head =
                    format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                socket.write_all((head + &body).as_bytes()).await.ok()?;
            }
            Behaviour::Redirect(to) => {
                let head =
                    format!("HTTP/1.1 301 X\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                socket.write_all(head.as_bytes()).await.ok()?;
            }
            Behaviour::Endless(count) => {
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {count}\r\n\r\n");
                socket.write_all(head.as_bytes()).await.ok()?;
                let part = [b'x'; 4096];
                for _ in 0..count / part.len() {
                    socket.write_all(&part).await.ok()?;
                }
            }
            Behaviour::Breaks => socket.write_all(b"HTTP/1.1 20").await.ok()?,
            Behaviour::Silent => std::future::pending().await,
        }
        Some(())
    }
}
