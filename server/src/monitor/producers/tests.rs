use super::*;
use app::model::{
    connection::ConnectionState,
    health::{Health, Layer, LayerState},
    status::ConnectionStatus,
};
use proptest::prelude::*;

const NOW: UnixMillis = UnixMillis(1_768_998_896_789);

fn later(millis: i64) -> UnixMillis {
    UnixMillis(NOW.0 + millis)
}

/// As TickStock's own manager says it: when it was made is unknown, and is when it was read.
fn tickstock(ticks: u64, read_at: UnixMillis) -> StatusReport {
    let mut connection = ConnectionStatus::default();
    (connection.live.id, connection.live.enabled, connection.live.state) = (1, true, ConnectionState::Connected);
    (connection.live.metrics.messages_total, connection.live.metrics.ticks_total) = (ticks, ticks);
    let mut report = StatusReport { connections: vec![connection], ..StatusReport::default() };
    report.head.generated_at = read_at;
    report
}

/// As a monitor says it, with or without its name.
fn ours(ticks: u64, made_at: UnixMillis, server: Option<(&str, i64)>) -> StatusReport {
    let mut report = tickstock(ticks, made_at);
    report.connections[0].live.health = Health { data: Layer::of(LayerState::Good), ..Health::default() };
    report.head.collector =
        server.map(|(server, since)| Collector { server: server.to_owned(), since: later(since), epoch: None });
    report
}

/// What a reader of what was taken over counts.
#[derive(Default)]
struct Reader {
    producers: Producers,
    observed: u64,
    last: Option<(u64, u64)>,
    counted: u64,
    taken: usize,
}

impl Reader {
    fn hear(&mut self, report: &StatusReport, now: UnixMillis) -> Verdict {
        let verdict = self.producers.judge(report, self.observed, now);
        if let Verdict::Take(_) = verdict {
            let (run, ticks) = (self.producers.counter_run(), report.connections[0].live.metrics.ticks_total);
            if let Some((_, before)) = self.last.filter(|(of, _)| *of == run) {
                self.counted += ticks - before;
            }
            self.last = Some((run, ticks));
            self.taken += 1;
        }
        verdict
    }
}

#[test]
fn four_repeats_that_come_late_make_no_ticks() {
    let mut reader = Reader::default();
    let base = 1_125_855;
    for second in 0..=40_u64 {
        let at = later(second as i64 * 1000);
        reader.hear(&tickstock(base + second * 12, at), at);
        if [10, 17, 18, 30].contains(&second) {
            let late = later(second as i64 * 1000 + 600);
            let verdict = reader.hear(&tickstock(base + (second - 1) * 12, late), late);
            assert_eq!(verdict, Verdict::Ignore, "1.6 s old");
        }
    }
    assert_eq!(reader.counted, 480, "what one producer counted from the first status to the last");
    assert_eq!(reader.producers.rivals(later(40_000)), None, "one that stutters is one");
}

#[test]
fn a_second_producer_on_the_same_key_makes_no_ticks_and_is_named() {
    for second_base in [5, 2_000_000] {
        let mut reader = Reader::default();
        for second in 0..=20_u64 {
            let at = second as i64 * 1000;
            reader.hear(&tickstock(1_000_000 + second * 10, later(at)), later(at));
            if second >= 5 {
                reader.hear(&tickstock(second_base + second * 7, later(at + 500)), later(at + 500));
            }
        }
        assert_eq!(reader.counted, 200, "of the first one alone");
        let warning = reader.producers.rivals(later(20_600)).expect("a warning");
        assert!(warning.contains("a TickStock without a name and another a TickStock"), "{warning}");
        assert_eq!(reader.producers.rivals(later(40_000)), None, "not for ever");
    }
}

#[test]
fn two_monitors_on_one_key_are_told_apart_by_their_names() {
    let mut reader = Reader::default();
    for second in 0..10_u64 {
        let at = later(second as i64 * 1000);
        reader.hear(&ours(100 + second, at, Some(("a (process 1)", -5_000))), at);
        reader.hear(&ours(100 + second * 900, at, Some(("b (process 2)", -9_000))), at);
    }
    assert_eq!(reader.counted, 9);
    let warning = reader.producers.rivals(later(9_100)).expect("a warning");
    assert!(warning.contains("a (process 1) and b (process 2)"), "{warning}");
}

#[test]
fn of_two_with_a_lease_the_one_with_the_higher_epoch_is_followed_at_once_and_the_other_no_more() {
    let mut reader = Reader::default();
    let leased = |ticks, at, server, epoch| {
        let mut report = ours(ticks, at, Some(server));
        report.head.collector.as_mut().expect("a name").epoch = Some(epoch);
        report
    };
    let (first, second) = (("a:1", -5_000), ("b:2", 1_000));
    for ticks in 0..5_u64 {
        let at = later(ticks as i64 * 200);
        reader.hear(&leased(1_000 + ticks, at, first, 7), at);
    }
    // The lease was taken again with nobody in between.
    let at = later(1_000);
    assert!(matches!(reader.hear(&leased(1_005, at, first, 8), at), Verdict::Take(_)));
    assert_eq!((reader.counted, reader.producers.counter_run()), (5, 1), "one run");
    let at = later(1_100);
    assert!(matches!(reader.hear(&leased(3, at, second, 9), at), Verdict::Take(_)));
    let at = later(1_200);
    assert_eq!(reader.hear(&leased(1_006, at, first, 8), at), Verdict::Ignore, "its time is over");
    let at = later(1_300);
    reader.hear(&leased(10, at, second, 9), at);
    assert_eq!((reader.counted, reader.producers.counter_run()), (12, 2));
    assert_eq!(reader.producers.rivals(later(1_400)), None);
}

