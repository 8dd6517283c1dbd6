//! What a server with the feed Redis writes down of what others publish: monitor, recorder and ledger together.

use super::super::*;
use crate::{
    bus::Delivery,
    config::{Config, Variables},
    database::history::{Batch, Past, Run},
    monitor::Monitor,
    universe::{Universes, plan},
};
use app::model::{
    health::{Health, Layer, LayerState},
    history::gap::GapCause,
    status::{BusKind, BusStatus, Collector, ConnectionStatus, Feed},
    symbol::Symbol,
    tick::Tick,
};
use std::sync::Arc;

/// A Wednesday, ten in the morning in New York.
const START: i64 = 1_769_007_600_000;

fn at(millis: i64) -> UnixMillis {
    UnixMillis(START + millis)
}

/// A server that watches, with what it wrote down so far.
struct Watcher {
    monitor: Monitor,
    recorder: Recorder,
    samples: Vec<Sample>,
    gaps: BTreeMap<u32, Gap>,
}

impl Watcher {
    fn start(past: Past, now: i64) -> Self {
        let variables: Variables = [
            ("USE_MULTI_CONNECTION", "true"),
            ("WEBSOCKET_CONNECTION_1_ENABLED", "true"),
            ("WEBSOCKET_CONNECTION_1_SYMBOLS", "AAPL,MSFT"),
        ]
        .into();
        let config = Config::read(&variables).expect("a good configuration");
        let plans = plan(&config.connections, &Universes::load(None).expect("no file"));
        let mut monitor = Monitor::new(Feed::Redis, plans, at(now));
        let bus = BusStatus { kind: BusKind::Redis, connected: true, ..BusStatus::default() };
        monitor.take(&Delivery { bus: Some(bus), ..Delivery::default() }, at(now));
        let recorder = Recorder::new(Ledger::resume(past, Feed::Redis, at(now), None));
        let mut watcher = Self { monitor, recorder, samples: Vec::new(), gaps: BTreeMap::new() };
        watcher.look(now);
        watcher
    }

    /// A status comes.
    fn hear(&mut self, now: i64, status: StatusReport) {
        self.monitor.take(&Delivery { statuses: vec![Arc::new(status)], ..Delivery::default() }, at(now));
        self.look(now);
    }

    /// So many ticks come.
    fn tick(&mut self, now: i64, count: usize) {
        let symbol = Symbol::parse("AAPL").expect("a symbol");
        let tick = Tick { connection_id: Some(1), symbol, price: 1.0, volume: 1, timestamp: at(now) };
        self.monitor.take(&Delivery { ticks: vec![tick; count], ..Delivery::default() }, at(now));
    }

    /// A metrics interval is over.
    fn beat(&mut self, now: i64) {
        self.monitor.beat(at(now), 1.0);
        self.look(now);
    }

    fn look(&mut self, now: i64) {
        self.recorder.observe(self.monitor.report(), at(now));
        self.drain();
    }

    fn drain(&mut self) {
        let Batch { samples, gaps, .. } = self.recorder.backlog.take(Run::default());
        self.samples.extend(samples);
        self.gaps.extend(gaps.into_iter().map(|gap| (gap.number, gap)));
    }

    /// Everything that was counted until then.
    fn sum(&mut self, now: i64) -> Counters {
        self.recorder.sample(at(now));
        self.drain();
        let mut sum = Counters::default();
        for Sample { messages, ticks, bytes, errors, reconnects, .. } in self.samples.iter().cloned() {
            sum += Counters { messages, ticks, bytes, errors, reconnects };
        }
        sum
    }

    fn most_a_second(&self) -> f64 {
        self.samples.iter().map(|sample| sample.ticks_per_second_max).fold(0.0, f64::max)
    }

    fn state(&self) -> (ConnectionState, StatusSource) {
        let report = self.monitor.report();
        (report.connections[0].live.state, report.head.status_source)
    }
}

/// What a collector says that was started at `since`, was up at `now`, and had its last tick then.
fn ours(now: i64, since: i64, ticks: u64) -> StatusReport {
    let mut connection = ConnectionStatus::default();
    let live = &mut connection.live;
    (live.id, live.name, live.enabled) = (1, "primary".into(), true);
    (live.state, live.connected, live.state_since) = (ConnectionState::Connected, true, Some(at(since)));
    live.health = Health { data: Layer::of(LayerState::Good), ..Health::default() };
    live.last_heartbeat = Some(at(now));
    live.metrics.last_update = Some(at(now));
    (live.metrics.ticks_total, live.metrics.messages_total, live.metrics.bytes_total) = (ticks, ticks, ticks * 100);
    (live.metrics.error_count, live.metrics.reconnects_total) = (ticks / 1_000, ticks / 10_000);
    connection.config.symbols = vec![Symbol::parse("AAPL").expect("a symbol")];
    connection.config.ticker_count = 1;
    let mut report = StatusReport { connections: vec![connection], ..StatusReport::default() };
    report.head.generated_at = at(now);
    report.head.collector = Some(Collector { server: "a (process 1)".into(), since: at(since), epoch: None });
    report
}

