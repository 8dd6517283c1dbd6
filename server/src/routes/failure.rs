//! What is answered when the server itself fails: a panic, or a layer that gives up without a word, as the session's does when
//! the database cannot be read.

use super::{
    api_error,
    plain_page::plain_page,
    request::{self, RequestId},
};
use axum::{
    Router,
    extract::Request,
    http::{StatusCode, header::CONTENT_TYPE},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use tower_http::catch_panic::CatchPanicLayer;

const FAILED: &str = r#"<p>The monitor hit an internal error; details are in its log. Open dashboards and ingest are not
affected.</p>
<p><a class="button button-primary" href="/admin/websockets">Try again</a></p>"#;

/// Answers failures of these routes in words, in the API's form or as a page, where no answer has begun yet.
pub(super) fn answered<S>(routes: Router<S>) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    // What a panic says is in the log, and no business of whoever asked.
    let panicked = CatchPanicLayer::custom(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response());
    routes.layer(panicked).layer(middleware::from_fn(put_into_words))
}

async fn put_into_words(request: Request, next: Next) -> Response {
    let is_api = super::is_api(request.uri().path());
    let id = RequestId::of(&request);
    let response = next.run(request).await;
    let says_nothing = !response.headers().contains_key(CONTENT_TYPE);
    match response.status() {
        StatusCode::INTERNAL_SERVER_ERROR if says_nothing && is_api => {
            let of = id.map(|id| format!(" for request {id}")).unwrap_or_default();
            let message = format!("internal error; see the server's log{of}");
            api_error(StatusCode::INTERNAL_SERVER_ERROR, "internal", &message)
        }
        StatusCode::INTERNAL_SERVER_ERROR if says_nothing => {
            let rest = [FAILED, &request::reference(id)].concat();
            plain_page(StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong", &rest)
        }
        _ => response,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{body::Body, routing::get};
    use tower::ServiceExt;

    #[tokio::test]
    async fn a_panic_is_an_answer_and_its_words_stay_here() {
        let broken = || async {
            if true {
                panic!("the key is 12345")
            }
        };
        let routes = Router::new().route("/admin/x", get(broken)).route("/api/admin/x", get(broken));
        for (path, expected) in
            [("/admin/x", "<h1>Something went wrong</h1>"), ("/api/admin/x", r#""code":"internal""#)]
        {
            let request = Request::get(path).body(Body::empty()).unwrap();
            let response = super::answered(routes.clone()).oneshot(request).await.unwrap();
            assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR, "{path}");
            let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
            let body = String::from_utf8(body.to_vec()).unwrap();
            assert!(body.contains(expected) && !body.contains("12345"), "{path}: {body}");
        }
    }
}
