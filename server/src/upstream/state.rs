//! The state machine of one connection: events in, at most one action out, no I/O and no clock.
//!
//! ```text
//!  Dialling ─Opened─▶ Greeting ─Hello─▶ Authenticating ─KeyTaken─▶ Subscribing ─all acknowledged, or deadline─▶ Live
//!      ▲                  └───────────────────┴────────── lost, refused ──┴───────────────────────────────────────┤
//!      └──────────────────────────── wait over ─────────────────── Waiting ◀──────────────────────────────────────┘
//! ```
//!
//! The task around it (`connection.rs`) does what the actions say. A problem that the provider names without ending
//! the connection changes no phase; it is counted where it is read.

use super::{backoff::PROVEN_AFTER, massive::Notice};
use app::model::connection::ConnectionState;
use std::{collections::HashSet, time::Duration};

/// Why a connection is down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// It closed, aborted, went silent or could not be opened.
    Ordinary(String),
    /// The key was refused, in the provider's words.
    KeyRefused(String),
    /// The account has too many connections, in the provider's words.
    TooManyConnections(String),
    /// None of so many subscriptions was acknowledged.
    NothingSubscribed(usize),
}

impl Loss {
    /// The reason as it is shown.
    #[must_use]
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Ordinary(why) => why.clone(),
            Self::KeyRefused(words) => format!("Key refused by the provider: {words}"),
            Self::TooManyConnections(words) => format!("Connection limit of the account: {words}"),
            Self::NothingSubscribed(count) => format!("None of {count} subscriptions was acknowledged"),
        }
    }
}

/// Where a connection is on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    Dialling,
    Greeting,
    Authenticating,
    Subscribing,
    Live,
    Waiting(Loss),
}

/// What happens to a connection.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// The socket is open.
    Opened,
    /// The provider said something about the connection.
    Said(Notice),
    /// The time for acknowledgements is over.
    AcknowledgementsDue,
    /// The socket is gone, `lived` after it was opened.
    Lost {
        /// Why.
        loss: Loss,
        /// How long it had been open.
        lived: Duration,
    },
    /// The wait before the next attempt is over.
    WaitOver,
}

/// What is to be done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Send the key.
    Authenticate,
    /// Subscribe to everything.
    Subscribe,
    /// Close the socket; the loss follows as an event.
    HangUp(Loss),
    /// Wait, as long as the backoff says for this loss and attempt.
    Wait(Loss),
}

/// One connection's way, with what it asked for.
#[derive(Clone, Debug)]
pub(super) struct Link {
    phase: Phase,
    attempt: u32,
    params: Vec<String>,
    pending: HashSet<String>,
}

impl Link {
    /// A connection about to dial, which will ask for `params` (`channel.symbol`).
    #[must_use]
    pub(super) fn new(params: Vec<String>) -> Self {
        let pending = params.iter().cloned().collect();
        Self { phase: Phase::Dialling, attempt: 0, params, pending }
    }

    /// Takes an event and says what to do.
    pub(super) fn next(&mut self, event: Event) -> Option<Action> {
        match (event, &self.phase) {
            (Event::WaitOver, Phase::Waiting(_)) => {
                self.phase = Phase::Dialling;
                None
            }
            (Event::Opened, Phase::Dialling) => {
                self.phase = Phase::Greeting;
                self.pending = self.params.iter().cloned().collect();
                None
            }
            (Event::Lost { loss, lived }, phase) if !matches!(phase, Phase::Waiting(_)) => {
                self.attempt = if self.is_live() && lived >= PROVEN_AFTER { 1 } else { self.attempt.saturating_add(1) };
                self.phase = Phase::Waiting(loss.clone());
                self.pending = self.params.iter().cloned().collect();
                Some(Action::Wait(loss))
            }
            // A connection that carries nothing is not up, however open its socket is.
            (Event::AcknowledgementsDue, Phase::Subscribing) if self.acknowledged() == 0 => {
                Some(Action::HangUp(Loss::NothingSubscribed(self.params.len())))
            }
            (Event::AcknowledgementsDue, Phase::Subscribing) => {
                self.phase = Phase::Live;
                None
            }
            (Event::Said(notice), phase) if self.is_open(phase) => self.heard(notice),
            _ => None,
        }
    }

