//! The admins' sockets. One task owns the [`Monitor`], makes frames and hands them to everyone by reference.
//!
//! ```text
//!  inbox ──▶ monitor ──flush──▶ encode once per encoding in use ──▶ ring (broadcast) ──▶ a task per socket ──▶ browser
//!                 ▲                                                                          │
//!                 └──────────────────────── join: snapshot, and the ring from there ◀────────┘
//! ```
//!
//! A frame goes out as soon as something changed and at most once per frame interval, which grows with the number of
//! sockets. A socket that reads too slowly falls off the ring and joins again with a snapshot: nobody waits for it, and it
//! costs no memory. All of it runs on one [`Thread`](crate::thread::Thread), which a frame wakes up
//! once: while frames flow, ticks wait in the mailbox.
//! Deliberately absent: a queue per client, a timer per client's frames, a lock.

mod client;
mod encoding;
mod events;
mod handshake;
mod meter;
mod replay;
mod tapes;

pub use client::serve;
pub use encoding::Encoding;
pub use events::Event;
pub use handshake::{Handshake, NoHandshake, Socket};
pub use meter::Metered;
pub use replay::replay;

use crate::{
    bus::{Delivery, Inbox, frames::Outlet},
    monitor::{Before, Monitor},
    universe::ConnectionPlan,
};
use app::{
    api::FIRST_ROWS_MAX,
    model::{
        alert::OpenAlerts,
        connection::ConnectionId,
        history::{HistoryNews, HistoryTrouble},
        protocol::{Frame, Snapshot},
        servers::ServerEntry,
        status::{Standing, StatusReport},
        symbol::Symbol,
        symbol_detail::SymbolDetail,
        time::UnixMillis,
    },
};
use encoding::{Batch, JsonEvents, binary};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tapes::TapeReaders;
use tokio::{
    runtime::Handle,
    sync::{broadcast, mpsc, oneshot, watch},
    time::{Instant, MissedTickBehavior, interval_at, sleep_until},
};

/// Batches that a socket may be behind before it joins again: two and a half seconds of frames of 10 ms, ten of the longest.
const RING_LENGTH: usize = 256;
/// The longest time that ticks are left in the mailbox, which conflates what it cannot hold.
const REST_MAX: Duration = Duration::from_millis(50);
/// So much of the interval is each socket's. A frame costs a write to each of them, some five microseconds of the kernel: with
/// many sockets frames get fewer and hold more, one in 15 ms at 100 sockets, where a screen shows one in 16.
const SHARE_OF_SOCKET: Duration = Duration::from_micros(150);
/// Frames get no fewer than 25 a second for that: fluent to the eye still.
const STRETCHED_MAX: Duration = Duration::from_millis(40);
/// Without ticks for so long, dashboards elsewhere are told that their collector is there: they notice what they missed.
const SILENCE_MAX: Duration = Duration::from_millis(250);
/// Joins and questions that may wait for the hub's task.
const REQUESTS_MAX: usize = 256;

/// A way to the hub, for routes and sockets.
#[derive(Clone, Debug)]
pub struct Hub {
    requests: mpsc::Sender<Request>,
    report: watch::Receiver<Arc<StatusReport>>,
    counters: Arc<HubCounters>,
    tapes: TapeReaders,
    /// Where the sockets are served.
    runtime: Handle,
}

/// What the hub counts.
#[derive(Debug, Default)]
pub struct HubCounters {
    /// Sockets that are open.
    pub sockets: AtomicUsize,
    /// Frames made.
    pub frames_total: AtomicU64,
    /// Times that a socket fell behind and got a snapshot instead.
    pub lags_total: AtomicU64,
}

#[derive(Debug)]
enum Request {
    Join { encoding: Encoding, answer: oneshot::Sender<Joined> },
    Status { encoding: Encoding, answer: oneshot::Sender<Batch> },
    FirstView { answer: oneshot::Sender<Snapshot> },
    Symbol { id: ConnectionId, symbol: Symbol, answer: oneshot::Sender<Option<SymbolDetail>> },
    Replan { plans: Vec<ConnectionPlan>, answer: oneshot::Sender<()> },
    Stand { standing: Standing, answer: oneshot::Sender<Before> },
    Servers { servers: Vec<ServerEntry>, answer: oneshot::Sender<()> },
    Settle { answer: oneshot::Sender<()> },
}

