//! The admins of a row: all of them on one thread, each counting every tick that it was sent.
//!
//! Sockets get the same bytes from the hub, so a frame is decoded once and recognised by the others: a thousand admins
//! cost a comparison each. What is slow reads 10 kB/s and folds everything into a board, to be held against the truth.

use crate::{
    decode::{Decoded, Decoder},
    scenario::{Contestant, Scenario, View},
    socket::{Message, Socket},
};
use anyhow::Context;
use app::model::{
    board::Board,
    protocol::{Frame, Row, SUBPROTOCOL_BINARY},
};
use hdrhistogram::Histogram;
use std::{
    cell::RefCell,
    net::SocketAddr,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};
use tokio::{sync::watch, task::LocalSet, time::sleep};

/// An admin that hears nothing new for this long will hear nothing more.
const PATIENCE: Duration = Duration::from_secs(3);
/// After the last tick was published nobody is waited for longer: a kernel that probes a full window ever more rarely can
/// stretch a slow reader's end to many minutes.
const FAREWELL: Duration = Duration::from_secs(60);
/// A slow reader takes 1,000 bytes this often.
const SLOW_READ_INTERVAL: Duration = Duration::from_millis(100);
/// With more admins than this, each takes the time of every so-manieth frame only.
const TIMED_ADMINS: usize = 10;

/// What all admins together were sent so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Ticks delivered, conflated or not.
    pub(crate) ticks: AtomicU64,
    /// Prices delivered: a tick on its own, or the latest of several.
    pub(crate) prices: AtomicU64,
    pub(crate) messages: AtomicU64,
    pub(crate) bytes: AtomicU64,
    /// From now on latencies are recorded.
    pub(crate) measuring: AtomicBool,
}

/// What one admin knows in the end.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) is_slow: bool,
    /// Ticks counted, conflated or not.
    pub(crate) ticks: u64,
    /// Ticks delivered one by one.
    pub(crate) one_by_one: u64,
    /// Ticks that were not in the order in which they were published.
    pub(crate) disordered: u64,
    /// Snapshots: one at the start, another after each time that it fell behind.
    pub(crate) snapshots: u64,
    /// Closed by the server with this code.
    pub(crate) closed: Option<u16>,
    /// Of slow ones: all rows as it knows them.
    pub(crate) board: Option<Board>,
}

/// What all of them know in the end, and from publishing to having decoded in microseconds, fast readers and slow ones.
pub(crate) struct Watched {
    pub(crate) seen: Vec<Seen>,
    pub(crate) latency_us: Histogram<u64>,
    pub(crate) slow_latency_us: Histogram<u64>,
}

pub(crate) struct Crowd {
    pub(crate) tally: Arc<Tally>,
    expected: watch::Sender<Option<u64>>,
    thread: JoinHandle<anyhow::Result<Watched>>,
}

impl Crowd {
    /// Connects all admins and returns once each has what it starts with.
    pub(crate) fn connect(scenario: &Scenario, address: SocketAddr) -> anyhow::Result<Self> {
        let tally = Arc::new(Tally::default());
        let (expected, expectation) = watch::channel(None);
        let (ready, is_ready) = mpsc::channel();
        let (shared, scenario) = (Arc::clone(&tally), scenario.clone());
        let thread = thread::Builder::new().name("admins".into()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            LocalSet::new().block_on(&runtime, gather(scenario, address, shared, expectation, ready))
        })?;
        match is_ready.recv() {
            Ok(()) => Ok(Self { tally, expected, thread }),
            Err(_) => {
                Err(thread.join().map_err(|_| anyhow::anyhow!("the admins panicked"))?.err().context("no admins")?)
            }
        }
    }

    /// Tells how many ticks were published, and waits until every admin has counted them or hears nothing more.
    pub(crate) fn finish(self, published: u64) -> anyhow::Result<Watched> {
        self.expected.send_replace(Some(published));
        self.thread.join().map_err(|_| anyhow::anyhow!("the admins panicked"))?
    }
}

