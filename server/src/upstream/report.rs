//! Puts the status report together from what the connections' tasks record.

use super::telemetry::Telemetry;
use crate::{rhythm::per_second, universe::ConnectionPlan};
use app::model::{
    connection::{ConnectionId, ConnectionState},
    health::LayerState,
    market::Calendar,
    status::{ConnectionLive, ConnectionMetrics, ConnectionStatus, Feed, StatusHead, StatusReport, Summary},
    time::UnixMillis,
};
use std::sync::{Arc, atomic::Ordering::Relaxed};

/// One slot: its plan, what was recorded of it, and its rates.
pub(super) struct Slot {
    pub(super) plan: Arc<ConnectionPlan>,
    pub(super) telemetry: Arc<Telemetry>,
    rates: Rates,
}

impl Slot {
    pub(super) fn new(plan: Arc<ConnectionPlan>, telemetry: Arc<Telemetry>) -> Self {
        Self { plan, telemetry, rates: Rates::default() }
    }

    /// The same slot with another plan.
    pub(super) fn with(self, plan: Arc<ConnectionPlan>) -> Self {
        Self { plan, ..self }
    }
}

#[derive(Default)]
struct Rates {
    messages_total: u64,
    ticks_total: u64,
    messages_per_second: f64,
    ticks_per_second: f64,
}

/// Rates are taken over whole metrics intervals; a report in between repeats the last ones.
pub(super) fn measure(slots: &mut [Slot], seconds: f64) {
    for slot in slots {
        let messages_total = slot.telemetry.counters.messages.load(Relaxed);
        let ticks_total = slot.telemetry.counters.ticks.load(Relaxed);
        slot.rates = Rates {
            messages_per_second: per_second(messages_total - slot.rates.messages_total, seconds),
            ticks_per_second: per_second(ticks_total - slot.rates.ticks_total, seconds),
            messages_total,
            ticks_total,
        };
    }
}

pub(super) fn compose(slots: &[Slot], feed: Feed, now: UnixMillis) -> StatusReport {
    let status = |slot: &Slot| ConnectionStatus {
        live: live(slot, now),
        config: slot.plan.config.clone(),
        dropped: slot.telemetry.counters.dropped(),
        standstill: slot.telemetry.face().standstill,
        first_tick_at: time(slot.telemetry.counters.first_tick.load(Relaxed)),
    };
    let mut connections: Vec<_> = slots.iter().map(status).collect();
    name_those_that_flow(&mut connections);
    let summary = Summary::of(connections.iter().map(|connection| &connection.live), 0);
    let market = Calendar::of(feed).session_at(now);
    StatusReport { head: StatusHead { generated_at: now, feed, market, summary, ..StatusHead::default() }, connections }
}

/// A silence is worst where the others are not silent: that is no quiet market.
fn name_those_that_flow(connections: &mut [ConnectionStatus]) {
    let flows = |connection: &&ConnectionStatus| connection.live.health.data.state == LayerState::Good;
    let flowing: Vec<ConnectionId> = connections.iter().filter(flows).map(|connection| connection.live.id).collect();
    let Some(words) = words_of(&flowing) else { return };
    for live in connections.iter_mut().map(|connection| &mut connection.live) {
        if live.state == ConnectionState::Mute
            && let Some(reason) = &mut live.reason
        {
            *reason = format!("{reason}, {words}");
        }
    }
}

/// Names as many as can be read at a glance.
fn words_of(flowing: &[ConnectionId]) -> Option<String> {
    Some(match flowing {
        [] => return None,
        [id] => format!("while {id} flows"),
        [_, _, _, _, _, ..] => format!("while {} others flow", flowing.len()),
        [first @ .., last] => {
            let first: Vec<_> = first.iter().map(ToString::to_string).collect();
            format!("while {} and {last} flow", first.join(", "))
        }
    })
}

fn time(millis: i64) -> Option<UnixMillis> {
    (millis > 0).then_some(UnixMillis(millis))
}

fn live(slot: &Slot, now: UnixMillis) -> ConnectionLive {
    let plan = &slot.plan;
    let face = slot.telemetry.face();
    let counters = &slot.telemetry.counters;
    let idle = ConnectionLive {
        last_heartbeat: time(counters.last_frame.load(Relaxed)),
        last_loss: face.last_loss,
        metrics: ConnectionMetrics {
            messages_per_second: slot.rates.messages_per_second,
            ticks_per_second: slot.rates.ticks_per_second,
            last_update: time(counters.last_tick.load(Relaxed)),
            messages_total: counters.messages.load(Relaxed),
            ticks_total: counters.ticks.load(Relaxed),
            bytes_total: counters.bytes.load(Relaxed),
            reconnects_total: counters.reconnects.load(Relaxed),
            error_count: counters.errors.load(Relaxed),
            last_error: face.last_error,
            latency_ms: face.latency_ms,
            latency_note: face.latency_note,
            replacements_total: counters.replacements.load(Relaxed),
        },
        ..plan.idle()
    };
    if !plan.runs() {
        return idle;
    }
    ConnectionLive {
        connected: face.state.is_up(),
        state: face.state,
        state_since: face.state_since,
        reason: face.reason,
        uptime_seconds: face.up_since.map_or(0, |since| (now.millis_since(since).max(0) / 1000) as u64),
        reconnect: face.reconnect,
        subscription: face.subscription,
        health: face.health,
        coverage: face.coverage,
        ..idle
    }
}

#[cfg(test)]
mod tests {
    use super::words_of;

    #[test]
    fn those_that_flow_are_named_while_they_are_few() {
        let words = |count| words_of(&(1..=count).collect::<Vec<_>>());
        assert_eq!((words(0), words(1).as_deref()), (None, Some("while 1 flows")));
        assert_eq!(words(4).as_deref(), Some("while 1, 2, 3 and 4 flow"));
        assert_eq!(words(14).as_deref(), Some("while 14 others flow"));
    }
}
