use super::*;
use app::model::{alert::TransitionKind as Kind, connection::ConnectionState as State, health::LossKind};
use proptest::prelude::*;

/// A Wednesday, 10:00 in New York.
const OPEN: i64 = 1_763_564_400_000;

fn machine() -> Machine {
    let receivers = vec![("webhook".to_owned(), Severity::Warning), ("pager".to_owned(), Severity::Critical)];
    Machine::new(Calendar::AlwaysOpen, receivers)
}

fn at(seconds: i64) -> UnixMillis {
    UnixMillis(OPEN + seconds * 1000)
}

fn connection(id: ConnectionId, state: State) -> Fact {
    Fact::Connection(Box::new(ConnectionFact {
        id,
        name: ["primary", "secondary", "tertiary"][usize::from(id) - 1].to_owned(),
        is_wanted: true,
        state,
        reason: (state != State::Connected).then(|| format!("it is {}", state.label())),
        symbols: 100,
        ..ConnectionFact::default()
    }))
}

/// A second after the other; what the machine tells, by kind and title.
fn run(machine: &mut Machine, from: i64, to: i64) -> Vec<(i64, Kind, String)> {
    (from..=to)
        .flat_map(|second| {
            let told = machine.pass(at(second));
            told.into_iter().map(move |step| (second, step.kind, step.alert.title)).collect::<Vec<_>>()
        })
        .collect()
}

fn titles(steps: &[(i64, Kind, String)]) -> Vec<(i64, Kind, &str)> {
    steps.iter().map(|(at, kind, title)| (*at, *kind, title.as_str())).collect()
}

#[test]
fn what_lasts_is_told_once_and_resolved_after_a_minute_of_health() {
    let mut machine = machine();
    machine.take(connection(1, State::Reconnecting), at(0));
    let steps = run(&mut machine, 0, 100);
    assert_eq!(titles(&steps), [(15, Kind::Firing, "primary: not connected")]);
    assert_eq!(machine.due_at(at(100)), None);
    let alert = machine.open().next().unwrap().clone();
    assert_eq!((alert.started_at, alert.fired_at, alert.state()), (at(0), at(15), "firing"));
    assert_eq!((&*alert.fingerprint, &*alert.text), ("not_connected:1", "it is reconnecting"));
    assert_eq!(alert.told, ["webhook", "pager"]);
    machine.take(connection(1, State::Connected), at(101));
    let steps = run(&mut machine, 101, 400);
    assert_eq!(titles(&steps), [(161, Kind::Resolved, "primary: not connected")]);
    assert_eq!(machine.open().count(), 0);
}

#[test]
fn an_alert_began_when_the_state_changed_first_as_the_timeline_has_it() {
    let mut machine = machine();
    for (since, state) in [(-3, State::Reconnecting), (8, State::Connecting)] {
        let Fact::Connection(fact) = connection(1, state) else { unreachable!("a connection") };
        let fact = ConnectionFact { state_since: Some(at(since)), ..*fact };
        machine.take(Fact::Connection(Box::new(fact)), at(since.max(0)));
    }
    assert_eq!(titles(&run(&mut machine, 8, 30)), [(15, Kind::Firing, "primary: not connected")]);
    assert_eq!(machine.open().next().unwrap().started_at, at(-3));
}

#[test]
fn what_passes_within_the_hold_off_is_not_told() {
    let mut machine = machine();
    machine.take(connection(1, State::Reconnecting), at(0));
    assert_eq!(machine.due_at(at(0)), Some(at(15)));
    assert_eq!(run(&mut machine, 0, 14), []);
    machine.take(connection(1, State::Connected), at(14));
    assert_eq!(run(&mut machine, 15, 300), []);
}

