//! `POST /api/admin/connections/{id}/retry`: a connection that waits is tried at once.

use super::{
    AppState, api_error,
    elsewhere::{self, What},
    too_many_requests, with_retry,
};
use crate::{
    audit::{Action, Actor, NotRecorded},
    auth::Admin,
    limits::{self, Limits, Wait},
    upstream::CannotRetry,
};
use app::model::{
    connection::ConnectionId,
    status::{Feed, StatusHead},
};
use axum::{
    Extension, Json,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use schemars::JsonSchema;
use serde::Serialize;

#[derive(Serialize, JsonSchema)]
pub(super) struct Retried {
    /// The connection that is tried.
    retried: ConnectionId,
}

pub(super) async fn retry(
    State(state): State<AppState>,
    Extension(actor): Extension<Actor>,
    Extension(admin): Extension<Admin>,
    Path(id): Path<String>,
) -> Result<Response, Refused> {
    let Some(orders) = elsewhere::collector(&state) else {
        return retry_here(&state, &actor, &id, Some(&admin), None).await;
    };
    let number: ConnectionId = id.parse().map_err(|_| Refused::NoNumber)?;
    let target = format!("connection {number}, on the collector");
    if let Err(wait) = take_turn(&state.access.limits, number, &admin).await {
        let refused = actor.is_refused(Action::ConnectionRetry, "too many requests").to(target);
        state.access.audit.record_refusal(refused).await;
        return Err(wait.into());
    }
    state.access.audit.record(actor.does(Action::ConnectionRetry).to(target)).await?;
    Ok(elsewhere::ask(&state, orders, &actor, What::Retry(id)).await)
}

/// Tries it on this server, for somebody whose turn it is to be, or who had it where it was asked for; `asked` says who that was and
/// where.
pub(super) async fn retry_here(
    state: &AppState,
    actor: &Actor,
    id: &str,
    admin: Option<&Admin>,
    asked: Option<&str>,
) -> Result<Response, Refused> {
    let manager = state.manager().ok_or_else(|| Refused::elsewhere(&state.hub.report().head))?;
    let id: ConnectionId = id.parse().map_err(|_| Refused::NoNumber)?;
    let order = manager.retry(id)?;
    // Whoever asks: it is the provider that is called.
    let target = match asked {
        Some(asked) => format!("connection {id}, {asked}"),
        None => format!("connection {id}"),
    };
    if let Some(admin) = admin
        && let Err(wait) = take_turn(&state.access.limits, id, admin).await
    {
        let refused = actor.is_refused(Action::ConnectionRetry, "too many requests").to(target);
        state.access.audit.record_refusal(refused).await;
        return Err(wait.into());
    }
    state.access.audit.record(actor.does(Action::ConnectionRetry).to(target)).await?;
    order.give();
    Ok(Json(Retried { retried: id }).into_response())
}

/// The provider counts handshakes of each connection, whoever asked for them, and of the whole account.
async fn take_turn(limits: &Limits, id: ConnectionId, admin: &Admin) -> Result<(), Wait> {
    limits.take(limits::RETRIES, &id.to_string()).await?;
    limits.take(limits::RETRIES_OF_ACCOUNT, &admin.sockets_counted_as()).await
}

/// Why nothing is tried.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    /// 404.
    #[error("there is no such connection")]
    NoNumber,
    /// 409.
    #[error("{0}")]
    Elsewhere(String),
    /// 404 or 409.
    #[error(transparent)]
    Impossible(#[from] CannotRetry),
    /// 429.
    #[error(transparent)]
    TooOften(#[from] Wait),
    /// 503: what cannot be put on record is not done.
    #[error(transparent)]
    NotRecorded(#[from] NotRecorded),
}

impl Refused {
    /// This server does not collect: who does?
    fn elsewhere(head: &StatusHead) -> Self {
        Self::Elsewhere(match &head.collector {
            Some(collector) => format!("this server does not collect; {} does: retry there", collector.server),
            None if head.feed == Feed::Redis => {
                "another process manages the connections (MARKET_FEED=redis); retry there".to_owned()
            }
            None => "this server does not collect, and no other does at the moment".to_owned(),
        })
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let text = self.to_string();
        match self {
            Self::NoNumber | Self::Impossible(CannotRetry::Unknown(_)) => {
                api_error(StatusCode::NOT_FOUND, "not_found", &text)
            }
            Self::Impossible(CannotRetry::AskedToWait { seconds }) => {
                with_retry(seconds, api_error(StatusCode::CONFLICT, "asked_to_wait", &text))
            }
            Self::Elsewhere(_) | Self::Impossible(_) => api_error(StatusCode::CONFLICT, "conflict", &text),
            Self::TooOften(wait) => too_many_requests(wait),
            Self::NotRecorded(refused) => refused.into_response(),
        }
    }
}
