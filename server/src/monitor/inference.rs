//! Where this process runs no connection manager: what the ticks themselves say of a connection.
//!
//! Without any status, states are estimated from tick flow and marked as inferred. A status that is old is marked as stale; when
//! no ticks come either, its connections are down. A status that says nothing of the data, as TickStock's own does, is completed: a connection that is reported connected
//! while nothing arrives here is mute, unless silence is normal.

use super::Monitor;
use crate::rhythm::{Rhythm, per_second};
use app::model::{
    connection::ConnectionState,
    health::{Health, LastLoss, Layer, LayerState, LossKind},
    market::{MarketSession, SessionKind},
    status::{ConnectionLive, ConnectionMetrics, StatusSource},
    time::UnixMillis,
};
use std::sync::Arc;

/// A status older than this is stale; shorter silence is never called mute.
pub(super) const FRESH_MS: i64 = 10_000;

/// A collector of which neither a status nor a tick came for so long is taken for dead.
const SILENT_MS: i64 = 15_000;

/// So long a lease may be held by nobody, while another server takes over.
const NOBODY_MS: i64 = 3_000;

/// The silence that counts as mute before anything was learned, and before the first tick of the regular session.
const UNLEARNED_MS: i64 = 30_000;

/// The shortest silence that counts as mute before the open and after the close, when trading is thin.
const THIN_MS: i64 = 60_000;

/// Silence of so many usual pauses is no accident.
const MUTE_AFTER_PAUSES: f64 = 4.0;

/// What was seen of one connection's ticks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Observed {
    ticks_total: u64,
    ticks_measured: u64,
    /// Ticks a second over the last metrics interval.
    rate: f64,
    /// When ticks of it began to be waited for.
    since: Option<UnixMillis>,
    last_tick: Option<UnixMillis>,
    /// The same, by the clock of the collector whose it was where that says earlier: Redis may have stood still in between.
    last_told: Option<UnixMillis>,
    rhythm: Rhythm,
    /// Since when it is up, as far as it was seen from here.
    up_since: Option<UnixMillis>,
}

impl Observed {
    pub(super) fn ticked(&mut self, count: u32, now: UnixMillis) {
        self.ticks_total += u64::from(count);
        self.rhythm.beat(now);
        self.last_tick = Some(now);
    }

    /// Is it up? Noted with every report.
    pub(super) fn note_up(&mut self, is_up: bool, now: UnixMillis) {
        self.up_since = self.up_since.filter(|_| is_up).or(is_up.then_some(now));
    }

    pub(super) fn last_tick(&self) -> Option<UnixMillis> {
        self.last_tick
    }

    /// When it ticked last where that was received first.
    pub(super) fn last_told(&self) -> Option<UnixMillis> {
        self.last_told
    }

    /// It ticked just now; its collector says when that was there.
    pub(super) fn tell(&mut self, told: Option<UnixMillis>) {
        self.last_told = told.into_iter().chain(self.last_tick).min();
    }

    /// Ticks that arrived here.
    pub(super) fn ticks_total(&self) -> u64 {
        self.ticks_total
    }

    fn measure(&mut self, seconds: f64) {
        self.rate = per_second(self.ticks_total - self.ticks_measured, seconds);
        self.ticks_measured = self.ticks_total;
    }

    fn mute_after_ms(&self, session: SessionKind) -> u64 {
        let learned = (self.rhythm.pause_ms() * MUTE_AFTER_PAUSES) as i64;
        let floor = if self.rhythm.is_known() { FRESH_MS } else { UNLEARNED_MS };
        let thin = if matches!(session, SessionKind::Pre | SessionKind::Post) { THIN_MS } else { 0 };
        learned.max(floor).max(thin).unsigned_abs()
    }

    /// How the data flows, as far as it can be told from here.
    fn data(&self, now: UnixMillis, market: &MarketSession) -> Layer {
        let Some(last) = self.last_tick else {
            let waited_ms = self.since.map_or(0, |since| market.silence_ms(since, now));
            return if waited_ms > UNLEARNED_MS.unsigned_abs() && market.kind == SessionKind::Regular {
                Layer::because(LayerState::Bad, "No tick since this dashboard started")
            } else {
                Layer::because(LayerState::Unknown, "No tick yet")
            };
        };
        if market.silence_ms(last, now) <= self.mute_after_ms(market.kind) {
            if market.has_seen(last) {
                Layer::of(LayerState::Good)
            } else {
                Layer::because(LayerState::Unknown, format!("No tick yet since it is {}", market.kind.label()))
            }
        } else if market.is_open() {
            Layer::because(LayerState::Bad, format!("No ticks since {} UTC", last.clock()))
        } else {
            Layer::because(LayerState::Quiet, format!("No ticks since {} UTC; the market is closed", last.clock()))
        }
    }
}

