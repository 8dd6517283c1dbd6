//! Signing in and out at the identity provider: there, back, and what it tells of by itself.
//!
//! The way back is a navigation that another site begins. So what binds it to this browser is a cookie of its own, `SameSite=Lax`, and it ends
//! on a page of ours that asks for the next one: only that request brings the session's own, strict cookie.

use super::{Access, Client, broken, unavailable};
use crate::{
    audit::{Action, AuditAct},
    auth::{Account, AuthSession, CallbackQuery, OidcError, Provider, SignedIn, admit_identity, start_session},
    database::Database,
    limits::{self, Rate},
    network::network,
    routes::{
        api_error,
        destination::{DASHBOARD, LOGIN, destination, login_page},
        plain_page::plain_page,
        too_many_requests,
    },
};
use app::{address::LOGIN_OIDC, model::time::UnixMillis};
use axum::{
    Extension, Form, Router,
    extract::{Query, State, rejection::FormRejection},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{COOKIE, REFRESH, SET_COOKIE},
    },
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use schemars::JsonSchema;
use serde::Deserialize;
use time::Duration;
use tower_sessions::{
    SessionStore as _,
    cookie::{Cookie, SameSite},
};

const CALLBACK: &str = "/login/oidc/callback";

/// Only where there is a provider.
pub(super) fn routes() -> Router<Access> {
    Router::new()
        .route(LOGIN_OIDC, get(begin))
        .route(CALLBACK, get(come_back))
        .route("/login/oidc/logout", post(logout))
}

#[derive(Deserialize)]
struct BeginQuery {
    next: Option<String>,
    /// Who is here is to show the provider once more who they are.
    fresh: Option<String>,
}

async fn begin(
    State(access): State<Access>,
    Extension(client): Extension<Client>,
    auth: AuthSession,
    headers: HeaderMap,
    Query(query): Query<BeginQuery>,
) -> Response {
    let Some(provider) = access.oidc.clone() else { return StatusCode::NOT_FOUND.into_response() };
    if let Some(answer) = too_often(&access, &client, limits::OIDC_SIGN_INS).await {
        return answer;
    }
    let next = destination(query.next.as_deref());
    let redirect = [&access.origin(&headers), CALLBACK].concat();
    match provider.begin(redirect, next, query.fresh.is_some(), auth.session.id().as_ref()).await {
        Ok(begun) => {
            let mut answer = Redirect::to(&begun.address).into_response();
            set_cookie(&mut answer, &access, begun.cookie, Duration::minutes(10));
            answer
        }
        Err(error) => {
            tracing::warn!(%error, "Nobody can sign in at the identity provider");
            refuse(&access, client.stranger().is_refused(Action::SignIn, error.to_string()), &error, next).await
        }
    }
}

async fn come_back(
    State(access): State<Access>,
    Extension(client): Extension<Client>,
    mut auth: AuthSession,
    headers: HeaderMap,
    Query(query): Query<CallbackQuery>,
) -> Response {
    let Some(provider) = access.oidc.clone() else { return StatusCode::NOT_FOUND.into_response() };
    if let Some(answer) = too_often(&access, &client, limits::OIDC_SIGN_INS).await {
        return answer;
    }
    let name = cookie_name(&access);
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut found = cookies.flat_map(Cookie::split_parse).filter_map(Result::ok).filter(|cookie| cookie.name() == name);
    let cookie = found.next().map(|cookie| cookie.value().to_owned());
    let mut answer = match provider.finish(cookie.as_deref(), query).await {
        Ok(signed_in) => admit(&access, &client, &mut auth, signed_in).await,
        Err(error) => {
            let refused = client.stranger().is_refused(Action::SignIn, error.to_string());
            refuse(&access, refused, &error, DASHBOARD).await
        }
    };
    // Once, whatever came of it.
    set_cookie(&mut answer, &access, String::new(), Duration::ZERO);
    answer
}

/// Starts a session for whoever the provider knows, on record.
async fn admit(access: &Access, client: &Client, auth: &mut AuthSession, signed_in: SignedIn) -> Response {
    let account = match admit_identity(&access.database, &signed_in).await {
        Ok(Some(account)) => account,
        Ok(None) => {
            let why = "the account is disabled here";
            let refused = client.stranger().is_refused(Action::SignIn, why).to(&*signed_in.identity.subject);
            return refuse(access, refused, &OidcError::NoRole(why.to_owned()), DASHBOARD).await;
        }
        Err(error) => return broken("An account of the identity provider could not be taken in", &error),
    };
    let actor = client.account(&account);
    let act = actor.does(Action::SignIn).to(account.email.as_str()).because("at the identity provider");
    if access.audit.record(act).await.is_err() {
        return unavailable("Sign-ins are recorded in the audit log, which cannot be written right now.");
    }
    if let Err(error) = start(&access.database, auth, &account, &actor, &signed_in).await {
        // A session that nobody takes the role of anew is none.
        let _ = auth.logout().await;
        let _ = access.audit.record(actor.failed_at(Action::SignIn, "no session could be started")).await;
        return broken("A session could not be started", &error);
    }
    // An open socket of the session before, or of another one whose role is not what it was.
    access.revocations.tell();
    going_on("Signed in", "<p>One moment, please.</p>", destination(Some(&signed_in.next)))
}

