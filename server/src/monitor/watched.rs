//! Single symbols that somebody looks at, second by second. While nobody does, nothing is recorded.

use app::model::{
    connection::ConnectionId,
    symbol::Symbol,
    symbol_detail::{LOOKED_AT_MS, SECONDS_KEPT, SymbolSecond, WATCHED_MAX},
    tick::Tick,
    time::UnixMillis,
};
use std::collections::VecDeque;

/// A symbol that was not asked for during so long is recorded no more. Whoever gets a link from a colleague sees the same past.
const WATCHED_MS: i64 = 300_000;

/// What is recorded.
#[derive(Debug, Default)]
pub(super) struct WatchedSymbols(Vec<WatchedSymbol>);

/// One symbol of one connection.
#[derive(Debug)]
pub(super) struct WatchedSymbol {
    key: (ConnectionId, Symbol),
    asked_at: UnixMillis,
    pub(super) since: UnixMillis,
    pub(super) last_arrival: Option<UnixMillis>,
    pub(super) seconds: VecDeque<SymbolSecond>,
}

impl WatchedSymbols {
    /// Records a symbol from now on, if it does not already; `None` while others look at as many as are recorded.
    pub(super) fn ask(&mut self, key: (ConnectionId, Symbol), now: UnixMillis) -> Option<&WatchedSymbol> {
        self.forget(now);
        if !self.0.iter().any(|watched| watched.key == key) {
            if self.0.len() >= WATCHED_MAX {
                let oldest = self.0.iter().enumerate().min_by_key(|(_, watched)| watched.asked_at);
                let unseen = oldest.filter(|(_, watched)| now.millis_since(watched.asked_at) > LOOKED_AT_MS);
                self.0.remove(unseen?.0);
            }
            let seconds = VecDeque::new();
            self.0.push(WatchedSymbol { key, asked_at: now, since: now, last_arrival: None, seconds });
        }
        let watched = self.0.iter_mut().find(|watched| watched.key == key)?;
        watched.asked_at = now;
        watched.cut(now);
        Some(watched)
    }

    /// A tick came in, or several in one.
    pub(super) fn record(&mut self, id: ConnectionId, tick: &Tick, count: u32, now: UnixMillis) {
        let key = (id, tick.symbol);
        if let Some(watched) = self.0.iter_mut().find(|watched| watched.key == key) {
            watched.take(tick.price, count, now);
        }
    }

    /// Lets go of what nobody asks for any more.
    pub(super) fn forget(&mut self, now: UnixMillis) {
        self.0.retain(|watched| now.millis_since(watched.asked_at) < WATCHED_MS);
    }
}

impl WatchedSymbol {
    fn take(&mut self, price: f64, count: u32, now: UnixMillis) {
        let gap_ms = self.last_arrival.replace(now).map_or(0, |last| now.millis_since(last).max(0));
        let gap_ms = u32::try_from(gap_ms).unwrap_or(u32::MAX);
        let at = UnixMillis(now.0.div_euclid(1_000) * 1_000);
        match self.seconds.back_mut().filter(|second| second.at == at) {
            Some(second) => {
                (second.price, second.ticks) = (price, second.ticks.saturating_add(count));
                second.gap_ms = second.gap_ms.max(gap_ms);
            }
            None => {
                self.cut(now);
                self.seconds.push_back(SymbolSecond { at, price, ticks: count, gap_ms });
            }
        }
    }

    /// Drops what is older than is kept.
    fn cut(&mut self, now: UnixMillis) {
        let from = UnixMillis(now.0 - SECONDS_KEPT as i64 * 1_000);
        while self.seconds.front().is_some_and(|second| second.at < from) || self.seconds.len() >= SECONDS_KEPT {
            self.seconds.pop_front();
        }
        self.since = self.since.max(from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tick(symbol: &str, price: f64) -> Tick {
        let symbol = Symbol::parse(symbol).unwrap();
        Tick { connection_id: Some(1), symbol, price, volume: 1, timestamp: UnixMillis(0) }
    }

    #[test]
    fn seconds_hold_the_last_price_the_count_and_the_longest_gap() {
        let mut watched = WatchedSymbols::default();
        let aapl = tick("AAPL", 1.0);
        let key = (1, aapl.symbol);
        watched.record(1, &aapl, 1, UnixMillis(500));
        assert!(watched.ask(key, UnixMillis(1_000)).unwrap().seconds.is_empty(), "nothing before somebody asks");
        for (at, price) in [(1_100, 2.0), (1_150, 3.0), (4_000, 4.0), (4_900, 5.0)] {
            watched.record(1, &tick("AAPL", price), 2, UnixMillis(at));
            watched.record(2, &tick("AAPL", 99.0), 2, UnixMillis(at));
            watched.record(1, &tick("MSFT", 99.0), 2, UnixMillis(at));
        }
        let second = |at, price, gap_ms| SymbolSecond { at: UnixMillis(at), price, ticks: 4, gap_ms };
        let known = watched.ask(key, UnixMillis(5_000)).unwrap();
        assert_eq!(known.seconds, [second(1_000, 3.0, 50), second(4_000, 5.0, 2_850)]);
        assert_eq!((known.since, known.last_arrival), (UnixMillis(1_000), Some(UnixMillis(4_900))));
    }

    #[test]
    fn what_is_recorded_is_bounded_and_ends() {
        let mut watched = WatchedSymbols::default();
        let key = (1, tick("AAPL", 1.0).symbol);
        for second in 0..2 * SECONDS_KEPT as i64 {
            let now = UnixMillis(second * 1_000);
            let known = watched.ask(key, now).unwrap();
            assert!(known.seconds.len() <= SECONDS_KEPT && now.millis_since(known.since) <= 300_000);
            watched.record(1, &tick("AAPL", 1.0), 1, now);
        }
        for n in 0..100 {
            watched.ask((1, tick(&format!("S{n}"), 1.0).symbol), UnixMillis(600_000 + n));
        }
        assert_eq!(watched.0.len(), WATCHED_MAX);
        watched.forget(UnixMillis(600_100 + WATCHED_MS));
        assert!(watched.0.is_empty());
    }

    #[test]
    fn who_looks_keeps_the_past_and_one_symbol_too_many_waits_for_a_place() {
        let mut watched = WatchedSymbols::default();
        let key = |n: usize| (1, tick(&format!("S{n}"), 1.0).symbol);
        // Seventeen panels, each of which asks once a second.
        for second in 0..60 {
            for n in 0..=WATCHED_MAX {
                let since = watched.ask(key(n), UnixMillis(second * 1_000)).map(|watched| watched.since);
                assert_eq!(since, (n < WATCHED_MAX).then_some(UnixMillis(0)), "panel {n} after {second} s");
            }
        }
        // One is closed.
        (1..WATCHED_MAX).for_each(|n| assert!(watched.ask(key(n), UnixMillis(65_000)).is_some()));
        let next = |watched: &mut WatchedSymbols, at| watched.ask(key(WATCHED_MAX), UnixMillis(at)).map(|it| it.since);
        assert_eq!(next(&mut watched, 69_000), None, "it may be a page that is slow");
        assert_eq!(next(&mut watched, 69_001), Some(UnixMillis(69_001)));
    }
}
