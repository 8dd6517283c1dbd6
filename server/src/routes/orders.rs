//! What other servers are asked for, and this one does, because it collects.

use super::{
    AppState, config, connections,
    elsewhere::{Answer, Order, REFRESH, What},
};
use crate::{
    audit::Actor,
    bus::{Notice, OrdersOnRedis},
    text::tidy,
};
use axum::response::IntoResponse;
use futures_util::StreamExt;
use std::time::Duration;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Redis that cannot be listened to is tried again so often.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);
/// What is shown of a server's or a person's name.
const NAME_BYTES_MAX: usize = 254;

/// Does what other servers are asked for, while this one collects, and reads the configuration again when one of them did.
pub(crate) async fn serve_others(state: AppState, stop: CancellationToken) {
    let Some(orders) = state.collecting.orders.clone() else { return };
    let listening = async {
        loop {
            if let Ok(notices) = orders.notices().await {
                tokio::pin!(notices);
                while let Some(notice) = notices.next().await {
                    hear(&state, &orders, notice).await;
                }
            }
            sleep(LISTEN_AGAIN).await;
        }
    };
    stop.run_until_cancelled(listening).await;
}

async fn hear(state: &AppState, orders: &OrdersOnRedis, notice: Notice) {
    let collects = state.collecting.connections.as_ref().is_some_and(|connections| connections.manager().is_some());
    match notice.id {
        Some(id) if collects => {
            // The next one does not wait for it.
            let (state, orders) = (state.clone(), orders.clone());
            tokio::spawn(async move {
                if let Err(why) = obey(&state, &orders, &id).await {
                    warn!("What another server was asked for cannot be done: {why}");
                }
            });
        }
        _ if collects => {}
        _ if notice.kind == REFRESH => {
            info!("Another server was asked to read the configuration again: so does this one");
            let _ = state.refresher.refresh().await;
        }
        _ => {}
    }
}

async fn obey(state: &AppState, orders: &OrdersOnRedis, id: &str) -> Result<(), String> {
    let Some(order) = orders.take(id).await? else { return Ok(()) };
    let order: Order = serde_json::from_str(&order).map_err(|error| error.to_string())?;
    let short = |text: &str| tidy(text, NAME_BYTES_MAX);
    let asked = format!("asked for by {} on {}", short(&order.person), short(&order.server));
    let response = match order.what {
        What::Refresh => config::refresh_here(state, &Actor::server(), Some(asked), false).await,
        What::Retry(connection) => {
            let retried = connections::retry_here(state, &Actor::server(), &connection, None, Some(&asked)).await;
            retried.into_response()
        }
    };
    let answer = Answer::of(response).await;
    orders.answer(id, &serde_json::to_string(&answer).unwrap_or_default()).await
}
