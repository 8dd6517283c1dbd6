//! A provider that numbers its ticks: the n-th trade of a symbol has the price n. It speaks the part of Massive's protocol
//! that the connection manager needs, and counts a tick when the socket has taken it.

use super::{Counts, Numbers};
use crate::util::Clock;
use app::model::time::UnixMillis;
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fmt::Write,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot},
    task::JoinSet,
};
use tokio_tungstenite::{
    WebSocketStream, accept_async,
    tungstenite::{
        Message,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};
use tokio_util::task::AbortOnDropHandle;

/// Ticks in one frame.
const TICKS_PER_FRAME: usize = 20;

pub(crate) struct Provider {
    pub(crate) address: SocketAddr,
    market: Arc<Mutex<Market>>,
    /// `None`: it goes by this machine's time.
    clock: Option<Arc<Clock>>,
    accepting: Option<AbortOnDropHandle<()>>,
}

#[derive(Default)]
struct Market {
    /// How many trades of each symbol were sent.
    sent: BTreeMap<String, u64>,
    sessions: Vec<Session>,
    refuses_keys: bool,
}

struct Session {
    symbols: Vec<String>,
    orders: mpsc::Sender<(Order, oneshot::Sender<()>)>,
}

#[derive(Clone)]
enum Order {
    /// So many trades of each symbol, made at that time.
    Trades(u64, Option<Arc<Clock>>),
    /// A frame as it is, to every session.
    Say(String),
    /// A close frame behind everything that was sent.
    Close(u16),
    /// The end of the connection without a word, behind everything that was sent.
    Drop,
}

impl Provider {
    pub(crate) async fn start() -> Self {
        Self::start_in(None).await
    }

    /// One whose ticks have the time of a clock.
    pub(crate) async fn start_by(clock: &Arc<Clock>) -> Self {
        Self::start_in(Some(Arc::clone(clock))).await
    }

    async fn start_in(clock: Option<Arc<Clock>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut provider = Self { address, market: Arc::default(), clock, accepting: None };
        provider.accept(listener);
        provider
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/stocks", self.address)
    }

    fn accept(&mut self, listener: TcpListener) {
        let market = Arc::clone(&self.market);
        self.accepting = Some(AbortOnDropHandle::new(tokio::spawn(async move {
            let mut sessions = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let market = Arc::clone(&market);
                sessions.spawn(async move { serve(socket, market).await });
            }
        })));
    }

    /// Takes no connections until [`open`](Self::open); those that are there end with it.
    pub(crate) fn shut(&mut self) {
        self.accepting = None;
        self.lock().sessions.clear();
    }

    /// Takes connections again, at the same address.
    pub(crate) async fn open(&mut self) {
        self.accept(TcpListener::bind(self.address).await.unwrap());
    }

    /// Sends so many trades of every symbol that somebody is subscribed to, and returns when the sockets have taken them.
    pub(crate) async fn trade(&self, each: u64) {
        self.order(Order::Trades(each, self.clock.clone())).await;
    }

    pub(crate) async fn say(&self, frame: &str) {
        self.order(Order::Say(frame.to_owned())).await;
    }

    pub(crate) async fn close(&self, code: u16) {
        self.order(Order::Close(code)).await;
    }

    pub(crate) async fn hang_up(&self) {
        self.order(Order::Drop).await;
    }

    async fn order(&self, order: Order) {
        let sessions: Vec<_> = self.lock().sessions.iter().map(|session| session.orders.clone()).collect();
        let mut done = Vec::new();
        for session in sessions {
            let (sender, receiver) = oneshot::channel();
            if session.send((order.clone(), sender)).await.is_ok() {
                done.push(receiver);
            }
        }
        for receiver in done {
            let _ = receiver.await;
        }
    }

    /// How many symbols somebody is subscribed to now.
    pub(crate) fn subscribed(&self) -> usize {
        let market = self.lock();
        market.sessions.iter().filter(|session| !session.orders.is_closed()).map(|session| session.symbols.len()).sum()
    }

    /// Takes no key from now on, or any again.
    pub(crate) fn refuse_keys(&self, refuses: bool) {
        self.lock().refuses_keys = refuses;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Market> {
        self.market.lock().unwrap()
    }
}

impl Numbers for Provider {
    fn sent(&self) -> Counts {
        self.lock().sent.clone()
    }
}

async fn serve(socket: TcpStream, market: Arc<Mutex<Market>>) -> Option<()> {
    let mut socket = accept_async(socket).await.ok()?;
    let status = |status: &str, message: &str| {
        Message::text(format!(r#"[{{"ev":"status","status":"{status}","message":"{message}"}}]"#))
    };
    socket.send(status("connected", "Connected Successfully")).await.ok()?;
    let mut orders: Option<mpsc::Receiver<(Order, oneshot::Sender<()>)>> = None;
    let mut symbols = Vec::new();
    loop {
        tokio::select! {
            message = socket.next() => {
                let Message::Text(text) = message?.ok()? else { continue };
                let command: Value = serde_json::from_str(&text).ok()?;
                let params = command["params"].as_str().unwrap_or_default();
                if command["action"] == "auth" && market.lock().unwrap().refuses_keys {
                    socket.send(status("auth_failed", "authentication failed")).await.ok()?;
                } else if command["action"] == "auth" {
                    socket.send(status("auth_success", "authenticated")).await.ok()?;
                } else if command["action"] == "subscribe" {
                    for channel in params.split(',').map(str::trim) {
                        socket.feed(status("success", &format!("subscribed to: {channel}"))).await.ok()?;
                    }
                    socket.flush().await.ok()?;
                    symbols.extend(params.split(',').filter_map(|channel| Some(channel.trim().split_once('.')?.1.to_owned())));
                    symbols.sort();
                    symbols.dedup();
                    let (sender, receiver) = mpsc::channel(1);
                    let mut market = market.lock().unwrap();
                    market.sessions.retain(|session| !session.orders.is_closed());
                    market.sessions.push(Session { symbols: symbols.clone(), orders: sender });
                    orders = Some(receiver);
                }
            }
            order = async { orders.as_mut()?.recv().await }, if orders.is_some() => {
                let (order, done) = order?;
                let goes_on = obey(&mut socket, order, &symbols, &market).await;
                let _ = done.send(());
                goes_on?;
            }
        }
    }
}

async fn obey(
    socket: &mut WebSocketStream<TcpStream>,
    order: Order,
    symbols: &[String],
    market: &Arc<Mutex<Market>>,
) -> Option<()> {
    match order {
        Order::Trades(each, clock) => {
            for _ in 0..each {
                for symbols in symbols.chunks(TICKS_PER_FRAME) {
                    let now = clock.as_ref().map_or_else(UnixMillis::now, |clock| clock.now());
                    let frame = frame(symbols, now, &market.lock().unwrap().sent);
                    socket.send(Message::text(frame)).await.ok()?;
                    let mut market = market.lock().unwrap();
                    symbols.iter().for_each(|symbol| *market.sent.entry(symbol.clone()).or_default() += 1);
                }
            }
            Some(())
        }
        Order::Say(frame) => socket.send(Message::text(frame)).await.ok(),
        Order::Close(code) => {
            let frame = CloseFrame { code: CloseCode::from(code), reason: "the end of the test's patience".into() };
            socket.close(Some(frame)).await.ok()?;
            // The client answers; hanging up before would break off what it still has to read.
            let _ =
                tokio::time::timeout(Duration::from_secs(5), async { while socket.next().await.is_some() {} }).await;
            None
        }
        Order::Drop => None,
    }
}

/// The next trade of each of these symbols.
fn frame(symbols: &[String], now: UnixMillis, sent: &BTreeMap<String, u64>) -> String {
    let now_ms = now.0;
    let mut frame = String::from("[");
    for (place, symbol) in symbols.iter().enumerate() {
        let number = sent.get(symbol).copied().unwrap_or(0) + 1;
        let comma = if place == 0 { "" } else { "," };
        let _ = write!(
            frame,
            r#"{comma}{{"ev":"T","sym":"{symbol}","x":4,"i":"{number}","z":3,"p":{number},"s":1,"t":{now_ms},"q":{number}}}"#
        );
    }
    frame + "]"
}
