//! What somebody does to the own account: another password, an end to sessions. Plain forms, without JavaScript. A read-only account
//! may too: it guards itself, and changes nothing of the monitor.
//! The page with them is the app's.

mod screens;
mod second_factor;
mod tokens;

use super::{
    AppState,
    guard::{Access, Client},
    plain_page::plain_page,
    with_retry,
};
use crate::{
    audit::{Action, Actor},
    auth::{
        Account, AuthError, AuthSession, BadPassword, Credentials, Reader, check_password, hash_password, spend_code,
        start_session,
    },
    database::{Database, SessionsToEnd},
    limits::Wait,
};
use app::{
    address::{ACCOUNT, SCREENS, SECOND_FACTOR},
    model::time::UnixMillis,
};
use axum::{
    Extension, Form, Router,
    extract::{DefaultBodyLimit, State, rejection::FormRejection},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use axum_login::AuthnBackend;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

const BODY_BYTES_MAX: usize = 8 << 10;
/// How long a sign-in at the identity provider stands for a password that is asked for again.
const FRESH_S: i64 = 300;

/// Belongs behind the guard of readers.
pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/admin/account/password", post(change_password))
        .route("/admin/account/sessions", post(end_sessions))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
}

/// The second factor, which who has to turn it on first reaches too. Belongs behind the guard of owners.
pub(super) fn of_owners() -> Router<AppState> {
    Router::new()
        .route(SECOND_FACTOR, get(second_factor::show))
        .route("/admin/account/second-factor/start", post(second_factor::start))
        .route("/admin/account/second-factor/confirm", post(second_factor::turn_on))
        .route("/admin/account/second-factor/codes", post(second_factor::new_codes))
        .route("/admin/account/second-factor/off", post(second_factor::turn_off))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
}

/// What changes more than the own account. Belongs behind the guard of administrators.
pub(super) fn acts() -> Router<AppState> {
    Router::new()
        .route(SCREENS, get(screens::show).post(screens::pair))
        .route("/admin/account/screens/end", post(screens::end))
        .route("/admin/account/tokens", post(tokens::make))
        .route("/admin/account/tokens/revoke", post(tokens::revoke))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
}

/// Not `Debug`: it holds passwords.
#[derive(Deserialize)]
struct PasswordForm {
    current: SecretString,
    new: SecretString,
    again: SecretString,
    #[serde(default)]
    code: String,
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
    if account.is_from_provider {
        return back("error=provider");
    }
    let access = &state.access;
    let shown = (form.current.clone(), form.code.clone());
    match confirm(&state, &auth, &client, &actor, Action::PasswordChange, shown).await {
        Confirmed::Yes => {}
        Confirmed::Not(word) => return back(&format!("error={word}")),
        Confirmed::TooOften(answer) => return answer,
    }
    match try_change(&state, &mut auth, &account, &actor, form).await {
        Ok(Ok(())) => {
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

async fn too_many_attempts(access: &Access, actor: &Actor, action: Action, wait: Wait) -> Response {
    access.audit.record_refusal(actor.is_refused(action, "too many attempts")).await;
    let page = plain_page(
        StatusCode::TOO_MANY_REQUESTS,
        "Too many attempts",
        r#"<p>The current password or the code was wrong too many times. Wait a while, then try again.</p>
<p><a class="button button-primary" href="/admin/account">Back to the account</a></p>"#,
    );
    with_retry(wait.seconds(), page)
}

/// Is it still the account's owner at the keyboard?
enum Confirmed {
    Yes,
    /// A word for the page's address says why.
    Not(&'static str),
    /// And what to answer.
    TooOften(Response),
}

/// Asks for the password again, or for a fresh sign-in at the identity provider, and for a code where the account has a second factor, before something that outlives the session. Guessing
/// either is limited as it is at sign-in.
async fn confirm(
    state: &AppState,
    auth: &AuthSession,
    client: &Client,
    actor: &Actor,
    action: Action,
    (password, code): (SecretString, String),
) -> Confirmed {
    let access = &state.access;
    let Some(account) = &auth.user else { return Confirmed::Not("form") };
    if account.is_from_provider {
        return confirm_fresh(state, auth, actor, action).await;
    }
    let attempt = match access.limits.attempt_sign_in(client.address, account.email.as_str(), true).await {
        Ok(attempt) => attempt,
        Err(wait) => return Confirmed::TooOften(too_many_attempts(access, actor, action, wait).await),
    };
    let credentials = Credentials { email: account.email.to_string(), password, from_known_network: true };
    let word = match auth.backend.authenticate(credentials).await {
        Ok(Some(_)) => {
            access.limits.signed_in(attempt).await;
            return confirm_code(state, account, client, actor, action, &code).await;
        }
        Ok(None) => {
            access.audit.record_refusal(actor.is_refused(action, "the current password was wrong")).await;
            "current"
        }
        Err(AuthError::Busy) => {
            access.limits.take_back(attempt).await;
            "busy"
        }
        Err(error) => {
            tracing::error!(%error, "A password could not be checked");
            "unavailable"
        }
    };
    Confirmed::Not(word)
}

/// Of somebody who has no password here: they have shown the identity provider just now who they are.
async fn confirm_fresh(state: &AppState, auth: &AuthSession, actor: &Actor, action: Action) -> Confirmed {
    let kept = match auth.session.id() {
        Some(id) => state.database.oidc_session(&id).await,
        None => Ok(None),
    };
    match kept {
        Ok(kept) => {
            let since = UnixMillis::now().0 / 1_000 - FRESH_S;
            if kept.and_then(|kept| kept.authenticated_at_s).is_some_and(|at| at >= since) {
                return Confirmed::Yes;
            }
            let why = "the sign-in at the identity provider is older than five minutes";
            state.access.audit.record_refusal(actor.is_refused(action, why)).await;
            Confirmed::Not("fresh")
        }
        Err(error) => {
            tracing::error!(%error, "A sign-in could not be looked at");
            Confirmed::Not("unavailable")
        }
    }
}

async fn confirm_code(
    AppState { access, database, .. }: &AppState,
    account: &Account,
    client: &Client,
    actor: &Actor,
    action: Action,
    code: &str,
) -> Confirmed {
    if !account.has_second_factor {
        return Confirmed::Yes;
    }
    let attempt = match access.limits.attempt_code(client.address, account.id).await {
        Ok(attempt) => attempt,
        Err(wait) => return Confirmed::TooOften(too_many_attempts(access, actor, action, wait).await),
    };
    match spend_code(database, account.id, code, UnixMillis::now()).await {
        Ok(true) => {
            access.limits.signed_in(attempt).await;
            Confirmed::Yes
        }
        Ok(false) => {
            let refused = actor.is_refused(action, "wrong or used code of the second factor");
            access.audit.record_refusal(refused).await;
            Confirmed::Not("code")
        }
        Err(error) => {
            tracing::error!(%error, "A code could not be checked");
            Confirmed::Not("unavailable")
        }
    }
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
    Extension(viewer): Extension<Reader>,
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
    viewer: &Reader,
    actor: &Actor,
    which: SessionsToEnd<'_>,
) -> anyhow::Result<u64> {
    let Some(account_id) = viewer.account_id() else { return Ok(0) };
    let mut change = database.change().await?;
    let ended = change.end_sessions(account_id, which).await?;
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
