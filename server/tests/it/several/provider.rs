//! A provider that numbers its ticks and goes on whether or not anybody listens: the n-th trade of a symbol has the price n. It
//! takes three connections; of more the oldest is told so and closed.

use app::model::time::UnixMillis;
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use std::{
    fmt::Write,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};
use tokio_tungstenite::{
    accept_async,
    tungstenite::{
        Message,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};
use tokio_util::task::AbortOnDropHandle;

pub(super) const CONNECTIONS_MAX: usize = 3;
/// A trade of each symbol so often.
const INTERVAL: Duration = Duration::from_millis(20);
/// Frames that may wait for a client that stands still; then it is too slow, and closed.
const FRAMES_MAX: usize = 4096;

pub(super) struct Provider {
    pub(super) address: SocketAddr,
    market: Arc<Mutex<Market>>,
    _tasks: [AbortOnDropHandle<()>; 2],
}

#[derive(Default)]
struct Market {
    /// When the n-th trade was made.
    made: Vec<UnixMillis>,
    sessions: Vec<Session>,
    evictions: usize,
    most: usize,
}

struct Session {
    symbols: Vec<String>,
    orders: mpsc::Sender<Order>,
}

enum Order {
    /// Its number, and when it was made: whoever hears of it hears the same.
    Trade(u64, UnixMillis),
    Evict,
}

impl Provider {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let market: Arc<Mutex<Market>> = Arc::default();
        let accepting = tokio::spawn(accept(listener, Arc::clone(&market)));
        let trading = tokio::spawn(trade(Arc::clone(&market)));
        Self { address, market, _tasks: [accepting, trading].map(AbortOnDropHandle::new) }
    }

    /// When each trade was made, the first one first.
    pub(super) fn made(&self) -> Vec<UnixMillis> {
        self.market.lock().unwrap().made.clone()
    }

    /// How many connections were told that there are too many.
    pub(super) fn evictions(&self) -> usize {
        self.market.lock().unwrap().evictions
    }

    /// The most that were in at a time.
    pub(super) fn most(&self) -> usize {
        self.market.lock().unwrap().most
    }
}

async fn trade(market: Arc<Mutex<Market>>) {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let mut market = market.lock().unwrap();
        let now = UnixMillis::now();
        market.made.push(now);
        let number = market.made.len() as u64;
        market.sessions.retain(|session| session.orders.try_send(Order::Trade(number, now)).is_ok());
    }
}

async fn accept(listener: TcpListener, market: Arc<Mutex<Market>>) {
    let mut sessions = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        sessions.spawn(serve(socket, Arc::clone(&market)));
    }
}

async fn serve(socket: TcpStream, market: Arc<Mutex<Market>>) -> Option<()> {
    socket.set_nodelay(true).ok()?;
    let mut socket = accept_async(socket).await.ok()?;
    let status = |status: &str, message: &str| {
        Message::text(format!(r#"[{{"ev":"status","status":"{status}","message":"{message}"}}]"#))
    };
    socket.send(status("connected", "Connected Successfully")).await.ok()?;
    let (orders, mut received) = mpsc::channel(FRAMES_MAX);
    let mut symbols: Vec<String> = Vec::new();
    loop {
        tokio::select! {
            message = socket.next() => {
                let Message::Text(text) = message?.ok()? else { continue };
                let command: Value = serde_json::from_str(&text).ok()?;
                let params = command["params"].as_str().unwrap_or_default();
                if command["action"] == "auth" {
                    socket.send(status("auth_success", "authenticated")).await.ok()?;
                    enter(&market, Session { symbols: Vec::new(), orders: orders.clone() });
                } else if command["action"] == "subscribe" {
                    for channel in params.split(',').map(str::trim) {
                        socket.feed(status("success", &format!("subscribed to: {channel}"))).await.ok()?;
                        symbols.extend(channel.split_once('.').map(|(_, symbol)| symbol.to_owned()));
                    }
                    socket.flush().await.ok()?;
                    let mut market = market.lock().unwrap();
                    let own = market.sessions.iter_mut().find(|session| session.orders.same_channel(&orders));
                    if let Some(own) = own {
                        own.symbols.clone_from(&symbols);
                    }
                }
            }
            order = received.recv() => match order? {
                Order::Trade(number, made) if !symbols.is_empty() => socket.send(frame(&symbols, number, made)).await.ok()?,
                Order::Trade(..) => {}
                Order::Evict => {
                    socket.send(status("max_connections", "Maximum number of websocket connections exceeded.")).await.ok()?;
                    let frame = CloseFrame { code: CloseCode::Policy, reason: "max_connections".into() };
                    socket.close(Some(frame)).await.ok()?;
                    let rest = async { while socket.next().await.is_some() {} };
                    let _ = tokio::time::timeout(Duration::from_secs(5), rest).await;
                    return None;
                }
            }
        }
    }
}

/// One more is in; the oldest of too many goes.
fn enter(market: &Mutex<Market>, session: Session) {
    let mut market = market.lock().unwrap();
    market.sessions.retain(|session| !session.orders.is_closed());
    market.sessions.push(session);
    if market.sessions.len() > CONNECTIONS_MAX {
        market.evictions += 1;
        let oldest = market.sessions.remove(0);
        let _ = oldest.orders.try_send(Order::Evict);
    }
    market.most = market.most.max(market.sessions.len());
}

fn frame(symbols: &[String], number: u64, made: UnixMillis) -> Message {
    let made_ms = made.0;
    let mut frame = String::from("[");
    for (place, symbol) in symbols.iter().enumerate() {
        let comma = if place == 0 { "" } else { "," };
        let _ = write!(
            frame,
            r#"{comma}{{"ev":"T","sym":"{symbol}","x":4,"i":"{number}","z":3,"p":{number},"s":1,"t":{made_ms},"q":{number}}}"#
        );
    }
    Message::text(frame + "]")
}
