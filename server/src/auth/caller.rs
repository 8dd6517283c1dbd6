//! Who a request comes from, and the proofs of what they may do: handlers take one as an argument.

use super::{Account, AuthSession, Role, RoleRules, Scope};
use crate::database::{Database, KnownToken, QueryError, Screen};
use app::model::time::UnixMillis;
use axum::{
    Json,
    http::{HeaderValue, StatusCode, header::WWW_AUTHENTICATE},
    response::{IntoResponse, Response},
};
use axum_login::AuthUser;
use serde_json::json;
use std::{fmt, ops::Deref};
use tower_sessions::session::Id;

/// Somebody who is known, and what they may do. Says nothing by itself: [`Viewer`] and [`Admin`] are the proofs that routes ask for.
#[derive(Clone)]
pub struct Caller {
    /// The account's email, `token:NAME` or `screen:NAME`.
    pub name: String,
    /// The account's role; tokens and screens have none.
    pub role: Option<Role>,
    /// Does signing in take a code too?
    pub second_factor: bool,
    /// Do they sign in at an identity provider?
    pub is_from_provider: bool,
    sees: bool,
    acts: bool,
    /// The role asks for a second factor that is not there: nothing else is to be had.
    must_enrol: bool,
    came_with: CameWith,
}

/// What somebody showed, as it was when it was looked at; see [`standing`].
#[derive(Clone)]
enum CameWith {
    Session { account_id: i64, id: Id, auth_hash: Vec<u8> },
    Token { id: i64 },
    Screen { id: i64 },
}

/// Somebody who may see the dashboard. Only a live session of an account whose role says so makes one, or a token that reads.
#[derive(Clone, Debug)]
pub struct Viewer(Caller);

/// Somebody who may operate the dashboard: whatever changes something asks for one, and no [`Viewer`] can be made into it.
#[derive(Clone, Debug)]
pub struct Admin(Caller);

/// Somebody who may look after the own account: who may see the dashboard, and who has to turn a second factor on before.
#[derive(Clone, Debug)]
pub struct Owner(Caller);

/// Somebody who may see what is not for everybody who passes a screen on a wall: the audit log and the account.
#[derive(Clone, Debug)]
pub struct Reader(Caller);

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
    /// The role asks for a second factor, which the account does not have yet: 403.
    #[error("this account's role asks for a second factor: open the account page in a browser and turn it on")]
    MustEnrol,
    /// What was sent is no token, or one that was revoked or has ended: 401.
    #[error("the token is mistyped or unknown, was revoked, or has ended")]
    BadToken,
    /// A token that reads was to act: 403.
    #[error("this token has the scope read; changing something takes one with the scope operate")]
    NeedsOperate,
    /// A token that acts was to read: 403.
    #[error("this token has the scope operate; seeing something takes one with the scope read")]
    NeedsRead,
    /// A screen on a wall, at which anybody may stand, was to show more than the dashboard: 403.
    #[error("a screen shows the dashboard and the metrics alone")]
    Screen,
    /// The database does not answer, and nobody knows whose token it is: 503.
    #[error("tokens cannot be checked right now")]
    Unknown,
    /// The route was put outside the session layer: 500, and nobody gets in.
    #[error("the server cannot tell who is asking")]
    NoSessionLayer,
}

/// What became of somebody who might see the dashboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Still may.
    Stays,
    /// Signed out, the session expired, the password was changed, the account was disabled or deleted, or the token was revoked or
    /// has ended: close with 4001.
    SignedOut,
    /// Signed in, without the role by now: close with 4003.
    Forbidden,
}

