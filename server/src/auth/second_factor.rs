//! The second factor: codes of an authenticator app (RFC 6238: SHA-1, 30 s, 6 digits, which all apps know), and recovery codes for when
//! it is lost.

use crate::{
    database::{Database, QueryError},
    model::{RecoveryHash, Seed},
};
use app::model::time::UnixMillis;
use data_encoding::BASE32_NOPAD;
use hmac::{Hmac, Mac};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use qrcodegen::{QrCode, QrCodeEcc};
use rand::Rng;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::fmt::Write;
use subtle::ConstantTimeEq;

/// How many recovery codes there are at first.
pub const RECOVERY_CODES: usize = 10;
const STEP_MS: i64 = 30_000;
/// Clocks of phones are off by a little: a code of the step before and of the one after is taken too.
const STEPS: std::ops::RangeInclusive<i64> = -1..=1;
const CODES_END: u32 = 1_000_000;
/// Of the recovery codes: 80 bits each, so that their hashes need not be slow.
const RECOVERY_BYTES: usize = 10;

/// A new seed: as many bits as the hash has.
#[must_use]
pub fn generate_seed() -> Seed {
    Seed(rand::random())
}

/// The seed as people type it where they cannot scan it, in groups of four.
#[must_use]
pub fn seed_text(seed: &Seed) -> String {
    grouped(&BASE32_NOPAD.encode(&seed.0), " ")
}

/// The address in the picture that an authenticator app scans, as SVG without styles.
#[must_use]
pub fn seed_picture(seed: &Seed, email: &str) -> Option<String> {
    let secret = BASE32_NOPAD.encode(&seed.0);
    let email = utf8_percent_encode(email, NON_ALPHANUMERIC);
    let issuer = "TickStock%20Monitor";
    picture(
        &format!("otpauth://totp/{issuer}:{email}?secret={secret}&issuer={issuer}"),
        "QR code for an authenticator app",
    )
}

/// A QR code of a text, as SVG without styles, named `label`; `None` for a text that is too long for one.
pub(crate) fn picture(text: &str, label: &str) -> Option<String> {
    let code = QrCode::encode_text(text, QrCodeEcc::Medium).ok()?;
    // With the quiet zone that readers want.
    let (size, edge) = (code.size(), 4);
    let whole = size + 2 * edge;
    let mut dark = String::new();
    for (x, y) in (0..size).flat_map(|y| (0..size).map(move |x| (x, y))).filter(|(x, y)| code.get_module(*x, *y)) {
        let _ = write!(dark, "M{} {}h1v1h-1z", x + edge, y + edge);
    }
    Some(format!(
        r##"<svg viewBox="0 0 {whole} {whole}" width="{px}" height="{px}" role="img" aria-label="{label}" data-testid="qr" shape-rendering="crispEdges"><path fill="#fff" d="M0 0h{whole}v{whole}H0z"/><path fill="#000" d="{dark}"/></svg>"##,
        px = whole * 5
    ))
}

/// The code of a step.
fn code_at(seed: &Seed, step: i64) -> u32 {
    // An HMAC takes a key of any length.
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(&seed.0) else { return CODES_END };
    mac.update(&step.to_be_bytes());
    let hash = mac.finalize().into_bytes();
    let at = usize::from(hash[19] & 0xf);
    (u32::from_be_bytes([hash[at], hash[at + 1], hash[at + 2], hash[at + 3]]) & 0x7fff_ffff) % CODES_END
}

/// The step whose code was typed, if it is one of now. Takes as long whatever was typed.
#[must_use]
pub fn step_of(seed: &Seed, typed: &str, now: UnixMillis) -> Option<i64> {
    let typed: String = typed.chars().filter(|c| !c.is_whitespace()).collect();
    let is_code = typed.len() == 6 && typed.bytes().all(|byte| byte.is_ascii_digit());
    let typed: u32 = typed.parse().ok().filter(|_| is_code)?;
    let step = now.0.div_euclid(STEP_MS);
    STEPS.map(|offset| step + offset).fold(None, |found, step| {
        let is_it: bool = code_at(seed, step).ct_eq(&typed).into();
        if is_it { Some(step) } else { found }
    })
}

/// New recovery codes, to be shown once, and what is kept of them.
#[must_use]
pub fn generate_recovery_codes(account_id: i64) -> (Vec<String>, Vec<RecoveryHash>) {
    let mut rng = rand::rng();
    let codes: Vec<_> = (0..RECOVERY_CODES)
        .map(|_| grouped(&BASE32_NOPAD.encode(&rng.random::<[u8; RECOVERY_BYTES]>()).to_lowercase(), "-"))
        .collect();
    let hashes = codes.iter().map(|code| recovery_hash(account_id, code)).collect();
    (codes, hashes)
}

/// Of the account too: the hash of one account's code is of no use for another's.
fn recovery_hash(account_id: i64, typed: &str) -> RecoveryHash {
    let plain: String = typed.chars().filter(char::is_ascii_alphanumeric).collect();
    let mut sha = Sha256::new();
    sha.update(b"tickstock-monitor recovery code");
    sha.update(account_id.to_be_bytes());
    sha.update(plain.to_ascii_uppercase());
    RecoveryHash(sha.finalize().into())
}

fn grouped(text: &str, between: &str) -> String {
    let groups: Vec<_> = text.as_bytes().chunks(4).map(String::from_utf8_lossy).collect();
    groups.join(between)
}

