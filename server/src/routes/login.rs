//! Signing in and out with plain forms, so that it works without JavaScript. The sign-in page itself is the app's.
//!
//! Every redirect goes to a fixed path: nothing in a request says where to, so no link can lead a fresh sign-in elsewhere.

use crate::auth::{AuthError, AuthSession, Credentials};
use axum::{
    Form, Router,
    extract::{DefaultBodyLimit, rejection::FormRejection},
    http::{HeaderValue, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use serde::Deserialize;

/// Where an administrator works.
pub(crate) const DASHBOARD: &str = "/admin/websockets";
/// Where one signs in.
pub(crate) const LOGIN: &str = "/login";
const WRONG_CREDENTIALS: &str = "/login?error=credentials";

const BODY_BYTES_MAX: usize = 8 * 1024;

/// `/`, `POST /login` and `POST /logout`; `GET /login` is a page of the app. Belongs inside the session layer.
pub(crate) fn routes<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    Router::new()
        .route("/", get(|| async { Redirect::to(DASHBOARD) }))
        .route(LOGIN, post(sign_in))
        .route("/logout", post(sign_out))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
}

/// Not `Debug`: it holds a password.
#[derive(Deserialize)]
struct LoginForm {
    email: String,
    password: String,
}

/// Any enabled account may sign in; what it may see is for the guards to say.
async fn sign_in(mut auth: AuthSession, form: Result<Form<LoginForm>, FormRejection>) -> Response {
    let credentials = match form {
        Ok(Form(LoginForm { email, password })) => Credentials { email, password: password.into() },
        Err(rejection) => return bad_form(&rejection),
    };
    let account = match auth.authenticate(credentials).await {
        Ok(Some(account)) => account,
        Ok(None) => {
            tracing::info!("Refused a sign-in: unknown or disabled account, or wrong password");
            return Redirect::to(WRONG_CREDENTIALS).into_response();
        }
        Err(axum_login::Error::Backend(AuthError::Busy)) => {
            tracing::warn!("Turned a sign-in away: too many are being checked at once");
            return unavailable("Too many sign-ins are being checked at once. Try again in a few seconds.\n");
        }
        Err(error) => return broken("A sign-in could not be checked", &error),
    };
    // Whoever planted a session in this browser must not find it signed in. The session layer renews the id of a session
    // that nobody is signed in with, but not of one that belongs to another account: hence here, for both.
    if let Err(error) = auth.session.cycle_id().await {
        return broken("A new session could not be made", &error);
    }
    if let Err(error) = auth.login(&account).await {
        return broken("A session could not be signed in", &error);
    }
    tracing::info!(account.id = account.id, email = %account.email, role = %account.role, "Signed in");
    Redirect::to(DASHBOARD).into_response()
}

/// Deletes the session on the server; the cookie goes with it.
async fn sign_out(mut auth: AuthSession) -> Response {
    if auth.session.id().is_some() {
        match auth.logout().await {
            Ok(Some(account)) => tracing::info!(account.id = account.id, email = %account.email, "Signed out"),
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
    (status, "Signing in takes a form of at most 8 KiB with the fields email and password.\n").into_response()
}

fn broken(what: &str, error: &dyn std::fmt::Display) -> Response {
    tracing::error!(%error, "{what}");
    unavailable("Signing in and out does not work at the moment. Try again in a few seconds.\n")
}

fn unavailable(text: &'static str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, HeaderValue::from_static("5"))], text).into_response()
}

#[cfg(test)]
mod tests;