    /// The limit and a refusal can come at any moment, instead of any other answer (`massive.md`, section 2).
    fn heard(&mut self, notice: Notice) -> Option<Action> {
        match (notice, &self.phase) {
            (Notice::KeyRefused(words), _) => Some(Action::HangUp(Loss::KeyRefused(words))),
            (Notice::TooManyConnections(words), _) => Some(Action::HangUp(Loss::TooManyConnections(words))),
            (Notice::Hello, Phase::Greeting) => {
                self.phase = Phase::Authenticating;
                Some(Action::Authenticate)
            }
            (Notice::KeyTaken, Phase::Authenticating) => {
                self.phase = Phase::Subscribing;
                Some(Action::Subscribe)
            }
            (Notice::Subscribed(param), Phase::Subscribing | Phase::Live) => {
                self.pending.remove(&param);
                if self.pending.is_empty() {
                    self.phase = Phase::Live;
                }
                None
            }
            _ => None,
        }
    }

    fn is_open(&self, phase: &Phase) -> bool {
        !matches!(phase, Phase::Dialling | Phase::Waiting(_))
    }

    /// Was everything said that had to be said, so that data may flow?
    #[must_use]
    pub(super) fn is_live(&self) -> bool {
        self.phase == Phase::Live
    }

    /// Is it waiting for acknowledgements?
    #[must_use]
    pub(super) fn is_subscribing(&self) -> bool {
        self.phase == Phase::Subscribing
    }

    /// The state that an administrator sees.
    #[must_use]
    pub(super) fn state(&self) -> ConnectionState {
        match &self.phase {
            Phase::Dialling => ConnectionState::Connecting,
            Phase::Greeting | Phase::Authenticating => ConnectionState::Authenticating,
            Phase::Subscribing => ConnectionState::Subscribing,
            Phase::Live if self.pending.is_empty() => ConnectionState::Connected,
            Phase::Live => ConnectionState::Degraded,
            Phase::Waiting(Loss::Ordinary(_)) => ConnectionState::Reconnecting,
            Phase::Waiting(_) => ConnectionState::Failed,
        }
    }

    /// Why it is not well; `None` when it is, or on its first way there.
    #[must_use]
    pub(super) fn reason(&self) -> Option<String> {
        match &self.phase {
            Phase::Waiting(loss) => Some(loss.reason()),
            Phase::Live if !self.pending.is_empty() => {
                let mut missing: Vec<_> = self.pending.iter().map(String::as_str).collect();
                missing.sort_unstable();
                let more = if missing.len() > 5 { ", …" } else { "" };
                missing.truncate(5);
                let names = missing.join(", ");
                Some(format!("{} of {} not acknowledged: {names}{more}", self.pending.len(), self.params.len()))
            }
            _ => None,
        }
    }

    /// Attempts since the connection last proved itself; 0 before the first loss and again once it is proven.
    #[must_use]
    pub(super) fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The connection has lived long enough: what was before is forgotten.
    pub(super) fn proven(&mut self) {
        if self.is_live() {
            self.attempt = 0;
        }
    }

    /// What it asks for.
    #[must_use]
    pub(super) fn params(&self) -> &[String] {
        &self.params
    }

