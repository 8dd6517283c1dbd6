//! What one client subscribed to, in two forms: the topics as it named them, for acknowledgements, and a byte of
//! channels per traded symbol, for the market.

use super::protocol::{Channel, Status, Topic};
use super::symbols::{self, Slot};
use std::collections::HashSet;

/// Topics that one session may hold. Ours, so that a client cannot fill memory: the real server names no limit
/// (`docs/provider.md`, "Addresses and limits"). Every load-test symbol on two channels fits.
const TOPICS_MAX: usize = 200_000;

/// Channels wanted, per symbol.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    /// Channels wanted by wildcard.
    everywhere: u8,
    /// Channels wanted by name, by slot; shorter than the market when the rest is zero.
    named: Vec<u8>,
}

impl Wanted {
    /// The channels wanted of the symbol in a slot, as bits.
    pub(super) fn of(&self, slot: Slot) -> u8 {
        let everywhere = if slot < symbols::shipped_count() { self.everywhere } else { 0 };
        everywhere | self.named.get(slot as usize).copied().unwrap_or(0)
    }

    /// The slots of which anything is wanted, in order.
    pub(super) fn slots(&self) -> Vec<Slot> {
        let named = Slot::try_from(self.named.len()).unwrap_or(Slot::MAX);
        let end = if self.everywhere == 0 { named } else { named.max(symbols::shipped_count()) };
        (0..end).filter(|slot| self.of(*slot) != 0).collect()
    }

    /// Adds what another one wants.
    pub(super) fn merge(&mut self, other: &Self) {
        self.everywhere |= other.everywhere;
        if self.named.len() < other.named.len() {
            self.named.resize(other.named.len(), 0);
        }
        for (mine, theirs) in self.named.iter_mut().zip(&other.named) {
            *mine |= theirs;
        }
    }

    /// Mutable channels of what a topic names; `None` when it never trades.
    fn cell(&mut self, topic: &Topic) -> Option<&mut u8> {
        if topic.is_wildcard() {
            return Some(&mut self.everywhere);
        }
        let slot = symbols::slot(&topic.symbol)? as usize;
        if self.named.len() <= slot {
            self.named.resize(slot + 1, 0);
        }
        self.named.get_mut(slot)
    }
}

/// The subscriptions of one session.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    topics: HashSet<Topic>,
    wanted: Wanted,
}

impl Subscriptions {
    /// Which of the topics are new, and the answers to the request. Changes nothing: the answers go out before the data
    /// starts, so the caller sends them and then calls [`Self::add`].
    pub(super) fn review(&self, asked: &[Topic], is_denied: impl Fn(Channel) -> bool) -> (Vec<Topic>, Vec<Status>) {
        let mut fresh = Vec::new();
        let mut seen = HashSet::new();
        let mut statuses = Vec::new();
        for topic in asked {
            if is_denied(topic.channel) {
                statuses.push(Status::not_authorized());
            } else if self.topics.contains(topic) || !seen.insert(*topic) {
                // A repetition: the real server is silent.
            } else if self.topics.len() + fresh.len() >= TOPICS_MAX {
                statuses.push(Status::too_many_topics());
                break;
            } else {
                fresh.push(*topic);
                statuses.push(Status::subscribed(*topic));
            }
        }
        (fresh, statuses)
    }

    /// Takes topics on.
    pub(super) fn add(&mut self, topics: Vec<Topic>) {
        for topic in topics {
            if let Some(cell) = self.wanted.cell(&topic) {
                *cell |= topic.channel.bit();
            }
            self.topics.insert(topic);
        }
    }

    /// Lets topics go and answers. Nothing is said about those that were never held.
    pub(super) fn remove(&mut self, topics: &[Topic]) -> Vec<Status> {
        let mut statuses = Vec::new();
        for topic in topics {
            if self.topics.remove(topic) {
                if let Some(cell) = self.wanted.cell(topic) {
                    *cell &= !topic.channel.bit();
                }
                statuses.push(Status::unsubscribed(*topic));
            }
        }
        statuses
    }

    pub(super) fn len(&self) -> usize {
        self.topics.len()
    }

    pub(super) fn wanted(&self) -> &Wanted {
        &self.wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics(text: &str) -> Vec<Topic> {
        text.split(',').filter_map(Topic::parse).collect()
    }

    fn subscribe(subscriptions: &mut Subscriptions, text: &str) -> Vec<Status> {
        let (fresh, statuses) = subscriptions.review(&topics(text), |channel| channel == Channel::Quotes);
        subscriptions.add(fresh);
        statuses
    }

    #[test]
    fn wildcards_and_names_add_up_and_come_apart_again() {
        let mut held = Subscriptions::default();
        subscribe(&mut held, "T.AAPL,T.*,A.AAPL");
        let slot = symbols::slot("AAPL").expect("trades");
        let other = symbols::slot("MSFT").expect("trades");
        assert_eq!(held.wanted().of(slot), Channel::Trades.bit() | Channel::Seconds.bit());
        assert_eq!(held.wanted().of(other), Channel::Trades.bit());
        held.remove(&topics("T.*"));
        assert_eq!((held.wanted().of(slot) & Channel::Trades.bit(), held.wanted().of(other)), (1, 0));
        assert_eq!(held.wanted().slots(), [slot]);
    }

    #[test]
    fn a_wildcard_leaves_load_test_symbols_out() {
        let mut held = Subscriptions::default();
        subscribe(&mut held, "T.*");
        assert_eq!(held.wanted().of(symbols::slot("SIM00001").expect("trades")), 0);
        assert_eq!(held.wanted().slots().len(), symbols::shipped_count() as usize);
    }

    #[test]
    fn repetitions_are_answered_with_silence_even_within_one_request() {
        let mut held = Subscriptions::default();
        assert_eq!(subscribe(&mut held, "T.AAPL,T.AAPL,T.ZZZZZ").len(), 2);
        assert!(subscribe(&mut held, "T.AAPL,T.ZZZZZ").is_empty());
        assert_eq!(held.remove(&topics("T.ZZZZZ,T.ZZZZZ,T.MSFT")).len(), 1);
        assert_eq!(held.len(), 1);
    }

    #[test]
    fn a_denied_channel_is_refused_alone() {
        let mut held = Subscriptions::default();
        let topic = topics("T.AAPL")[0];
        assert_eq!(subscribe(&mut held, "Q.AAPL,T.AAPL"), [Status::not_authorized(), Status::subscribed(topic)]);
    }
}
