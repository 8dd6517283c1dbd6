use super::*;
use crate::{
    config::{Config, Variables},
    universe::{Universes, plan},
};
use app::model::{
    board::Change,
    connection::ConnectionState,
    health::LayerState,
    protocol::RowSpan,
    status::{BusKind, BusStatus, StatusSource},
};
use std::sync::Arc;

const NOW: UnixMillis = UnixMillis(1_768_998_896_789);

fn later(millis: i64) -> UnixMillis {
    UnixMillis(NOW.0 + millis)
}

fn monitor(feed: Feed) -> Monitor {
    let variables: Variables = [
        ("USE_MULTI_CONNECTION", "true"),
        ("WEBSOCKET_CONNECTION_1_ENABLED", "true"),
        ("WEBSOCKET_CONNECTION_1_SYMBOLS", "AAPL,MSFT"),
        ("WEBSOCKET_CONNECTION_2_ENABLED", "true"),
        ("WEBSOCKET_CONNECTION_2_SYMBOLS", "JPM"),
    ]
    .into();
    let config = Config::read(&variables).expect("a good configuration");
    Monitor::new(feed, plan(&config.connections, &Universes::load(None).expect("no file")), NOW)
}

fn tick(connection_id: Option<ConnectionId>, symbol: &str, price: f64) -> Tick {
    Tick { connection_id, symbol: Symbol::parse(symbol).expect("a symbol"), price, volume: 10, timestamp: NOW }
}

fn ticks(ticks: Vec<Tick>) -> Delivery {
    Delivery { ticks, ..Delivery::default() }
}

#[test]
fn many_ticks_of_a_symbol_are_one_entry_with_their_count() {
    let mut monitor = monitor(Feed::Simulator);
    monitor.take(&ticks(vec![tick(Some(1), "AAPL", 1.0), tick(Some(1), "MSFT", 5.0), tick(Some(1), "AAPL", 2.0)]), NOW);
    let frames = monitor.flush(NOW);
    let [Frame::Ticks(frame)] = frames.as_slice() else { panic!("one frame of ticks: {frames:?}") };
    let entries: Vec<_> = frame.entries.iter().map(|entry| (entry.row, entry.price, entry.ticks)).collect();
    assert_eq!(entries, [(0, 2.0, 2), (1, 5.0, 1)]);
    assert!(!monitor.has_news() && monitor.flush(NOW).is_empty());
}

#[test]
fn a_frame_says_how_long_the_first_of_its_ticks_waited() {
    let mut monitor = monitor(Feed::Simulator);
    let came = |since, symbol| Delivery { since: Some(since), ..ticks(vec![tick(None, symbol, 1.0)]) };
    let waited_ms = |monitor: &mut Monitor, now| match monitor.flush(now).as_slice() {
        [Frame::Ticks(frame)] => frame.waited_ms,
        frames => panic!("one frame of ticks: {frames:?}"),
    };
    monitor.take(&came(later(-500), "NOBODYS"), NOW);
    assert!(!monitor.has_news());
    monitor.take(&came(later(3), "AAPL"), later(5));
    monitor.take(&came(later(6), "MSFT"), later(8));
    assert_eq!(waited_ms(&mut monitor, later(13)), 10);
    monitor.take(&came(later(20), "MSFT"), later(21));
    assert_eq!(waited_ms(&mut monitor, later(21)), 1, "and the next frame is its own");
}

#[test]
fn a_browser_that_folds_the_frames_has_the_servers_board() {
    let mut monitor = monitor(Feed::Simulator);
    let mut browser = Board::from(monitor.snapshot(NOW));
    let delivery = Delivery {
        ticks: vec![tick(Some(1), "AAPL", 1.0), tick(Some(2), "NEW", 3.0)],
        conflated: vec![(tick(Some(1), "AAPL", 9.0), 41)],
        bus: Some(BusStatus { connected: true, ..BusStatus::default() }),
        ..Delivery::default()
    };
    monitor.take(&delivery, NOW);
    let frames = monitor.flush(NOW);
    let changes: Vec<_> =
        frames.iter().map(|frame| browser.apply(&Frame::decode(&frame.encode()).expect("decodes"))).collect();
    assert_eq!(changes, [Change::RowsFrom(3), Change::Prices, Change::Live]);
    browser.apply(&monitor.beat(NOW, 1.0));
    assert_eq!(browser, Board::from(monitor.snapshot(NOW)));
    assert_eq!(browser.rows[0].ticks_total, 42, "counts are exact, conflated or not");
}