#[test]
fn connections_lost_together_are_one_alert_until_all_are_back() {
    let mut machine = machine();
    for (id, second) in [(1, 0), (2, 2), (3, 4)] {
        machine.take(connection(id, State::Reconnecting), at(second));
        run(&mut machine, second, second);
    }
    let steps = run(&mut machine, 5, 60);
    assert_eq!(titles(&steps), [(15, Kind::Firing, "3 connections: not connected")]);
    let alert = machine.open().next().unwrap();
    assert_eq!(&*alert.fingerprint, "not_connected:1,2,3");
    assert_eq!(&*alert.text, "primary, secondary, tertiary: it is reconnecting");
    for id in [1, 2] {
        machine.take(connection(id, State::Connected), at(61));
    }
    assert_eq!(run(&mut machine, 61, 200), []);
    machine.take(connection(3, State::Connected), at(200));
    assert_eq!(titles(&run(&mut machine, 201, 300)), [(260, Kind::Resolved, "3 connections: not connected")]);
}

#[test]
fn a_dead_bus_hides_what_follows_from_it_and_gives_it_time_to_come_back() {
    let mut machine = machine();
    machine.take(Fact::Bus(Some("refused".into())), at(0));
    for id in 1..=3 {
        machine.take(connection(id, State::Failed), at(0));
    }
    machine.take(Fact::NoCollector(Some("silent".into())), at(1));
    assert_eq!(titles(&run(&mut machine, 0, 100)), [(10, Kind::Firing, "No ticks are arriving")]);
    machine.take(Fact::Bus(None), at(100));
    machine.take(Fact::NoCollector(None), at(101));
    for id in [1, 2] {
        machine.take(connection(id, State::Connected), at(105));
    }
    let steps = run(&mut machine, 101, 200);
    let expected = [(115, Kind::Firing, "tertiary: not connected"), (160, Kind::Resolved, "No ticks are arriving")];
    assert_eq!(titles(&steps), expected);
}

#[test]
fn what_a_flapping_bus_hides_is_told_all_the_same() {
    let mut machine = machine();
    machine.take(connection(1, State::Failed), at(0));
    let mut steps = Vec::new();
    for round in 0..12 {
        let begin = round * 10;
        machine.take(Fact::Bus(Some("refused".into())), at(begin));
        steps.extend(run(&mut machine, begin, begin + 4));
        machine.take(Fact::Bus(None), at(begin + 5));
        steps.extend(run(&mut machine, begin + 5, begin + 9));
    }
    let fired: Vec<_> =
        steps.iter().filter(|(_, kind, _)| *kind == Kind::Firing).map(|(at, _, title)| (*at, title.as_str())).collect();
    // 45 s without an explanation, five of each ten.
    assert_eq!(fired, [(60, "No ticks are arriving"), (95, "primary: not connected")]);
}

#[test]
fn what_got_worse_is_not_told_as_well() {
    let mut machine = machine();
    machine.take(connection(1, State::Mute), at(0));
    machine.take(connection(2, State::Degraded), at(0));
    let steps = run(&mut machine, 0, 60);
    assert_eq!(titles(&steps), [(5, Kind::Firing, "primary: no data"), (60, Kind::Firing, "secondary: degraded")]);
    machine.take(connection(1, State::Reconnecting), at(61));
    assert_eq!(titles(&run(&mut machine, 61, 99)), [(76, Kind::Firing, "primary: not connected")]);
    machine.take(Fact::Bus(Some("refused".into())), at(100));
    machine.take(connection(2, State::Connected), at(100));
    assert_eq!(titles(&run(&mut machine, 100, 250)), [(110, Kind::Firing, "No ticks are arriving")]);
    machine.take(Fact::Bus(None), at(251));
    assert_eq!(run(&mut machine, 251, 270), []);
    machine.take(connection(1, State::Connected), at(271));
    let expected = [
        (310, Kind::Resolved, "secondary: degraded"),
        (311, Kind::Resolved, "No ticks are arriving"),
        (330, Kind::Resolved, "primary: no data"),
        (331, Kind::Resolved, "primary: not connected"),
    ];
    assert_eq!(titles(&run(&mut machine, 271, 400)), expected);
    // A rule that is switched off finds nothing wrong, whatever else is.
    machine.take(connection(1, State::Mute), at(1_300));
    run(&mut machine, 1_300, 1_310);
    machine.take(connection(1, State::Failed), at(1_311));
    let numbers = RuleNumbers { enabled: false, resolve_seconds: 1, ..Rule::Mute.numbers() };
    machine.set(vec![RuleSetting { rule: Rule::Mute, connection: None, numbers }], Vec::new());
    machine.take(connection(1, State::Failed), at(1_312));
    assert_eq!(titles(&run(&mut machine, 1_312, 1_314)), [(1_312, Kind::Resolved, "primary: no data")]);
}

