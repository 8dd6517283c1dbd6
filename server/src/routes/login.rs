//! Signing in and out with plain forms, so that it works without JavaScript. The sign-in page itself is the app's.
//!
//! Who was led here from a page goes back to it. Nothing but a path of ours is taken for one, so no link can lead a fresh
//! sign-in elsewhere.

use super::{
    guard::{Access, Client},
    plain_page::plain_page,
    with_retry,
};
use crate::{
    audit::Action,
    auth::{AuthError, AuthSession, Credentials, LOGOUT, start_session},
    database::Attempted,
    limits::{self, Wait},
};
pub(crate) use app::address::{DASHBOARD, LOGIN};
use app::model::time::format_seconds;
use axum::{
    Extension, Form, Router,
    extract::{DefaultBodyLimit, State, rejection::FormRejection},
    http::{StatusCode, uri::PathAndQuery},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use axum_login::AuthnBackend;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

/// The longest address that a sign-in leads back to, in bytes.
const ADDRESS_BYTES_MAX: usize = 2_048;

const TO_SIGN_IN: &str = r#"<p><a class="button button-primary" href="/login">Sign in</a></p>"#;

const BODY_BYTES_MAX: usize = 8 * 1024;

/// `/`, `POST /login` and `POST /logout`; `GET /login` is a page of the app. Belongs inside the session layer.
pub(crate) fn routes<S>(access: &Access) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    Router::new()
        .route("/", get(|| async { Redirect::to(DASHBOARD) }))
        .route(LOGIN, post(sign_in))
        .route(LOGOUT, post(sign_out))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(access.clone())
}

/// The sign-in page, which leads back to `address` afterwards.
pub(crate) fn leading_back_to(address: &str) -> String {
    login_page(None, destination(Some(address)))
}

fn login_page(error: Option<&str>, destination: &str) -> String {
    let next =
        (destination != DASHBOARD).then(|| format!("next={}", utf8_percent_encode(destination, NON_ALPHANUMERIC)));
    let error = error.map(|code| format!("error={code}"));
    let query = [error, next].into_iter().flatten().collect::<Vec<_>>().join("&");
    if query.is_empty() { LOGIN.to_owned() } else { format!("{LOGIN}?{query}") }
}

/// Where a sign-in leads: to the page that was asked for before, if that is one of ours, else to the dashboard. A path below
/// `/admin/` in plain characters, which no browser takes for another host or scheme.
fn destination(asked: Option<&str>) -> &str {
    let is_ours = |address: &&str| {
        address.starts_with("/admin/")
            && address.len() <= ADDRESS_BYTES_MAX
            && address.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
            && address.parse::<PathAndQuery>().is_ok()
    };
    asked.filter(is_ours).unwrap_or(DASHBOARD)
}

/// Not `Debug`: it holds a password.
#[derive(Deserialize)]
struct LoginForm {
    email: String,
    password: String,
    next: Option<String>,
}

/// Any enabled account may sign in; what it may see is for the guards to say.
async fn sign_in(
    State(access): State<Access>,
    Extension(client): Extension<Client>,
    mut auth: AuthSession,
    form: Result<Form<LoginForm>, FormRejection>,
) -> Response {
    let LoginForm { email, password, next } = match form {
        Ok(Form(form)) => form,
        Err(rejection) => return bad_form(&rejection),
    };
    let destination = destination(next.as_deref());
    let database = auth.backend.database().clone();
    let Attempted { name, from_known_network } = match database.attempted(&email, limits::network(client.address)).await
    {
        Ok(attempted) => attempted,
        Err(error) => return broken("A sign-in could not be checked", &error),
    };
    let refused = |reason: &str| client.stranger().is_refused(Action::SignIn, reason).to(name.as_str());
    let attempt = match access.limits.attempt_sign_in(client.address, &name, from_known_network).await {
        Ok(attempt) => attempt,
        Err(wait) => {
            // Without the name: who tries thousands of them is one record a minute.
            access.audit.record_refusal(client.stranger().is_refused(Action::SignIn, "too many attempts")).await;
            return too_many_attempts(wait);
        }
    };
    let credentials = Credentials { email, password: password.into(), from_known_network };
    // Not through the session, which writes every error to the log, as often as strangers want.
    let account = match auth.backend.authenticate(credentials).await {
        Ok(Some(account)) => account,
        Ok(None) => {
            access.audit.record_refusal(refused("unknown or disabled account, or wrong password")).await;
            return Redirect::to(&login_page(Some("credentials"), destination)).into_response();
        }
        Err(error) => {
            access.limits.take_back(attempt).await;
            let AuthError::Busy = error else {
                return broken("A sign-in could not be checked", &error);
            };
            let reason = "too many sign-ins are being checked at once";
            access.audit.record_refusal(client.stranger().is_refused(Action::SignIn, reason)).await;
            return unavailable("Too many sign-ins are being checked at once.");
        }
    };
    access.limits.signed_in(attempt).await;
    let actor = client.account(&account);
    if access.audit.record(actor.does(Action::SignIn).to(account.email.as_str())).await.is_err() {
        return unavailable("Sign-ins are recorded in the audit log, which cannot be written right now.");
    }
    match start_session(&mut auth, &account, &actor).await {
        Ok(()) => Redirect::to(destination).into_response(),
        Err(error) => {
            let _ = access.audit.record(actor.failed_at(Action::SignIn, "no session could be started")).await;
            broken("A session could not be started", &error)
        }
    }
}

/// Deletes the session on the server; the cookie goes with it. The one act that is done even when it cannot be put on
/// record: it closes a door.
async fn sign_out(
    State(access): State<Access>,
    Extension(client): Extension<Client>,
    mut auth: AuthSession,
) -> Response {
    if auth.session.id().is_some() {
        match auth.logout().await {
            Ok(Some(account)) => {
                access.revocations.tell();
                let _ = access.audit.record(client.account(&account).does(Action::SignOut)).await;
            }
            Ok(None) => {}
            Err(error) => return broken("A session could not be ended", &error),
        }
    }
    Redirect::to(LOGIN).into_response()
}

fn bad_form(rejection: &FormRejection) -> Response {
    let status = match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => StatusCode::PAYLOAD_TOO_LARGE,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        _ => StatusCode::BAD_REQUEST,
    };
    // The rejection's own text may repeat the form.
    (status, "Sign-in expects a form of at most 8 KiB with the fields email and password.\n").into_response()
}

fn broken(what: &str, error: &dyn std::fmt::Display) -> Response {
    tracing::error!(%error, "{what}");
    unavailable("Signing in and out is not possible right now.")
}

fn unavailable(what: &str) -> Response {
    let rest = format!("<p>{what} Try again in a few seconds.</p>{TO_SIGN_IN}");
    with_retry(5, plain_page(StatusCode::SERVICE_UNAVAILABLE, "Temporarily unavailable", &rest))
}

/// As long whoever it is and whatever the password: it says nothing about an account.
fn too_many_attempts(wait: Wait) -> Response {
    let seconds = wait.seconds();
    let rest = format!("<p>Too many attempts to sign in. Try again in {}.</p>{TO_SIGN_IN}", format_seconds(seconds));
    with_retry(seconds, plain_page(StatusCode::TOO_MANY_REQUESTS, "Too many attempts", &rest))
}

#[cfg(test)]
mod tests;