#[test]
fn a_tick_without_connection_goes_where_its_symbol_is_assigned_or_nowhere() {
    let mut monitor = monitor(Feed::Redis);
    monitor.take(&ticks(vec![tick(None, "JPM", 1.0), tick(None, "TSLA", 2.0), tick(Some(9), "AAPL", 3.0)]), NOW);
    monitor.flush(NOW);
    monitor.beat(NOW, 1.0);
    assert_eq!(monitor.report().head.summary.unassigned_ticks_total, 2);
    let priced: Vec<_> =
        monitor.board.rows.iter().filter(|row| row.price.is_some()).map(|row| row.connection_id).collect();
    assert_eq!(priced, [2]);
}

#[test]
fn without_a_status_states_are_read_off_the_ticks_and_marked() {
    let mut monitor = monitor(Feed::Redis);
    let state = |monitor: &Monitor| monitor.report().connections[0].live.state;
    assert_eq!(monitor.report().head.status_source, StatusSource::Inferred);
    assert_eq!(state(&monitor), ConnectionState::Connecting);

    monitor.take(&ticks(vec![tick(Some(1), "AAPL", 1.0)]), NOW);
    monitor.beat(later(1_000), 1.0);
    let live = &monitor.report().connections[0].live;
    assert_eq!((live.state, live.metrics.ticks_per_second), (ConnectionState::Connected, 1.0));

    // Before the open trading is thin.
    monitor.beat(later(60_000), 59.0);
    assert_eq!(state(&monitor), ConnectionState::Connected);
    monitor.beat(later(60_001), 1.0);
    assert_eq!(state(&monitor), ConnectionState::Mute);
    assert_eq!(monitor.report().connections[2].live.state, ConnectionState::Disabled);
}

fn open_market(monitor: &mut Monitor) -> UnixMillis {
    // A Wednesday, ten in the morning in New York.
    let now = UnixMillis(1_769_007_600_000);
    monitor.beat(now, 1.0);
    now
}

/// What TickStock's own manager says: connected, and nothing of health.
fn tickstock_status() -> StatusReport {
    let mut report = StatusReport::default();
    let mut connection = ConnectionStatus::default();
    (connection.live.id, connection.live.name, connection.live.enabled) = (1, "primary".into(), true);
    (connection.live.state, connection.live.connected) = (ConnectionState::Connected, true);
    report.connections.push(connection);
    report
}

#[test]
fn a_connection_that_is_reported_connected_while_nothing_arrives_is_mute() {
    let mut monitor = monitor(Feed::Redis);
    let now = open_market(&mut monitor);
    let at = |seconds: i64| UnixMillis(now.0 + seconds * 1_000);
    let mut report = tickstock_status();
    let mut say = |monitor: &mut Monitor, seconds| {
        report.head.generated_at = at(seconds);
        monitor.take(&Delivery { statuses: vec![Arc::new(report.clone())], ..Delivery::default() }, at(seconds));
        monitor.beat(at(seconds), 1.0);
    };
    let live = |monitor: &Monitor| monitor.report().connections[0].live.clone();
    for second in 0..20 {
        monitor.take(&ticks(vec![tick(Some(1), "AAPL", 1.0)]), at(second));
        say(&mut monitor, second);
    }
    assert_eq!(
        (live(&monitor).state, live(&monitor).health.data.state),
        (ConnectionState::Connected, LayerState::Good)
    );
    let since = live(&monitor).state_since;
    say(&mut monitor, 28);
    assert_eq!((live(&monitor).state, live(&monitor).state_since), (ConnectionState::Connected, since));
    say(&mut monitor, 30);
    let mute = live(&monitor);
    assert_eq!((mute.state, mute.health.data.state), (ConnectionState::Mute, LayerState::Bad));
    assert_eq!(mute.reason.as_deref(), Some("Reported connected, and yet: No ticks since 15:00:19 UTC"));
    say(&mut monitor, 35);
    assert_eq!(live(&monitor).state_since, Some(at(30)), "since it began");
    monitor.take(&ticks(vec![tick(Some(1), "AAPL", 1.0)]), at(36));
    say(&mut monitor, 36);
    assert_eq!(live(&monitor).state, ConnectionState::Connected);
}

