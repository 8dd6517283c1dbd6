use super::*;
use crate::{
    auth::testing,
    model::{Action, Actor},
};
use app::model::{
    alert::{AlertConnection, Rule, RuleNumbers},
    connection::ConnectionSet,
};

fn step(alert: &str, number: u32, kind: TransitionKind) -> Transition {
    let connections = vec![AlertConnection { id: 1, name: "primary".into() }];
    let alert = Alert {
        id: alert.into(),
        title: "primary: no data".into(),
        rule: Rule::Mute,
        connections,
        started_at: UnixMillis(10),
        transitions: number,
        ..Alert::default()
    };
    let to = vec!["webhook".to_owned(), "slack".to_owned()];
    Transition { id: format!("{}-{number}", alert.id), kind, at: UnixMillis(100 + i64::from(number)), alert, to }
}

fn ended(outcome: Outcome, at: i64) -> Delivered {
    Delivered { outcome, attempts: 1, at: UnixMillis(at), answer: "200".into() }
}

#[tokio::test]
async fn steps_wait_in_the_order_of_their_alert_until_each_was_told() {
    for (_home, database) in testing::databases().await {
        let steps = [
            step("a", 1, TransitionKind::Firing),
            step("b", 1, TransitionKind::Firing),
            step("a", 2, TransitionKind::Resolved),
        ];
        database.write_transitions("", &steps).await.unwrap();
        // Once more, as after a failure of which nobody knows how it ended.
        database.write_transitions("", &steps).await.unwrap();
        let waiting = async |destination: &str| {
            let waiting = database.waiting_deliveries(destination).await.unwrap();
            waiting.into_iter().map(|waiting| waiting.step.id).collect::<Vec<_>>()
        };
        assert_eq!(waiting("webhook").await, ["a-1", "b-1"]);
        assert!(database.note_delivery("a-1", "webhook", &ended(Outcome::Delivered, 200)).await.unwrap());
        assert_eq!(waiting("webhook").await, ["b-1", "a-2"]);
        assert_eq!(waiting("slack").await, ["a-1", "b-1"], "each destination is told by itself");
        assert!(database.note_delivery("b-1", "webhook", &ended(Outcome::Pending, 5_000)).await.unwrap());
        assert_eq!(waiting("webhook").await, ["a-2", "b-1"], "by when they are due");
        assert!(!database.note_delivery("c-1", "webhook", &ended(Outcome::Delivered, 1)).await.unwrap());
        let open = database.open_alerts().await.unwrap();
        assert_eq!(open.iter().map(|alert| &*alert.id).collect::<Vec<_>>(), ["b"]);
        assert_eq!(database.give_up_other_deliveries(&["webhook".to_owned()], UnixMillis(1)).await.unwrap(), 3);
        assert_eq!(waiting("slack").await, [""; 0]);
        let last = database.last_deliveries("slack", 10).await.unwrap();
        assert_eq!((last.len(), &*last[0].kind, &*last[0].outcome), (3, "resolved", "given_up"));
        database.prune_alerts(UnixMillis(1_000)).await.unwrap();
        assert_eq!(database.alert("a").await.unwrap(), None);
        assert!(database.alert("b").await.unwrap().is_some(), "what is open stays");
    }
}

#[tokio::test]
async fn what_people_say_is_on_record_and_moves_the_revision() {
    for (_home, database) in testing::databases().await {
        database.write_transitions("", &[step("a", 1, TransitionKind::Firing)]).await.unwrap();
        let act = Actor::server().does(Action::AlertAcknowledge).to("a");
        let said = Acknowledgement { at: UnixMillis(7), by: "ann@x".into(), note: "on it".into() };
        let first = database.acknowledge_alert("a", &said, &act).await.unwrap();
        let second = database.acknowledge_alert("a", &said, &act).await.unwrap();
        let unknown = database.acknowledge_alert("x", &said, &act).await.unwrap();
        assert_eq!([first, second, unknown], [Acknowledged::Done, Acknowledged::TooLate, Acknowledged::Unknown]);
        let silence = Silence {
            id: 0,
            rule: Some(Rule::Mute),
            connection: Some(2),
            from: UnixMillis(0),
            until: UnixMillis(1_000),
            reason: "maintenance".into(),
            by: "ann@x".into(),
        };
        let id = database.add_silence(&silence, &act).await.unwrap();
        let numbers = RuleNumbers { enabled: true, for_seconds: 60, resolve_seconds: 5, threshold: None };
        database.set_alert_rule(Rule::Mute, Some(2), Some(numbers), &act).await.unwrap();
        database.set_alert_rule(Rule::Bus, None, Some(numbers), &act).await.unwrap();
        database.set_alert_rule(Rule::Bus, None, None, &act).await.unwrap();
        let all = database.alerts_said(UnixMillis(500)).await.unwrap();
        assert_eq!(all.acknowledgements, [("a".to_owned(), said)]);
        assert_eq!(all.silences, [Silence { id, ..silence }]);
        assert_eq!(all.settings, [RuleSetting { rule: Rule::Mute, connection: Some(2), numbers }]);
        assert_eq!(database.alert_revision().await.unwrap(), 5);
        assert!(database.end_silence(id, UnixMillis(600), &act).await.unwrap());
        assert!(!database.end_silence(id, UnixMillis(600), &act).await.unwrap());
        assert_eq!(database.alert_silences(UnixMillis(600)).await.unwrap(), []);
    }
}

