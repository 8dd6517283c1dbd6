//! The counts of one server. Pure: the time is handed in, in Unix milliseconds.

use super::{Delay, Key, Rate, Wait, millis};
use std::{collections::HashMap, hash::Hash, time::Duration};

/// How many are counted at once, of each kind. A flood from more networks than that makes us forget some of them.
const KEYS_MAX: usize = 100_000;

#[derive(Debug, Default)]
pub(super) struct Memory {
    /// When the next one would be due if they came evenly (GCRA: one number is a whole token bucket).
    rates: HashMap<Key, u64>,
    attempts: HashMap<Key, Attempts>,
    places: HashMap<Key, usize>,
}

#[derive(Clone, Copy, Debug)]
struct Attempts {
    count: u32,
    blocked_until: u64,
    forgotten_at: u64,
}

impl Memory {
    pub(super) fn take(&mut self, rate: Rate, key: Key, now: u64) -> Result<(), Wait> {
        let interval = millis(rate.interval);
        let due = self.rates.get(&key).copied().unwrap_or(0).max(now);
        let earliest = due.saturating_sub(u64::from(rate.burst - 1) * interval);
        if earliest > now {
            return Err(Wait(Duration::from_millis(earliest - now)));
        }
        make_room(&mut self.rates, &key, |due| *due > now);
        self.rates.insert(key, due + interval);
        Ok(())
    }

    pub(super) fn attempt(&mut self, delay: Delay, key: Key, now: u64) -> Result<(), Wait> {
        let before = self.attempts.get(&key).filter(|attempts| attempts.forgotten_at > now);
        let (count, blocked_until) = before.map_or((0, 0), |attempts| (attempts.count, attempts.blocked_until));
        if blocked_until > now {
            return Err(Wait(Duration::from_millis(blocked_until - now)));
        }
        let count = count.saturating_add(1);
        let blocked_until = match count.checked_sub(delay.free + 1) {
            None => now,
            Some(doublings) => {
                let wait = millis(delay.first).saturating_mul(1 << doublings.min(32));
                now.saturating_add(wait.min(millis(delay.longest)))
            }
        };
        make_room(&mut self.attempts, &key, |attempts| attempts.forgotten_at > now);
        let forgotten_at = blocked_until.saturating_add(millis(delay.forget));
        self.attempts.insert(key, Attempts { count, blocked_until, forgotten_at });
        Ok(())
    }

    pub(super) fn forgive(&mut self, key: Key, attempts: u32) {
        if let Some(known) = self.attempts.get_mut(&key) {
            known.count = known.count.saturating_sub(attempts);
            known.blocked_until = 0;
            if known.count == 0 {
                self.attempts.remove(&key);
            }
        }
    }

    /// Takes a place if there is one left.
    pub(super) fn lease(&mut self, key: Key, max: usize) -> bool {
        let taken = self.places.entry(key).or_default();
        if *taken >= max {
            return false;
        }
        *taken += 1;
        true
    }

    pub(super) fn release(&mut self, key: Key) {
        if let Some(taken) = self.places.get_mut(&key) {
            *taken -= 1;
            if *taken == 0 {
                self.places.remove(&key);
            }
        }
    }
}

