//! Sessions: an opaque random id in a cookie, everything else in the database.
//!
//! A session ends twelve hours after it was last used. Its end is moved at most every quarter of an hour, so that a request
//! is not a write; and by an `UPDATE` of our own, as saving through the session layer would bring back a session that a
//! request beside this one has just ended.

use super::{Accounts, AuthSession};
use crate::database::{Database, SessionStore};
use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderValue, header::SET_COOKIE},
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

/// The name of the cookie that holds the session's id.
pub const COOKIE_NAME: &str = "tickstock_session";
/// Hours without a request after which a session ends.
pub const IDLE_HOURS: i64 = 12;

const IDLE: Duration = Duration::hours(IDLE_HOURS);
const RENEW_AFTER: Duration = Duration::minutes(15);

/// Gives every request to the routes its [`AuthSession`], and keeps sessions in use alive. `secure_cookies`: the browser
/// speaks TLS to us, or to the proxy before us.
pub fn with_sessions<S>(routes: Router<S>, accounts: &Accounts, secure_cookies: bool) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    routes
        .layer(middleware::from_fn_with_state(secure_cookies, renew_session))
        .layer(session_layer(accounts, secure_cookies))
}

fn session_layer(accounts: &Accounts, secure_cookies: bool) -> AuthManagerLayer<Accounts, SessionStore> {
    let sessions = SessionManagerLayer::new(accounts.database().session_store())
        .with_name(COOKIE_NAME)
        .with_http_only(true)
        .with_same_site(SameSite::Strict)
        .with_path("/")
        .with_secure(secure_cookies)
        .with_expiry(Expiry::OnInactivity(IDLE));
    AuthManagerLayerBuilder::new(accounts.clone(), sessions).build()
}

/// Moves the end of a session that is in use, after the request, which may have been the one to end it.
async fn renew_session(State(secure_cookies): State<bool>, request: Request, next: Next) -> Response {
    let in_use = request.extensions().get::<AuthSession>().and_then(|auth| {
        let id = auth.user.as_ref().and_then(|_| auth.session.id())?;
        Some((auth.backend.database().clone(), id))
    });
    let mut response = next.run(request).await;
    if let Some((database, id)) = in_use
        && renew(&database, &id).await
        && let Ok(cookie) = HeaderValue::try_from(cookie(&id, secure_cookies))
    {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

/// Answers whether the session was renewed: not when that was done lately, nor when it ended meanwhile.
async fn renew(database: &Database, id: &Id) -> bool {
    let renewal = async {
        let now = OffsetDateTime::now_utc();
        match database.session_end(id).await? {
            Some(end) if end < now + IDLE - RENEW_AFTER => database.prolong_session(id, now + IDLE).await,
            _ => Ok(false),
        }
    };
    renewal.await.unwrap_or_else(|error| {
        tracing::warn!(%error, "A session could not be renewed; it ends earlier unless a later request renews it");
        false
    })
}

/// The same cookie as the session layer's own.
fn cookie(id: &Id, secure: bool) -> String {
    Cookie::build((COOKIE_NAME, id.to_string()))
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(secure)
        .path("/")
        .max_age(IDLE)
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
        let fresh = database.session_end(&id).await.unwrap().unwrap();

        let answer = browser.get("/admin/websockets").await;
        assert!(!answer.headers().contains_key(SET_COOKIE), "not on every request");
        assert_eq!(database.session_end(&id).await.unwrap(), Some(fresh));

        database.prolong_session(&id, OffsetDateTime::now_utc() + Duration::hours(1)).await.unwrap();
        let answer = browser.get("/admin/websockets").await;
        let cookie = answer.headers()[SET_COOKIE].to_str().unwrap();
        assert_eq!(cookie, format!("tickstock_session={id}; HttpOnly; SameSite=Strict; Path=/; Max-Age=43200"));
        assert!(database.session_end(&id).await.unwrap().unwrap() > fresh);

        database.prolong_session(&id, OffsetDateTime::now_utc() - Duration::seconds(1)).await.unwrap();
        assert_eq!(browser.api_status().await, StatusCode::UNAUTHORIZED);
    }

    #[tokio::test]
    async fn signing_out_wins_over_the_renewal_of_the_same_request() {
        let (_folder, database) = testing::database().await;
        account(&database, "ann@x", Role::Admin).await;
        let mut browser = Browser::signed_in(&database, "ann@x").await;
        let id = id(&browser);
        database.prolong_session(&id, OffsetDateTime::now_utc() + Duration::hours(1)).await.unwrap();
        browser.post("/logout", "").await;
        assert_eq!(browser.cookie, None);
        assert_eq!(database.session_end(&id).await.unwrap(), None);
    }
}
