//! The state machine of one connection: events in, at most one action out, no I/O and no clock.
//!
//! ```text
//!  Dialling ─Opened─▶ Greeting ─Hello─▶ Authenticating ─KeyTaken─▶ Subscribing ─all answered, or deadline─▶ Live
//!      ▲                  └───────────────────┴────────── lost, refused ──┴────────────────────────────────────┤
//!      └──────────────────────────── wait over ─────────────────── Waiting ◀───────────────────────────────────┘
//! ```
//!
//! The task around it (`connection.rs`) does what the actions say; how the data flows it is told by `pulse.rs`. A problem
//! that the provider names without ending the connection changes no phase; it is counted where it is read.

use super::{loss::Loss, massive::Notice, pulse::Flow};
use app::model::{
    connection::ConnectionState,
    health::{Health, Layer, LayerState, LossKind, NAMES_MAX},
    status::Subscription,
};
use std::{collections::HashSet, time::Duration};

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
    /// The time for acknowledgements is over. Said again later, when nothing at all was answered the first time.
    AcknowledgementsDue,
    /// Ticks came.
    Ticked,
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
    /// On the ladder of waits: of those after the account's limit, or of all others.
    step: u32,
    last_was_limit: bool,
    proven_after: Duration,
    params: Vec<String>,
    pending: HashSet<String>,
    /// Subscriptions that the provider refused on this socket; it does not say which.
    refusals: usize,
    refusal: Option<String>,
    /// The first names of what is not acknowledged; filled when the deadline is over.
    missing: Vec<String>,
    /// The deadline was over once, and the provider had not said a word.
    is_overdue: bool,
    has_ticked: bool,
    /// What the provider announced before the end.
    last_words: Option<(LossKind, String)>,
    /// Why it was lost, until it is live again: an attempt that is under way has mended nothing yet.
    cause: Option<Loss>,
    flow: Flow,
}

