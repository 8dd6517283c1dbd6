//! What the session layer asks: is this the password, and who is this id now?

use super::{
    Account, Email,
    password::{NotVerified, Verdict, Verifier},
};
use crate::database::{Database, QueryError};
use axum_login::AuthnBackend;
use secrecy::SecretString;
use std::fmt;

/// What somebody signs in with. The email is as typed; one that cannot be an email belongs to nobody. `Debug` shows neither, as
/// either field may have been typed into the other.
#[derive(Clone)]
pub struct Credentials {
    /// As typed.
    pub email: String,
    /// As typed.
    pub password: SecretString,
    /// Was the account signed in with from there before? Then strangers' attempts keep nobody waiting.
    pub from_known_network: bool,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(…)")
    }
}

/// Why a sign-in was not checked.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// Too many at once.
    #[error("too many sign-ins are being checked at once")]
    Busy,
    /// The server is being stopped.
    #[error("the server is stopping")]
    Stopping,
    /// The database did not answer.
    #[error(transparent)]
    Query(#[from] QueryError),
}

/// The accounts, as the session layer sees them.
#[derive(Clone, Debug)]
pub struct Accounts {
    database: Database,
    verifier: Verifier,
}

/// The session of a request, with the account that it belongs to.
pub type AuthSession = axum_login::AuthSession<Accounts>;

impl Accounts {
    /// The accounts of a database. One per server: its clones share the limit on passwords checked at once.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database, verifier: Verifier::new() }
    }

    /// The database behind.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.database
    }
}

impl AuthnBackend for Accounts {
    type User = Account;
    type Credentials = Credentials;
    type Error = AuthError;

    /// Unknown, disabled and wrong password are one answer, after the same work.
    async fn authenticate(&self, credentials: Credentials) -> Result<Option<Account>, AuthError> {
        // Who signs in at an identity provider has no password, and is as unknown here as nobody.
        let found = match credentials.email.parse::<Email>() {
            Ok(email) => self.database.account_by_email(&email).await?,
            Err(_) => None,
        };
        let account = found.filter(|account| !account.is_from_provider);
        let hash = account.as_ref().map(|account| account.password_hash.clone());
        let Credentials { password, from_known_network, .. } = credentials;
        let verdict = self.verifier.verify(password, hash, from_known_network).await.map_err(|error| match error {
            NotVerified::Busy => AuthError::Busy,
            NotVerified::Stopping => AuthError::Stopping,
        })?;
        let (Verdict::Right { fresh }, Some(account)) = (verdict, account) else { return Ok(None) };
        if account.disabled {
            return Ok(None);
        }
        if let Some(fresh) = fresh {
            self.database.rehash(account.id, &account.password_hash, &fresh).await?;
            tracing::info!(account.id, "Rehashed a password with current parameters");
        }
        Ok(Some(account))
    }

    /// Asked on every request with a session, so that a change of role counts at once and a disabled account is nobody.
    async fn get_user(&self, id: &i64) -> Result<Option<Account>, AuthError> {
        Ok(self.database.account_by_id(*id).await?.filter(|account| !account.disabled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{
        Role,
        testing::{self, PASSWORD},
    };

    async fn signs_in(accounts: &Accounts, email: &str, password: &str) -> bool {
        let credentials = Credentials { email: email.into(), password: password.into(), from_known_network: false };
        accounts.authenticate(credentials).await.unwrap().is_some()
    }

    #[tokio::test]
    async fn only_the_right_password_of_an_enabled_account_signs_in() {
        let (_folder, database) = testing::database().await;
        let id = testing::account(&database, "ann@x", Role::Admin).await;
        let accounts = Accounts::new(database.clone());
        assert!(signs_in(&accounts, "ann@x", PASSWORD).await);
        assert!(signs_in(&accounts, " ANN@X ", PASSWORD).await);
        assert!(!signs_in(&accounts, "ann@x", "wrong password").await);
        assert!(!signs_in(&accounts, "ann@x", "").await);
        assert!(!signs_in(&accounts, "bob@x", PASSWORD).await, "unknown");
        assert!(!signs_in(&accounts, "not an email", PASSWORD).await);
        assert!(accounts.get_user(&id).await.unwrap().is_some());

        testing::set_disabled(&database, &"ann@x".parse().unwrap(), true).await;
        assert!(!signs_in(&accounts, "ann@x", PASSWORD).await, "disabled");
        assert!(accounts.get_user(&id).await.unwrap().is_none(), "disabled");
    }

    #[tokio::test]
    async fn a_hash_with_old_parameters_is_replaced_at_sign_in_and_sessions_go_on() {
        use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version, password_hash::SaltString};

        let (_folder, database) = testing::database().await;
        let id = testing::account(&database, "ann@x", Role::Admin).await;
        let params = Params::new(1024, 1, 1, None).unwrap();
        let salt = SaltString::from_b64("c2FsdHNhbHRzYWx0").unwrap();
        let weak = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let weak = weak.hash_password(PASSWORD.as_bytes(), &salt).unwrap().to_string();
        let email = "ann@x".parse().unwrap();
        testing::set_password_hash(&database, &email, &crate::auth::PasswordHash::from_stored(weak)).await;
        let before = database.account_by_id(id).await.unwrap().unwrap();
        assert!(before.password_hash.expose().contains("m=1024,t=1"));

        let accounts = Accounts::new(database.clone());
        assert!(!signs_in(&accounts, "ann@x", "wrong password").await);
        assert!(database.account_by_id(id).await.unwrap().unwrap().password_hash.expose().contains("m=1024"));
        assert!(signs_in(&accounts, "ann@x", PASSWORD).await);
        let after = database.account_by_id(id).await.unwrap().unwrap();
        // OWASP's minimum: 19 MiB, two passes.
        assert!(after.password_hash.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert_eq!(before.session_epoch, after.session_epoch);
        assert!(signs_in(&accounts, "ann@x", PASSWORD).await);
    }

    #[test]
    fn debug_output_of_credentials_has_nothing_that_was_typed() {
        let credentials =
            Credentials { email: "hunter3hunter3".into(), password: "hunter2hunter2".into(), from_known_network: true };
        let text = format!("{credentials:?}");
        assert!(!text.contains("hunter"), "{text}");
    }
}