/// The same in TickStock's own shape.
fn tickstock(now: i64, ticks: u64) -> StatusReport {
    let mut report = ours(now, 0, ticks);
    report.head.collector = None;
    let live = &mut report.connections[0].live;
    (live.health, live.state_since, live.last_heartbeat) = (Health::default(), None, None);
    (live.metrics.last_update, live.metrics.bytes_total) = (None, 0);
    report
}

#[test]
fn a_watcher_beside_an_ingest_that_counted_a_million_writes_down_what_came_since() {
    let mut watcher = Watcher::start(Past::default(), 0);
    for second in 0..=20 {
        let now = 200 + second * 1000;
        watcher.tick(now, 10);
        watcher.hear(now, ours(now, -3_600_000, 1_000_000 + second as u64 * 10));
        watcher.beat(now + 500);
    }
    let sum = watcher.sum(21_000);
    assert_eq!((sum.ticks, sum.messages, sum.bytes, sum.errors, sum.reconnects), (200, 200, 20_000, 0, 0));
    assert!(watcher.most_a_second() <= 30.0, "{}", watcher.most_a_second());
    // An estimate rests on what came since, too.
    let mut lost = ours(21_000, -3_600_000, 1_000_200);
    (lost.connections[0].live.state, lost.connections[0].live.connected) = (ConnectionState::Reconnecting, false);
    watcher.hear(21_000, lost);
    let rate = watcher.gaps[&1].ticks_per_second_before.expect("a rate");
    assert!((5.0..=15.0).contains(&rate), "{rate}");
}

#[test]
fn a_status_that_comes_where_states_were_inferred_is_another_base() {
    let mut watcher = Watcher::start(Past::default(), 0);
    for second in 0..10 {
        watcher.tick(second * 1000, 7);
        watcher.beat(second * 1000 + 500);
    }
    assert_eq!(watcher.state(), (ConnectionState::Connected, StatusSource::Inferred));
    assert_eq!(watcher.sum(9_600).ticks, 70);
    watcher.hear(10_000, ours(10_000, -3_600_000, 5_000_000));
    watcher.tick(10_500, 7);
    watcher.hear(11_000, ours(11_000, -3_600_000, 5_000_007));
    assert_eq!(watcher.sum(12_000).ticks, 77);
}

#[test]
fn repeats_that_come_late_and_a_second_producer_make_no_history() {
    let mut watcher = Watcher::start(Past::default(), 0);
    for second in 0..=41_i64 {
        let (now, ticks) = (second * 1000, |second: i64| 1_125_855 + second as u64 * 12);
        watcher.tick(now, 12);
        watcher.hear(now, tickstock(now, ticks(second)));
        if [10, 17, 18, 30].contains(&second) {
            watcher.hear(now + 600, tickstock(now + 600, ticks(second - 1)));
        }
        if second > 20 {
            watcher.hear(now + 700, tickstock(now + 700, 9_000_000 + second as u64));
        }
        watcher.beat(now + 900);
    }
    assert_eq!(watcher.sum(42_000).ticks, 492);
    let warnings = &watcher.monitor.report().connections[0].config.warnings;
    assert!(warnings.iter().any(|warning| warning.starts_with("Two producers publish a status")), "{warnings:?}");
    assert!(watcher.gaps.is_empty(), "{:?}", watcher.gaps);
}

#[test]
fn a_collector_that_is_dead_is_stale_then_down_and_a_gap_from_its_last_status_on() {
    let mut watcher = Watcher::start(Past::default(), 0);
    for second in 0..=30 {
        let now = second * 1000;
        watcher.tick(now, 10);
        watcher.hear(now, ours(now, -3_600_000, 1_000_000 + second as u64 * 10));
        watcher.beat(now + 100);
    }
    let mut states = Vec::new();
    for second in 31..=55 {
        watcher.beat(second * 1000 + 100);
        states.push(watcher.state());
    }
    states.dedup();
    let reported = (ConnectionState::Connected, StatusSource::Reported);
    let stale = (ConnectionState::Connected, StatusSource::Stale);
    let down = (ConnectionState::Failed, StatusSource::Stale);
    assert_eq!((states.first(), states.last()), (Some(&reported), Some(&down)), "{states:?}");
    assert!(states.contains(&stale) || states.contains(&(ConnectionState::Mute, StatusSource::Stale)), "{states:?}");
    let live = &watcher.monitor.report().connections[0].live;
    let reason = live.reason.clone().unwrap_or_default();
    assert_eq!(reason, "The collector a (process 1) has been silent since 15:00:30 UTC: no status and no ticks");
    assert!(!live.connected);
    let gap = &watcher.gaps[&1];
    assert_eq!((gap.cause, gap.started_at), (GapCause::CollectorSilent, at(30_000)));
    assert_eq!(gap.missed_ticks(at(55_000)), Some(250), "{gap:?}");

    // Another run of it reports, and ticks.
    let mut connecting = ours(56_000, 55_500, 0);
    connecting.connections[0].live.state = ConnectionState::Connecting;
    connecting.connections[0].live.metrics.last_update = None;
    watcher.hear(56_000, connecting);
    assert!(watcher.gaps[&1].ended_at.is_none());
    watcher.tick(57_000, 3);
    watcher.hear(57_000, ours(57_000, 55_500, 3));
    let gap = &watcher.gaps[&1];
    assert_eq!((gap.cause, gap.ended_at), (GapCause::CollectorSilent, Some(at(57_000))));
    assert_eq!(watcher.gaps.len(), 1);
    watcher.hear(58_000, ours(58_000, 55_500, 13));
    assert_eq!(watcher.sum(59_000).ticks, 300 + 10 + 3, "of both runs, and nothing between them");
}