/// Makes room for one more: first by leaving out what does not matter any more, then by forgetting somebody.
fn make_room<K: Copy + Eq + Hash, V>(map: &mut HashMap<K, V>, key: &K, matters: impl Fn(&V) -> bool) {
    if map.len() < KEYS_MAX || map.contains_key(key) {
        return;
    }
    map.retain(|_, value| matters(value));
    if map.len() >= KEYS_MAX {
        // A tenth at once, so that a flood does not look through all of it for each newcomer.
        let victims: Vec<K> = map.keys().take(KEYS_MAX / 10).copied().collect();
        victims.iter().for_each(|victim| drop(map.remove(victim)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { name: "r", burst: 3, interval: Duration::from_secs(10) };
    const DELAY: Delay = Delay {
        name: "d",
        free: 2,
        first: Duration::from_secs(1),
        longest: Duration::from_secs(60),
        forget: Duration::from_secs(600),
    };
    const NOW: u64 = 1_768_998_896_789;

    #[test]
    fn a_burst_then_one_each_interval() {
        let mut memory = Memory::default();
        for _ in 0..3 {
            assert_eq!(memory.take(RATE, [1; 16], NOW), Ok(()));
        }
        assert_eq!(memory.take(RATE, [1; 16], NOW), Err(Wait(Duration::from_secs(10))));
        assert_eq!(memory.take(RATE, [1; 16], NOW + 9_500).unwrap_err().seconds(), 1, "never 0");
        assert_eq!(memory.take(RATE, [2; 16], NOW), Ok(()), "somebody else");
        assert_eq!(memory.take(RATE, [1; 16], NOW + 10_000), Ok(()));
        assert!(memory.take(RATE, [1; 16], NOW + 10_000).is_err());
        for _ in 0..3 {
            assert_eq!(memory.take(RATE, [1; 16], NOW + 60_000), Ok(()), "the burst again, and no more than it");
        }
        assert!(memory.take(RATE, [1; 16], NOW + 60_000).is_err());
    }

    #[test]
    fn each_attempt_too_many_waits_twice_as_long() {
        let mut memory = Memory::default();
        let mut now = NOW;
        let mut waits = Vec::new();
        for _ in 0..10 {
            assert_eq!(memory.attempt(DELAY, [1; 16], now), Ok(()));
            match memory.attempt(DELAY, [1; 16], now) {
                Ok(()) => waits.push(0),
                Err(wait) => {
                    waits.push(wait.seconds());
                    now += wait.seconds() * 1000;
                }
            }
        }
        assert_eq!(waits, [0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(memory.attempt(DELAY, [1; 16], now + 1_000_000), Ok(()));
        assert_eq!(memory.attempt(DELAY, [1; 16], now + 1_000_000), Ok(()), "forgotten");
    }

    #[test]
    fn what_is_refused_does_not_prolong_the_wait() {
        let mut memory = Memory::default();
        for _ in 0..3 {
            assert_eq!(memory.attempt(DELAY, [1; 16], NOW), Ok(()));
        }
        for millisecond in 0..1_000 {
            assert!(memory.attempt(DELAY, [1; 16], NOW + millisecond).is_err());
        }
        assert_eq!(memory.attempt(DELAY, [1; 16], NOW + 1_000), Ok(()));
    }

    #[test]
    fn an_attempt_that_was_right_is_forgiven() {
        let mut memory = Memory::default();
        for _ in 0..3 {
            memory.attempt(DELAY, [1; 16], NOW).unwrap();
        }
        memory.forgive([1; 16], 1);
        assert_eq!(memory.attempt(DELAY, [1; 16], NOW), Ok(()));
        assert!(memory.attempt(DELAY, [1; 16], NOW).is_err());
        memory.forgive([1; 16], u32::MAX);
        for _ in 0..3 {
            assert_eq!(memory.attempt(DELAY, [1; 16], NOW), Ok(()));
        }
    }

    #[test]
    fn places_are_counted_and_given_back() {
        let mut memory = Memory::default();
        assert!(memory.lease([1; 16], 2) && memory.lease([1; 16], 2) && !memory.lease([1; 16], 2));
        memory.release([1; 16]);
        assert!(memory.lease([1; 16], 2) && !memory.lease([1; 16], 2));
        memory.release([1; 16]);
        memory.release([1; 16]);
        assert!(memory.places.is_empty());
    }

    #[test]
    fn a_flood_from_everywhere_stays_within_bounds() {
        let mut memory = Memory::default();
        for n in 0..300_000_u128 {
            let _ = memory.attempt(DELAY, n.to_be_bytes(), NOW);
            let _ = memory.take(RATE, n.to_be_bytes(), NOW);
        }
        assert!(memory.attempts.len() <= KEYS_MAX && memory.rates.len() <= KEYS_MAX);
    }
}
