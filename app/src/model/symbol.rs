//! Ticker symbols, inline: copying one allocates nothing.

use arrayvec::ArrayString;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use std::{fmt, ops::Deref};

/// The longest symbol taken: OCC option symbols (`O:SPY251219C00650000`) have 21 characters.
pub const SYMBOL_LENGTH_MAX: usize = 24;

/// A ticker symbol: 1 to 24 visible ASCII characters, upper case for shares (`AAPL`, `BRK.B`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Symbol(ArrayString<SYMBOL_LENGTH_MAX>);

/// Why a text is not a symbol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SymbolError {
    /// Nothing was there.
    #[error("a symbol is empty")]
    Empty,
    /// Longer than [`SYMBOL_LENGTH_MAX`].
    #[error("a symbol of {0} characters is longer than {SYMBOL_LENGTH_MAX}")]
    TooLong(usize),
    /// A space, a control character, a separator or something outside ASCII.
    #[error("{0:?} has a character that no symbol has")]
    Character(String),
}

impl Symbol {
    /// Reads a symbol. Case is kept: preferred shares are written `BACpL`.
    ///
    /// # Errors
    /// When the text is empty, too long, or has a comma, a space or anything that is not visible ASCII.
    pub fn parse(text: &str) -> Result<Self, SymbolError> {
        if text.is_empty() {
            return Err(SymbolError::Empty);
        }
        if text.len() > SYMBOL_LENGTH_MAX {
            return Err(SymbolError::TooLong(text.len()));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b',' | b'"' | b'<' | b'>')) {
            return Err(SymbolError::Character(text.to_owned()));
        }
        ArrayString::from(text).map(Self).map_err(|_| SymbolError::TooLong(text.len()))
    }
}

impl Deref for Symbol {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.0.as_str(), f)
    }
}

impl<'de> Deserialize<'de> for Symbol {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = ArrayString::<SYMBOL_LENGTH_MAX>::deserialize(deserializer)?;
        Self::parse(&text).map_err(D::Error::custom)
    }
}

#[cfg(feature = "ssr")]
impl schemars::JsonSchema for Symbol {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Symbol".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "minLength": 1,
            "maxLength": SYMBOL_LENGTH_MAX,
            "description": "A ticker symbol, such as AAPL or BRK.B: visible ASCII characters",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_are_visible_ascii_of_bounded_length() {
        assert_eq!(&*Symbol::parse("BRK.B").expect("a symbol"), "BRK.B");
        assert_eq!(Symbol::parse(""), Err(SymbolError::Empty));
        assert_eq!(Symbol::parse(&"A".repeat(25)), Err(SymbolError::TooLong(25)));
        for text in ["A B", "A,B", "<b>", "Ä", "A\n"] {
            assert!(matches!(Symbol::parse(text), Err(SymbolError::Character(_))), "{text:?}");
        }
    }
}