#[test]
fn servers_are_lost_and_come_back_each_by_itself() {
    let mut machine = machine();
    machine.take(Fact::ServersLost(vec![("a:1".into(), at(-5)), ("b:2".into(), at(-5))]), at(0));
    let steps = run(&mut machine, 0, 20);
    assert_eq!(titles(&steps), [(15, Kind::Firing, "a:1: server lost"), (15, Kind::Firing, "b:2: server lost")]);
    machine.take(Fact::ServersLost(vec![("b:2".into(), at(-5))]), at(21));
    assert_eq!(titles(&run(&mut machine, 21, 100)), [(81, Kind::Resolved, "a:1: server lost")]);
    let alert = machine.open().next().unwrap();
    assert_eq!((&*alert.fingerprint, alert.started_at), ("server_lost:b:2", at(-5)));
}

#[test]
fn a_refused_key_is_told_as_that_and_not_as_a_lost_connection() {
    for (loss, title) in [
        (LossKind::KeyRefused, "primary: key refused"),
        (LossKind::TooManyConnections, "primary: connection limit reached"),
    ] {
        let mut machine = machine();
        let Fact::Connection(fact) = connection(1, State::Failed) else { unreachable!() };
        machine.take(Fact::Connection(Box::new(ConnectionFact { loss: Some(loss), ..*fact })), at(0));
        machine.take(Fact::Gaps(vec![(1, at(0))]), at(0));
        assert_eq!(titles(&run(&mut machine, 0, 200)), [(5, Kind::Firing, title)]);
    }
}

#[test]
fn whoever_looks_after_it_is_not_told_again_and_others_are() {
    let mut machine = machine();
    machine.take(connection(1, State::Mute), at(0));
    machine.take(connection(2, State::Degraded), at(0));
    let steps = run(&mut machine, 0, 1_000);
    let expected = [
        (5, Kind::Firing, "primary: no data"),
        (60, Kind::Firing, "secondary: degraded"),
        (305, Kind::Escalated, "primary: no data"),
        (905, Kind::Escalated, "primary: no data"),
    ];
    assert_eq!(titles(&steps), expected);
    machine.take(connection(3, State::Mute), at(1_000));
    run(&mut machine, 1_001, 1_010);
    let id = machine.open().find(|alert| alert.connections[0].id == 3).unwrap().id.clone();
    let said = Acknowledgement { at: at(1_011), by: "ann@x".into(), note: "on it".into() };
    let step = machine.acknowledge(&id, said.clone()).expect("acknowledged");
    assert_eq!((step.kind, step.to.len(), step.alert.state()), (Kind::Acknowledged, 2, "acknowledged"));
    assert_eq!(machine.acknowledge(&id, said), None);
    assert_eq!(run(&mut machine, 1_011, 2_500), []);
}

