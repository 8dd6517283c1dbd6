//! Market events as they go on the wire (`docs/provider.md`, "Events"). Written by hand: money is integers inside, and a float would
//! show rounding that the real feed does not have.

use super::bars::Bar;
use super::walk::{Quote, Trade};
use app::model::symbol::Symbol;
use std::fmt::Write;

// Writing to a String cannot fail, so the results below are dropped.

pub(super) fn trade(out: &mut String, symbol: Symbol, tape: u8, trade: &Trade) {
    let Trade { t, cents, size, exchange, conditions, id, sequence } = trade;
    let _ = write!(out, r#"{{"ev":"T","sym":"{symbol}","x":{exchange},"i":"{id}","z":{tape},"p":"#);
    fixed(out, *cents, 2);
    let _ = write!(out, r#","s":{size},"#);
    if !conditions.is_empty() {
        let _ = write!(out, r#""c":[{conditions}],"#);
    }
    let _ = write!(out, r#""t":{t},"q":{sequence}}}"#);
}

pub(super) fn quote(out: &mut String, symbol: Symbol, tape: u8, quote: &Quote) {
    let Quote { t, bid_cents, ask_cents, bid_lots, ask_lots, exchange, sequence } = quote;
    let _ = write!(out, r#"{{"ev":"Q","sym":"{symbol}","bx":{exchange},"bp":"#);
    fixed(out, *bid_cents, 2);
    let _ = write!(out, r#","bs":{bid_lots},"ax":{exchange},"ap":"#);
    fixed(out, *ask_cents, 2);
    let _ = write!(out, r#","as":{ask_lots},"c":0,"t":{t},"q":{sequence},"z":{tape}}}"#);
}

/// `LULD`: the symbol under a name of its own, the time in nanoseconds (`docs/provider.md`, "Events"). Indicator 17 is a halt, 18 its end
/// (massive.com/docs/websocket/stocks/luld); the bands are 5 % around the market.
pub(super) fn limits(out: &mut String, symbol: Symbol, tape: u8, is_halted: bool, quote: &Quote) {
    let indicator = if is_halted { 17 } else { 18 };
    let _ = write!(out, r#"{{"ev":"LULD","T":"{symbol}","h":"#);
    fixed(out, quote.ask_cents * 105 / 100, 2);
    let _ = write!(out, r#","l":"#);
    fixed(out, quote.bid_cents * 95 / 100, 2);
    let _ = write!(out, r#","i":[{indicator}],"z":{tape},"t":{}000000,"q":{}}}"#, quote.t, quote.sequence);
}

/// `A` or `AM`: the same shape, another window.
pub(super) fn bar(out: &mut String, event: &str, symbol: Symbol, length_ms: i64, bar: &Bar) {
    let _ = write!(out, r#"{{"ev":"{event}","sym":"{symbol}","v":{},"av":{},"op":"#, bar.volume, bar.day.volume);
    fixed(out, bar.day.open, 2);
    let prices = [
        ("vw", ten_thousandths(bar.notional, bar.volume), 4),
        ("o", bar.open, 2),
        ("c", bar.close, 2),
        ("h", bar.high, 2),
        ("l", bar.low, 2),
        ("a", ten_thousandths(bar.day.notional, bar.day.volume), 4),
        // In halves: production sends an average size that is no integer now and then.
        ("z", i64::try_from(bar.volume * 2 / bar.trades.max(1)).unwrap_or(0) * 5, 1),
    ];
    for (name, value, decimals) in prices {
        let _ = write!(out, r#","{name}":"#);
        fixed(out, value, decimals);
    }
    let (start, end) = (bar.start, bar.start + length_ms);
    let (volume, day_volume) = (bar.volume, bar.day.volume);
    let _ = write!(out, r#","s":{start},"e":{end},"dv":"{volume}.0","dav":"{day_volume}.0"}}"#);
}

/// Average price in ten thousandths of a dollar.
fn ten_thousandths(notional_cents: u64, volume: u64) -> i64 {
    i64::try_from(u128::from(notional_cents) * 100 / u128::from(volume.max(1))).unwrap_or(i64::MAX)
}

/// A decimal without trailing zeros: `25.39`, `114.5`, `50`.
fn fixed(out: &mut String, value: i64, decimals: u32) {
    let unit = 10_i64.pow(decimals);
    let _ = write!(out, "{}", value / unit);
    let fraction = value % unit;
    if fraction != 0 {
        let _ = write!(out, ".{fraction:0width$}", width = decimals as usize);
        out.truncate(out.trim_end_matches('0').len());
    }
}

#[cfg(test)]
mod tests {
    use super::super::bars::Day;
    use super::*;

    fn symbol() -> Symbol {
        Symbol::parse("SPCE").expect("a symbol")
    }

    #[test]
    fn decimals_have_no_trailing_zeros() {
        let shown = |value, decimals| {
            let mut out = String::new();
            fixed(&mut out, value, decimals);
            out
        };
        assert_eq!([shown(2_539, 2), shown(11_450, 2), shown(5_000, 2), shown(5, 2)], ["25.39", "114.5", "50", "0.05"]);
        assert_eq!([shown(253_981, 4), shown(125, 1)], ["25.3981", "12.5"]);
    }

    #[test]
    fn a_trade_without_conditions_has_no_field_for_them() {
        let mut out = String::new();
        let mut event = Trade { t: 9, cents: 11_450, size: 100, exchange: 4, conditions: "", id: 7, sequence: 3 };
        trade(&mut out, symbol(), 3, &event);
        assert_eq!(out, r#"{"ev":"T","sym":"SPCE","x":4,"i":"7","z":3,"p":114.5,"s":100,"t":9,"q":3}"#);
        event.conditions = "12,37";
        out.clear();
        trade(&mut out, symbol(), 3, &event);
        assert!(out.contains(r#""s":100,"c":[12,37],"t":9"#), "{out}");
    }

    #[test]
    fn a_quote_has_both_sides() {
        let mut out = String::new();
        let event = Quote { t: 9, bid_cents: 101, ask_cents: 102, bid_lots: 3, ask_lots: 4, exchange: 11, sequence: 5 };
        quote(&mut out, symbol(), 1, &event);
        let expected =
            r#"{"ev":"Q","sym":"SPCE","bx":11,"bp":1.01,"bs":3,"ax":11,"ap":1.02,"as":4,"c":0,"t":9,"q":5,"z":1}"#;
        assert_eq!(out, expected);
    }

    #[test]
    fn a_bar_has_the_fields_and_units_of_the_wire() {
        let day = Day { number: 0, open: 2_566, volume: 1_000, notional: 2_537_140 };
        let event = Bar {
            start: 1_000,
            open: 2_539,
            high: 2_540,
            low: 2_538,
            close: 2_539,
            volume: 25,
            notional: 63_475,
            trades: 2,
            day,
        };
        let mut out = String::new();
        bar(&mut out, "A", symbol(), 1_000, &event);
        let expected = concat!(
            r#"{"ev":"A","sym":"SPCE","v":25,"av":1000,"op":25.66,"vw":25.39,"o":25.39,"c":25.39,"h":25.4,"l":25.38,"#,
            r#""a":25.3714,"z":12.5,"s":1000,"e":2000,"dv":"25.0","dav":"1000.0"}"#
        );
        assert_eq!(out, expected);
    }
}
