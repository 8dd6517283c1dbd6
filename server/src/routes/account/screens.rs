//! Screens on walls: paired by an administrator, listed and ended. Plain pages and forms, without JavaScript.

use super::{Confirmed, confirm};
use crate::{
    audit::{Action, Actor},
    auth::{Admin, AuthSession, read_screen_code, screen_code_text},
    database::Screen,
    limits,
    model::TokenName,
    routes::{AppState, guard::Client, plain_page::plain_page, too_many_requests},
    text::{self, tidy},
};
use app::{address::SCREENS, model::time::UnixMillis};
use axum::{
    Extension, Form,
    extract::{Query, State, rejection::FormRejection},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use secrecy::SecretString;
use serde::Deserialize;
use std::collections::BTreeMap;

const DAY_MS: i64 = 86_400_000;
const DAYS_MAX: i64 = 365;
const FRESH_SIGN_IN: &str = r#"<p>This takes a sign-in of the last five minutes.
<a class="button" href="/login/oidc?fresh=1&amp;next=%2Fadmin%2Faccount%2Fscreens">Sign in again</a></p>"#;

/// The screens, and the form to pair one. With a code in the address, as in the picture that a screen shows, it says who asks.
pub(super) async fn show(
    State(state): State<AppState>,
    Extension(admin): Extension<Admin>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Response {
    let now = UnixMillis::now();
    let code = query.get("code").and_then(|typed| read_screen_code(typed));
    let asking = match &code {
        Some(code) => state.database.screen_by_code(code, now).await,
        None => Ok(None),
    };
    let (screens, asking) = match (state.database.screens(now).await, asking) {
        (Ok(screens), Ok(asking)) => (screens, asking),
        (Err(error), _) | (_, Err(error)) => {
            tracing::error!(%error, "Screens could not be read");
            return plain_page(
                StatusCode::SERVICE_UNAVAILABLE,
                "Temporarily unavailable",
                "<p>Try again in a moment.</p>",
            );
        }
    };
    let said = match (query.get("error"), query.get("done")) {
        (Some(word), _) => {
            format!(r#"<p class="banner" data-tone="bad" role="alert" data-testid="error">{}</p>"#, error_text(word))
        }
        (None, Some(word)) => {
            format!(r#"<p class="banner" data-tone="info" role="status" data-testid="done">{}</p>"#, done_text(word))
        }
        (None, None) => String::new(),
    };
    let code = code.map(|code| screen_code_text(&code)).unwrap_or_default();
    let code_field = match admin.second_factor {
        true => {
            r#"<label class="field"><span>Code of your authenticator app</span>
<input type="text" name="factor" autocomplete="one-time-code" spellcheck="false" required></label>"#
        }
        false => "",
    };
    let password_field = match admin.is_from_provider {
        true => FRESH_SIGN_IN,
        false => {
            r#"<label class="field"><span>Your password</span>
<input type="password" name="current" autocomplete="current-password" required></label>"#
        }
    };
    let rest = format!(
        r#"{said}{asks}<form class="admin-form" method="post" action="{SCREENS}" data-testid="pair"><h2>Pair a screen</h2>
<label class="field"><span>Code on the screen</span>
<input type="text" name="code" value="{code}" autocomplete="off" spellcheck="false" required></label>
<label class="field"><span>Name</span>
<input type="text" name="name" maxlength="40" autocomplete="off" placeholder="trading-floor" required></label>
<label class="field"><span>Days until it ends</span>
<input type="number" name="days" min="1" max="{DAYS_MAX}" value="90" required></label>
{password_field}{code_field}
<button type="submit" class="button button-primary">Pair</button></form>
{list}<p><a class="button" href="/admin/account">Back to the account</a></p>"#,
        asks = asking.as_ref().map(who_asks).unwrap_or_default(),
        list = list(&screens)
    );
    plain_page(StatusCode::OK, "Screens", &rest)
}

/// So that nobody pairs what asks from elsewhere with a link that was sent to them.
fn who_asks(screen: &Screen) -> String {
    format!(
        "<p data-testid=\"asking\">The screen asks from {}, with {}. Pair it only if you see this code on it now: whoever sent you a link \
         may want to look in.</p>",
        html(screen.address.as_deref().unwrap_or("somewhere")),
        html(screen.user_agent.as_deref().unwrap_or("an unnamed browser"))
    )
}

fn list(screens: &[Screen]) -> String {
    let rows: String = screens
        .iter()
        .map(|screen| {
            let name = html(screen.name.as_deref().unwrap_or_default());
            format!(
                r#"<tr data-testid="screen"><td>{name}</td><td class="number">{ends}</td><td class="number">{used}</td><td>{by}</td>
<td><form method="post" action="/admin/account/screens/end"><input type="hidden" name="id" value="{id}">
<button type="submit" class="button" aria-label="End {name}">End</button></form></td></tr>"#,
                ends = screen.ends_at,
                used = screen.last_used_at,
                by = html(screen.paired_by.as_deref().unwrap_or_default()),
                id = screen.id
            )
        })
        .collect();
    if rows.is_empty() {
        return "<p>No screen is paired. Open <code>/screen</code> on one.</p>".to_owned();
    }
    format!(
        r#"<div class="admin-scroll" tabindex="0" role="region" aria-label="Table of screens"><table class="admin-table">
<thead><tr><th scope="col">Name</th><th scope="col">Ends (UTC)</th><th scope="col">Last seen (UTC)</th><th scope="col">Paired by</th>
<th scope="col"><span class="visually-hidden">End</span></th></tr></thead><tbody>{rows}</tbody></table></div>"#
    )
}

/// What somebody else wrote, as text in HTML.
fn html(text: &str) -> String {
    let mut escaped = String::new();
    for c in tidy(text, text::BYTES_MAX).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Not `Debug`: it holds a password and codes.
#[derive(Deserialize)]
pub(super) struct PairForm {
    code: String,
    name: String,
    days: String,
    #[serde(default)]
    current: SecretString,
    #[serde(default)]
    factor: String,
}

pub(super) async fn pair(
    State(state): State<AppState>,
    Extension(admin): Extension<Admin>,
    Extension(actor): Extension<Actor>,
    Extension(client): Extension<Client>,
    auth: AuthSession,
    form: Result<Form<PairForm>, FormRejection>,
) -> Response {
    let Ok(Form(PairForm { code, name, days, current, factor })) = form else { return back("error=form") };
    let days = days.parse().ok().filter(|days| (1..=DAYS_MAX).contains(days));
    let (Ok(name), Some(days)) = (name.parse::<TokenName>(), days) else { return back("error=name") };
    // Codes of others' screens are not to be found by trying.
    if let Err(wait) = state.access.limits.take(limits::PAIRINGS, &admin.counted_as()).await {
        state.access.audit.record_refusal(actor.is_refused(Action::ScreenPair, "too many codes")).await;
        return too_many_requests(wait);
    }
    match confirm(&state, &auth, &client, &actor, Action::ScreenPair, (current, factor)).await {
        Confirmed::Yes => {}
        Confirmed::Not(word) => return back(&format!("error={word}")),
        Confirmed::TooOften(answer) => return answer,
    }
    let now = UnixMillis::now();
    let ends_at = UnixMillis(now.0 + days * DAY_MS);
    let target = format!("screen:{name}");
    let paired = async {
        let Some(code) = read_screen_code(&code) else { return anyhow::Ok(false) };
        let mut change = state.database.change().await?;
        if !change.pair_screen(&code, name.as_str(), &admin.name, ends_at, now).await? {
            return Ok(false);
        }
        change.record(&actor.does(Action::ScreenPair).to(&*target).because(format!("until {ends_at}"))).await?;
        change.commit().await?;
        Ok(true)
    };
    match paired.await {
        Ok(true) => back("done=paired"),
        Ok(false) => {
            let refused = actor.is_refused(Action::ScreenPair, "no screen shows this code").to(target);
            state.access.audit.record_refusal(refused).await;
            back("error=code-unknown")
        }
        Err(error) => {
            tracing::error!(%error, "A screen could not be paired");
            back("error=unavailable")
        }
    }
}

#[derive(Deserialize)]
pub(super) struct EndForm {
    id: i64,
}

pub(super) async fn end(
    State(state): State<AppState>,
    _: Extension<Admin>,
    Extension(actor): Extension<Actor>,
    form: Result<Form<EndForm>, FormRejection>,
) -> Response {
    let Ok(Form(EndForm { id })) = form else { return back("error=form") };
    let ended = async {
        let mut change = state.database.change().await?;
        let Some(name) = change.end_screen(id).await? else { return anyhow::Ok(false) };
        change.record(&actor.does(Action::ScreenEnd).to(format!("screen:{name}"))).await?;
        change.commit().await?;
        Ok(true)
    };
    match ended.await {
        Ok(true) => {
            state.access.revocations.tell();
            back("done=ended")
        }
        Ok(false) => back("error=gone"),
        Err(error) => {
            tracing::error!(%error, "A screen could not be ended");
            back("error=unavailable")
        }
    }
}

fn back(query: &str) -> Response {
    Redirect::to(&format!("{SCREENS}?{query}")).into_response()
}

fn done_text(word: &str) -> &'static str {
    match word {
        "paired" => "Paired. The screen shows the dashboard within a few seconds.",
        "ended" => "Ended. The screen shows nothing more.",
        _ => "Done.",
    }
}

/// Never more than that: the word comes from the address, which anybody can write.
fn error_text(word: &str) -> &'static str {
    match word {
        "current" => "Your password is wrong. Nothing was changed.",
        "fresh" => "Your sign-in is older than five minutes. Sign in again, then repeat this. Nothing was changed.",
        "code" => "The code of your authenticator app is wrong, or was used already. Nothing was changed.",
        "code-unknown" => "No screen shows this code. It may be older than ten minutes.",
        "name" => "A name has letters, digits, dots and hyphens, and it ends after 1 to 365 days.",
        "gone" => "No such screen: it may have ended already.",
        "busy" => "The server is busy checking passwords. Try again in a few seconds.",
        "form" => "The form was incomplete. Nothing was changed.",
        _ => "Something went wrong. Nothing was changed; try again in a few seconds.",
    }
}
