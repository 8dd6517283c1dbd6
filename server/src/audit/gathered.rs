//! What is not written at once: repetitions, refusals of strangers, and how many refusals were too many to be records.
//!
//! ```text
//!  administrator's act ──▶ often: first? ──▶ written at once; repetitions: counted
//!  refusal ──▶ refused: repetition? ──▶ counted
//!                 └ first ──▶ budget ──┬──▶ stranger's: waits for the next batch;  account's: written at once
//!                                      └ none left: one of many in a single record each minute
//! ```
//!
//! Strangers and accounts never share an entry, so that no flood from outside costs a record of an administrator's act.

use super::{
    budget::{Budget, Party},
    repeats::Repeats,
};
use crate::model::{Action, Actor, AuditAct, Entry};
use app::model::time::UnixMillis;
use std::{cmp::Reverse, collections::HashMap};

/// How many records of strangers wait when the database does not take them.
const WAITING_MAX: usize = 1_024;
/// How often it is put on record how many refusals were not, in milliseconds.
const UNRECORDED_MS: i64 = 60_000;
/// How many networks and accounts are told apart then, and how many of them are named.
const PARTIES_MAX: usize = 1_024;
const NAMED_MAX: usize = 8;

/// Everything between an act and its record.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    often: Repeats,
    refused: Repeats,
    budget: Budget,
    waiting: Vec<Entry>,
    unrecorded: Unrecorded,
    /// Refusals since the start that are part of a count alone.
    unrecorded_total: u64,
    /// The log is larger than it may be: refusals of strangers are only counted.
    pub(super) is_full: bool,
}

impl Gathered {
    /// Is this act, allowed or failed, a repetition within its minute? Then it is counted.
    pub(super) fn is_again(&mut self, act: &AuditAct, now: UnixMillis) -> bool {
        let again = self.often.again(act, now);
        if !again {
            self.often.begin(act.clone(), now);
        }
        again
    }

    /// An act to be written with the next batch.
    pub(super) fn add(&mut self, act: AuditAct, now: UnixMillis) {
        self.waiting.push(Entry { act, at: now, occurrences: 1 });
    }

    /// Takes a refusal in; answers it when it is to be written at once.
    pub(super) fn refused(&mut self, act: AuditAct, now: UnixMillis) -> Option<AuditAct> {
        let party = Party::of(&act.actor);
        let is_stranger = act.actor.is_stranger();
        let mut key = act.clone();
        if is_stranger {
            // Free to choose: every one of them would be another act. The first record has it.
            key.actor.user_agent = None;
        }
        if self.refused.again(&key, now) {
            return None;
        }
        let has_place = !is_stranger || (!self.is_full && self.waiting.len() < WAITING_MAX);
        if !has_place || !self.budget.take(&party, act.action, now) {
            self.unrecorded_total += 1;
            self.unrecorded.count(party, act.action, 1, now);
            return None;
        }
        self.refused.begin(key, now);
        if is_stranger {
            self.add(act, now);
            return None;
        }
        Some(act)
    }

    /// The first one could not be written: the next one is the first again. What repeated it meanwhile is still to be written.
    pub(super) fn forget(&mut self, act: &AuditAct) {
        self.waiting.extend(self.often.forget(act));
        self.waiting.extend(self.refused.forget(act));
    }

    /// What waits to be written, oldest first.
    pub(super) fn take_waiting(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.waiting)
    }

    /// What waits, and the counts whose minute is over at `now`.
    pub(super) fn take_due(&mut self, now: UnixMillis) -> Vec<Entry> {
        self.budget.settle(now);
        let mut due = self.take_waiting();
        due.extend(self.often.take_over(now));
        due.extend(self.refused.take_over(now));
        // Summed up further while the database takes nothing: what waits is bounded.
        if due.len() < WAITING_MAX {
            due.extend(self.unrecorded.take(now, self.is_full));
        }
        due
    }

    /// What could not be written waits on. Of strangers' records no more than fit; the others are counted.
    pub(super) fn put_back(&mut self, entries: Vec<Entry>) {
        let newer = std::mem::replace(&mut self.waiting, entries);
        self.waiting.extend(newer);
        let mut places = WAITING_MAX;
        let unrecorded = &mut self.unrecorded;
        self.waiting.retain(|entry| {
            if !entry.act.actor.is_stranger() {
                return true;
            }
            let has_place = places > 0;
            places = places.saturating_sub(1);
            if !has_place {
                unrecorded.count(Party::of(&entry.act.actor), entry.act.action, entry.occurrences, entry.at);
            }
            has_place
        });
    }

    /// How many refusals since the start are part of a count alone.
    pub(super) fn unrecorded_total(&self) -> u64 {
        self.unrecorded_total
    }
}

/// Refusals beyond the budget: how many, of what, and whose.
#[derive(Debug, Default)]
struct Unrecorded {
    since: Option<UnixMillis>,
    last: UnixMillis,
    total: i64,
    parties: HashMap<(Party, Action), i64>,
}

impl Unrecorded {
    fn count(&mut self, party: Party, action: Action, times: i64, now: UnixMillis) {
        self.since.get_or_insert(now);
        self.last = now;
        self.total += times;
        let key = (party, action);
        if self.parties.len() < PARTIES_MAX || self.parties.contains_key(&key) {
            *self.parties.entry(key).or_default() += times;
        }
    }

    /// The one record of them, once a minute has passed since the first.
    fn take(&mut self, now: UnixMillis, is_full: bool) -> Option<Entry> {
        self.since.filter(|since| now.millis_since(*since) >= UNRECORDED_MS)?;
        let Self { last, total, parties, .. } = std::mem::take(self);
        let mut parties: Vec<_> = parties.into_iter().collect();
        parties.sort_unstable_by_key(|((party, action), times)| (Reverse(*times), party.to_string(), *action));
        let named = &parties[..parties.len().min(NAMED_MAX)];
        let mut list: Vec<_> =
            named.iter().map(|((party, action), times)| format!("{times} {} of {party}", action.as_str())).collect();
        let rest = total - named.iter().map(|(_, times)| times).sum::<i64>();
        if rest > 0 {
            list.push(format!("{rest} of others"));
        }
        let why = if is_full { "the log is larger than AUDIT_SIZE_MAX_MB" } else { "too many to record one by one" };
        let act = Actor::server().is_refused(Action::RefusalsCounted, format!("{why}: {}", list.join(", ")));
        Some(Entry { act, at: last, occurrences: total })
    }
}

#[cfg(test)]
mod tests;
