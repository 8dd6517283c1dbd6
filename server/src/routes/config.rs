//! `POST /api/admin/config/refresh`: the configuration is read again.

use super::AppState;
use crate::audit::Actor;
use axum::{
    Extension, Json,
    extract::State,
    response::{IntoResponse, Response},
};

pub(super) async fn refresh(State(state): State<AppState>, Extension(actor): Extension<Actor>) -> Response {
    match state.refresher.refresh_by(&actor).await {
        Ok(outcome) => Json(outcome).into_response(),
        Err(not_recorded) => not_recorded.into_response(),
    }
}
