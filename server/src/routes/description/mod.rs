//! What programs can read about us: `GET /api/openapi.json`, the API, and `GET /api/asyncapi.json`, the live socket and Redis.
//!
//! ```text
//!  table.rs: a line for each route ──┐
//!  types: #[derive(JsonSchema)] ─────┴─▶ openapi.rs ──▶ OpenAPI 3.1
//!  channels.rs: the socket, Redis ─────▶ asyncapi.rs ──▶ AsyncAPI 3
//! ```
//!
//! Both are made when somebody asks first. `server/tests/it/description/` holds them against the running server.

mod asyncapi;
mod channels;
mod openapi;
mod operation;
mod schemas;
mod table;

use super::AppState;
use axum::{
    Router,
    body::Bytes,
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::Value;
use std::sync::LazyLock;

static OPENAPI: LazyLock<Bytes> = LazyLock::new(|| written(&openapi::document()));
static ASYNCAPI: LazyLock<Bytes> = LazyLock::new(|| written(&asyncapi::document()));

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/api/openapi.json", get(|| async { answer(&OPENAPI) }))
        .route("/api/asyncapi.json", get(|| async { answer(&ASYNCAPI) }))
}

fn written(document: &Value) -> Bytes {
    document.to_string().into()
}

fn answer(document: &Bytes) -> Response {
    ([(CONTENT_TYPE, "application/json")], document.clone()).into_response()
}