#[test]
fn a_collector_that_is_started_anew_is_no_change_of_configuration() {
    let mut watcher = Watcher::start(Past::default(), 0);
    for second in 0..=10 {
        watcher.hear(second * 1000, ours(second * 1000, -3_600_000, 1_000_000 + second as u64 * 10));
    }
    let mut connecting = ours(12_000, 11_500, 0);
    connecting.connections[0].live.state = ConnectionState::Connecting;
    (connecting.connections[0].live.metrics.last_update, connecting.connections[0].live.last_heartbeat) = (None, None);
    watcher.hear(12_000, connecting);
    let gap = &watcher.gaps[&1];
    assert_eq!((gap.cause, gap.words.as_str()), (GapCause::CollectorSilent, "The collector was started anew"));
    assert_eq!(gap.started_at, at(10_000));
}

#[test]
fn a_redis_that_cannot_be_reached_is_not_the_collectors_silence() {
    let mut watcher = Watcher::start(Past::default(), 0);
    watcher.tick(0, 10);
    watcher.hear(0, ours(0, -3_600_000, 1_000));
    let reason = Some("Redis delivers no ticks: Connection refused".to_owned());
    let bus = BusStatus { kind: BusKind::Redis, connected: false, reason, ..BusStatus::default() };
    watcher.monitor.take(&Delivery { bus: Some(bus), ..Delivery::default() }, at(1_000));
    (1..=20).for_each(|second| watcher.beat(second * 1000));
    let gap = &watcher.gaps[&1];
    assert_eq!(gap.cause, GapCause::BusDown);
    assert_eq!(gap.words, "No status since 15:00:00 UTC: Redis delivers no ticks: Connection refused");
}

#[test]
fn what_a_collector_counted_while_its_status_did_not_come_is_put_where_it_belongs() {
    let mut watcher = Watcher::start(Past::default(), 0);
    for second in 0..=90_i64 {
        let now = second * 1000;
        // Ticks go on; its status does not come for half a minute.
        watcher.tick(now, 10);
        if !(31..=59).contains(&second) {
            watcher.hear(now, ours(now, -3_600_000, 1_000_000 + second as u64 * 10));
        }
        watcher.beat(now + 100);
    }
    assert_eq!(watcher.sum(91_000).ticks, 900, "exactly");
    assert!(watcher.most_a_second() <= 30.0, "and no second has what many brought: {}", watcher.most_a_second());
    assert!(watcher.gaps.is_empty(), "ticks came all the while: {:?}", watcher.gaps);
}

#[test]
fn a_watcher_that_is_started_anew_during_an_outage_leaves_the_gap_as_it_is() {
    let open = Gap { last_tick_at: Some(at(-60_000)), ..Gap::blank(1, 4, at(-60_000)) };
    let run = Run { last_seen_at: at(-5_000), connection_ids: vec![1], ..Run::default() };
    let past = Past { last_run: Some(run), open: vec![open], numbers: vec![(1, 4)], ..Past::default() };
    let mut watcher = Watcher::start(past, 0);
    let mut lost = ours(-60_000, -3_600_000, 1_000_000);
    lost.connections[0].live.state = ConnectionState::Reconnecting;
    lost.connections[0].live.last_heartbeat = Some(at(-59_000));
    for second in 1..5 {
        lost.head.generated_at = at(second * 1000);
        watcher.hear(second * 1000, lost.clone());
    }
    assert!(watcher.gaps.values().all(|gap| gap.number == 4 && gap.ended_at.is_none()), "{:?}", watcher.gaps);
    watcher.hear(6_000, ours(6_000, -3_600_000, 1_000_001));
    let ended = watcher.gaps.values().map(|gap| (gap.number, gap.first_tick_at)).collect::<Vec<_>>();
    assert_eq!(ended, [(4, Some(at(6_000)))], "by the first tick after it began, and no other gap");
}
