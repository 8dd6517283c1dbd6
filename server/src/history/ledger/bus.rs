//! The bus's own gaps: while Redis takes no ticks, what is collected reaches nobody who reads it from there.

use app::model::{
    history::gap::{BUS, CauseStep, Gap, GapCause},
    status::{BusKind, BusStatus},
    time::UnixMillis,
};

/// Shorter than this, a Redis that takes nothing is a gap only when there was something to take.
const EMPTY_MS_MIN: i64 = 5_000;

#[derive(Debug, Default)]
pub(super) struct BusWatch {
    pub(super) open: Option<Gap>,
    /// The last number given.
    pub(super) number: u32,
    /// Ticks that Redis did not take, as of the last look.
    unpublished_total: u64,
    /// Where the counter stood when the open gap began, less what an earlier run counted of it.
    base: Base,
    /// When it was last in order.
    fine_at: Option<UnixMillis>,
    /// When it last was not.
    bad_at: UnixMillis,
    was_publishing: bool,
    /// The end of the last gap: the next one starts no earlier.
    free_at: UnixMillis,
}

#[derive(Clone, Copy, Debug, Default)]
struct Base {
    counter: u64,
    counted_before: u64,
}

impl BusWatch {
    /// A gap that an earlier run left open: this run counts from zero.
    pub(super) fn resume(&mut self, gap: Gap) {
        self.base = Base { counter: 0, counted_before: gap.unpublished_ticks.unwrap_or(0) };
        (self.bad_at, self.open) = (gap.started_at, Some(gap));
    }

    /// Looks at the bus; answers its gap when it began, went on or ended.
    pub(super) fn observe(&mut self, bus: &BusStatus, now: UnixMillis) -> Option<Gap> {
        let before = std::mem::replace(&mut self.unpublished_total, bus.unpublished_ticks_total);
        let grew = self.unpublished_total > before;
        let publishing = bus.kind == BusKind::Memory || bus.not_publishing_since.is_none();
        let was_publishing = std::mem::replace(&mut self.was_publishing, publishing);
        let changed = if self.open.is_some() {
            self.go_on(grew, publishing, was_publishing, now)
        } else {
            let lasts = bus.not_publishing_since.is_some_and(|since| now.millis_since(since) >= EMPTY_MS_MIN);
            (grew || (!publishing && lasts)).then(|| self.begin(bus, before, now))
        };
        if publishing && !grew {
            self.fine_at = Some(now);
        } else {
            self.bad_at = now;
        }
        changed
    }

    fn begin(&mut self, bus: &BusStatus, before: u64, now: UnixMillis) -> Gap {
        // The trouble may be over by now: then the last look in which all was well may have been within it.
        let over = || bus.unpublished_since.into_iter().chain(self.fine_at).min();
        let since = bus.not_publishing_since.or_else(over).unwrap_or(now).min(now);
        self.number += 1;
        self.base = Base { counter: before, counted_before: 0 };
        let mut gap = Gap {
            last_tick_at: bus.not_publishing_since,
            unpublished_ticks: Some(self.unpublished_total - before),
            ..Gap::blank(BUS, self.number, since.max(self.free_at.min(now)))
        };
        let words = bus.reason.clone().unwrap_or_else(|| "Redis did not take all ticks".to_owned());
        gap.went_through(CauseStep { cause: GapCause::BusDown, at: gap.started_at, close_code: None, words });
        self.open = Some(gap.clone());
        gap
    }

    fn go_on(&mut self, grew: bool, publishing: bool, was_publishing: bool, now: UnixMillis) -> Option<Gap> {
        let base = self.base;
        let gap = self.open.as_mut()?;
        let unpublished = base.counted_before + self.unpublished_total.saturating_sub(base.counter);
        gap.unpublished_ticks = Some(unpublished);
        if publishing && !grew {
            // What the publisher gave up is counted as it publishes again: then that was the end.
            let ended_at = if was_publishing { self.bad_at } else { now };
            gap.ended_at = Some(ended_at.max(gap.started_at));
            self.free_at = ended_at.max(gap.started_at);
            return self.open.take();
        }
        grew.then(|| gap.clone())
    }

