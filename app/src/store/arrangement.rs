//! How a reader arranged the page: what the address carries, so that a link shows a colleague the same.
//!
//! `?paused=1&symbol=AAPL&q1=nv&sort1=-rate&pin1=AAPL,MSFT&view2=tape`: the number is the connection's; what is as it always
//! is at the start is left out.

use super::filter::Filter;
use crate::{
    address::Query,
    model::{
        connection::{CONNECTIONS_MAX, ConnectionId},
        symbol::Symbol,
        symbol_detail::SymbolName,
    },
};

/// The most pinned rows a column: more than a screenful is a list of its own.
pub const PINNED_MAX: usize = 50;

/// What a table is sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortKey {
    /// Alphabetically.
    #[default]
    Symbol,
    /// The latest price.
    Price,
    /// Change since the view was opened.
    Change,
    /// Ticks a second.
    Rate,
    /// Time of the latest tick.
    Updated,
}

impl SortKey {
    /// All of them, in the order of the table's columns.
    pub const ALL: [Self; 5] = [Self::Symbol, Self::Price, Self::Change, Self::Rate, Self::Updated];

    /// Its name in addresses and in markup.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Symbol => "symbol",
            Self::Price => "price",
            Self::Change => "change",
            Self::Rate => "rate",
            Self::Updated => "updated",
        }
    }

    /// Does the order change as ticks come in?
    #[must_use]
    pub fn is_live(self) -> bool {
        self != Self::Symbol
    }
}

/// A key and which end of it comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sort {
    /// By what.
    pub key: SortKey,
    /// The highest first.
    pub descending: bool,
}

impl Sort {
    /// After a click on the head of a column: turned round when it was sorted by it, else by it, the most interesting
    /// end first.
    #[must_use]
    pub fn by(self, key: SortKey) -> Self {
        let descending = if self.key == key { !self.descending } else { key.is_live() };
        Self { key, descending }
    }

    fn read(text: &str) -> Option<Self> {
        let (descending, name) = match text.strip_prefix('-') {
            Some(name) => (true, name),
            None => (false, text),
        };
        let key = SortKey::ALL.into_iter().find(|key| key.name() == name)?;
        Some(Self { key, descending })
    }

    fn write(self) -> String {
        if self.descending { ["-", self.key.name()].concat() } else { self.key.name().to_owned() }
    }
}

/// What the live part of a column shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DataView {
    /// The latest price of every symbol.
    #[default]
    Table,
    /// Every tick in order.
    Tape,
}

/// One column's arrangement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arrangement {
    /// The order of the rows.
    pub sort: Sort,
    /// Which symbols are shown.
    pub filter: Filter,
    /// Rows that stand on top, in the order in which they were pinned.
    pub pinned: Vec<Symbol>,
    /// Table or tape.
    pub view: DataView,
}

impl Arrangement {
    /// Pins a symbol, or lets it go.
    pub fn toggle_pin(&mut self, symbol: Symbol) {
        match self.pinned.iter().position(|pinned| *pinned == symbol) {
            Some(place) => {
                self.pinned.remove(place);
            }
            None if self.pinned.len() < PINNED_MAX => self.pinned.push(symbol),
            None => {}
        }
    }
}

/// The whole page's arrangement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageArrangement {
    /// Is the view frozen?
    pub paused: bool,
    /// The symbol whose panel is open.
    pub symbol: Option<SymbolName>,
    /// Columns, by their connection's number.
    pub columns: Vec<(ConnectionId, Arrangement)>,
}

