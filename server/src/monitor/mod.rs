//! What we know now. Folds deliveries from the bus into a [`Board`] and says, when asked, what changed since.
//!
//! ```text
//!  Delivery ──take──▶ Board ──flush──▶ frames (rows, ticks, states)
//!                       └────beat────▶ a metrics frame, every metrics interval
//! ```
//!
//! Plain data with one owner, the hub's task: no lock, no clock of its own, no I/O.

mod adopt;
mod inference;
mod mirror;
mod producers;
mod silence;
mod tape;
#[cfg(test)]
mod tests;
mod watched;

use crate::{
    bus::Delivery,
    recording::Tee,
    universe::{Assignments, ConnectionPlan},
};
use app::model::{
    alert::OpenAlerts,
    board::{Board, ROWS_MAX},
    connection::{CONNECTIONS_MAX, ConnectionId},
    history::HistoryNews,
    market::Calendar,
    protocol::{Frame, Metrics, Row, RowId, Snapshot, TickEntry, Ticks},
    servers::ServerEntry,
    status::{ConnectionStatus, Feed, ServerRole, Standing, StatusHead, StatusReport, Summary},
    symbol::Symbol,
    symbol_detail::SymbolDetail,
    tape::TapeSet,
    tick::{Direction, Tick},
    time::UnixMillis,
};
use foldhash::{HashMap, HashMapExt};
use inference::Observed;
use mirror::Mirror;
use producers::{Producers, Verdict};
use silence::{Beat, Beats};
use std::{collections::BTreeMap, ops::RangeInclusive, sync::Arc};
use tape::Tapes;
use watched::WatchedSymbols;

/// The numbers that a connection may have, configured here or reported by others.
const SLOTS: RangeInclusive<ConnectionId> = 1..=CONNECTIONS_MAX;

/// The one owner of the present.
#[derive(Debug)]
pub struct Monitor {
    feed: Feed,
    /// Does another process collect, so that status and ticks come from Redis?
    watches: bool,
    /// Among several servers.
    standing: Option<Standing>,
    plans: Vec<ConnectionPlan>,
    board: Board,
    /// Where a connection's symbol is in the board.
    places: HashMap<(ConnectionId, Symbol), RowId>,
    /// Which connection carries a symbol, for producers that do not say.
    carriers: Assignments,
    /// What ticked since the last flush, by row.
    fresh: Vec<Fresh>,
    /// How the symbol of each row ticks.
    beats: Vec<Beat>,
    /// The rows that did since the last flush.
    dirty: Vec<RowId>,
    /// When the first of those ticks was received.
    received: Option<UnixMillis>,
    tapes: Tapes,
    watched: WatchedSymbols,
    /// `None` where nobody elsewhere can watch.
    mirror: Option<Mirror>,
    /// `None` where nothing is recorded.
    tee: Option<Tee>,
    rows_flushed: usize,
    reconfigured: bool,
    changed: bool,
    unassigned_ticks_total: u64,
    observed: HashMap<ConnectionId, Observed>,
    /// Rows of symbols that are not configured any more: should they come back, their totals go on.
    retired: HashMap<(ConnectionId, Symbol), Row>,
    producers: Producers,
    /// The last status that was taken over, as it came, and of which moment it tells.
    reported: Option<Arc<StatusReport>>,
    reported_at: Option<UnixMillis>,
    ledger_changed_at: UnixMillis,
    alerts: OpenAlerts,
}

/// What is not flushed yet of one row.
#[derive(Clone, Copy, Debug, Default)]
struct Fresh {
    ticks: u32,
    /// The price that was flushed last. Directions are told against it, as whoever reads the frames sees them: ticks
    /// that were conflated away move no arrow.
    price_before: Option<f64>,
}

/// What was seen of a collector elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Before {
    /// How it is called, when it said so itself.
    pub collector: Option<String>,
    /// When each of its connections last ticked.
    pub last_ticks: BTreeMap<ConnectionId, UnixMillis>,
}