async fn start(
    database: &Database,
    auth: &mut AuthSession,
    account: &Account,
    actor: &crate::audit::Actor,
    signed_in: &SignedIn,
) -> anyhow::Result<()> {
    start_session(auth, account, actor).await?;
    if let Some(replaced) = &signed_in.replaces {
        database.session_store().delete(replaced).await?;
    }
    let noted = match auth.session.id() {
        Some(id) => database.note_oidc_session(&id, &signed_in.session, UnixMillis::now()).await?,
        None => false,
    };
    anyhow::ensure!(noted, "the session is gone");
    Ok(())
}

/// A sign-in that came to nothing; the page says which kind of nothing, the record why.
async fn refuse(access: &Access, refused: AuditAct, error: &OidcError, next: &str) -> Response {
    access.audit.record_refusal(refused).await;
    let word = match error {
        OidcError::Unreachable(_) => "provider",
        OidcError::Refused(_) => "oidc",
        OidcError::NoRole(_) => "groups",
    };
    Redirect::to(&login_page(Some(word), next)).into_response()
}

#[derive(Deserialize, JsonSchema)]
pub(in crate::routes) struct LogoutForm {
    /// A logout token (OpenID Connect Back-Channel Logout 1.0, 2.4).
    logout_token: String,
}

/// Called by the provider itself, when somebody has signed out there.
async fn logout(
    State(access): State<Access>,
    Extension(client): Extension<Client>,
    form: Result<Form<LogoutForm>, FormRejection>,
) -> Response {
    let Some(provider) = access.oidc.clone() else { return StatusCode::NOT_FOUND.into_response() };
    if let Some(answer) = too_often(&access, &client, limits::OIDC_LOGOUTS).await {
        return answer;
    }
    let Ok(Form(LogoutForm { logout_token })) = form else {
        return api_error(StatusCode::BAD_REQUEST, "invalid_request", "a form with a logout_token is expected");
    };
    match end_sessions(&access, &provider, &logout_token).await {
        Ok(Ok(())) => StatusCode::OK.into_response(),
        Ok(Err(error)) => {
            let reason = error.to_string();
            access.audit.record_refusal(client.stranger().is_refused(Action::SessionEnd, &*reason)).await;
            let status = match error {
                OidcError::Unreachable(_) => StatusCode::SERVICE_UNAVAILABLE,
                OidcError::Refused(_) | OidcError::NoRole(_) => StatusCode::BAD_REQUEST,
            };
            api_error(status, "invalid_request", &reason)
        }
        Err(error) => {
            tracing::error!(%error, "Sessions that the identity provider ended could not be ended here");
            api_error(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "try again in a few seconds")
        }
    }
}

async fn end_sessions(access: &Access, provider: &Provider, token: &str) -> anyhow::Result<Result<(), OidcError>> {
    let ended = match provider.read_logout(token).await {
        Ok(ended) => ended,
        Err(error) => return Ok(Err(error)),
    };
    let mut change = access.database.change().await?;
    let count = change.end_sessions_elsewhere(&ended).await?;
    if count > 0 {
        let target = ended.subject.map_or_else(|| "a session".to_owned(), |subject| format!("subject {subject}"));
        let act = crate::audit::Actor::identity_provider().does(Action::SessionEnd).to(target);
        change.record(&act.because(format!("signed out there; {count} ended"))).await?;
        change.commit().await?;
        access.revocations.tell();
    }
    Ok(Ok(()))
}

/// After signing out here: the way to the provider, if the session came from there.
pub(super) async fn sign_out_there(access: &Access, tokens: &[u8], headers: &HeaderMap) -> Option<Response> {
    let back = [&access.origin(headers), LOGIN].concat();
    let address = access.oidc.as_ref()?.end_session_address(tokens, &back).await?;
    // Not a redirection: a form of ours leads nowhere else, and its policy holds for what it is redirected to.
    let rest = r#"<p>You are signed out here. One moment: the identity provider is told too.</p><p><a class="button" href="/login">Back to the sign-in</a></p>"#;
    Some(going_on("Signed out", rest, &address))
}

/// A page that goes on by itself.
fn going_on(title: &str, rest: &str, address: &str) -> Response {
    let mut answer = plain_page(StatusCode::OK, title, rest);
    if let Ok(refresh) = HeaderValue::try_from(format!("0; url={address}")) {
        answer.headers_mut().insert(REFRESH, refresh);
    }
    answer
}

async fn too_often(access: &Access, client: &Client, rate: Rate) -> Option<Response> {
    let wait = access.limits.take(rate, &network(client.address).to_string()).await.err()?;
    Some(too_many_requests(wait))
}

/// Over TLS no neighbour can plant it.
fn cookie_name(access: &Access) -> String {
    access.sessions.cookie_name().replace("session", "oidc")
}

fn set_cookie(answer: &mut Response, access: &Access, value: String, max_age: Duration) {
    let cookie = Cookie::build((cookie_name(access), value))
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(access.sessions.secure)
        .path("/")
        .max_age(max_age)
        .to_string();
    if let Ok(cookie) = HeaderValue::try_from(cookie) {
        answer.headers_mut().append(SET_COOKIE, cookie);
    }
}