#[test]
fn a_status_that_does_not_say_how_long_gets_the_time_that_was_seen_from_here() {
    let mut monitor = monitor(Feed::Redis);
    let now = open_market(&mut monitor);
    let at = |seconds: i64| UnixMillis(now.0 + seconds * 1_000);
    let mut say = |seconds: i64, state: ConnectionState| {
        let mut report = tickstock_status();
        (report.connections[0].live.state, report.connections[0].live.connected) = (state, state.is_up());
        report.connections[0].live.metrics.messages_total = seconds.unsigned_abs();
        monitor.take(&ticks(vec![tick(Some(1), "AAPL", 1.0)]), at(seconds));
        monitor.take(&Delivery { statuses: vec![Arc::new(report)], ..Delivery::default() }, at(seconds));
        monitor.beat(at(seconds), 1.0);
        monitor.report().connections[0].live.uptime_seconds
    };
    assert_eq!([0, 1, 60].map(|second| say(second, ConnectionState::Connected)), [0, 1, 60]);
    assert_eq!(say(61, ConnectionState::Failed), 0);
    assert_eq!([62, 70].map(|second| say(second, ConnectionState::Connected)), [0, 8], "from then on");
}

/// The symbols that are shown as stale.
fn stale(monitor: &mut Monitor, now: UnixMillis) -> Vec<String> {
    let Frame::Metrics(metrics) = monitor.beat(now, 1.0) else { panic!("metrics") };
    let rows = monitor.rows().iter().zip(0..).filter(|(_, place)| RowSpan::hold(&metrics.stale, *place));
    rows.map(|(row, _)| row.symbol.to_string()).collect()
}

#[test]
fn a_row_is_stale_when_its_symbol_is_silent_beyond_its_own_pauses_however_old_its_times_are() {
    let mut monitor = monitor(Feed::Redis);
    let now = open_market(&mut monitor);
    let at = |seconds: i64| UnixMillis(now.0 + seconds * 1_000);
    // A quarter of an hour late, as the delayed host is: one symbol each second, one each 30 s, one once.
    let delayed = |symbol: &str, seconds: i64| Tick { timestamp: at(seconds - 900), ..tick(None, symbol, 1.0) };
    monitor.take(&ticks(vec![delayed("JPM", 0)]), at(0));
    for second in 0..=600 {
        let mut came = vec![delayed("AAPL", second)];
        if second % 30 == 0 {
            came.push(delayed("MSFT", second));
        }
        monitor.take(&ticks(came), at(second));
        assert_eq!(stale(&mut monitor, at(second)), [""; 0], "{second}");
    }
    assert_eq!(stale(&mut monitor, at(660)), [""; 0], "nothing is judged within a minute");
    assert_eq!(stale(&mut monitor, at(661)), ["AAPL"], "JPM may be one that hardly trades");
    assert_eq!(stale(&mut monitor, at(842)), ["AAPL", "MSFT"], "eight pauses of half a minute");
    let first = monitor.first_view(1);
    assert_eq!(first.stale, [RowSpan { first: 0, count: 1 }], "by the places of its own rows");
    monitor.take(&ticks(vec![delayed("AAPL", 843)]), at(843));
    assert_eq!(stale(&mut monitor, at(843)), ["MSFT"]);
}

