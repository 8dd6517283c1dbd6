//! The lease as a state machine: what was asked and answered, and what this server may do by now.
//!
//! ```text
//!            taken                    not renewed in time                somebody else has it, or HOLD is over
//!  Standby ─────────▶ Held (collects, publishes) ─────────▶ Holding (keeps its connections) ─────────▶ Standby
//!                       ▲           │ somebody else has it           │
//!                       │           └────────────────────────────────┼──────────────────────────────▶ Standby
//!                       └────────────────────────────────────────────┘ renewed, or taken again with nobody in between
//! ```
//!
//! Times are handed in. The right to publish ends [`RIGHT`] after the *start* of the last question that was answered well, on
//! this process's monotonic clock; Redis gives the lease to somebody else only later, [`LEASE`](crate::bus::LEASE) after it
//! was written.

use crate::bus::LeaseAnswer;
use std::time::Duration;
use tokio::time::Instant;

/// How long one good answer lets publish, from when it was asked for.
pub(super) const RIGHT: Duration = Duration::from_millis(1_200);
/// How long connections are held on without the right, while somebody else might take over: a Redis that restarts meanwhile
/// costs no reconnect to the provider.
pub(super) const HOLD: Duration = Duration::from_secs(10);

/// What this server knows of its lease.
#[derive(Debug, Default)]
pub(super) struct Lease {
    state: State,
    /// Somebody else stood by when the lease was last renewed.
    has_others: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Standby,
    Held {
        epoch: u64,
        until: Instant,
    },
    Holding {
        epoch: u64,
        /// `None`: nobody else was there to take over, so it goes on for as long as Redis is away.
        until: Option<Instant>,
    },
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Begin to collect.
    Start,
    /// End what there is, and begin anew: somebody else collected in between.
    StartAnew,
    /// End it.
    Stop(Why),
}

/// Why a server collects no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// Somebody else has the lease.
    Other,
    /// It could not be renewed for too long.
    HoldOver,
}

impl Lease {
    /// The epoch to ask with: the one under which this server collects, 0 for none.
    pub(super) fn epoch(&self) -> u64 {
        match self.state {
            State::Standby => 0,
            State::Held { epoch, .. } | State::Holding { epoch, .. } => epoch,
        }
    }

    /// Under which epoch may be published, and until when.
    pub(super) fn right(&self) -> Option<(u64, Instant)> {
        match self.state {
            State::Held { epoch, until } => Some((epoch, until)),
            State::Standby | State::Holding { .. } => None,
        }
    }

    pub(super) fn is_standby(&self) -> bool {
        self.state == State::Standby
    }

    /// Is somebody there who would take over?
    pub(super) fn has_others(&self) -> bool {
        self.has_others
    }

    /// When to [`look`](Self::look) at the latest.
    pub(super) fn due(&self) -> Option<Instant> {
        match self.state {
            State::Standby => None,
            State::Held { until, .. } => Some(until),
            State::Holding { until, .. } => until,
        }
    }

    /// Redis answered what was asked at `asked_at`.
    pub(super) fn hear(&mut self, asked_at: Instant, answer: &LeaseAnswer, now: Instant) -> Option<Order> {
        let until = asked_at + RIGHT;
        let order = match (answer, self.state) {
            (LeaseAnswer::Other(_), State::Standby)
            | (LeaseAnswer::Nobody | LeaseAnswer::Lost | LeaseAnswer::Kept { .. }, State::Standby) => None,
            (LeaseAnswer::Other(_), _) => {
                self.state = State::Standby;
                return Some(Order::Stop(Why::Other));
            }
            // It was not asked for.
            (LeaseAnswer::Nobody | LeaseAnswer::Lost, _) => None,
            (LeaseAnswer::Kept { others }, State::Held { epoch, .. } | State::Holding { epoch, .. }) => {
                (self.state, self.has_others) = (State::Held { epoch, until }, *others);
                None
            }
            (LeaseAnswer::Taken { epoch, after_others, others }, before) => {
                (self.state, self.has_others) = (State::Held { epoch: *epoch, until }, *others);
                match before {
                    State::Standby => Some(Order::Start),
                    _ => after_others.then_some(Order::StartAnew),
                }
            }
        };
        // An answer that came so late gives no right.
        self.look(now).or(order)
    }

    /// Time passed.
    pub(super) fn look(&mut self, now: Instant) -> Option<Order> {
        if let State::Held { epoch, until } = self.state
            && now >= until
        {
            self.state = State::Holding { epoch, until: self.has_others.then_some(until + HOLD) };
        }
        match self.state {
            State::Holding { until: Some(until), .. } if now >= until => {
                self.state = State::Standby;
                Some(Order::Stop(Why::HoldOver))
            }
            _ => None,
        }
    }

    /// Redis refused what was published: the epoch is over, or Redis lost it. The next answer tells which.
    pub(super) fn refused(&mut self, now: Instant) {
        if let State::Held { epoch, .. } = self.state {
            self.state = State::Holding { epoch, until: Some(now + HOLD) };
        }
    }

    /// It is given up.
    pub(super) fn give_up(&mut self) {
        self.state = State::Standby;
    }
}

#[cfg(test)]
mod tests;
