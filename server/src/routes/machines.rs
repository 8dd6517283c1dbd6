//! `/readyz` and `/metrics`: what monitors of the monitor ask.

use super::{AppState, api_error, guard};
use crate::{
    auth::{AuthSession, Caller, Right, Viewer, is_same_secret},
    recording::Doing,
};
use app::model::{
    connection::ConnectionState,
    status::{Feed, ServerRole, StatusReport, StatusSource},
};
use axum::{
    Extension, Json,
    extract::{ConnectInfo, State},
    http::{
        HeaderMap, StatusCode,
        header::{AUTHORIZATION, HOST},
        uri::Authority,
    },
    response::{IntoResponse, Response},
};
use metrics_exporter_prometheus::PrometheusBuilder;
use schemars::JsonSchema;
use secrecy::ExposeSecret;
use serde::Serialize;
use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError, atomic::Ordering::Relaxed},
};
use tracing::{info, warn};

/// Why the server was not ready when it was asked last.
#[derive(Clone, Debug, Default)]
pub(super) struct LastAnswer(Arc<Mutex<Troubles>>);

#[derive(Serialize, JsonSchema)]
pub(super) struct Readiness {
    /// Are all parts?
    ready: bool,
    /// What this server does among several.
    role: ServerRole,
    /// Do ticks come in?
    ingest: Part,
    /// Can the database be read and written?
    database: Part,
}

#[derive(Serialize, JsonSchema)]
struct Part {
    /// Is it ready?
    ok: bool,
    /// Why not. Absent for those who may not know.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Option<String>>,
}

/// Why ingest and the database are not ready; `None` where they are.
type Troubles = [Option<String>; 2];

impl LastAnswer {
    /// Says in the log what changed, however often it is asked for.
    fn tell(&self, troubles: &Troubles) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *last == *troubles {
            return;
        }
        last.clone_from(troubles);
        match troubles {
            [None, None] => info!("Ready again"),
            [ingest, database] => warn!(ingest, database, "Not ready"),
        }
    }
}

/// 200 when ingest is up and the database can be read and written, else 503. The JSON says which is not; and why, to who may see the dashboard, to this
/// machine and to who has the token: what Redis or SQLite say may name what is inside.
pub(super) async fn readyz(
    State(state): State<AppState>,
    Extension(last): Extension<LastAnswer>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    auth: AuthSession,
    headers: HeaderMap,
) -> Response {
    let report = state.hub.report();
    let (role, ingest) = (report.head.role, ingest_trouble(&report));
    let database = state.database.trouble().await.map(str::to_owned);
    let troubles = [ingest, database];
    last.tell(&troubles);
    let ready = troubles.iter().all(Option::is_none);
    let viewer = Caller::of_session(Some(&auth), state.access.roles).and_then(Viewer::of);
    let may_know_why = viewer.is_ok() || has_token(&state, &headers) || is_local(&state, peer, &headers);
    let part = |trouble: Option<String>| Part { ok: trouble.is_none(), reason: may_know_why.then_some(trouble) };
    let [ingest, database] = troubles.map(part);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready, role, ingest, database })).into_response()
}

fn ingest_trouble(report: &StatusReport) -> Option<String> {
    if !report.head.bus.connected {
        return Some(report.head.bus.reason.clone().unwrap_or_else(|| "the bus is not connected".to_owned()));
    }
    // What another server collects, or does not, is no reason to take this one away from who reads its pages.
    if report.head.role != ServerRole::Collector && report.head.feed != Feed::Redis {
        return None;
    }
    if report.head.status_source == StatusSource::Stale {
        return Some("the connection manager has not reported for more than 10 s".to_owned());
    }
    let summary = &report.head.summary;
    (summary.enabled > 0 && summary.connected == 0).then(|| format!("none of {} connections is up", summary.enabled))
}

