//! Puts the status report together from what the connections' tasks record.

use super::record::Record;
use crate::universe::ConnectionPlan;
use app::model::{
    connection::ConnectionState,
    status::{ConnectionLive, ConnectionMetrics, ConnectionStatus, Feed, StatusHead, StatusReport, Summary},
    time::UnixMillis,
};
use std::sync::{Arc, atomic::Ordering::Relaxed};

/// One slot: its plan, its record when it runs, and its rates.
pub(super) struct Slot {
    pub(super) plan: Arc<ConnectionPlan>,
    pub(super) record: Option<Arc<Record>>,
    rates: Rates,
}

impl Slot {
    pub(super) fn new(plan: Arc<ConnectionPlan>, record: Option<Arc<Record>>) -> Self {
        Self { plan, record, rates: Rates::default() }
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
        let Some(record) = &slot.record else { continue };
        let messages_total = record.counters.messages.load(Relaxed);
        let ticks_total = record.counters.ticks.load(Relaxed);
        slot.rates = Rates {
            messages_per_second: per_second(messages_total - slot.rates.messages_total, seconds),
            ticks_per_second: per_second(ticks_total - slot.rates.ticks_total, seconds),
            messages_total,
            ticks_total,
        };
    }
}

/// A rate to one decimal: more would be noise.
pub(crate) fn per_second(count: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { (count as f64 / seconds * 10.0).round() / 10.0 } else { 0.0 }
}

pub(super) fn compose(slots: &[Slot], feed: Feed, now: UnixMillis) -> StatusReport {
    let connections: Vec<_> =
        slots.iter().map(|slot| ConnectionStatus { live: live(slot, now), config: slot.plan.config.clone() }).collect();
    let summary = Summary::of(connections.iter().map(|connection| &connection.live), 0);
    StatusReport { head: StatusHead { generated_at: now, feed, summary, ..StatusHead::default() }, connections }
}

fn live(slot: &Slot, now: UnixMillis) -> ConnectionLive {
    let plan = &slot.plan;
    let idle = idle(plan);
    let Some(record) = &slot.record else { return idle };
    let face = record.face();
    let counters = &record.counters;
    let time = |millis: i64| (millis > 0).then_some(UnixMillis(millis));
    ConnectionLive {
        connected: face.state.is_up(),
        state: face.state,
        state_since: face.state_since,
        reason: face.reason,
        uptime_seconds: face.up_since.map_or(0, |since| (now.millis_since(since).max(0) / 1000) as u64),
        last_heartbeat: time(counters.last_frame.load(Relaxed)),
        reconnect: face.reconnect,
        subscription: face.subscription,
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
            ..ConnectionMetrics::default()
        },
        ..idle
    }
}

/// A slot that does not run: switched off, or enabled with nothing to carry.
pub(crate) fn idle(plan: &ConnectionPlan) -> ConnectionLive {
    let starved = plan.enabled && plan.config.symbols.is_empty();
    ConnectionLive {
        id: plan.id,
        name: plan.name.clone(),
        enabled: plan.enabled,
        state: if starved { ConnectionState::Failed } else { ConnectionState::Disabled },
        reason: starved.then(|| "No symbols are configured for it".to_owned()),
        ..ConnectionLive::default()
    }
}
