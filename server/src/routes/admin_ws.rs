//! `GET /admin-ws`: hands the socket over to the hub.

use super::{AppState, api_error};
use crate::{
    auth::{Admin, Standing, still_admin},
    hub::{self, Encoding},
};
use axum::{
    Extension,
    extract::{State, ws::WebSocketUpgrade},
    http::StatusCode,
    response::Response,
};
use std::sync::atomic::Ordering::Relaxed;
use tracing::{info, warn};

/// Open sockets at once, of all admins together: twice what the product aims at.
const SOCKETS_MAX: usize = 2_000;
/// Frames beyond this end the socket unread; those over 4 KiB end it with a reason.
const MESSAGE_BYTES_MAX: usize = 64 << 10;

pub(super) async fn admin_ws(
    State(state): State<AppState>,
    Extension(admin): Extension<Admin>,
    upgrade: WebSocketUpgrade,
) -> Response {
    if state.hub.counters().sockets.load(Relaxed) >= SOCKETS_MAX {
        return api_error(StatusCode::SERVICE_UNAVAILABLE, "too_many_sockets", "all sockets of this server are taken");
    }
    let upgrade =
        upgrade.max_message_size(MESSAGE_BYTES_MAX).max_frame_size(MESSAGE_BYTES_MAX).protocols(Encoding::SUBPROTOCOLS);
    let encoding = Encoding::of(upgrade.selected_protocol().and_then(|protocol| protocol.to_str().ok()));
    upgrade.on_upgrade(move |socket| async move {
        info!(account.id = admin.id, "{} opened a socket", admin.email);
        let standing = || standing(&state, &admin);
        let served = hub::serve(socket, state.hub.clone(), encoding, standing, state.shutdown.clone());
        state.sockets.track_future(served).await;
        info!(account.id = admin.id, "A socket of {} ended", admin.email);
    })
}

/// A database that does not answer throws nobody out: the live page goes on without it.
async fn standing(state: &AppState, admin: &Admin) -> Standing {
    still_admin(&state.database, admin).await.unwrap_or_else(|error| {
        warn!(%error, "Whether {} is still signed in cannot be told now", admin.email);
        Standing::Admin
    })
}