#[test]
fn a_producer_that_is_started_anew_is_followed_from_its_first_totals_on() {
    let mut reader = Reader::default();
    for second in 0..=10_u64 {
        let at = later(second as i64 * 1000);
        reader.hear(&tickstock(1_000_000 + second * 10, at), at);
    }
    assert_eq!(reader.counted, 100);
    for second in 0..=10_u64 {
        let at = later(15_000 + second as i64 * 1000);
        reader.hear(&tickstock(second * 10, at), at);
    }
    assert_eq!(reader.counted, 200, "nothing invented between the two");
    // One that names itself is known at once.
    let mut reader = Reader::default();
    reader.hear(&ours(500, NOW, Some(("a", 0))), NOW);
    assert!(matches!(reader.hear(&ours(3, later(1_000), Some(("a", 900))), later(1_000)), Verdict::Take(_)));
    reader.hear(&ours(8, later(2_000), Some(("a", 900))), later(2_000));
    assert_eq!(reader.counted, 5);
    assert_eq!(reader.hear(&ours(501, later(500), Some(("a", 0))), later(2_500)), Verdict::Ignore, "of the one before");
}

#[test]
fn a_status_of_ours_that_is_not_newer_is_ignored_until_its_clock_is_believed() {
    for name in [None, Some(("a", 0))] {
        let mut reader = Reader::default();
        reader.hear(&ours(10, later(3_600_000), name), NOW);
        assert_eq!(reader.hear(&ours(10, later(3_600_000), name), later(50)), Verdict::Ignore, "repeated");
        assert_eq!(reader.hear(&ours(5, later(3_599_000), name), later(1_600)), Verdict::Ignore, "older");
        assert_eq!(reader.hear(&ours(20, later(8_000), name), later(8_000)) == Verdict::Ignore, name.is_some());
        let verdict = reader.hear(&ours(30, later(12_000), name), later(12_000));
        assert_eq!(verdict, Verdict::Take(later(12_000)), "its clock was set right");
    }
}

#[test]
fn a_producer_whose_clock_is_behind_is_not_stale_for_ever() {
    let mut reader = Reader::default();
    let made = |seconds: i64| later(seconds * 1000 - 60_000);
    assert_eq!(reader.hear(&ours(10, made(0), None), NOW), Verdict::Take(made(0)), "it may be old");
    assert_eq!(reader.hear(&ours(20, made(1), None), later(1_000)), Verdict::Take(later(1_000)), "it goes on");
    assert_eq!(reader.hear(&ours(30, made(2), None), later(3_500)), Verdict::Take(later(2_000)), "1.5 s late");
}

#[test]
fn a_flood_is_counted_once_it_is_explained() {
    let mut reader = Reader::default();
    for second in 0..10_u64 {
        reader.observed += 12_000;
        let at = later(second as i64 * 1000);
        reader.hear(&tickstock(1_000_000 + second * 12_000, at), at);
    }
    assert_eq!(reader.counted, 9 * 12_000, "the ticks are seen here too");
    let mut reader = Reader::default();
    for second in 0..20_u64 {
        let at = later(second as i64 * 1000);
        reader.hear(&tickstock(1_000_000 + second * 12_000, at), at);
    }
    assert!((10 * 12_000..=19 * 12_000).contains(&reader.counted), "and without them soon: {}", reader.counted);
    assert_eq!(reader.producers.rivals(later(19_000)), None);
}

#[test]
fn a_quiet_producer_that_says_the_same_again_and_again_is_alive() {
    let mut reader = Reader::default();
    for second in 0..200 {
        let at = later(second * 1000);
        assert_eq!(reader.hear(&tickstock(77, at), at), Verdict::Take(at));
    }
}

proptest! {
    /// Whatever comes late, twice or out of order of what one producer said: no tick is invented, and the last status
    /// counts in the end.
    #[test]
    fn one_producer_that_stutters_is_counted_exactly(
        steps in prop::collection::vec((0_u64..900, prop::option::of(0_usize..10)), 2..120),
        base in 0_u64..5_000_000,
    ) {
        let mut reader = Reader::default();
        let (mut ticks, mut said) = (base, Vec::new());
        for (second, (gained, late)) in steps.iter().enumerate() {
            let at = second as i64 * 1000;
            ticks += gained;
            reader.observed += gained;
            said.push(ticks);
            reader.hear(&tickstock(ticks, later(at)), later(at));
            if let Some(old) = late.and_then(|back| said.len().checked_sub(back + 1)).map(|place| said[place]) {
                reader.hear(&tickstock(old, later(at + 400)), later(at + 400));
            }
        }
        prop_assert_eq!(reader.counted, ticks - said[0]);
    }

    /// However two producers mix on one key: what is counted is never more than what the two of them counted.
    #[test]
    fn two_producers_never_make_more_than_they_counted(
        steps in prop::collection::vec((any::<bool>(), 0_u64..500, 100_i64..3_000), 2..200),
        first in 0_u64..3_000_000, apart in 200_000_u64..3_000_000,
    ) {
        let mut reader = Reader::default();
        let (mut totals, mut real, mut at) = ([first, first + apart], 0, 0);
        for (second, gained, step) in steps {
            at += step;
            totals[usize::from(second)] += gained;
            real += gained;
            reader.observed += gained;
            reader.hear(&tickstock(totals[usize::from(second)], later(at)), later(at));
        }
        prop_assert!(reader.counted <= real, "{} of {real}", reader.counted);
    }
}