async fn gather(
    scenario: Scenario,
    address: SocketAddr,
    tally: Arc<Tally>,
    expected: watch::Receiver<Option<u64>>,
    ready: mpsc::Sender<()>,
) -> anyhow::Result<Watched> {
    let room = Rc::new(Room {
        tally,
        decoder: RefCell::new(Decoder::new(scenario.server)),
        latency_us: RefCell::new(Histogram::new(3)?),
        slow_latency_us: RefCell::new(Histogram::new(3)?),
        scenario,
    });
    let mut admins = Vec::new();
    for number in 0..room.scenario.admins {
        admins.push(Admin::connect(&room, address, number).await.context("an admin cannot connect")?);
    }
    ready.send(()).context("nobody waits for the admins")?;
    let tasks: Vec<_> =
        admins.into_iter().map(|admin| tokio::task::spawn_local(admin.watch(expected.clone()))).collect();
    let mut seen = Vec::new();
    for task in tasks {
        seen.push(task.await??);
    }
    let (latency_us, slow_latency_us) = (room.latency_us.borrow().clone(), room.slow_latency_us.borrow().clone());
    Ok(Watched { seen, latency_us, slow_latency_us })
}

/// What the admins of a thread share.
struct Room {
    scenario: Scenario,
    tally: Arc<Tally>,
    decoder: RefCell<Decoder>,
    latency_us: RefCell<Histogram<u64>>,
    /// The same of slow readers.
    slow_latency_us: RefCell<Histogram<u64>>,
}

struct Admin {
    room: Rc<Room>,
    socket: Socket,
    number: usize,
    frames: usize,
    last_news: Instant,
    /// A snapshot that is on its way: the ticks of the rows so far, and how many rows are missing.
    arriving: Option<(u64, usize)>,
    seen: Seen,
}

impl Admin {
    async fn connect(room: &Rc<Room>, address: SocketAddr, number: usize) -> anyhow::Result<Self> {
        let is_slow = number < room.scenario.slow_admins;
        let headers = format!("Sec-WebSocket-Protocol: {SUBPROTOCOL_BINARY}\r\n");
        let socket = match room.scenario.server {
            Contestant::Ours if is_slow => Socket::open_slow(address, "/admin-ws", &headers).await?,
            Contestant::Ours => Socket::open(address, "/admin-ws", &headers).await?,
            Contestant::Axum | Contestant::Node | Contestant::Bun => Socket::open(address, "/", "").await?,
        };
        let seen = Seen { is_slow, board: is_slow.then(Board::default), ..Seen::default() };
        let room = Rc::clone(room);
        let mut admin = Self { room, socket, number, frames: 0, last_news: Instant::now(), arriving: None, seen };
        if admin.room.scenario.server == Contestant::Ours {
            admin.await_snapshot().await?;
        }
        Ok(admin)
    }

    async fn await_snapshot(&mut self) -> anyhow::Result<()> {
        while self.seen.snapshots == 0 {
            let message = self.socket.next().await?;
            self.hear(message)?;
        }
        if self.room.scenario.view == View::Tape {
            let ids: Vec<_> = (1..=self.room.scenario.connections).collect();
            self.socket.say(&serde_json::json!({"event": "set_tape", "connections": ids}).to_string()).await?;
        }
        Ok(())
    }

    /// Reads until as many ticks were counted as were published, or until patience runs out after that.
    async fn watch(mut self, mut expected: watch::Receiver<Option<u64>>) -> anyhow::Result<Seen> {
        let mut goal_since = None;
        loop {
            let goal = *expected.borrow_and_update();
            let is_late = goal.is_some() && goal_since.get_or_insert_with(Instant::now).elapsed() > FAREWELL;
            if goal.is_some_and(|goal| self.seen.ticks >= goal || self.last_news.elapsed() > PATIENCE * 4)
                || self.seen.closed.is_some()
                || is_late
            {
                return Ok(self.seen);
            }
            if self.seen.is_slow && !self.socket.has_message() {
                sleep(SLOW_READ_INTERVAL).await;
                let _ = tokio::time::timeout(PATIENCE, self.socket.fill()).await;
                continue;
            }
            tokio::select! {
                message = self.socket.next() => self.hear(message?)?,
                _ = expected.changed() => {}
                () = sleep(PATIENCE), if goal.is_some() => {}
            }
        }
    }

