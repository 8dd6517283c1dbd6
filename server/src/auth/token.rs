//! API tokens: what a program shows instead of a session, as `Authorization: Bearer tsm_…`.
//!
//! A token is `tsm_`, 43 random letters and digits (256 bits), and six more that check the rest. The prefix lets scanners of
//! repositories find it, and the check tells a mistyped token from a revoked one without asking the database.

use crate::model::TokenHash;
use rand::Rng;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

/// What every token starts with.
const PREFIX: &str = "tsm_";
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const RANDOM_LENGTH: usize = 43;
const CHECK_LENGTH: usize = 6;
/// The longest life of a token.
pub const TOKEN_DAYS_MAX: u32 = 365;

/// A new token, to be shown once, and what is kept of it.
#[must_use]
pub fn generate_token() -> (SecretString, TokenHash) {
    let mut rng = rand::rng();
    let random: String = (0..RANDOM_LENGTH).map(|_| char::from(ALPHABET[rng.random_range(0..62)])).collect();
    let token = SecretString::from([PREFIX, &random, &check_of(&random)].concat());
    let hash = hash(token.expose_secret());
    (token, hash)
}

/// The hash of a token as it was sent; `None` when it is not whole.
pub(crate) fn read_token(text: &str) -> Option<TokenHash> {
    let (random, check) = text.strip_prefix(PREFIX)?.split_at_checked(RANDOM_LENGTH)?;
    (check == check_of(random)).then(|| hash(text))
}

/// Is there a token in the text, or most of one? Whole or not, it does not belong there.
pub(crate) fn holds_token(text: &str) -> bool {
    let is_token = |rest: &str| rest.bytes().take_while(u8::is_ascii_alphanumeric).count() >= RANDOM_LENGTH / 2;
    text.match_indices(PREFIX).any(|(at, _)| is_token(&text[at + PREFIX.len()..]))
}

fn hash(token: &str) -> TokenHash {
    TokenHash(Sha256::digest(token).into())
}

/// Six digits to the base of 62 are all of 32 bits.
fn check_of(random: &str) -> String {
    let digest = Sha256::digest([PREFIX, random].concat());
    let mut rest = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
    let digit = |_| {
        let digit = ALPHABET[(rest % 62) as usize];
        rest /= 62;
        char::from(digit)
    };
    (0..CHECK_LENGTH).map(digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_made_and_a_mistyped_one_is_none() {
        let (token, hash) = generate_token();
        let text = token.expose_secret();
        assert_eq!(text.len(), PREFIX.len() + RANDOM_LENGTH + CHECK_LENGTH);
        assert_eq!(read_token(text), Some(hash));
        assert_ne!(generate_token().0.expose_secret(), text);
        for at in [PREFIX.len(), PREFIX.len() + 20, text.len() - 1] {
            let other = if text.as_bytes()[at] == b'x' { "y" } else { "x" };
            assert_eq!(read_token(&[&text[..at], other, &text[at + 1..]].concat()), None, "{at}");
        }
        for bad in ["", "tsm_", &text[..text.len() - 1], &[text, "x"].concat(), &["x", text].concat(), "tsm_é"] {
            assert_eq!(read_token(bad), None, "{bad}");
        }
        assert_eq!(read_token(&format!("tsm_{}", "é".repeat(30))), None, "no panic inside a character");
    }

    #[test]
    fn a_token_is_found_wherever_it_stands() {
        let (token, _) = generate_token();
        let token = token.expose_secret();
        for text in [token.to_owned(), format!("/x/{token}/y"), format!("tsm_ {}", token), token[..30].to_owned()] {
            assert!(holds_token(&text), "{text}");
        }
        for text in ["", "tsm_", "actor=token:tsm_report", "tsm_nightly-report"] {
            assert!(!holds_token(text), "{text}");
        }
    }
}
