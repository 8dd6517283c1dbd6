//! Acts that come again and again, such as calls of the API: counted, so that a poll every second is no record every
//! second, and a flood of refusals neither fills the disk nor hides what else happens.

use super::Act;
use app::model::time::UnixMillis;
use std::collections::HashMap;

/// How long repetitions are counted before they are written, in milliseconds.
const WINDOW_MS: i64 = 60_000;
/// How many different acts are counted at once. Beyond that, callers are counted together.
const ACTS_MAX: usize = 1_024;

/// Acts within their minute.
#[derive(Debug, Default)]
pub(super) struct Repeats(HashMap<Act, Minute>);

#[derive(Clone, Copy, Debug)]
struct Minute {
    since: UnixMillis,
    last: UnixMillis,
    times: i64,
}

/// What an act is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// The first of its minute: to be written now, in this form.
    First(Act),
    /// Counted.
    Again,
}

impl Repeats {
    pub(super) fn saw(&mut self, act: &Act, now: UnixMillis) -> Seen {
        let act = if self.0.len() < ACTS_MAX || self.0.contains_key(act) { act.clone() } else { anybodys(act) };
        let mut seen = Seen::Again;
        let minute = self.0.entry(act.clone()).or_insert_with(|| {
            seen = Seen::First(act);
            Minute { since: now, last: now, times: 0 }
        });
        if seen == Seen::Again {
            (minute.last, minute.times) = (now, minute.times + 1);
        }
        seen
    }

    /// The first one could not be written: the next one is the first again.
    pub(super) fn forget(&mut self, act: &Act) {
        self.0.remove(act);
    }

    /// The acts whose minute is over: each with the time of its last repetition and how many there were.
    pub(super) fn take_over(&mut self, now: UnixMillis) -> Vec<(Act, UnixMillis, i64)> {
        self.0
            .extract_if(|_, minute| now.millis_since(minute.since) >= WINDOW_MS)
            .filter(|(_, minute)| minute.times > 0)
            .map(|(act, minute)| (act, minute.last, minute.times))
            .collect()
    }

    /// What could not be written is counted on, unless so much is by now that it would be without bound.
    pub(super) fn put_back(&mut self, act: Act, last: UnixMillis, times: i64) {
        if self.0.len() < ACTS_MAX {
            self.0.entry(act).or_insert(Minute { since: last, last, times: 0 }).times += times;
        }
    }
}

/// The act without who and where: what a flood from everywhere is counted as.
fn anybodys(act: &Act) -> Act {
    let mut act = act.clone();
    (act.actor.address, act.actor.user_agent, act.target) = (None, None, None);
    if act.actor.role.is_none() {
        act.actor.name = None;
    }
    act
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Action, Actor};
    use std::net::{IpAddr, Ipv4Addr};

    fn refusal(address: u32) -> Act {
        let actor = Actor { address: Some(IpAddr::V4(Ipv4Addr::from_bits(address))), ..Actor::default() };
        actor.is_refused(Action::ApiCall, "nobody is signed in")
    }

    #[test]
    fn a_minute_of_repetitions_is_two_records() {
        let mut repeats = Repeats::default();
        assert_eq!(repeats.saw(&refusal(1), UnixMillis(0)), Seen::First(refusal(1)));
        for second in 1..=30 {
            assert_eq!(repeats.saw(&refusal(1), UnixMillis(second * 1000)), Seen::Again);
        }
        assert_eq!(repeats.saw(&refusal(2), UnixMillis(40_000)), Seen::First(refusal(2)), "somebody else");
        assert!(repeats.take_over(UnixMillis(59_999)).is_empty());
        assert_eq!(repeats.take_over(UnixMillis(60_000)), [(refusal(1), UnixMillis(30_000), 30)]);
        assert!(repeats.take_over(UnixMillis(100_000)).is_empty(), "the other came once");
        assert_eq!(repeats.saw(&refusal(1), UnixMillis(100_001)), Seen::First(refusal(1)));
    }

    #[test]
    fn a_flood_from_everywhere_is_counted_together_and_bounded() {
        let mut repeats = Repeats::default();
        let mut written = 0;
        for address in 0..100_000 {
            written += usize::from(repeats.saw(&refusal(address), UnixMillis(0)) != Seen::Again);
        }
        assert_eq!(written, ACTS_MAX + 1);
        let over = repeats.take_over(UnixMillis(60_000));
        assert_eq!(over.iter().map(|(_, _, times)| times).sum::<i64>(), 100_000 - written as i64);
    }

    #[test]
    fn what_could_not_be_written_is_not_lost() {
        let mut repeats = Repeats::default();
        repeats.saw(&refusal(1), UnixMillis(0));
        repeats.forget(&refusal(1));
        assert_eq!(repeats.saw(&refusal(1), UnixMillis(1)), Seen::First(refusal(1)));
        repeats.put_back(refusal(1), UnixMillis(2), 7);
        assert_eq!(repeats.take_over(UnixMillis(70_000)), [(refusal(1), UnixMillis(1), 7)]);
    }
}
