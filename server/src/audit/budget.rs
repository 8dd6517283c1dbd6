//! How many refusals are put on record one by one. Refusals cost whoever causes them nothing, so their number has to be
//! bounded here: for each network or account, and for all strangers together. Each action has a budget of its own, so that
//! calls of the API, which are free, cannot crowd out sign-ins, which are not.

use crate::{
    model::{Action, Actor},
    network::network,
};
use app::model::time::UnixMillis;
use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, Ipv4Addr},
};

const MINUTE_MS: i64 = 60_000;
/// Of strangers from one network.
const NETWORK: Rate = Rate { burst: 20, interval_ms: MINUTE_MS };
/// Of one account.
const ACCOUNT: Rate = Rate { burst: 60, interval_ms: MINUTE_MS };
/// Of strangers, wherever they come from.
const STRANGERS: Rate = Rate { burst: 60, interval_ms: MINUTE_MS };

/// So many at once, then one more each interval.
#[derive(Clone, Copy, Debug)]
struct Rate {
    burst: i64,
    interval_ms: i64,
}

/// Who is refused, as budgets know them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Party {
    /// Strangers from an IPv4 address or an IPv6 /64.
    Network(IpAddr),
    Account(String),
}

impl Party {
    pub(super) fn of(actor: &Actor) -> Self {
        match &actor.name {
            Some(name) => Self::Account(name.clone()),
            None => Self::Network(network(actor.address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)))),
        }
    }

    fn rate(&self) -> Rate {
        match self {
            Self::Network(_) => NETWORK,
            Self::Account(_) => ACCOUNT,
        }
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(address @ IpAddr::V4(_)) => write!(f, "{address}"),
            Self::Network(address @ IpAddr::V6(_)) => write!(f, "{address}/64"),
            Self::Account(name) => f.write_str(name),
        }
    }
}

/// What was taken from a rate: when all of it will be paid back.
#[derive(Clone, Copy, Debug, Default)]
struct Spent(i64);

impl Spent {
    fn as_of(self, rate: Rate, now: UnixMillis) -> Self {
        // The upper bound is for a clock that was set back.
        Self(self.0.clamp(now.0, now.0.saturating_add(rate.burst * rate.interval_ms)))
    }

    fn has_room(self, rate: Rate, now: UnixMillis) -> bool {
        self.0.saturating_sub(now.0) <= (rate.burst - 1) * rate.interval_ms
    }

    fn take(&mut self, rate: Rate) {
        self.0 = self.0.saturating_add(rate.interval_ms);
    }
}

/// What is left to record.
#[derive(Debug, Default)]
pub(super) struct Budget {
    /// Those who took something that is not paid back yet: as many networks as strangers' own budget lets in, and accounts.
    parties: HashMap<(Party, Action), Spent>,
    strangers: HashMap<Action, Spent>,
}

impl Budget {
    /// May one more refusal be a record? If so, it is taken.
    pub(super) fn take(&mut self, party: &Party, action: Action, now: UnixMillis) -> bool {
        let rate = party.rate();
        let key = (party.clone(), action);
        let mut own = self.parties.get(&key).copied().unwrap_or_default().as_of(rate, now);
        if !own.has_room(rate, now) {
            return false;
        }
        if matches!(party, Party::Network(_)) {
            let all = self.strangers.entry(action).or_default();
            *all = all.as_of(STRANGERS, now);
            if !all.has_room(STRANGERS, now) {
                return false;
            }
            all.take(STRANGERS);
        }
        own.take(rate);
        self.parties.insert(key, own);
        true
    }

    /// Forgets who owes nothing.
    pub(super) fn settle(&mut self, now: UnixMillis) {
        self.parties.retain(|_, spent| spent.0 > now.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(bits: u32) -> Party {
        Party::Network(IpAddr::V4(Ipv4Addr::from_bits(bits)))
    }

    #[test]
    fn one_network_has_a_burst_and_then_one_a_minute() {
        let mut budget = Budget::default();
        let mut taken = |at| (0..100).filter(|_| budget.take(&network(1), Action::ApiCall, UnixMillis(at))).count();
        assert_eq!(taken(0), 20);
        assert_eq!(taken(59_999), 0);
        assert_eq!(taken(60_000), 1);
        assert_eq!(taken(240_000), 3);
        assert_eq!(taken(200_000), 0, "a clock that goes back");
        assert_eq!(taken(1 << 40), 20);
        assert!(budget.take(&network(1), Action::SignIn, UnixMillis(0)), "calls of the API hide no sign-in");
    }

    #[test]
    fn all_networks_together_have_a_bound_for_each_action_and_accounts_are_not_among_them() {
        let mut budget = Budget::default();
        let mut taken = |action| (0..10_000).filter(|n| budget.take(&network(*n), action, UnixMillis(0))).count();
        assert_eq!((taken(Action::ApiCall), taken(Action::SignIn)), (60, 60));
        assert!(budget.parties.len() <= 120);
        assert!(budget.take(&Party::Account("ann@x".into()), Action::ApiCall, UnixMillis(0)));
        budget.settle(UnixMillis(3_600_000));
        assert!(budget.parties.is_empty());
    }

    #[test]
    fn a_party_is_named_as_an_operator_would() {
        let of = |address: &str| {
            Party::of(&Actor { address: Some(address.parse().unwrap()), ..Actor::default() }).to_string()
        };
        assert_eq!(of("192.0.2.7"), "192.0.2.7");
        assert_eq!(of("2001:db8:1:2:3::4"), "2001:db8:1:2::/64");
        assert_eq!(Party::of(&Actor::server()).to_string(), "server");
    }
}
