//! What the server knows of one symbol of one connection: what its panel shows.

use super::{protocol::Row, symbol::Symbol, time::UnixMillis};
use serde::{Deserialize, Serialize};

/// How many seconds of a symbol are kept while somebody looks at it: five minutes.
pub const SECONDS_KEPT: usize = 300;
/// How many symbols are recorded at once, and of how many a connection keeps the events. Those that somebody looks at stay; one
/// more is not recorded until another is looked at no longer.
pub const WATCHED_MAX: usize = 16;
/// A panel asks once a second: a symbol that was not asked for during so long gives way to another.
pub const LOOKED_AT_MS: i64 = 10_000;

/// One symbol, as of [`SymbolDetail::at`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct SymbolDetail {
    /// When this was put together.
    pub at: UnixMillis,
    /// The latest price.
    pub row: Row,
    /// Since when [`SymbolDetail::seconds`] are recorded: since somebody asked first, at most [`SECONDS_KEPT`] ago; `None` while
    /// they are not, as others look at [`WATCHED_MAX`] other symbols.
    pub recorded_since: Option<UnixMillis>,
    /// The seconds in which it ticked, oldest first.
    pub seconds: Vec<SymbolSecond>,
    /// When the last of these ticks came in; `None` when none did.
    pub last_arrival: Option<UnixMillis>,
    /// What the connection itself knows; `None` where this server does not collect.
    pub ingest: Option<SymbolIngest>,
}

/// One second of a symbol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct SymbolSecond {
    /// When it began.
    pub at: UnixMillis,
    /// The last price in it, in dollars.
    pub price: f64,
    /// Ticks in it.
    pub ticks: u32,
    /// The longest gap between two ticks that ended in it, in milliseconds, by their arrival.
    pub gap_ms: u32,
}

/// What a connection knows of a symbol that it carries.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct SymbolIngest {
    /// Since when its events are kept: since somebody asked first; `None` while they are not, as others look at [`WATCHED_MAX`]
    /// other symbols of the connection.
    pub watched_since: Option<UnixMillis>,
    /// The last of them, as the provider sent it.
    pub event: Option<RawEvent>,
    /// How it usually ticks; `None` while the connection is down, and when it never heard of the symbol.
    pub rhythm: Option<SymbolRhythm>,
}

/// An event as the provider sent it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct RawEvent {
    /// When it came in.
    pub received_at: UnixMillis,
    /// Its JSON, cut off where it is unusually long.
    pub text: String,
}

/// How a symbol ticks, learned over minutes: what is older has less weight.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct SymbolRhythm {
    /// When its last tick came in, on the present socket.
    pub last_tick: Option<UnixMillis>,
    /// The longest usual gap in milliseconds; `None` while too little is known.
    pub usual_gap_ms: Option<u64>,
    /// Gaps counted by length: a place holds those of up to [`gap_end_ms`] of it.
    pub gaps: Vec<u16>,
    /// Is its trading halted?
    pub halted: bool,
}

/// The longest gap that is counted at a place of [`SymbolRhythm::gaps`], in milliseconds: a tenth of a second, and at every
/// second place twice as much. The last place holds whatever is longer.
#[must_use]
pub fn gap_end_ms(place: usize) -> u64 {
    let doubled = 100_u64 << (place / 2).min(32);
    // The square root of two, in thousandths.
    if place.is_multiple_of(2) { doubled } else { doubled * 1_414 / 1_000 }
}

/// The row of a symbol as an address names it: `AAPL`, or `AAPL@2` for that of connection 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SymbolName {
    /// The symbol.
    pub symbol: Symbol,
    /// The connection; `None` for the first that has it.
    pub connection: Option<super::connection::ConnectionId>,
}

impl SymbolName {
    /// Reads an address.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let (name, connection) = match text.rsplit_once('@') {
            Some((name, number)) if number.parse::<u8>().is_ok() => (name, number.parse().ok()),
            _ => (text, None),
        };
        Some(Self { symbol: Symbol::parse(name).ok()?, connection })
    }

    /// The text that reads as this.
    #[must_use]
    pub fn write(self) -> String {
        let number = self.connection.map(|id| ["@", &id.to_string()].concat()).unwrap_or_default();
        [&*self.symbol, &number].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_symbol_and_sometimes_a_connection() {
        for (text, connection) in
            [("AAPL", None), ("BRK.B@12", Some(12)), ("A@B", None), ("O:SPY251219C00650000@2", Some(2))]
        {
            let name = SymbolName::read(text).expect("a name");
            assert_eq!((name.connection, name.write().as_str()), (connection, text));
        }
        assert_eq!(SymbolName::read("A B"), None);
    }

    #[test]
    fn places_of_gaps_grow_by_the_square_root_of_two() {
        assert_eq!([0, 1, 2, 3, 4, 22].map(gap_end_ms), [100, 141, 200, 282, 400, 204_800]);
    }
}