/// The whole truth, and everything after it.
#[derive(Debug)]
struct Joined {
    snapshot: Batch,
    batches: broadcast::Receiver<Batch>,
}

impl Hub {
    /// The status as of the last change or metrics interval: from memory, without asking anybody.
    #[must_use]
    pub fn report(&self) -> Arc<StatusReport> {
        Arc::clone(&self.report.borrow())
    }

    /// Every report from now on, the newest at any time: whoever is slow misses some and holds nobody up.
    #[must_use]
    pub fn reports(&self) -> watch::Receiver<Arc<StatusReport>> {
        self.report.clone()
    }

    /// What the hub counts.
    #[must_use]
    pub fn counters(&self) -> &HubCounters {
        &self.counters
    }

    /// The present with the first rows of each connection; `None` when the hub is gone.
    pub async fn first_view(&self) -> Option<Snapshot> {
        self.ask(|answer| Request::FirstView { answer }).await
    }

    /// What is known of a symbol of a connection; it is recorded from now on.
    pub async fn symbol(&self, id: ConnectionId, symbol: Symbol) -> Option<SymbolDetail> {
        self.ask(|answer| Request::Symbol { id, symbol, answer }).await.flatten()
    }

    /// Tells the monitor of another configuration; resolves when it knows.
    pub async fn replan(&self, plans: Vec<ConnectionPlan>) {
        // Without a hub there is nobody to be told.
        let _ = self.ask(|answer| Request::Replan { plans, answer }).await;
    }

    /// Tells the monitor where this server stands among several; resolves when it knows, with what was seen of
    /// the collector so far.
    pub async fn stand(&self, standing: Standing) -> Before {
        self.ask(|answer| Request::Stand { standing, answer }).await.unwrap_or_default()
    }

    /// Tells the monitor of the servers that run beside each other; resolves when it knows.
    pub async fn tell_servers(&self, servers: Vec<ServerEntry>) {
        let _ = self.ask(|answer| Request::Servers { servers, answer }).await;
    }

    /// Folds in what the bus delivered so far; resolves when reports and frames tell of it.
    pub async fn settle(&self) {
        let _ = self.ask(|answer| Request::Settle { answer }).await;
    }

    async fn join(&self, encoding: Encoding) -> Option<Joined> {
        self.ask(|answer| Request::Join { encoding, answer }).await
    }

    /// A reader's share in which tapes are open.
    fn read_tapes(&self) -> tapes::TapeReader {
        self.tapes.reader()
    }

    async fn status(&self, encoding: Encoding) -> Option<Batch> {
        self.ask(|answer| Request::Status { encoding, answer }).await
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        self.requests.send(request(answer)).await.ok()?;
        answered.await.ok()
    }
}

/// How often what goes out.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// The shortest time between two frames of ticks; with many sockets it grows.
    pub frame_interval: Duration,
    /// The time between two metrics frames.
    pub metrics_interval: Duration,
}

impl Pace {
    /// The shortest time between two frames while so many sockets are open.
    fn interval(self, sockets: usize) -> Duration {
        let shares = SHARE_OF_SOCKET.saturating_mul(u32::try_from(sockets).unwrap_or(u32::MAX));
        self.frame_interval.max(shares.min(STRETCHED_MAX))
    }
}

/// Makes a hub. What `history` tells of itself is shown with the status. The future is its task; it ends when it is dropped, or with the
/// last [`Hub`]. Sockets are served on `runtime`, and the task belongs there too.
pub fn hub(
    monitor: Monitor,
    inbox: Inbox,
    pace: Pace,
    history: watch::Receiver<HistoryNews>,
    alerts: watch::Receiver<OpenAlerts>,
    runtime: Handle,
) -> (Hub, impl Future<Output = ()> + Send) {
    let (requests, received) = mpsc::channel(REQUESTS_MAX);
    let (report, reported) = watch::channel(Arc::new(monitor.report().clone()));
    let counters = Arc::new(HubCounters::default());
    let tapes = TapeReaders::default();
    let task = Task {
        monitor,
        outlet: inbox.outlet(),
        inbox,
        requests: received,
        report,
        counters: Arc::clone(&counters),
        tapes: tapes.clone(),
        binary: broadcast::Sender::new(RING_LENGTH),
        json: broadcast::Sender::new(RING_LENGTH),
        json_events: JsonEvents::default(),
        history: Some(history),
        alerts,
        pace,
        last_beat: Instant::now(),
        last_flush: Instant::now(),
        last_frames: Instant::now(),
    };
    (Hub { requests, report: reported, counters, tapes, runtime }, task.run())
}

