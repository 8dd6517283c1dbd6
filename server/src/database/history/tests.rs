use super::*;
use crate::{
    audit::{Action, Actor},
    auth::testing,
};
use app::model::{
    history::gap::{Acknowledgement, BUS, CauseStep, GapCause, RateBasis},
    market::Calendar,
};
use std::time::Duration;

const START: i64 = 1_768_998_600_000;

fn sample(connection_id: ConnectionId, second: i64, ticks: u64) -> Sample {
    Sample {
        connection_id,
        at: UnixMillis(START + (second + 1) * 1000),
        covered_ms: 1_000,
        messages: 1,
        ticks,
        bytes: 100,
        ticks_per_second_max: ticks as f64,
        latency_us: Some([100 * ticks, 200, 300, 300 + ticks]),
        phase_ms: [0, 1_000, 0, 0, 0, 0],
        ..Sample::default()
    }
}

fn event(at: i64, connection_id: Option<ConnectionId>, kind: EventKind) -> NewEvent {
    NewEvent {
        at: UnixMillis(at),
        connection_id,
        kind,
        state: (kind == EventKind::State).then_some(ConnectionState::Reconnecting),
        text: format!("at {at}"),
    }
}

fn gap(connection_id: ConnectionId, number: u32, started: i64, ended: Option<i64>) -> Gap {
    Gap {
        id: 0,
        connection_id,
        number,
        started_at: UnixMillis(started),
        ended_at: ended.map(UnixMillis),
        last_tick_at: Some(UnixMillis(started)),
        first_tick_at: ended.map(UnixMillis),
        cause: GapCause::Closed,
        close_code: Some(1008),
        words: "policy, \"violated\"".into(),
        symbols_count: 2,
        symbols: vec!["AAPL".into(), "BRK.B".into()],
        ticks_per_second_before: Some(12.5),
        rate_seconds: 300,
        rate_basis: RateBasis::LastKnown(UnixMillis(started)),
        session_rates: [None, Some(12.5), Some(0.25)],
        calendar: Calendar::UnitedStates,
        attempts: 3,
        unpublished_ticks: None,
        causes: vec![
            CauseStep {
                cause: GapCause::Closed,
                at: UnixMillis(started),
                close_code: Some(1008),
                words: "policy".into(),
            },
            CauseStep { cause: GapCause::Mute, at: UnixMillis(started), close_code: None, words: String::new() },
        ],
        acknowledged: None,
        notes: Vec::new(),
    }
}

fn everything() -> Range<UnixMillis> {
    UnixMillis(0)..UnixMillis(i64::MAX)
}

fn batch(samples: Vec<Sample>, events: Vec<NewEvent>, gaps: Vec<Gap>) -> Batch {
    let run = Run {
        started_at: UnixMillis(START),
        last_seen_at: UnixMillis(START + 60_000),
        stopped_at: None,
        connection_ids: vec![1, 2],
        server: String::new(),
    };
    Batch { run, samples, events, gaps, ..Batch::default() }
}

#[tokio::test]
async fn a_second_is_in_every_resolution_and_sums_are_exact() {
    for (_home, database) in testing::databases().await {
        let samples = (0..65).flat_map(|second| [sample(1, second, 10), sample(2, second, second as u64)]).collect();
        database.write_history(&batch(samples, vec![], vec![])).await.unwrap();

        for (resolution, rows) in [(1, 65), (10, 7), (60, 2), (900, 1)] {
            let samples = database.history_samples(resolution, everything(), Some(1), None, 1_000).await.unwrap();
            assert_eq!(samples.len(), rows, "{resolution} s");
            assert_eq!(samples.iter().map(|sample| sample.ticks).sum::<u64>(), 650);
            assert_eq!(samples.iter().map(|sample| sample.phase_ms[1]).sum::<u64>(), 65_000);
        }
        let tens = database.history_samples(10, everything(), Some(2), None, 2).await.unwrap();
        assert_eq!((tens[1].at, tens[1].ticks), (UnixMillis(START + 10_000), (10..20).sum()));
        assert_eq!(tens[1].ticks_per_second_max, 19.0);
        assert_eq!(tens[1].latency_us, Some([1_450, 200, 300, 319]), "the mean of the seconds, and the worst");
    }
}

#[tokio::test]
async fn of_several_servers_one_whose_lease_is_over_writes_nothing() {
    for (_home, database) in testing::databases().await {
        let write = async |epoch, second| {
            let batch = Batch { epoch: Some(epoch), ..batch(vec![sample(1, second, 10)], vec![], vec![]) };
            database.write_history(&batch).await
        };
        write(7, 0).await.unwrap();
        write(7, 1).await.unwrap();
        // Whoever takes over reads what was written, to which nothing is added from then on.
        database.history_past(Some(9)).await.unwrap();
        let refused = write(7, 2).await.unwrap_err();
        assert!(refused.is_fenced(), "{refused}");
        assert!(database.history_past(Some(8)).await.unwrap_err().is_fenced());
        write(9, 3).await.unwrap();
        assert!(write(7, 4).await.unwrap_err().is_fenced());
        write(9, 5).await.unwrap();
        let samples = database.history_samples(1, everything(), Some(1), None, 100).await.unwrap();
        assert_eq!(samples.len(), 4, "nothing of what was refused");
        assert_eq!(database.trouble().await, None, "and the database is well");
    }
}

