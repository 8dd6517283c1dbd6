//! Attempts to sign in: what each counts towards, in which order, and for whom not.
//!
//! ```text
//!  address and account ──▶ account ──▶ network       each refuses by itself, and what it refuses counts nowhere
//!    (/64, /56, /48)                 (/64, /56, /48)
//! ```
//!
//! From a network where the account was signed in with before, the first count alone is asked: what strangers try elsewhere, or
//! a program beside its owner tries at other accounts, keeps nobody waiting there. An IPv6 customer has anything from a /64 to a
//! /48; the wider prefixes allow more, and keep one with 65,536 networks from being as many attackers.

use super::{Delay, HOUR, Key, Limits, MINUTE, Wait, key};
use crate::network::{IPV6_NETWORK_BITS, prefix};
use std::{net::IpAddr, time::Duration};

const FIFTEEN_MINUTES: Duration = Duration::from_secs(900);
/// Attempts at one account from one network.
const PAIR: Delay =
    Delay { name: "pair", free: 5, first: Duration::from_secs(1), longest: FIFTEEN_MINUTES, forget: HOUR };
/// Attempts at one account from wherever. Short at its longest, as it meets the owner too, in a place not known yet.
const ACCOUNT: Delay =
    Delay { name: "account", free: 50, first: Duration::from_secs(1), longest: MINUTE, forget: HOUR };
/// Attempts from one network at whatever account: an office has several people who mistype.
const NETWORK: Delay =
    Delay { name: "network", free: 20, first: Duration::from_secs(1), longest: FIFTEEN_MINUTES, forget: HOUR };
/// The prefixes around an IPv6 network, from narrow to wide; each allows twice as much as the one before.
const IPV6_PREFIXES: [u32; 3] = [IPV6_NETWORK_BITS, 56, 48];

/// An attempt that was let through, with what it counted towards.
#[derive(Debug)]
#[must_use = "what became of the attempt has to be told, or it counts as a wrong password"]
pub struct Attempt {
    /// The account from this network.
    own: Key,
    others: Vec<Key>,
}

/// The networks around an address, from narrow to wide, with what `delay` allows in each.
fn networks(address: IpAddr, delay: Delay) -> Vec<(Delay, String)> {
    match address {
        IpAddr::V4(address) => vec![(delay, address.to_string())],
        IpAddr::V6(address) => {
            let around = |(step, bits)| {
                let wider = Delay { free: delay.free << step, ..delay };
                (wider, format!("{}/{bits}", prefix(address, bits)))
            };
            (0..).zip(IPV6_PREFIXES).map(around).collect()
        }
    }
}

impl Limits {
    /// An attempt to sign in, before the password is looked at: so many at once are counted as well as so many in a row.
    ///
    /// # Errors
    /// When it was too often. Then it counts nowhere.
    pub async fn attempt_sign_in(
        &self,
        address: IpAddr,
        account: &str,
        from_known_network: bool,
    ) -> Result<Attempt, Wait> {
        let (mut counted, mut pairs) = (Vec::new(), networks(address, PAIR));
        let mut steps = Vec::new();
        if from_known_network {
            pairs.truncate(1);
        }
        steps.extend(pairs.into_iter().map(|(delay, network)| (delay, key(delay.name, &[&network, account]))));
        if !from_known_network {
            steps.push((ACCOUNT, key(ACCOUNT.name, &[account])));
            steps.extend(networks(address, NETWORK).into_iter().map(|(delay, of)| (delay, key(delay.name, &[&of]))));
        }
        for (delay, key) in steps {
            if let Err(wait) = self.attempt(delay, key).await {
                self.take_back_all(&counted).await;
                return Err(wait);
            }
            counted.push(key);
        }
        let others = counted.split_off(1);
        Ok(Attempt { own: counted[0], others })
    }

    /// One more attempt at the second factor of an account: counted as those at its password are, and apart from them.
    ///
    /// # Errors
    /// When it was too often; then it does not count.
    pub async fn attempt_code(&self, address: IpAddr, account_id: i64) -> Result<Attempt, Wait> {
        self.attempt_sign_in(address, &format!("second factor of {account_id}"), false).await
    }

    /// The password was right. What else was tried at the account, and from the network, stays counted: one account of one's
    /// own must not pay for guessing others'.
    pub async fn signed_in(&self, attempt: Attempt) {
        self.forgive(attempt.own, u32::MAX).await;
        self.take_back_all(&attempt.others).await;
    }

    /// The password was not looked at.
    pub async fn take_back(&self, attempt: Attempt) {
        self.forgive(attempt.own, 1).await;
        self.take_back_all(&attempt.others).await;
    }

