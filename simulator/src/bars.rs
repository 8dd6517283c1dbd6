//! Aggregates: the trades of a window folded into open, high, low, close and volume.

/// One window's trades, folded. Money is in cents.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bar {
    /// Start of the window, Unix milliseconds.
    pub(super) start: i64,
    /// First price.
    pub(super) open: i64,
    /// Highest price.
    pub(super) high: i64,
    /// Lowest price.
    pub(super) low: i64,
    /// Last price.
    pub(super) close: i64,
    /// Shares.
    pub(super) volume: u64,
    /// Shares times price.
    pub(super) notional: u64,
    /// Trades.
    pub(super) trades: u64,
    /// The day as it stood after the window's last trade.
    pub(super) day: Day,
}

/// A trading day so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Day {
    /// Days since 1970, UTC.
    pub(super) number: i64,
    /// The official open, in cents.
    pub(super) open: i64,
    /// Shares.
    pub(super) volume: u64,
    /// Shares times price in cents.
    pub(super) notional: u64,
}

/// The bars of one symbol and one window length: at most one being filled, one waiting to be sent, one sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bars {
    /// Length of a window in milliseconds.
    length: i64,
    filling: Option<Bar>,
    waiting: Option<Bar>,
    sent: Option<Bar>,
}

impl Bars {
    pub(super) const fn new(length: i64) -> Self {
        Self { length, filling: None, waiting: None, sent: None }
    }

    /// Folds in a trade. Returns a bar that nobody came for and that would be lost otherwise: the caller sends it.
    pub(super) fn add(&mut self, t: i64, cents: i64, size: u64, day: Day) -> Option<Bar> {
        let notional = size.saturating_mul(u64::try_from(cents).unwrap_or(0));
        let start = t - t.rem_euclid(self.length);
        if let Some(bar) = self.filling.as_mut().filter(|bar| bar.start == start) {
            bar.high = bar.high.max(cents);
            bar.low = bar.low.min(cents);
            bar.close = cents;
            bar.volume += size;
            bar.notional += notional;
            bar.trades += 1;
            bar.day = day;
            return None;
        }
        let first =
            Bar { start, open: cents, high: cents, low: cents, close: cents, volume: size, notional, trades: 1, day };
        match self.filling.replace(first) {
            Some(finished) => self.waiting.replace(finished),
            None => None,
        }
    }

    /// The bar whose time to be sent has come: `phase` milliseconds after the end of its window.
    pub(super) fn due(&mut self, now: i64, phase: i64) -> Option<Bar> {
        let length = self.length;
        let is_due = |bar: &mut Bar| now >= bar.start + length + phase;
        let bar = self.waiting.take_if(is_due).or_else(|| self.filling.take_if(is_due))?;
        self.sent = Some(bar);
        Some(bar)
    }

    /// The bar sent last.
    pub(super) fn sent(&self) -> Option<Bar> {
        self.sent
    }

    pub(super) fn length(&self) -> i64 {
        self.length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_folds_the_trades_of_its_window_and_is_due_after_its_phase() {
        let mut bars = Bars::new(1000);
        for (t, cents, size) in [(5_010, 100, 10), (5_500, 120, 20), (5_999, 90, 30), (6_000, 95, 1)] {
            assert_eq!(bars.add(t, cents, size, Day::default()), None);
        }
        assert_eq!(bars.due(6_149, 150), None);
        let bar = bars.due(6_150, 150).expect("a bar");
        assert_eq!((bar.start, bar.open, bar.high, bar.low, bar.close), (5_000, 100, 120, 90, 90));
        assert_eq!((bar.volume, bar.notional, bar.trades), (60, 1_000 + 2_400 + 2_700, 3));
        assert_eq!(bars.sent(), Some(bar));
    }

    #[test]
    fn a_window_without_trades_has_no_bar() {
        let mut bars = Bars::new(1000);
        assert_eq!(bars.add(5_010, 100, 10, Day::default()), None);
        assert!(bars.due(6_000, 0).is_some());
        assert_eq!(bars.due(60_000, 0), None);
    }

    #[test]
    fn a_bar_that_nobody_came_for_is_handed_back() {
        let mut bars = Bars::new(1000);
        assert_eq!(bars.add(1_000, 1, 1, Day::default()), None);
        assert_eq!(bars.add(2_000, 2, 1, Day::default()), None);
        assert_eq!(bars.add(3_000, 3, 1, Day::default()).map(|bar| bar.start), Some(1_000));
    }
}
