//! Pages of a sentence and a way out, for when the app's own pages are not for whoever asks, or cannot be made.

use axum::{
    http::{StatusCode, header::CONTENT_SECURITY_POLICY},
    response::{Html, IntoResponse, Response},
};

/// Text, a form and our own style sheet; nothing else.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";

/// A page. `rest` is HTML, of which nothing comes from a request.
pub(super) fn plain_page(status: StatusCode, title: &str, rest: &str) -> Response {
    let code = match status.is_success() {
        true => String::new(),
        false => format!("<p class=\"notice-code number\">{}</p>\n", status.as_u16()),
    };
    let page = format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title} · TickStock Monitor</title>
<link rel="icon" type="image/svg+xml" href="/favicon.svg">
<link rel="stylesheet" href="/pkg/tickstock.css">
</head>
<body>
<main class="notice">
{code}<h1>{title}</h1>
{rest}
</main>
</body>
</html>
"#
    );
    (status, [(CONTENT_SECURITY_POLICY, POLICY)], Html(page)).into_response()
}
