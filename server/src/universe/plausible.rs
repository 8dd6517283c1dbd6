//! Is it what a symbol looks like? The provider acknowledges whatever it is asked for, so that a typing error is a symbol
//! that never ticks.

use app::model::symbol::Symbol;

/// Symbols that are named in one warning.
const NAMED_MAX: usize = 3;

/// What was meant by a text that is no plausible symbol, as far as that can be told; `None` for one that is plausible.
/// Plausible are a root that begins with a capital letter or a digit and what the provider writes behind it and in front
/// (`BRK.B`, `BACpL`, `X:BTC-USD`, `O:SPY251219C00650000`), and `*`.
fn meant(text: &str) -> Option<Vec<String>> {
    const AROUND: [char; 12] = ['[', ']', '(', ')', '{', '}', '"', '\'', '`', '$', '^', '.'];
    if is_plausible(text) {
        return None;
    }
    let parts = text.split([';', '|', '+', '&', ' ', ',']).map(|part| part.trim_matches(AROUND));
    let as_written_there = |part: &str| {
        if is_plausible(part) { part.to_owned() } else { part.to_ascii_uppercase().replace(['_', '/'], ".") }
    };
    let parts: Vec<_> = parts.filter(|part| !part.is_empty()).map(as_written_there).collect();
    Some(if parts.iter().all(|part| is_plausible(part)) { parts } else { Vec::new() })
}

fn is_plausible(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b':' | b'-' | b'/');
    let bytes = text.as_bytes();
    text == "*"
        || bytes.first().is_some_and(|first| first.is_ascii_uppercase() || first.is_ascii_digit())
            && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
            && bytes.iter().all(|byte| is_inner(*byte))
}

/// A warning that names some of the symbols that look like none, with what was meant.
pub(super) fn warning(symbols: &[Symbol]) -> Option<String> {
    let strange: Vec<_> = symbols.iter().filter_map(|symbol| Some((symbol, meant(symbol)?))).collect();
    let named: Vec<_> = strange
        .iter()
        .take(NAMED_MAX)
        .map(|(symbol, meant)| match meant.as_slice() {
            [] => format!("{:?}", &***symbol),
            meant => format!("{:?} (did you mean {}?)", &***symbol, meant.join(", ")),
        })
        .collect();
    let (many, more) = match strange.len() {
        0 => return None,
        1 => ("1 symbol does not look valid".to_owned(), ""),
        count => (format!("{count} symbols do not look valid"), if count > NAMED_MAX { ", …" } else { "" }),
    };
    Some(format!("{many}: {}{more}", named.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant_by_a_strange_symbol_is_told() {
        for (text, expected) in [
            ("[AAPL", &["AAPL"][..]),
            ("MSFT]", &["MSFT"]),
            ("'AAPL'", &["AAPL"]),
            ("aapl", &["AAPL"]),
            ("AAPL;MSFT", &["AAPL", "MSFT"]),
            ("AAPL|MSFT", &["AAPL", "MSFT"]),
            ("brk_b", &["BRK.B"]),
            ("$SPX", &["SPX"]),
            ("AAPL.", &["AAPL"]),
            ("???", &[]),
        ] {
            assert_eq!(
                meant(text).as_deref(),
                Some(&expected.iter().map(ToString::to_string).collect::<Vec<_>>()[..]),
                "{text}"
            );
        }
        for text in
            ["AAPL", "BRK.B", "BACpL", "ACHRw", "X:BTC-USD", "C:EUR/USD", "O:SPY251219C00650000", "0700.HK", "*"]
        {
            assert_eq!(meant(text), None, "{text}");
        }
    }

    #[test]
    fn every_symbol_that_ships_is_plausible() {
        let universes = super::super::Universes::load(None).expect("no file");
        for symbol in universes.by_key.values().flatten() {
            assert_eq!(meant(symbol), None, "{symbol}");
        }
    }
}
