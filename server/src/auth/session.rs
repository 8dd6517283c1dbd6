//! Sessions: an opaque random id in a cookie, everything else in the database.
//!
//! A session ends when it was not used for a while, and a while after the sign-in in any case. Its end is moved at most every
//! quarter of an hour, so that a request is not a write.

use super::{Account, Accounts, AuthSession};
use crate::{
    audit::Actor,
    database::{Database, QueryError, SessionStore},
};
use app::{api::STATUS_UNASKED, model::time::UnixMillis};
use axum::{
    Router,
    extract::{Request, State},
    http::{
        HeaderValue,
        header::{COOKIE, SET_COOKIE},
    },
    middleware::{self, Next},
    response::Response,
};
use axum_login::{AuthManagerLayer, AuthManagerLayerBuilder};
use time::{Duration, OffsetDateTime};
use tower_sessions::{
    Expiry, SessionManagerLayer,
    cookie::{Cookie, SameSite},
    session::Id,
};

/// Where one signs out.
pub(crate) const LOGOUT: &str = "/logout";

const RENEW_AFTER: Duration = Duration::minutes(15);

/// How sessions are kept.
#[derive(Clone, Copy, Debug)]
pub struct SessionRules {
    /// Browsers speak TLS to us, or to the proxy before us.
    pub secure: bool,
    /// The port that browsers ask for. Cookies know hosts and no ports: two monitors on one host would sign each other out.
    pub port: u16,
    /// Without a request for so long, a session ends.
    pub idle: std::time::Duration,
    /// So long after the sign-in, it ends in any case.
    pub lifetime: std::time::Duration,
}

impl SessionRules {
    /// The name of the cookie that holds the session's id. With the prefix `__Host-` a browser takes it over TLS alone, for
    /// this host alone: neither a neighbour on the domain nor who sits on the line can plant one (RFC 6265bis, 4.1.3.2).
    #[must_use]
    pub fn cookie_name(self) -> String {
        let prefix = if self.secure { "__Host-" } else { "" };
        format!("{prefix}tickstock_session_{}", self.port)
    }

    fn idle(self) -> Duration {
        let idle = self.idle.min(self.lifetime);
        Duration::try_from(idle).unwrap_or(Duration::MAX)
    }

    fn lifetime(self) -> Duration {
        Duration::try_from(self.lifetime).unwrap_or(Duration::MAX)
    }
}

/// Gives every request to the routes its [`AuthSession`], and keeps sessions in use alive.
pub fn with_sessions<S>(routes: Router<S>, accounts: &Accounts, rules: SessionRules) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    routes
        .layer(middleware::from_fn_with_state(rules, renew_session))
        .layer(session_layer(accounts, rules))
        .layer(middleware::from_fn_with_state(rules, remove_cookie))
        .layer(middleware::from_fn_with_state((accounts.database().clone(), rules), pick_cookie))
}

fn session_layer(accounts: &Accounts, rules: SessionRules) -> AuthManagerLayer<Accounts, SessionStore> {
    let sessions = SessionManagerLayer::new(accounts.database().session_store())
        .with_name(rules.cookie_name())
        .with_http_only(true)
        .with_same_site(SameSite::Strict)
        .with_path("/")
        .with_secure(rules.secure)
        .with_expiry(Expiry::OnInactivity(rules.idle()));
    AuthManagerLayerBuilder::new(accounts.clone(), sessions).build()
}

