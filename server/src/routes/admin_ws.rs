//! `GET /admin-ws`: hands the socket over to the hub, and says when who opened it may no longer be there.

use super::{AppState, api_error};
use crate::{
    audit::{Action, Actor},
    auth::{Standing, Viewer, standing},
    hub::{self, Handshake, NoHandshake},
    limits::{SOCKETS_PER_ACCOUNT, SOCKETS_PER_TOKEN},
};
use app::model::protocol::CloseReason;
use axum::{
    Extension,
    extract::{Request, State},
    http::{
        HeaderMap, StatusCode,
        header::{SEC_WEBSOCKET_KEY, UPGRADE},
    },
    response::Response,
};
use std::{sync::atomic::Ordering::Relaxed, time::Duration};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{Instrument, error_span, info, warn};

/// Open sockets at once, of all admins together: twice what the product aims at.
const SOCKETS_MAX: usize = 2_000;
/// How often the right to be here is looked at without being told: sessions expire by themselves.
const STANDING_INTERVAL: Duration = Duration::from_secs(15);

/// What a socket shows.
#[derive(Clone, Copy)]
enum Shows {
    Present,
    Past,
}

pub(super) async fn admin_ws(
    State(state): State<AppState>,
    Extension(viewer): Extension<Viewer>,
    Extension(actor): Extension<Actor>,
    request: Request,
) -> Response {
    open(state, viewer, actor, request, Shows::Present).await
}

pub(super) async fn replay(
    State(state): State<AppState>,
    Extension(viewer): Extension<Viewer>,
    Extension(actor): Extension<Actor>,
    request: Request,
) -> Response {
    open(state, viewer, actor, request, Shows::Past).await
}

async fn open(state: AppState, viewer: Viewer, actor: Actor, mut request: Request, shows: Shows) -> Response {
    let handshake = match Handshake::read(&mut request) {
        Ok(handshake) => handshake,
        Err(error) => return no_handshake(request.headers(), &error),
    };
    if state.hub.counters().sockets.load(Relaxed) >= SOCKETS_MAX {
        return api_error(
            StatusCode::SERVICE_UNAVAILABLE,
            "too_many_sockets",
            "this server has reached its socket limit",
        );
    }
    let is_token = viewer.account_id().is_none();
    let places = if is_token { SOCKETS_PER_TOKEN } else { SOCKETS_PER_ACCOUNT };
    let Some(place) = state.access.limits.socket_place(&viewer.sockets_counted_as(), places).await else {
        let (reason, message) = match is_token {
            false => (
                "the account has reached its socket limit",
                "this account has reached its limit of open pages; close one",
            ),
            true => (
                "the token or screen has reached its socket limit",
                "this token or screen has reached its limit of open sockets; close one",
            ),
        };
        state.access.audit.record_refusal(actor.is_refused(Action::SocketOpen, reason)).await;
        return super::with_retry(30, api_error(StatusCode::TOO_MANY_REQUESTS, "too_many_sockets", message));
    };
    let encoding = handshake.encoding();
    let (answer, socket) = handshake.accept();
    // Within the span of the request that opened it. The hub's thread, which reads and writes, does not enter it.
    let span = error_span!("socket", account = viewer.account_id(), token = viewer.token_id());
    let serving = async move {
        let Some(socket) = socket.await else { return };
        info!("{} opened a socket", viewer.name);
        let revoked = revoked(&state, &viewer, &actor);
        let stop = state.shutdown.clone();
        let served = async {
            match shows {
                Shows::Present => hub::serve(socket, state.hub.clone(), encoding, revoked, stop).await,
                Shows::Past => hub::replay(socket, state.recording.clone(), encoding, revoked, stop).await,
            }
        };
        let served = state.sockets.track_future(served);
        tokio::select! {
            () = served => {}
            () = place.keep() => {}
        }
        info!("A socket of {} closed", viewer.name);
    };
    tokio::spawn(serving.instrument(span));
    answer
}

/// What comes here is no handshake; half of one comes from a proxy that keeps the other half to itself.
fn no_handshake(headers: &HeaderMap, error: &NoHandshake) -> Response {
    if headers.contains_key(SEC_WEBSOCKET_KEY) && !headers.contains_key(UPGRADE) {
        const MESSAGE: &str = "a proxy in front does not pass on the WebSocket upgrade; in nginx: proxy_http_version 1.1; \
            proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $http_connection;";
        warn!("A dashboard cannot open its socket: {MESSAGE}");
        return api_error(StatusCode::UPGRADE_REQUIRED, "upgrade_required", MESSAGE);
    }
    api_error(error.status(), "bad_request", &error.to_string())
}

/// Ends when who opened it may no longer be here, with the reason.
async fn revoked(state: &AppState, viewer: &Viewer, actor: &Actor) -> CloseReason {
    let mut revocations = state.access.revocations.listen();
    let mut looks = interval(STANDING_INTERVAL);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let reason = loop {
        tokio::select! {
            _ = looks.tick() => {}
            Ok(()) = revocations.changed() => {}
        }
        match look(state, viewer).await {
            Standing::Stays => {}
            Standing::SignedOut => break CloseReason::SignedOut,
            Standing::Forbidden => break CloseReason::Forbidden,
        }
    };
    // It is closed whether that can be put on record or not.
    let _ = state.access.audit.record_often(actor.does(Action::SocketEnd).because(reason.phrase())).await;
    reason
}

/// A database that does not answer throws nobody out: the live page goes on without it.
async fn look(state: &AppState, viewer: &Viewer) -> Standing {
    standing(&state.database, viewer, state.access.roles).await.unwrap_or_else(|error| {
        warn!(%error, "Cannot check whether {} is still signed in", viewer.name);
        Standing::Stays
    })
}
