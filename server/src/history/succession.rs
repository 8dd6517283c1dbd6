//! A server among several that takes over from the one before.

use crate::database::history::Run;
use app::model::{connection::ConnectionId, history::gap::GapCause, time::UnixMillis};
use std::collections::{BTreeMap, BTreeSet};

/// A server among several begins to collect, after another one or after a while without any.
pub struct Succession {
    /// How it is called.
    pub server: String,
    /// Its epoch by now.
    pub epoch: Box<dyn Fn() -> u64 + Send + Sync>,
    /// Did this very process collect before?
    pub is_again: bool,
    /// Who collected before, as far as was seen from here, and whether it gave its lease up.
    pub predecessor: Option<(String, bool)>,
    /// When each connection last ticked, as far as was seen from here.
    pub last_ticks: BTreeMap<ConnectionId, UnixMillis>,
    /// Connections that were taken over without missing a tick.
    pub whole: BTreeSet<ConnectionId>,
}

impl Succession {
    /// Of whom it took over and how, in words; `None` when this server was started again and nobody else collected meanwhile.
    /// `last_run` is the last that wrote history.
    pub(super) fn cause(&self, last_run: Option<&Run>, now: UnixMillis) -> Option<(GapCause, String)> {
        let (before, gave_up) = match (&self.predecessor, last_run) {
            (Some((server, gave_up)), run) => {
                let said_goodbye = run.is_some_and(|run| run.server == *server && run.stopped_at.is_some());
                (server.as_str(), *gave_up || said_goodbye)
            }
            (None, Some(run)) if self.is_again || !run.server.is_empty() && run.server != self.server => {
                (run.server.as_str(), run.stopped_at.is_some())
            }
            (None, _) => return None,
        };
        let server = &self.server;
        Some(if gave_up {
            (GapCause::Handover, format!("{before} handed over to {server} at {now}"))
        } else {
            (GapCause::Failover, format!("{before} collected no more, and {server} took over at {now}"))
        })
    }

    /// What is told of it.
    pub(super) fn text(&self, last_run: Option<&Run>, now: UnixMillis) -> String {
        let (server, epoch, version) = (&self.server, (self.epoch)(), env!("CARGO_PKG_VERSION"));
        let after = self.cause(last_run, now).map(|(_, words)| format!("; {words}")).unwrap_or_default();
        format!("{server} collects: epoch {epoch}, version {version}{after}")
    }
}
