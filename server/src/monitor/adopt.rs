//! The status as the connection manager reports it, here or elsewhere: completed where it says nothing, and taken over.

use super::{Monitor, SLOTS, Verdict, inference};
use app::model::{
    connection::{ConnectionId, ConnectionState},
    status::{ConnectionLive, ConnectionStatus, Origin, ServerRole, StatusReport},
    time::UnixMillis,
};
use std::{collections::BTreeMap, sync::Arc};

impl Monitor {
    /// A report came. That of the connection manager here is taken over; of those that come over Redis, the newest of the
    /// one producer that is followed.
    pub(super) fn hear(&mut self, report: &Arc<StatusReport>, now: UnixMillis) {
        // A server that begins or ends to collect may have one of the other kind in its mailbox.
        if self.standing.is_some() && self.watches != report.head.origin.is_from_redis {
            return;
        }
        let at = if self.watches {
            let assigned: u64 = self.observed.values().map(inference::Observed::ticks_total).sum();
            match self.producers.judge(report, assigned + self.unassigned_ticks_total, now) {
                Verdict::Take(at) => at,
                Verdict::Ignore => return,
            }
        } else {
            report.head.generated_at.min(now)
        };
        self.adopt(report, now);
        for live in self.board.report.connections.iter().map(|connection| &connection.live) {
            self.observed.entry(live.id).or_default().note_up(live.connected, now);
        }
        self.reported = Some(Arc::clone(report));
        self.reported_at = Some(at);
        self.note_source(now);
    }

    /// Warns of a second producer, and no more once it is gone.
    pub(super) fn look_for_rivals(&mut self, now: UnixMillis) {
        let rivals = self.producers.rivals(now);
        if self.board.report.head.origin.rivals != rivals {
            self.board.report.head.origin.rivals = rivals;
            if let Some(report) = self.reported.clone() {
                self.adopt(&report, now);
            }
        }
    }

    /// A report is taken over, or the configuration that completes it changed.
    pub(super) fn adopt(&mut self, reported: &StatusReport, now: UnixMillis) {
        let mut report = reported.clone();
        report.connections = self.all_slots(report.connections, now);
        report.head.feed = self.feed;
        report.head.market = self.board.report.head.market;
        report.head.bus = self.board.report.head.bus.clone();
        report.head.history_trouble = self.board.report.head.history_trouble.take();
        report.head.servers = std::mem::take(&mut self.board.report.head.servers);
        report.head.status_source = self.board.report.head.status_source;
        (report.head.role, report.head.collector) = match &self.standing {
            Some(standing) => (standing.role, standing.collector.clone()),
            None if self.watches => (ServerRole::Dashboard, self.producers.collector().cloned()),
            None => (ServerRole::Collector, None),
        };
        report.head.origin = Origin {
            is_from_redis: self.watches,
            counter_run: self.producers.counter_run(),
            rivals: self.board.report.head.origin.rivals.take(),
        };
        if let Some(rivals) = &report.head.origin.rivals {
            for connection in report.connections.iter_mut().filter(|connection| connection.live.enabled) {
                connection.config.warnings.push(rivals.clone());
            }
        }
        self.changed |= !same_states(&self.board.report, &report) || self.reported_at.is_none();
        let reconfigured = !self.board.report.same_configuration(&report);
        self.board.report = report;
        if reconfigured {
            self.lay_out_rows();
        }
        self.sum_up();
    }

    /// Every configured slot once, as reported where it was, and what was reported beyond them.
    fn all_slots(&self, reported: Vec<ConnectionStatus>, now: UnixMillis) -> Vec<ConnectionStatus> {
        let mut slots: BTreeMap<ConnectionId, ConnectionStatus> = BTreeMap::new();
        for mut connection in reported.into_iter().filter(|connection| SLOTS.contains(&connection.live.id)) {
            self.complete(&mut connection);
            let live = &mut connection.live;
            let observed = self.observed.get(&live.id).copied().unwrap_or_default();
            if self.watches && inference::says_nothing_of_data(live) {
                let before = self.board.report.connections.iter().map(|c| &c.live).find(|before| before.id == live.id);
                inference::complete(live, &observed, now, &self.board.report.head.market, before);
            }
            let has_rates = inference::has_rates(&live.metrics);
            inference::fill_in(live, &observed, has_rates);
            if self.watches {
                inference::contradict(live, &observed, now);
            }
            slots.entry(connection.live.id).or_insert(connection);
        }
        for plan in &self.plans {
            slots.entry(plan.id).or_insert_with(|| {
                let mut live = plan.idle();
                if live.enabled && !plan.config.symbols.is_empty() {
                    live.state = ConnectionState::Failed;
                    live.reason = Some("The connection manager does not report this connection".to_owned());
                }
                ConnectionStatus { live, config: plan.config.clone(), ..ConnectionStatus::default() }
            });
        }
        slots.into_values().collect()
    }

    /// TickStock's own manager does not say which symbols a connection has: then our configuration does.
    fn complete(&self, connection: &mut ConnectionStatus) {
        let plan = self.plans.iter().find(|plan| plan.id == connection.live.id);
        if let Some(plan) = plan.filter(|_| connection.config.symbols.is_empty()) {
            let reported_count = connection.config.ticker_count;
            connection.config = plan.config.clone();
            if reported_count > 0 {
                connection.config.ticker_count = reported_count;
            }
        }
    }
}

/// Do both say the same of every connection, numbers aside?
fn same_states(one: &StatusReport, other: &StatusReport) -> bool {
    let face = |live: &ConnectionLive| {
        (
            live.id,
            live.enabled,
            live.state,
            live.state_since,
            live.reason.clone(),
            live.reconnect.clone(),
            live.subscription.clone(),
            live.health.clone(),
        )
    };
    one.connections.len() == other.connections.len()
        && one.connections.iter().zip(&other.connections).all(|(a, b)| face(&a.live) == face(&b.live))
}
