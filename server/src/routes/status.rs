//! `GET /api/admin/websocket-status`: the status JSON, from memory.

use super::AppState;
use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};

pub(super) async fn websocket_status(State(state): State<AppState>) -> Response {
    Json(&*state.hub.report()).into_response()
}
