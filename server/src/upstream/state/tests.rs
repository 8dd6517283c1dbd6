use super::*;
use proptest::prelude::*;

const PROVEN_AFTER: Duration = Duration::from_secs(10);

fn link() -> Link {
    Link::new(vec!["A.AAPL".into(), "A.MSFT".into()], PROVEN_AFTER)
}

fn acknowledged(param: &str) -> Event {
    Event::Said(Notice::Subscribed(param.into()))
}

fn refused() -> Event {
    Event::Said(Notice::Refused("not authorized".into()))
}

fn lost(seconds: u64) -> Event {
    Event::Lost { loss: Loss::dropped("gone"), lived: Duration::from_secs(seconds) }
}

fn subscribing() -> Link {
    let mut link = link();
    assert_eq!(link.next(Event::Opened), None);
    assert_eq!(link.next(Event::Said(Notice::Hello)), Some(Action::Authenticate));
    assert_eq!(link.next(Event::Said(Notice::KeyTaken)), Some(Action::Subscribe));
    assert_eq!(link.state(), ConnectionState::Subscribing);
    link
}

fn live() -> Link {
    let mut link = subscribing();
    link.next(acknowledged("A.AAPL"));
    link.next(acknowledged("A.MSFT"));
    link
}

fn health(link: &Link) -> Health {
    link.health(Duration::ZERO, Duration::from_secs(1))
}

#[test]
fn the_whole_way_ends_connected() {
    let link = live();
    assert_eq!(link.state(), ConnectionState::Connected);
    let health = health(&link);
    assert_eq!((health.transport.state, health.subscription.state), (LayerState::Good, LayerState::Good));
    assert_eq!(health.data.state, LayerState::Unknown, "nothing ticked yet");
}

#[test]
fn what_was_never_acknowledged_makes_it_degraded_until_it_is() {
    let mut link = subscribing();
    link.next(acknowledged("A.AAPL"));
    link.next(Event::AcknowledgementsDue);
    assert_eq!(link.state(), ConnectionState::Degraded);
    assert_eq!(link.reason().as_deref(), Some("1 of 2 not acknowledged: A.MSFT"));
    let subscription = link.subscription();
    assert_eq!((subscription.acknowledged, subscription.never_acknowledged, subscription.refused), (1, 1, 0));
    assert_eq!(subscription.missing, ["A.MSFT"]);
    link.next(acknowledged("A.MSFT"));
    assert_eq!((link.state(), link.reason()), (ConnectionState::Connected, None));
    assert_eq!(link.subscription().missing, Vec::<String>::new());
}

#[test]
fn a_refusal_without_a_name_ends_the_waiting_when_everything_is_answered() {
    let mut link = subscribing();
    link.next(refused());
    assert_eq!(link.state(), ConnectionState::Subscribing, "one is still open");
    link.next(acknowledged("A.AAPL"));
    assert_eq!(link.state(), ConnectionState::Degraded);
    let subscription = link.subscription();
    assert_eq!((subscription.never_acknowledged, subscription.refused), (0, 1));
    assert_eq!(subscription.refusal.as_deref(), Some("not authorized"));
    assert_eq!(
        link.reason().as_deref(),
        Some("1 of 2 not acknowledged: A.MSFT; the provider says: not authorized")
    );
}

#[test]
fn a_plan_that_allows_nothing_is_failed_in_the_providers_words() {
    let mut link = subscribing();
    link.next(refused());
    assert_eq!(link.next(refused()), None, "the same may be said twice, and what is allowed is acknowledged later");
    let Some(Action::HangUp(loss)) = link.next(Event::AcknowledgementsDue) else { panic!("hangs up") };
    link.next(Event::Lost { loss, lived: Duration::from_secs(60) });
    assert_eq!(link.state(), ConnectionState::Failed);
    let reason = "None of 2 subscriptions was acknowledged; the provider says: not authorized";
    assert_eq!(link.reason().as_deref(), Some(reason));

    let mut link = subscribing();
    link.next(refused());
    link.next(lost(1));
    assert_eq!(link.state(), ConnectionState::Failed, "and so when the provider hangs up first");
}

#[test]
fn last_words_are_the_reason_of_the_loss_that_follows() {
    let mut link = live();
    let words = Event::Said(Notice::Leaving(LossKind::SlowConsumer, "you fell behind".into()));
    assert_eq!(link.next(words), None);
    let loss = Loss::closed(Some(1008), "");
    let Some(Action::Wait(loss)) = link.next(Event::Lost { loss, lived: Duration::from_secs(60) }) else {
        panic!("waits")
    };
    assert_eq!((loss.kind, loss.close_code), (LossKind::SlowConsumer, Some(1008)));
    assert_eq!(loss.words.as_deref(), Some("you fell behind"));
    assert_eq!(link.state(), ConnectionState::Reconnecting);
}

