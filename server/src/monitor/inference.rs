//! Without a connection manager's word, the ticks themselves say how a connection is; marked as inferred. A word that
//! is old is marked as stale.

use super::Monitor;
use crate::upstream::report::per_second;
use app::model::{
    connection::ConnectionState,
    status::{ConnectionLive, Feed, StatusSource},
    time::UnixMillis,
};

/// A status older than this is stale; a connection without ticks for this long is not called connected.
const FRESH_MS: i64 = 10_000;

/// What was seen of one connection's ticks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Observed {
    ticks_total: u64,
    ticks_measured: u64,
    /// Ticks a second over the last metrics interval.
    rate: f64,
    last_tick: Option<UnixMillis>,
}

impl Observed {
    pub(super) fn ticked(&mut self, count: u32, now: UnixMillis) {
        self.ticks_total += u64::from(count);
        self.last_tick = Some(now);
    }

    fn measure(&mut self, seconds: f64) {
        self.rate = per_second(self.ticks_total - self.ticks_measured, seconds);
        self.ticks_measured = self.ticks_total;
    }
}

impl Monitor {
    /// Where this process runs no connection manager: marks a stale status, or reads states off the ticks. `seconds`
    /// since the last call, when rates are to be measured.
    pub(super) fn infer(&mut self, now: UnixMillis, seconds: Option<f64>) {
        if self.feed != Feed::Redis {
            return;
        }
        let source = match self.reported_at {
            Some(at) if now.millis_since(at) <= FRESH_MS => StatusSource::Reported,
            Some(_) => StatusSource::Stale,
            None => StatusSource::Inferred,
        };
        self.changed |= source != self.board.report.head.status_source;
        self.board.report.head.status_source = source;
        for connection in self.board.report.connections.iter_mut().filter(|connection| connection.live.enabled) {
            let observed = self.observed.entry(connection.live.id).or_default();
            if let Some(seconds) = seconds {
                observed.measure(seconds);
            }
            if source != StatusSource::Inferred {
                fill_in(&mut connection.live, observed);
                continue;
            }
            let state = connection.live.state;
            read_off(&mut connection.live, observed, now);
            self.changed |= connection.live.state != state;
        }
    }
}

fn read_off(live: &mut ConnectionLive, observed: &Observed, now: UnixMillis) {
    let (state, reason) = match observed.last_tick {
        Some(at) if now.millis_since(at) <= FRESH_MS => (ConnectionState::Connected, None),
        Some(at) => (ConnectionState::Mute, Some(format!("No ticks since {} UTC, and no status", at.clock()))),
        None => (ConnectionState::Connecting, Some("No ticks and no status yet".to_owned())),
    };
    if live.state != state || live.state_since.is_none() {
        live.state_since = Some(now);
    }
    (live.state, live.reason, live.connected) = (state, reason, state == ConnectionState::Connected);
    live.uptime_seconds = match (live.connected, live.state_since) {
        (true, Some(since)) => (now.millis_since(since).max(0) / 1000) as u64,
        _ => 0,
    };
    live.metrics.ticks_total = observed.ticks_total;
    live.metrics.messages_total = observed.ticks_total;
    live.metrics.last_update = observed.last_tick;
    (live.metrics.messages_per_second, live.metrics.ticks_per_second) = (observed.rate, observed.rate);
}

/// TickStock's own manager reports no rates and no heartbeat: then the ticks that arrive here tell them.
pub(super) fn fill_in(live: &mut ConnectionLive, observed: &Observed) {
    if live.metrics.ticks_per_second == 0.0 {
        (live.metrics.messages_per_second, live.metrics.ticks_per_second) = (observed.rate, observed.rate);
    }
    live.metrics.last_update = live.metrics.last_update.max(observed.last_tick);
    live.last_heartbeat = live.last_heartbeat.max(observed.last_tick);
}