#[tokio::test]
async fn alerts_come_by_the_page() {
    for (_home, database) in testing::databases().await {
        let steps: Vec<_> = ["a", "b", "c"].map(|id| step(id, 1, TransitionKind::Firing)).into();
        database.write_transitions("", &steps).await.unwrap();
        database.write_transitions("", &[step("b", 2, TransitionKind::Resolved)]).await.unwrap();
        let all = AlertFilter { open: false, from: UnixMillis(0), to: UnixMillis(1_000), before: None };
        let ids = async |filter: &AlertFilter, limit| {
            let alerts = database.alerts(filter, limit).await.unwrap();
            alerts.into_iter().map(|alert| alert.id).collect::<Vec<_>>()
        };
        assert_eq!(ids(&all, 2).await, ["c", "b"]);
        assert_eq!(ids(&AlertFilter { before: Some((UnixMillis(10), "b".into())), ..all.clone() }, 2).await, ["a"]);
        assert_eq!(ids(&AlertFilter { open: true, ..all.clone() }, 9).await, ["c", "a"]);
        assert_eq!(ids(&AlertFilter { to: UnixMillis(10), ..all }, 9).await, [""; 0]);
        assert_eq!(database.alert_counts(UnixMillis(0)).await.unwrap(), [("mute".to_owned(), 3)]);
    }
}

#[tokio::test]
async fn the_timeline_has_the_steps_of_a_range_by_connection_and_counts_them() {
    for (_home, database) in testing::databases().await {
        let of = |id: &str, rule: Rule, ids: &[u8], number, at: i64| {
            let mut step =
                step(id, number, if number == 1 { TransitionKind::Firing } else { TransitionKind::Resolved });
            step.at = UnixMillis(at);
            step.alert.rule = rule;
            step.alert.connections = ids.iter().map(|id| AlertConnection { id: *id, name: String::new() }).collect();
            let ids = ids.iter().map(u8::to_string).collect::<Vec<_>>().join(",");
            step.alert.fingerprint = [rule.name(), ":", &ids].concat();
            step
        };
        let steps = [
            of("early", Rule::Mute, &[1], 1, 20),
            of("early", Rule::Mute, &[1], 2, 900),
            of("both", Rule::NotConnected, &[2, 12], 1, 2_500),
            of("bus", Rule::Bus, &[], 1, 3_000),
            of("early", Rule::Mute, &[1], 3, 9_000),
        ];
        database.write_transitions("", &steps).await.unwrap();
        let range = UnixMillis(500)..UnixMillis(5_000);
        let ids = async |connections: ConnectionSet| {
            let steps = database.alert_steps(range.clone(), connections, 9).await.unwrap();
            let bundles = database.alert_step_bundles(range.clone(), connections, 2).await.unwrap();
            assert_eq!(bundles.iter().map(|bundle| bundle.count).sum::<u64>(), steps.len() as u64);
            steps.into_iter().map(|step| step.anchor()).collect::<Vec<_>>()
        };
        assert_eq!(ids(ConnectionSet::default()).await, ["alert-bus-1", "alert-both-1", "alert-early-2"]);
        assert_eq!(ids(Some(1).into()).await, ["alert-bus-1", "alert-early-2"]);
        assert_eq!(ids(Some(12).into()).await, ["alert-bus-1", "alert-both-1"]);
        assert_eq!(ids(Some(3).into()).await, ["alert-bus-1"], "what is about the whole is about each");
        let bundles = database.alert_step_bundles(range, ConnectionSet::default(), 2).await.unwrap();
        assert_eq!(bundles.iter().map(|one| (one.at.0, one.count)).collect::<Vec<_>>(), [(500, 1), (2_500, 2)]);
        let story = database.steps_of_alert("early").await.unwrap();
        assert_eq!(story.iter().map(|step| step.id).collect::<Vec<_>>(), [1, 2, 3]);
        let during = async |from, to| {
            let alerts = database.alerts_during(UnixMillis(from)..UnixMillis(to), 9).await.unwrap();
            alerts.into_iter().map(|alert| alert.id).collect::<Vec<_>>()
        };
        assert_eq!(during(9_001, 9_999).await, ["bus", "both"], "the other one is resolved by then");
        assert_eq!(during(0, 10).await, [""; 0]);
    }
}

#[tokio::test]
async fn one_run_holds_the_lease_and_only_that_one_writes() {
    for (_home, database) in testing::databases().await {
        let lease = |run: &str, beats| AlertLease { server: "s".into(), run: run.into(), claim: 1, beats };
        assert!(database.hold_alert_lease(&lease("a", 0)).await.unwrap());
        assert!(!database.hold_alert_lease(&lease("b", 0)).await.unwrap(), "somebody was first");
        assert_eq!(database.alert_lease().await.unwrap(), lease("a", 1));
        let steps = [step("a", 1, TransitionKind::Firing)];
        assert!(!database.write_transitions("b", &steps).await.unwrap());
        assert_eq!(database.open_alerts().await.unwrap(), []);
        assert!(database.write_transitions("a", &steps).await.unwrap());
        database.give_up_alert_lease("b").await.unwrap();
        assert_eq!(database.alert_lease().await.unwrap().run, "a");
        database.give_up_alert_lease("a").await.unwrap();
        let free = database.alert_lease().await.unwrap();
        assert_eq!((&*free.run, free.claim), ("", 0));
        // Whoever sent before says late that it failed: it was told by the other one.
        assert!(database.note_delivery("a-1", "webhook", &ended(Outcome::Delivered, 200)).await.unwrap());
        assert!(database.note_delivery("a-1", "webhook", &ended(Outcome::Pending, 300)).await.unwrap());
        assert_eq!(database.waiting_deliveries("webhook").await.unwrap(), []);
    }
}