#[test]
fn a_silence_keeps_quiet_until_its_end_and_a_resolve_goes_where_the_firing_went() {
    let mut machine = machine();
    let silence = Silence {
        id: 1,
        rule: Some(Rule::Mute),
        connection: None,
        from: at(0),
        until: at(600),
        reason: "maintenance".into(),
        by: "ann@x".into(),
    };
    machine.set(Vec::new(), vec![silence]);
    machine.take(connection(1, State::Mute), at(0));
    machine.take(connection(2, State::Mute), at(100));
    let steps: Vec<_> = (0..=500).flat_map(|second| machine.pass(at(second))).collect();
    assert_eq!(steps.iter().map(|step| (step.kind, step.to.len())).collect::<Vec<_>>(), [(Kind::Firing, 0); 2]);
    assert_eq!(machine.open().next().unwrap().silenced.as_deref(), Some("maintenance"));
    // One is well before it ends: nobody ever hears of it.
    machine.take(connection(2, State::Connected), at(501));
    let steps: Vec<_> = (501..=700).flat_map(|second| machine.pass(at(second))).collect();
    let told: Vec<_> = steps.iter().map(|step| (step.kind, step.alert.connections[0].id, step.to.len())).collect();
    assert_eq!(told, [(Kind::Resolved, 2, 0), (Kind::Firing, 1, 2)]);
}

#[test]
fn what_comes_and_goes_stays_open_and_says_so() {
    let mut machine = machine();
    let mut steps = Vec::new();
    for round in 0..6 {
        let begin = round * 90;
        machine.take(connection(1, State::Reconnecting), at(begin));
        steps.extend(run(&mut machine, begin, begin + 39));
        machine.take(connection(1, State::Connected), at(begin + 40));
        steps.extend(run(&mut machine, begin + 40, begin + 89));
    }
    let kinds: Vec<_> =
        steps.iter().filter(|(_, kind, _)| *kind != Kind::Escalated).map(|(_, kind, _)| *kind).collect();
    assert_eq!(kinds, [Kind::Firing, Kind::Flapping]);
    // The last time that it was well began at 490.
    assert_eq!(titles(&run(&mut machine, 540, 1_500)).last(), Some(&(1_090, Kind::Resolved, "primary: not connected")));
}

#[test]
fn a_connection_that_is_lost_again_and_again_is_told_of_however_short_each_time_is() {
    let mut machine = machine();
    let mut steps = Vec::new();
    for round in 0..8 {
        machine.take(connection(1, State::Reconnecting), at(round * 20));
        steps.extend(run(&mut machine, round * 20, round * 20 + 2));
        machine.take(connection(1, State::Connected), at(round * 20 + 3));
        steps.extend(run(&mut machine, round * 20 + 3, round * 20 + 19));
    }
    let kinds: Vec<_> = steps.iter().map(|(at, kind, _)| (*at, *kind)).collect();
    assert_eq!(kinds, [(120, Kind::Firing), (120, Kind::Flapping)]);
}

#[test]
fn a_rule_can_be_switched_off_and_changed_for_one_connection() {
    let mut machine = machine();
    let numbers = RuleNumbers { for_seconds: 60, ..Rule::NotConnected.numbers() };
    let of_two = RuleSetting { rule: Rule::NotConnected, connection: Some(2), numbers };
    let off = RuleNumbers { enabled: false, ..Rule::Mute.numbers() };
    let mute = RuleSetting { rule: Rule::Mute, connection: None, numbers: off };
    machine.set(vec![of_two, mute], Vec::new());
    for (id, state) in [(1, State::Failed), (2, State::Failed), (3, State::Mute)] {
        machine.take(connection(id, state), at(0));
    }
    let steps = run(&mut machine, 0, 200);
    let expected = [(15, Kind::Firing, "primary: not connected"), (60, Kind::Firing, "secondary: not connected")];
    assert_eq!(titles(&steps), expected);
}

#[test]
fn a_standstill_of_our_own_is_not_the_time_that_a_trouble_lasted() {
    let mut machine = machine();
    machine.take(connection(1, State::Reconnecting), at(0));
    assert_eq!(run(&mut machine, 0, 5), []);
    assert_eq!(run(&mut machine, 600, 603), [], "ten minutes that nobody saw");
    assert_eq!(titles(&run(&mut machine, 604, 700)), [(610, Kind::Firing, "primary: not connected")]);
}

