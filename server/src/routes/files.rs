//! The browser's files: what a build wrote to the site's folder, compressed in advance.
//!
//! Not `leptos_axum::file_and_error_handler`: in version 0.8.10 a file that is asked for while a page is made on the same
//! thread takes the headers that were meant for the page, its policy among them.

use axum::{
    body::Body,
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue, Method, StatusCode, Uri,
        header::{ACCEPT_ENCODING, ACCEPT_RANGES, CONTENT_LENGTH, IF_MODIFIED_SINCE, LAST_MODIFIED, VARY},
    },
    middleware::Next,
    response::{IntoResponse, Response},
};
use leptos::config::LeptosOptions;

/// Middleware: answers with the file of this name. Where there is none, or the name could be none, the request goes on.
pub(super) async fn files(State(options): State<LeptosOptions>, request: Request, next: Next) -> Response {
    match find(&options, request.method(), request.uri(), request.headers()).await {
        Some(file) => file,
        None => next.run(request).await,
    }
}

async fn find(options: &LeptosOptions, method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<Response> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return None;
    }
    let mut wanted = Request::get(uri).body(Body::empty()).ok()?;
    if let Some(encodings) = headers.get(ACCEPT_ENCODING) {
        wanted.headers_mut().insert(ACCEPT_ENCODING, encodings.clone());
    }
    let mut folder = leptos_axum::site_pkg_dir_service(options).append_index_html_on_directories(false);
    let mut file = folder.try_call(wanted).await.ok().filter(|file| file.status() == StatusCode::OK)?.into_response();
    file.headers_mut().insert(VARY, HeaderValue::from_name(ACCEPT_ENCODING));
    // Files are answered whole.
    file.headers_mut().remove(ACCEPT_RANGES);
    // Known is what is of this very time: an older build that was put back is news, too.
    let known = headers.get(IF_MODIFIED_SINCE);
    if known.is_some() && known == file.headers().get(LAST_MODIFIED) {
        *file.status_mut() = StatusCode::NOT_MODIFIED;
        *file.body_mut() = Body::empty();
        file.headers_mut().remove(CONTENT_LENGTH);
    }
    Some(file)
}