/// Is it a code of the account's app that was not used yet, or one of its recovery codes? It is used up with that.
///
/// # Errors
/// When the database does not answer.
pub async fn spend_code(
    database: &Database,
    account_id: i64,
    typed: &str,
    now: UnixMillis,
) -> Result<bool, QueryError> {
    let Some(factor) = database.second_factor(account_id).await?.filter(|factor| factor.since.is_some()) else {
        return Ok(false);
    };
    match step_of(&factor.seed, typed, now) {
        Some(step) => database.spend_step(account_id, step).await,
        None => database.spend_recovery_code(account_id, &recovery_hash(account_id, typed)).await,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::auth::{Role, testing};

    /// What the app shows.
    pub(crate) fn code(seed: &Seed, now: UnixMillis) -> String {
        format!("{:06}", code_at(seed, now.0.div_euclid(STEP_MS)))
    }

    #[test]
    fn codes_are_those_of_rfc_6238() {
        let seed = Seed(*b"12345678901234567890");
        for (second, code) in [
            (59, 287_082),
            (1_111_111_109, 81_804),
            (1_111_111_111, 50_471),
            (1_234_567_890, 5_924),
            (2_000_000_000, 279_037),
            (20_000_000_000, 353_130),
        ] {
            assert_eq!(code_at(&seed, second / 30), code, "{second}");
        }
        assert_eq!(seed_text(&seed), "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ");
    }

    #[test]
    fn a_code_is_taken_a_step_before_and_after_its_own() {
        let seed = Seed(*b"12345678901234567890");
        let now = UnixMillis(1_234_567_890_000);
        let typed = code(&seed, now);
        let at = |seconds: i64| step_of(&seed, &typed, UnixMillis(now.0 + seconds * 1_000));
        assert_eq!([at(-30), at(0), at(30)], [Some(41_152_263); 3]);
        assert_eq!([at(-61), at(61)], [None, None]);
        for bad in ["", "5924", "00592", "0005924", "-05924", "+05924", "005925", "００５９２４"] {
            assert_eq!(step_of(&seed, bad, now), None, "{bad}");
        }
        assert!(step_of(&seed, " 005 924 ", now).is_some(), "as apps show it");
    }

    #[test]
    fn the_picture_has_no_style_and_nothing_of_the_email() {
        let svg = seed_picture(&Seed([7; 20]), "\"><script>@x").unwrap();
        assert!(svg.starts_with("<svg") && !svg.contains("style") && !svg.contains("script"), "{svg}");
        assert!(svg.len() < 40_000, "{}", svg.len());
        assert_eq!(format!("{:?}", Seed([7; 20])), "Seed(…)");
    }

    #[tokio::test]
    async fn a_code_is_taken_once_and_a_recovery_code_too_each_by_its_account_alone() {
        let (_folder, database) = testing::database().await;
        let (ann, bob) = (
            testing::account(&database, "ann@x", Role::Admin).await,
            testing::account(&database, "bob@x", Role::Admin).await,
        );
        let now = UnixMillis::now();
        let seed = generate_seed();
        let mut change = database.change().await.unwrap();
        assert!(change.start_second_factor(ann, &seed).await.unwrap());
        change.commit().await.unwrap();
        let typed = code(&seed, now);
        assert!(!spend_code(&database, ann, &typed, now).await.unwrap(), "not confirmed yet");

        let (codes, hashes) = generate_recovery_codes(ann);
        let mut change = database.change().await.unwrap();
        let step = step_of(&seed, &typed, now).unwrap();
        assert!(change.confirm_second_factor(ann, step, &hashes, now).await.unwrap());
        assert!(!change.confirm_second_factor(ann, step, &hashes, now).await.unwrap(), "once");
        assert!(!change.start_second_factor(ann, &generate_seed()).await.unwrap(), "not replaced unasked");
        change.commit().await.unwrap();

        assert!(!spend_code(&database, ann, &typed, now).await.unwrap(), "the code that confirmed it is used up");
        let next = UnixMillis(now.0 + 30_000);
        let typed = code(&seed, next);
        let attempts = [0, 1].map(|_| spend_code(&database, ann, &typed, next));
        let taken = futures_util::future::join_all(attempts).await;
        assert_eq!(taken.into_iter().map(Result::unwrap).filter(|taken| *taken).count(), 1, "two at once are one");
        let before = code(&seed, now);
        assert!(!spend_code(&database, ann, &before, next).await.unwrap(), "an older code after a newer one");

        assert_eq!(codes.len(), RECOVERY_CODES);
        assert!(!spend_code(&database, bob, &codes[0], now).await.unwrap(), "somebody else's");
        assert!(spend_code(&database, ann, &codes[0].to_uppercase().replace('-', " "), now).await.unwrap());
        assert!(!spend_code(&database, ann, &codes[0], now).await.unwrap(), "used up");
        assert_eq!(database.second_factor(ann).await.unwrap().unwrap().codes_left, 9);
        for bad in ["", "-", "0000-0000-0000-0000"] {
            assert!(!spend_code(&database, ann, bad, now).await.unwrap(), "{bad}");
        }
        assert!(database.account_by_id(ann).await.unwrap().unwrap().has_second_factor);
        assert!(!database.account_by_id(bob).await.unwrap().unwrap().has_second_factor);
    }
}
