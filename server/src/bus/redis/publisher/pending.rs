//! Ticks that are not sent yet: in order while Redis takes them, the latest of each symbol while it does not.

use super::super::waiting::Waiting;
use crate::bus::mailbox::Delivery;
use app::model::{status::StatusReport, tick::Tick, time::UnixMillis};
use std::{collections::HashSet, sync::Arc, time::Duration};
use tokio::time::Instant;

pub(super) struct Pending {
    delivery: Delivery,
    /// Ticks in order, sent up to `sent`; the first of them was published at `since`.
    queue: Vec<Tick>,
    sent: usize,
    since: Instant,
    /// The latest of each symbol, while nothing is taken.
    waiting: Waiting,
}

/// What of those that wait goes next, once all in order are sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    All,
    /// As a proof that it is taken.
    One,
    None,
}

impl Default for Pending {
    fn default() -> Self {
        let (delivery, queue, waiting) = (Delivery::default(), Vec::new(), Waiting::default());
        Self { delivery, queue, sent: 0, since: Instant::now(), waiting }
    }
}

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        self.sent == self.queue.len() && self.waiting.is_empty()
    }

    /// When the first of those in order was published, while some are not sent.
    pub(super) fn since(&self) -> Option<Instant> {
        (self.sent < self.queue.len()).then_some(self.since)
    }

    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The next ticks, at most so many, and when the first of them was published.
    pub(super) fn next(&mut self, next: Next, count_max: usize) -> (&[Tick], Instant) {
        if self.sent == self.queue.len() {
            (self.sent, self.since) = (0, Instant::now());
            self.queue.clear();
            match next {
                Next::All => self.waiting.drain(&mut self.queue),
                Next::One => self.queue.extend(self.waiting.pop()),
                Next::None => {}
            }
        }
        let ticks = &self.queue[self.sent..];
        (&ticks[..ticks.len().min(count_max)], self.since)
    }

    /// So many of them are on their way.
    pub(super) fn sent(&mut self, count: usize) {
        self.sent += count;
    }

    /// Where the mailbox is emptied into, for [`receive`](Self::receive).
    pub(super) fn delivery(&mut self) -> &mut Delivery {
        &mut self.delivery
    }

    /// The newest status that came.
    pub(super) fn take_status(&mut self) -> Option<Arc<StatusReport>> {
        self.delivery.statuses.pop()
    }

    /// The mailbox was emptied, and nothing in order is left unless all is to wait. Answers how many ticks were replaced by later ones
    /// of their symbols, and how many were lost.
    pub(super) fn receive(&mut self, is_in_order: bool) -> (u64, u64) {
        let delivery = &mut self.delivery;
        let lost = delivery.lost;
        if !is_in_order {
            return (self.waiting.absorb(delivery) - lost, lost);
        }
        let replaced = delivery.conflated.iter().map(|(_, count)| u64::from(*count) - 1).sum();
        self.queue.clear();
        std::mem::swap(&mut self.queue, &mut delivery.ticks);
        self.queue.extend(delivery.conflated.drain(..).map(|(tick, _)| tick));
        self.sent = 0;
        let waited_ms = delivery.since.map_or(0, |since| UnixMillis::now().millis_since(since));
        let waited = Duration::from_millis(u64::try_from(waited_ms).unwrap_or(0));
        self.since = Instant::now().checked_sub(waited).unwrap_or_else(Instant::now);
        (replaced, lost)
    }

    /// What is in order and not sent waits from now on; answers how many were replaced.
    pub(super) fn let_wait(&mut self) -> u64 {
        let replaced = self.waiting.put(&self.queue[self.sent..]);
        self.queue.clear();
        self.sent = 0;
        replaced
    }

    /// What was sent and not taken waits again; answers the same. `is_left` is asked for each place: the others were taken, and
    /// nothing comes behind a later tick of its symbol.
    pub(super) fn put_back(&mut self, ticks: &[Tick], is_left: impl Fn(usize) -> bool) -> u64 {
        let (mut taken, mut left, mut replaced) = (HashSet::new(), Vec::new(), 0);
        for (place, tick) in ticks.iter().enumerate().rev() {
            let row = (tick.connection_id, tick.symbol);
            if !is_left(place) {
                taken.insert(row);
            } else if taken.contains(&row) {
                replaced += 1;
            } else {
                left.push(*tick);
            }
        }
        left.reverse();
        replaced + self.waiting.put_older(&left)
    }

    /// Drops all of it; answers how many that were.
    pub(super) fn clear(&mut self) -> u64 {
        let left = self.queue.len() - self.sent + self.waiting.len();
        self.queue.clear();
        (self.sent, self.waiting) = (0, Waiting::default());
        left as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::mailbox::tests::tick;

    #[test]
    fn what_was_refused_does_not_come_behind_a_later_tick_of_its_symbol_that_was_taken() {
        let mut pending = Pending::default();
        let sent = [tick("A", 1.0), tick("B", 1.0), tick("A", 2.0), tick("B", 2.0), tick("C", 1.0)];
        // The first two were refused, and the last one.
        assert_eq!(pending.put_back(&sent, |place| [0, 1, 4].contains(&place)), 2);
        assert_eq!(pending.next(Next::All, 10).0, [tick("C", 1.0)]);
        pending.sent(1);
        assert_eq!(pending.put_back(&sent[..3], |_| true), 1, "none was taken: the latest of each waits");
        assert_eq!(pending.clear(), 2);
    }
}