#[test]
fn a_loss_is_one_wait_and_one_attempt_and_subscribes_again() {
    let mut link = live();
    assert!(matches!(link.next(lost(60)), Some(Action::Wait(_))));
    assert_eq!((link.state(), link.attempt()), (ConnectionState::Reconnecting, 1));
    assert_eq!(link.acknowledged(), 0, "what was acknowledged went with the socket");
    assert_eq!(link.next(lost(60)), None, "the same loss, said twice");
    link.next(Event::WaitOver);
    assert_eq!(link.state(), ConnectionState::Connecting);
    link.next(Event::Opened);
    assert_eq!(link.acknowledged(), 0);
    link.next(Event::Said(Notice::Hello));
    assert_eq!(link.next(Event::Said(Notice::KeyTaken)), Some(Action::Subscribe));
}

#[test]
fn attempts_count_anew_only_after_the_connection_has_lived() {
    let mut link = live();
    for attempt in 1..=3 {
        link.next(lost(1));
        assert_eq!(link.attempt(), attempt);
        link.next(Event::WaitOver);
        for event in [
            Event::Opened,
            Event::Said(Notice::Hello),
            Event::Said(Notice::KeyTaken),
            acknowledged("A.AAPL"),
            Event::AcknowledgementsDue,
        ] {
            link.next(event);
        }
    }
    link.next(lost(60));
    assert_eq!(link.attempt(), 1);
}

#[test]
fn refusals_are_taken_at_any_moment_and_shown_as_failed() {
    for notice in [Notice::KeyRefused("authentication failed".into()), Notice::TooManyConnections("exceeded".into())] {
        for mut link in [live(), subscribing(), {
            let mut greeting = link();
            greeting.next(Event::Opened);
            greeting
        }] {
            let Some(Action::HangUp(loss)) = link.next(Event::Said(notice.clone())) else { panic!("hangs up") };
            link.next(Event::Lost { loss, lived: Duration::from_secs(60) });
            assert_eq!(link.state(), ConnectionState::Failed);
            assert!(link.reason().is_some_and(|reason| reason.contains("refused") || reason.contains("limit")));
        }
    }
}

#[test]
fn a_connection_that_may_carry_nothing_is_failed_not_up() {
    let mut link = subscribing();
    assert_eq!(link.next(Event::AcknowledgementsDue), None, "nobody refused anything: it gets more time");
    assert_eq!(link.state(), ConnectionState::Subscribing);
    let reason = "None of 2 subscriptions acknowledged yet, and no ticks received";
    assert_eq!((link.reason().as_deref(), health(&link).subscription.state), (Some(reason), LayerState::Warn));
    let Some(Action::HangUp(loss)) = link.next(Event::AcknowledgementsDue) else { panic!("hangs up") };
    link.next(Event::Lost { loss, lived: Duration::from_secs(60) });
    assert_eq!(link.state(), ConnectionState::Failed);
    assert_eq!(link.reason().as_deref(), Some("None of 2 subscriptions was acknowledged"));
}

#[test]
fn ticks_without_an_acknowledgement_are_degraded_and_not_hung_up_on() {
    for due_first in [false, true] {
        let mut link = subscribing();
        let (first, second) =
            if due_first { (Event::AcknowledgementsDue, Event::Ticked) } else { (Event::Ticked, Event::AcknowledgementsDue) };
        assert_eq!((link.next(first), link.next(second)), (None, None));
        assert_eq!(link.state(), ConnectionState::Degraded);
        assert_eq!(link.reason().as_deref(), Some("2 of 2 not acknowledged: A.AAPL, A.MSFT"));
        link.next(acknowledged("A.AAPL"));
        link.next(acknowledged("A.MSFT"));
        assert_eq!((link.state(), link.reason()), (ConnectionState::Connected, None), "late, and yet");
    }
}

#[test]
fn acknowledgements_after_the_deadline_are_taken() {
    let mut link = subscribing();
    link.next(Event::AcknowledgementsDue);
    link.next(acknowledged("A.AAPL"));
    assert_eq!(link.state(), ConnectionState::Degraded);
    link.next(acknowledged("A.MSFT"));
    assert_eq!((link.state(), link.reason()), (ConnectionState::Connected, None));
}

#[test]
fn words_that_are_said_twice_change_nothing() {
    let mut link = live();
    for notice in [
        Notice::Hello,
        Notice::KeyTaken,
        Notice::Subscribed("A.AAPL".into()),
        Notice::Remark("subscribed".into()),
        Notice::Problem("odd".into()),
    ] {
        assert_eq!(link.next(Event::Said(notice)), None);
        assert_eq!(link.state(), ConnectionState::Connected);
    }
    let mut link = subscribing();
    assert_eq!(link.next(Event::Said(Notice::KeyTaken)), None, "subscribed once");
}

