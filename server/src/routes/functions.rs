//! `POST /api/admin/fn/…`: the app's server functions, with statuses that say what went wrong.
//!
//! Left to itself, leptos answers every error with 500, and a form's request with a redirect to wherever its `Referer` says,
//! the error attached. Here a mistake of the client's is a 4xx, and a form leads to one fixed page.

use super::api_error;
use crate::text::{self, tidy};
use app::api::{ApiError, packed::Postcard};
use axum::{
    body::{Body, to_bytes},
    extract::Request,
    http::{
        HeaderValue, StatusCode,
        header::{ACCEPT, REFERER},
    },
    response::{IntoResponse, Redirect, Response},
};
use leptos::server_fn::{Decodes, axum::server_fn_paths, error::ServerFnErrorErr};

/// Where a form leads that was sent without JavaScript: the one that there is notes a gap.
const AFTER_FORM: &str = "/admin/metrics";
/// More than any error has.
const ERROR_BYTES_MAX: usize = 64 << 10;

/// Calls the function that the address names. `context` gives it what it works with.
pub(super) async fn call(context: impl Fn() + Clone + Send + 'static, mut request: Request) -> Response {
    if !server_fn_paths().any(|(path, _)| path == request.uri().path()) {
        return api_error(StatusCode::NOT_FOUND, "not_found", "no such function");
    }
    let accepts = |value: &HeaderValue| value.to_str().is_ok_and(|text| text.contains("text/html"));
    let is_form = request.headers().get(ACCEPT).is_some_and(accepts);
    // With both gone, leptos redirects nobody.
    request.headers_mut().remove(ACCEPT);
    request.headers_mut().remove(REFERER);
    let answer = leptos_axum::handle_server_fns_with_context(context, request).await.into_response();
    match (answer.status().is_success(), is_form) {
        (true, true) => Redirect::to(AFTER_FORM).into_response(),
        (true, false) => answer,
        (false, _) => in_words(answer, is_form).await,
    }
}

/// The same error, with its own status; as plain text where a person reads it.
async fn in_words(answer: Response, is_form: bool) -> Response {
    let (mut parts, body) = answer.into_parts();
    let bytes = to_bytes(body, ERROR_BYTES_MAX).await.unwrap_or_default();
    let error: Result<ApiError, _> = Postcard::decode(bytes.clone());
    if let Ok(error) = error {
        parts.status = status_of(&error);
        if is_form {
            return (parts.status, tidy(&error.to_string(), text::BYTES_MAX)).into_response();
        }
    }
    Response::from_parts(parts, Body::from(bytes))
}

fn status_of(error: &ApiError) -> StatusCode {
    match error {
        ApiError::NotAllowed => StatusCode::FORBIDDEN,
        ApiError::Refused(_) => StatusCode::BAD_REQUEST,
        ApiError::Unavailable | ApiError::NotNow(_) => StatusCode::SERVICE_UNAVAILABLE,
        // The server's own part is to serialize.
        ApiError::Transport(
            ServerFnErrorErr::Args(_) | ServerFnErrorErr::MissingArg(_) | ServerFnErrorErr::Deserialization(_),
        ) => StatusCode::BAD_REQUEST,
        ApiError::Transport(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
