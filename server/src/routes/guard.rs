//! Middleware between the network and the handlers.
//!
//! ```text
//! everything ─ headers ─ identify ─ same origin ─┬─ sessions ─┬─ pages_for_admins ─ pages
//!                                                │            ├─ api_for_admins ── API, socket, server functions
//!                                                │            └─ /login, /logout
//!                                                └─ /healthz, /pkg, …
//! ```
//!
//! Whom a guard lets through, and whom it does not, is on record before the handler is called.

mod client;
mod headers;
mod origin;

pub use client::{Client, TrustedProxies};
pub use headers::security_headers;
pub use origin::same_origin;

use super::login::LOGIN;
use crate::{
    audit::{Act, Action, Actor, Audit},
    auth::{Admin, AuthSession, Denied},
};
use app::api::CurrentAdmin;
use axum::{
    Router,
    extract::{MatchedPath, Request, State},
    http::{StatusCode, header::CONTENT_SECURITY_POLICY, request::Parts},
    middleware::{self, Next},
    response::{Html, IntoResponse, Redirect, Response},
};
use leptos::prelude::{provide_context, use_context};

/// The policy of the few pages that are plain HTML: text and a form, nothing else.
const PLAIN_PAGE_POLICY: &str = "default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const FORBIDDEN_PAGE: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Not allowed - TickStock Monitor</title>
</head>
<body>
<main>
<h1>Not allowed</h1>
<p>You are signed in, but the dashboard is for administrators only. An administrator can give this account the role,
or you can sign out and use another account.</p>
<form method="post" action="/logout"><button type="submit">Sign out</button></form>
</main>
</body>
</html>
"#;

/// What the guards need.
#[derive(Clone, Debug)]
pub struct Access {
    /// Where it is put on record who got in and who did not.
    pub audit: Audit,
    /// Whose word on addresses is believed.
    pub proxies: TrustedProxies,
}

/// What stands around every route, whoever may call it.
pub fn around<S>(routes: Router<S>, access: &Access) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    routes
        .layer(middleware::from_fn_with_state(access.clone(), same_origin))
        .layer(middleware::from_fn_with_state(access.proxies.clone(), client::identify))
        .layer(middleware::from_fn(security_headers))
}

/// Lets administrators through to pages; leads who is not signed in to the sign-in page, and tells who is no
/// administrator so. What is behind it finds the [`Admin`] and the [`Actor`] in the request's extensions.
pub async fn pages_for_admins(
    State(access): State<Access>,
    admin: Result<Admin, Denied>,
    request: Request,
    next: Next,
) -> Response {
    match admin {
        Ok(admin) => pass(access, admin, Action::PageView, request, next).await,
        Err(denied) => {
            let act = refusal(Action::PageView, denied, &request);
            access.audit.record_refusal(act).await;
            match denied {
                Denied::Unauthorized => Redirect::to(LOGIN).into_response(),
                Denied::Forbidden => {
                    (StatusCode::FORBIDDEN, [(CONTENT_SECURITY_POLICY, PLAIN_PAGE_POLICY)], Html(FORBIDDEN_PAGE))
                        .into_response()
                }
                Denied::NoSessionLayer => denied.into_response(),
            }
        }
    }
}

/// Lets administrators through to the API and the socket; the others get 401 or 403 as JSON. What is behind it finds the
/// [`Admin`] and the [`Actor`] in the request's extensions.
pub async fn api_for_admins(
    State(access): State<Access>,
    admin: Result<Admin, Denied>,
    request: Request,
    next: Next,
) -> Response {
    let action = if request.uri().path() == super::SOCKET { Action::SocketOpen } else { Action::ApiCall };
    match admin {
        Ok(admin) => pass(access, admin, action, request, next).await,
        Err(denied) => {
            let act = refusal(action, denied, &request);
            access.audit.record_refusal(act).await;
            denied.into_response()
        }
    }
}

async fn pass(access: Access, admin: Admin, action: Action, mut request: Request, next: Next) -> Response {
    let actor = actor(&request);
    let act = act(actor.does(action), &request);
    if let Err(not_recorded) = access.audit.record_often(act).await {
        return not_recorded.into_response();
    }
    request.extensions_mut().insert(admin);
    request.extensions_mut().insert(actor);
    next.run(request).await
}

/// Whoever sends the request, as far as is known.
fn actor(request: &Request) -> Actor {
    let extensions = request.extensions();
    let Some(client) = extensions.get::<Client>() else { return Actor::default() };
    match extensions.get::<AuthSession>().and_then(|auth| auth.user.as_ref()) {
        Some(account) => client.account(account),
        None => client.stranger(),
    }
}

fn refusal(action: Action, denied: Denied, request: &Request) -> Act {
    act(actor(request).is_refused(action, denied.to_string()), request)
}

/// By the route, not by the address: a stranger can think of any number of addresses.
fn act(act: Act, request: &Request) -> Act {
    let route = request.extensions().get::<MatchedPath>().map_or("elsewhere", MatchedPath::as_str);
    act.to(format!("{} {route}", request.method()))
}

/// Provides [`CurrentAdmin`] to pages and server functions, when a guard let the request through as an administrator's.
/// To be called in the additional context that leptos is given.
pub fn provide_current_admin() {
    let admin = use_context::<Parts>().and_then(|parts| parts.extensions.get::<Admin>().cloned());
    if let Some(Admin { email, .. }) = admin {
        provide_context(CurrentAdmin { email });
    }
}

#[cfg(test)]
mod tests;
