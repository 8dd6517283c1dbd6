//! Everything that the page of the full metrics shows, and how it grows while it is open.

use super::{
    HistoryEvent, HistoryTrouble,
    gap::Gap,
    series::{Bucket, Series},
};
use crate::model::{connection::ConnectionId, market::MarketSession, time::UnixMillis};
use serde::{Deserialize, Serialize};

/// The most events that a view lists, newest first; the export has all of them.
pub const VIEW_EVENTS_MAX: usize = 200;
/// The most gaps that a view lists, newest first.
pub const VIEW_GAPS_MAX: usize = 200;

/// A stretch of history.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HistoryView {
    /// When this was put together.
    pub at: UnixMillis,
    /// The begin of the first bucket.
    pub from: UnixMillis,
    /// The end of the range, inside the last bucket or at its end.
    pub to: UnixMillis,
    /// The length of a bucket.
    pub bucket_seconds: u32,
    /// When history begins; `None` while there is none.
    pub began: Option<UnixMillis>,
    /// The market at [`HistoryView::at`].
    pub market: MarketSession,
    /// Every connection that can be chosen, by number, with its name.
    pub connections: Vec<(ConnectionId, String)>,
    /// One a connection that is chosen, by number.
    pub series: Vec<Series>,
    /// Newest first, at most [`VIEW_GAPS_MAX`].
    pub gaps: Vec<Gap>,
    /// How many gaps the range has.
    pub gaps_total: u64,
    /// The alerts that told of these gaps.
    pub gap_alerts: Vec<GapAlert>,
    /// Newest first, at most [`VIEW_EVENTS_MAX`].
    pub events: Vec<HistoryEvent>,
    /// How many events the range has.
    pub events_total: u64,
    /// Why history is not being kept; `None` while it is.
    pub trouble: Option<HistoryTrouble>,
    /// The gaps that are not in the list, from left to right by connection; empty when all are.
    pub older_gaps: Vec<GapBundle>,
    /// The events that are not in the list, from left to right; empty when all are.
    pub older_events: Vec<EventBundle>,
}

/// An alert that told of a gap.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GapAlert {
    /// The gap, by its number in the database.
    pub gap: i64,
    /// The alert's id.
    pub alert: String,
    /// What it was, in a few words.
    pub title: String,
}

/// Gaps of one connection that lie in the same buckets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GapBundle {
    /// The connection, or [`BUS`](super::gap::BUS).
    pub connection_id: ConnectionId,
    /// When the first of them began.
    pub from: UnixMillis,
    /// When the last of them ended; the end of the range for one that lasts.
    pub to: UnixMillis,
    /// How many.
    pub count: u64,
}

/// Events in one bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventBundle {
    /// When the bucket begins.
    pub at: UnixMillis,
    /// How many.
    pub count: u64,
}

impl HistoryView {
    /// How many buckets each series has.
    #[must_use]
    pub fn length(&self) -> usize {
        let span = self.to.millis_since(self.from).max(0) as u64;
        span.div_ceil(self.bucket_ms()).max(1) as usize
    }

    /// The length of a bucket in milliseconds.
    #[must_use]
    pub fn bucket_ms(&self) -> u64 {
        u64::from(self.bucket_seconds.max(1)) * 1000
    }

    /// When a bucket begins.
    #[must_use]
    pub fn bucket_at(&self, place: usize) -> UnixMillis {
        UnixMillis(self.from.0 + (place as u64 * self.bucket_ms()) as i64)
    }

    /// Where a moment is, from 0 at the left edge to 1 at the right one, and never beyond.
    #[must_use]
    pub fn position(&self, at: UnixMillis) -> f64 {
        let span = (self.length() as u64 * self.bucket_ms()) as f64;
        (at.millis_since(self.from) as f64 / span).clamp(0.0, 1.0)
    }

    /// The bucket that a moment is in, or the nearest one.
    #[must_use]
    pub fn place(&self, at: UnixMillis) -> usize {
        let length = self.length();
        ((self.position(at) * length as f64) as usize).min(length - 1)
    }

