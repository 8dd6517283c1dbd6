//! The right to publish, as long as this server holds the lease of the collector.
//!
//! Whoever keeps the lease grants it until a moment of this process's own monotonic clock; whoever publishes or dials asks for
//! it before every batch and every attempt. It is a value in memory behind a short lock: asking costs some nanoseconds.

use super::handover::Word;
use app::model::{connection::ConnectionId, time::UnixMillis};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{
    sync::{Notify, broadcast, watch},
    time::Instant,
};

/// Words of a hand-over that wait to be read.
const WORDS_MAX: usize = 32;

/// Shared by the task that keeps the lease, the publisher and the connections. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Right(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    /// Told when the right begins, ends or gets another epoch, and when collecting begins or ends; not when it is prolonged.
    changed: watch::Sender<()>,
    /// Redis refused what was published under it.
    refused: Notify,
    /// Another server gave its lease up.
    released: Notify,
    /// What servers say to each other when one follows another.
    words: broadcast::Sender<Arc<Word>>,
}

impl Default for Inner {
    fn default() -> Self {
        let words = broadcast::Sender::new(WORDS_MAX);
        Self {
            state: Mutex::default(),
            changed: watch::Sender::default(),
            refused: Notify::new(),
            released: Notify::new(),
            words,
        }
    }
}

#[derive(Debug, Default)]
struct State {
    granted: Option<Granted>,
    collecting: Option<Arc<Collecting>>,
}

/// What is known as this server begins to collect.
#[derive(Debug)]
pub struct Collecting {
    /// When it began to.
    pub since: UnixMillis,
    /// When each connection last ticked before, whoever collected.
    pub last_ticks: BTreeMap<ConnectionId, UnixMillis>,
}

#[derive(Clone, Copy, Debug)]
struct Granted {
    epoch: u64,
    until: Instant,
}

impl Right {
    /// The epoch under which may be published now; `None` when nothing may be.
    #[must_use]
    pub fn epoch(&self, now: Instant) -> Option<u64> {
        self.lock().granted.filter(|granted| now < granted.until).map(|granted| granted.epoch)
    }

    /// Does this server collect? It does so through a while without the right, in which it holds what it has and publishes
    /// nothing.
    #[must_use]
    pub fn is_collecting(&self) -> bool {
        self.lock().collecting.is_some()
    }

    /// What was known when it began to.
    #[must_use]
    pub fn collecting(&self) -> Option<Arc<Collecting>> {
        self.lock().collecting.clone()
    }

    /// May be published under `epoch` until then.
    pub fn grant(&self, epoch: u64, until: Instant) {
        let before = self.lock().granted.replace(Granted { epoch, until });
        if before.is_none_or(|before| before.epoch != epoch) {
            self.0.changed.send_replace(());
        }
    }

    /// Nothing may be published any more.
    pub fn revoke(&self) {
        let before = self.lock().granted.take();
        if before.is_some() {
            self.0.changed.send_replace(());
        }
    }

    /// This server begins to collect, or (`None`) has stopped.
    pub fn set_collecting(&self, collecting: Option<Collecting>) {
        self.lock().collecting = collecting.map(Arc::new);
        self.0.changed.send_replace(());
    }

    /// Redis refused what was published under this epoch.
    pub fn refuse(&self, epoch: u64) {
        let mut state = self.lock();
        if state.granted.is_some_and(|granted| granted.epoch == epoch) {
            state.granted = None;
            drop(state);
            self.0.changed.send_replace(());
        }
        self.0.refused.notify_one();
    }

    /// Resolves after [`refuse`](Self::refuse).
    pub async fn refused(&self) {
        self.0.refused.notified().await;
    }

    /// Another server gave its lease up.
    pub fn tell_release(&self) {
        self.0.released.notify_one();
    }

    /// Resolves after [`tell_release`](Self::tell_release).
    pub async fn released(&self) {
        self.0.released.notified().await;
    }

    /// A word of a hand-over came, our own included.
    pub fn tell_word(&self, word: Word) {
        // Where nobody listens it is not for us.
        let _ = self.0.words.send(Arc::new(word));
    }

    /// The words of hand-overs from now on.
    #[must_use]
    pub fn words(&self) -> broadcast::Receiver<Arc<Word>> {
        self.0.words.subscribe()
    }

    /// Changes from now on.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.0.changed.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use std::time::Duration;

    #[test]
    fn it_ends_by_the_clock_or_when_redis_refuses_and_only_for_the_epoch_that_was_refused() {
        let (right, now) = (Right::default(), Instant::now());
        assert_eq!(right.epoch(now), None);
        let until = now + Duration::from_secs(1);
        right.grant(7, until);
        assert_eq!((right.epoch(now), right.epoch(until)), (Some(7), None));
        right.grant(8, until);
        right.refuse(7);
        assert_eq!(right.epoch(now), Some(8), "an answer to what was published before");
        assert!(right.refused().now_or_never().is_some());
        right.refuse(8);
        assert_eq!(right.epoch(now), None);
        let mut changes = right.changes();
        right.revoke();
        assert!(!changes.has_changed().expect("open"), "it had ended");
        right.grant(9, until);
        assert!(changes.has_changed().expect("open"));
        changes.mark_unchanged();
        right.grant(9, until + Duration::from_secs(1));
        assert!(!changes.has_changed().expect("open"), "prolonged");
    }
}