    async fn take_back_all(&self, counted: &[Key]) {
        for key in counted {
            self.forgive(*key, 1).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// How many of `attempts` were let through; each had a wrong password.
    async fn guesses(limits: &Limits, attempts: impl Iterator<Item = (String, String)>) -> usize {
        let mut through = 0;
        for (from, account) in attempts {
            through += usize::from(limits.attempt_sign_in(address(&from), &account, false).await.is_ok());
        }
        through
    }

    async fn may(limits: &Limits, from: &str, account: &str, known: bool) -> bool {
        match limits.attempt_sign_in(address(from), account, known).await {
            Ok(attempt) => {
                limits.take_back(attempt).await;
                true
            }
            Err(_) => false,
        }
    }

    #[tokio::test]
    async fn one_customer_s_65_536_networks_hold_an_account_up_nowhere_else() {
        let limits = Limits::new(None);
        let rotating = (0..2_000).map(|n| (format!("2001:db8:1:{n:x}::1"), "ann@x".to_owned()));
        let through = guesses(&limits, rotating).await;
        assert!(through <= 25, "{through} guesses: a /48 is allowed some 20, then each waits longer");
        assert!(may(&limits, "192.0.2.1", "ann@x", false).await, "from anywhere else at once");
        assert!(!may(&limits, "2001:db8:1:ffff::1", "ann@x", false).await, "not from the same /48");
        assert!(may(&limits, "2001:db8:1:ffff::1", "ann@x", true).await, "unless it is known there");
    }

    #[tokio::test]
    async fn one_customer_s_networks_are_one_for_trying_many_accounts_too() {
        let limits = Limits::new(None);
        let spraying = (0..2_000).map(|n| (format!("2001:db8:1:{n:x}::1"), format!("someone{n}@x")));
        let through = guesses(&limits, spraying).await;
        assert!(through <= 100, "{through}");
    }

    #[tokio::test]
    async fn guesses_at_an_account_from_everywhere_are_few_and_stop_nobody_where_it_is_known() {
        let limits = Limits::new(None);
        let everywhere = (0..3_000).map(|n| (format!("10.{}.{}.1", n / 250, n % 250), "ann@x".to_owned()));
        let through = guesses(&limits, everywhere).await;
        assert!((50..60).contains(&through), "{through}");
        assert!(!may(&limits, "192.0.2.1", "ann@x", false).await, "where nobody knows its owner");
        for _ in 0..3 {
            let own = limits.attempt_sign_in(address("192.0.2.1"), "ann@x", true).await.unwrap();
            limits.signed_in(own).await;
        }
        assert!(!may(&limits, "192.0.2.2", "ann@x", false).await, "signing in forgives the others nothing");
    }

    #[tokio::test]
    async fn a_network_that_tries_accounts_waits_and_those_who_are_known_there_do_not() {
        let limits = Limits::new(None);
        let script = (0..500).map(|n| ("192.0.2.1".to_owned(), format!("someone{n}@x")));
        let through = guesses(&limits, script).await;
        assert!((20..25).contains(&through), "{through}");
        assert!(!may(&limits, "192.0.2.1", "new@x", false).await);
        for _ in 0..4 {
            assert!(
                limits.attempt_sign_in(address("192.0.2.1"), "ann@x", true).await.is_ok(),
                "wrong passwords of hers"
            );
        }
        let ann = limits.attempt_sign_in(address("192.0.2.1"), "ann@x", true).await.unwrap();
        limits.signed_in(ann).await;
        assert!(!may(&limits, "192.0.2.1", "new@x", false).await, "her sign-in does not pay for the script");
        for _ in 0..6 {
            drop(limits.attempt_sign_in(address("192.0.2.1"), "ann@x", true).await);
        }
        assert!(!may(&limits, "192.0.2.1", "ann@x", true).await, "guessing her password there is counted");
    }

    #[tokio::test]
    async fn what_was_refused_or_not_looked_at_counts_nowhere() {
        let limits = Limits::new(None);
        for _ in 0..200 {
            let attempt = limits.attempt_sign_in(address("2001:db8::1"), "ann@x", false).await.unwrap();
            limits.take_back(attempt).await;
        }
        guesses(&limits, (0..200).map(|_| ("192.0.2.1".to_owned(), "ann@x".to_owned()))).await;
        assert!(may(&limits, "192.0.2.1", "bob@x", false).await, "200 tries, few of which counted for the network");
        assert!(may(&limits, "192.0.2.2", "ann@x", false).await, "nor for the account");
    }
}