impl Monitor {
    /// Starts from the configuration: every slot is there before anything is heard of it.
    #[must_use]
    pub fn new(feed: Feed, plans: Vec<ConnectionPlan>, now: UnixMillis) -> Self {
        let connections = plans.iter().map(|plan| ConnectionStatus {
            live: plan.idle(),
            config: plan.config.clone(),
            ..ConnectionStatus::default()
        });
        let market = Calendar::of(feed).session_at(now);
        let head = StatusHead { generated_at: now, feed, market, ..StatusHead::default() };
        let report = StatusReport { head, connections: connections.collect() };
        let mut monitor = Self {
            feed,
            watches: feed == Feed::Redis,
            standing: None,
            plans,
            board: Board { report, ..Board::default() },
            places: HashMap::new(),
            carriers: Assignments::default(),
            fresh: Vec::new(),
            beats: Vec::new(),
            dirty: Vec::new(),
            received: None,
            tapes: Tapes::default(),
            watched: WatchedSymbols::default(),
            mirror: None,
            tee: None,
            rows_flushed: 0,
            reconfigured: false,
            changed: false,
            unassigned_ticks_total: 0,
            observed: HashMap::new(),
            retired: HashMap::new(),
            producers: Producers::default(),
            reported: None,
            reported_at: None,
            ledger_changed_at: UnixMillis::default(),
            alerts: OpenAlerts::default(),
        };
        monitor.lay_out_rows();
        monitor.infer(now, None);
        monitor.sum_up();
        monitor.reconfigured = false;
        monitor
    }

    /// What is folded and told from now on is recorded, while this server collects.
    pub fn record_to(&mut self, tee: Tee) {
        self.tee = Some(tee);
    }

    /// The sockets are told these frames: what was flushed, or a beat.
    pub fn told(&mut self, frames: Vec<Frame>, now: UnixMillis) {
        let Some(mut tee) = self.tee.take() else { return };
        if self.watches {
            tee.stand_by();
        } else {
            tee.step(now, frames, self.dirty.is_empty(), || self.snapshot(now));
        }
        self.tee = Some(tee);
    }

    /// Ticks of these connections are kept one by one until the next flush.
    pub fn open_tapes(&mut self, open: TapeSet) {
        self.tapes.open(open);
    }

    /// Folds in what the bus delivered.
    pub fn take(&mut self, delivery: &Delivery, now: UnixMillis) {
        if let Some(bus) = &delivery.bus {
            // Counters and the lag go with the next metrics: a flood of malformed ticks is no news each time. That ticks are given up is:
            // the ledger knows of it before others are published.
            let before = &self.board.report.head.bus;
            self.changed |= !bus.same_state(before) || bus.unpublished_ticks_total > before.unpublished_ticks_total;
            self.board.report.head.bus = bus.clone();
        }
        // Our own connection manager's newest says it all; of those that come over Redis each is judged.
        let passed_over = if self.watches { 0 } else { delivery.statuses.len().saturating_sub(1) };
        delivery.statuses[passed_over..].iter().for_each(|report| self.hear(report, now));
        if let Some(board) = &delivery.board {
            self.take_board(board);
        }
        if let Some(mirror) = &mut self.mirror {
            mirror.note_received(delivery.since);
        }
        delivery.ticks.iter().for_each(|tick| self.fold(tick, 1, now));
        delivery.conflated.iter().for_each(|(tick, count)| self.fold(tick, *count, now));
        if !(delivery.ticks.is_empty() && delivery.conflated.is_empty()) {
            let ticked = self.observed.values_mut().filter(|observed| observed.last_tick() == Some(now));
            ticked.for_each(|observed| observed.tell(delivery.told));
        }
        self.leave_unassigned(delivery.lost);
        if !self.dirty.is_empty() {
            self.received = self.received.or(delivery.since);
        }
    }

    /// The configuration is another one from now on. Where a connection manager runs here, its next report says the rest.
    pub fn replan(&mut self, plans: Vec<ConnectionPlan>, now: UnixMillis) {
        self.plans = plans;
        if self.watches {
            let report = self.reported.clone().unwrap_or_default();
            self.adopt(&report, now);
            self.infer(now, None);
            self.sum_up();
        }
    }

