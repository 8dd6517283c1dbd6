//! The administrator behind a request, as an argument.

use super::{Account, AuthSession, Role};
use crate::database::{Database, QueryError};
use app::model::time::UnixMillis;
use axum::{
    Json,
    extract::FromRequestParts,
    http::{StatusCode, request::Parts},
    response::{IntoResponse, Response},
};
use axum_login::AuthUser;
use serde_json::json;
use std::fmt;
use tower_sessions::session::Id;

/// Somebody who may see and operate the dashboard. Only a request with a live session of such an account makes one.
#[derive(Clone)]
pub struct Admin {
    /// The account.
    pub id: i64,
    /// The account's email.
    pub email: String,
    /// `Admin` or `Super`.
    pub role: Role,
    /// What the session was when it was looked at; see [`still_admin`].
    session: Id,
    auth_hash: Vec<u8>,
}

/// Why a request is not an administrator's. Answers as the API does, with a JSON error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Nobody is signed in: 401.
    #[error("sign in first")]
    Unauthorized,
    /// Somebody is signed in who is no administrator: 403.
    #[error("this account is not an administrator's")]
    Forbidden,
    /// The route was put outside the session layer: 500, and nobody gets in.
    #[error("the server cannot tell who is asking")]
    NoSessionLayer,
}

/// What became of somebody who was an administrator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Still is one.
    Admin,
    /// Signed out, the session expired, the password was changed, or the account was disabled or deleted: close with 4001.
    SignedOut,
    /// Signed in, without the role by now: close with 4003.
    Forbidden,
}

/// Is the session that this administrator came with alive, and the account still an enabled administrator's? Asked by
/// sockets, whose one request may be hours old.
///
/// # Errors
/// When the database does not answer; then nothing is known, and asking again soon is right.
pub async fn still_admin(database: &Database, admin: &Admin) -> Result<Standing, QueryError> {
    if database.session_end(&admin.session, UnixMillis::now()).await?.is_none() {
        return Ok(Standing::SignedOut);
    }
    Ok(match database.account_by_id(admin.id).await? {
        Some(account) if account.disabled || account.session_auth_hash() != admin.auth_hash => Standing::SignedOut,
        Some(account) if account.role.is_admin() => Standing::Admin,
        Some(_) => Standing::Forbidden,
        None => Standing::SignedOut,
    })
}

impl Admin {
    /// What the session's requests are counted by.
    #[must_use]
    pub(crate) fn session_name(&self) -> String {
        self.session.to_string()
    }

    fn from_session(auth: &AuthSession) -> Result<Self, Denied> {
        match (&auth.user, auth.session.id()) {
            (Some(account), Some(session)) => Self::from_account(account, session),
            _ => Err(Denied::Unauthorized),
        }
    }

    fn from_account(account: &Account, session: Id) -> Result<Self, Denied> {
        if !account.role.is_admin() {
            return Err(Denied::Forbidden);
        }
        Ok(Self {
            id: account.id,
            email: account.email.to_string(),
            role: account.role,
            session,
            auth_hash: account.session_auth_hash().to_vec(),
        })
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, email, role, .. } = self;
        f.debug_struct("Admin").field("id", id).field("email", email).field("role", role).finish_non_exhaustive()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Admin {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Denied> {
        match parts.extensions.get::<AuthSession>() {
            Some(auth) => Self::from_session(auth),
            None => {
                tracing::error!(path = parts.uri.path(), "A route for admins is outside the session layer");
                Err(Denied::NoSessionLayer)
            }
        }
    }
}

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        let (status, code) = match self {
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized"),
            Self::Forbidden => (StatusCode::FORBIDDEN, "forbidden"),
            Self::NoSessionLayer => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        };
        (status, Json(json!({"error": {"code": code, "message": self.to_string()}}))).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{
        Email, hash_password,
        testing::{self, account},
    };
    use std::collections::HashMap;
    use time::{Duration, OffsetDateTime};
    use tower_sessions::{SessionStore, session::Record};

    /// An administrator with a live session.
    async fn admin(database: &Database, email: &str) -> Admin {
        let id = account(database, email, Role::Admin).await;
        let expiry_date = OffsetDateTime::now_utc() + Duration::hours(1);
        let mut session = Record { id: Id::default(), data: HashMap::new(), expiry_date };
        database.session_store().create(&mut session).await.unwrap();
        Admin::from_account(&database.account_by_id(id).await.unwrap().unwrap(), session.id).unwrap()
    }

    #[tokio::test]
    async fn an_open_socket_learns_what_became_of_its_administrator() {
        let (_folder, database) = testing::database().await;
        let ann = admin(&database, "ann@x").await;
        let email: Email = "ann@x".parse().unwrap();
        let standing = async || still_admin(&database, &ann).await.unwrap();

        assert_eq!(standing().await, Standing::Admin);
        testing::set_role(&database, &email, Role::Super).await;
        assert_eq!(standing().await, Standing::Admin);
        testing::set_role(&database, &email, Role::Moderator).await;
        assert_eq!(standing().await, Standing::Forbidden);
        testing::set_role(&database, &email, Role::Admin).await;
        testing::set_disabled(&database, &email, true).await;
        assert_eq!(standing().await, Standing::SignedOut);
        testing::set_disabled(&database, &email, false).await;
        assert_eq!(standing().await, Standing::SignedOut, "the old session is over for good");

        let bob = admin(&database, "bob@x").await;
        assert_eq!(still_admin(&database, &bob).await.unwrap(), Standing::Admin);
        database.session_store().delete(&bob.session).await.unwrap();
        assert_eq!(still_admin(&database, &bob).await.unwrap(), Standing::SignedOut);
    }

    #[tokio::test]
    async fn another_password_and_an_expired_session_sign_a_socket_out() {
        let (_folder, database) = testing::database().await;
        let (ann, bob) = (admin(&database, "ann@x").await, admin(&database, "bob@x").await);
        let hash = hash_password("another password".into()).await.unwrap();
        testing::set_password_hash(&database, &"ann@x".parse().unwrap(), &hash).await;
        assert_eq!(still_admin(&database, &ann).await.unwrap(), Standing::SignedOut);

        database
            .prolong_session(&bob.session, OffsetDateTime::now_utc() - Duration::seconds(1), UnixMillis::now())
            .await
            .unwrap();
        assert_eq!(still_admin(&database, &bob).await.unwrap(), Standing::SignedOut);
        database.close().await;
        assert!(still_admin(&database, &bob).await.is_err(), "without the database nothing is known");
    }

    #[tokio::test]
    async fn debug_output_of_an_admin_has_neither_session_nor_hash() {
        let (_folder, database) = testing::database().await;
        let ann = admin(&database, "ann@x").await;
        let text = format!("{ann:?}");
        assert!(text.contains("ann@x"), "{text}");
        assert!(!text.contains(&ann.session.to_string()) && !text.contains(&ann.session.0.to_string()), "{text}");
        assert!(!text.contains("hash") && !text.contains("36, 97"), "{text}");
    }
}
