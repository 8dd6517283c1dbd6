//! Passwords: argon2id, few at once.
//!
//! One hash takes 19 MiB and tens of milliseconds of a core. A flood of sign-ins therefore waits in a short line, off the
//! runtime's own threads, and what does not fit into the line is turned away at once.

use super::{
    Email, PasswordHash,
    guessable::{Names, OUR_WORDS, is_guessable, words_in},
};
use rand::Rng;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use std::sync::{Arc, LazyLock};
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;
use unicode_normalization::UnicodeNormalization;

/// The fewest characters of a password.
pub const PASSWORD_MIN: usize = 12;
/// The fewest characters of a token for machines.
pub const TOKEN_MIN: usize = 16;
/// The most bytes of a password; a longer one would not fit into the sign-in form's limit.
const PASSWORD_BYTES_MAX: usize = 1024;
/// How many hashes are computed at once: on half of the cores, so that a flood of sign-ins leaves the other half to ticks.
fn hashing_max() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get() / 2).clamp(1, 4)
}

/// How many sign-ins of a line are being checked or wait for it.
const WAITING_MAX: usize = 64;

const GENERATED_LENGTH: usize = 20;
/// Letters and digits that nobody takes for one another: no 0 O o 1 l I.
const GENERATED_ALPHABET: &[u8] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// What an unknown account's password is compared with, so that the answer takes as long as for a known one.
static DECOY: LazyLock<String> = LazyLock::new(|| password_auth::generate_hash("nobody's password"));

/// zxcvbn's "safely unguessable": more than a hundred million tries, where sign-in allows a few dozen an hour.
const SCORE_MIN: zxcvbn::Score = zxcvbn::Score::Three;
/// Why a password is not accepted for an account.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPassword {
    /// Too short.
    #[error("the password has {0} characters; at least {PASSWORD_MIN} are needed")]
    TooShort(usize),
    /// Too long.
    #[error("the password is too long; at most {PASSWORD_BYTES_MAX} bytes are accepted")]
    TooLong,
    /// Among the first that an attacker tries.
    #[error(
        "the password is too easy to guess; use several words unrelated to one another, to the account, to this \
         installation and to dates"
    )]
    TooCommon,
}

/// Is the password good enough for the account with this email, in an installation with these names? Long enough, neither a
/// common one nor made of common ones, of rows of keys or of repetitions, and not of what is known of the account, of us and of the
/// calendar. What it is made of otherwise is not asked.
///
/// # Errors
/// [`BadPassword`] says what is wrong and what would do.
pub fn check_password(password: &SecretString, email: &Email, names: &Names) -> Result<(), BadPassword> {
    let text = password.expose_secret();
    let known: Vec<_> = words_in(email.as_str()).chain([email.as_str()]).chain(names.iter()).chain(OUR_WORDS).collect();
    match text.chars().count() {
        short if short < PASSWORD_MIN => Err(BadPassword::TooShort(short)),
        _ if text.len() > PASSWORD_BYTES_MAX => Err(BadPassword::TooLong),
        _ if zxcvbn::zxcvbn(text, &known).score() < SCORE_MIN => Err(BadPassword::TooCommon),
        _ if is_guessable(text, &known) => Err(BadPassword::TooCommon),
        _ => Ok(()),
    }
}

/// Is it fit to be the one secret that opens something to machines? Those do not mind how it is to be typed.
#[must_use]
pub fn is_good_token(token: &str) -> bool {
    token.len() >= TOKEN_MIN && zxcvbn::zxcvbn(token, &[]).score() >= zxcvbn::Score::Four && !is_guessable(token, &[])
}

/// Are the two the same? Takes as long whatever they are.
#[must_use]
pub fn is_same_secret(one: &str, other: &str) -> bool {
    Sha256::digest(one).ct_eq(&Sha256::digest(other)).into()
}

/// A password that is easy to read and type: 20 letters and digits, 116 bits.
#[must_use]
pub fn generate_password() -> SecretString {
    let mut rng = rand::rng();
    let letter = |_| char::from(GENERATED_ALPHABET[rng.random_range(0..GENERATED_ALPHABET.len())]);
    (0..GENERATED_LENGTH).map(letter).collect::<String>().into()
}

/// A password in the one form that is hashed, composed (NFC, as RFC 8265 asks): systems and keyboards write an `é` as one character
/// or as two, and nobody can see which.
fn composed(password: &str) -> String {
    password.nfc().collect()
}

