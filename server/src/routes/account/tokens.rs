//! API tokens on the account page: made, after the password was asked for again, and revoked.

use super::{Confirmed, back, confirm};
use crate::{
    audit::{Action, Actor},
    auth::{Admin, AuthSession, TOKEN_DAYS_MAX, generate_token},
    database::{Database, NewToken, TokenError},
    model::{Scope, TokenName},
    routes::{AppState, guard::Client, plain_page::plain_page},
};
use app::model::time::UnixMillis;
use axum::{
    Extension, Form,
    extract::{State, rejection::FormRejection},
    http::StatusCode,
    response::Response,
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

/// Not `Debug`: it holds a password.
#[derive(Deserialize)]
pub(super) struct TokenForm {
    name: String,
    scope: String,
    days: String,
    #[serde(default)]
    current: SecretString,
    #[serde(default)]
    code: String,
}

/// Makes a token and shows it, this once: nobody can show it again.
pub(super) async fn make(
    State(state): State<AppState>,
    Extension(admin): Extension<Admin>,
    Extension(actor): Extension<Actor>,
    Extension(client): Extension<Client>,
    auth: AuthSession,
    form: Result<Form<TokenForm>, FormRejection>,
) -> Response {
    let Ok(Form(TokenForm { name, scope, days, current, code })) = form else { return back("error=form") };
    let days = days.parse().ok().filter(|days| (1..=TOKEN_DAYS_MAX).contains(days));
    let (Ok(name), Ok(scope), Some(days)) = (name.parse::<TokenName>(), scope.parse::<Scope>(), days) else {
        return back("error=token");
    };
    match confirm(&state, &auth, &client, &actor, Action::TokenAdd, (current, code)).await {
        Confirmed::Yes => {}
        Confirmed::Not(word) => return back(&format!("error={word}")),
        Confirmed::TooOften(answer) => return answer,
    }
    let (token, hash) = generate_token();
    let new = NewToken::lasting(days, UnixMillis::now(), name, scope, admin.name.clone(), hash);
    match write(&state.database, &new, &actor).await {
        Ok(()) => shown_once(&new, &token),
        Err(TokenError::Exists(name)) => {
            let refused = actor.is_refused(Action::TokenAdd, "the name is taken").to(name.actor());
            state.access.audit.record_refusal(refused).await;
            back("error=token-name")
        }
        Err(error) => {
            tracing::error!(%error, "A token could not be made");
            back("error=unavailable")
        }
    }
}

async fn write(database: &Database, new: &NewToken, actor: &Actor) -> Result<(), TokenError> {
    let mut change = database.change().await?;
    change.add_token(new, actor).await?;
    Ok(change.commit().await?)
}

/// Nothing of a name, a scope or a token has to be escaped.
fn shown_once(new: &NewToken, token: &SecretString) -> Response {
    let rest = format!(
        r#"<p>Token <b>{name}</b>, scope {scope}, until {ends}.</p>
<p><code data-testid="token">{token}</code></p>
<p>Copy it now: it is not shown again. Programs send it as <code>Authorization: Bearer …</code>.</p>
<p><a class="button button-primary" href="/admin/account">Back to the account</a></p>"#,
        name = new.name,
        scope = new.scope,
        ends = new.ends_at,
        token = token.expose_secret()
    );
    plain_page(StatusCode::OK, "New token", &rest)
}

#[derive(Deserialize)]
pub(super) struct RevokeForm {
    name: String,
}

pub(super) async fn revoke(
    State(state): State<AppState>,
    _: Extension<Admin>,
    Extension(actor): Extension<Actor>,
    form: Result<Form<RevokeForm>, FormRejection>,
) -> Response {
    let Some(name) = form.ok().and_then(|Form(form)| form.name.parse::<TokenName>().ok()) else {
        return back("error=form");
    };
    let revoked = async {
        let mut change = state.database.change().await?;
        let was_there = change.revoke_token(&name).await?;
        if was_there {
            change.record(&actor.does(Action::TokenRevoke).to(name.actor())).await?;
            change.commit().await?;
        }
        anyhow::Ok(was_there)
    };
    match revoked.await {
        Ok(true) => {
            state.access.revocations.tell();
            back("done=revoked")
        }
        Ok(false) => back("error=token-gone"),
        Err(error) => {
            tracing::error!(%error, "A token could not be revoked");
            back("error=unavailable")
        }
    }
}