#[test]
fn minute_bars_and_a_closed_market_make_no_row_stale() {
    let mut monitor = monitor(Feed::Redis);
    // A Wednesday, from half past three in New York until the evening.
    let start = 1_769_007_600_000 + 5 * 3_600_000 + 1_800_000;
    for minute in 0..30 {
        let now = UnixMillis(start + minute * 60_000);
        monitor.take(&ticks(vec![tick(None, "AAPL", 1.0)]), now);
        for second in [0, 2, 30, 59] {
            assert_eq!(stale(&mut monitor, UnixMillis(now.0 + second * 1_000)), [""; 0], "{minute}:{second}");
        }
    }
    for minute in [31, 60, 300, 600] {
        assert_eq!(stale(&mut monitor, UnixMillis(start + minute * 60_000)), [""; 0], "{minute} min: after the close");
    }
}

#[test]
fn silence_is_quiet_while_the_market_is_closed() {
    let mut monitor = monitor(Feed::Redis);
    let night = UnixMillis(1_769_007_600_000 + 12 * 3_600_000);
    monitor.beat(night, 1.0);
    monitor.take(&ticks(vec![tick(Some(1), "AAPL", 1.0)]), night);
    let later = UnixMillis(night.0 + 60_000);
    monitor.beat(later, 1.0);
    let live = &monitor.report().connections[0].live;
    assert_eq!((live.state, live.health.data.state), (ConnectionState::Connected, LayerState::Quiet));
    let mut report = tickstock_status();
    report.head.generated_at = later;
    monitor.take(&Delivery { statuses: vec![Arc::new(report)], ..Delivery::default() }, later);
    assert_eq!(monitor.report().connections[0].live.state, ConnectionState::Connected);
}

#[test]
fn another_configuration_brings_other_rows_to_a_dashboard_that_only_watches() {
    let mut monitor = monitor(Feed::Redis);
    let report = Arc::new(tickstock_status());
    monitor.take(&Delivery { statuses: vec![report], ..Delivery::default() }, NOW);
    assert_eq!(monitor.report().connections[0].config.symbols.len(), 2);
    let mut plans = monitor.plans.clone();
    plans[0].config.symbols.push(Symbol::parse("NVDA").expect("a symbol"));
    monitor.replan(plans, NOW);
    assert_eq!(monitor.report().connections[0].config.symbols.len(), 3);
    assert!(matches!(monitor.flush(NOW).as_slice(), [Frame::Snapshot(_)]));
}

#[test]
fn a_status_that_stops_coming_turns_stale() {
    let mut monitor = monitor(Feed::Redis);
    let mut report = monitor.report().clone();
    report.connections[0].live.metrics.ticks_per_second = 250.0;
    monitor.take(&Delivery { statuses: vec![Arc::new(report)], ..Delivery::default() }, NOW);
    let rate = |monitor: &Monitor| monitor.report().connections[0].live.metrics.ticks_per_second;
    monitor.beat(later(10_000), 1.0);
    assert_eq!(rate(&monitor), 250.0);
    assert_eq!(monitor.report().head.status_source, StatusSource::Reported);
    monitor.beat(later(10_001), 1.0);
    assert_eq!(monitor.report().head.status_source, StatusSource::Stale);
    assert_eq!(rate(&monitor), 0.0, "nothing arrives here: the rate of another time is none");
    assert!(matches!(monitor.flush(later(10_002)).as_slice(), [Frame::Live(_)]));
}

#[test]
fn the_open_is_no_silence_of_the_night_before() {
    let mut monitor = monitor(Feed::Redis);
    let state = |monitor: &Monitor| monitor.report().connections[0].live.state;
    // A Wednesday in New York: half past nine.
    let open = 1_769_005_800_000;
    for second in (-600..-60).step_by(5) {
        monitor.take(&ticks(vec![tick(Some(1), "AAPL", 1.0)]), UnixMillis(open + second * 1_000));
    }
    for seconds in [0, 5, 20] {
        monitor.beat(UnixMillis(open + seconds * 1_000), 1.0);
        assert_eq!(state(&monitor), ConnectionState::Connected, "{seconds} s after the open");
    }
    monitor.beat(UnixMillis(open + 21_000), 1.0);
    assert_eq!(state(&monitor), ConnectionState::Mute);
}