#[tokio::test]
async fn a_sample_written_after_a_restart_continues_the_span_that_was_begun() {
    for (home, database) in testing::databases().await {
        database.write_history(&batch(vec![sample(1, 0, 10)], vec![], vec![])).await.unwrap();
        database.close().await;
        let database = home.open().await;
        database.write_history(&batch(vec![sample(1, 30, 32)], vec![], vec![])).await.unwrap();
        let minute = database.history_samples(60, everything(), None, None, 10).await.unwrap();
        assert_eq!((minute.len(), minute[0].ticks, minute[0].covered_ms), (1, 42, 2_000));
    }
}

#[tokio::test]
async fn buckets_join_rows_and_leave_out_what_nobody_saw() {
    for (_home, database) in testing::databases().await {
        let seen = (0..10).chain(40..50);
        let samples = seen.flat_map(|second| [sample(1, second, 3), sample(2, second, 5)]).collect();
        database.write_history(&batch(samples, vec![], vec![])).await.unwrap();
        let range = UnixMillis(START)..UnixMillis(START + 60_000);
        let buckets = database.history_buckets(10, 20, range.clone(), None).await.unwrap();
        let of = |id| {
            let mine = buckets.iter().filter(move |(connection, ..)| *connection == id);
            mine.map(|(_, at, bucket)| ((at.0 - START) / 1000, bucket.ticks, bucket.covered_ms)).collect::<Vec<_>>()
        };
        assert_eq!((of(1), of(2)), (vec![(0, 30, 10_000), (40, 30, 10_000)], vec![(0, 50, 10_000), (40, 50, 10_000)]));
        assert_eq!(database.history_buckets(10, 20, range, Some(2)).await.unwrap().len(), 2);
        assert_eq!(database.history_begin().await.unwrap(), Some(UnixMillis(START)));
    }
}

#[tokio::test]
async fn pages_of_samples_fit_together() {
    for (_home, database) in testing::databases().await {
        let samples: Vec<_> = (0..10).flat_map(|second| (1..=3).map(move |id| sample(id, second, 1))).collect();
        database.write_history(&batch(samples, vec![], vec![])).await.unwrap();
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = database.history_samples(1, everything(), None, after, 7).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(SampleKey { at: last.at, connection_id: last.connection_id });
            seen.extend(page.iter().map(|sample| (sample.at, sample.connection_id)));
        }
        assert_eq!(seen.len(), 30);
        assert!(seen.is_sorted() && seen.windows(2).all(|pair| pair[0] != pair[1]), "{seen:?}");
    }
}

#[tokio::test]
async fn events_come_newest_first_by_connection_and_kind() {
    for (_home, database) in testing::databases().await {
        let kinds =
            [(100, Some(1), EventKind::State), (200, None, EventKind::Server), (200, Some(2), EventKind::Error)];
        let events = kinds.map(|(at, id, kind)| event(at, id, kind)).to_vec();
        database.write_history(&batch(vec![], events, vec![])).await.unwrap();
        let filter = EventFilter { range: everything(), connections: None.into(), kind: None };
        let all = database.history_events(&filter, None, 10).await.unwrap();
        assert_eq!(all.iter().map(|event| event.id).collect::<Vec<_>>(), [3, 2, 1]);
        assert_eq!(all[2].state, Some(ConnectionState::Reconnecting));
        let rest = database.history_events(&filter, Some(EventKey { at: all[0].at, id: all[0].id }), 10).await.unwrap();
        assert_eq!(rest, all[1..]);
        let of_one = EventFilter { connections: Some(1).into(), ..filter.clone() };
        assert_eq!(database.history_event_count(&of_one).await.unwrap(), 2, "what concerns all concerns it");
        let errors = EventFilter { kind: Some(EventKind::Error), ..filter };
        assert_eq!(database.history_events(&errors, None, 10).await.unwrap()[0].text, "at 200");
    }
}