/// Why a session could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The session layer could not.
    #[error(transparent)]
    Session(#[from] tower_sessions::session::Error),
    /// The layer above it could not.
    #[error(transparent)]
    Login(#[from] axum_login::Error<Accounts>),
    /// The database did not answer.
    #[error(transparent)]
    Query(#[from] QueryError),
}

/// Signs an account in, with a new session in any case: whoever planted one in this browser must not find it signed in. The
/// session layer renews the id of a session that nobody is signed in with, but not of one that belongs to another account.
///
/// # Errors
/// When the database does not answer; then nobody is signed in.
pub async fn start_session(auth: &mut AuthSession, account: &Account, actor: &Actor) -> Result<(), StartError> {
    auth.session.cycle_id().await?;
    auth.login(account).await?;
    // Now rather than with the answer: the id has to be known.
    auth.session.save().await?;
    if let Some(id) = auth.session.id() {
        auth.backend.database().session_started(&id, account.id, actor, UnixMillis::now()).await?;
    }
    Ok(())
}

/// What an open page does by itself, such as coming back after a lost link: that is nobody's use of a session.
const UNASKED: [&str; 5] =
    ["/admin-ws", "/api/admin/fn/reliability", "/api/admin/fn/history", "/api/admin/fn/symbol", STATUS_UNASKED];

/// Moves the end of a session that is in use, after the request, which may have been the one to end it.
async fn renew_session(State(rules): State<SessionRules>, request: Request, next: Next) -> Response {
    if request.uri().path_and_query().is_some_and(|asked| UNASKED.contains(&asked.as_str())) {
        return next.run(request).await;
    }
    let in_use = request.extensions().get::<AuthSession>().and_then(|auth| {
        let id = auth.user.as_ref().and_then(|_| auth.session.id())?;
        Some((auth.backend.database().clone(), id))
    });
    let mut response = next.run(request).await;
    if let Some((database, id)) = in_use
        && renew(&database, &id, rules, UnixMillis::now()).await
        && let Ok(cookie) = HeaderValue::try_from(cookie(&id, rules))
    {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

/// Of several cookies of our name the one whose session lives is taken: a browser may have another one for a longer path, or
/// one that a neighbour on the domain planted. The session layer would take the last, whichever that is.
async fn pick_cookie(
    State((database, rules)): State<(Database, SessionRules)>,
    mut request: Request,
    next: Next,
) -> Response {
    /// More than this nobody has by accident; each costs a query.
    const COOKIES_MAX: usize = 8;
    let name = rules.cookie_name();
    let cookies = request.headers().get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let ids: Vec<_> = cookies
        .flat_map(Cookie::split_parse)
        .filter_map(Result::ok)
        .filter(|cookie| cookie.name() == name)
        .map(|cookie| cookie.value().to_owned())
        .take(COOKIES_MAX)
        .collect();
    if ids.len() > 1 {
        for value in ids {
            let Ok(id) = value.parse::<Id>() else { continue };
            // A database that does not answer is the session layer's to deal with.
            if matches!(database.session_end(&id, UnixMillis::now()).await, Ok(Some(_)))
                && let Ok(cookie) = HeaderValue::try_from(format!("{name}={value}"))
            {
                request.headers_mut().insert(COOKIE, cookie);
                break;
            }
        }
    }
    next.run(request).await
}

/// Lets nothing but a sign-out remove the cookie: the session layer does it whenever it does not know an id. And gives the
/// removal the attributes that the cookie was set with. The session layer's own lacks `Secure`, and
/// browsers ignore whatever is said of a `__Host-` name without it: the id would stay on the disk after signing out.
async fn remove_cookie(State(rules): State<SessionRules>, request: Request, next: Next) -> Response {
    let is_sign_out = request.uri().path() == LOGOUT;
    let mut response = next.run(request).await;
    let removal = format!("{}=;", rules.cookie_name());
    let removes = |value: &HeaderValue| value.as_bytes().starts_with(removal.as_bytes());
    if response.headers().get_all(SET_COOKIE).iter().any(removes) {
        let kept: Vec<_> =
            response.headers().get_all(SET_COOKIE).iter().filter(|value| !removes(value)).cloned().collect();
        response.headers_mut().remove(SET_COOKIE);
        let removed = is_sign_out.then(|| HeaderValue::try_from(removed(rules)).ok()).flatten();
        for value in removed.into_iter().chain(kept) {
            response.headers_mut().append(SET_COOKIE, value);
        }
    }
    response
}

/// Answers whether the session was renewed: not when that was done lately, nor when it ended meanwhile.
async fn renew(database: &Database, id: &Id, rules: SessionRules, now: UnixMillis) -> bool {
    let renewal = async {
        let (end, idle_end) = (database.session_end(id, now).await?, time_of(now) + rules.idle());
        let Some(end) = end.filter(|end| *end < idle_end - RENEW_AFTER) else { return Ok(false) };
        // A session whose start is not known is not prolonged: it might be endless.
        let Some(signed_in_at) = database.signed_in_at(id).await? else { return Ok(false) };
        let last = time_of(signed_in_at).saturating_add(rules.lifetime());
        let new_end = last.min(idle_end);
        if new_end > end { database.prolong_session(id, new_end, now).await } else { Ok(false) }
    };
    renewal.await.unwrap_or_else(|error: QueryError| {
        tracing::warn!(%error, "A session could not be renewed; it ends earlier unless a later request renews it");
        false
    })
}

fn time_of(at: UnixMillis) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.0) * 1_000_000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// The same cookie as the session layer's own.
fn cookie(id: &Id, rules: SessionRules) -> String {
    with_attributes(id.to_string(), rules.idle(), rules)
}

/// What ends it.
fn removed(rules: SessionRules) -> String {
    with_attributes(String::new(), Duration::ZERO, rules)
}

fn with_attributes(value: String, max_age: Duration, rules: SessionRules) -> String {
    Cookie::build((rules.cookie_name(), value))
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(rules.secure)
        .path("/")
        .max_age(max_age)
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{
        Role, hash_password,
        testing::{self, Browser, account},
    };
    use axum::http::StatusCode;

    /// The id in a browser's cookie.
    fn id(browser: &Browser) -> Id {
        browser.cookie.as_ref().unwrap().split_once('=').unwrap().1.parse().unwrap()
    }

    #[tokio::test]
    async fn a_session_survives_a_restart() {
        let (folder, database) = testing::database().await;
        account(&database, "ann@x", Role::Admin).await;
        let mut browser = Browser::signed_in(&database, "ann@x").await;
        database.close().await;

        browser.site = testing::site(&testing::open(&folder).await, false);
        assert_eq!(browser.api_status().await, StatusCode::OK);
    }

    #[tokio::test]
    async fn another_password_ends_the_sessions() {
        let (_folder, database) = testing::database().await;
        account(&database, "ann@x", Role::Admin).await;
        let mut browser = Browser::signed_in(&database, "ann@x").await;
        let hash = hash_password("another password".into()).await.unwrap();
        testing::set_password_hash(&database, &"ann@x".parse().unwrap(), &hash).await;
        assert_eq!(browser.api_status().await, StatusCode::UNAUTHORIZED);
    }

    #[tokio::test]
    async fn disabling_ends_the_sessions_for_good() {
        let (_folder, database) = testing::database().await;
        account(&database, "ann@x", Role::Admin).await;
        let mut browser = Browser::signed_in(&database, "ann@x").await;
        for disabled in [true, false] {
            testing::set_disabled(&database, &"ann@x".parse().unwrap(), disabled).await;
            assert_eq!(browser.api_status().await, StatusCode::UNAUTHORIZED, "disabled: {disabled}");
        }
    }

    #[tokio::test]
    async fn a_session_in_use_is_renewed_now_and_then_and_an_idle_one_ends() {
        let (_folder, database) = testing::database().await;
        account(&database, "ann@x", Role::Admin).await;
        let mut browser = Browser::signed_in(&database, "ann@x").await;
        let id = id(&browser);
        let fresh = database.session_end(&id, UnixMillis::now()).await.unwrap().unwrap();

        let answer = browser.get("/admin/websockets").await;
        assert!(!answer.headers().contains_key(SET_COOKIE), "not on every request");
        assert_eq!(database.session_end(&id, UnixMillis::now()).await.unwrap(), Some(fresh));

        database.prolong_session(&id, OffsetDateTime::now_utc() + Duration::hours(1), UnixMillis::now()).await.unwrap();
        for path in UNASKED {
            let answer = browser.get(path).await;
            assert!(!answer.headers().contains_key(SET_COOKIE), "an open page is no use: {path}");
        }
        let answer = browser.get("/admin/websockets").await;
        let cookie = answer.headers()[SET_COOKIE].to_str().unwrap();
        assert_eq!(cookie, format!("tickstock_session_3000={id}; HttpOnly; SameSite=Strict; Path=/; Max-Age=43200"));
        assert!(database.session_end(&id, UnixMillis::now()).await.unwrap().unwrap() > fresh);

        database
            .prolong_session(&id, OffsetDateTime::now_utc() - Duration::seconds(1), UnixMillis::now())
            .await
            .unwrap();
        assert_eq!(browser.api_status().await, StatusCode::UNAUTHORIZED);
    }

    #[tokio::test]
    async fn a_session_in_use_ends_too_some_time_after_the_sign_in() {
        let (_folder, database) = testing::database().await;
        account(&database, "ann@x", Role::Admin).await;
        let mut browser = Browser::signed_in(&database, "ann@x").await;
        let id = id(&browser);
        let almost_over = OffsetDateTime::now_utc() + Duration::hours(1);
        database.prolong_session(&id, almost_over, UnixMillis::now()).await.unwrap();
        // Signed in 20 hours ago, of 24.
        let query = "UPDATE sessions SET signed_in_at_ms = signed_in_at_ms - 72000000";
        database.tamper(query).await.unwrap();
        assert_eq!(browser.api_status().await, StatusCode::OK);
        let end = database.session_end(&id, UnixMillis::now()).await.unwrap().unwrap();
        let left = end - OffsetDateTime::now_utc();
        assert!(left > Duration::minutes(239) && left <= Duration::hours(4), "{left}");

        // And 24 hours ago: it is used, and not prolonged.
        database.tamper("UPDATE sessions SET signed_in_at_ms = signed_in_at_ms - 14400000").await.unwrap();
        assert_eq!(browser.api_status().await, StatusCode::OK);
        assert_eq!(database.session_end(&id, UnixMillis::now()).await.unwrap(), Some(end));
    }

    #[tokio::test]
    async fn a_session_that_is_used_all_day_ends_after_a_day_and_one_that_is_not_after_half_of_it() {
        let (_folder, database) = testing::database().await;
        account(&database, "ann@x", Role::Admin).await;
        let rules = testing::access(&database, false).sessions;
        let (used, unused) =
            (Browser::signed_in(&database, "ann@x").await, Browser::signed_in(&database, "ann@x").await);
        let (used, unused) = (id(&used), id(&unused));
        let start = database.signed_in_at(&used).await.unwrap().unwrap();
        let after = |minutes: i64| UnixMillis(start.0 + minutes * 60_000);
        assert!(!renew(&database, &used, rules, after(14)).await, "it was renewed a moment ago");
        for hour in 1..24 {
            let is_renewed = renew(&database, &used, rules, after(hour * 60)).await;
            assert_eq!(is_renewed, hour <= 12, "hour {hour}");
        }
        let end = after(24 * 60);
        assert!(database.session_end(&used, UnixMillis(end.0 - 1)).await.unwrap().is_some());
        assert_eq!(database.session_end(&used, end).await.unwrap(), None);

        assert!(database.session_end(&unused, after(12 * 60 - 1)).await.unwrap().is_some());
        assert!(!renew(&database, &unused, rules, after(12 * 60 + 1)).await, "it is over");
        assert_eq!(database.session_end(&unused, after(12 * 60 + 1)).await.unwrap(), None);
    }

    #[tokio::test]
    async fn signing_out_wins_over_the_renewal_of_the_same_request() {
        let (_folder, database) = testing::database().await;
        account(&database, "ann@x", Role::Admin).await;
        let mut browser = Browser::signed_in(&database, "ann@x").await;
        let id = id(&browser);
        database.prolong_session(&id, OffsetDateTime::now_utc() + Duration::hours(1), UnixMillis::now()).await.unwrap();
        browser.post("/logout", "").await;
        assert_eq!(browser.cookie, None);
        assert_eq!(database.session_end(&id, UnixMillis::now()).await.unwrap(), None);
    }
}
