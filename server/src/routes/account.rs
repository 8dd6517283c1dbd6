//! What somebody does to the own account: another password, an end to sessions. Plain forms, without JavaScript. A read-only account
//! may too: it guards itself, and changes nothing of the monitor.
//! The page with them is the app's.

use super::{
    AppState,
    guard::{Access, Client},
    plain_page::plain_page,
    with_retry,
};
use crate::{
    audit::{Action, Actor},
    auth::{
        Account, AuthError, AuthSession, BadPassword, Credentials, Viewer, check_password, hash_password, start_session,
    },
    database::{Database, SessionsToEnd},
    limits::Wait,
};
use app::address::ACCOUNT;
use axum::{
    Extension, Form, Router,
    extract::{DefaultBodyLimit, State, rejection::FormRejection},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
    routing::post,
};
use axum_login::AuthnBackend;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

const BODY_BYTES_MAX: usize = 8 << 10;

/// Belongs behind the guard of pages.
pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/admin/account/password", post(change_password))
        .route("/admin/account/sessions", post(end_sessions))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
}

/// Not `Debug`: it holds passwords.
#[derive(Deserialize)]
struct PasswordForm {
    current: SecretString,
    new: SecretString,
    again: SecretString,
}

/// Why nothing was changed: a word for the page's address, and one for the record.
struct Refused {
    word: &'static str,
    reason: &'static str,
}

async fn change_password(
    State(state): State<AppState>,
    Extension(actor): Extension<Actor>,
    Extension(client): Extension<Client>,
    mut auth: AuthSession,
    form: Result<Form<PasswordForm>, FormRejection>,
) -> Response {
    let (Ok(Form(form)), Some(account)) = (form, auth.user.clone()) else { return back("error=form") };
    let access = &state.access;
    // Guessing here what the session's owner knows is limited as it is at sign-in.
    let attempt = access.limits.attempt_sign_in(client.address, account.email.as_str(), true).await;
    let attempt = match attempt {
        Ok(attempt) => attempt,
        Err(wait) => return too_many_attempts(access, &actor, wait).await,
    };
    match try_change(&state, &mut auth, &account, &actor, form).await {
        Ok(Ok(())) => {
            access.limits.signed_in(attempt).await;
            access.revocations.tell();
            back("done=password")
        }
        Ok(Err(Refused { word, reason })) => {
            access.audit.record_refusal(actor.is_refused(Action::PasswordChange, reason)).await;
            back(&format!("error={word}"))
        }
        Err(error) => {
            tracing::error!(%error, "A password could not be changed");
            back("error=unavailable")
        }
    }
}

async fn too_many_attempts(access: &Access, actor: &Actor, wait: Wait) -> Response {
    access.audit.record_refusal(actor.is_refused(Action::PasswordChange, "too many attempts")).await;
    let page = plain_page(
        StatusCode::TOO_MANY_REQUESTS,
        "Too many attempts",
        r#"<p>The current password was wrong too many times. Wait a while, then try again.</p>
<p><a class="button button-primary" href="/admin/account">Back to the account</a></p>"#,
    );
    with_retry(wait.seconds(), page)
}

/// All sessions of the account end; this browser gets a new one.
async fn try_change(
    AppState { database, config, .. }: &AppState,
    auth: &mut AuthSession,
    account: &Account,
    actor: &Actor,
    form: PasswordForm,
) -> anyhow::Result<Result<(), Refused>> {
    let refused = |word, reason| Ok(Err(Refused { word, reason }));
    let credentials =
        Credentials { email: account.email.to_string(), password: form.current.clone(), from_known_network: true };
    match auth.backend.authenticate(credentials).await {
        Ok(Some(_)) => {}
        Ok(None) => return refused("current", "the current password was wrong"),
        Err(AuthError::Busy) => return refused("busy", "too many passwords are being checked"),
        Err(error) => return Err(error.into()),
    }
    if form.new.expose_secret() != form.again.expose_secret() {
        return refused("differ", "the two new passwords differ");
    }
    if form.new.expose_secret() == form.current.expose_secret() {
        return refused("same", "the new password is the old one");
    }
    match check_password(&form.new, &account.email, &config.accounts.names) {
        Ok(()) => {}
        Err(BadPassword::TooShort(_)) => return refused("short", "the new password is too short"),
        Err(BadPassword::TooLong) => return refused("long", "the new password is too long"),
        Err(BadPassword::TooCommon) => return refused("common", "the new password is easy to guess"),
    }
    let hash = hash_password(form.new).await?;
    let mut change = database.change().await?;
    change.set_password_hash(&account.email, &hash).await?;
    change.record(&actor.does(Action::PasswordChange).to(account.email.as_str())).await?;
    change.commit().await?;
    if let Some(account) = database.account_by_id(account.id).await? {
        start_session(auth, &account, actor).await?;
    }
    Ok(Ok(()))
}

#[derive(Deserialize)]
struct SessionsForm {
    /// The number of a session, or `others`.
    session: String,
}

async fn end_sessions(
    State(state): State<AppState>,
    Extension(viewer): Extension<Viewer>,
    Extension(actor): Extension<Actor>,
    auth: AuthSession,
    form: Result<Form<SessionsForm>, FormRejection>,
) -> Response {
    let (Ok(Form(form)), Some(own)) = (form, auth.session.id()) else { return back("error=form") };
    let which = match (form.session.as_str(), form.session.parse()) {
        ("others", _) => SessionsToEnd::Others(&own),
        (_, Ok(id)) => SessionsToEnd::One(id),
        _ => return back("error=form"),
    };
    match try_end(&state.access, &state.database, &viewer, &actor, which).await {
        Ok(0) => back("error=session"),
        Ok(_) => {
            state.access.revocations.tell();
            back("done=sessions")
        }
        Err(error) => {
            tracing::error!(%error, "Sessions could not be ended");
            back("error=unavailable")
        }
    }
}

async fn try_end(
    access: &Access,
    database: &Database,
    viewer: &Viewer,
    actor: &Actor,
    which: SessionsToEnd<'_>,
) -> anyhow::Result<u64> {
    let mut change = database.change().await?;
    let ended = change.end_sessions(viewer.account_id, which).await?;
    let target = match which {
        SessionsToEnd::One(id) => format!("session {id}"),
        SessionsToEnd::All | SessionsToEnd::Others(_) => "all other sessions".to_owned(),
    };
    if ended == 0 {
        drop(change);
        // Somebody else's, or none: to be told, and nothing to be done.
        access
            .audit
            .record_refusal(actor.is_refused(Action::SessionEnd, "the account has no such session").to(target))
            .await;
        return Ok(0);
    }
    change.record(&actor.does(Action::SessionEnd).to(target).because(format!("{ended} ended"))).await?;
    change.commit().await?;
    Ok(ended)
}

fn back(query: &str) -> Response {
    Redirect::to(&format!("{ACCOUNT}?{query}")).into_response()
}
