//! A provider that speaks as much of Massive's protocol as a client needs (`connected`, any key, acknowledgements), and
//! sends trades as fast as asked. It makes frames with little work of its own, so that it is never what is measured.

use crate::{
    pace::Publish,
    scenario::{Market, Scenario},
};
use anyhow::Context;
use app::model::connection::Channel;
use std::{
    collections::HashSet,
    fmt::Write as _,
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

/// The time that subscribers get to ask for what they want.
const PATIENCE: Duration = Duration::from_secs(30);

type Sessions = Arc<Mutex<Vec<Arc<Session>>>>;

/// One client of the provider.
struct Session {
    stream: Mutex<TcpStream>,
    /// `T.AAPL`, `T.*`.
    wanted: Mutex<HashSet<String>>,
}

/// The provider, for as long as the process lives.
pub(crate) struct Provider {
    pub(crate) address: SocketAddr,
    sessions: Sessions,
}

impl Provider {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let sessions = Sessions::default();
        let accepted = Arc::clone(&sessions);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let sessions = Arc::clone(&accepted);
                thread::spawn(move || attend(stream, &sessions));
            }
        });
        Ok(Self { address, sessions })
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/stocks", self.address)
    }

    /// Waits until every symbol is wanted by somebody, and readies the load.
    pub(crate) fn load(&self, scenario: &Scenario) -> anyhow::Result<Load> {
        let names: Vec<_> = (0..scenario.symbols)
            .map(|place| format!("{}.{}", Channel::Trades, crate::scenario::symbol(place)))
            .collect();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let sessions = lock(&self.sessions).clone();
            let reader_of = |name: &String| {
                sessions.iter().position(|session| {
                    let wanted = lock(&session.wanted);
                    wanted.contains(name) || wanted.contains("T.*")
                })
            };
            if let Some(readers) = names.iter().map(reader_of).collect::<Option<Vec<_>>>() {
                let frames = vec![String::new(); sessions.len()];
                return Ok(Load {
                    scenario: scenario.clone(),
                    market: Market::new(scenario),
                    sessions,
                    readers,
                    frames,
                    frames_sent: 0,
                });
            }
            anyhow::ensure!(Instant::now() < deadline, "not every symbol was subscribed to");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Sends trades to whoever subscribed to their symbols.
pub(crate) struct Load {
    scenario: Scenario,
    market: Market,
    sessions: Vec<Arc<Session>>,
    /// Which session wants a symbol.
    readers: Vec<usize>,
    frames: Vec<String>,
    frames_sent: u64,
}

impl Load {
    /// Since its start, to all sessions.
    pub(crate) fn frames_sent(&self) -> u64 {
        self.frames_sent
    }
}

impl Publish for Load {
    fn publish(&mut self, first: u64, count: u64) -> anyhow::Result<()> {
        let now_us = self.scenario.now_us();
        for n in first..first + count {
            let tick = self.market.tick(n, now_us);
            let frame = &mut self.frames[self.readers[(n % self.scenario.symbols) as usize]];
            frame.push(if frame.is_empty() { '[' } else { ',' });
            // A trade as `docs/provider.md` has it.
            let _ = write!(
                frame,
                r#"{{"ev":"T","sym":"{}","x":4,"i":"{n}","z":3,"p":{},"s":{},"c":[0,12],"t":{},"q":{n}}}"#,
                tick.symbol, tick.price, tick.volume, tick.timestamp.0
            );
        }
        for (session, frame) in self.sessions.iter().zip(&mut self.frames) {
            if !frame.is_empty() {
                frame.push(']');
                let message = text_frame(frame.as_bytes());
                lock(&session.stream).write_all(&message).context("a subscriber left")?;
                frame.clear();
                self.frames_sent += 1;
            }
        }
        Ok(())
    }
}

/// A server's text frame (RFC 6455, 5.2): whole and not masked.
pub(crate) fn text_frame(payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x81];
    match payload.len() {
        length @ ..126 => frame.push(length as u8),
        length @ 126..=0xFFFF => {
            frame.push(126);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    frame
}

/// Answers one client until it leaves.
fn attend(stream: TcpStream, sessions: &Sessions) {
    let _ = stream.set_nodelay(true);
    let Ok(writing) = stream.try_clone() else { return };
    let session = Arc::new(Session { stream: Mutex::new(writing), wanted: Mutex::default() });
    let Ok(mut socket) = tungstenite::accept(Shared { reading: stream, session: Arc::clone(&session) }) else { return };
    if say(&mut socket, r#"[{"ev":"status","status":"connected","message":"Connected Successfully"}]"#).is_err() {
        return;
    }
    lock(sessions).push(Arc::clone(&session));
    while let Ok(message) = socket.read() {
        let Message::Text(text) = message else { continue };
        let Ok(request) = serde_json::from_str::<serde_json::Value>(&text) else { continue };
        let said = match request["action"].as_str() {
            Some("auth") => say(&mut socket, r#"[{"ev":"status","status":"auth_success","message":"authenticated"}]"#),
            Some("subscribe") => {
                let params: Vec<_> = request["params"]
                    .as_str()
                    .unwrap_or_default()
                    .split(',')
                    .map(|name| name.trim().to_owned())
                    .collect();
                let acknowledgements: Vec<_> = params
                    .iter()
                    .map(|name| serde_json::json!({"ev": "status", "status": "success", "message": format!("subscribed to: {name}")}))
                    .collect();
                let said = say(&mut socket, &serde_json::json!(acknowledgements).to_string());
                lock(&session.wanted).extend(params);
                said
            }
            _ => Ok(()),
        };
        if said.is_err() {
            break;
        }
    }
    lock(sessions).retain(|other| !Arc::ptr_eq(other, &session));
}

fn say(socket: &mut WebSocket<Shared>, text: &str) -> tungstenite::Result<()> {
    socket.send(Message::text(text))
}

/// Reads freely and writes under the lock that the load writes under: a pong never lands inside a frame.
struct Shared {
    reading: TcpStream,
    session: Arc<Session>,
}

impl Read for Shared {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reading.read(buffer)
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        lock(&self.session.stream).write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