    /// This server publishes no more, so that the bus has no gap from now on.
    pub(super) fn end(&mut self, now: UnixMillis) -> Option<Gap> {
        let gap = self.open.as_mut()?;
        gap.ended_at = Some(now.max(gap.started_at));
        self.free_at = now.max(gap.started_at);
        self.open.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 1_000_000;

    fn bus(unpublished_ticks_total: u64, not_publishing_since: Option<i64>) -> BusStatus {
        BusStatus {
            kind: BusKind::Redis,
            reason: not_publishing_since.map(|_| "Redis does not take ticks: refused".to_owned()),
            unpublished_ticks_total,
            not_publishing_since: not_publishing_since.map(UnixMillis),
            ..BusStatus::default()
        }
    }

    #[test]
    fn what_redis_does_not_take_is_a_gap_of_the_bus_with_its_exact_count() {
        let mut watch = BusWatch { number: 2, ..BusWatch::default() };
        assert_eq!(watch.observe(&bus(7, None), UnixMillis(START)).map(|gap| gap.name()), Some("bus-3".into()));
        let mut look = |bus: &BusStatus, after: i64| watch.observe(bus, UnixMillis(START + after));
        let ended = look(&bus(7, None), 1_000).expect("ended");
        assert_eq!((ended.ended_at, ended.unpublished_ticks), (Some(UnixMillis(START)), Some(7)));
        let down = Some(START + 1_500);
        assert_eq!(look(&bus(7, down), 2_000), None, "nothing was lost yet");
        let began = look(&bus(107, down), 3_000).expect("began");
        assert_eq!((began.name(), began.started_at), ("bus-4".into(), UnixMillis(START + 1_500)));
        assert_eq!((began.cause, began.words.as_str()), (GapCause::BusDown, "Redis does not take ticks: refused"));
        assert_eq!(look(&bus(307, down), 4_000).and_then(|gap| gap.unpublished_ticks), Some(300));
        assert_eq!(look(&bus(307, down), 5_000), None, "no news");
        let counted = look(&bus(350, None), 6_000).expect("counted as it publishes again");
        assert_eq!((counted.ended_at, counted.unpublished_ticks), (None, Some(343)));
        let ended = look(&bus(350, None), 7_000).expect("ended");
        assert_eq!((ended.ended_at, ended.unpublished_ticks), (Some(UnixMillis(START + 6_000)), Some(343)));
        assert_eq!(look(&bus(350, None), 8_000), None);
    }

    #[test]
    fn a_redis_that_is_away_while_nothing_ticks_is_a_gap_too_once_it_lasts() {
        let mut watch = BusWatch::default();
        assert_eq!(watch.observe(&bus(0, Some(START)), UnixMillis(START + 4_999)), None);
        let gap = watch.observe(&bus(0, Some(START)), UnixMillis(START + 5_000)).expect("began");
        assert_eq!((gap.started_at, gap.unpublished_ticks), (UnixMillis(START), Some(0)));
        let gap = watch.observe(&bus(0, None), UnixMillis(START + 9_000)).expect("ended");
        assert_eq!(gap.ended_at, Some(UnixMillis(START + 9_000)));
    }

    #[test]
    fn a_trouble_that_came_and_went_between_two_looks_is_a_gap_from_its_begin() {
        let mut watch = BusWatch::default();
        assert_eq!(watch.observe(&bus(0, None), UnixMillis(START + 2_000)), None);
        let over = BusStatus { unpublished_since: Some(UnixMillis(START)), ..bus(9, None) };
        let gap = watch.observe(&over, UnixMillis(START + 2_200)).expect("began");
        assert_eq!((gap.started_at, gap.ended_at), (UnixMillis(START), None));
        let gap = watch.end(UnixMillis(START + 2_300)).expect("ended");
        assert_eq!((gap.ended_at, gap.unpublished_ticks), (Some(UnixMillis(START + 2_300)), Some(9)));
        assert_eq!(watch.end(UnixMillis(START + 2_400)), None);
    }

    #[test]
    fn a_gap_of_the_bus_that_a_crash_left_open_goes_on_with_its_count() {
        let mut watch = BusWatch::default();
        watch.resume(Gap { unpublished_ticks: Some(500), ..Gap::blank(BUS, 1, UnixMillis(START)) });
        let gap = watch.observe(&bus(20, Some(START + 1)), UnixMillis(START + 1_000)).expect("goes on");
        assert_eq!((gap.number, gap.unpublished_ticks), (1, Some(520)));
    }
}
