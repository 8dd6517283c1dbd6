//! What is wrong with a setting, as shown at a start, after a refresh and on the page.

use std::fmt;

/// One thing wrong with the configuration: which variable, its value, what would be accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The variable.
    pub variable: String,
    /// Its value; `None` for secrets, which are never printed, and where there is none.
    pub value: Option<String>,
    /// What would be accepted.
    pub accepted: String,
}

impl Problem {
    /// Puts a problem together. An address that may have a password or a key in it is not repeated.
    pub fn new(variable: impl Into<String>, value: Option<&str>, accepted: impl Into<String>) -> Self {
        let may_hold_secret = |value: &str| value.contains(':') && value.contains(['@', '?']);
        let value = value.filter(|value| !may_hold_secret(value));
        Self { variable: variable.into(), value: value.map(str::to_owned), accepted: accepted.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{}={value:?}: expected {}", self.variable, self.accepted),
            None => write!(f, "{}: expected {}", self.variable, self.accepted),
        }
    }
}