#[test]
fn open_alerts_are_taken_up_again_and_nothing_is_told_twice() {
    let mut before = machine();
    before.take(connection(1, State::Reconnecting), at(0));
    before.take(connection(2, State::Reconnecting), at(0));
    run(&mut before, 0, 60);
    let open: Vec<_> = before.open().cloned().collect();
    let receivers = vec![("webhook".to_owned(), Severity::Warning)];
    let mut after = Machine::new(Calendar::AlwaysOpen, receivers);
    assert_eq!(after.take_up(open, at(65)), []);
    after.take(connection(1, State::Connecting), at(70));
    after.take(connection(2, State::Connected), at(70));
    assert_eq!(run(&mut after, 70, 90), []);
    after.take(connection(1, State::Connected), at(90));
    let steps: Vec<_> = (91..=200).flat_map(|second| after.pass(at(second))).collect();
    assert_eq!(
        (steps.len(), steps[0].kind, &*steps[0].id),
        (1, Kind::Resolved, &*format!("not_connected-1-2-{}-2", at(15).0))
    );
    // A connection that is gone with the restart is well, too.
    let open: Vec<_> = before.open().cloned().collect();
    let mut without = Machine::new(Calendar::AlwaysOpen, Vec::new());
    without.take_up(open, at(65));
    without.take(Fact::Connections(vec![3]), at(70));
    assert_eq!(run(&mut without, 70, 200).len(), 1);
}

#[test]
fn measured_rules_tell_their_numbers_and_only_within_their_hours() {
    let mut machine = Machine::new(Calendar::UnitedStates, vec![("w".to_owned(), Severity::Info)]);
    let late = |p99| {
        let Fact::Connection(fact) = connection(1, State::Connected) else { unreachable!() };
        Fact::Connection(Box::new(ConnectionFact { latency_p99_ms: Some(p99), ..*fact }))
    };
    machine.take(late(2_500.0), at(0));
    let steps: Vec<_> = (0..=100).flat_map(|second| machine.pass(at(second))).collect();
    let alert = &steps[0].alert;
    assert_eq!(
        (steps.len(), alert.rule, alert.value, alert.threshold),
        (1, Rule::Latency, Some(2_500.0), Some(1_000.0))
    );
    // 17:00 in New York.
    let evening = 7 * 3_600;
    let mut machine = Machine::new(Calendar::UnitedStates, Vec::new());
    machine.take(late(2_500.0), at(evening));
    assert_eq!(run(&mut machine, evening, evening + 200), []);
    // A connection that went down in the night is told of when the pre-market begins, 04:00.
    let (night, morning) = (16 * 3_600, 18 * 3_600);
    machine.take(connection(1, State::Failed), at(night));
    assert_eq!(run(&mut machine, night, night + 60), []);
    let steps = run(&mut machine, morning - 30, morning + 60);
    assert_eq!(titles(&steps).first().map(|step| step.1), Some(Kind::Firing));
}

#[test]
fn a_certificate_is_told_of_two_weeks_before_its_end() {
    let mut machine = machine();
    let day = 86_400_000;
    machine.take(Fact::Certificate(Some(UnixMillis(OPEN + 15 * day))), at(0));
    assert_eq!(run(&mut machine, 0, 5), []);
    machine.take(Fact::Certificate(Some(UnixMillis(OPEN + 13 * day))), at(6));
    assert_eq!(titles(&run(&mut machine, 6, 10)), [(6, Kind::Firing, "The server's certificate ends soon")]);
    let alert = machine.open().next().unwrap();
    assert_eq!((alert.value, alert.threshold), (Some(12.0), Some(14.0)));
}

