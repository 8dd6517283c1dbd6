use super::*;
use crate::model::Role;
use std::net::{IpAddr, Ipv4Addr};

fn stranger(address: u32, user_agent: &str) -> Actor {
    let address = Some(IpAddr::V4(Ipv4Addr::from_bits(address)));
    Actor { address, user_agent: Some(user_agent.to_owned()), ..Actor::default() }
}

fn ann() -> Actor {
    Actor { name: Some("ann@x".into()), role: Some(Role::Admin), ..stranger(1, "Firefox") }
}

fn refusal(actor: &Actor, target: &str) -> AuditAct {
    actor.is_refused(Action::ApiCall, "sign in first").to(target)
}

const SOON: UnixMillis = UnixMillis(0);
const LATER: UnixMillis = UnixMillis(60_000);

#[test]
fn another_browsers_name_makes_no_other_refusal_and_the_first_one_is_kept() {
    let mut gathered = Gathered::default();
    for n in 0..1_000 {
        assert_eq!(gathered.refused(refusal(&stranger(1, &format!("curl/{n}")), "GET /"), SOON), None);
    }
    let first = gathered.take_waiting();
    assert_eq!((first.len(), first[0].act.actor.user_agent.as_deref()), (1, Some("curl/0")));
    let count = gathered.take_due(LATER);
    assert_eq!((count.len(), count[0].occurrences, &count[0].act.actor.user_agent), (1, 999, &None));
    assert_eq!(gathered.unrecorded_total(), 0);
}

#[test]
fn a_flood_of_different_refusals_is_a_few_records_and_a_count_that_says_of_whom() {
    let mut gathered = Gathered::default();
    for n in 0..5_000 {
        let target = format!("GET /{n}");
        gathered.refused(refusal(&stranger(0x0a00_0001, "x"), &target), SOON);
        gathered.refused(refusal(&stranger(0x0b00_0000 + n, "x"), &target), SOON);
    }
    let entries = gathered.take_due(LATER);
    let (counts, records): (Vec<_>, Vec<_>) =
        entries.into_iter().partition(|entry| entry.act.action == Action::RefusalsCounted);
    assert_eq!(records.len(), 60);
    assert_eq!(counts.len(), 1);
    assert_eq!(counts[0].occurrences + 60, 10_000, "none is forgotten");
    let reason = counts[0].act.reason.as_deref().unwrap();
    assert!(
        reason.starts_with("too many to record one by one: 4980 api_call of 10.0.0.1, 1 api_call of 11.0.0."),
        "{reason}"
    );
    assert!(reason.ends_with(" of others"), "{reason}");
    assert!(gathered.take_due(UnixMillis(200_000)).is_empty());
    assert_eq!(gathered.unrecorded_total(), 9_940);
}

/// 1,100 anonymous requests within a minute, and everybody's repeated acts lost address, target and browser.
#[test]
fn no_flood_of_strangers_takes_anything_from_what_administrators_do() {
    let mut gathered = Gathered::default();
    for n in 0..100_000 {
        gathered.refused(refusal(&stranger(n, &n.to_string()), &n.to_string()), SOON);
    }
    gathered.take_waiting();
    let act = ann().does(Action::ApiCall).to("GET /api/admin/audit");
    assert!(!gathered.is_again(&act, SOON));
    assert!(gathered.is_again(&act, SOON));
    let refused = refusal(&ann(), "GET /x");
    assert_eq!(gathered.refused(refused.clone(), SOON), Some(refused), "written at once, whoever else is refused");
    let due = gathered.take_due(LATER);
    assert!(due.contains(&Entry { act, at: SOON, occurrences: 1 }), "with address, target and browser");
}

#[test]
fn an_account_that_is_refused_too_often_is_counted_under_its_name() {
    let mut gathered = Gathered::default();
    let at_once = (0..500).filter(|n| gathered.refused(refusal(&ann(), &n.to_string()), SOON).is_some()).count();
    assert_eq!(at_once, 60);
    let due = gathered.take_due(LATER);
    assert_eq!((due.len(), due[0].occurrences), (1, 440));
    assert_eq!(due[0].act.reason.as_deref(), Some("too many to record one by one: 440 api_call of ann@x"));
}

#[test]
fn a_log_that_is_full_counts_strangers_and_records_accounts() {
    let mut gathered = Gathered { is_full: true, ..Gathered::default() };
    assert_eq!(gathered.refused(refusal(&stranger(1, "x"), "GET /"), SOON), None);
    assert!(gathered.refused(refusal(&ann(), "GET /"), SOON).is_some());
    let due = gathered.take_due(LATER);
    assert_eq!(due.len(), 1);
    assert_eq!(due[0].act.reason.as_deref(), Some("the log is larger than AUDIT_SIZE_MAX_MB: 1 api_call of 0.0.0.1"));
}

#[test]
fn what_could_not_be_written_waits_within_bounds_and_none_of_an_account_is_lost() {
    let mut gathered = Gathered::default();
    let entry = |actor: Actor| Entry { act: refusal(&actor, "GET /"), at: SOON, occurrences: 1 };
    let mut entries: Vec<_> = (0..3_000).map(|n| entry(stranger(n, "x"))).collect();
    entries.push(entry(ann()));
    gathered.put_back(entries);
    let waiting = gathered.take_waiting();
    assert_eq!((waiting.len(), waiting.last()), (WAITING_MAX + 1, Some(&entry(ann()))));
    assert_eq!(gathered.take_due(LATER)[0].occurrences, 3_000 - WAITING_MAX as i64);
}
