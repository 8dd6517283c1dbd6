//! An account, and the email that names it.

use super::Role;
use crate::text::is_unseen;
use app::model::time::UnixMillis;
use axum_login::AuthUser;
use secrecy::{ExposeSecret, SecretString};
use std::{fmt, str::FromStr};

/// The longest address that mail systems take (RFC 5321).
const EMAIL_BYTES_MAX: usize = 254;

/// Somebody who may sign in. Not serialisable: the hash goes nowhere but to the check of a password.
#[derive(Clone, Debug)]
pub struct Account {
    /// Never given twice.
    pub id: i64,
    /// What one signs in with.
    pub email: Email,
    /// What the account may do.
    pub role: Role,
    /// Refused at sign-in, and its sessions are as good as gone.
    pub disabled: bool,
    /// Does signing in take a code too?
    pub has_second_factor: bool,
    /// Does it sign in at an identity provider? Then it has no password here, and its role comes from there.
    pub is_from_provider: bool,
    /// When it was made.
    pub created_at: UnixMillis,
    /// Its `Debug` shows nothing.
    pub password_hash: PasswordHash,
    /// What its sessions are checked against: one more, and the sessions so far are over. No part of the hash, so that a
    /// hash with newer parameters ends none.
    pub(crate) session_epoch: [u8; 8],
}

impl AuthUser for Account {
    type Id = i64;

    fn id(&self) -> i64 {
        self.id
    }

    /// A session ends when this is no longer what it was at sign-in: after another password, and after the account was
    /// disabled, whether or not it was enabled again.
    fn session_auth_hash(&self) -> &[u8] {
        &self.session_epoch
    }
}

/// Who somebody is at an identity provider. Never the email: it may be changed, and given to somebody else.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Which provider.
    pub issuer: String,
    /// Who there.
    pub subject: String,
}

/// The hash of a password, as stored. `Debug` shows nothing of it.
#[derive(Clone)]
pub struct PasswordHash(SecretString);

impl PasswordHash {
    /// Of an account that has no password: none is right.
    #[must_use]
    pub fn none() -> Self {
        Self(SecretString::default())
    }

    /// Takes a hash as the database has it.
    #[must_use]
    pub fn from_stored(hash: String) -> Self {
        Self(hash.into())
    }

    pub(crate) fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

/// An email, trimmed and in lower case, so that two spellings of one are equal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Email(String);

/// Text that is no email.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an email; write it like name@example.com")]
pub struct BadEmail(String);

impl Email {
    /// The first account's where `ADMIN_EMAIL` does not say.
    #[must_use]
    pub fn first() -> Self {
        Self("admin@localhost".to_owned())
    }

    /// The email as stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Email {
    type Err = BadEmail;

    /// Whether mail arrives there is not known; only what could never be an address is refused.
    fn from_str(text: &str) -> Result<Self, BadEmail> {
        let email = text.trim().to_lowercase();
        // No colon: the audit log calls who acts on the command line `cli:NAME`.
        let well_formed = email.len() <= EMAIL_BYTES_MAX
            && !email.contains(|c: char| c.is_whitespace() || is_unseen(c) || c == ':')
            && matches!(email.split_once('@'), Some((name, host)) if !name.is_empty() && !host.is_empty() && !host.contains('@'));
        if well_formed { Ok(Self(email)) } else { Err(BadEmail(text.chars().take(EMAIL_BYTES_MAX).collect())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emails_are_equal_whatever_their_case() {
        let email: Email = " Ann.Lee@Example.COM\n".parse().unwrap();
        assert_eq!(email.as_str(), "ann.lee@example.com");
        assert_eq!("admin@localhost".parse::<Email>().unwrap().as_str(), "admin@localhost");
        assert_eq!("ÅSA@x".parse::<Email>(), "åsa@x".parse());
    }

    #[test]
    fn what_is_no_email_is_refused() {
        let long = format!("{}@x", "a".repeat(300));
        for text in [
            "",
            "ann",
            "@x",
            "ann@",
            "a@b@c",
            "a b@c",
            "a@b\u{7}",
            "cli:a@b",
            "a\u{202e}@b",
            "a\u{200b}@b",
            long.as_str(),
        ] {
            assert!(text.parse::<Email>().is_err(), "{text:?}");
        }
        assert_eq!(
            "ann".parse::<Email>().unwrap_err().to_string(),
            "`ann` is not an email; write it like name@example.com"
        );
    }

    #[test]
    fn debug_output_of_an_account_has_no_hash() {
        let account = Account {
            id: 1,
            email: "a@x".parse().unwrap(),
            role: Role::Admin,
            disabled: false,
            created_at: UnixMillis(0),
            password_hash: PasswordHash::from_stored("$argon2id$secret".into()),
            session_epoch: [0; 8],
            has_second_factor: false,
            is_from_provider: false,
        };
        let text = format!("{account:?} {account:#?}");
        assert!(text.contains("a@x") && !text.contains("argon2"), "{text}");
    }
}