    /// This server stands there among several from now on.
    pub fn stand(&mut self, standing: Standing, now: UnixMillis) {
        let watches = standing.role != ServerRole::Collector;
        if self.watches != watches {
            self.watches = watches;
            // What was counted so far was another one's.
            self.producers.start_anew();
        }
        let head = &mut self.board.report.head;
        let before = (head.role, head.collector.clone());
        (head.role, head.collector) = (standing.role, standing.collector.clone());
        self.changed |= before != (head.role, head.collector.clone());
        self.standing = Some(standing);
        self.infer(now, None);
    }

    /// The servers that run beside each other.
    pub fn tell_servers(&mut self, servers: Vec<ServerEntry>) {
        let known = &mut self.board.report.head.servers;
        let is_same = known.len() == servers.len()
            && known.iter().zip(&servers).all(|(old, new)| (&old.name, old.role) == (&new.name, new.role));
        // When they were last heard of is told with the next metrics.
        self.changed |= !is_same;
        *known = servers;
    }

    /// Of whoever collects or did so last, what was seen from here.
    #[must_use]
    pub fn before(&self) -> Before {
        let seen = self.observed.iter().filter_map(|(id, observed)| Some((*id, observed.last_told()?)));
        let Some(reported) = self.reported.as_ref().filter(|report| report.head.origin.is_from_redis) else {
            return Before { collector: None, last_ticks: seen.collect() };
        };
        // A server that started just now has seen no tick, but the status that is kept on Redis.
        let told = reported.connections.iter().map(|connection| &connection.live);
        let mut last_ticks: BTreeMap<_, _> =
            told.filter_map(|live| Some((live.id, live.metrics.last_update?))).collect();
        last_ticks.extend(seen);
        let collector = reported.head.collector.as_ref().map(|collector| collector.server.clone());
        Before { collector, last_ticks }
    }

    /// Is there anything that the next flush would tell?
    #[must_use]
    pub fn has_news(&self) -> bool {
        self.reconfigured || self.changed || !self.dirty.is_empty() || self.rows_flushed < self.board.rows.len()
    }

    /// What changed since the last flush, in the order in which it has to be folded.
    pub fn flush(&mut self, now: UnixMillis) -> Vec<Frame> {
        let mut frames = Vec::new();
        if std::mem::take(&mut self.reconfigured) {
            self.forget_news();
            frames.push(Frame::Snapshot(Box::new(self.snapshot(now))));
            frames.extend(self.tapes.drain(now).map(Frame::Tape));
            return frames;
        }
        if self.rows_flushed < self.board.rows.len() {
            // As they were before their ticks, which follow.
            let new = self.board.rows.iter().zip(&self.fresh).skip(self.rows_flushed).map(|(row, fresh)| Row {
                price: fresh.price_before,
                ticks_total: row.ticks_total.saturating_sub(fresh.ticks.into()),
                ..Row::empty(row.connection_id, row.symbol)
            });
            frames.push(Frame::Rows(new.collect()));
            self.rows_flushed = self.board.rows.len();
        }
        // Before the prices: a tape's first tick is told against the price that a reader knows.
        frames.extend(self.tapes.drain(now).map(Frame::Tape));
        if !self.dirty.is_empty() {
            frames.push(Frame::Ticks(self.drain_ticks(now)));
        }
        if std::mem::take(&mut self.changed) {
            self.sum_up();
            self.board.report.head.generated_at = now;
            frames.push(Frame::Live(self.board.report.live()));
        }
        frames
    }

    /// Shows whether history is being kept, and from the next metrics on that the ledger changed.
    pub fn tell_history(&mut self, news: HistoryNews) {
        self.changed |= self.board.report.head.history_trouble != news.trouble;
        self.board.report.head.history_trouble = news.trouble;
        self.ledger_changed_at = news.ledger_changed_at;
    }

    /// Shows the open alerts from the next metrics on.
    pub fn tell_alerts(&mut self, open: &OpenAlerts) {
        if self.alerts != *open {
            self.alerts.clone_from(open);
        }
    }