    /// How much of it was acknowledged on this socket.
    #[must_use]
    pub(super) fn acknowledged(&self) -> usize {
        self.params.len() - self.pending.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn params() -> Vec<String> {
        vec!["A.AAPL".into(), "A.MSFT".into()]
    }

    fn acknowledged(param: &str) -> Event {
        Event::Said(Notice::Subscribed(param.into()))
    }

    fn lost(seconds: u64) -> Event {
        Event::Lost { loss: Loss::Ordinary("closed".into()), lived: Duration::from_secs(seconds) }
    }

    fn live() -> Link {
        let mut link = Link::new(params());
        assert_eq!(link.next(Event::Opened), None);
        assert_eq!(link.next(Event::Said(Notice::Hello)), Some(Action::Authenticate));
        assert_eq!(link.next(Event::Said(Notice::KeyTaken)), Some(Action::Subscribe));
        assert_eq!(link.state(), ConnectionState::Subscribing);
        link.next(acknowledged("A.AAPL"));
        link.next(acknowledged("A.MSFT"));
        link
    }

    #[test]
    fn the_whole_way_ends_connected() {
        assert_eq!(live().state(), ConnectionState::Connected);
    }

    #[test]
    fn what_was_never_acknowledged_makes_it_degraded_until_it_is() {
        let mut link = Link::new(params());
        for event in [Event::Opened, Event::Said(Notice::Hello), Event::Said(Notice::KeyTaken), acknowledged("A.AAPL")]
        {
            link.next(event);
        }
        link.next(Event::AcknowledgementsDue);
        assert_eq!(link.state(), ConnectionState::Degraded);
        assert_eq!(link.reason().as_deref(), Some("1 of 2 not acknowledged: A.MSFT"));
        link.next(acknowledged("A.MSFT"));
        assert_eq!((link.state(), link.reason()), (ConnectionState::Connected, None));
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
    fn the_ladder_starts_anew_only_after_the_connection_has_lived() {
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
        for notice in
            [Notice::KeyRefused("authentication failed".into()), Notice::TooManyConnections("exceeded".into())]
        {
            let mut link = live();
            let Some(Action::HangUp(loss)) = link.next(Event::Said(notice)) else { panic!("hangs up") };
            link.next(Event::Lost { loss, lived: Duration::from_secs(60) });
            assert_eq!(link.state(), ConnectionState::Failed);
            assert!(link.reason().is_some_and(|reason| reason.contains("refused") || reason.contains("limit")));
        }
    }

    #[test]
    fn a_connection_that_may_carry_nothing_is_failed_not_up() {
        let mut link = Link::new(params());
        for event in [Event::Opened, Event::Said(Notice::Hello), Event::Said(Notice::KeyTaken)] {
            link.next(event);
        }
        let Some(Action::HangUp(loss)) = link.next(Event::AcknowledgementsDue) else { panic!("hangs up") };
        link.next(Event::Lost { loss, lived: Duration::from_secs(60) });
        assert_eq!(link.state(), ConnectionState::Failed);
        assert_eq!(link.reason().as_deref(), Some("None of 2 subscriptions was acknowledged"));
    }

    fn any_event() -> impl Strategy<Value = Event> {
        let words = Just(String::from("words"));
        prop_oneof![
            Just(Event::Opened),
            Just(Event::AcknowledgementsDue),
            Just(Event::WaitOver),
            Just(Event::Said(Notice::Hello)),
            Just(Event::Said(Notice::KeyTaken)),
            words.clone().prop_map(|w| Event::Said(Notice::KeyRefused(w))),
            words.clone().prop_map(|w| Event::Said(Notice::TooManyConnections(w))),
            words.prop_map(|w| Event::Said(Notice::Problem(w))),
            prop_oneof![Just("A.AAPL"), Just("A.MSFT"), Just("A.OTHER")].prop_map(acknowledged),
            (0u64..100).prop_map(lost),
        ]
    }

    proptest! {
        #[test]
        fn no_sequence_of_events_reaches_a_state_that_lies(events in prop::collection::vec(any_event(), 0..60)) {
            let mut link = Link::new(params());
            let (mut open, mut greeted, mut key_taken) = (false, false, false);
            for event in events {
                match &event {
                    Event::Opened if !open && link.state() == ConnectionState::Connecting => {
                        (open, greeted, key_taken) = (true, false, false);
                    }
                    Event::Said(Notice::Hello) if open => greeted = true,
                    Event::Said(Notice::KeyTaken) if open && greeted => key_taken = true,
                    Event::Lost { .. } => (open, greeted, key_taken) = (false, false, false),
                    _ => {}
                }
                link.next(event);
                let state = link.state();
                prop_assert!(!state.is_up() || (open && greeted && key_taken), "{state:?} without a key taken");
                prop_assert!(link.acknowledged() <= link.params().len());
                prop_assert_eq!(state == ConnectionState::Connected, link.is_live() && link.acknowledged() == 2);
                let down = matches!(state, ConnectionState::Reconnecting | ConnectionState::Failed);
                prop_assert!(!down || (link.attempt() >= 1 && link.reason().is_some()));
            }
        }
    }
}
