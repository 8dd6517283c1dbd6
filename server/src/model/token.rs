//! What is known of an API token: its name, what it is for, and a hash. The token itself is kept nowhere.

use std::{fmt, str::FromStr};

/// The longest name.
const NAME_CHARS_MAX: usize = 40;

/// What a token is for. One of the two: a program that looks and acts has two tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Sees everything, changes nothing.
    Read,
    /// Changes what an administrator may change, sees nothing.
    Operate,
}

/// A word that names no scope.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown scope `{0}`; it is read or operate")]
pub struct UnknownScope(String);

impl Scope {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Read, Self::Operate];

    /// The scope's name in the database, on the page and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Operate => "operate",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(name: &str) -> Result<Self, UnknownScope> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == name).ok_or_else(|| UnknownScope(name.to_owned()))
    }
}

/// How a token is called in lists and, as `token:NAME`, in the audit log. No `@` in it: it is never taken for an account.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TokenName(String);

/// Not a name for a token.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a token's name has 1 to {NAME_CHARS_MAX} letters, digits, dots, hyphens and underscores, as in nightly-report"
)]
pub struct BadTokenName;

impl TokenName {
    /// The name, in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Who acts with it, in the audit log.
    #[must_use]
    pub fn actor(&self) -> String {
        format!("token:{}", self.0)
    }
}

impl fmt::Display for TokenName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for TokenName {
    type Err = BadTokenName;

    fn from_str(text: &str) -> Result<Self, BadTokenName> {
        let name = text.trim().to_ascii_lowercase();
        let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
        let fits = (1..=NAME_CHARS_MAX).contains(&name.len()) && name.chars().any(|c| c.is_ascii_alphanumeric());
        if is_plain && fits { Ok(Self(name)) } else { Err(BadTokenName) }
    }
}

/// SHA-256 of a token: 256 random bits cannot be guessed back from it.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenHash(pub(crate) [u8; 32]);

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_plain_and_never_an_account() {
        assert_eq!(" Nightly-Report.2 ".parse::<TokenName>().unwrap().actor(), "token:nightly-report.2");
        for bad in ["", " ", "a b", "ann@example.com", "é", "-.-", "a\nb", "<b>", &"x".repeat(41)] {
            assert_eq!(bad.parse::<TokenName>(), Err(BadTokenName), "{bad:?}");
        }
    }

    #[test]
    fn scopes_are_read_back() {
        assert!(Scope::ALL.into_iter().all(|scope| scope.as_str().parse() == Ok(scope)));
        let error = "admin".parse::<Scope>().unwrap_err().to_string();
        assert_eq!(error, "unknown scope `admin`; it is read or operate");
    }
}
