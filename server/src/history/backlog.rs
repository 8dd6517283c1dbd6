//! What waits to be written. Bounded: a database that is away for long loses the oldest samples first, and what was lost
//! is counted, to be on record when it is back.

use crate::database::history::{Batch, NewEvent, Run, Sample};
use app::model::{
    connection::ConnectionId,
    history::{EventKind, gap::Gap},
    time::UnixMillis,
};
use std::collections::{BTreeMap, VecDeque};

/// An hour and a half of three connections.
const SAMPLES_MAX: usize = 16_384;
const EVENTS_MAX: usize = 4_096;
const GAPS_MAX: usize = 1_024;
/// The most entries of a kind in one transaction, so that no other writer waits for long.
const BATCH_MAX: usize = 1_000;

#[derive(Debug, Default)]
pub(super) struct Backlog {
    samples: VecDeque<Sample>,
    events: VecDeque<NewEvent>,
    /// The newest shape of each.
    gaps: BTreeMap<(ConnectionId, u32), Gap>,
    lost: Lost,
}

/// What was dropped unwritten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lost {
    pub(super) samples: u64,
    pub(super) events: u64,
    pub(super) gaps: u64,
    /// The times of the first and the last of them.
    pub(super) span: Option<(UnixMillis, UnixMillis)>,
}

impl Lost {
    fn note(&mut self, at: UnixMillis) {
        let (first, last) = self.span.unwrap_or((at, at));
        self.span = Some((first.min(at), last.max(at)));
    }
}

impl Backlog {
    pub(super) fn sample(&mut self, sample: Sample) {
        self.samples.push_back(sample);
        self.bound();
    }

    pub(super) fn event(&mut self, event: NewEvent) {
        self.events.push_back(event);
        self.bound();
    }

    pub(super) fn gap(&mut self, gap: Gap) {
        self.gaps.insert((gap.connection_id, gap.number), gap);
        self.bound();
    }

    fn bound(&mut self) {
        while self.samples.len() > SAMPLES_MAX {
            let Some(sample) = self.samples.pop_front() else { break };
            self.lost.samples += 1;
            self.lost.note(sample.at);
        }
        while self.events.len() > EVENTS_MAX {
            let Some(event) = self.events.pop_front() else { break };
            self.lost.events += 1;
            self.lost.note(event.at);
        }
        while self.gaps.len() > GAPS_MAX {
            // Never one that lasts: it would last for ever in the ledger.
            let ended = self.gaps.iter().find(|(_, gap)| gap.ended_at.is_some()).map(|(key, _)| *key);
            let Some(gap) = ended.or_else(|| self.gaps.keys().next().copied()).and_then(|key| self.gaps.remove(&key))
            else {
                break;
            };
            self.lost.gaps += 1;
            self.lost.note(gap.started_at);
        }
    }

    /// The next transaction, taken out; on the record of the one that writes it.
    pub(super) fn take(&mut self, run: Run) -> Batch {
        let samples = self.samples.drain(..self.samples.len().min(BATCH_MAX)).collect();
        let events = self.events.drain(..self.events.len().min(BATCH_MAX)).collect();
        Batch { run, epoch: None, samples, events, gaps: std::mem::take(&mut self.gaps).into_values().collect() }
    }

    /// A transaction that was not written, back to where it was.
    pub(super) fn put_back(&mut self, batch: Batch) {
        for sample in batch.samples.into_iter().rev() {
            self.samples.push_front(sample);
        }
        for event in batch.events.into_iter().rev() {
            self.events.push_front(event);
        }
        for gap in batch.gaps {
            // What is there by now is newer.
            self.gaps.entry((gap.connection_id, gap.number)).or_insert(gap);
        }
        self.bound();
    }

    /// Does nothing wait?
    pub(super) fn is_empty(&self) -> bool {
        self.samples.is_empty() && self.events.is_empty() && self.gaps.is_empty()
    }

    /// After an outage of the database: an entry that says what became of history meanwhile.
    pub(super) fn settle(&mut self, since: UnixMillis, now: UnixMillis, reason: &str) {
        let lost = std::mem::take(&mut self.lost);
        let mut text =
            ["Not written from ", &since.to_string(), " to ", &now.to_string(), " (", reason, "): "].concat();
        match lost.span {
            None => text.push_str("nothing was lost, all of it was written late"),
            Some((first, last)) => {
                text.push_str(&format!(
                    "{} samples, {} events and {} gaps between {first} and {last} are lost",
                    lost.samples, lost.events, lost.gaps
                ));
            }
        }
        self.event(NewEvent { at: now, connection_id: None, kind: EventKind::History, state: None, text });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at: i64) -> Sample {
        Sample { connection_id: 1, at: UnixMillis(at), ..Sample::default() }
    }

    fn ats(batch: &Batch) -> Vec<i64> {
        batch.samples.iter().map(|sample| sample.at.0).collect()
    }

    #[test]
    fn what_was_not_written_comes_first_again() {
        let mut backlog = Backlog::default();
        (0..3).for_each(|at| backlog.sample(sample(at)));
        let batch = backlog.take(Run::default());
        backlog.sample(sample(3));
        backlog.put_back(batch);
        assert_eq!(ats(&backlog.take(Run::default())), [0, 1, 2, 3]);
        assert!(backlog.is_empty());
    }

    #[test]
    fn a_long_outage_loses_the_oldest_and_says_so() {
        let mut backlog = Backlog::default();
        (0..SAMPLES_MAX as i64 + 5).for_each(|at| backlog.sample(sample(at)));
        assert_eq!(backlog.samples.len(), SAMPLES_MAX);
        backlog.settle(UnixMillis(0), UnixMillis(9_000), "disk full");
        let batch = backlog.take(Run::default());
        assert_eq!((batch.samples.len(), ats(&batch)[0]), (BATCH_MAX, 5), "a transaction is bounded too");
        let text = &batch.events[0].text;
        assert!(text.contains("(disk full): 5 samples, 0 events and 0 gaps between"), "{text}");

        backlog.settle(UnixMillis(0), UnixMillis(9_000), "locked");
        let text = backlog.take(Run::default()).events[0].text.clone();
        assert!(text.ends_with("nothing was lost, all of it was written late"), "{text}");
    }
}
