//! Signing in and out with plain forms, so that it works without JavaScript. The sign-in page itself is the app's.

mod code;
mod oidc;

pub(super) use code::CodeForm;
pub(super) use oidc::LogoutForm;

use super::{
    destination::{DASHBOARD, LOGIN, destination, login_page},
    guard::{Access, Client},
    plain_page::plain_page,
    with_retry,
};
use crate::{
    audit::Action,
    auth::{Account, AuthError, AuthSession, Credentials, Email, LOGOUT, start_session},
    database::Attempted,
    limits::Wait,
    network::network,
};
use app::{
    address::LOGIN_CODE,
    model::time::{UnixMillis, format_seconds},
    pages::login::{TYPED_EMAIL, is_plain_in_cookies},
};
use axum::{
    Extension, Form, Router,
    extract::{DefaultBodyLimit, State, rejection::FormRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header::SET_COOKIE},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use axum_login::AuthnBackend;
use schemars::JsonSchema;
use serde::Deserialize;

const TO_SIGN_IN: &str = r#"<p><a class="button button-primary" href="/login">Sign in</a></p>"#;

const BODY_BYTES_MAX: usize = 8 * 1024;

/// `/`, `POST /login` and `POST /logout`, and `/login/oidc` where there is an identity provider; `GET /login` is a page of the app. Belongs inside the session layer.
pub(crate) fn routes<S>(access: &Access) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    let routes = if access.oidc.is_some() { oidc::routes() } else { Router::new() };
    routes
        .route("/", get(|| async { Redirect::to(DASHBOARD) }))
        .route(LOGIN, post(sign_in))
        .route(LOGIN_CODE, get(code::show).post(code::check))
        .route(LOGOUT, post(sign_out))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(access.clone())
}

/// Not `Debug`: it holds a password.
#[derive(Deserialize, JsonSchema)]
pub(super) struct LoginForm {
    email: String,
    password: String,
    /// Where it leads to afterwards: a path of the dashboard.
    next: Option<String>,
}

/// Brings the email that was typed back into the form: for a minute, to this page alone, whether there is such an account or
/// not. What does not end in the name of a host is not kept: a password may have been typed in its place.
fn typed_email(email: &str, secure: bool) -> Option<HeaderValue> {
    let email: Email = email.parse().ok()?;
    let (_, host) = email.as_str().split_once('@')?;
    let is_name = host.chars().all(|c| c.is_ascii_alphanumeric() || "-.".contains(c));
    if !is_name || (!host.contains('.') && host != "localhost") {
        return None;
    }
    let secure = if secure { "; Secure" } else { "" };
    let cookie = format!("{TYPED_EMAIL}={email}; HttpOnly; SameSite=Strict{secure}; Path={LOGIN}; Max-Age=60");
    email.as_str().chars().all(is_plain_in_cookies).then(|| HeaderValue::try_from(cookie).ok()).flatten()
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
    let network = network(client.address);
    let Attempted { name, from_known_network } = match database.attempted(&email, network, UnixMillis::now()).await {
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
    let credentials = Credentials { email: email.clone(), password: password.into(), from_known_network };
    // Not through the session, which writes every error to the log, as often as strangers want.
    let account = match auth.backend.authenticate(credentials).await {
        Ok(Some(account)) => account,
        Ok(None) => {
            access.audit.record_refusal(refused("unknown or disabled account, or wrong password")).await;
            let mut response = Redirect::to(&login_page(Some("credentials"), destination)).into_response();
            // So that only the password has to be typed again.
            if let Some(cookie) = typed_email(&email, access.sessions.secure) {
                response.headers_mut().append(SET_COOKIE, cookie);
            }
            return response;
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
    if account.has_second_factor {
        return code::ask(&auth, &account, destination).await;
    }
    admit(&access, &client, &mut auth, &account, destination).await
}

/// Whoever has shown that they are the account's owner is signed in, on record.
async fn admit(
    access: &Access,
    client: &Client,
    auth: &mut AuthSession,
    account: &Account,
    destination: &str,
) -> Response {
    let actor = client.account(account);
    if access.audit.record(actor.does(Action::SignIn).to(account.email.as_str())).await.is_err() {
        return unavailable("Sign-ins are recorded in the audit log, which cannot be written right now.");
    }
    match start_session(auth, account, &actor).await {
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
    headers: HeaderMap,
) -> Response {
    if let Some(id) = auth.session.id() {
        // Asked before the session goes, and with it what is kept of it.
        let kept = match access.oidc {
            Some(_) => access.database.oidc_session(&id).await.ok().flatten(),
            None => None,
        };
        match auth.logout().await {
            Ok(Some(account)) => {
                access.revocations.tell();
                let _ = access.audit.record(client.account(&account).does(Action::SignOut)).await;
                if let Some(kept) = kept
                    && let Some(answer) = oidc::sign_out_there(&access, &kept.tokens, &headers).await
                {
                    return answer;
                }
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