/// Is the session or token that somebody came with alive, and may they still see the dashboard? Asked by sockets, whose one request
/// may be hours old.
///
/// # Errors
/// When the database does not answer; then nothing is known, and asking again soon is right.
pub async fn standing(database: &Database, viewer: &Viewer, rules: RoleRules) -> Result<Standing, QueryError> {
    let now = UnixMillis::now();
    let (account_id, session, auth_hash) = match &viewer.came_with {
        CameWith::Session { account_id, id, auth_hash } => (*account_id, id, auth_hash),
        CameWith::Token { id } => {
            let is_live = database.is_live_token(*id, now).await?;
            return Ok(if is_live { Standing::Stays } else { Standing::SignedOut });
        }
        CameWith::Screen { id } => {
            let is_live = database.is_live_screen(*id, now).await?;
            return Ok(if is_live { Standing::Stays } else { Standing::SignedOut });
        }
    };
    if database.session_end(session, now).await?.is_none() {
        return Ok(Standing::SignedOut);
    }
    Ok(match database.account_by_id(account_id).await? {
        Some(account) if account.disabled || account.session_auth_hash() != auth_hash => Standing::SignedOut,
        Some(account) if rights(&account, rules).sees => Standing::Stays,
        Some(_) => Standing::Forbidden,
        None => Standing::SignedOut,
    })
}

struct Rights {
    sees: bool,
    acts: bool,
    must_enrol: bool,
}

/// What an account may, by its role and by whether it has what the role asks for.
fn rights(account: &Account, rules: RoleRules) -> Rights {
    // The identity provider asks for its own.
    let has_own = account.has_second_factor || account.is_from_provider;
    let is_missing = rules.asks_second_factor(account.role) && !has_own;
    let (sees, acts) = (rules.sees(account.role), rules.acts(account.role));
    Rights { sees: sees && !is_missing, acts: acts && !is_missing, must_enrol: sees && is_missing }
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
        let Rights { sees, acts, must_enrol } = rights(account, rules);
        Self {
            name: account.email.to_string(),
            role: Some(account.role),
            second_factor: account.has_second_factor,
            is_from_provider: account.is_from_provider,
            sees,
            acts,
            must_enrol,
            came_with: CameWith::Session {
                account_id: account.id,
                id: session,
                auth_hash: account.session_auth_hash().to_vec(),
            },
        }
    }

    /// A program with a token.
    #[must_use]
    pub(crate) fn of_token(token: &KnownToken) -> Self {
        Self {
            name: token.name.actor(),
            role: None,
            second_factor: false,
            is_from_provider: false,
            must_enrol: false,
            sees: token.scope == Scope::Read,
            acts: token.scope == Scope::Operate,
            came_with: CameWith::Token { id: token.id },
        }
    }

    /// A paired screen; `None` for one that still waits.
    #[must_use]
    pub(crate) fn of_screen(screen: &Screen) -> Option<Self> {
        Some(Self {
            name: format!("screen:{}", screen.name.as_deref()?),
            role: None,
            second_factor: false,
            is_from_provider: false,
            must_enrol: false,
            sees: true,
            acts: false,
            came_with: CameWith::Screen { id: screen.id },
        })
    }

    /// Is it a screen on a wall?
    #[must_use]
    pub(crate) fn screen_id(&self) -> Option<i64> {
        match self.came_with {
            CameWith::Screen { id } => Some(id),
            CameWith::Session { .. } | CameWith::Token { .. } => None,
        }
    }

    /// The account, of somebody with a session.
    #[must_use]
    pub fn account_id(&self) -> Option<i64> {
        match self.came_with {
            CameWith::Session { account_id, .. } => Some(account_id),
            CameWith::Token { .. } | CameWith::Screen { .. } => None,
        }
    }

    /// Is it a program with a token?
    #[must_use]
    pub(crate) fn token_id(&self) -> Option<i64> {
        match self.came_with {
            CameWith::Session { .. } | CameWith::Screen { .. } => None,
            CameWith::Token { id } => Some(id),
        }
    }

    /// The role's name, or that there is none.
    #[must_use]
    pub(crate) fn role_name(&self) -> &'static str {
        match (self.role, &self.came_with) {
            (Some(role), _) => role.as_str(),
            (None, CameWith::Screen { .. }) => "screen",
            (None, _) => "token",
        }
    }

    /// May they change something?
    #[must_use]
    pub fn may_act(&self) -> bool {
        self.acts
    }

    /// What their requests are counted by.
    #[must_use]
    pub(crate) fn counted_as(&self) -> String {
        match &self.came_with {
            CameWith::Session { id, .. } => id.to_string(),
            CameWith::Token { id } => format!("token {id}"),
            CameWith::Screen { id } => format!("screen {id}"),
        }
    }

    /// What their open sockets are counted by.
    #[must_use]
    pub(crate) fn sockets_counted_as(&self) -> String {
        match &self.came_with {
            CameWith::Session { account_id, .. } => account_id.to_string(),
            CameWith::Token { id } => format!("token {id}"),
            CameWith::Screen { id } => format!("screen {id}"),
        }
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, role, sees, acts, .. } = self;
        let mut shown = f.debug_struct("Caller");
        shown.field("name", name).field("role", role).field("sees", sees).field("acts", acts).finish_non_exhaustive()
    }
}

