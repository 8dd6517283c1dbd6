//! Signing in and out with plain forms, so that it works without JavaScript. The sign-in page itself is the app's.
//!
//! Every redirect goes to a fixed path: nothing in a request says where to, so no link can lead a fresh sign-in elsewhere.

use super::guard::{Access, Client};
use crate::{
    audit::Action,
    auth::{AuthError, AuthSession, Credentials, Email},
};
use axum::{
    Extension, Form, Router,
    extract::{DefaultBodyLimit, State, rejection::FormRejection},
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
pub(crate) fn routes<S>(access: &Access) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    Router::new()
        .route("/", get(|| async { Redirect::to(DASHBOARD) }))
        .route(LOGIN, post(sign_in))
        .route("/logout", post(sign_out))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(access.clone())
}

/// Not `Debug`: it holds a password.
#[derive(Deserialize)]
struct LoginForm {
    email: String,
    password: String,
}

/// Any enabled account may sign in; what it may see is for the guards to say.
async fn sign_in(
    State(access): State<Access>,
    Extension(client): Extension<Client>,
    mut auth: AuthSession,
    form: Result<Form<LoginForm>, FormRejection>,
) -> Response {
    let LoginForm { email, password } = match form {
        Ok(Form(form)) => form,
        Err(rejection) => return bad_form(&rejection),
    };
    // Who types a password into the wrong field must not find it on record: only what can be an email is.
    let name = email.parse::<Email>().map_or_else(|_| "not an email".to_owned(), |email| email.to_string());
    let refused = |reason: &str| client.stranger().is_refused(Action::SignIn, reason).to(name.as_str());
    let account = match auth.authenticate(Credentials { email, password: password.into() }).await {
        Ok(Some(account)) => account,
        Ok(None) => {
            access.audit.record_refusal(refused("unknown or disabled account, or wrong password")).await;
            return Redirect::to(WRONG_CREDENTIALS).into_response();
        }
        Err(axum_login::Error::Backend(AuthError::Busy)) => {
            access.audit.record_refusal(refused("too many sign-ins are being checked at once")).await;
            return unavailable("Too many sign-ins are being checked at once. Try again in a few seconds.\n");
        }
        Err(error) => return broken("A sign-in could not be checked", &error),
    };
    if access.audit.record(client.account(&account).does(Action::SignIn).to(account.email.as_str())).await.is_err() {
        return unavailable(
            "Signing in cannot be put on record now, and is refused for that reason. Try again soon.\n",
        );
    }
    // Whoever planted a session in this browser must not find it signed in. The session layer renews the id of a session
    // that nobody is signed in with, but not of one that belongs to another account: hence here, for both.
    if let Err(error) = auth.session.cycle_id().await {
        return broken("A new session could not be made", &error);
    }
    if let Err(error) = auth.login(&account).await {
        return broken("A session could not be signed in", &error);
    }
    Redirect::to(DASHBOARD).into_response()
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
