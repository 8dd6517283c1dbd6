//! `POST /api/admin/config/refresh`: the configuration is read again, by the server that collects. The answer is JSON, and what
//! the dashboard reads for the dashboard.

use super::{AppState, api_error, elsewhere};
use crate::{
    audit::{Action, Actor},
    auth::Admin,
    refresh::RefreshError,
};
use app::{api::packed::Postcard, model::refresh::RefreshOutcome};
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
    let Some(orders) = elsewhere::collector(&state) else {
        let response = refresh_here(&state, &actor, None, packed).await;
        elsewhere::tell_of_refresh(&state).await;
        return response;
    };
    if let Err(not_recorded) = state.access.audit.record(actor.does(Action::ConfigRefresh).to("the collector")).await {
        return not_recorded.into_response();
    }
    match elsewhere::outcome(elsewhere::ask(&state, orders, &actor, elsewhere::What::Refresh).await).await {
        Ok(outcome) => told(outcome, packed),
        Err(response) => *response,
    }
}

/// Reads it again on this server; `asked` says who asked on which other one.
pub(super) async fn refresh_here(state: &AppState, actor: &Actor, asked: Option<String>, packed: bool) -> Response {
    match state.refresher.refresh_by(actor, asked).await {
        Ok(outcome) => told(outcome, packed),
        Err(RefreshError::NotRecorded(not_recorded)) => not_recorded.into_response(),
        Err(broken @ RefreshError::Broken) => {
            api_error(StatusCode::INTERNAL_SERVER_ERROR, "internal", &broken.to_string())
        }
    }
}

fn told(outcome: RefreshOutcome, packed: bool) -> Response {
    match packed.then(|| Postcard::encode(&outcome)) {
        Some(Ok(bytes)) => ([(CONTENT_TYPE, Postcard::CONTENT_TYPE)], bytes).into_response(),
        _ => Json(outcome).into_response(),
    }
}
