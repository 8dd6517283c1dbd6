//! Ticks that wait while Redis takes none: the latest of each symbol.

use super::super::mailbox::{Delivery, SYMBOLS_MAX};
use app::model::{connection::ConnectionId, symbol::Symbol, tick::Tick};
use foldhash::HashMap;

#[derive(Default)]
pub(super) struct Waiting {
    ticks: Vec<Tick>,
    places: HashMap<(Option<ConnectionId>, Symbol), usize>,
}

impl Waiting {
    pub(super) fn is_empty(&self) -> bool {
        self.ticks.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.ticks.len()
    }

    /// Takes ticks that are newer than all that wait; answers how many will never be published.
    pub(super) fn put(&mut self, ticks: &[Tick]) -> u64 {
        ticks.iter().map(|tick| u64::from(self.put_one(*tick, true))).sum()
    }

    /// Takes back ticks that are older than all that wait; answers the same.
    pub(super) fn put_older(&mut self, ticks: &[Tick]) -> u64 {
        ticks.iter().rev().map(|tick| u64::from(self.put_one(*tick, false))).sum()
    }

    /// Takes what came from the mailbox; answers the same.
    pub(super) fn absorb(&mut self, delivery: &Delivery) -> u64 {
        let in_order = self.put(&delivery.ticks);
        let conflated = delivery.conflated.iter();
        let replaced: u64 =
            conflated.map(|(tick, count)| u64::from(*count) - 1 + u64::from(self.put_one(*tick, true))).sum();
        in_order + replaced + delivery.lost
    }

    /// Does this one, or the one that it replaces, go unpublished for good?
    fn put_one(&mut self, tick: Tick, is_newer: bool) -> bool {
        let place = self.places.get(&(tick.connection_id, tick.symbol));
        if let Some(&place) = place {
            if is_newer {
                self.ticks[place] = tick;
            }
            return true;
        }
        if self.ticks.len() >= SYMBOLS_MAX {
            return true;
        }
        self.places.insert((tick.connection_id, tick.symbol), self.ticks.len());
        self.ticks.push(tick);
        false
    }

    /// Takes one out.
    pub(super) fn pop(&mut self) -> Option<Tick> {
        let tick = self.ticks.pop()?;
        self.places.remove(&(tick.connection_id, tick.symbol));
        Some(tick)
    }

    /// Takes all out.
    pub(super) fn drain(&mut self, into: &mut Vec<Tick>) {
        self.places.clear();
        into.append(&mut self.ticks);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::mailbox::tests::tick;

    #[test]
    fn the_latest_of_each_symbol_waits_and_each_of_the_others_is_counted_once() {
        let mut waiting = Waiting::default();
        assert_eq!(waiting.put(&[tick("A", 3.0), tick("A", 4.0)]), 1);
        assert_eq!(waiting.put_older(&[tick("B", 1.0), tick("A", 1.0), tick("B", 2.0)]), 2);
        let delivery = Delivery {
            ticks: vec![tick("B", 5.0)],
            conflated: vec![(tick("A", 9.0), 7)],
            lost: 2,
            ..Delivery::default()
        };
        assert_eq!(waiting.absorb(&delivery), 1 + 7 + 2);
        assert_eq!(waiting.pop(), Some(tick("B", 5.0)));
        assert_eq!(waiting.put(&[tick("B", 6.0)]), 0, "what was taken out waits no more");
        let mut all = Vec::new();
        waiting.drain(&mut all);
        assert_eq!(all, [tick("A", 9.0), tick("B", 6.0)]);
        assert!(waiting.is_empty());
    }
}
