//! Who publishes here, and the status that says so.

use super::super::{Names, connection::Request, fence::Call};
use crate::bus::{Right, Role, wire};
use app::model::{
    connection::ConnectionId,
    status::{BusStatus, Collector, ConnectionStatus, StatusReport},
    time::UnixMillis,
};
use std::collections::BTreeMap;

const STATUS_EXPIRY_SECONDS: u64 = 10;

/// This server, as those who read from Redis see it.
pub(super) struct Own {
    /// What its ticks say.
    pub(super) source: &'static str,
    collector: Collector,
}

impl Own {
    /// `None` where nothing is published.
    pub(super) fn of(role: &Role) -> Option<Self> {
        let (source, collector) = match role {
            Role::Collector { source } => (*source, this_collector()),
            Role::Candidate { source, server, .. } => {
                (*source, Collector { server: server.clone(), ..Collector::default() })
            }
            Role::Watcher => return None,
        };
        Some(Self { source, collector })
    }

    /// Publishes a status and keeps it for a while, under the epoch of the lease where there is one.
    pub(super) fn request(
        &mut self,
        status: &StatusReport,
        bus: BusStatus,
        names: &Names,
        right: Option<&Right>,
        epoch: Option<u64>,
    ) -> Request {
        let mut status = status.clone();
        if let Some(collecting) = right.and_then(Right::collecting) {
            (self.collector.since, self.collector.epoch) = (collecting.since, epoch);
            carry_on(&mut status.connections, &collecting.last_ticks);
        }
        (status.head.bus, status.head.collector) = (bus, Some(self.collector.clone()));
        let (json, channel) = (wire::write_status(&status), &names.status);
        match epoch {
            Some(epoch) => {
                Request::Call(Call::status(&names.lease.epoch, epoch, channel, &json, STATUS_EXPIRY_SECONDS))
            }
            None => {
                let mut pipeline = redis::pipe();
                pipeline.set_ex(channel, &json, STATUS_EXPIRY_SECONDS).publish(channel, &json);
                Request::Pipeline(pipeline)
            }
        }
    }
}

/// A connection that has not ticked yet says when it last did under whoever collected before: this status replaces the one from
/// which the next collector would know, should this one be killed before it has written of the gap.
fn carry_on(connections: &mut [ConnectionStatus], last_ticks: &BTreeMap<ConnectionId, UnixMillis>) {
    for live in connections.iter_mut().map(|connection| &mut connection.live) {
        live.metrics.last_update = live.metrics.last_update.or_else(|| last_ticks.get(&live.id).copied());
    }
}

/// Who publishes here. The host's name alone would be the same for two servers on one host.
fn this_collector() -> Collector {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_else(|_| "unknown host".to_owned());
    let server = format!("{} (process {})", host.trim(), std::process::id());
    Collector { server, since: UnixMillis::now(), epoch: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_not_heard_a_tick_yet_says_when_the_one_before_last_did() {
        let mut connections = [1, 2, 3].map(|id| {
            let mut connection = ConnectionStatus::default();
            connection.live.id = id;
            connection
        });
        connections[1].live.metrics.last_update = Some(UnixMillis(900));
        carry_on(&mut connections, &[(1, UnixMillis(500)), (2, UnixMillis(500))].into());
        let said = connections.map(|connection| connection.live.metrics.last_update);
        assert_eq!(said, [Some(UnixMillis(500)), Some(UnixMillis(900)), None]);
    }
}
