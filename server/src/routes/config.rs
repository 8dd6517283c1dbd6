//! `POST /api/admin/config/refresh`: the configuration is read again. The answer is JSON, and what the dashboard reads for the
//! dashboard.

use super::{AppState, api_error};
use crate::{audit::Actor, auth::Admin, refresh::RefreshError};
use app::api::packed::Postcard;
use axum::{
    Extension, Json,
    extract::State,
    http::{
        HeaderMap, StatusCode,
        header::{ACCEPT, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use leptos::server_fn::{ContentType, Encodes};

pub(super) async fn refresh(
    State(state): State<AppState>,
    _: Extension<Admin>,
    Extension(actor): Extension<Actor>,
    headers: HeaderMap,
) -> Response {
    let packed = headers.get(ACCEPT).is_some_and(|accepted| accepted == Postcard::CONTENT_TYPE);
    match state.refresher.refresh_by(&actor).await {
        Ok(outcome) => match packed.then(|| Postcard::encode(&outcome)) {
            Some(Ok(bytes)) => ([(CONTENT_TYPE, Postcard::CONTENT_TYPE)], bytes).into_response(),
            _ => Json(outcome).into_response(),
        },
        Err(RefreshError::NotRecorded(not_recorded)) => not_recorded.into_response(),
        Err(broken @ RefreshError::Broken) => {
            api_error(StatusCode::INTERNAL_SERVER_ERROR, "internal", &broken.to_string())
        }
    }
}
