//! Signing in at an identity provider (OpenID Connect, code flow with PKCE).
//!
//! ```text
//! GET /login/oidc ──▶ Provider::begin ──▶ sealed cookie (state, nonce, verifier)   browser ──▶ provider
//! GET /login/oidc/callback ──▶ Provider::finish ──▶ SignedIn ──▶ admit ──▶ account, session
//! every 15 min of a session ──▶ keep_roles ──▶ Provider::take_anew ──▶ another role, or the session's end
//! POST /login/oidc/logout ──▶ Provider::read_logout ──▶ the session's end
//! ```
//!
//! Somebody is the issuer and the subject of their ID token, never an email. What they may do, their groups say, each time anew.

mod admission;
mod anew;
mod claims;
mod http;
mod keeper;
mod logout;
mod provider;
mod seal;
mod sign_in;

pub use admission::admit_identity;
pub use claims::RoleMap;
pub use keeper::keep_roles;
pub use provider::Provider;
pub use sign_in::{Begun, CallbackQuery, SignedIn};

use openidconnect::core::CoreJwsSigningAlgorithm;
use secrecy::SecretString;

/// What signs tokens: the provider's private key alone. Neither `none`, nor what is signed with the secret that both have.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];
/// How far the provider's clock may be from ours.
const LEEWAY_S: i64 = 60;

/// The provider, as it is configured.
#[derive(Clone, Debug)]
pub struct OidcConfig {
    /// `OIDC_ISSUER`: its address, and part of who somebody is.
    pub issuer: String,
    /// `OIDC_CLIENT_ID`: what the provider calls this monitor.
    pub client_id: String,
    /// `OIDC_CLIENT_SECRET`.
    pub client_secret: SecretString,
    /// `OIDC_SCOPES`: what is asked for, beside `openid`.
    pub scopes: Vec<String>,
    /// `OIDC_GROUPS_CLAIM`: where the groups are, a name or a path with dots.
    pub groups_claim: String,
    /// `OIDC_ROLE_MAP`: which role a group has.
    pub roles: RoleMap,
}

/// Why somebody is not signed in by the provider, or no longer. For the audit log: it has no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OidcError {
    /// The provider cannot be asked, and nothing is known.
    #[error("the identity provider does not answer: {0}")]
    Unreachable(String),
    /// What came is not what the provider says of somebody who signed in here.
    #[error("{0}")]
    Refused(String),
    /// It is, and they may not come in.
    #[error("{0}")]
    NoRole(String),
}

impl OidcError {
    fn refused(why: impl Into<String>) -> Self {
        Self::Refused(why.into())
    }
}
