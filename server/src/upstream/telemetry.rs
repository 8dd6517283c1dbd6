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
    /// The same of the first.
    pub(super) first_tick: AtomicI64,
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

/// What is known of one connection. It outlives the connection's task: a connection that is made anew counts on.
#[derive(Debug)]
pub(super) struct Telemetry {
    pub(super) counters: Counters,
    /// The symbols that somebody looks at.
    pub(super) watches: Watches,
    face: Mutex<Face>,
    /// Wakes the reporter when a face changes.
    changed: Arc<Notify>,
}

impl Telemetry {
    pub(super) fn new(changed: Arc<Notify>) -> Self {
        Self { counters: Counters::default(), watches: Watches::default(), face: Mutex::default(), changed }
    }

    pub(super) fn face(&self) -> Face {
        self.lock().clone()
    }

    /// Shows where the link is. `next_at` is the time of the next attempt while it waits, `patience` how much silence of
    /// the socket is nothing to speak of.
    pub(super) fn show(&self, link: &Link, next_at: Option<UnixMillis>, patience: Duration, now: UnixMillis) {
        self.show_with(self.lock(), link, next_at, patience, now);
    }

    /// Shows that the connection was lost and how: at once, so that no report has the one without the other.
    pub(super) fn show_lost(
        &self,
        loss: &Loss,
        is_error: bool,
        link: &Link,
        (next_at, patience): (Option<UnixMillis>, Duration),
        now: UnixMillis,
    ) {
        self.counters.errors.fetch_add(u64::from(is_error), Relaxed);
        let mut face = self.lock();
        face.last_error = Some(LastError { at: now, message: loss.reason.clone() });
        face.last_loss = Some(LastLoss {
            at: now,
            kind: loss.kind,
            close_code: loss.close_code,
            words: loss.words.clone(),
            reason: loss.reason.clone(),
        });
        self.show_with(face, link, next_at, patience, now);
    }

    fn show_with(
        &self,
        mut face: MutexGuard<'_, Face>,
        link: &Link,
        next_at: Option<UnixMillis>,
        patience: Duration,
        now: UnixMillis,
    ) {
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
    pub(super) fn reset(&self, now: UnixMillis) {
        let mut face = self.lock();
        let (last_loss, last_error) = (face.last_loss.take(), face.last_error.take());
        let state_since = Some(now);
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
    pub(super) fn error(&self, count: u32, message: &str, now: UnixMillis) {
        self.counters.errors.fetch_add(u64::from(count), Relaxed);
        self.lock().last_error = Some(LastError { at: now, message: message.to_owned() });
    }

    fn lock(&self) -> MutexGuard<'_, Face> {
        // Whoever panicked while holding it left whole values behind: each is written in one go.
        self.face.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::{massive::Notice, state::Event};
    use app::model::health::LayerState;

    #[test]
    fn a_state_has_its_beginning_and_silence_is_told_once_patience_is_over() {
        const PATIENCE: Duration = Duration::from_secs(10);
        let telemetry = Telemetry::new(Arc::default());
        let mut link = Link::new(vec!["A.AAPL".to_owned()], PATIENCE);
        let show = |link: &Link, now| {
            telemetry.show(link, None, PATIENCE, UnixMillis(now));
            let face = telemetry.face();
            (face.state_since.map(|at| at.0), face.up_since.map(|at| at.0), face.health.transport.state)
        };
        assert_eq!(show(&link, 1_000), (Some(1_000), None, LayerState::Unknown));
        assert_eq!(show(&link, 2_000), (Some(1_000), None, LayerState::Unknown), "the same state");

        link.next(Event::Opened);
        for notice in [Notice::Hello, Notice::KeyTaken, Notice::Subscribed("A.AAPL".into())] {
            link.next(Event::Said(notice));
        }
        telemetry.counters.last_frame.store(5_000, Relaxed);
        assert_eq!(show(&link, 6_000), (Some(6_000), Some(6_000), LayerState::Good));
        assert_eq!(show(&link, 15_000), (Some(6_000), Some(6_000), LayerState::Good));
        assert_eq!(show(&link, 15_001), (Some(6_000), Some(6_000), LayerState::Warn));
        assert_eq!(show(&link, 4_000).2, LayerState::Good, "a clock that was set back is no silence");

        let loss = Loss::dropped("cut");
        link.next(Event::Lost { loss: loss.clone(), lived: PATIENCE });
        telemetry.show_lost(&loss, true, &link, (Some(UnixMillis(22_000)), PATIENCE), UnixMillis(20_000));
        let face = telemetry.face();
        assert_eq!((face.state_since, face.up_since), (Some(UnixMillis(20_000)), None));
        assert_eq!(face.last_loss.map(|loss| loss.at), Some(UnixMillis(20_000)));
        assert_eq!((face.reconnect.next_at, telemetry.counters.errors.load(Relaxed)), (Some(UnixMillis(22_000)), 1));
    }
}
