//! Who publishes here, and the status that says so.

use super::super::{Names, connection::Request, fence::Call};
use crate::bus::{Right, Role, wire};
use app::model::{
    status::{BusStatus, Collector, StatusReport},
    time::UnixMillis,
};

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
        if let Some(since) = right.and_then(Right::collecting_since) {
            (self.collector.since, self.collector.epoch) = (since, epoch);
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

/// Who publishes here. The host's name alone would be the same for two servers on one host.
fn this_collector() -> Collector {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_else(|_| "unknown host".to_owned());
    let server = format!("{} (process {})", host.trim(), std::process::id());
    Collector { server, since: UnixMillis::now(), epoch: None }
}