impl Right for Viewer {
    fn of(caller: Caller) -> Result<Self, Denied> {
        match caller.came_with {
            _ if caller.sees => Ok(Self(caller)),
            _ if caller.must_enrol => Err(Denied::MustEnrol),
            CameWith::Session { .. } => Err(Denied::Forbidden),
            CameWith::Token { .. } | CameWith::Screen { .. } => Err(Denied::NeedsRead),
        }
    }
}

impl Right for Admin {
    fn of(caller: Caller) -> Result<Self, Denied> {
        match caller {
            Caller { acts: true, .. } => Ok(Self(caller)),
            Caller { must_enrol: true, .. } => Err(Denied::MustEnrol),
            Caller { came_with: CameWith::Token { .. }, .. } => Err(Denied::NeedsOperate),
            Caller { sees: true, .. } => Err(Denied::ReadOnly),
            Caller { .. } => Err(Denied::Forbidden),
        }
    }
}

impl Right for Owner {
    fn of(caller: Caller) -> Result<Self, Denied> {
        match caller.came_with {
            CameWith::Session { .. } if caller.sees || caller.must_enrol => Ok(Self(caller)),
            CameWith::Session { .. } => Err(Denied::Forbidden),
            CameWith::Token { .. } => Err(Denied::NeedsRead),
            CameWith::Screen { .. } => Err(Denied::Screen),
        }
    }
}

impl Right for Reader {
    fn of(caller: Caller) -> Result<Self, Denied> {
        match caller.came_with {
            CameWith::Screen { .. } => Err(Denied::Screen),
            CameWith::Session { .. } | CameWith::Token { .. } => Viewer::of(caller).map(|Viewer(caller)| Self(caller)),
        }
    }
}

impl Deref for Reader {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.0
    }
}

impl Deref for Owner {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.0
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
            Self::MustEnrol => (StatusCode::FORBIDDEN, "second_factor_required"),
            Self::BadToken => (StatusCode::UNAUTHORIZED, "bad_token"),
            Self::Screen => (StatusCode::FORBIDDEN, "screen"),
            Self::NeedsOperate | Self::NeedsRead => (StatusCode::FORBIDDEN, "wrong_scope"),
            Self::Unknown => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            Self::NoSessionLayer => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        };
        let mut answer = (status, Json(json!({"error": {"code": code, "message": self.to_string()}}))).into_response();
        if self == Self::BadToken {
            let challenge = HeaderValue::from_static("Bearer error=\"invalid_token\"");
            answer.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        answer
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

    fn session_of(viewer: &Viewer) -> Id {
        match viewer.came_with {
            CameWith::Session { id, .. } => id,
            CameWith::Token { .. } | CameWith::Screen { .. } => panic!("no session"),
        }
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
        database.session_store().delete(&session_of(&bob)).await.unwrap();
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
            .prolong_session(&session_of(&bob), OffsetDateTime::now_utc() - Duration::seconds(1), UnixMillis::now())
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
        let caller = |rules| Caller::of_account(&account, session_of(&ann), rules);
        let rules = RoleRules { viewer: Some(Role::Moderator), ..RoleRules::default() };
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
        assert!(
            !text.contains(&session_of(&ann).to_string()) && !text.contains(&session_of(&ann).0.to_string()),
            "{text}"
        );
        assert!(!text.contains("hash") && !text.contains("36, 97"), "{text}");
    }
}