    /// The heartbeat of the metrics interval, `seconds` after the last: rates, staleness, a sample for the sparkline.
    pub fn beat(&mut self, now: UnixMillis, seconds: f64) -> Frame {
        self.board.report.head.market = Calendar::of(self.feed).session_at(now);
        self.watched.forget(now);
        self.look_for_rivals(now);
        self.infer(now, Some(seconds));
        self.look_for_stale_rows(now);
        self.sum_up();
        self.board.report.head.generated_at = now;
        self.board.sample_rates();
        Frame::Metrics(Metrics {
            live: self.board.report.live(),
            stale: self.board.stale.clone(),
            ledger_changed_at: self.ledger_changed_at,
            alerts: self.alerts.clone(),
        })
    }

    /// The status as it is now.
    #[must_use]
    pub fn report(&self) -> &StatusReport {
        &self.board.report
    }

    /// The rows of the board; a row's place is its id.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.board.rows
    }

    /// What is known of a symbol of a connection, which is recorded from now on; `None` when there is no such row.
    pub fn symbol(&mut self, id: ConnectionId, symbol: Symbol, now: UnixMillis) -> Option<SymbolDetail> {
        let row = self.board.rows[*self.places.get(&(id, symbol))? as usize];
        let watched = self.watched.ask((id, symbol), now);
        Some(SymbolDetail {
            at: now,
            row,
            recorded_since: watched.map(|watched| watched.since),
            seconds: watched.map(|watched| watched.seconds.iter().copied().collect()).unwrap_or_default(),
            last_arrival: watched.and_then(|watched| watched.last_arrival),
            ingest: None,
        })
    }

    /// The whole truth. Flush first, or what is not flushed yet is told twice.
    #[must_use]
    pub fn snapshot(&self, now: UnixMillis) -> Snapshot {
        let mut snapshot = self.board.snapshot();
        snapshot.report.live.head.generated_at = now;
        snapshot.alerts.clone_from(&self.alerts);
        snapshot
    }

    /// The whole truth but for rows beyond the first `rows_max` of each connection.
    #[must_use]
    pub fn first_view(&self, rows_max: usize) -> Snapshot {
        let mut counts: HashMap<ConnectionId, usize> = HashMap::new();
        let first_rows = self.board.rows.iter().enumerate().filter(|(_, row)| {
            let count = counts.entry(row.connection_id).or_default();
            *count += 1;
            *count <= rows_max
        });
        let (places, rows): (Vec<usize>, Vec<Row>) = first_rows.map(|(place, row)| (place, *row)).unzip();
        let stale = self.stale_among(places.into_iter());
        let board = Board { rows, report: self.board.report.clone(), rates: self.board.rates.clone(), stale };
        Snapshot { alerts: self.alerts.clone(), ..board.snapshot() }
    }

    fn drain_ticks(&mut self, now: UnixMillis) -> Ticks {
        let entries = self.dirty.drain(..).map(|place| {
            let row = &self.board.rows[place as usize];
            TickEntry {
                row: place,
                price: row.price.unwrap_or_default(),
                volume: row.volume,
                age_ms: now.millis_since(row.timestamp),
                ticks: std::mem::take(&mut self.fresh[place as usize]).ticks,
            }
        });
        let entries = entries.collect();
        let waited_ms = self.received.take().map_or(0, |received| now.millis_since(received));
        Ticks { at: now, entries, waited_ms: waited_ms.clamp(0, u16::MAX.into()) as u16 }
    }

    fn forget_news(&mut self) {
        self.dirty.clear();
        self.received = None;
        self.fresh.fill(Fresh::default());
        self.rows_flushed = self.board.rows.len();
        self.changed = false;
    }

    fn fold(&mut self, tick: &Tick, count: u32, now: UnixMillis) {
        let Some(connection_id) = self.carrier_of(tick) else {
            return self.leave_unassigned(count.into());
        };
        self.observed.entry(connection_id).or_default().ticked(count, now);
        let Some(place) = self.place_of(connection_id, tick.symbol) else {
            return self.leave_unassigned(count.into());
        };
        self.beats[place as usize].rhythm.beat(now);
        let row = &mut self.board.rows[place as usize];
        let fresh = &mut self.fresh[place as usize];
        if fresh.ticks == 0 {
            fresh.price_before = row.price;
            self.dirty.push(place);
        }
        row.take(tick.price, tick.volume, tick.timestamp, u64::from(count));
        row.direction = Direction::of(fresh.price_before, tick.price);
        fresh.ticks = fresh.ticks.saturating_add(count);
        self.tapes.record(connection_id, place, tick, count);
        self.watched.record(connection_id, tick, count, now);
        if let Some(mirror) = &mut self.mirror {
            mirror.record(connection_id, place, tick, count, now);
        }
        if let Some(tee) = &mut self.tee {
            tee.record(connection_id, place, tick, count);
        }
    }

    /// A tick belongs to the connection that it names, else to the one that carries its symbol, else to none: never
    /// to a guess.
    fn carrier_of(&self, tick: &Tick) -> Option<ConnectionId> {
        match tick.connection_id {
            Some(id) => self.board.report.connections.iter().any(|connection| connection.live.id == id).then_some(id),
            None => self.carriers.get_ticker_assignment(tick.symbol),
        }
    }

    /// The row of a connection's symbol; a new one for a symbol that was not configured; `None` when the board is full.
    fn place_of(&mut self, connection_id: ConnectionId, symbol: Symbol) -> Option<RowId> {
        if let Some(place) = self.places.get(&(connection_id, symbol)) {
            return Some(*place);
        }
        if self.board.rows.len() >= ROWS_MAX {
            return None;
        }
        let place = self.board.rows.len() as RowId;
        let known = self.retired.remove(&(connection_id, symbol));
        self.board.rows.push(known.unwrap_or_else(|| Row::empty(connection_id, symbol)));
        self.fresh.push(Fresh::default());
        self.beats.push(Beat::default());
        self.places.insert((connection_id, symbol), place);
        Some(place)
    }

    /// One row for each symbol of each enabled connection; what was known of it stays, also of those that come back.
    fn lay_out_rows(&mut self) {
        if let Some(tee) = &mut self.tee {
            tee.renumber(&self.board.rows);
        }
        let names = self.board.rows.iter().map(|row| (row.connection_id, row.symbol));
        let mut beats: Beats = names.zip(std::mem::take(&mut self.beats)).collect();
        let mut known = std::mem::take(&mut self.retired);
        known.extend(self.board.rows.drain(..).map(|row| ((row.connection_id, row.symbol), row)));
        self.carriers = Assignments::default();
        for connection in self.board.report.connections.iter().filter(|connection| connection.live.enabled) {
            let id = connection.live.id;
            for symbol in &connection.config.symbols {
                self.carriers.assign(*symbol, id);
                // All symbols are no symbol: their rows come as they tick.
                if self.board.rows.len() < ROWS_MAX && &**symbol != "*" {
                    let row = known.remove(&(id, *symbol)).unwrap_or_else(|| Row::empty(id, *symbol));
                    self.board.rows.push(row);
                }
            }
            // Those that came by a wildcard stay.
            if connection.config.symbols.iter().any(|symbol| &**symbol == "*") {
                let room = ROWS_MAX.saturating_sub(self.board.rows.len());
                let mut came: Vec<_> =
                    known.extract_if(|(of, _), _| *of == id).map(|(_, row)| row).take(room).collect();
                came.sort_unstable_by_key(|row| row.symbol);
                self.board.rows.append(&mut came);
            }
        }
        known.retain(|_, row| row.ticks_total > 0);
        if known.len() <= ROWS_MAX {
            self.retired = known;
        }
        let names = self.board.rows.iter().map(|row| (row.connection_id, row.symbol));
        self.beats = names.map(|name| beats.remove(&name).unwrap_or_default()).collect();
        self.number_rows();
        self.board.rates.resize_with(self.board.report.connections.len(), Default::default);
        self.tapes.renumber();
        self.reconfigured = true;
    }

    fn sum_up(&mut self) {
        let report = &mut self.board.report;
        report.head.summary =
            Summary::of(report.connections.iter().map(|connection| &connection.live), self.unassigned_ticks_total);
    }
}
