//! The first account: a new installation has to let somebody in.

use super::{BadPassword, Email, Names, Role, check_password, generate_password, hash_password};
use crate::{
    audit::{Action, Actor},
    database::{AccountError, Database, NewAccount, QueryError},
};
use secrecy::SecretString;
use tokio::task::spawn_blocking;

/// What became of the first account.
#[derive(Debug)]
pub enum FirstAccount {
    /// There are accounts already; the variables count for nothing.
    AlreadyThere,
    /// One was made.
    Made {
        /// Its email.
        email: Email,
        /// Its password when it was generated: to be printed now, as it is kept nowhere.
        generated_password: Option<SecretString>,
    },
}

/// Why there is no first account.
#[derive(Debug, thiserror::Error)]
pub enum FirstAccountError {
    /// The password will not do.
    #[error("ADMIN_PASSWORD: expected a stronger password: {0}")]
    Password(BadPassword),
    /// The runtime is being shut down.
    #[error("the server is stopping")]
    Stopping(#[from] tokio::task::JoinError),
    /// The database did not answer.
    #[error(transparent)]
    Query(#[from] QueryError),
}

/// Makes an admin when there is no account at all: with the given email and password, or `admin@localhost` and a
/// generated one. With any account present it does nothing; the variables may stay set.
///
/// # Errors
/// [`FirstAccountError`] names the variable and what is wrong with it.
pub async fn first_account(
    database: &Database,
    email: Option<Email>,
    password: Option<SecretString>,
    names: &Names,
) -> Result<FirstAccount, FirstAccountError> {
    if database.account_count().await? > 0 {
        return Ok(FirstAccount::AlreadyThere);
    }
    let email = email.unwrap_or_else(Email::first);
    let (password, generated_password) = match password {
        Some(given) => (given, None),
        None => {
            let generated = generate_password();
            (generated.clone(), Some(generated))
        }
    };
    // Both take their time, so a given one is checked while it is hashed.
    let check = generated_password.is_none().then(|| {
        let (password, email, names) = (password.clone(), email.clone(), names.clone());
        spawn_blocking(move || check_password(&password, &email, &names))
    });
    let password_hash = hash_password(password).await?;
    if let Some(check) = check {
        check.await?.map_err(FirstAccountError::Password)?;
    }
    let mut change = database.change().await?;
    match change.add_account(&NewAccount { email: email.clone(), role: Role::Admin, password_hash }).await {
        Ok(id) => {
            let act = Actor::server().does(Action::AccountAdd).to(email.as_str());
            change.record(&act.because("the first account, role admin")).await?;
            change.commit().await?;
            tracing::info!(account.id = id, %email, "Created the first account");
            Ok(FirstAccount::Made { email, generated_password })
        }
        // Another process of the same installation was faster.
        Err(AccountError::Exists(_)) => Ok(FirstAccount::AlreadyThere),
        Err(AccountError::Query(error)) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Accounts, Credentials, testing};
    use axum_login::AuthnBackend;
    use secrecy::ExposeSecret;

    async fn role_after_sign_in(database: &Database, email: &str, password: SecretString) -> Option<Role> {
        let credentials = Credentials { email: email.into(), password, from_known_network: false };
        Accounts::new(database.clone()).authenticate(credentials).await.unwrap().map(|account| account.role)
    }

    #[tokio::test]
    async fn a_generated_password_is_answered_once_and_signs_in() {
        let (_folder, database) = testing::database().await;
        let made = first_account(&database, None, None, &Names::default()).await.unwrap();
        let debug = format!("{made:?}");
        let FirstAccount::Made { email, generated_password: Some(password) } = made else { panic!("{debug}") };
        assert_eq!(email.as_str(), "admin@localhost");
        assert!(!debug.contains(password.expose_secret()));
        assert_eq!(role_after_sign_in(&database, "admin@localhost", password).await, Some(Role::Admin));

        assert!(matches!(
            first_account(&database, None, None, &Names::default()).await.unwrap(),
            FirstAccount::AlreadyThere
        ));
        assert_eq!(database.account_count().await.unwrap(), 1);
    }

    #[tokio::test]
    async fn the_given_email_and_password_are_taken_and_not_answered() {
        let (_folder, database) = testing::database().await;
        let made = first_account(
            &database,
            "Boss@Example.com".parse().ok(),
            Some("a long password".into()),
            &Names::default(),
        )
        .await
        .unwrap();
        assert!(matches!(made, FirstAccount::Made { generated_password: None, .. }), "{made:?}");
        assert!(role_after_sign_in(&database, "boss@example.com", "a long password".into()).await.is_some());
    }

    #[tokio::test]
    async fn an_error_names_the_variable() {
        let (_folder, database) = testing::database().await;
        let error = first_account(&database, None, Some("tiny-secret".into()), &Names::default())
            .await
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("ADMIN_PASSWORD: ") && error.contains("at least 12"), "{error}");
        assert!(!error.contains("tiny-secret"));
        assert_eq!(database.account_count().await.unwrap(), 0);
    }
}