    fn hear(&mut self, message: Message) -> anyhow::Result<()> {
        let range = match message {
            Message::Data(range) => range,
            Message::Close(code) => {
                self.seen.closed = Some(code);
                return Ok(());
            }
        };
        let room = Rc::clone(&self.room);
        let bytes = self.socket.bytes(range);
        let tally = &room.tally;
        tally.messages.fetch_add(1, Relaxed);
        tally.bytes.fetch_add(bytes.len() as u64, Relaxed);
        let decoded = room.decoder.borrow_mut().decode(bytes)?;
        if let (Some(board), Some(frame)) = (&mut self.seen.board, &decoded.frame) {
            board.apply(frame);
        }
        if let Some(total) = self.snapshot_ticks(&decoded) {
            // First of all, or after a lag: the counts of the rows are the truth.
            tally.ticks.fetch_add(total.saturating_sub(self.seen.ticks), Relaxed);
            self.seen.ticks = total;
            self.seen.snapshots += 1;
            self.last_news = Instant::now();
        } else if decoded.is_tape {
            self.seen.one_by_one += decoded.stamps_us.len() as u64;
            tally.prices.fetch_add(decoded.stamps_us.len() as u64, Relaxed);
            self.check_order(&decoded);
            self.time(&decoded)?;
        } else if decoded.ticks > 0 {
            self.seen.ticks += decoded.ticks;
            self.last_news = Instant::now();
            tally.ticks.fetch_add(decoded.ticks, Relaxed);
            // With its tape open a tick comes twice; the one on its own is what counts.
            if room.scenario.view == View::Latest {
                tally.prices.fetch_add(decoded.stamps_us.len() as u64, Relaxed);
                self.time(&decoded)?;
            }
        }
        Ok(())
    }

    /// The ticks that the rows of a snapshot count, with its last frame.
    fn snapshot_ticks(&mut self, decoded: &Decoded) -> Option<u64> {
        let ticks = |rows: &[Row]| rows.iter().map(|row| row.ticks_total).sum::<u64>();
        let (ticks, missing) = match (&decoded.frame, self.arriving) {
            (Some(Frame::Snapshot(snapshot)), _) => {
                (ticks(&snapshot.rows), (snapshot.rows_total as usize).saturating_sub(snapshot.rows.len()))
            }
            (Some(Frame::Rows(rows)), Some((before, missing))) => {
                (before + ticks(rows), missing.saturating_sub(rows.len()))
            }
            _ => return None,
        };
        self.arriving = (missing > 0).then_some((ticks, missing));
        (missing == 0).then_some(ticks)
    }

    /// A frame is the tape of one connection, on which time only rises.
    fn check_order(&mut self, decoded: &Decoded) {
        let falls = decoded.stamps_us.windows(2).filter(|pair| pair[1] < pair[0]).count();
        self.seen.disordered += falls as u64;
    }

    fn time(&mut self, decoded: &Decoded) -> anyhow::Result<()> {
        self.frames += 1;
        let every = self.room.scenario.admins.div_ceil(TIMED_ADMINS);
        if !self.room.tally.measuring.load(Relaxed) || !(self.frames + self.number).is_multiple_of(every) {
            return Ok(());
        }
        let now = self.room.scenario.now_us();
        let latency_us = if self.seen.is_slow { &self.room.slow_latency_us } else { &self.room.latency_us };
        let mut latency_us = latency_us.borrow_mut();
        for stamp in &decoded.stamps_us {
            latency_us.record(now.saturating_sub(*stamp).max(1))?;
        }
        Ok(())
    }
}
