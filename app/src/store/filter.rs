//! Which symbols a reader wants to see.

use crate::model::symbol::{SYMBOL_LENGTH_MAX, Symbol};

/// The longest filter taken from an address or a field, in characters: a few symbols.
pub const FILTER_LENGTH_MAX: usize = 4 * SYMBOL_LENGTH_MAX;

/// Parts of symbols, as they were typed.
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
        self.words().next().is_none()
    }

    /// Does a symbol pass? It does when it has any of the words in it, whatever their case.
    #[must_use]
    pub fn admits(&self, symbol: &Symbol) -> bool {
        self.is_open() || self.words().any(|word| contains(symbol, word))
    }

    fn words(&self) -> impl Iterator<Item = &str> {
        self.0.split([' ', ',']).filter(|word| !word.is_empty())
    }
}

/// ASCII only, as symbols are.
fn contains(symbol: &str, word: &str) -> bool {
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
    fn it_is_bounded() {
        assert_eq!(Filter::new(&"é".repeat(1000)).text().chars().count(), FILTER_LENGTH_MAX);
    }
}
