//! One symbol's life: a random walk of its price, and the trades and bars that come of it.

use super::bars::{Bars, Day};
use super::symbols::{Listing, stable_hash};
use rand::{Rng, SeedableRng, rngs::SmallRng};

const DAY_MS: i64 = 86_400_000;

/// Standard deviation of the logarithm of the price per trade of an average symbol: at ten trades a second about 1.5 %
/// over a trading day.
const STEP: f64 = 5e-5;

/// How strongly the price is pulled back to its base per trade: a simulator that runs for weeks stays plausible.
const PULL: f64 = 1e-5;

/// The exchanges where trades happen, by their Massive ids: NYSE Arca, NYSE, Nasdaq, IEX, Cboe BZX and the TRFs.
const EXCHANGES: [u8; 6] = [4, 10, 11, 12, 15, 19];

/// Trade conditions as they go on the wire. Most trades have none, and then the field is absent (`docs/provider.md`, "Events").
const CONDITIONS: [&str; 8] = ["", "", "", "", "", "12,37", "14,41", "37"];

/// One trade. Money is in cents.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Trade {
    pub(super) t: i64,
    pub(super) cents: i64,
    pub(super) size: u64,
    pub(super) exchange: u8,
    pub(super) conditions: &'static str,
    /// Counts the trades of the symbol.
    pub(super) id: u64,
    /// Rises per ticker; gaps are normal (`docs/provider.md`, "Events").
    pub(super) sequence: u64,
}

/// The best bid and offer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Quote {
    pub(super) t: i64,
    pub(super) bid_cents: i64,
    pub(super) ask_cents: i64,
    pub(super) bid_lots: u64,
    pub(super) ask_lots: u64,
    pub(super) exchange: u8,
    pub(super) sequence: u64,
}

/// A symbol that trades.
pub(super) struct Walk {
    /// Its fixed properties.
    pub(super) listing: Listing,
    /// Its one-second bars.
    pub(super) seconds: Bars,
    /// Its one-minute bars.
    pub(super) minutes: Bars,
    rng: SmallRng,
    /// Logarithm of the price over the base price.
    offset: f64,
    trades: u64,
    sequence: u64,
    day: Day,
}

impl Walk {
    /// A symbol before its first trade. Its path depends on the seed and on its own name only, never on which other
    /// symbols somebody subscribed to.
    pub(super) fn new(listing: Listing, seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed ^ stable_hash(&listing.symbol));
        let offset = gauss(&mut rng) * 0.01;
        Self {
            listing,
            seconds: Bars::new(1_000),
            minutes: Bars::new(60_000),
            rng,
            offset,
            trades: 0,
            sequence: 0,
            day: Day::default(),
        }
    }

    /// How many trades happen where `expected` are expected: Poisson.
    pub(super) fn draw_count(&mut self, expected: f64) -> u64 {
        poisson(&mut self.rng, expected)
    }

    /// A moment in the `part`-th of `parts` equal pieces of the time after `from` until `to`: moments in order without
    /// sorting.
    pub(super) fn draw_time(&mut self, from: i64, to: i64, part: u64, parts: u64) -> i64 {
        let fraction = (part as f64 + self.rng.random::<f64>()) / parts as f64;
        (from + 1 + ((to - from) as f64 * fraction) as i64).min(to)
    }

    /// The next trade.
    pub(super) fn trade(&mut self, t: i64) -> Trade {
        let step = STEP / self.listing.activity.sqrt();
        self.offset += gauss(&mut self.rng) * step - self.offset * PULL;
        let middle = self.middle();
        let half_spread = half_spread(middle);
        // A trade takes the bid or the offer.
        let price = if self.rng.random() { middle + half_spread } else { middle - half_spread };
        let trade = Trade {
            t,
            cents: (price.round() as i64).max(1),
            size: draw_size(&mut self.rng),
            exchange: EXCHANGES[self.rng.random_range(0..EXCHANGES.len())],
            conditions: CONDITIONS[self.rng.random_range(0..CONDITIONS.len())],
            id: self.trades + 1,
            sequence: self.sequence + self.rng.random_range(1..4),
        };
        self.trades = trade.id;
        self.sequence = trade.sequence;
        self.count_into_day(&trade);
        trade
    }

    /// The quote that stands now.
    pub(super) fn quote(&mut self, t: i64) -> Quote {
        let middle = self.middle();
        let half_spread = half_spread(middle);
        let bid_cents = ((middle - half_spread).floor() as i64).max(1);
        let ask_cents = ((middle + half_spread).ceil() as i64).max(bid_cents + 1);
        self.sequence += self.rng.random_range(1..4);
        Quote {
            t,
            bid_cents,
            ask_cents,
            bid_lots: self.rng.random_range(1..12),
            ask_lots: self.rng.random_range(1..12),
            exchange: EXCHANGES[self.rng.random_range(0..EXCHANGES.len())],
            sequence: self.sequence,
        }
    }

    /// The day so far.
    pub(super) fn day(&self) -> Day {
        self.day
    }

    fn middle(&self) -> f64 {
        self.listing.base_cents as f64 * self.offset.exp()
    }

    fn count_into_day(&mut self, trade: &Trade) {
        let number = trade.t.div_euclid(DAY_MS);
        if self.day.number != number {
            self.day = Day { number, open: trade.cents, volume: 0, notional: 0 };
        }
        self.day.volume += trade.size;
        self.day.notional += trade.size.saturating_mul(u64::try_from(trade.cents).unwrap_or(0));
    }
}

