//! What is asked for on a server that does not collect: the way to the one that does it, and back.
//!
//! ```text
//!  POST on b ──▶ audit of b ──▶ order on Redis ──▶ a, the collector ──▶ audit of a ──▶ done ──▶ answer on Redis ──▶ b answers
//! ```
//!
//! Whoever may write on Redis can place an order. So the collector records the server that it came from and who is said to have
//! asked there; never an act of that person, which the server has on record that knows them.

use super::{AppState, api_error, with_retry};
use crate::{audit::Actor, bus::OrdersOnRedis};
use app::model::{
    refresh::RefreshOutcome,
    status::{Feed, ServerRole},
};
use axum::{
    body::to_bytes,
    http::{
        StatusCode,
        header::{CONTENT_TYPE, RETRY_AFTER},
    },
    response::{IntoResponse, Response},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing::warn;

/// The kind of order after which every server reads its configuration again.
pub(super) const REFRESH: &str = "refresh";
const RETRY: &str = "retry";
/// What of an answer is passed on.
const BODY_BYTES_MAX: usize = 1 << 20;

/// What is to be done, and for whom.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct Order {
    pub(super) what: What,
    /// The server that was asked.
    pub(super) server: String,
    /// Who asked there, as far as that server knows.
    pub(super) person: String,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "OrderWhat")]
pub(super) enum What {
    /// Read the configuration again.
    Refresh,
    /// Try the connection with this number at once.
    Retry(String),
}

/// An answer of the API.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "OrderAnswer")]
pub(super) struct Answer {
    status: u16,
    retry_after: Option<u64>,
    body: String,
}

/// The way to the collector, when this is one of several servers and another one collects.
pub(super) fn collector(state: &AppState) -> Option<&OrdersOnRedis> {
    let report = state.hub.report();
    let is_elsewhere = report.head.role != ServerRole::Collector && report.head.feed != Feed::Redis;
    state.collecting.orders.as_ref().filter(|_| is_elsewhere)
}

/// Asks the collector, and passes its answer on. That it was asked for is on record here by then.
pub(super) async fn ask(state: &AppState, orders: &OrdersOnRedis, actor: &Actor, what: What) -> Response {
    let nobody = |text: &str| with_retry(5, api_error(StatusCode::SERVICE_UNAVAILABLE, "no_collector", text));
    let Some(collector) = state.hub.report().head.collector.clone() else {
        return nobody("nobody collects at the moment; try again once a server has taken over");
    };
    let kind = match &what {
        What::Refresh => REFRESH,
        What::Retry(_) => RETRY,
    };
    let person = actor.name.clone().unwrap_or_default();
    let order = Order { what, server: state.servers.this().to_owned(), person };
    match orders.give(kind, &serde_json::to_string(&order).unwrap_or_default()).await {
        Ok(Some(answer)) => serde_json::from_str::<Answer>(&answer).map_or_else(
            |_| nobody("the collector's answer cannot be read; it runs another version"),
            IntoResponse::into_response,
        ),
        Ok(None) => nobody(&format!("{}, which collects, did not answer within 5 s", collector.server)),
        Err(why) => nobody(&format!("the collector cannot be asked: {why}")),
    }
}

/// Tells the others that the configuration was read again here.
pub(super) async fn tell_of_refresh(state: &AppState) {
    if let Some(orders) = &state.collecting.orders
        && let Err(why) = orders.announce(REFRESH).await
    {
        warn!("The other servers were not told to read their configuration again: {why}");
    }
}

impl Answer {
    pub(super) async fn of(response: Response) -> Self {
        let (head, body) = response.into_parts();
        let retry_after = head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let body = to_bytes(body, BODY_BYTES_MAX).await.unwrap_or_default();
        Self { status: head.status.as_u16(), retry_after, body: String::from_utf8_lossy(&body).into_owned() }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_GATEWAY);
        let response = (status, [(CONTENT_TYPE, "application/json")], self.body).into_response();
        match self.retry_after {
            Some(seconds) => with_retry(seconds, response),
            None => response,
        }
    }
}

/// What a refresh elsewhere came to, when it came to something.
pub(super) async fn outcome(response: Response) -> Result<RefreshOutcome, Box<Response>> {
    if response.status() != StatusCode::OK {
        return Err(Box::new(response));
    }
    let body = to_bytes(response.into_body(), BODY_BYTES_MAX).await.unwrap_or_default();
    let unreadable = "the collector's answer cannot be read; it runs another version";
    serde_json::from_slice(&body)
        .map_err(|_| Box::new(api_error(StatusCode::SERVICE_UNAVAILABLE, "no_collector", unreadable)))
}
