//! Screens on walls: each has a secret of its own in a cookie, and a code that is shown until an administrator pairs it.

use super::SessionRules;
use crate::model::TokenHash;
use axum::http::{HeaderMap, header::COOKIE};
use rand::Rng;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use time::Duration;
use tower_sessions::cookie::{Cookie, SameSite};

/// Letters and digits that nobody takes for one another.
const ALPHABET: &[u8] = b"ABCDEFGHJKMNPQRSTUVWXYZ23456789";
const CODE_LENGTH: usize = 8;
const SECRET_BYTES: usize = 32;

/// What a new screen keeps in its cookie, and what is kept of it.
#[must_use]
pub fn generate_screen_secret() -> (SecretString, TokenHash) {
    let bytes: [u8; SECRET_BYTES] = rand::random();
    let secret = SecretString::from(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    let hash = hash(secret.expose_secret());
    (secret, hash)
}

/// What a screen shows: 39 bits, for ten minutes.
#[must_use]
pub fn generate_screen_code() -> String {
    let mut rng = rand::rng();
    (0..CODE_LENGTH).map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())])).collect()
}

/// A code as it was typed, in small letters and with a hyphen or not; `None` for what is none.
#[must_use]
pub fn read_screen_code(typed: &str) -> Option<String> {
    let code: String =
        typed.chars().filter(|c| !c.is_whitespace() && *c != '-').map(|c| c.to_ascii_uppercase()).collect();
    (code.len() == CODE_LENGTH && code.bytes().all(|byte| ALPHABET.contains(&byte))).then_some(code)
}

/// A code as people read it.
#[must_use]
pub fn screen_code_text(code: &str) -> String {
    let (first, rest) = code.split_at(code.len() / 2);
    format!("{first}-{rest}")
}

fn hash(secret: &str) -> TokenHash {
    TokenHash(Sha256::digest(secret).into())
}

/// Not the session's: signing in and out at a screen changes nothing about it.
fn cookie_name(rules: SessionRules) -> String {
    rules.cookie_name().replace("session", "screen")
}

/// The cookie that a screen keeps, whatever happens to its browser.
#[must_use]
pub fn screen_cookie(secret: &SecretString, seconds: i64, rules: SessionRules) -> String {
    Cookie::build((cookie_name(rules), secret.expose_secret()))
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(rules.secure)
        .path("/")
        .max_age(Duration::seconds(seconds))
        .to_string()
}

/// What stands for the secret in a request's cookie.
#[must_use]
pub fn screen_of(headers: &HeaderMap, rules: SessionRules) -> Option<TokenHash> {
    let name = cookie_name(rules);
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut found = cookies.flat_map(Cookie::split_parse).filter_map(Result::ok).filter(|cookie| cookie.name() == name);
    let secret = found.next()?.value().to_owned();
    (secret.len() == 2 * SECRET_BYTES && secret.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| hash(&secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_as_it_is_shown() {
        let code = generate_screen_code();
        assert_eq!(read_screen_code(&screen_code_text(&code)).as_ref(), Some(&code));
        assert_eq!(read_screen_code(&format!(" {} ", code.to_lowercase())).as_ref(), Some(&code));
        for bad in ["", "ABCD-EFG", "ABCD-EFGHJ", "ABCD-EFG0", "ABCD-EFGé", "<script>"] {
            assert_eq!(read_screen_code(bad), None, "{bad}");
        }
    }
}