/// Compares a password with a hash in every form that it may have been hashed in; those from before only one form was hashed
/// may be of another.
fn matches(password: &str, hash: &str) -> Option<Form> {
    let (composed, decomposed) = (composed(password), password.nfd().collect::<String>());
    let is = |form: &str| password_auth::verify_password(form, hash).is_ok();
    if is(&composed) {
        Some(Form::Composed)
    } else if (password != composed && is(password))
        || (decomposed != composed && decomposed != password && is(&decomposed))
    {
        Some(Form::Other)
    } else {
        None
    }
}

/// In which form a password was hashed.
#[derive(PartialEq, Eq)]
enum Form {
    Composed,
    Other,
}

/// Hashes a password, on a thread where it keeps nobody waiting.
///
/// # Errors
/// When the runtime is being shut down.
pub async fn hash_password(password: SecretString) -> Result<PasswordHash, tokio::task::JoinError> {
    let hash = move || hash_now(&password);
    tokio::task::spawn_blocking(hash).await
}

fn hash_now(password: &SecretString) -> PasswordHash {
    PasswordHash::from_stored(password_auth::generate_hash(composed(password.expose_secret())))
}

/// Why a password was not compared.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotVerified {
    #[error("too many sign-ins are being checked at once")]
    Busy,
    #[error("the server is stopping")]
    Stopping,
}

/// Whether a password belongs to a hash.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It does not, or there was none to compare with.
    Wrong,
    /// It does.
    Right {
        /// A hash of it with today's parameters, where the one that was compared has others.
        fresh: Option<PasswordHash>,
    },
}

/// Compares passwords with hashes, a bounded number at once, in two lines: a flood of strangers fills its own, and who comes from
/// where the account is known goes past it.
#[derive(Clone, Debug)]
pub(super) struct Verifier {
    strangers: Line,
    known: Line,
}

#[derive(Clone, Debug)]
struct Line {
    /// A place in the line; without one the sign-in is turned away.
    waiting: Arc<Semaphore>,
    /// One of the few that are computing.
    hashing: Arc<Semaphore>,
}

impl Line {
    fn new(hashing: usize) -> Self {
        Self { waiting: Arc::new(Semaphore::new(WAITING_MAX)), hashing: Arc::new(Semaphore::new(hashing)) }
    }
}

impl Verifier {
    pub(super) fn new() -> Self {
        Self { strangers: Line::new(hashing_max()), known: Line::new(1) }
    }

