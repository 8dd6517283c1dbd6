//! `/readyz` and `/metrics`: what monitors of the monitor ask.

use super::{AppState, api_error};
use app::model::{
    connection::ConnectionState,
    status::{StatusReport, StatusSource},
};
use axum::{
    Json,
    extract::{ConnectInfo, State},
    http::{
        HeaderMap, StatusCode,
        header::{AUTHORIZATION, HOST},
        uri::Authority,
    },
    response::{IntoResponse, Response},
};
use metrics_exporter_prometheus::PrometheusBuilder;
use secrecy::ExposeSecret;
use serde_json::json;
use std::{
    net::{IpAddr, SocketAddr},
    sync::atomic::Ordering::Relaxed,
};

/// 200 when ingest is up and the database answers, else 503; the JSON says which is not.
pub(super) async fn readyz(State(state): State<AppState>) -> Response {
    let ingest = ingest_trouble(&state.hub.report());
    let database = (!state.database.is_reachable().await).then(|| "the database does not answer".to_owned());
    let status = if ingest.is_none() && database.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let part = |trouble: Option<String>| json!({"ok": trouble.is_none(), "reason": trouble});
    (status, Json(json!({"ready": status == StatusCode::OK, "ingest": part(ingest), "database": part(database)})))
        .into_response()
}

fn ingest_trouble(report: &StatusReport) -> Option<String> {
    if !report.head.bus.connected {
        return Some(report.head.bus.reason.clone().unwrap_or_else(|| "the bus is not connected".to_owned()));
    }
    if report.head.status_source == StatusSource::Stale {
        return Some("the connection manager has not reported for more than 10 s".to_owned());
    }
    let summary = &report.head.summary;
    (summary.enabled > 0 && summary.connected == 0).then(|| format!("none of {} connections is up", summary.enabled))
}

/// Prometheus text, for this machine or with `METRICS_TOKEN`.
pub(super) async fn metrics(
    State(state): State<AppState>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Response {
    if !is_local(peer, &headers) && !has_token(&state, &headers) {
        return api_error(
            StatusCode::FORBIDDEN,
            "forbidden",
            "from another machine, metrics want the bearer token METRICS_TOKEN",
        );
    }
    render(&state).into_response()
}

/// Did the request start on this machine? Behind a proxy here everybody comes from loopback, and a page that was lured to
/// loopback under another name carries that name.
fn is_local(peer: SocketAddr, headers: &HeaderMap) -> bool {
    const PROXIED: [&str; 3] = ["x-forwarded-for", "x-real-ip", "forwarded"];
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    let is_loopback_name = host.is_some_and(|host| {
        let name = host.host().trim_matches(['[', ']']);
        name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
    });
    peer.ip().to_canonical().is_loopback()
        && is_loopback_name
        && !PROXIED.iter().any(|name| headers.contains_key(*name))
}

fn has_token(state: &AppState, headers: &HeaderMap) -> bool {
    let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    match (&state.config.dashboard.metrics_token, given) {
        (Some(token), Some(given)) => same(token.expose_secret().as_bytes(), given.as_bytes()),
        _ => false,
    }
}

/// Takes the same time wherever the two differ.
fn same(token: &[u8], given: &[u8]) -> bool {
    token.len() == given.len() && token.iter().zip(given).fold(0, |differences, (a, b)| differences | (a ^ b)) == 0
}

/// Written anew for each scrape from the status: nothing is counted twice and nothing is global.
fn render(state: &AppState) -> String {
    let recorder = PrometheusBuilder::new().build_recorder();
    let report = state.hub.report();
    metrics::with_local_recorder(&recorder, || {
        for connection in &report.connections {
            let live = &connection.live;
            let labels = [("connection", live.id.to_string()), ("name", live.name.clone())];
            metrics::gauge!("tickstock_connection_up", &labels).set(f64::from(u8::from(live.connected)));
            // Up and silent where it should not be: what an alarm on `up` alone would miss.
            let is_mute = live.state == ConnectionState::Mute;
            metrics::gauge!("tickstock_connection_mute", &labels).set(f64::from(u8::from(is_mute)));
            let never_ticked = f64::from(live.coverage.never_ticked);
            metrics::gauge!("tickstock_connection_never_ticked_symbols", &labels).set(never_ticked);
            if let Some(latency) = &live.metrics.latency_ms {
                metrics::gauge!("tickstock_connection_latency_p99_ms", &labels).set(latency.p99);
            }
            metrics::counter!("tickstock_connection_replacements_total", &labels)
                .absolute(live.metrics.replacements_total);
            metrics::gauge!("tickstock_connection_ticks_per_second", &labels).set(live.metrics.ticks_per_second);
            metrics::counter!("tickstock_connection_messages_total", &labels).absolute(live.metrics.messages_total);
            metrics::counter!("tickstock_connection_ticks_total", &labels).absolute(live.metrics.ticks_total);
            metrics::counter!("tickstock_connection_bytes_total", &labels).absolute(live.metrics.bytes_total);
            metrics::counter!("tickstock_connection_errors_total", &labels).absolute(live.metrics.error_count);
            metrics::counter!("tickstock_connection_reconnects_total", &labels).absolute(live.metrics.reconnects_total);
        }
        let is_stale = report.head.status_source == StatusSource::Stale;
        metrics::gauge!("tickstock_status_stale").set(f64::from(u8::from(is_stale)));
        let bus = &report.head.bus;
        metrics::gauge!("tickstock_bus_up").set(f64::from(u8::from(bus.connected)));
        metrics::counter!("tickstock_bus_conflated_ticks_total").absolute(bus.conflated_ticks_total);
        metrics::counter!("tickstock_bus_unpublished_ticks_total").absolute(bus.unpublished_ticks_total);
        metrics::counter!("tickstock_bus_missed_ticks_total").absolute(bus.missed_ticks_total);
        metrics::gauge!("tickstock_bus_status_kept").set(f64::from(u8::from(bus.status_trouble.is_none())));
        if let Some(lag_ms) = bus.lag_ms {
            metrics::gauge!("tickstock_bus_lag_seconds").set(f64::from(lag_ms) / 1000.0);
        }
        metrics::counter!("tickstock_bus_rejected_total").absolute(bus.rejected_total);
        metrics::counter!("tickstock_unassigned_ticks_total").absolute(report.head.summary.unassigned_ticks_total);
        let hub = state.hub.counters();
        metrics::gauge!("tickstock_admin_sockets").set(hub.sockets.load(Relaxed) as f64);
        metrics::counter!("tickstock_admin_frames_total").absolute(hub.frames_total.load(Relaxed));
        metrics::counter!("tickstock_admin_lags_total").absolute(hub.lags_total.load(Relaxed));
    });
    recorder.handle().render()
}