#[test]
fn mute_and_late_are_states_of_their_own_and_end_with_the_socket() {
    let mut link = live();
    assert!(link.feel(Flow::Mute("No ticks".into())));
    assert_eq!((link.state(), link.reason().as_deref()), (ConnectionState::Mute, Some("No ticks")));
    assert_eq!(health(&link).data.state, LayerState::Bad);
    assert!(link.feel(Flow::Late("9 s late".into())));
    assert_eq!(link.state(), ConnectionState::Degraded);
    assert!(link.feel(Flow::Flowing) && !link.feel(Flow::Flowing));
    assert_eq!((link.state(), link.reason()), (ConnectionState::Connected, None));
    link.feel(Flow::Mute("No ticks".into()));
    link.next(lost(60));
    assert!(!link.feel(Flow::Mute("No ticks".into())), "without a socket there is nothing to feel");
    assert_eq!(health(&link).data.state, LayerState::Off);
}

fn any_event() -> impl Strategy<Value = Event> {
    let words = Just(String::from("words"));
    prop_oneof![
        Just(Event::Opened),
        Just(Event::AcknowledgementsDue),
        Just(Event::Ticked),
        Just(Event::WaitOver),
        Just(Event::Said(Notice::Hello)),
        Just(Event::Said(Notice::KeyTaken)),
        words.clone().prop_map(|w| Event::Said(Notice::KeyRefused(w))),
        words.clone().prop_map(|w| Event::Said(Notice::TooManyConnections(w))),
        words.clone().prop_map(|w| Event::Said(Notice::Leaving(LossKind::ForceDisconnect, w))),
        words.clone().prop_map(|w| Event::Said(Notice::Refused(w))),
        words.clone().prop_map(|w| Event::Said(Notice::Problem(w))),
        words.prop_map(|w| Event::Said(Notice::Remark(w))),
        prop_oneof![Just("A.AAPL"), Just("A.MSFT"), Just("A.OTHER")].prop_map(acknowledged),
        (0u64..100).prop_map(lost),
    ]
}

fn any_flow() -> impl Strategy<Value = Option<Flow>> {
    let why = String::from("why");
    prop_oneof![
        3 => Just(None),
        1 => Just(Some(Flow::Flowing)),
        1 => Just(Some(Flow::Late(why.clone()))),
        1 => Just(Some(Flow::Mute(why))),
    ]
}

proptest! {
    #[test]
    fn no_sequence_of_events_reaches_a_state_that_lies(
        events in prop::collection::vec((any_event(), any_flow()), 0..60)
    ) {
        let mut link = link();
        let (mut open, mut greeted, mut key_taken, mut ticked) = (false, false, false, false);
        for (event, flow) in events {
            match &event {
                Event::Opened if !open && link.state() == ConnectionState::Connecting => {
                    (open, greeted, key_taken) = (true, false, false);
                }
                Event::Said(Notice::Hello) if open => greeted = true,
                Event::Said(Notice::KeyTaken) if open && greeted => key_taken = true,
                Event::Ticked if key_taken => ticked = true,
                Event::Lost { .. } => (open, greeted, key_taken, ticked) = (false, false, false, false),
                _ => {}
            }
            link.next(event);
            if let Some(flow) = flow {
                link.feel(flow);
            }
            let (state, health, subscription) = (link.state(), health(&link), link.subscription());
            prop_assert!(!state.is_up() || (open && greeted && key_taken), "{state:?} without a key taken");
            prop_assert!(!state.is_up() || subscription.acknowledged > 0 || ticked, "{state:?} and carries nothing");
            if state == ConnectionState::Connected {
                prop_assert!(link.acknowledged() == 2 && health.data.state != LayerState::Bad);
            }
            prop_assert_eq!(state == ConnectionState::Mute, health.data.state == LayerState::Bad);
            prop_assert_eq!(health.data.state != LayerState::Off, state.is_up());
            let answered = subscription.acknowledged + subscription.refused + subscription.never_acknowledged;
            prop_assert!(answered <= subscription.requested);
            prop_assert!(!link.is_live() || answered == subscription.requested, "{subscription:?}");
            let down = matches!(state, ConnectionState::Reconnecting | ConnectionState::Failed);
            prop_assert!(!down || (link.attempt() >= 1 && link.reason().is_some()));
            prop_assert_eq!(down, health.transport.state == LayerState::Bad);
        }
    }
}

#[test]
fn why_it_was_lost_stays_until_it_is_live_again() {
    let mut link = live();
    link.next(lost(60));
    let gone = |link: &Link| (link.reason().unwrap_or_default(), health(link).transport.state);
    assert_eq!(gone(&link), ("gone".into(), LayerState::Bad));
    link.next(Event::WaitOver);
    assert_eq!((link.state(), gone(&link)), (ConnectionState::Connecting, ("gone".into(), LayerState::Bad)));
    link.next(Event::Opened);
    assert_eq!((link.state(), gone(&link)), (ConnectionState::Authenticating, ("gone".into(), LayerState::Bad)));
    link.next(Event::Said(Notice::Hello));
    link.next(Event::Said(Notice::KeyTaken));
    assert_eq!(gone(&link), ("gone".into(), LayerState::Good), "the key was taken: the socket carries frames");
    link.next(acknowledged("A.AAPL"));
    link.next(acknowledged("A.MSFT"));
    assert_eq!((link.state(), link.reason()), (ConnectionState::Connected, None));
}
