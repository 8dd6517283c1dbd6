//! What happens, typed: what rules are judged by. Read off the status reports and gaps that the timeline is made of, so that both
//! tell the same.

use app::model::{
    connection::{ConnectionId, ConnectionState},
    health::LossKind,
    status::{ConnectionStatus, StatusReport, StatusSource},
    time::UnixMillis,
};

/// One thing that is so from now on. A stream of them may repeat itself: only what changes matters.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// How a connection is.
    Connection(Box<ConnectionFact>),
    /// The connections that there are: what was known of others is over.
    Connections(Vec<ConnectionId>),
    /// The gaps that last, of which connections, since when.
    Gaps(Vec<(ConnectionId, UnixMillis)>),
    /// No ticks are arriving over the bus, and why; `None` while it does.
    Bus(Option<String>),
    /// Nobody collects, and how that shows; `None` while somebody does.
    NoCollector(Option<String>),
    /// History is not being written, since when and why; `None` while it is.
    History(Option<(UnixMillis, String)>),
    /// What is wrong with the audit log; `None` when it is whole.
    AuditChain(Option<String>),
    /// When the server's certificate ends; `None` where it has none.
    Certificate(Option<UnixMillis>),
    /// The servers that are gone without a word, and when they were last heard of.
    ServersLost(Vec<(String, UnixMillis)>),
}

/// How one connection is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConnectionFact {
    /// Its number.
    pub id: ConnectionId,
    /// Its name.
    pub name: String,
    /// Is it to be up? Switched off, or with nothing of its own to carry, it is not.
    pub is_wanted: bool,
    /// Its state.
    pub state: ConnectionState,
    /// Since when it is in that state, where that is known: when the timeline says that it changed.
    pub state_since: Option<UnixMillis>,
    /// Why, in words.
    pub reason: Option<String>,
    /// How it was lost, where that is why it is down.
    pub loss: Option<LossKind>,
    /// The last tick.
    pub last_tick_at: Option<UnixMillis>,
    /// Ticks so far.
    pub ticks_total: u64,
    /// Errors so far.
    pub errors_total: u64,
    /// The last error.
    pub last_error: Option<String>,
    /// The run of counters that the totals belong to.
    pub counter_run: u64,
    /// The 99th percentile of the latency, where it says something.
    pub latency_p99_ms: Option<f64>,
    /// Symbols that it carries.
    pub symbols: u32,
    /// Those whose trading is halted.
    pub halted: u32,
}

/// What a report says. A server that does not write history does not know how that goes.
pub(super) fn of_report(report: &StatusReport, writes_history: bool) -> impl Iterator<Item = Fact> + '_ {
    let head = &report.head;
    let bus = (!head.bus.connected).then(|| head.bus.reason.clone().unwrap_or_else(|| "No reason given".to_owned()));
    let history = head.history_trouble.as_ref().map(|trouble| (trouble.since, trouble.reason.clone()));
    let ids = report.connections.iter().map(|connection| connection.live.id).collect();
    let whole = [Fact::Bus(bus), no_collector(report), Fact::Connections(ids)];
    let history = writes_history.then_some(Fact::History(history));
    whole
        .into_iter()
        .chain(history)
        .chain(report.connections.iter().map(|connection| of_connection(report, connection)))
}

fn no_collector(report: &StatusReport) -> Fact {
    let any_up = report.connections.iter().any(|connection| connection.live.enabled && connection.live.state.is_up());
    let text = match report.head.status_source {
        StatusSource::Reported => None,
        StatusSource::Stale => Some(report.head.status_source.sentence()),
        // Normal with producers that publish ticks only, while those come.
        StatusSource::Inferred if any_up => None,
        StatusSource::Inferred => Some("No connection manager reports, and no ticks come"),
    };
    Fact::NoCollector(text.map(str::to_owned))
}

fn of_connection(report: &StatusReport, connection: &ConnectionStatus) -> Fact {
    let live = &connection.live;
    let metrics = &live.metrics;
    let is_down = !live.state.is_up();
    // What is late by design, or measured by a wrong clock, says so in a note.
    let latency = metrics.latency_ms.as_ref().filter(|_| metrics.latency_note.is_none());
    Fact::Connection(Box::new(ConnectionFact {
        id: live.id,
        name: live.name.clone(),
        is_wanted: live.enabled && !connection.config.is_carried_elsewhere(),
        state: live.state,
        state_since: live.state_since,
        reason: live.reason.clone(),
        loss: live.last_loss.as_ref().filter(|_| is_down && live.reconnect.attempt > 0).map(|loss| loss.kind),
        last_tick_at: metrics.last_update,
        ticks_total: metrics.ticks_total,
        errors_total: metrics.error_count,
        last_error: metrics.last_error.as_ref().map(|error| error.message.clone()),
        counter_run: report.head.origin.counter_run,
        latency_p99_ms: latency.map(|latency| latency.p99),
        symbols: connection.config.ticker_count,
        halted: live.coverage.halted,
    }))
}
