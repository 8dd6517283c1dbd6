//! The second step of signing in: a code, after the password was right. Between the two the session belongs to nobody; it only knows
//! whose password it was, for five minutes.

use super::{Access, Client, admit, broken, too_many_attempts};
use crate::{
    audit::Action,
    auth::{Account, AuthSession, spend_code},
    routes::{
        destination::{DASHBOARD, destination, login_page},
        plain_page::plain_page,
    },
};
use app::{address::LOGIN_CODE, model::time::UnixMillis};
use axum::{
    Extension, Form,
    extract::{Query, State, rejection::FormRejection},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use axum_login::AuthUser;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Under this name the session knows it.
const PENDING: &str = "second_factor";
/// How long the password counts.
const PENDING_MS: i64 = 300_000;

/// Whose password was right.
#[derive(Serialize, Deserialize)]
struct Pending {
    account_id: i64,
    /// What sessions are checked against: another password, and this is over.
    auth_hash: Vec<u8>,
    at_ms: i64,
    next: String,
}

/// Leads to the page that asks for the code.
pub(super) async fn ask(auth: &AuthSession, account: &Account, next: &str) -> Response {
    let pending = Pending {
        account_id: account.id,
        auth_hash: account.session_auth_hash().to_vec(),
        at_ms: UnixMillis::now().0,
        next: next.to_owned(),
    };
    let kept = async {
        // Whoever was signed in here, or planted the session, has nothing of it.
        auth.session.clear().await;
        auth.session.cycle_id().await?;
        auth.session.insert(PENDING, pending).await
    };
    match kept.await {
        Ok(()) => Redirect::to(LOGIN_CODE).into_response(),
        Err(error) => broken("A sign-in could not be kept", &error),
    }
}

/// Whoever's password was right in this session, if that still counts.
async fn pending(auth: &AuthSession) -> anyhow::Result<Option<(Account, String)>> {
    let Some(pending) = auth.session.get::<Pending>(PENDING).await? else { return Ok(None) };
    if !(0..=PENDING_MS).contains(&(UnixMillis::now().0 - pending.at_ms)) {
        return Ok(None);
    }
    let account = auth.backend.database().account_by_id(pending.account_id).await?;
    let is_same = |account: &Account| !account.disabled && account.session_auth_hash() == pending.auth_hash;
    Ok(account.filter(is_same).map(|account| (account, pending.next)))
}

/// `GET /login/code`.
pub(super) async fn show(auth: AuthSession, Query(query): Query<BTreeMap<String, String>>) -> Response {
    match pending(&auth).await {
        Ok(Some(_)) => {}
        Ok(None) => return Redirect::to(&login_page(Some("expired"), DASHBOARD)).into_response(),
        Err(error) => return broken("A sign-in could not be checked", &error),
    }
    let error = match query.contains_key("error") {
        true => {
            r#"<p class="banner" data-tone="bad" role="alert" data-testid="login-error">The code is wrong, or was used already.</p>"#
        }
        false => "",
    };
    let rest = format!(
        r#"{error}<form class="admin-form" method="post" action="{LOGIN_CODE}" data-testid="login-code">
<label class="field"><span>Code of your authenticator app, or a recovery code</span>
<input type="text" name="code" autocomplete="one-time-code" spellcheck="false" required autofocus></label>
<button type="submit" class="button button-primary">Sign in</button></form>
<p><a href="/login">Start again</a></p>"#
    );
    plain_page(StatusCode::OK, "Second factor", &rest)
}

/// Not `Debug`: it holds a code.
#[derive(Deserialize, JsonSchema)]
pub(in crate::routes) struct CodeForm {
    code: String,
}

/// `POST /login/code`.
pub(super) async fn check(
    State(access): State<Access>,
    Extension(client): Extension<Client>,
    mut auth: AuthSession,
    form: Result<Form<CodeForm>, FormRejection>,
) -> Response {
    let form = match form {
        Ok(Form(form)) => form,
        Err(rejection) => return super::bad_form(&rejection),
    };
    let (account, next) = match pending(&auth).await {
        Ok(Some(found)) => found,
        Ok(None) => return Redirect::to(&login_page(Some("expired"), DASHBOARD)).into_response(),
        Err(error) => return broken("A sign-in could not be checked", &error),
    };
    let name = account.email.as_str();
    // Whoever is here knows the password: a code is all that is left to guess.
    let attempt = match access.limits.attempt_code(client.address, account.id).await {
        Ok(attempt) => attempt,
        Err(wait) => {
            let refused = client.stranger().is_refused(Action::SignIn, "too many codes").to(name);
            access.audit.record_refusal(refused).await;
            return too_many_attempts(wait);
        }
    };
    match spend_code(auth.backend.database(), account.id, &form.code, UnixMillis::now()).await {
        Ok(true) => {}
        Ok(false) => {
            let refused =
                client.stranger().is_refused(Action::SignIn, "wrong or used code of the second factor").to(name);
            access.audit.record_refusal(refused).await;
            return Redirect::to(&format!("{LOGIN_CODE}?error=code")).into_response();
        }
        Err(error) => return broken("A code could not be checked", &error),
    }
    access.limits.signed_in(attempt).await;
    if let Err(error) = auth.session.remove_value(PENDING).await {
        return broken("A sign-in could not be finished", &error);
    }
    admit(&access, &client, &mut auth, &account, destination(Some(&next))).await
}