    /// Does the password belong to the hash? Without a hash the answer is no, and takes as long.
    pub(super) async fn verify(
        &self,
        password: SecretString,
        hash: Option<PasswordHash>,
        from_known_network: bool,
    ) -> Result<Verdict, NotVerified> {
        let line = if from_known_network { &self.known } else { &self.strangers };
        let _place = line.waiting.try_acquire().map_err(|_| NotVerified::Busy)?;
        // Owned, and moved into the computation: a client that hangs up frees neither core nor memory, so it must not
        // free the permit.
        let permit = line.hashing.clone().acquire_owned().await.map_err(|_| NotVerified::Stopping)?;
        let compare = move || {
            let _permit = permit;
            // Made at the first sign-in, whichever it is, so that the first one does not tell either.
            let decoy = DECOY.as_str();
            let against = hash.as_ref().map_or(decoy, PasswordHash::expose);
            let matched = matches(password.expose_secret(), against);
            let (Some(form), true) = (matched, hash.is_some()) else { return Verdict::Wrong };
            // Parameters that were good years ago: the password is at hand now, and only now.
            let is_obsolete = form == Form::Other || password_auth::is_hash_obsolete(against).unwrap_or(false);
            Verdict::Right { fresh: is_obsolete.then(|| hash_now(&password)) }
        };
        tokio::task::spawn_blocking(compare).await.map_err(|_| NotVerified::Stopping)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_has_at_least_twelve_characters() {
        let email = "ann.lee@example.com".parse().unwrap();
        let check = |password: &str| check_password(&password.into(), &email, &Names::default());
        assert_eq!(check("elf zeichen"), Err(BadPassword::TooShort(11)));
        assert_eq!(check("zwölfzeichen"), Ok(()));
        assert_eq!(check(&"x".repeat(1025)), Err(BadPassword::TooLong));
        let text = check("short").unwrap_err().to_string();
        assert_eq!(text, "the password has 5 characters; at least 12 are needed");
    }

    #[test]
    fn a_password_that_is_tried_first_is_refused() {
        let email = "ann.lee@example.com".parse().unwrap();
        let check = |password: &str| check_password(&password.into(), &email, &Names::default());
        for common in [
            "passwordpassword",
            "Password1234!",
            "qwertyuiop123",
            "123456789012",
            "aaaaaaaaaaaaaaaa",
            "letmeinletmein",
            "iloveyou2026",
            "ann.lee@example.com",
            "tickstockmonitor",
            "TickStock2026!",
            "monitor@example.com",
            "Summer2026!!",
            "Winter2026Winter",
            "ExampleCorp2026",
        ] {
            assert_eq!(check(common), Err(BadPassword::TooCommon), "{common}");
        }
        for good in ["correct horse battery staple", "korrekt pferd batterie", "Vq7#pl0x!tRm9z"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        assert!(!BadPassword::TooCommon.to_string().contains("letmein"));
    }

    #[test]
    fn a_token_for_machines_is_long_and_no_word() {
        for bad in [
            "x",
            "scrape-me",
            "metrics",
            "0123456789abcdef",
            "aaaaaaaaaaaaaaaaaaaaaaaa",
            "passwordpassword",
            "tickstock-monitor",
        ] {
            assert!(!is_good_token(bad), "{bad}");
        }
        for good in ["3f9ac1d2e8b4570611aa93cd2b7e4f10", "kT26Xw9fQz-r7LmP", "correct-horse-battery-staple"] {
            assert!(is_good_token(good), "{good}");
        }
        assert!(is_same_secret("one", "one") && !is_same_secret("one", "onf") && !is_same_secret("one", "one "));
    }

    #[test]
    fn generated_passwords_differ_and_have_no_ambiguous_letters() {
        let (one, two) = (generate_password(), generate_password());
        assert_ne!(one.expose_secret(), two.expose_secret());
        assert_eq!(one.expose_secret().len(), 20);
        assert!(!one.expose_secret().contains(['0', 'O', 'o', '1', 'l', 'I']));
        assert!(check_password(&one, &"a@x".parse().unwrap(), &Names::default()).is_ok());
    }

    #[tokio::test]
    async fn a_password_is_verified_against_its_argon2id_hash_only() {
        let verifier = Verifier::new();
        let hash = hash_password("correct horse battery".into()).await.unwrap();
        assert!(hash.expose().starts_with("$argon2id$"));
        let verify = async |password: &str, hash: Option<PasswordHash>| {
            matches!(verifier.verify(password.into(), hash, false).await.unwrap(), Verdict::Right { fresh: None })
        };
        assert!(verify("correct horse battery", Some(hash.clone())).await);
        assert!(!verify("Correct horse battery", Some(hash.clone())).await);
        assert!(!verify("nobody's password", None).await);
        assert!(!verify("x", Some(PasswordHash::from_stored("rubbish".into()))).await);
        assert!(!format!("{hash:?}").contains("argon2id"));
    }

    #[tokio::test]
    async fn a_password_is_the_same_in_whichever_form_its_characters_are_written() {
        // The é as one character, and as an e with an accent.
        let forms = ["caf\u{e9} correct horse", "cafe\u{301} correct horse"];
        let verifier = Verifier::new();
        let verify = async |password: &str, hash: &PasswordHash| match verifier
            .verify(password.into(), Some(hash.clone()), false)
            .await
            .unwrap()
        {
            Verdict::Wrong => None,
            Verdict::Right { fresh } => Some(fresh.is_some()),
        };
        for set in forms {
            let hash = hash_password(set.into()).await.unwrap();
            let hash_of_before = PasswordHash::from_stored(password_auth::generate_hash(set));
            for typed in forms {
                assert_eq!(verify(typed, &hash).await, Some(false));
                let is_replaced = set == forms[1];
                assert_eq!(verify(typed, &hash_of_before).await, Some(is_replaced), "old hashes still work");
            }
            assert_eq!(verify("cafe correct horse", &hash).await, None);
        }
    }

    #[tokio::test]
    async fn a_flood_waits_in_a_short_line_and_the_rest_is_turned_away() {
        let verifier = Verifier::new();
        let held =
            verifier.strangers.hashing.clone().acquire_many_owned(u32::try_from(hashing_max()).unwrap()).await.unwrap();
        let line: Vec<_> = (0..WAITING_MAX)
            .map(|_| {
                let verifier = verifier.clone();
                tokio::spawn(async move { verifier.verify("x".into(), None, false).await })
            })
            .collect();
        while verifier.strangers.waiting.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(matches!(verifier.verify("x".into(), None, false).await, Err(NotVerified::Busy)));
        assert!(matches!(verifier.verify("x".into(), None, true).await, Ok(Verdict::Wrong)), "past the flood");
        for waiting in line {
            waiting.abort();
            drop(waiting.await);
        }
        drop(held);
        assert!(matches!(verifier.verify("x".into(), None, false).await, Ok(Verdict::Wrong)));
    }
}
