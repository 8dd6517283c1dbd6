//! Which symbols trade in the simulated market, and how each of them behaves.
//!
//! The symbols of the universes that ship with the server trade, and `SIM00001` to `SIM99999` for load tests. Every
//! other ticker is acknowledged and never heard of again, as the real server does (`docs/provider.md`, "Handshake and status messages").
//! A traded symbol has a slot: a small integer, so that what a client wants is a byte in an array and not a hash look-up
//! per event.

use app::model::symbol::Symbol;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::LazyLock;

/// A traded symbol's place in the market.
pub(super) type Slot = u32;

/// How many load-test symbols there are: as many as five digits number.
const LOAD_TEST_SYMBOLS: Slot = 99_999;

/// Bars leave the market in this many groups a second.
const PHASES: Slot = 20;

/// Tickers that everybody knows, with a price near the one they had: a demonstration should look like a market.
/// They trade more than the others.
const FAMOUS: [(&str, i64); 42] = [
    ("AAPL", 227),
    ("ABBV", 196),
    ("ADBE", 355),
    ("AMD", 172),
    ("AMZN", 229),
    ("AVGO", 305),
    ("BAC", 49),
    ("BRK.B", 491),
    ("COST", 945),
    ("CRM", 245),
    ("CSCO", 68),
    ("CVX", 158),
    ("DIS", 118),
    ("GE", 275),
    ("GOOG", 208),
    ("GOOGL", 207),
    ("GS", 741),
    ("HD", 407),
    ("INTC", 25),
    ("JNJ", 177),
    ("JPM", 300),
    ("KO", 69),
    ("LLY", 735),
    ("MA", 595),
    ("META", 747),
    ("MRK", 84),
    ("MSFT", 507),
    ("NFLX", 1_225),
    ("NVDA", 178),
    ("ORCL", 232),
    ("PEP", 149),
    ("PFE", 25),
    ("PG", 158),
    ("PLTR", 158),
    ("QCOM", 158),
    ("TSLA", 346),
    ("UNH", 304),
    ("V", 350),
    ("WFC", 82),
    ("WMT", 96),
    ("XOM", 114),
    ("MU", 119),
];

/// What is known about a symbol before its first trade.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Listing {
    /// The ticker.
    pub(super) symbol: Symbol,
    /// The price that the walk starts from and stays around.
    pub(super) base_cents: i64,
    /// How much more (or less) than the average symbol it trades.
    pub(super) activity: f64,
    /// 1 for New York, 3 for Nasdaq.
    pub(super) tape: u8,
    /// How long after the end of its window this symbol's bar is sent, in milliseconds.
    pub(super) phase_ms: i64,
}

struct Shipped {
    symbols: Vec<Symbol>,
    slots: HashMap<Symbol, Slot>,
    nasdaq: BTreeSet<Symbol>,
}

static SHIPPED: LazyLock<Shipped> = LazyLock::new(|| {
    let mut universes: BTreeMap<String, Vec<Symbol>> =
        serde_json::from_str(include_str!("../../server/src/universe/shipped.json"))
            .expect("the shipped universes are JSON");
    let symbols: BTreeSet<Symbol> = universes.values().flatten().copied().collect();
    let symbols: Vec<Symbol> = symbols.into_iter().collect();
    let slots = symbols.iter().copied().zip(0..).collect();
    let nasdaq = universes.remove("nasdaq100").unwrap_or_default().into_iter().collect();
    Shipped { symbols, slots, nasdaq }
});

/// How many slots a wildcard covers: the real tickers. Load-test symbols trade only when they are named.
pub(super) fn shipped_count() -> Slot {
    Slot::try_from(SHIPPED.symbols.len()).unwrap_or(Slot::MAX)
}

/// The slot of a symbol; `None` when it never trades here.
pub(super) fn slot(symbol: &str) -> Option<Slot> {
    if let Some(digits) = symbol.strip_prefix("SIM")
        && digits.len() == 5
        && digits.bytes().all(|byte| byte.is_ascii_digit())
    {
        let number: Slot = digits.parse().ok()?;
        return (1..=LOAD_TEST_SYMBOLS).contains(&number).then(|| shipped_count() + number - 1);
    }
    SHIPPED.slots.get(&Symbol::parse(symbol).ok()?).copied()
}

/// How the symbol in a slot behaves. The same in every run: only the walk is random.
pub(super) fn listing(slot: Slot) -> Listing {
    let phase_ms = i64::from(slot % PHASES) * (1000 / i64::from(PHASES));
    let Some(symbol) = SHIPPED.symbols.get(slot as usize).copied() else {
        let symbol = Symbol::parse(&format!("SIM{:05}", slot - shipped_count() + 1)).expect("a load-test symbol");
        // Exactly the average activity: a load test knows what it asked for.
        return Listing { symbol, base_cents: derived_cents(stable_hash(&symbol)), activity: 1.0, tape: 1, phase_ms };
    };
    let hash = stable_hash(&symbol);
    let tape = if SHIPPED.nasdaq.contains(&symbol) { 3 } else { 1 };
    match FAMOUS.iter().find(|(ticker, _)| *ticker == &*symbol) {
        Some((_, dollars)) => Listing { symbol, base_cents: dollars * 100, activity: 3.0, tape, phase_ms },
        // 0.36 to 1.36, so that with the famous ones the average over the shipped symbols is about 1.
        None => {
            let activity = 0.36 + (hash >> 32) as f64 / f64::from(u32::MAX);
            Listing { symbol, base_cents: derived_cents(hash), activity, tape, phase_ms }
        }
    }
}

/// 15.00 to 599.99 dollars.
fn derived_cents(hash: u64) -> i64 {
    1_500 + i64::try_from(hash % 58_500).unwrap_or(0)
}

/// FNV-1a: the same on every machine and in every version, unlike the standard library's hasher.
pub(super) fn stable_hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shipped_and_load_test_symbols_trade_and_no_others() {
        for symbol in ["AAPL", "BRK.B", "SIM00001", "SIM99999"] {
            let slot = slot(symbol).unwrap_or_else(|| panic!("{symbol} trades"));
            assert_eq!(&*listing(slot).symbol, symbol);
        }
        for symbol in ["ZZZZZ", "aapl", "*", "", "SIM00000", "SIM1", "SIM000001", "SIM+0001", "A B"] {
            assert_eq!(slot(symbol), None, "{symbol:?}");
        }
    }

    #[test]
    fn every_famous_ticker_is_shipped() {
        for (ticker, _) in FAMOUS {
            assert!(slot(ticker).is_some(), "{ticker}");
        }
    }

    #[test]
    fn the_average_activity_is_about_one() {
        let count = shipped_count();
        let average = (0..count).map(|slot| listing(slot).activity).sum::<f64>() / f64::from(count);
        assert!((0.9..1.1).contains(&average), "{average}");
    }

    #[test]
    fn derived_prices_are_plausible() {
        for slot in 0..shipped_count() {
            let listing = listing(slot);
            assert!((1_500..=150_000).contains(&listing.base_cents), "{listing:?}");
        }
    }
}