#[test]
fn a_connection_that_is_switched_on_brings_its_rows() {
    let mut monitor = monitor(Feed::Simulator);
    let mut report = monitor.report().clone();
    report.connections[1].live.enabled = false;
    monitor.take(&Delivery { statuses: vec![Arc::new(report.clone())], ..Delivery::default() }, NOW);
    assert_eq!(monitor.rows().len(), 2);
    report.connections[1].live.enabled = true;
    monitor.take(&Delivery { statuses: vec![Arc::new(report)], ..Delivery::default() }, NOW);
    assert_eq!(monitor.rows().len(), 3);
}

#[test]
fn a_changed_configuration_is_a_snapshot_that_keeps_known_prices() {
    let mut monitor = monitor(Feed::Simulator);
    monitor.take(&ticks(vec![tick(Some(1), "AAPL", 7.0)]), NOW);
    let mut report = monitor.report().clone();
    report.connections[0].config.symbols = vec![Symbol::parse("AAPL").expect("a symbol")];
    monitor.take(&Delivery { statuses: vec![Arc::new(report)], ..Delivery::default() }, NOW);
    let frames = monitor.flush(NOW);
    let [Frame::Snapshot(snapshot)] = frames.as_slice() else { panic!("a snapshot: {frames:?}") };
    let rows: Vec<_> = snapshot.rows.iter().map(|row| (&*row.symbol, row.price)).collect();
    assert_eq!(rows, [("AAPL", Some(7.0)), ("JPM", None)]);
}

#[test]
fn a_report_with_the_same_states_is_no_news() {
    let mut monitor = monitor(Feed::Simulator);
    let report = Arc::new(monitor.report().clone());
    monitor.take(&Delivery { statuses: vec![Arc::clone(&report)], ..Delivery::default() }, NOW);
    assert!(matches!(monitor.flush(NOW).as_slice(), [Frame::Live(_)]), "the first one is");
    monitor.take(&Delivery { statuses: vec![report], ..Delivery::default() }, NOW);
    assert!(!monitor.has_news());
}

#[test]
fn malformed_ticks_are_counted_with_the_next_metrics_and_only_a_change_of_the_bus_is_news() {
    let mut monitor = monitor(Feed::Redis);
    let mut bus = BusStatus { kind: BusKind::Redis, connected: true, ..BusStatus::default() };
    let say = |monitor: &mut Monitor, bus: &BusStatus| {
        monitor.take(&Delivery { bus: Some(bus.clone()), ..Delivery::default() }, NOW);
        monitor.flush(NOW).len()
    };
    assert_eq!(say(&mut monitor, &bus), 1);
    for total in 1..=100 {
        (bus.rejected_total, bus.last_rejection) = (total, Some(format!("no JSON, {total}")));
        assert_eq!(say(&mut monitor, &bus), 0, "a frame for a malformed tick");
    }
    let Frame::Metrics(told) = monitor.beat(NOW, 1.0) else { panic!("metrics") };
    assert_eq!(told.live.head.bus.rejected_total, 100);
    bus.reason = Some("Redis is 1.2 s behind".into());
    assert_eq!(say(&mut monitor, &bus), 1, "late is another state");
    bus.reason = Some("Redis is 1.7 s behind".into());
    assert_eq!(say(&mut monitor, &bus), 0);
    (bus.connected, bus.reason) = (false, Some("Redis delivers no ticks".into()));
    assert_eq!(say(&mut monitor, &bus), 1);
    bus.reason = Some("Redis takes no ticks".into());
    assert_eq!(say(&mut monitor, &bus), 1, "for another reason");
}

#[test]
fn a_first_view_is_short() {
    let view = monitor(Feed::Simulator).first_view(1);
    assert_eq!(view.rows.iter().map(|row| &*row.symbol).collect::<Vec<_>>(), ["AAPL", "JPM"]);
}

