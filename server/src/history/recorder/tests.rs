mod watcher;

use super::*;
use crate::database::history::{Batch, Run};
use app::model::status::{LastError, LatencyMs};

const START: i64 = 1_000_000;

fn report(state: ConnectionState, since: i64, ticks_total: u64) -> StatusReport {
    let live = ConnectionLive {
        id: 1,
        enabled: state != ConnectionState::Disabled,
        state,
        state_since: Some(UnixMillis(since)),
        ..ConnectionLive::default()
    };
    let mut connection = ConnectionStatus { live, ..ConnectionStatus::default() };
    connection.live.metrics.ticks_total = ticks_total;
    StatusReport { connections: vec![connection], ..StatusReport::default() }
}

fn drain(recorder: &mut Recorder) -> Batch {
    recorder.backlog.take(Run::default())
}

fn texts(batch: &Batch) -> Vec<(EventKind, &str)> {
    batch.events.iter().map(|event| (event.kind, event.text.as_str())).collect()
}

#[test]
fn a_sample_covers_what_passed_since_the_last_one_in_the_states_that_it_passed_in() {
    let mut recorder = Recorder::new(Ledger::default());
    recorder.observe(&report(ConnectionState::Connected, START, 100), UnixMillis(START));
    recorder.observe(&report(ConnectionState::Reconnecting, START + 400, 140), UnixMillis(START + 400));
    assert!(drain(&mut recorder).samples.is_empty(), "too early");
    let mut later = report(ConnectionState::Reconnecting, START + 400, 140);
    later.connections[0].live.metrics.latency_ms =
        Some(LatencyMs { p50: 1.2, p95: 3.4, p99: 5.6, ..LatencyMs::default() });
    recorder.observe(&later, UnixMillis(START + 1_000));
    let batch = drain(&mut recorder);
    let sample = &batch.samples[0];
    assert_eq!((sample.ticks, sample.covered_ms, sample.ticks_per_second_max), (40, 1_000, 40.0));
    assert_eq!(sample.phase_ms, [0, 400, 0, 600, 0, 0]);
    assert_eq!(sample.latency_us, Some([1_200, 3_400, 5_600, 5_600]));
}

#[test]
fn a_counter_that_starts_anew_is_not_a_loss_and_a_machine_that_slept_leaves_a_hole() {
    let mut recorder = Recorder::new(Ledger::default());
    recorder.observe(&report(ConnectionState::Connected, START, 5_000), UnixMillis(START));
    recorder.observe(&report(ConnectionState::Connected, START, 7), UnixMillis(START + 1_000));
    assert_eq!(drain(&mut recorder).samples[0].ticks, 7);
    recorder.observe(&report(ConnectionState::Connected, START, 9), UnixMillis(START + 3_600_000));
    assert_eq!(drain(&mut recorder).samples.iter().map(|sample| sample.covered_ms).sum::<u64>(), 10_000);
    recorder.observe(&report(ConnectionState::Connected, START, 9), UnixMillis(START));
    assert!(drain(&mut recorder).samples.is_empty(), "a clock that went back measures nothing");
}

#[test]
fn a_look_that_covers_seconds_is_spread_over_them() {
    let mut recorder = Recorder::new(Ledger::default());
    recorder.observe(&report(ConnectionState::Connected, START, 0), UnixMillis(START));
    recorder.observe(&report(ConnectionState::Connected, START, 10), UnixMillis(START + 3_700));
    let samples = drain(&mut recorder).samples;
    let told: Vec<_> = samples.iter().map(|sample| (sample.at.0 - START, sample.covered_ms, sample.ticks)).collect();
    assert_eq!(told, [(925, 925, 2), (1_850, 925, 3), (2_775, 925, 2), (3_700, 925, 3)]);
}

#[test]
fn every_change_of_state_is_an_event_but_attempts_that_repeat_are_not() {
    let mut recorder = Recorder::new(Ledger::default());
    recorder.observe(&report(ConnectionState::Connected, START, 0), UnixMillis(START));
    let mut at = START;
    for _ in 0..3 {
        for (state, reason) in [(ConnectionState::Reconnecting, Some("refused")), (ConnectionState::Connecting, None)] {
            at += 100;
            let mut next = report(state, at, 0);
            next.connections[0].live.reason = reason.map(str::to_owned);
            recorder.observe(&next, UnixMillis(at));
        }
    }
    recorder.observe(&report(ConnectionState::Connected, at + 100, 0), UnixMillis(at + 100));
    let batch = drain(&mut recorder);
    let up = "connected";
    let state = EventKind::State;
    assert_eq!(texts(&batch), [(state, up), (state, "refused"), (state, "connecting"), (state, up)]);
    assert_eq!(batch.events[1].at, UnixMillis(START + 100), "when it happened, not when it was seen");
}

#[test]
fn errors_by_the_thousand_are_one_event_in_ten_seconds() {
    let mut recorder = Recorder::new(Ledger::default());
    recorder.observe(&report(ConnectionState::Connected, START, 0), UnixMillis(START));
    drain(&mut recorder);
    for tenth in 1..=110 {
        let mut next = report(ConnectionState::Connected, START, 0);
        next.connections[0].live.metrics.error_count = tenth * 50;
        next.connections[0].live.metrics.last_error =
            Some(LastError { at: UnixMillis(START), message: "x".repeat(10_000) });
        recorder.observe(&next, UnixMillis(START + tenth as i64 * 100));
    }
    recorder.sample(UnixMillis(START + 11_000));
    let batch = drain(&mut recorder);
    assert_eq!(batch.events.len(), 2, "{:?}", texts(&batch));
    assert_eq!(batch.events[1].text.chars().count(), TEXT_LENGTH_MAX);
    assert_eq!(batch.samples.iter().map(|sample| sample.errors).sum::<u64>(), 5_500, "samples count them all");
}

#[test]
fn settings_bus_and_source_that_change_are_events() {
    let mut recorder = Recorder::new(Ledger::default());
    let mut before = report(ConnectionState::Connected, START, 0);
    before.head.bus.connected = true;
    recorder.observe(&before, UnixMillis(START));
    drain(&mut recorder);
    let mut after = before.clone();
    after.head.bus.connected = false;
    after.head.bus.reason = Some("connection refused".into());
    after.head.status_source = StatusSource::Inferred;
    after.connections[0].config.universe_key = Some("dow30".into());
    after.connections[0].config.symbols = vec![app::model::symbol::Symbol::parse("AAPL").unwrap()];
    recorder.observe(&after, UnixMillis(START + 100));
    assert_eq!(
        texts(&drain(&mut recorder)),
        [
            (EventKind::Bus, "No ticks are arriving over Redis: connection refused"),
            (EventKind::Status, "No connection manager reports: states are estimated from tick flow"),
            (EventKind::Configuration, "universe: none → dow30; symbols: 0 → 1 (1 added, 0 removed)"),
        ]
    );
}
