//! `POST /api/admin/config/refresh`: the configuration is read again.

use super::{AppState, api_error};
use crate::{audit::Actor, refresh::RefreshError};
use axum::{
    Extension, Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};

pub(super) async fn refresh(State(state): State<AppState>, Extension(actor): Extension<Actor>) -> Response {
    match state.refresher.refresh_by(&actor).await {
        Ok(outcome) => Json(outcome).into_response(),
        Err(RefreshError::NotRecorded(not_recorded)) => not_recorded.into_response(),
        Err(broken @ RefreshError::Broken) => {
            api_error(StatusCode::INTERNAL_SERVER_ERROR, "internal", &broken.to_string())
        }
    }
}
