//! What ties a request to its lines in the log: a span around everything that is done for it, whose id is in the answer too.
//!
//! Our own instead of tower-http's `request-id` and `trace`: those keep an id that the client sent, and log queries.

use super::query;
use crate::text::tidy;
use app::address::LOGIN;
use axum::{
    extract::Request,
    http::{HeaderName, HeaderValue, Method, StatusCode},
    middleware::Next,
    response::Response,
};
use std::{fmt, time::Instant};
use tracing::{Instrument, debug, error, error_span, warn};

/// The answer's header with the request's id. The same header of a request is ignored: whoever chose the id could make the
/// log point at somebody else's request.
const HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// The part of a path that is logged.
const PATH_BYTES_MAX: usize = 200;

/// The random name of a request. In every request's extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequestId(u64);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl RequestId {
    /// That of a request that came through [`traced`].
    pub(super) fn of(request: &Request) -> Option<Self> {
        request.extensions().get().copied()
    }
}

/// The sentence with which an error page tells people how to refer to their request; HTML.
pub(super) fn reference(id: Option<RequestId>) -> String {
    id.map(|id| format!("<p>If you report this, mention request <code>{id}</code>.</p>")).unwrap_or_default()
}

/// The method, if it is one of HTTP's own: clients may send any word.
pub(super) fn method_name(method: &Method) -> &str {
    const USUAL: [Method; 9] = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
        Method::TRACE,
        Method::CONNECT,
    ];
    if USUAL.contains(method) { method.as_str() } else { "OTHER" }
}

/// Middleware: gives the request an id and a span, and the answer the id. Every answer is a line at level debug; one that is the
/// server's own fault is a warning or an error.
pub(super) async fn traced(mut request: Request, next: Next) -> Response {
    let id = RequestId(rand::random());
    request.extensions_mut().insert(id);
    let path = match query::holds_token(&request) {
        true => "(a token)".into(),
        false => tidy(request.uri().path(), PATH_BYTES_MAX),
    };
    // At level error, so that whichever lines RUST_LOG leaves name their request.
    let span = error_span!("request", %id, method = %method_name(request.method()), path);
    let answering = async move {
        let since = Instant::now();
        let mut response = next.run(request).await;
        log(response.status(), since.elapsed().as_millis(), &path);
        if let Ok(id) = HeaderValue::try_from(id.to_string()) {
            response.headers_mut().insert(HEADER, id);
        }
        response
    };
    answering.instrument(span).await
}

fn log(status: StatusCode, elapsed_ms: u128, path: &str) {
    match status.as_u16() {
        500 => error!("Answered {status} after {elapsed_ms} ms"),
        // Machines ask the one every few seconds, strangers the other as often as they like; why is in the log once it changes.
        503 if path == super::READINESS || path == LOGIN => debug!("Answered {status} after {elapsed_ms} ms"),
        501.. => warn!("Answered {status} after {elapsed_ms} ms"),
        _ => debug!("Answered {status} after {elapsed_ms} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{routes::failure, text::tests::Lines};
    use axum::{Router, body::Body, http::StatusCode, middleware, routing::get};
    use tower::ServiceExt;
    use tracing::instrument::WithSubscriber;

    /// The answer to a request, its body, and the lines that were logged for it.
    async fn ask(request: Request) -> (Response, String, String) {
        let routes = Router::new()
            .route("/fine", get(|| async { "fine" }))
            .route("/readyz", get(|| async { StatusCode::SERVICE_UNAVAILABLE }))
            .route("/away", get(|| async { StatusCode::SERVICE_UNAVAILABLE }))
            .route("/broken", get(|| async { StatusCode::INTERNAL_SERVER_ERROR }))
            .route("/api/broken", get(|| async { StatusCode::INTERNAL_SERVER_ERROR }));
        let routes = failure::answered(routes).layer(middleware::from_fn(traced));
        let lines = Lines::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::DEBUG)
            .with_ansi(false)
            .with_writer(lines.clone())
            .finish();
        let mut response = routes.oneshot(request).with_subscriber(subscriber).await.unwrap();
        let body = std::mem::take(response.body_mut());
        let body = axum::body::to_bytes(body, 10_000).await.unwrap();
        (response, String::from_utf8(body.to_vec()).unwrap(), lines.text())
    }

    fn id(response: &Response) -> &str {
        response.headers()["x-request-id"].to_str().unwrap()
    }

    #[tokio::test]
    async fn an_answer_has_the_id_that_its_line_in_the_log_has() {
        for (path, level, status) in [
            ("/fine", "DEBUG", "200 OK"),
            ("/nonesuch", "DEBUG", "404 Not Found"),
            ("/readyz", "DEBUG", "503 Service Unavailable"),
            ("/away", " WARN", "503 Service Unavailable"),
            ("/broken", "ERROR", "500 Internal Server Error"),
        ] {
            let (response, _, log) = ask(Request::get(path).body(Body::empty()).unwrap()).await;
            let span = format!("{level} request{{id={} method=GET path=\"{path}\"}}: ", id(&response));
            assert!(log.contains(&span) && log.contains(&format!("Answered {status} after ")), "{log}");
            assert_eq!(log.lines().count(), 1, "{log}");
        }
    }

    #[tokio::test]
    async fn an_error_tells_people_and_programs_the_id_to_look_for() {
        for path in ["/broken", "/api/broken"] {
            let (response, body, _) = ask(Request::get(path).body(Body::empty()).unwrap()).await;
            assert!(
                body.contains(&format!("request {}", id(&response)))
                    || body.contains(&format!("<code>{}", id(&response))),
                "{body}"
            );
        }
    }

    #[tokio::test]
    async fn neither_the_query_nor_an_id_from_outside_gets_in_and_a_path_stays_in_its_quotes() {
        let path = format!("/a\"}}:\u{202e}{}", "x".repeat(1_000));
        let request = Request::builder()
            .method("BREW-FOR-A-LONG-TIME")
            .uri(format!("{path}?token=hush"))
            .header("x-request-id", "0000000000000001")
            .body(Body::empty())
            .unwrap();
        let (response, _, log) = ask(request).await;
        assert_ne!(id(&response), "0000000000000001");
        assert!(id(&response).len() == 16 && response.headers().get_all("x-request-id").iter().count() == 1);
        assert!(!log.contains("hush") && !log.contains("0000000000000001"), "{log}");
        assert!(log.contains(r#" method=OTHER path="/a\"}:"#) && log.len() < 500, "{log}");
    }
}