#[test]
fn a_status_that_names_some_connections_takes_none_away() {
    let mut monitor = monitor(Feed::Redis);
    let mut report = monitor.report().clone();
    report.head.generated_at = NOW;
    report.connections.truncate(1);
    report.connections.push(report.connections[0].clone());
    report.connections[0].live.name = "first".into();
    let mut stranger = report.connections[0].clone();
    stranger.live.id = 200;
    report.connections.push(stranger);
    monitor.take(&Delivery { statuses: vec![Arc::new(report)], ..Delivery::default() }, NOW);
    let shown: Vec<_> = monitor.report().connections.iter().map(|c| (c.live.id, c.live.state, &*c.live.name)).collect();
    assert_eq!(
        shown,
        [
            (1, ConnectionState::Connecting, "first"),
            (2, ConnectionState::Failed, "secondary"),
            (3, ConnectionState::Disabled, "tertiary"),
        ]
    );
    monitor.take(&ticks(vec![tick(None, "JPM", 1.0)]), NOW);
    assert_eq!(monitor.unassigned_ticks_total, 0, "JPM is connection 2's, reported or not");
}

#[test]
fn a_status_without_rates_gets_those_of_the_ticks() {
    let mut monitor = monitor(Feed::Redis);
    let report = Arc::new(monitor.report().clone());
    monitor.take(&Delivery { statuses: vec![Arc::clone(&report)], ..Delivery::default() }, NOW);
    monitor.take(&ticks(vec![tick(Some(1), "AAPL", 1.0); 20]), NOW);
    monitor.beat(later(1_000), 2.0);
    monitor.take(&Delivery { statuses: vec![report], ..Delivery::default() }, later(1_000));
    let live = &monitor.report().connections[0].live;
    assert_eq!((live.metrics.ticks_per_second, live.metrics.last_update), (10.0, Some(NOW)));
}

#[test]
fn an_old_status_is_stale_however_late_it_arrives() {
    let mut monitor = monitor(Feed::Redis);
    let report = Arc::new(monitor.report().clone());
    monitor.take(&Delivery { statuses: vec![report], ..Delivery::default() }, later(60_000));
    monitor.beat(later(60_000), 1.0);
    assert_eq!(monitor.report().head.status_source, StatusSource::Stale);
}

#[test]
fn an_open_tape_has_every_tick_in_order_and_a_closed_one_costs_nothing() {
    let mut monitor = monitor(Feed::Simulator);
    monitor.open_tapes([1].into_iter().collect());
    let delivery = Delivery {
        ticks: vec![tick(Some(1), "AAPL", 1.0), tick(Some(2), "JPM", 5.0), tick(Some(1), "AAPL", 2.0)],
        conflated: vec![(tick(Some(1), "MSFT", 9.0), 41)],
        ..Delivery::default()
    };
    monitor.take(&delivery, NOW);
    let frames = monitor.flush(later(7));
    let [Frame::Tape(tape), Frame::Ticks(_)] = frames.as_slice() else { panic!("a tape, then prices: {frames:?}") };
    let entries: Vec<_> = tape.entries.iter().map(|entry| (entry.row, entry.price, entry.ticks)).collect();
    assert_eq!(entries, [(0, 1.0, 1), (0, 2.0, 1), (1, 9.0, 41)], "what the bus conflated says so");
    assert_eq!((tape.connection_id, tape.skipped, tape.entries[0].age_ms), (1, 0, 7));

    monitor.open_tapes([].into_iter().collect());
    monitor.take(&ticks(vec![tick(Some(1), "AAPL", 3.0)]), NOW);
    assert!(matches!(monitor.flush(NOW).as_slice(), [Frame::Ticks(_)]));
}

#[test]
fn a_tape_is_bounded_and_counts_what_does_not_fit() {
    use app::model::tape::TAPE_ENTRIES_MAX;
    let mut monitor = monitor(Feed::Simulator);
    monitor.open_tapes([1].into_iter().collect());
    monitor.take(&ticks(vec![tick(Some(1), "AAPL", 1.0); TAPE_ENTRIES_MAX + 5]), NOW);
    let frames = monitor.flush(NOW);
    let Some(Frame::Tape(tape)) = frames.first() else { panic!("a tape: {frames:?}") };
    assert_eq!((tape.entries.len(), tape.skipped), (TAPE_ENTRIES_MAX, 5));
    monitor.take(&ticks(vec![tick(Some(1), "AAPL", 2.0)]), NOW);
    let frames = monitor.flush(NOW);
    let Some(Frame::Tape(tape)) = frames.first() else { panic!("a tape: {frames:?}") };
    assert_eq!((tape.entries.len(), tape.skipped), (1, 0), "and starts anew");
}

