//! Middleware between the network and the handlers.
//!
//! ```text
//! everything ─ security headers ─ same origin ─┬─ sessions ─┬─ pages_for_admins ─ pages
//!                                              │            ├─ api_for_admins ── API, socket, server functions
//!                                              │            └─ /login, /logout
//!                                              └─ /healthz, /pkg, …
//! ```

mod headers;
mod origin;

pub use headers::security_headers;
pub use origin::same_origin;

use super::login::LOGIN;
use crate::auth::{Admin, Denied};
use app::api::CurrentAdmin;
use axum::{
    Router,
    extract::Request,
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

/// What stands around every route, whoever may call it: [`same_origin`] within [`security_headers`].
pub fn around<S>(routes: Router<S>) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    routes.layer(middleware::from_fn(same_origin)).layer(middleware::from_fn(security_headers))
}

/// Lets administrators through to pages; leads who is not signed in to the sign-in page, and tells who is no
/// administrator so. What is behind it finds the [`Admin`] in the request's extensions.
pub async fn pages_for_admins(admin: Result<Admin, Denied>, request: Request, next: Next) -> Response {
    match admin {
        Ok(admin) => pass(admin, request, next).await,
        Err(Denied::Unauthorized) => Redirect::to(LOGIN).into_response(),
        Err(Denied::Forbidden) => {
            (StatusCode::FORBIDDEN, [(CONTENT_SECURITY_POLICY, PLAIN_PAGE_POLICY)], Html(FORBIDDEN_PAGE))
                .into_response()
        }
        Err(denied @ Denied::NoSessionLayer) => denied.into_response(),
    }
}

/// Lets administrators through to the API and the socket; the others get 401 or 403 as JSON. What is behind it finds the
/// [`Admin`] in the request's extensions.
pub async fn api_for_admins(admin: Result<Admin, Denied>, request: Request, next: Next) -> Response {
    match admin {
        Ok(admin) => pass(admin, request, next).await,
        Err(denied) => denied.into_response(),
    }
}

async fn pass(admin: Admin, mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(admin);
    next.run(request).await
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
