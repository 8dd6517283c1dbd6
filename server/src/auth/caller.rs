//! Who a request comes from, and the proofs of what they may do: handlers take one as an argument.

use super::{Account, AuthSession, Role, RoleRules};
use crate::database::{Database, QueryError};
use app::model::time::UnixMillis;
use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use axum_login::AuthUser;
use serde_json::json;
use std::{fmt, ops::Deref};
use tower_sessions::session::Id;

/// Somebody who is known, and what they may do. Says nothing by itself: [`Viewer`] and [`Admin`] are the proofs that routes ask for.
#[derive(Clone)]
pub struct Caller {
    /// The account's email.
    pub name: String,
    /// The account's role.
    pub role: Role,
    /// The account.
    pub account_id: i64,
    sees: bool,
    acts: bool,
    /// What the session was when it was looked at; see [`standing`].
    session: Id,
    auth_hash: Vec<u8>,
}

/// Somebody who may see the dashboard. Only a live session of an account whose role says so makes one.
#[derive(Clone, Debug)]
pub struct Viewer(Caller);

/// Somebody who may operate the dashboard: whatever changes something asks for one, and no [`Viewer`] can be made into it.
#[derive(Clone, Debug)]
pub struct Admin(Caller);

/// What a route needs of who calls it.
pub trait Right: Deref<Target = Caller> + Clone + Send + Sync + 'static {
    /// The proof that a caller has it.
    ///
    /// # Errors
    /// Why not.
    fn of(caller: Caller) -> Result<Self, Denied>;
}

/// Why somebody may not do what they asked for. Answers as the API does, with a JSON error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Nobody is signed in: 401.
    #[error("sign in first")]
    Unauthorized,
    /// Somebody is signed in who may not see the dashboard: 403.
    #[error("this account is not an administrator's")]
    Forbidden,
    /// Somebody is signed in who may see everything and change nothing: 403.
    #[error("this account is read-only: only administrators may change anything")]
    ReadOnly,
    /// The route was put outside the session layer: 500, and nobody gets in.
    #[error("the server cannot tell who is asking")]
    NoSessionLayer,
}

/// What became of somebody who might see the dashboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Still may.
    Stays,
    /// Signed out, the session expired, the password was changed, or the account was disabled or deleted: close with 4001.
    SignedOut,
    /// Signed in, without the role by now: close with 4003.
    Forbidden,
}

/// Is the session that somebody came with alive, and may the account still see the dashboard? Asked by sockets, whose one request
/// may be hours old.
///
/// # Errors
/// When the database does not answer; then nothing is known, and asking again soon is right.
pub async fn standing(database: &Database, viewer: &Viewer, rules: RoleRules) -> Result<Standing, QueryError> {
    if database.session_end(&viewer.session, UnixMillis::now()).await?.is_none() {
        return Ok(Standing::SignedOut);
    }
    Ok(match database.account_by_id(viewer.account_id).await? {
        Some(account) if account.disabled || account.session_auth_hash() != viewer.auth_hash => Standing::SignedOut,
        Some(account) if rules.sees(account.role) => Standing::Stays,
        Some(_) => Standing::Forbidden,
        None => Standing::SignedOut,
    })
}

impl Caller {
    /// Whoever is signed in with a session; `None` stands for a route outside the session layer.
    ///
    /// # Errors
    /// When nobody is.
    pub fn of_session(auth: Option<&AuthSession>, rules: RoleRules) -> Result<Self, Denied> {
        let auth = auth.ok_or(Denied::NoSessionLayer)?;
        let (Some(account), Some(session)) = (&auth.user, auth.session.id()) else {
            return Err(Denied::Unauthorized);
        };
        Ok(Self::of_account(account, session, rules))
    }

    fn of_account(account: &Account, session: Id, rules: RoleRules) -> Self {
        Self {
            name: account.email.to_string(),
            role: account.role,
            account_id: account.id,
            sees: rules.sees(account.role),
            acts: rules.acts(account.role),
            session,
            auth_hash: account.session_auth_hash().to_vec(),
        }
    }

    /// May they change something?
    #[must_use]
    pub fn may_act(&self) -> bool {
        self.acts
    }

    /// What the session's requests are counted by.
    #[must_use]
    pub(crate) fn session_name(&self) -> String {
        self.session.to_string()
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, role, account_id, sees, acts, .. } = self;
        let mut shown = f.debug_struct("Caller");
        shown.field("name", name).field("role", role).field("account_id", account_id);
        shown.field("sees", sees).field("acts", acts).finish_non_exhaustive()
    }
}