struct Task {
    monitor: Monitor,
    inbox: Inbox,
    /// Where frames for dashboards elsewhere go.
    outlet: Option<Arc<Outlet>>,
    requests: mpsc::Receiver<Request>,
    report: watch::Sender<Arc<StatusReport>>,
    counters: Arc<HubCounters>,
    tapes: TapeReaders,
    binary: broadcast::Sender<Batch>,
    json: broadcast::Sender<Batch>,
    json_events: JsonEvents,
    /// `None` once nobody keeps history any more.
    history: Option<watch::Receiver<HistoryNews>>,
    /// Looked at with every beat, as they travel with the metrics.
    alerts: watch::Receiver<OpenAlerts>,
    pace: Pace,
    last_beat: Instant,
    last_flush: Instant,
    last_frames: Instant,
}

impl Task {
    async fn run(mut self) {
        self.send_frames(false);
        let mut delivery = Delivery::default();
        let mut beats = interval_at(Instant::now() + self.pace.metrics_interval, self.pace.metrics_interval);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let silence_ends = self.last_frames + SILENCE_MAX;
            // The first news after a silence go at once. What follows within the interval waits for its end, in the
            // mailbox, where it wakes nobody up.
            let now = Instant::now();
            let due = self.last_flush + self.interval();
            let rests = now < due;
            tokio::select! {
                () = self.inbox.take(&mut delivery), if !rests => self.fold(&delivery),
                () = sleep_until(due.min(now + REST_MAX)), if rests => {
                    if self.inbox.take_now(&mut delivery) {
                        self.fold(&delivery);
                    }
                }
                _ = beats.tick() => self.beat(),
                () = sleep_until(silence_ends), if self.outlet.is_some() => self.send_frames(true),
                () = board_wanted(self.outlet.as_deref()) => self.send_board(),
                news = news_of(&mut self.history) => self.monitor.tell_history(news),
                request = self.requests.recv() => match request {
                    Some(request) => self.answer(request),
                    None => return,
                },
            }
            if due <= Instant::now() && self.monitor.has_news() {
                self.flush();
                self.send_frames(false);
            }
        }
    }

    fn interval(&self) -> Duration {
        self.pace.interval(self.counters.sockets.load(Relaxed))
    }

    fn fold(&mut self, delivery: &Delivery) {
        self.monitor.open_tapes(self.tapes.open());
        self.monitor.take(delivery, UnixMillis::now());
    }

    fn flush(&mut self) {
        // Timers are a millisecond late or two. The next frame is reckoned from when this one was due, so that what comes
        // right behind a late one need not wait for that as well.
        let (now, interval) = (Instant::now(), self.interval());
        let due = self.last_flush + interval;
        self.last_flush = if (due..due + interval / 2).contains(&now) { due } else { now };
        let at = UnixMillis::now();
        let frames = self.monitor.flush(at);
        self.send(&frames);
        self.monitor.told(frames, at);
    }

    /// Tells dashboards elsewhere what was folded, where this server collects.
    fn send_frames(&mut self, silence: bool) {
        let Some(outlet) = &self.outlet else { return };
        self.monitor.mirror_to(outlet.stream());
        let are_sent = outlet.put(self.monitor.take_frames(silence, UnixMillis::now()));
        if are_sent || silence {
            self.last_frames = Instant::now();
        }
    }

    /// In one step with the frames before it, so that those after it continue it.
    fn send_board(&mut self) {
        self.send_frames(false);
        if let Some(outlet) = &self.outlet {
            outlet.answered();
            outlet.put(self.monitor.board_messages());
        }
    }

    fn settle(&mut self) {
        let mut delivery = Delivery::default();
        if self.inbox.take_now(&mut delivery) {
            self.fold(&delivery);
        }
        self.report.send_replace(Arc::new(self.monitor.report().clone()));
    }

    fn beat(&mut self) {
        let seconds = self.last_beat.elapsed().as_secs_f64();
        self.last_beat = Instant::now();
        self.monitor.tell_alerts(&self.alerts.borrow());
        let at = UnixMillis::now();
        let frames = vec![self.monitor.beat(at, seconds)];
        self.send(&frames);
        self.monitor.told(frames, at);
    }

    /// Hands frames that belong together to everyone, as one batch.
    fn send(&mut self, frames: &[Frame]) {
        self.counters.frames_total.fetch_add(frames.len() as u64, Relaxed);
        if frames.iter().any(|frame| matches!(frame, Frame::Snapshot(_) | Frame::Live(_) | Frame::Metrics(_))) {
            self.report.send_replace(Arc::new(self.monitor.report().clone()));
        }
        // An encoding that nobody uses costs nothing; sending fails only when the last reader has just left.
        if self.binary.receiver_count() > 0 {
            let _ = self.binary.send(binary(frames));
        }
        if self.json.receiver_count() > 0 {
            let _ = self.json.send(self.json_events.batch(frames, self.monitor.rows()));
        }
    }

    fn answer(&mut self, request: Request) {
        let now = UnixMillis::now();
        // Whoever asked may have left meanwhile: then the answer goes nowhere.
        match request {
            Request::Join { encoding, answer } => {
                // What is not flushed yet is in the snapshot; the ring must not tell it again.
                self.flush();
                let snapshot = Frame::Snapshot(Box::new(self.monitor.snapshot(now)));
                let (snapshot, batches) = match encoding {
                    Encoding::Binary => (binary(&[snapshot]), self.binary.subscribe()),
                    Encoding::Json => (self.json_events.first_batch(&snapshot), self.json.subscribe()),
                };
                let _ = answer.send(Joined { snapshot, batches });
            }
            Request::Status { encoding, answer } => {
                let live = Frame::Live(self.monitor.report().live());
                let batch = match encoding {
                    Encoding::Binary => binary(&[live]),
                    Encoding::Json => self.json_events.first_batch(&live),
                };
                let _ = answer.send(batch);
            }
            Request::Replan { plans, answer } => {
                self.monitor.replan(plans, now);
                let _ = answer.send(());
            }
            Request::Stand { standing, answer } => {
                // What came of the collector before belongs to that one, and to its history.
                self.settle();
                self.monitor.stand(standing, now);
                let _ = answer.send(self.monitor.before());
            }
            Request::Settle { answer } => {
                self.settle();
                self.send_frames(false);
                let _ = answer.send(());
            }
            Request::Servers { servers, answer } => {
                self.monitor.tell_servers(servers);
                let _ = answer.send(());
            }
            Request::Symbol { id, symbol, answer } => {
                let _ = answer.send(self.monitor.symbol(id, symbol, now));
            }
            Request::FirstView { answer } => {
                let _ = answer.send(self.monitor.first_view(FIRST_ROWS_MAX));
            }
        }
    }
}

