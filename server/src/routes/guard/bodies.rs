//! How large a request's body may be, and how long it may take.

use crate::routes::{api_error, is_api};
use axum::{
    body::{Body, Bytes, HttpBody},
    extract::{Request, State},
    http::{
        StatusCode,
        header::{CONNECTION, TRANSFER_ENCODING},
    },
    middleware::Next,
    response::{IntoResponse, Response},
};
use hyper::body::{Frame, SizeHint};
use std::{
    future::pending,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{sync::oneshot, time::timeout};

/// From the head to the last byte of the body. The largest body comes in time over a line of 30 kbit/s.
pub(super) const TIMEOUT: Duration = Duration::from_secs(20);

/// Middleware: a body that is too large is refused before any route of the API has a say.
pub(super) async fn too_large(request: Request, next: Next) -> Response {
    let is_api = is_api(request.uri().path());
    let response = next.run(request).await;
    if is_api && response.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return api_error(response.status(), "payload_too_large", "the request's body is too large");
    }
    response
}

/// Middleware: a body comes to its end within this time, or the request ends with 408. Its length has to be said in front: the library
/// takes chunks for more than a length beside them, and a proxy that does it the other way round would see two requests where
/// we see one.
pub(super) async fn in_time(State(limit): State<Duration>, request: Request, next: Next) -> Response {
    let is_api = is_api(request.uri().path());
    if request.headers().contains_key(TRANSFER_ENCODING) {
        let message = "a request's body needs a Content-Length; Transfer-Encoding is not accepted";
        return last_answer(StatusCode::BAD_REQUEST, "bad_request", message, is_api);
    }
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let (reading, read) = oneshot::channel();
    let request = request.map(|body| Body::new(Reading { body, reading: Some(reading) }));
    let late = async {
        if timeout(limit, read).await.is_ok() {
            // It has been read, or nobody wants it: the handler has all the time that it needs.
            pending::<()>().await;
        }
    };
    tokio::select! {
        response = next.run(request) => response,
        () = late => {
            let message = format!("the request's body did not arrive within {} s", limit.as_secs());
            last_answer(StatusCode::REQUEST_TIMEOUT, "request_timeout", &message, is_api)
        }
    }
}

/// What comes after it on the connection is not read.
fn last_answer(status: StatusCode, code: &str, message: &str, is_api: bool) -> Response {
    let mut response =
        if is_api { api_error(status, code, message) } else { (status, format!("{message}\n")).into_response() };
    response.headers_mut().insert(CONNECTION, axum::http::HeaderValue::from_static("close"));
    response
}

/// A body that lets go of the sender when it was read to its end, or is dropped.
struct Reading {
    body: Body,
    reading: Option<oneshot::Sender<()>>,
}

impl HttpBody for Reading {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if !matches!(frame, Poll::Pending | Poll::Ready(Some(Ok(_)))) {
            self.reading = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Router, middleware, routing::post};
    use futures_util::{StreamExt, stream};
    use tokio::time::sleep;
    use tower::ServiceExt;

    /// A body of one byte every so often.
    fn dripping(interval: Duration) -> Body {
        let bytes = stream::repeat(()).then(move |()| async move {
            sleep(interval).await;
            Ok::<_, std::io::Error>("x")
        });
        Body::from_stream(bytes)
    }

    const LIMIT: Duration = Duration::from_millis(200);

    async fn answer(body: Body) -> StatusCode {
        let slow = |body: Bytes| async move {
            sleep(LIMIT * 2).await;
            body
        };
        let routes = Router::new().route("/x", post(slow)).layer(middleware::from_fn_with_state(LIMIT, in_time));
        routes.oneshot(Request::post("/x").body(body).unwrap()).await.unwrap().status()
    }

    #[tokio::test]
    async fn a_body_that_drips_has_an_end_and_a_handler_has_its_time() {
        assert_eq!(answer(dripping(LIMIT / 20)).await, StatusCode::REQUEST_TIMEOUT);
        assert_eq!(answer(Body::from("all of it")).await, StatusCode::OK);
        let late = stream::once(async {
            sleep(LIMIT / 2).await;
            Ok::<_, std::io::Error>("x")
        });
        assert_eq!(answer(Body::from_stream(late)).await, StatusCode::OK);
    }
}