impl PageArrangement {
    /// Reads an address. What it cannot read is as at the start: a link may be mistyped, or older than the page.
    #[must_use]
    pub fn read(query: &Query) -> Self {
        let get = |name: &str, id: ConnectionId| query.get(&(name.to_owned() + &id.to_string()));
        let columns = (1..=CONNECTIONS_MAX).map(|id| {
            let mut arrangement = Arrangement {
                sort: get("sort", id).and_then(Sort::read).unwrap_or_default(),
                filter: Filter::new(get("q", id).unwrap_or_default()),
                view: if get("view", id) == Some("tape") { DataView::Tape } else { DataView::Table },
                ..Arrangement::default()
            };
            let symbols = get("pin", id).unwrap_or_default().split(',').filter_map(|text| Symbol::parse(text).ok());
            symbols.for_each(|symbol| {
                if !arrangement.pinned.contains(&symbol) {
                    arrangement.toggle_pin(symbol);
                }
            });
            (id, arrangement)
        });
        let columns = columns.filter(|(_, arrangement)| *arrangement != Arrangement::default()).collect();
        let symbol = query.get("symbol").and_then(SymbolName::read);
        Self { paused: query.get("paused") == Some("1"), symbol, columns }
    }

    /// A column's arrangement.
    #[must_use]
    pub fn of(&self, id: ConnectionId) -> Arrangement {
        self.columns.iter().find(|(of, _)| *of == id).map(|(_, arrangement)| arrangement.clone()).unwrap_or_default()
    }

    /// The query that reads as this; empty at the start.
    #[must_use]
    pub fn query(&self) -> String {
        let mut query = Query::default();
        if self.paused {
            query.push("paused".to_owned(), "1".to_owned());
        }
        if let Some(symbol) = self.symbol {
            query.push("symbol".to_owned(), symbol.write());
        }
        for (id, arrangement) in &self.columns {
            let mut put = |name: &str, value: String| query.push(name.to_owned() + &id.to_string(), value);
            if !arrangement.filter.text().is_empty() {
                put("q", arrangement.filter.text().to_owned());
            }
            if arrangement.sort != Sort::default() {
                put("sort", arrangement.sort.write());
            }
            if !arrangement.pinned.is_empty() {
                put("pin", arrangement.pinned.iter().map(|symbol| &**symbol).collect::<Vec<_>>().join(","));
            }
            if arrangement.view == DataView::Tape {
                put("view", "tape".to_owned());
            }
        }
        query.write()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbol(text: &str) -> Symbol {
        Symbol::parse(text).expect("a symbol")
    }

    #[test]
    fn a_link_restores_what_was_seen() {
        let mut first = Arrangement { sort: Sort { key: SortKey::Rate, descending: true }, ..Arrangement::default() };
        first.filter = Filter::new("nv, a&b=é");
        first.toggle_pin(symbol("BRK.B"));
        first.toggle_pin(symbol("AAPL"));
        let third = Arrangement { view: DataView::Tape, ..Arrangement::default() };
        let name = SymbolName::read("O:SPY251219C00650000@3");
        let page = PageArrangement { paused: true, symbol: name, columns: vec![(1, first), (3, third)] };
        let query = page.query();
        assert_eq!(PageArrangement::read(&Query::read(&query)), page, "{query}");
        assert_eq!(PageArrangement::default().query(), "");
    }

    #[test]
    fn nonsense_in_an_address_is_as_if_it_were_not_there() {
        let nonsense = Query::read("?sort1=-colour&view1=hologram&pin1=A+B,,&paused=maybe&q17=A&symbol=A+B");
        assert_eq!(PageArrangement::read(&nonsense), PageArrangement::default());
    }

    #[test]
    fn a_second_click_turns_the_order_round() {
        let by_rate = Sort::default().by(SortKey::Rate);
        assert_eq!(by_rate, Sort { key: SortKey::Rate, descending: true }, "the busiest first");
        assert!(!by_rate.by(SortKey::Rate).descending);
        assert!(!by_rate.by(SortKey::Symbol).descending && Sort::default().by(SortKey::Symbol).descending);
    }

    #[test]
    fn pins_are_bounded() {
        let mut arrangement = Arrangement::default();
        (0..2 * PINNED_MAX).for_each(|n| arrangement.toggle_pin(symbol(&format!("S{n}"))));
        assert_eq!(arrangement.pinned.len(), PINNED_MAX);
    }
}