#[tokio::test]
async fn a_gap_is_written_again_as_it_goes_on_and_keeps_who_saw_it() {
    for (_home, database) in testing::databases().await {
        database
            .write_history(&batch(vec![], vec![], vec![gap(1, 1, 1_000, None), gap(2, 1, 500, Some(600))]))
            .await
            .unwrap();
        let open = database.history_past(None).await.unwrap().open;
        assert_eq!((open.len(), open[0].connection_id), (1, 1));

        let id = open[0].id;
        let said = Acknowledgement { at: UnixMillis(5), by: "ann@x".into(), note: "filled from flat files".into() };
        let act = Actor::server().does(Action::GapAcknowledge).to(id.to_string());
        assert!(database.acknowledge_gap(id, &said, &act).await.unwrap());
        assert!(!database.acknowledge_gap(id, &said, &act).await.unwrap(), "the first one counts");
        assert!(!database.acknowledge_gap(id + 99, &said, &act).await.unwrap());
        database.write_history(&batch(vec![], vec![], vec![gap(1, 1, 1_000, Some(2_000))])).await.unwrap();
        let found = database.history_gap(id).await.unwrap().unwrap();
        assert_eq!(found, Gap { id, acknowledged: Some(said), ..gap(1, 1, 1_000, Some(2_000)) });

        let during = |from, to| database.history_gaps(UnixMillis(from)..UnixMillis(to), None, None, 10);
        assert_eq!(during(1_500, 1_600).await.unwrap().len(), 1, "a gap around the range is in it");
        assert_eq!(during(2_001, 9_000).await.unwrap().len(), 0);
        let all = during(0, 9_000).await.unwrap();
        assert_eq!(all.iter().map(|gap| gap.connection_id).collect::<Vec<_>>(), [1, 2]);
        let key = GapKey { started_at: all[0].started_at, id: all[0].id };
        assert_eq!(database.history_gaps(everything(), None, Some(key), 10).await.unwrap(), all[1..]);
        assert_eq!(database.history_gap_count(everything(), Some(2)).await.unwrap(), 1);
        for (chosen, count) in [("1,2", 2), ("2,16", 1), ("3", 0)] {
            let chosen = app::model::connection::ConnectionSet::of_list(chosen).unwrap();
            assert_eq!(database.history_gap_count(everything(), chosen).await.unwrap(), count, "{chosen:?}");
        }
    }
}

#[tokio::test]
async fn reliability_counts_the_part_of_a_gap_that_is_inside_the_range() {
    for (_home, database) in testing::databases().await {
        let gaps = vec![gap(1, 1, 0, Some(1_500)), gap(1, 2, 1_900, None), gap(2, 1, 0, Some(100))];
        database.write_history(&batch(vec![], vec![], gaps)).await.unwrap();
        let spent = database.gap_ms(UnixMillis(1_000)..UnixMillis(2_000)).await.unwrap();
        assert_eq!(spent, [(1, 600)].into());
        let last = database.last_outages().await.unwrap();
        assert!(
            last.iter().any(|(id, gap)| *id == 1 && gap.number == 2 && gap.cause == "closed by the provider"),
            "{last:?}"
        );
    }
}

#[tokio::test]
async fn the_next_run_learns_how_the_last_one_ended() {
    for (_home, database) in testing::databases().await {
        assert_eq!(database.history_past(None).await.unwrap().last_run, None);
        let samples = (0..60).map(|second| sample(1, second, if second < 50 { 6 } else { 0 })).collect();
        database.write_history(&batch(samples, vec![], vec![gap(1, 7, 0, Some(1))])).await.unwrap();
        let past = database.history_past(None).await.unwrap();
        let run = past.last_run.unwrap();
        assert_eq!(
            (run.last_seen_at, run.stopped_at, run.connection_ids),
            (UnixMillis(START + 60_000), None, vec![1, 2])
        );
        assert_eq!(past.numbers, [(1, 7)]);
        let rate =
            PastRate { connection_id: 1, last_tick_at: Some(UnixMillis(START + 50_000)), ticks: 300, up_ms: 60_000 };
        assert_eq!(past.rates, [rate]);
        assert_eq!(past.quarters, [Quarter { connection_id: 1, at: UnixMillis(START), ticks: 300, up_ms: 60_000 }]);
    }
}

#[tokio::test]
async fn a_gap_of_the_bus_is_every_connections_and_counts_exactly() {
    for (_home, database) in testing::databases().await {
        let bus = Gap { unpublished_ticks: Some(1_234), ..gap(BUS, 3, 1_000, Some(2_000)) };
        database.write_history(&batch(vec![], vec![], vec![gap(1, 1, 0, Some(500)), bus.clone()])).await.unwrap();
        for (wanted, names) in
            [(None, vec!["bus-3", "#1-1"]), (Some(1), vec!["bus-3", "#1-1"]), (Some(2), vec!["bus-3"])]
        {
            let gaps = database.history_gaps(everything(), wanted, None, 10).await.unwrap();
            assert_eq!(gaps.iter().map(Gap::name).collect::<Vec<_>>(), names);
            assert_eq!(gaps[0], Gap { id: gaps[0].id, ..bus.clone() });
            assert_eq!(database.history_gap_count(everything(), wanted).await.unwrap(), names.len() as u64);
        }
    }
}

