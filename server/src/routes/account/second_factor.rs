//! The second factor on the account page: turned on, with a picture to scan and a first code; new recovery codes; turned off. Plain pages
//! and forms, without JavaScript.

use super::{Confirmed, confirm};
use crate::{
    audit::{Action, Actor},
    auth::{
        AuthSession, Owner, generate_recovery_codes, generate_seed, seed_picture, seed_text, start_session, step_of,
    },
    model::{RecoveryHash, SecondFactor},
    routes::{AppState, destination::DASHBOARD, guard::Client, plain_page::plain_page},
};
use app::{address::SECOND_FACTOR, model::time::UnixMillis};
use axum::{
    Extension, Form,
    extract::{Query, State, rejection::FormRejection},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use secrecy::SecretString;
use serde::Deserialize;
use std::collections::BTreeMap;

const PASSWORD_FIELD: &str = r#"<label class="field"><span>Your current password</span>
<input type="password" name="current" autocomplete="current-password" required></label>"#;
const CODE_FIELD: &str = r#"<label class="field"><span>Code of your authenticator app, or a recovery code</span>
<input type="text" name="code" autocomplete="one-time-code" spellcheck="false" required></label>"#;
const FROM_PROVIDER: &str =
    "<p>This account signs in at the identity provider, which asks for its own second factor.</p>";
const BACK: &str = r#"<p><a class="button" href="/admin/account">Back to the account</a></p>"#;

/// Not `Debug`: it holds a password and a code.
#[derive(Deserialize)]
pub(super) struct ConfirmForm {
    #[serde(default)]
    current: SecretString,
    #[serde(default)]
    code: String,
}

/// What there is, and what can be done about it.
pub(super) async fn show(
    State(state): State<AppState>,
    Extension(owner): Extension<Owner>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Response {
    let Some(account_id) = owner.account_id() else { return back("error=unavailable") };
    if owner.is_from_provider {
        return plain_page(StatusCode::OK, "Second factor", &[FROM_PROVIDER, BACK].concat());
    }
    let factor = match state.database.second_factor(account_id).await {
        Ok(factor) => factor.filter(|factor| factor.since.is_some()),
        Err(error) => return broken(&error),
    };
    let is_asked_for = owner.role.is_some_and(|role| state.access.roles.asks_second_factor(role));
    let error = query.get("error").map(|word| {
        format!(r#"<p class="banner" data-tone="bad" role="alert" data-testid="error">{}</p>"#, error_text(word))
    });
    let done = query
        .get("done")
        .map(|_| r#"<p class="banner" data-tone="info" role="status">The second factor is off.</p>"#.to_owned());
    let rest = match factor {
        None => to_turn_on(is_asked_for),
        Some(factor) => turned_on(&factor, is_asked_for),
    };
    let rest = [error.or(done).unwrap_or_default(), rest].concat();
    plain_page(StatusCode::OK, "Second factor", &rest)
}

fn to_turn_on(is_asked_for: bool) -> String {
    let why = match is_asked_for {
        true => "<p><b>Your role asks for a second factor.</b> Turn it on to go on.</p>",
        false => "",
    };
    format!(
        r#"{why}<p>With a second factor, signing in takes your password and a code of an authenticator app on your phone.</p>
<form class="admin-form" method="post" action="/admin/account/second-factor/start" data-testid="start">{PASSWORD_FIELD}
<button type="submit" class="button button-primary">Turn on</button></form>
{BACK}<form method="post" action="/logout"><button type="submit" class="button">Sign out</button></form>"#
    )
}

fn turned_on(factor: &SecondFactor, is_asked_for: bool) -> String {
    let since = factor.since.map(|at| at.to_string()).unwrap_or_default();
    let left = factor.codes_left;
    let off = match is_asked_for {
        true => "<p>Your role asks for it: only who has the machine can take it away.</p>".to_owned(),
        false => format!(
            r#"<form class="admin-form" method="post" action="/admin/account/second-factor/off" data-testid="off"><h2>Turn off</h2>
{PASSWORD_FIELD}{CODE_FIELD}<button type="submit" class="button">Turn off</button></form>"#
        ),
    };
    format!(
        r#"<p data-testid="on">It is on since {since}. {left} recovery codes are left.</p>
<form class="admin-form" method="post" action="/admin/account/second-factor/codes" data-testid="codes"><h2>New recovery codes</h2>
{PASSWORD_FIELD}{CODE_FIELD}<button type="submit" class="button">Make new codes</button></form>
{off}{BACK}"#
    )
}

/// Makes a seed and shows it; nothing is asked for until a code of it is right.
pub(super) async fn start(
    State(state): State<AppState>,
    Extension(owner): Extension<Owner>,
    Extension(actor): Extension<Actor>,
    Extension(client): Extension<Client>,
    auth: AuthSession,
    form: Result<Form<ConfirmForm>, FormRejection>,
) -> Response {
    let (Ok(Form(form)), Some(account_id)) = (form, owner.account_id()) else { return back("error=form") };
    if owner.is_from_provider {
        return back("error=provider");
    }
    match confirm(&state, &auth, &client, &actor, Action::SecondFactorOn, (form.current, form.code)).await {
        Confirmed::Yes => {}
        Confirmed::Not(word) => return back(&format!("error={word}")),
        Confirmed::TooOften(answer) => return answer,
    }
    let seed = generate_seed();
    let started = async {
        let mut change = state.database.change().await?;
        let started = change.start_second_factor(account_id, &seed).await?;
        change.commit().await?;
        anyhow::Ok(started)
    };
    match started.await {
        Ok(true) => {}
        Ok(false) => return back("error=on"),
        Err(error) => return broken(&error),
    }
    let picture = seed_picture(&seed, &owner.name).unwrap_or_default();
    let rest = format!(
        r#"<p>Scan this with your authenticator app, or type the key into it. Then enter the code that the app shows.</p>
<p>{picture}</p>
<p>Key: <code data-testid="key">{key}</code></p>
<form class="admin-form" method="post" action="/admin/account/second-factor/confirm" data-testid="confirm">
<label class="field"><span>Code</span>
<input type="text" name="code" inputmode="numeric" autocomplete="one-time-code" required></label>
<button type="submit" class="button button-primary">Turn on</button></form>
{BACK}"#,
        key = seed_text(&seed)
    );
    plain_page(StatusCode::OK, "Scan the code", &rest)
}

/// The first code: from here on it is asked for. All other sessions end, this browser gets a new one, and the recovery codes are shown.
pub(super) async fn turn_on(
    State(state): State<AppState>,
    Extension(owner): Extension<Owner>,
    Extension(actor): Extension<Actor>,
    Extension(client): Extension<Client>,
    mut auth: AuthSession,
    form: Result<Form<ConfirmForm>, FormRejection>,
) -> Response {
    let (Ok(Form(form)), Some(account_id)) = (form, owner.account_id()) else { return back("error=form") };
    let limits = &state.access.limits;
    let attempt = match limits.attempt_code(client.address, account_id).await {
        Ok(attempt) => attempt,
        Err(wait) => return super::too_many_attempts(&state.access, &actor, Action::SecondFactorOn, wait).await,
    };
    let now = UnixMillis::now();
    let step = match state.database.second_factor(account_id).await {
        Ok(factor) => {
            factor.filter(|factor| factor.since.is_none()).map(|factor| step_of(&factor.seed, &form.code, now))
        }
        Err(error) => return broken(&error),
    };
    let Some(step) = step else { return back("error=start") };
    let Some(step) = step else {
        let refused = actor.is_refused(Action::SecondFactorOn, "the code was wrong");
        state.access.audit.record_refusal(refused).await;
        return back("error=code");
    };
    limits.signed_in(attempt).await;
    let (codes, hashes) = generate_recovery_codes(account_id);
    match try_turn_on(&state, &mut auth, &actor, account_id, step, &hashes).await {
        Ok(true) => {
            state.access.revocations.tell();
            show_codes(&codes, "The second factor is on. All other sessions have ended.")
        }
        Ok(false) => back("error=start"),
        Err(error) => broken(&error),
    }
}

async fn try_turn_on(
    AppState { database, .. }: &AppState,
    auth: &mut AuthSession,
    actor: &Actor,
    account_id: i64,
    step: i64,
    hashes: &[RecoveryHash],
) -> anyhow::Result<bool> {
    let mut change = database.change().await?;
    if !change.confirm_second_factor(account_id, step, hashes, UnixMillis::now()).await? {
        return Ok(false);
    }
    change.record(&actor.does(Action::SecondFactorOn)).await?;
    change.commit().await?;
    if let Some(account) = database.account_by_id(account_id).await? {
        start_session(auth, &account, actor).await?;
    }
    Ok(true)
}

/// Other recovery codes; the old ones are void.
pub(super) async fn new_codes(
    State(state): State<AppState>,
    Extension(owner): Extension<Owner>,
    Extension(actor): Extension<Actor>,
    Extension(client): Extension<Client>,
    auth: AuthSession,
    form: Result<Form<ConfirmForm>, FormRejection>,
) -> Response {
    let (Ok(Form(form)), Some(account_id)) = (form, owner.account_id()) else { return back("error=form") };
    if !auth.user.as_ref().is_some_and(|account| account.has_second_factor) {
        return back("error=start");
    }
    match confirm(&state, &auth, &client, &actor, Action::RecoveryCodes, (form.current, form.code)).await {
        Confirmed::Yes => {}
        Confirmed::Not(word) => return back(&format!("error={word}")),
        Confirmed::TooOften(answer) => return answer,
    }
    let (codes, hashes) = generate_recovery_codes(account_id);
    let made = async {
        let mut change = state.database.change().await?;
        change.replace_recovery_codes(account_id, &hashes).await?;
        change.record(&actor.does(Action::RecoveryCodes)).await?;
        anyhow::Ok(change.commit().await?)
    };
    match made.await {
        Ok(()) => show_codes(&codes, "The old recovery codes are void."),
        Err(error) => broken(&error),
    }
}

/// Not where the role asks for it.
pub(super) async fn turn_off(
    State(state): State<AppState>,
    Extension(owner): Extension<Owner>,
    Extension(actor): Extension<Actor>,
    Extension(client): Extension<Client>,
    auth: AuthSession,
    form: Result<Form<ConfirmForm>, FormRejection>,
) -> Response {
    let (Ok(Form(form)), Some(account_id)) = (form, owner.account_id()) else { return back("error=form") };
    if owner.role.is_none_or(|role| state.access.roles.asks_second_factor(role)) {
        let refused = actor.is_refused(Action::SecondFactorOff, "the role asks for it");
        state.access.audit.record_refusal(refused).await;
        return back("error=role");
    }
    match confirm(&state, &auth, &client, &actor, Action::SecondFactorOff, (form.current, form.code)).await {
        Confirmed::Yes => {}
        Confirmed::Not(word) => return back(&format!("error={word}")),
        Confirmed::TooOften(answer) => return answer,
    }
    let removed = async {
        let mut change = state.database.change().await?;
        change.remove_second_factor(account_id).await?;
        change.record(&actor.does(Action::SecondFactorOff)).await?;
        anyhow::Ok(change.commit().await?)
    };
    match removed.await {
        Ok(()) => back("done=off"),
        Err(error) => broken(&error),
    }
}

fn show_codes(codes: &[String], what: &str) -> Response {
    let items: String = codes.iter().map(|code| format!("<li><code>{code}</code></li>")).collect();
    let rest = format!(
        r#"<p>{what}</p>
<p>Keep these recovery codes where you keep passwords, not on the phone. Each signs you in once if the phone is lost. They are not shown
again.</p>
<ol data-testid="recovery-codes">{items}</ol>
<p><a class="button button-primary" href="{DASHBOARD}">To the dashboard</a></p>"#
    );
    plain_page(StatusCode::OK, "Recovery codes", &rest)
}

fn broken(error: &dyn std::fmt::Display) -> Response {
    tracing::error!(%error, "A second factor could not be read or changed");
    back("error=unavailable")
}

fn back(query: &str) -> Response {
    Redirect::to(&format!("{SECOND_FACTOR}?{query}")).into_response()
}

/// Never more than that: the word comes from the address, which anybody can write.
fn error_text(word: &str) -> &'static str {
    match word {
        "current" => "The current password is wrong. Nothing was changed.",
        "code" => "The code is wrong, or was used already. Nothing was changed.",
        "busy" => "The server is busy checking passwords. Try again in a few seconds.",
        "start" => "The second factor is not being turned on. Start again.",
        "on" => "The second factor is on already.",
        "role" => "Your role asks for a second factor: it cannot be turned off here.",
        "form" => "The form was incomplete. Nothing was changed.",
        _ => "Something went wrong. Nothing was changed; try again in a few seconds.",
    }
}