#[test]
fn a_symbol_that_is_removed_and_put_back_has_its_total_again() {
    let mut monitor = monitor(Feed::Simulator);
    let mut browser = Board::from(monitor.snapshot(NOW));
    let mut show = |monitor: &mut Monitor| {
        for frame in monitor.flush(NOW) {
            browser.apply(&Frame::decode(&frame.encode()).expect("decodes"));
        }
        browser.rows.iter().find(|row| &*row.symbol == "MSFT").map(|row| row.ticks_total)
    };
    monitor.take(&ticks(vec![tick(Some(1), "MSFT", 1.0); 1_135]), NOW);
    assert_eq!(show(&mut monitor), Some(1_135));
    let all = monitor.report().clone();
    let mut fewer = all.clone();
    fewer.connections[0].config.symbols.truncate(1);
    monitor.take(&Delivery { statuses: vec![Arc::new(fewer)], ..Delivery::default() }, NOW);
    assert_eq!(show(&mut monitor), None);
    // One that was under way.
    monitor.take(&ticks(vec![tick(Some(1), "MSFT", 2.0)]), NOW);
    assert_eq!(show(&mut monitor), Some(1_136), "its row is back as it was");
    monitor.take(&Delivery { statuses: vec![Arc::new(all)], ..Delivery::default() }, NOW);
    monitor.take(&ticks(vec![tick(Some(1), "MSFT", 3.0); 79]), NOW);
    assert_eq!(show(&mut monitor), Some(1_215));
}

#[test]
fn a_stale_status_says_of_when_it_is() {
    let mut monitor = monitor(Feed::Redis);
    let mut report = monitor.report().clone();
    (report.connections[0].live.state, report.connections[0].live.reason) = (ConnectionState::Connected, None);
    report.connections[1].live.state = ConnectionState::Reconnecting;
    report.connections[1].live.reason = Some("Connection dropped".into());
    monitor.take(&Delivery { statuses: vec![Arc::new(report)], ..Delivery::default() }, NOW);
    let reason = |monitor: &Monitor, place: usize| monitor.report().connections[place].live.reason.clone();
    monitor.beat(later(5_000), 1.0);
    assert_eq!(reason(&monitor, 1).as_deref(), Some("Connection dropped"));
    // Ticks go on, so nobody takes the collector for dead.
    for seconds in [11, 12] {
        monitor.take(&ticks(vec![tick(Some(1), "AAPL", 1.0)]), later(seconds * 1_000));
        monitor.beat(later(seconds * 1_000), 1.0);
        assert_eq!(reason(&monitor, 0).as_deref(), Some("State as last reported at 12:34:56 UTC"));
        let second = reason(&monitor, 1);
        assert_eq!(second.as_deref(), Some("Connection dropped; last reported at 12:34:56 UTC"), "and once only");
    }
}

#[test]
fn a_connection_that_is_reported_failed_while_its_ticks_arrive_says_both() {
    let mut monitor = monitor(Feed::Redis);
    let mut report = tickstock_status();
    report.connections[0].live.state = ConnectionState::Failed;
    let mut hear = |monitor: &mut Monitor, now| {
        report.head.generated_at = now;
        monitor.take(&Delivery { statuses: vec![Arc::new(report.clone())], ..Delivery::default() }, now);
        monitor.beat(now, 1.0);
        monitor.report().connections[0].live.clone()
    };
    assert_eq!(hear(&mut monitor, NOW).health.data.state, LayerState::Off);
    for seconds in [1, 2] {
        let now = later(seconds * 1_000);
        monitor.take(&ticks(vec![tick(Some(1), "AAPL", 1.0); 80]), now);
        let live = hear(&mut monitor, now);
        assert_eq!((live.state, live.metrics.ticks_per_second), (ConnectionState::Failed, 80.0));
        assert_eq!(live.reason.as_deref(), Some("Reported failed; yet its ticks are arriving"));
        assert_eq!(live.health.data.state, LayerState::Good);
    }
    let live = hear(&mut monitor, later(20_000));
    assert_eq!((live.reason, live.health.data.state), (None, LayerState::Off), "and no more when they stop");
}