impl Right for Viewer {
    fn of(caller: Caller) -> Result<Self, Denied> {
        if caller.sees { Ok(Self(caller)) } else { Err(Denied::Forbidden) }
    }
}

impl Right for Admin {
    fn of(caller: Caller) -> Result<Self, Denied> {
        match caller {
            Caller { acts: true, .. } => Ok(Self(caller)),
            Caller { sees: true, .. } => Err(Denied::ReadOnly),
            Caller { .. } => Err(Denied::Forbidden),
        }
    }
}

impl Deref for Viewer {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.0
    }
}

impl Deref for Admin {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.0
    }
}

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        let (status, code) = match self {
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized"),
            Self::Forbidden => (StatusCode::FORBIDDEN, "forbidden"),
            Self::ReadOnly => (StatusCode::FORBIDDEN, "read_only"),
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
    async fn admin(database: &Database, email: &str) -> Viewer {
        let id = account(database, email, Role::Admin).await;
        let expiry_date = OffsetDateTime::now_utc() + Duration::hours(1);
        let mut session = Record { id: Id::default(), data: HashMap::new(), expiry_date };
        database.session_store().create(&mut session).await.unwrap();
        let account = database.account_by_id(id).await.unwrap().unwrap();
        Viewer(Caller::of_account(&account, session.id, RoleRules::default()))
    }

    #[tokio::test]
    async fn an_open_socket_learns_what_became_of_who_opened_it() {
        let (_folder, database) = testing::database().await;
        let ann = admin(&database, "ann@x").await;
        let email: Email = "ann@x".parse().unwrap();
        let now = async || standing(&database, &ann, RoleRules::default()).await.unwrap();

        assert_eq!(now().await, Standing::Stays);
        testing::set_role(&database, &email, Role::Super).await;
        assert_eq!(now().await, Standing::Stays);
        testing::set_role(&database, &email, Role::Moderator).await;
        assert_eq!(now().await, Standing::Forbidden);
        testing::set_role(&database, &email, Role::Admin).await;
        testing::set_disabled(&database, &email, true).await;
        assert_eq!(now().await, Standing::SignedOut);
        testing::set_disabled(&database, &email, false).await;
        assert_eq!(now().await, Standing::SignedOut, "the old session is over for good");

        let bob = admin(&database, "bob@x").await;
        assert_eq!(standing(&database, &bob, RoleRules::default()).await.unwrap(), Standing::Stays);
        database.session_store().delete(&bob.session).await.unwrap();
        assert_eq!(standing(&database, &bob, RoleRules::default()).await.unwrap(), Standing::SignedOut);
    }

    #[tokio::test]
    async fn another_password_and_an_expired_session_sign_a_socket_out() {
        let (_folder, database) = testing::database().await;
        let (ann, bob) = (admin(&database, "ann@x").await, admin(&database, "bob@x").await);
        let hash = hash_password("another password".into()).await.unwrap();
        testing::set_password_hash(&database, &"ann@x".parse().unwrap(), &hash).await;
        assert_eq!(standing(&database, &ann, RoleRules::default()).await.unwrap(), Standing::SignedOut);

        database
            .prolong_session(&bob.session, OffsetDateTime::now_utc() - Duration::seconds(1), UnixMillis::now())
            .await
            .unwrap();
        assert_eq!(standing(&database, &bob, RoleRules::default()).await.unwrap(), Standing::SignedOut);
        database.close().await;
        assert!(
            standing(&database, &bob, RoleRules::default()).await.is_err(),
            "without the database nothing is known"
        );
    }

    #[tokio::test]
    async fn with_a_viewer_role_a_moderator_sees_and_does_not_act() {
        let (_folder, database) = testing::database().await;
        let ann = admin(&database, "ann@x").await;
        testing::set_role(&database, &"ann@x".parse().unwrap(), Role::Moderator).await;
        let account = database.account_by_email(&"ann@x".parse().unwrap()).await.unwrap().unwrap();
        let caller = |rules| Caller::of_account(&account, ann.session, rules);
        let rules = RoleRules { viewer: Some(Role::Moderator) };
        assert_eq!(Viewer::of(caller(RoleRules::default())).err(), Some(Denied::Forbidden));
        assert_eq!(Admin::of(caller(RoleRules::default())).err(), Some(Denied::Forbidden));
        assert!(Viewer::of(caller(rules)).is_ok());
        assert_eq!(Admin::of(caller(rules)).err(), Some(Denied::ReadOnly));
        assert_eq!(standing(&database, &ann, rules).await.unwrap(), Standing::Stays);
        testing::set_role(&database, &"ann@x".parse().unwrap(), Role::User).await;
        assert_eq!(standing(&database, &ann, rules).await.unwrap(), Standing::Forbidden);
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
