//! Which symbols a reader wants to see.

use crate::model::symbol::{SYMBOL_LENGTH_MAX, Symbol};

/// The longest filter taken from an address or a field, in characters: a few symbols.
pub const FILTER_LENGTH_MAX: usize = 4 * SYMBOL_LENGTH_MAX;

/// A state that rows may have: what a word such as `is:stale` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowState {
    /// Ticked, and is stale.
    Stale,
    /// Never ticked.
    Never,
    /// Silent longer than usual.
    Silent,
    /// Trading is halted.
    Halted,
}

impl RowState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Stale, Self::Never, Self::Silent, Self::Halted];

    /// The word that asks for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Stale => "is:stale",
            Self::Never => "is:never",
            Self::Silent => "is:silent",
            Self::Halted => "is:halted",
        }
    }

    fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word().eq_ignore_ascii_case(word))
    }
}

/// Parts of symbols and states of rows, as they were typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter(String);

impl Filter {
    /// Takes what was typed, cut to [`FILTER_LENGTH_MAX`].
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.trim_start().chars().take(FILTER_LENGTH_MAX).collect())
    }

    /// What was typed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Does every symbol pass?
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.parts().next().is_none()
    }

    /// Does a symbol pass? It does when it has any of the words in it, whatever their case.
    #[must_use]
    pub fn admits(&self, symbol: &Symbol) -> bool {
        self.is_open() || self.parts().any(|word| contains(symbol, word))
    }

    /// Does a row of such states pass? `is` is asked for the states that the filter names: any of them will do.
    #[must_use]
    pub fn admits_state(&self, is: impl FnMut(RowState) -> bool) -> bool {
        !self.names_state() || self.words().filter_map(RowState::of).any(is)
    }

    /// Does it name a state, which changes as time goes by?
    #[must_use]
    pub fn names_state(&self) -> bool {
        self.words().any(|word| RowState::of(word).is_some())
    }

    /// The words that are parts of symbols.
    fn parts(&self) -> impl Iterator<Item = &str> {
        self.words().filter(|word| RowState::of(word).is_none())
    }

    fn words(&self) -> impl Iterator<Item = &str> {
        self.0.split([' ', ',']).filter(|word| !word.is_empty())
    }
}

/// Is the word in the symbol? ASCII only, as symbols are.
pub(super) fn contains(symbol: &str, word: &str) -> bool {
    symbol.as_bytes().windows(word.len()).any(|part| part.eq_ignore_ascii_case(word.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_any_of_its_words_in_any_case() {
        let admits = |filter: &str, text: &str| Filter::new(filter).admits(&Symbol::parse(text).expect("a symbol"));
        assert!(admits("", "AAPL") && admits(" , ", "AAPL") && admits("apl", "AAPL") && admits("msft aapl", "AAPL"));
        assert!(admits("bacpl", "BACpL") && !admits("x", "AAPL") && !admits("aaplx", "AAPL") && !admits("é", "AAPL"));
        assert!(Filter::new(" , ").is_open() && !Filter::new("a").is_open());
    }

    #[test]
    fn states_narrow_what_the_words_admit() {
        let filter = Filter::new("is:stale IS:HALTED aa");
        let aapl = Symbol::parse("AAPL").expect("a symbol");
        assert!(filter.admits(&aapl) && !filter.is_open() && filter.names_state());
        assert!(filter.admits_state(|state| state == RowState::Halted));
        assert!(!filter.admits_state(|state| state == RowState::Never));
        assert!(Filter::new("is:never").is_open(), "no part of a symbol");
        assert!(!Filter::new("is:x").admits(&aapl) && Filter::new("is:x").admits_state(|_| false), "any other word");
    }

    #[test]
    fn it_is_bounded() {
        assert_eq!(Filter::new(&"é".repeat(1000)).text().chars().count(), FILTER_LENGTH_MAX);
    }
}
