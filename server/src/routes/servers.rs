//! `GET /api/admin/servers`: the servers that run beside each other.

use super::AppState;
use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use serde_json::json;

pub(super) async fn servers(State(state): State<AppState>) -> Response {
    Json(json!({"this": state.servers.this(), "servers": state.servers.list()})).into_response()
}