#[tokio::test]
async fn a_disk_that_was_full_leaves_no_connection_behind_that_cannot_begin() {
    let (_folder, database) = testing::database().await;
    let small = batch(vec![], vec![event(START, None, EventKind::Server)], vec![]);
    let mut large = small.clone();
    large.events[0].text = "words ".repeat(100_000);
    database.limit_pages(0).await;
    // More often than there are connections.
    for _ in 0..20 {
        let error = database.write_history(&large).await.unwrap_err();
        assert_eq!(error.reason(), "database or disk is full");
    }
    database.limit_pages(1_000_000).await;
    for _ in 0..20 {
        database.write_history(&small).await.unwrap();
    }
    let filter = EventFilter { range: everything(), connections: None.into(), kind: None };
    assert_eq!(database.history_event_count(&filter).await.unwrap(), 20, "of what did not fit nothing is left");
}

#[tokio::test]
async fn what_is_too_old_goes_and_the_rest_stays() {
    for (_home, database) in testing::databases().await {
        let samples = (0..120).map(|second| sample(1, second, 1)).collect();
        let events = vec![event(START, None, EventKind::Server), event(START + 3_600_000, None, EventKind::Server)];
        let gaps = vec![gap(1, 1, 0, None), gap(2, 1, 0, Some(1)), gap(2, 2, 2, Some(3))];
        database.write_history(&batch(samples, events, gaps)).await.unwrap();
        let retention = Retention {
            seconds: Duration::from_secs(30),
            ten_seconds: Duration::from_secs(60),
            rest: Duration::from_secs(3_600),
            bytes_max: u64::MAX,
        };
        database.prune_history(&retention, UnixMillis(START + 120_000)).await.unwrap();
        for (resolution, rows) in [(1, 30), (10, 6), (60, 2)] {
            let left = database.history_samples(resolution, everything(), None, None, 1_000).await.unwrap();
            assert_eq!(left.len(), rows, "{resolution} s");
        }
        database.prune_history(&retention, UnixMillis(START + 3_600_001)).await.unwrap();
        let filter = EventFilter { range: everything(), connections: None.into(), kind: None };
        assert_eq!(database.history_event_count(&filter).await.unwrap(), 1);
        let left = database.history_gaps(everything(), None, None, 10).await.unwrap();
        let left: Vec<_> = left.iter().map(|gap| (gap.connection_id, gap.number)).collect();
        assert_eq!(left, [(2, 2), (1, 1)], "one that lasts, and the newest of each, which holds the number");
    }
}

#[tokio::test]
async fn a_database_that_is_too_large_loses_its_oldest_day() {
    for (_home, database) in testing::databases().await {
        const DAY: i64 = 86_400;
        let samples = (0..4).map(|day| sample(1, day * DAY, 1)).collect();
        database.write_history(&batch(samples, vec![], vec![])).await.unwrap();
        let now = UnixMillis(START + 4 * DAY * 1000);
        assert!(database.bytes_used().await.unwrap() > 4096);
        assert_eq!(database.prune_by_size(u64::MAX, now).await.unwrap(), None);
        assert!(database.prune_by_size(1, now).await.unwrap().is_some());
        assert_eq!(database.history_samples(1, everything(), None, None, 10).await.unwrap().len(), 3);
        while database.prune_by_size(1, now).await.unwrap().is_some() {}
        let left = database.history_samples(1, everything(), None, None, 10).await.unwrap();
        assert!(!left.is_empty(), "the last day is never given up");
    }
}

/// Strangers can make the audit log larger: not a day of history goes for that.
#[tokio::test]
async fn the_size_of_history_is_historys_alone() {
    for (_home, database) in testing::databases().await {
        const DAY: i64 = 86_400;
        let samples = (0..4).flat_map(|day| (0..200).map(move |second| sample(1, day * DAY + second, 1))).collect();
        database.write_history(&batch(samples, vec![], vec![])).await.unwrap();
        let now = UnixMillis(START + 4 * DAY * 1000);
        let (history, used) = (database.history_bytes().await.unwrap(), database.bytes_used().await.unwrap());
        assert!(history > 50_000 && history < used, "{history} of {used}");

        let audit = crate::audit::Audit::new(database.clone());
        for _ in 0..500 {
            let act = crate::audit::Actor::server().does(crate::audit::Action::Export);
            audit.record(act.because("x".repeat(500))).await.unwrap();
        }
        assert!(database.bytes_used().await.unwrap() > used + 250_000);
        assert_eq!(database.history_bytes().await.unwrap(), history);
        assert_eq!(database.prune_by_size(history, now).await.unwrap(), None);
        assert!(database.prune_by_size(history - 1, now).await.unwrap().is_some());
    }
}