/// Half a cent, or half a basis point of dear shares, in cents.
fn half_spread(middle: f64) -> f64 {
    (middle * 5e-5).max(0.5)
}

/// Odd lots, round lots and the rare block.
fn draw_size(rng: &mut SmallRng) -> u64 {
    match rng.random_range(0..100) {
        0..45 => rng.random_range(1..100),
        45..85 => 100,
        85..99 => 100 * rng.random_range(2..10),
        _ => 100 * rng.random_range(10..100),
    }
}

/// About normal, mean 0 and deviation 1: the sum of four uniform draws. Its tails end at 3.5, which suits a price.
fn gauss(rng: &mut SmallRng) -> f64 {
    ((0..4).map(|_| rng.random::<f64>()).sum::<f64>() - 2.0) * 3.0_f64.sqrt()
}

/// Knuth's method; above 30 the normal approximation, whose cost does not grow with the rate.
fn poisson(rng: &mut SmallRng, expected: f64) -> u64 {
    if expected > 30.0 {
        return (expected + gauss(rng) * expected.sqrt()).round().max(0.0) as u64;
    }
    let limit = (-expected).exp();
    let mut product: f64 = rng.random();
    let mut count = 0;
    while product > limit {
        product *= rng.random::<f64>();
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::super::symbols;
    use super::*;

    fn walk(symbol: &str, seed: u64) -> Walk {
        Walk::new(symbols::listing(symbols::slot(symbol).expect("trades")), seed)
    }

    #[test]
    fn the_same_seed_gives_the_same_trades_and_another_seed_others() {
        let trades = |seed| (0..50).map(|t| walk("AAPL", seed).trade(t)).collect::<Vec<_>>();
        assert_eq!(trades(1), trades(1));
        assert_ne!(trades(1), trades(2));
    }

    #[test]
    fn a_long_walk_stays_near_its_base_and_moves() {
        let mut walk = walk("NVDA", 7);
        let base = walk.listing.base_cents as f64;
        let prices: Vec<i64> = (0..200_000).map(|t| walk.trade(t).cents).collect();
        assert!(prices.iter().all(|price| (0.8..1.25).contains(&(*price as f64 / base))));
        assert!(prices.windows(2).filter(|pair| pair[0] != pair[1]).count() > 50_000, "most trades change the price");
    }

    #[test]
    fn sequence_numbers_rise_across_trades_and_quotes() {
        let mut walk = walk("BRK.B", 3);
        let mut last = 0;
        for t in 0..1_000 {
            for sequence in [walk.trade(t).sequence, walk.quote(t).sequence] {
                assert!(sequence > last);
                last = sequence;
            }
        }
    }

    #[test]
    fn the_bid_is_below_the_offer() {
        let mut walk = walk("INTC", 3);
        for t in 0..1_000 {
            walk.trade(t);
            let quote = walk.quote(t);
            assert!(quote.bid_cents < quote.ask_cents, "{quote:?}");
        }
    }

    #[test]
    fn counts_have_the_expected_mean() {
        let mut walk = walk("AAPL", 5);
        for expected in [0.5, 3.0, 100.0] {
            let mean = (0..4_000).map(|_| walk.draw_count(expected)).sum::<u64>() as f64 / 4_000.0;
            assert!((mean / expected - 1.0).abs() < 0.1, "{mean} where {expected} was expected");
        }
    }

    #[test]
    fn a_new_day_starts_its_volume_again() {
        let mut walk = walk("AAPL", 5);
        let first = walk.trade(DAY_MS - 1);
        assert_eq!(walk.day().volume, first.size);
        let second = walk.trade(DAY_MS);
        assert_eq!((walk.day().volume, walk.day().open), (second.size, second.cents));
    }
}
