//! What leaves this process and is to come back as it was: sealed with a key that is made of the client secret, so that all servers
//! open it, and whoever has a copy of the database has nothing without the configuration.

use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, Salt},
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Serialize, de::DeserializeOwned};
use std::fmt;

/// What is sealed for one purpose is not opened for another.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    /// The cookie between the way to the provider and the way back.
    SignIn,
    /// A session's tokens in the database.
    Session,
}

/// The key.
pub(super) struct Seal(LessSafeKey);

impl Seal {
    /// `None` does not happen: the cipher has keys of the length that is made here.
    pub(super) fn new(secret: &SecretString) -> Option<Self> {
        let made = Salt::new(HKDF_SHA256, b"tickstock-monitor oidc v1").extract(secret.expose_secret().as_bytes());
        let key = made.expand(&[b"seal"], &CHACHA20_POLY1305).ok()?;
        Some(Self(LessSafeKey::new(UnboundKey::from(key))))
    }

    pub(super) fn seal(&self, purpose: Purpose, value: &impl Serialize) -> Option<Vec<u8>> {
        let nonce: [u8; NONCE_LEN] = rand::random();
        let mut bytes = serde_json::to_vec(value).ok()?;
        self.0.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), purpose.aad(), &mut bytes).ok()?;
        Some([&nonce[..], &bytes].concat())
    }

    /// `None` for what was not sealed with this key for this purpose.
    pub(super) fn open<T: DeserializeOwned>(&self, purpose: Purpose, sealed: &[u8]) -> Option<T> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut bytes = sealed.to_vec();
        let open = self.0.open_in_place(Nonce::assume_unique_for_key(*nonce), purpose.aad(), &mut bytes).ok()?;
        serde_json::from_slice(open).ok()
    }
}

impl Purpose {
    fn aad(self) -> Aad<&'static [u8]> {
        Aad::from(match self {
            Self::SignIn => b"sign-in",
            Self::Session => b"session",
        })
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_with_the_same_secret_for_the_same_purpose_alone() {
        let seal = Seal::new(&"secret".into()).unwrap();
        let sealed = seal.seal(Purpose::Session, &"refresh-token").unwrap();
        assert!(!String::from_utf8_lossy(&sealed).contains("refresh"));
        assert_ne!(sealed, seal.seal(Purpose::Session, &"refresh-token").unwrap(), "never the same twice");
        assert_eq!(seal.open::<String>(Purpose::Session, &sealed).unwrap(), "refresh-token");
        assert_eq!(seal.open::<String>(Purpose::SignIn, &sealed), None);
        assert_eq!(Seal::new(&"other".into()).unwrap().open::<String>(Purpose::Session, &sealed), None);
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(seal.open::<String>(Purpose::Session, &changed), None, "byte {at}");
            assert_eq!(seal.open::<String>(Purpose::Session, &sealed[..at]), None, "{at} bytes");
        }
    }
}