/// Prometheus text. With `METRICS_TOKEN` set, for who has it, from wherever; else for this machine.
pub(super) async fn metrics(
    State(state): State<AppState>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Response {
    let (may, message) = match state.config.dashboard.metrics_token {
        Some(_) => (has_token(&state, &headers), "metrics require the bearer token METRICS_TOKEN"),
        None => (
            is_local(&state, peer, &headers),
            "metrics are served to this machine only, without a proxy; set METRICS_TOKEN to allow others",
        ),
    };
    if may { render(&state).into_response() } else { api_error(StatusCode::FORBIDDEN, "forbidden", message) }
}

/// Did the request start on this machine? Behind a proxy here everybody comes from loopback: where one is configured, or has put
/// its header in, nobody is believed to. A page that was lured to loopback under another name carries that name.
fn is_local(state: &AppState, peer: SocketAddr, headers: &HeaderMap) -> bool {
    let dashboard = &state.config.dashboard;
    let has_proxy = !dashboard.trusted_proxies.is_empty() || (dashboard.secure && dashboard.tls.is_none());
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    let is_loopback_name = host.is_some_and(|host| {
        let name = host.host().trim_matches(['[', ']']);
        name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
    });
    peer.ip().to_canonical().is_loopback() && is_loopback_name && !has_proxy && !guard::is_proxied(headers)
}

fn has_token(state: &AppState, headers: &HeaderMap) -> bool {
    let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    match (&state.config.dashboard.metrics_token, given) {
        (Some(token), Some(given)) => is_same_secret(token.expose_secret(), given),
        _ => false,
    }
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
            for dropped in &connection.dropped {
                let labels = [&labels[..], &[("reason", dropped.reason.clone())]].concat();
                metrics::counter!("tickstock_connection_dropped_total", &labels).absolute(dropped.total);
            }
            metrics::gauge!("tickstock_connection_ticks_per_second", &labels).set(live.metrics.ticks_per_second);
            metrics::counter!("tickstock_connection_messages_total", &labels).absolute(live.metrics.messages_total);
            metrics::counter!("tickstock_connection_ticks_total", &labels).absolute(live.metrics.ticks_total);
            metrics::counter!("tickstock_connection_bytes_total", &labels).absolute(live.metrics.bytes_total);
            metrics::counter!("tickstock_connection_errors_total", &labels).absolute(live.metrics.error_count);
            metrics::counter!("tickstock_connection_reconnects_total", &labels).absolute(live.metrics.reconnects_total);
        }
        metrics::gauge!("tickstock_collector").set(f64::from(u8::from(report.head.role == ServerRole::Collector)));
        if let Some(keeper) = &state.collecting.keeper {
            let epoch = report.head.collector.as_ref().and_then(|collector| collector.epoch);
            metrics::gauge!("tickstock_lease_epoch").set(epoch.unwrap_or(0) as f64);
            let renewals = keeper.renewals();
            for (quantile, part) in [("0.5", 0.5), ("0.99", 0.99)] {
                let place = (renewals.len() as f64 * part) as usize;
                if let Some(renewal) = renewals.get(place) {
                    metrics::gauge!("tickstock_lease_renew_seconds", "quantile" => quantile).set(renewal.as_secs_f64());
                }
            }
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
        let audit = state.access.audit.size();
        metrics::gauge!("tickstock_audit_bytes").set(audit.bytes as f64);
        metrics::gauge!("tickstock_audit_over_size").set(f64::from(u8::from(audit.is_over())));
        // Every rule and severity that has open alerts; a series that is not there is none.
        let mut open = std::collections::BTreeMap::<_, u32>::new();
        for alert in state.alerts.open().iter() {
            *open.entry((alert.rule.name(), alert.severity.name(), alert.state())).or_default() += 1;
        }
        for ((rule, severity, state), count) in open {
            let labels = [("rule", rule), ("severity", severity), ("state", state)];
            metrics::gauge!("tickstock_alerts", &labels).set(f64::from(count));
        }
        for (destination, outcome, count) in state.alerts.counts() {
            let labels = [("destination", destination), ("outcome", outcome.to_owned())];
            metrics::counter!("tickstock_alert_deliveries_total", &labels).absolute(count);
        }
        let (counted, doing) = (state.recording.counted(), state.recording.doing().borrow().clone());
        metrics::gauge!("tickstock_recording_up").set(f64::from(u8::from(matches!(doing, Doing::Recording(_)))));
        metrics::counter!("tickstock_recording_ticks_total").absolute(counted.ticks);
        metrics::counter!("tickstock_recording_lost_ticks_total").absolute(counted.lost);
        metrics::counter!("tickstock_recording_bytes_total").absolute(counted.bytes);
        let unrecorded = state.access.audit.unrecorded_total();
        metrics::counter!("tickstock_audit_refusals_unrecorded_total").absolute(unrecorded);
    });
    recorder.handle().render()
}