impl Monitor {
    /// How the status is known by now.
    pub(super) fn note_source(&mut self, now: UnixMillis) -> StatusSource {
        let source = match self.reported_at {
            _ if !self.watches => StatusSource::Reported,
            Some(at) if now.millis_since(at) <= FRESH_MS => StatusSource::Reported,
            Some(_) => StatusSource::Stale,
            None => StatusSource::Inferred,
        };
        self.changed |= source != self.board.report.head.status_source;
        self.board.report.head.status_source = source;
        source
    }

    /// Is the collector elsewhere dead, as far as can be told from here: since when, and in which words?
    fn silence(&self, source: StatusSource, now: UnixMillis) -> Option<LastLoss> {
        if let Some(at) = self.standing.as_ref().and_then(|standing| standing.nobody_since)
            && now.millis_since(at) > NOBODY_MS
        {
            let reason = format!("No server collects since {} UTC: none holds the lease", at.clock());
            return Some(LastLoss { at, kind: LossKind::CollectorSilent, close_code: None, words: None, reason });
        }
        let at = self.reported_at.filter(|_| source == StatusSource::Stale)?;
        let last_tick = self.observed.values().filter_map(|observed| observed.last_tick).max();
        let is_silent = |last: UnixMillis, ms: i64| now.millis_since(last) > ms;
        if !is_silent(at, SILENT_MS) || last_tick.is_some_and(|last| !is_silent(last, FRESH_MS)) {
            return None;
        }
        let bus = &self.board.report.head.bus;
        let (kind, reason) = if bus.connected {
            let who = self.producers.collector().map(|who| [" ", &who.server].concat()).unwrap_or_default();
            (
                LossKind::CollectorSilent,
                format!("The collector{who} has been silent since {} UTC: no status and no ticks", at.clock()),
            )
        } else {
            let why = bus.reason.as_deref().unwrap_or("Redis does not answer");
            (LossKind::BusDown, format!("No status since {} UTC: {why}", at.clock()))
        };
        Some(LastLoss { at, kind, close_code: None, words: None, reason })
    }

    /// Where this process runs no connection manager: marks a stale status, completes one that says nothing of the data,
    /// or reads states off the ticks. `seconds` since the last call, when rates are to be measured.
    pub(super) fn infer(&mut self, now: UnixMillis, seconds: Option<f64>) {
        if !self.watches {
            return;
        }
        let source = self.note_source(now);
        let silence = self.silence(source, now);
        let market = self.board.report.head.market;
        let (reported, reported_at) = (self.reported.as_ref().map(Arc::clone), self.reported_at);
        for connection in self.board.report.connections.iter_mut().filter(|connection| connection.live.enabled) {
            let live = &mut connection.live;
            let observed = self.observed.entry(live.id).or_default();
            observed.since.get_or_insert(now);
            if let Some(seconds) = seconds {
                observed.measure(seconds);
            }
            let before = live.clone();
            if source == StatusSource::Inferred {
                read_off(live, observed, now, &market);
            } else {
                let said = reported.iter().flat_map(|report| &report.connections).find(|said| said.live.id == live.id);
                let is_stale = source == StatusSource::Stale;
                let has_rates = !is_stale && said.is_some_and(|said| has_rates(&said.live.metrics));
                if let Some(said) = said.map(|said| &said.live) {
                    // What an old status says of the data is of another time: what arrives here tells it then.
                    if says_nothing_of_data(said) || is_stale {
                        (live.state, live.reason) = (said.state, said.reason.clone());
                        (live.state_since, live.health) = (said.state_since, Health::default());
                        live.last_loss = said.last_loss.clone();
                        complete(live, observed, now, &market, Some(&before));
                        if let Some(at) = reported_at.filter(|_| is_stale) {
                            date(live, at);
                        }
                    }
                }
                fill_in(live, observed, has_rates);
                contradict(live, observed, now);
            }
            if let Some(silence) = silence.as_ref().filter(|_| live.state != ConnectionState::Disabled) {
                take_down(live, silence, now, &before);
            }
            self.changed |= live.state != before.state || live.health != before.health;
        }
    }
}

/// Shows a connection as lost together with its collector.
fn take_down(live: &mut ConnectionLive, silence: &LastLoss, now: UnixMillis, before: &ConnectionLive) {
    let off = Layer::of(LayerState::Off);
    let transport = Layer::because(LayerState::Bad, silence.reason.as_str());
    live.health = Health { transport, subscription: off.clone(), data: off };
    (live.state, live.connected, live.uptime_seconds) = (ConnectionState::Failed, false, 0);
    let was_down = before.last_loss.as_ref().is_some_and(|loss| loss.kind == silence.kind && loss.at == silence.at);
    live.state_since = before.state_since.filter(|_| was_down).or(Some(now));
    live.reason = Some(silence.reason.clone());
    live.last_loss = Some(silence.clone());
}

