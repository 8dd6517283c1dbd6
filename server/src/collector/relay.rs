//! Stands between the connections and the bus, and lets everything through, but for a hand-over: the collector that leaves notes
//! what it passed on last, and the one that follows keeps what comes until it knows what of it was passed on already.
//!
//! Both hear the same ticks of a symbol in the same order. So where the last ticks of the one are found among those of the other,
//! what is before was published, and what is behind was not. Where they are not found, one of the two heard nothing that the other
//! heard so far, and the times tell which.

use crate::bus::{LAST_TICKS, LastTick, Right, TickBus};
use app::model::{connection::ConnectionId, status::StatusReport, symbol::Symbol, tick::Tick, time::UnixMillis};
use futures_util::future::BoxFuture;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{
            AtomicBool,
            Ordering::{Acquire, Release},
        },
    },
    time::Duration,
};
use tokio::{sync::watch, time::Instant};

/// So long the one that follows may hear a tick later than the one that left.
const BEHIND_MAX: Duration = Duration::from_secs(2);
/// Ticks that are kept at most: of more nobody would know what was published.
const KEPT_MAX: usize = 1 << 16;

type Row = (Option<ConnectionId>, Symbol);

pub(super) struct Relay {
    bus: Arc<dyn TickBus>,
    /// Is there a hand-over?
    is_busy: AtomicBool,
    state: Mutex<State>,
    /// While it keeps: the newest status.
    status: watch::Sender<Option<Arc<StatusReport>>>,
    /// What lets a server that follows open its connections before it has the lease.
    invitation: Right,
}

#[derive(Default)]
enum State {
    #[default]
    Through,
    Noting(HashMap<Row, Last>),
    Keeping {
        ticks: Vec<Tick>,
        /// There were too many.
        is_lost: bool,
    },
    /// What is behind what was published of these rows has not come yet.
    Skipping {
        rows: HashMap<Row, Vec<Tick>>,
        until: Instant,
    },
}

/// The last ticks of a row, the newest first.
type Last = [Option<Tick>; LAST_TICKS];

impl Relay {
    pub(super) fn new(bus: Arc<dyn TickBus>) -> Self {
        Self {
            bus,
            is_busy: AtomicBool::new(false),
            state: Mutex::default(),
            status: watch::Sender::default(),
            invitation: Right::default(),
        }
    }

    pub(super) fn invitation(&self) -> &Right {
        &self.invitation
    }

    /// From now on it is noted what is passed on last.
    pub(super) fn note(&self) {
        *self.lock() = State::Noting(HashMap::new());
        self.is_busy.store(true, Release);
    }

    /// What was passed on last since [`note`](Self::note).
    pub(super) fn last(&self) -> Vec<LastTick> {
        match &*self.lock() {
            State::Noting(rows) => {
                rows.values().flat_map(|last| last.iter().rev().flatten().map(LastTick::from)).collect()
            }
            State::Through | State::Keeping { .. } | State::Skipping { .. } => Vec::new(),
        }
    }

    /// From now on everything is kept.
    pub(super) fn keep(&self) {
        *self.lock() = State::Keeping { ticks: Vec::new(), is_lost: false };
        self.status.send_replace(None);
        self.is_busy.store(true, Release);
    }

    /// The newest status, while it keeps.
    pub(super) fn status(&self) -> watch::Receiver<Option<Arc<StatusReport>>> {
        self.status.subscribe()
    }

    /// Passes on what was kept and comes after `last`, and then all that comes; `false`, and nothing is passed on, when that cannot be
    /// told.
    pub(super) fn pass_on(&self, last: &[LastTick]) -> bool {
        let mut state = self.lock();
        let State::Keeping { ticks, is_lost: false } = &mut *state else { return false };
        let rows = drop_published(ticks, last);
        self.bus.publish_ticks(ticks);
        self.status.send_replace(None);
        self.is_busy.store(!rows.is_empty(), Release);
        *state =
            if rows.is_empty() { State::Through } else { State::Skipping { rows, until: Instant::now() + BEHIND_MAX } };
        true
    }