async fn board_wanted(outlet: Option<&Outlet>) {
    match outlet {
        Some(outlet) => outlet.board_wanted().await,
        None => std::future::pending().await,
    }
}

/// The next word on history. A keeper that is gone, by a panic or at the end of the server, is the last one.
async fn news_of(news: &mut Option<watch::Receiver<HistoryNews>>) -> HistoryNews {
    let Some(receiver) = news else { return std::future::pending().await };
    if receiver.changed().await.is_ok() {
        return receiver.borrow_and_update().clone();
    }
    *news = None;
    let trouble = HistoryTrouble { since: UnixMillis::now(), reason: "the recorder of history ended".to_owned() };
    HistoryNews { trouble: Some(trouble), ..HistoryNews::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_get_fewer_with_many_sockets_and_never_more_than_asked_for() {
        let pace = |ms| Pace { frame_interval: Duration::from_millis(ms), metrics_interval: Duration::from_secs(1) };
        let micros = [0, 66, 100, 300, 1_000, usize::MAX].map(|sockets| pace(10).interval(sockets).as_micros());
        assert_eq!(micros, [10_000, 10_000, 15_000, 40_000, 40_000, 40_000]);
        assert_eq!(pace(200).interval(1_000), Duration::from_millis(200), "a longer one that was asked for stays");
    }
}