fn read_off(live: &mut ConnectionLive, observed: &Observed, now: UnixMillis, market: &MarketSession) {
    let data = observed.data(now, market);
    let (state, reason) = match (data.state, observed.last_tick) {
        (_, None) => (ConnectionState::Connecting, Some("No ticks and no status yet".to_owned())),
        (LayerState::Bad, Some(at)) => {
            (ConnectionState::Mute, Some(format!("No ticks since {} UTC, and no status", at.clock())))
        }
        (_, Some(_)) => (ConnectionState::Connected, data.reason.clone()),
    };
    if live.state != state || live.state_since.is_none() {
        live.state_since = Some(now);
    }
    (live.state, live.reason, live.connected) = (state, reason, state == ConnectionState::Connected);
    let unknown = Layer::because(LayerState::Unknown, "Not reported");
    live.health = Health { transport: unknown.clone(), subscription: unknown, data };
    live.uptime_seconds = match (live.connected, live.state_since) {
        (true, Some(since)) => (now.millis_since(since).max(0) / 1000) as u64,
        _ => 0,
    };
    live.metrics.ticks_total = observed.ticks_total;
    live.metrics.messages_total = observed.ticks_total;
    live.metrics.last_update = observed.last_tick;
    (live.metrics.messages_per_second, live.metrics.ticks_per_second) = (observed.rate, observed.rate);
}

/// Has the status no word on the three layers?
pub(super) fn says_nothing_of_data(live: &ConnectionLive) -> bool {
    live.health == Health::default()
}

/// Completes what a status says of a connection's state with what was seen from here: how its data flows, and how long it has been
/// up. `before` is how the
/// connection was shown until now.
pub(super) fn complete(
    live: &mut ConnectionLive,
    observed: &Observed,
    now: UnixMillis,
    market: &MarketSession,
    before: Option<&ConnectionLive>,
) {
    let is_up = live.state.is_up();
    let transport = match live.state {
        ConnectionState::Reconnecting | ConnectionState::Failed => {
            Layer { state: LayerState::Bad, reason: live.reason.clone() }
        }
        ConnectionState::Disabled => Layer::of(LayerState::Off),
        _ if is_up => Layer::of(LayerState::Good),
        _ => Layer::of(LayerState::Unknown),
    };
    let subscription =
        if is_up { Layer::because(LayerState::Unknown, "Not reported") } else { Layer::of(LayerState::Off) };
    let data = if is_up { observed.data(now, market) } else { Layer::of(LayerState::Off) };
    if data.state == LayerState::Bad {
        // Since it began, not since whatever was reported before.
        (live.state, live.state_since) = (ConnectionState::Mute, None);
        live.reason = data.reason.as_ref().map(|why| format!("Reported connected, and yet: {why}"));
    }
    live.connected = is_up;
    live.uptime_seconds = match observed.up_since.filter(|_| is_up) {
        // A status that is old, or of somebody else who knows better.
        None => live.uptime_seconds,
        Some(since) => live.uptime_seconds.max(now.millis_since(since).max(0).unsigned_abs() / 1000),
    };
    live.health = Health { transport, subscription, data };
    if live.state_since.is_none() {
        let since = before.filter(|before| before.state == live.state).and_then(|before| before.state_since);
        live.state_since = Some(since.unwrap_or(now));
    }
}

/// What is reported down while its ticks arrive here: neither is hidden.
pub(super) fn contradict(live: &mut ConnectionLive, observed: &Observed, now: UnixMillis) {
    const YET: &str = "yet its ticks are arriving";
    let is_down = matches!(live.state, ConnectionState::Reconnecting | ConnectionState::Failed);
    if !is_down || observed.last_tick.is_none_or(|last| now.millis_since(last) > FRESH_MS) {
        return;
    }
    let reason = live.reason.take().unwrap_or_else(|| format!("Reported {}", live.state.label()));
    live.reason = Some(if reason.contains(YET) { reason } else { format!("{reason}; {YET}") });
    live.health.data = Layer::because(LayerState::Good, format!("Reported {}, {YET}", live.state.label()));
}

/// Says of when an old state is.
fn date(live: &mut ConnectionLive, reported_at: UnixMillis) {
    let of_when = format!("last reported at {} UTC", reported_at.clock());
    live.reason = Some(match live.reason.take() {
        Some(reason) => format!("{reason}; {of_when}"),
        None => format!("State as {of_when}"),
    });
}

/// Does a status tell how quickly ticks come?
pub(super) fn has_rates(metrics: &ConnectionMetrics) -> bool {
    metrics.ticks_per_second > 0.0
}

/// TickStock's own manager reports no rates and no heartbeat, and a stale status those of another time: then the ticks that
/// arrive here tell them.
pub(super) fn fill_in(live: &mut ConnectionLive, observed: &Observed, has_rates: bool) {
    if !has_rates {
        (live.metrics.messages_per_second, live.metrics.ticks_per_second) = (observed.rate, observed.rate);
    }
    live.metrics.last_update = live.metrics.last_update.max(observed.last_tick);
    live.last_heartbeat = live.last_heartbeat.max(observed.last_tick);
}