    /// All gaps, those that are not listed included: connection, begin, end, and how many they are.
    pub fn gap_spans(&self) -> impl Iterator<Item = GapBundle> + '_ {
        let listed = self.gaps.iter().map(|gap| GapBundle {
            connection_id: gap.connection_id,
            from: gap.started_at,
            to: gap.ended_at.unwrap_or(self.to),
            count: 1,
        });
        listed.chain(self.older_gaps.iter().copied())
    }

    /// All events, those that are not listed included: when, and how many they are.
    pub fn event_spans(&self) -> impl Iterator<Item = EventBundle> + '_ {
        let listed = self.events.iter().map(|event| EventBundle { at: event.at, count: 1 });
        listed.chain(self.older_events.iter().copied())
    }

    /// Why there is nothing to show; `None` where there is anything. That nothing was kept is not that nothing happened.
    #[must_use]
    pub fn emptiness(&self) -> Option<String> {
        let is_seen = self.series.iter().any(|series| series.buckets.iter().any(|bucket| bucket.covered_ms > 0));
        if is_seen || self.gaps_total > 0 {
            return None;
        }
        let why = match self.began {
            _ if self.from > self.at => " It is in the future.".to_owned(),
            Some(began) if self.to <= began => [" History begins at ", &began.to_string(), "."].concat(),
            _ => String::new(),
        };
        Some(["No history for this range.", &why].concat())
    }

    /// The moment from which on a newer view is asked for: the begin of the last bucket, which was not over yet.
    #[must_use]
    pub fn resume_at(&self) -> UnixMillis {
        self.bucket_at(self.length() - 1)
    }

    /// Takes a newer view of the tail in: its buckets replace and continue ours, what left the range on the left goes.
    /// Events and gaps are the tail's own, as they are always whole. False when the two do not fit together; then a whole
    /// view is due.
    pub fn extend(&mut self, tail: Self, range_ms: i64) -> bool {
        let bucket_ms = self.bucket_ms() as i64;
        let offset = tail.from.millis_since(self.from);
        let fits = tail.bucket_seconds == self.bucket_seconds
            && offset >= 0
            && offset % bucket_ms == 0
            && offset / bucket_ms <= self.length() as i64
            && tail.series.iter().all(|new| self.series.iter().any(|ours| ours.connection_id == new.connection_id));
        if !fits {
            return false;
        }
        let from = super::series::floor_to(UnixMillis(tail.to.0 - range_ms), self.bucket_seconds).max(self.from);
        let gone = (from.millis_since(self.from) / bucket_ms) as usize;
        let keep = (offset / bucket_ms) as usize;
        (self.at, self.from, self.to, self.trouble) = (tail.at, from, tail.to, tail.trouble);
        (self.market, self.connections) = (tail.market, tail.connections);
        (self.gaps, self.gaps_total, self.events, self.events_total) =
            (tail.gaps, tail.gaps_total, tail.events, tail.events_total);
        self.gap_alerts = tail.gap_alerts;
        (self.began, self.older_gaps, self.older_events) = (tail.began, tail.older_gaps, tail.older_events);
        let length = self.length();
        for series in &mut self.series {
            series.buckets.truncate(keep);
            // A connection that is configured no more is in the past alone.
            if let Some(tail) = tail.series.iter().find(|tail| tail.connection_id == series.connection_id) {
                series.buckets.extend_from_slice(&tail.buckets);
            }
            series.buckets.drain(..gone.min(series.buckets.len()));
            series.buckets.resize(length, Bucket::default());
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn view(from: i64, to: i64, ticks: impl Fn(i64) -> u64) -> HistoryView {
        let mut view = HistoryView {
            at: UnixMillis(to),
            from: UnixMillis(from),
            to: UnixMillis(to),
            bucket_seconds: 10,
            ..HistoryView::default()
        };
        let buckets = (0..view.length()).map(|place| Bucket {
            covered_ms: 10_000,
            ticks: ticks(view.bucket_at(place).0),
            ..Bucket::default()
        });
        view.series = vec![Series { connection_id: 1, name: "primary".into(), buckets: buckets.collect() }];
        view
    }

    #[test]
    fn a_moment_has_a_place_on_the_axis() {
        let view = view(0, 95_000, |_| 1);
        assert_eq!((view.length(), view.resume_at()), (10, UnixMillis(90_000)));
        assert_eq!([-5, 0, 50_000, 500_000].map(|at| view.position(UnixMillis(at))), [0.0, 0.0, 0.5, 1.0]);
    }

    #[test]
    fn nothing_on_record_is_not_that_all_went_well() {
        let mut view = view(1_000_000, 1_100_000, |_| 0);
        assert_eq!(view.emptiness(), None, "it was looked at, and nothing ticked");
        view.series.clear();
        assert_eq!(view.emptiness().as_deref(), Some("No history for this range."));
        view.began = Some(UnixMillis(1_768_998_896_789));
        let before = "No history for this range. History begins at 2026-01-21T12:34:56.789Z.";
        assert_eq!(view.emptiness().as_deref(), Some(before));
        view.at = UnixMillis(999_999);
        assert_eq!(view.emptiness().as_deref(), Some("No history for this range. It is in the future."));
        view.gaps_total = 1;
        assert_eq!(view.emptiness(), None, "a gap is known of it");
    }

    #[test]
    fn what_does_not_continue_is_refused() {
        let mut ours = view(0, 100_000, |_| 1);
        let before = ours.clone();
        assert!(!ours.extend(view(200_000, 300_000, |_| 1), 100_000), "a hole");
        assert!(!ours.extend(HistoryView { bucket_seconds: 60, ..view(90_000, 100_000, |_| 1) }, 100_000));
        assert!(!ours.extend(view(95_000, 105_000, |_| 1), 100_000), "between two buckets");
        assert_eq!(ours, before);
    }

    proptest! {
        /// However often a page asks, it shows what a fresh page would.
        #[test]
        fn a_view_that_grew_is_the_view_asked_for_afresh(steps in prop::collection::vec(1_i64..40_000, 1..30)) {
            let range_ms = 300_000;
            let start = |to: i64| super::super::series::floor_to(UnixMillis(to - range_ms), 10).0;
            let ticks = |at: i64| (at / 10_000) as u64;
            let mut to = 1_000_000;
            let mut grown = view(start(to), to, ticks);
            for step in steps {
                to += step;
                let tail = view(grown.resume_at().0, to, ticks);
                prop_assert!(grown.extend(tail, range_ms));
                prop_assert_eq!(&grown, &view(start(to), to, ticks));
            }
        }
    }
}