fn any_fact() -> impl Strategy<Value = Fact> {
    let states = [State::Connected, State::Connected, State::Mute, State::Degraded, State::Reconnecting, State::Failed];
    prop_oneof![
        6 => (1..=3_u8, proptest::sample::select(states.to_vec())).prop_map(|(id, state)| connection(id, state)),
        1 => any::<bool>().prop_map(|down| Fact::Bus(down.then(|| "down".to_owned()))),
        1 => any::<bool>().prop_map(|silent| Fact::NoCollector(silent.then(|| "silent".to_owned()))),
        1 => any::<bool>().prop_map(|full| Fact::History(full.then(|| (at(0), "full".to_owned())))),
        1 => any::<bool>().prop_map(|lost| Fact::ServersLost(lost.then(|| ("b:3000".into(), at(0))).into_iter().collect())),
        1 => proptest::collection::vec(1..=3_u8, 0..3).prop_map(|ids| Fact::Gaps(ids.into_iter().map(|id| (id, at(0))).collect())),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn every_alert_fires_once_ends_once_and_is_told_on_where_it_was_told(
        events in proptest::collection::vec((1..120_i64, any_fact()), 1..80),
        restart_after in 0..80_usize,
    ) {
        let mut machine = machine();
        let mut told: BTreeMap<String, Vec<Transition>> = BTreeMap::new();
        let mut ids = std::collections::BTreeSet::new();
        let mut now = 0;
        let mut take = |machine: &mut Machine, steps: Vec<Transition>| {
            for step in steps {
                prop_assert!(ids.insert(step.id.clone()), "{} twice", step.id);
                told.entry(step.alert.id.clone()).or_default().push(step);
            }
            let mut open = std::collections::BTreeSet::new();
            for alert in machine.open() {
                for subject in subjects(alert) {
                    prop_assert!(open.insert((alert.rule, subject)), "two alerts of one thing");
                }
            }
            Ok(())
        };
        for (number, (pause, fact)) in events.into_iter().enumerate() {
            if number == restart_after {
                let open = machine.open().cloned().collect();
                machine = Machine::new(Calendar::AlwaysOpen, machine.receivers.clone());
                machine.take_up(open, at(now));
            }
            for _ in 0..pause {
                now += 1;
                let steps = machine.pass(at(now));
                take(&mut machine, steps)?;
            }
            machine.take(fact, at(now));
        }
        for id in 1..=3 {
            machine.take(connection(id, State::Connected), at(now));
        }
        for fact in [Fact::Bus(None), Fact::NoCollector(None), Fact::History(None), Fact::Gaps(Vec::new()),
            Fact::ServersLost(Vec::new())]
        {
            machine.take(fact, at(now));
        }
        for _ in 0..700 {
            now += 1;
            let steps = machine.pass(at(now));
            take(&mut machine, steps)?;
        }
        prop_assert_eq!(machine.open().count(), 0, "well for eleven minutes");
        for steps in told.values() {
            let kinds: Vec<_> = steps.iter().map(|step| step.kind).collect();
            prop_assert_eq!(kinds[0], Kind::Firing);
            prop_assert_eq!(kinds.iter().filter(|kind| **kind == Kind::Firing).count(), 1);
            prop_assert_eq!(kinds.iter().filter(|kind| **kind == Kind::Resolved).count(), 1);
            prop_assert_eq!(kinds.last(), Some(&Kind::Resolved));
            prop_assert_eq!(&steps[0].to, &steps[steps.len() - 1].to);
            prop_assert!(steps.windows(2).all(|pair| pair[0].at <= pair[1].at));
            let hold_ms = i64::from(steps[0].alert.rule.numbers().for_seconds) * 1000;
            let lasted_ms = steps[0].at.millis_since(steps[0].alert.started_at);
            prop_assert!(lasted_ms + GROUP_MS >= hold_ms || steps[1].kind == Kind::Flapping);
        }
    }
}
