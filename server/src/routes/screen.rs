//! `GET /screen`: what a screen on a wall opens. It shows a code until an administrator has paired it, and leads to the dashboard then. No
//! JavaScript: the page asks again by itself.

use super::{AppState, destination::DASHBOARD, guard::Client, plain_page::plain_page, with_retry};
use crate::{
    auth::{generate_screen_code, generate_screen_secret, picture, screen_code_text, screen_cookie, screen_of},
    database::{QueryError, Screen},
    limits,
    network::network,
};
use app::{address::SCREENS, model::time::UnixMillis};
use axum::{
    Extension, Router,
    extract::State,
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{REFRESH, SET_COOKIE},
    },
    response::{IntoResponse, Redirect, Response},
    routing::get,
};

/// How often the page asks whether it is paired, in seconds.
const ASKS_EVERY_S: u64 = 5;

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/screen", get(screen))
}

async fn screen(State(state): State<AppState>, Extension(client): Extension<Client>, headers: HeaderMap) -> Response {
    answer(&state, &client, &headers).await.unwrap_or_else(|error| {
        tracing::error!(%error, "A screen could not be shown its code");
        with_retry(
            5,
            plain_page(StatusCode::SERVICE_UNAVAILABLE, "Temporarily unavailable", "<p>Try again in a moment.</p>"),
        )
    })
}

async fn answer(state: &AppState, client: &Client, headers: &HeaderMap) -> Result<Response, QueryError> {
    let (rules, now) = (state.access.sessions, UnixMillis::now());
    if let Some(hash) = screen_of(headers, rules) {
        match state.database.screen_by_hash(&hash, now).await? {
            Some(Screen { code: Some(code), .. }) => return Ok(waiting(state, headers, &code)),
            Some(Screen { ends_at, .. }) => {
                let (secret, new) = generate_screen_secret();
                if state.database.change_screen_secret(&hash, &new).await? {
                    let mut answer = Redirect::to(DASHBOARD).into_response();
                    let cookie = screen_cookie(&secret, (ends_at.0 - now.0) / 1_000, rules);
                    set_cookie(&mut answer, &cookie);
                    return Ok(answer);
                }
            }
            None => {}
        }
    }
    if let Err(wait) = state.access.limits.take(limits::SCREEN_CODES, &network(client.address).to_string()).await {
        let page =
            plain_page(StatusCode::TOO_MANY_REQUESTS, "Too many screens", "<p>Wait a while, then try again.</p>");
        return Ok(with_retry(wait.seconds(), page));
    }
    let ((secret, hash), code) = (generate_screen_secret(), generate_screen_code());
    if !state.database.add_screen(&hash, &code, &client.stranger(), now).await? {
        let page =
            plain_page(StatusCode::SERVICE_UNAVAILABLE, "Too many screens", "<p>Wait a while, then try again.</p>");
        return Ok(with_retry(60, page));
    }
    let mut answer = waiting(state, headers, &code);
    set_cookie(&mut answer, &screen_cookie(&secret, 600, rules));
    Ok(answer)
}

fn set_cookie(answer: &mut Response, cookie: &str) {
    if let Ok(cookie) = HeaderValue::try_from(cookie) {
        answer.headers_mut().append(SET_COOKIE, cookie);
    }
}

/// The code, and a picture of the address where it is entered.
fn waiting(state: &AppState, headers: &HeaderMap, code: &str) -> Response {
    let address = format!("{}{SCREENS}?code={code}", state.access.origin(headers));
    let rest = format!(
        r#"<p>To show the dashboard here, an administrator opens <b>Account</b>, then <b>Screens</b>, and enters this code:</p>
<p class="screen-code number" data-testid="code">{code}</p>
<p>{picture}</p>
<p>It can be used for ten minutes. This page goes on by itself.</p>"#,
        code = screen_code_text(code),
        picture = picture(&address, "QR code of the address where the screen is paired").unwrap_or_default()
    );
    let mut answer = plain_page(StatusCode::OK, "Pair this screen", &rest);
    answer.headers_mut().insert(REFRESH, ASKS_EVERY_S.into());
    answer
}