impl Link {
    /// A connection about to dial, which will ask for `params` (`channel.symbol`). One that lived for `proven_after`
    /// counts its attempts anew.
    #[must_use]
    pub(super) fn new(params: Vec<String>, proven_after: Duration) -> Self {
        let mut link = Self {
            phase: Phase::Dialling,
            attempt: 0,
            step: 0,
            last_was_limit: false,
            proven_after,
            params,
            pending: HashSet::new(),
            refusals: 0,
            refusal: None,
            missing: Vec::new(),
            is_overdue: false,
            has_ticked: false,
            last_words: None,
            cause: None,
            flow: Flow::Unknown,
        };
        link.forget_socket();
        link
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
                None
            }
            (Event::Lost { loss, lived }, phase) if !matches!(phase, Phase::Waiting(_)) => {
                Some(Action::Wait(self.lost(loss, lived)))
            }
            (Event::AcknowledgementsDue, Phase::Subscribing) => self.settle(),
            (Event::Ticked, Phase::Subscribing) => {
                self.has_ticked = true;
                // The deadline is over already, and what was missing is here.
                if self.is_overdue { self.settle() } else { None }
            }
            (Event::Said(notice), phase) if !matches!(phase, Phase::Dialling | Phase::Waiting(_)) => self.heard(notice),
            _ => None,
        }
    }

    fn lost(&mut self, loss: Loss, lived: Duration) -> Loss {
        let loss = match (self.last_words.take(), self.refusal.take()) {
            (Some((kind, words)), _) => loss.announced(kind, words),
            // It refused everything and hung up before we did.
            (None, Some(words)) if self.phase == Phase::Subscribing && self.acknowledged() == 0 => {
                Loss::nothing_subscribed(self.params.len(), Some(words))
            }
            _ => loss,
        };
        let is_proven = self.is_live() && lived >= self.proven_after;
        self.attempt = if is_proven { 1 } else { self.attempt.saturating_add(1) };
        // The account's limit has waits of its own, and starts with the first of them.
        let is_limit = loss.kind == LossKind::TooManyConnections;
        let goes_on = !is_proven && is_limit == self.last_was_limit;
        self.step = if goes_on { self.step.saturating_add(1) } else { 1 };
        self.last_was_limit = is_limit;
        self.phase = Phase::Waiting(loss.clone());
        self.cause = Some(loss.clone());
        self.forget_socket();
        loss
    }

    /// What was acknowledged, refused or announced went with the socket.
    fn forget_socket(&mut self) {
        self.pending = self.params.iter().cloned().collect();
        (self.refusals, self.refusal, self.last_words) = (0, None, None);
        self.missing.clear();
        (self.is_overdue, self.has_ticked) = (false, false);
        self.flow = Flow::Unknown;
    }

    /// The account has to wait, whatever this connection was lost for: that is why it is not back.
    pub(super) fn stays_away(&mut self, because: Loss) {
        if matches!(self.phase, Phase::Waiting(_)) {
            self.cause = Some(because.clone());
            self.phase = Phase::Waiting(because);
        }
    }

    /// The limit and a refusal can come at any moment, instead of any other answer.
    fn heard(&mut self, notice: Notice) -> Option<Action> {
        match (notice, &self.phase) {
            (Notice::KeyRefused(words), _) => Some(Action::HangUp(Loss::key_refused(words))),
            (Notice::TooManyConnections(words), _) => Some(Action::HangUp(Loss::too_many(words))),
            (Notice::Leaving(kind, words), _) => {
                self.last_words = Some((kind, words));
                None
            }
            (Notice::Hello, Phase::Greeting) => {
                self.phase = Phase::Authenticating;
                Some(Action::Authenticate)
            }
            (Notice::KeyTaken, Phase::Authenticating) => {
                self.phase = Phase::Subscribing;
                Some(Action::Subscribe)
            }
            (Notice::Subscribed(param), Phase::Subscribing | Phase::Live) => {
                if self.pending.remove(&param) && self.is_live() {
                    self.list_missing();
                }
                self.settle_when_answered()
            }
            (Notice::Refused(words), Phase::Subscribing | Phase::Live) => {
                self.refusal = Some(words);
                self.refusals = (self.refusals + 1).min(self.params.len());
                self.settle_when_answered()
            }
            _ => None,
        }
    }

    /// Every subscription was answered one way or the other: there is nothing to wait for. Refusals alone end nothing before
    /// the deadline: they name nothing, and may be the same one said twice.
    fn settle_when_answered(&mut self) -> Option<Action> {
        let is_answered = self.acknowledged() > 0 && (self.is_overdue || self.refusals >= self.pending.len());
        if self.phase == Phase::Subscribing && is_answered { self.settle() } else { None }
    }

    /// The time of subscribing is over. A connection that carries nothing is not up, however open its socket is; one that
    /// brings ticks is, whatever was acknowledged. Where the provider has not said a word it gets more time.
    fn settle(&mut self) -> Option<Action> {
        if self.acknowledged() == 0 && !self.has_ticked {
            if self.refusal.is_none() && !self.is_overdue {
                self.is_overdue = true;
                return None;
            }
            return Some(Action::HangUp(Loss::nothing_subscribed(self.params.len(), self.refusal.clone())));
        }
        self.phase = Phase::Live;
        self.cause = None;
        self.list_missing();
        None
    }

    fn list_missing(&mut self) {
        let mut missing: Vec<_> = self.pending.iter().collect();
        missing.sort_unstable();
        self.missing = missing.into_iter().take(NAMES_MAX).cloned().collect();
    }

    /// Is told how the data flows. Answers whether that changed anything.
    pub(super) fn feel(&mut self, flow: Flow) -> bool {
        let changed = self.is_live() && self.flow != flow;
        if changed {
            self.flow = flow;
        }
        changed
    }

    /// Was everything said that had to be said, so that data may flow?
    #[must_use]
    pub(super) fn is_live(&self) -> bool {
        self.phase == Phase::Live
    }

    /// Was the key taken, and is everything asked for?
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
            Phase::Live => match self.flow {
                Flow::Mute(_) => ConnectionState::Mute,
                Flow::Late(_) => ConnectionState::Degraded,
                _ if !self.pending.is_empty() => ConnectionState::Degraded,
                _ => ConnectionState::Connected,
            },
            Phase::Waiting(loss) if loss.is_refusal() => ConnectionState::Failed,
            Phase::Waiting(_) => ConnectionState::Reconnecting,
        }
    }

    /// Why it is not well; `None` when it is, or on its first way there. On its way back it is still why it was lost.
    #[must_use]
    pub(super) fn reason(&self) -> Option<String> {
        match (&self.phase, &self.flow) {
            (Phase::Waiting(loss), _) => Some(loss.reason.clone()),
            (Phase::Subscribing, _) if self.is_overdue => {
                Some(format!("None of {} subscriptions acknowledged yet, and no ticks received", self.params.len()))
            }
            (Phase::Live, Flow::Mute(why)) => Some(why.clone()),
            (Phase::Live, flow) => match (self.shortfall(), flow) {
                (Some(missing), Flow::Late(why)) => Some(format!("{missing}. {why}")),
                (Some(why), _) => Some(why),
                (None, Flow::Late(why)) => Some(why.clone()),
                (None, _) => None,
            },
            _ => self.cause.as_ref().map(|loss| loss.reason.clone()),
        }
    }

    /// What of the subscription is missing, in words.
    fn shortfall(&self) -> Option<String> {
        if !self.is_live() || self.pending.is_empty() {
            return None;
        }
        let names = self.missing.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = if self.pending.len() > 5 { ", …" } else { "" };
        let words = self.refusal.as_ref().map(|words| format!("; the provider says: {words}")).unwrap_or_default();
        Some(format!("{} of {} not acknowledged: {names}{more}{words}", self.pending.len(), self.params.len()))
    }

    /// The three layers. `silence` is the time since the last frame of any kind, and `patience` how much of
    /// it is nothing to speak of.
    #[must_use]
    pub(super) fn health(&self, silence: Duration, patience: Duration) -> Health {
        let transport = match (&self.phase, &self.cause) {
            (Phase::Waiting(loss), _)
            // An open socket proves nothing: one that dies in silence opens again and again.
            | (Phase::Dialling | Phase::Greeting | Phase::Authenticating, Some(loss)) => {
                Layer::because(LayerState::Bad, loss.reason.clone())
            }
            (Phase::Dialling, None) => Layer::because(LayerState::Unknown, "The socket is being opened"),
            _ if silence > patience => {
                Layer::because(LayerState::Warn, format!("No reply to pings for {} s", silence.as_secs()))
            }
            _ => Layer::of(LayerState::Good),
        };
        let subscription = match &self.phase {
            Phase::Subscribing => Layer::because(
                if self.is_overdue { LayerState::Warn } else { LayerState::Unknown },
                format!("{} of {} acknowledged so far", self.acknowledged(), self.params.len()),
            ),
            Phase::Live => match self.shortfall() {
                Some(why) => Layer::because(LayerState::Warn, why),
                None => Layer::of(LayerState::Good),
            },
            Phase::Greeting | Phase::Authenticating => Layer::of(LayerState::Unknown),
            Phase::Dialling | Phase::Waiting(_) => Layer::of(LayerState::Off),
        };
        let data = match (&self.phase, &self.flow) {
            (Phase::Live, Flow::Unknown) => Layer::because(LayerState::Unknown, "No tick yet"),
            (Phase::Live, Flow::Flowing) => Layer::of(LayerState::Good),
            (Phase::Live, Flow::Quiet(why)) => Layer::because(LayerState::Quiet, why.clone()),
            (Phase::Live, Flow::Partly(why) | Flow::Late(why)) => Layer::because(LayerState::Warn, why.clone()),
            (Phase::Live, Flow::Mute(why)) => Layer::because(LayerState::Bad, why.clone()),
            _ => Layer::of(LayerState::Off),
        };
        Health { transport, subscription, data }
    }

    /// What was asked for and what became of it.
    #[must_use]
    pub(super) fn subscription(&self) -> Subscription {
        // A refusal names nothing, so it stands for one of those that were not acknowledged.
        let refused = self.refusals.min(self.pending.len());
        let given_up = if self.is_live() { self.pending.len() - refused } else { 0 };
        Subscription {
            requested: self.params.len() as u32,
            acknowledged: self.acknowledged() as u32,
            never_acknowledged: given_up as u32,
            refused: refused as u32,
            refusal: self.refusal.clone(),
            missing: self.missing.clone(),
        }
    }

    /// Attempts since the connection last proved itself; 0 before the first loss and again once it is proven.
    #[must_use]
    pub(super) fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The step on the ladder of waits, from 1 after a loss.
    #[must_use]
    pub(super) fn step(&self) -> u32 {
        self.step
    }

    /// The connection has lived long enough: what was before is forgotten.
    pub(super) fn proven(&mut self) {
        if self.is_live() {
            (self.attempt, self.step) = (0, 0);
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
