//! What a connection's task writes and the report reads: counters without a lock, the rest under a short one.

use super::state::Link;
use app::model::{
    connection::ConnectionState,
    status::{LastError, Reconnect, Subscription},
    time::UnixMillis,
};
use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
};
use tokio::sync::Notify;

/// Counters since the start (spec C9). Single writer: the connection's task.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) messages: AtomicU64,
    pub(super) ticks: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) errors: AtomicU64,
    pub(super) reconnects: AtomicU64,
    /// Unix milliseconds of the last frame of any kind; 0 before the first.
    pub(super) last_frame: AtomicI64,
    /// Unix milliseconds of the last tick's arrival; 0 before the first.
    pub(super) last_tick: AtomicI64,
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
    pub(super) last_error: Option<LastError>,
}

/// One connection's record.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) counters: Counters,
    face: Mutex<Face>,
    /// Wakes the reporter when a face changes.
    changed: Arc<Notify>,
}

impl Record {
    pub(super) fn new(changed: Arc<Notify>) -> Self {
        Self { counters: Counters::default(), face: Mutex::default(), changed }
    }

    pub(super) fn face(&self) -> Face {
        self.lock().clone()
    }

    /// Shows where the link is. `next_at` is the time of the next attempt while it waits.
    pub(super) fn show(&self, link: &Link, next_at: Option<UnixMillis>) {
        let now = UnixMillis::now();
        let mut face = self.lock();
        let state = link.state();
        if state != face.state || face.state_since.is_none() {
            face.state = state;
            face.state_since = Some(now);
        }
        if !state.is_up() {
            face.up_since = None;
        } else if face.up_since.is_none() {
            face.up_since = Some(now);
        }
        face.reason = link.reason();
        face.reconnect = Reconnect { attempt: link.attempt(), next_at };
        face.subscription = Subscription {
            requested: link.params().len() as u32,
            acknowledged: link.acknowledged() as u32,
            ..Subscription::default()
        };
        drop(face);
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