    /// Forgets what was kept; what comes from now on is passed on.
    pub(super) fn forget(&self) {
        *self.lock() = State::Through;
        self.status.send_replace(None);
        self.is_busy.store(false, Release);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TickBus for Relay {
    fn publish_ticks(&self, ticks: &[Tick]) {
        if !self.is_busy.load(Acquire) {
            return self.bus.publish_ticks(ticks);
        }
        // Under the lock, so that what was kept comes before.
        let mut state = self.lock();
        match &mut *state {
            State::Through => self.bus.publish_ticks(ticks),
            State::Noting(rows) => {
                for tick in ticks {
                    let last = rows.entry((tick.connection_id, tick.symbol)).or_default();
                    last.rotate_right(1);
                    last[0] = Some(*tick);
                }
                self.bus.publish_ticks(ticks);
            }
            State::Keeping { ticks: kept, is_lost } => {
                if kept.len() + ticks.len() <= KEPT_MAX {
                    kept.extend_from_slice(ticks);
                } else {
                    *is_lost = true;
                }
            }
            State::Skipping { rows, until } => {
                let mut ticks = ticks.to_vec();
                ticks.retain(|tick| !was_published(tick, rows));
                self.bus.publish_ticks(&ticks);
                if rows.is_empty() || *until <= Instant::now() {
                    *state = State::Through;
                    self.is_busy.store(false, Release);
                }
            }
        }
    }

    fn publish_status(&self, status: Arc<StatusReport>) {
        if self.is_busy.load(Acquire) && matches!(*self.lock(), State::Keeping { .. }) {
            self.status.send_replace(Some(status));
        } else {
            self.bus.publish_status(status);
        }
    }

    fn published_until(&self, now: UnixMillis) -> UnixMillis {
        self.bus.published_until(now)
    }

    fn right(&self) -> Option<&Right> {
        let is_guest = self.is_busy.load(Acquire) && matches!(*self.lock(), State::Keeping { .. });
        if is_guest { Some(&self.invitation) } else { self.bus.right() }
    }

    fn flushed(&self) -> BoxFuture<'_, ()> {
        self.bus.flushed()
    }
}

/// Takes out of `kept` what was published up to `last`; answers the rows of which nothing else has come yet.
fn drop_published(kept: &mut Vec<Tick>, last: &[LastTick]) -> HashMap<Row, Vec<Tick>> {
    let mut lasts: HashMap<Row, Vec<Tick>> = HashMap::new();
    let mut own: HashMap<Row, Vec<Tick>> = HashMap::new();
    for tick in last.iter().map(Tick::from) {
        lasts.entry((tick.connection_id, tick.symbol)).or_default().push(tick);
    }
    for tick in &*kept {
        own.entry((tick.connection_id, tick.symbol)).or_default().push(*tick);
    }
    let mut counts: HashMap<Row, usize> = HashMap::new();
    lasts.retain(|row, last| {
        let count = own.get(row).map_or(0, |kept| published(kept, last));
        counts.insert(*row, count);
        count == 0
    });
    kept.retain(|tick| match counts.get_mut(&(tick.connection_id, tick.symbol)) {
        Some(left) if *left > 0 => {
            *left -= 1;
            false
        }
        _ => !was_published(tick, &mut lasts),
    });
    lasts
}

/// Was this one published before? The first of a row that was not ends the question.
fn was_published(tick: &Tick, rows: &mut HashMap<Row, Vec<Tick>>) -> bool {
    let row = (tick.connection_id, tick.symbol);
    let Some(last) = rows.get(&row) else { return false };
    let newest = last.last();
    let is_older = newest.is_some_and(|newest| tick.timestamp < newest.timestamp) || last.contains(tick);
    if !is_older || newest == Some(tick) {
        rows.remove(&row);
    }
    is_older
}

/// How many of the ticks that were kept of a row were published, `last` being the last of those.
fn published(kept: &[Tick], last: &[Tick]) -> usize {
    let ends_there = |count: &usize| {
        let common = (*count).min(last.len());
        kept[count - common..*count] == last[last.len() - common..]
    };
    (1..=kept.len()).rev().find(ends_there).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use app::model::time::UnixMillis;

    fn tick(symbol: &str, number: i64) -> Tick {
        let symbol = Symbol::parse(symbol).expect("a symbol");
        Tick { connection_id: Some(1), symbol, price: number as f64 + 0.1, volume: 1, timestamp: UnixMillis(number) }
    }

    fn ticks(symbol: &str, numbers: impl IntoIterator<Item = i64>) -> Vec<Tick> {
        numbers.into_iter().map(|number| tick(symbol, number)).collect()
    }

    /// What the one published is taken away from what the other kept.
    fn rest(published: &[Tick], kept: &[Tick]) -> Vec<Tick> {
        let (bus, _inbox) =
            crate::bus::open(None, crate::bus::Role::Watcher, &crate::tasks::Tasks::default()).expect("a bus");
        let leaves = Relay::new(bus);
        leaves.note();
        leaves.publish_ticks(published);
        let mut kept = kept.to_vec();
        drop_published(&mut kept, &leaves.last());
        kept
    }

    #[test]
    fn what_was_published_is_dropped_and_what_was_not_is_left_whoever_heard_more() {
        assert_eq!(rest(&ticks("A", 1..5), &ticks("A", 3..8)), ticks("A", 5..8));
        assert_eq!(rest(&ticks("A", 1..9), &ticks("A", 3..8)), [], "the one that left heard more so far");
        assert_eq!(rest(&ticks("A", 1..3), &ticks("A", 3..8)), ticks("A", 3..8), "none was heard by both");
        assert_eq!(rest(&[], &ticks("A", 3..8)), ticks("A", 3..8), "nothing since the offer");
        let (one, other) =
            ([ticks("A", 1..5), ticks("B", 1..3)].concat(), [ticks("B", 2..4), ticks("A", 4..6)].concat());
        assert_eq!(rest(&one, &other), [tick("B", 3), tick("A", 5)], "each symbol by itself");
    }

    #[test]
    fn ticks_that_look_alike_are_told_apart_by_those_before_them() {
        assert_eq!(rest(&ticks("A", [1, 2, 7]), &ticks("A", [2, 7, 7, 8])), ticks("A", [7, 8]));
        assert_eq!(rest(&ticks("A", [2, 7, 7]), &ticks("A", [2, 7, 7, 8])), ticks("A", [8]));
    }

    #[test]
    fn what_the_one_that_left_heard_first_is_not_published_when_it_comes() {
        let (bus, mut inbox) =
            crate::bus::open(None, crate::bus::Role::Watcher, &crate::tasks::Tasks::default()).expect("a bus");
        let relay = Relay::new(bus);
        relay.keep();
        relay.publish_ticks(&ticks("A", 1..4));
        let last: Vec<_> = ticks("A", 6..8).iter().chain(&ticks("B", 3..4)).map(LastTick::from).collect();
        assert!(relay.pass_on(&last));
        relay.publish_ticks(&ticks("A", 4..7));
        relay.publish_ticks(&ticks("A", 7..10));
        relay.publish_ticks(&ticks("B", 4..6));
        relay.publish_ticks(&ticks("C", 1..2));
        let mut delivery = crate::bus::Delivery::default();
        assert!(inbox.take_now(&mut delivery));
        assert_eq!(delivery.ticks, [ticks("A", 8..10), ticks("B", 4..6), ticks("C", 1..2)].concat());
        assert!(!relay.is_busy.load(Acquire), "and it is over");
    }

    #[test]
    fn what_is_kept_comes_before_what_follows_and_too_much_of_it_is_given_up() {
        let (bus, mut inbox) =
            crate::bus::open(None, crate::bus::Role::Watcher, &crate::tasks::Tasks::default()).expect("a bus");
        let relay = Relay::new(bus);
        relay.keep();
        relay.publish_ticks(&ticks("A", 1..4));
        assert!(relay.pass_on(&[LastTick::from(&tick("A", 1))]));
        relay.publish_ticks(&ticks("A", 4..5));
        let mut delivery = crate::bus::Delivery::default();
        assert!(inbox.take_now(&mut delivery));
        assert_eq!(delivery.ticks, ticks("A", 2..5));
        relay.keep();
        relay.publish_ticks(&vec![tick("A", 1); KEPT_MAX]);
        relay.publish_ticks(&ticks("A", 1..2));
        assert!(!relay.pass_on(&[]));
    }
}
