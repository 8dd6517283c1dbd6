//! What a connection's task writes and the report reads: counters without a lock, the rest under a short one.

use super::{
    loss::Loss,
    massive::{DropReason, Reading},
    state::Link,
    watch::Watches,
};
use app::model::{
    connection::ConnectionState,
    health::{Coverage, Health, LastLoss},
    status::{LastError, LatencyMs, Reconnect, RejectionCount, Standstill, Subscription},
    time::UnixMillis,
};
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::sync::Notify;

/// Counters since the start. Single writer: the connection's task.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) messages: AtomicU64,
    pub(super) ticks: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) errors: AtomicU64,
    pub(super) reconnects: AtomicU64,
    /// Bars that were sent again.
    pub(super) replacements: AtomicU64,
    /// Events that came to no tick, by reason.
    dropped: [AtomicU64; DropReason::ALL.len()],
    /// Unix milliseconds of the last frame of any kind; 0 before the first.
    pub(super) last_frame: AtomicI64,
    /// Unix milliseconds of the last tick's arrival; 0 before the first.
    pub(super) last_tick: AtomicI64,
}

impl Counters {
    /// Counts the events of a frame that came to no tick.
    pub(super) fn drop(&self, reading: &Reading) {
        for (total, count) in self.dropped.iter().zip(reading.dropped).filter(|(_, count)| *count > 0) {
            total.fetch_add(u64::from(count), Relaxed);
        }
    }

    /// How many events came to no tick, by reason, for the reasons that occurred.
    pub(super) fn dropped(&self) -> Vec<RejectionCount> {
        let counts = DropReason::ALL.iter().zip(&self.dropped);
        counts
            .map(|(reason, total)| RejectionCount { reason: reason.label().to_owned(), total: total.load(Relaxed) })
            .filter(|count| count.total > 0)
            .collect()
    }
}

/// What changes seldom.
#[derive(Clone, Debug, Default)]
pub(super) struct Face {
    pub(super) state: ConnectionState,
    pub(super) state_since: Option<UnixMillis>,
    pub(super) up_since: Option<UnixMillis>,
    pub(super) reason: Option<String>,
    pub(super) reconnect: Reconnect,
    pub(super) subscription: Subscription,
    pub(super) health: Health,
    pub(super) coverage: Coverage,
    pub(super) last_loss: Option<LastLoss>,
    pub(super) last_error: Option<LastError>,
    pub(super) latency_ms: Option<LatencyMs>,
    pub(super) latency_note: Option<String>,
    pub(super) standstill: Option<Standstill>,
}

/// One connection's record. It outlives the connection's task: a connection that is made anew counts on.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) counters: Counters,
    /// The symbols that somebody looks at.
    pub(super) watches: Watches,
    face: Mutex<Face>,
    /// Wakes the reporter when a face changes.
    changed: Arc<Notify>,
}

impl Record {
    pub(super) fn new(changed: Arc<Notify>) -> Self {
        Self { counters: Counters::default(), watches: Watches::default(), face: Mutex::default(), changed }
    }

    pub(super) fn face(&self) -> Face {
        self.lock().clone()
    }

    /// Shows where the link is. `next_at` is the time of the next attempt while it waits, `patience` how much silence of
    /// the socket is nothing to speak of.
    pub(super) fn show(&self, link: &Link, next_at: Option<UnixMillis>, patience: Duration) {
        self.show_with(self.lock(), link, next_at, patience);
    }

    /// Shows that the connection was lost and how: at once, so that no report has the one without the other. Counts it as an
    /// error.
    pub(super) fn show_lost(&self, loss: &Loss, link: &Link, next_at: Option<UnixMillis>, patience: Duration) {
        self.counters.errors.fetch_add(1, Relaxed);
        let mut face = self.lock();
        let at = UnixMillis::now();
        face.last_error = Some(LastError { at, message: loss.reason.clone() });
        face.last_loss = Some(LastLoss {
            at,
            kind: loss.kind,
            close_code: loss.close_code,
            words: loss.words.clone(),
            reason: loss.reason.clone(),
        });
        self.show_with(face, link, next_at, patience);
    }

    fn show_with(&self, mut face: MutexGuard<'_, Face>, link: &Link, next_at: Option<UnixMillis>, patience: Duration) {
        let now = UnixMillis::now();
        let silence = now.millis_since(UnixMillis(self.counters.last_frame.load(Relaxed))).max(0) as u64;
        let state = link.state();
        if state != face.state || face.state_since.is_none() {
            face.state = state;
            face.state_since = Some(now);
        }
        if !state.is_up() {
            face.up_since = None;
            face.coverage = Coverage::default();
            (face.latency_ms, face.latency_note) = (None, None);
        } else if face.up_since.is_none() {
            face.up_since = Some(now);
        }
        face.reason = link.reason();
        face.reconnect = Reconnect { attempt: link.attempt(), next_at };
        face.subscription = link.subscription();
        face.health = link.health(Duration::from_millis(silence), patience);
        drop(face);
        self.changed.notify_one();
    }

    /// Nobody runs it any more. What was counted stays, and how it was lost.
    pub(super) fn reset(&self) {
        let mut face = self.lock();
        let (last_loss, last_error) = (face.last_loss.take(), face.last_error.take());
        let state_since = Some(UnixMillis::now());
        *face = Face { state: ConnectionState::Connecting, state_since, last_loss, last_error, ..Face::default() };
    }

    /// Which symbols tick, and how quickly; no reason to wake anybody.
    pub(super) fn cover(&self, coverage: Coverage, (latency_ms, latency_note): (Option<LatencyMs>, Option<String>)) {
        let mut face = self.lock();
        (face.coverage, face.latency_ms, face.latency_note) = (coverage, latency_ms, latency_note);
    }

    /// This server itself stood still while the connection was open.
    pub(super) fn stood_still(&self, standstill: Standstill) {
        self.lock().standstill = Some(standstill);
        self.changed.notify_one();
    }

    /// Counts errors and keeps the last one with its time. The text must hold no secret.
    pub(super) fn error(&self, count: u32, message: &str) {
        self.counters.errors.fetch_add(u64::from(count), Relaxed);
        self.lock().last_error = Some(LastError { at: UnixMillis::now(), message: message.to_owned() });
    }

    fn lock(&self) -> MutexGuard<'_, Face> {
        // Whoever panicked while holding it left whole values behind: each is written in one go.
        self.face.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
