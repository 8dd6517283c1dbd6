//! What is kept of an account's second factor.

use app::model::time::UnixMillis;
use std::fmt;

/// What an account's authenticator app and the server share. It has to be known to check a code, so it is in the database as it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Seed(pub(crate) [u8; 20]);

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(…)")
    }
}

/// SHA-256 of an account and one of its recovery codes.
#[derive(Clone, PartialEq, Eq)]
pub struct RecoveryHash(pub(crate) [u8; 32]);

impl fmt::Debug for RecoveryHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryHash(…)")
    }
}

/// The second factor of an account.
#[derive(Clone, Debug)]
pub struct SecondFactor {
    /// What its codes are made of.
    pub seed: Seed,
    /// Since when it is asked for; `None` until a first code has shown that the app has the seed.
    pub since: Option<UnixMillis>,
    /// Recovery codes that are not used yet.
    pub codes_left: i64,
}
