//! Acts that come again and again, such as calls of the API: counted, so that a poll every second is no record every second.

use crate::model::{AuditAct, Entry};
use app::model::time::UnixMillis;
use std::collections::HashMap;

/// How long repetitions are counted before they are written, in milliseconds.
const WINDOW_MS: i64 = 60_000;
/// How many different acts are counted at once. Each one beyond is a record of its own: nothing of it is lost.
const ACTS_MAX: usize = 4_096;

/// Acts within their minute.
#[derive(Debug, Default)]
pub(super) struct Repeats(HashMap<AuditAct, Minute>);

#[derive(Clone, Copy, Debug)]
struct Minute {
    since: UnixMillis,
    last: UnixMillis,
    times: i64,
}

impl Repeats {
    /// Counts an act when it is a repetition, and says whether it is.
    pub(super) fn again(&mut self, act: &AuditAct, now: UnixMillis) -> bool {
        let Some(minute) = self.0.get_mut(act) else { return false };
        (minute.last, minute.times) = (now, minute.times + 1);
        true
    }

    /// This act is the first of its minute: what repeats it is counted from now on.
    pub(super) fn begin(&mut self, act: AuditAct, now: UnixMillis) {
        if self.0.len() < ACTS_MAX {
            self.0.insert(act, Minute { since: now, last: now, times: 0 });
        }
    }

    /// The first one could not be written: the next one is the first again. What repeated it meanwhile is answered.
    pub(super) fn forget(&mut self, act: &AuditAct) -> Option<Entry> {
        let (act, minute) = self.0.remove_entry(act)?;
        (minute.times > 0).then_some(Entry { act, at: minute.last, occurrences: minute.times })
    }

    /// The acts whose minute is over: each with the time of its last repetition and how many there were.
    pub(super) fn take_over(&mut self, now: UnixMillis) -> impl Iterator<Item = Entry> {
        self.0
            .extract_if(move |_, minute| now.millis_since(minute.since) >= WINDOW_MS)
            .filter(|(_, minute)| minute.times > 0)
            .map(|(act, minute)| Entry { act, at: minute.last, occurrences: minute.times })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Action, Actor};

    fn act(target: i64) -> AuditAct {
        Actor::server().does(Action::ApiCall).to(target.to_string())
    }

    fn is_again(repeats: &mut Repeats, act: &AuditAct, at: i64) -> bool {
        let again = repeats.again(act, UnixMillis(at));
        if !again {
            repeats.begin(act.clone(), UnixMillis(at));
        }
        again
    }

    #[test]
    fn a_minute_of_repetitions_is_two_records() {
        let mut repeats = Repeats::default();
        assert!(!is_again(&mut repeats, &act(1), 0));
        for second in 1..=30 {
            assert!(is_again(&mut repeats, &act(1), second * 1000));
        }
        assert!(!is_again(&mut repeats, &act(2), 40_000), "another");
        assert_eq!(repeats.take_over(UnixMillis(59_999)).count(), 0);
        let over: Vec<_> = repeats.take_over(UnixMillis(60_000)).collect();
        assert_eq!(over, [Entry { act: act(1), at: UnixMillis(30_000), occurrences: 30 }]);
        assert_eq!(repeats.take_over(UnixMillis(100_000)).count(), 0, "the other came once");
        assert!(!is_again(&mut repeats, &act(1), 100_001));
        assert_eq!(repeats.forget(&act(1)), None);
        assert!(!is_again(&mut repeats, &act(1), 100_002), "the first one could not be written");
        assert!(is_again(&mut repeats, &act(1), 100_003));
        assert_eq!(repeats.forget(&act(1)), Some(Entry { act: act(1), at: UnixMillis(100_003), occurrences: 1 }));
    }

    #[test]
    fn what_is_beyond_the_bound_is_never_a_repetition() {
        let mut repeats = Repeats::default();
        for n in 0..10_000 {
            assert!(!is_again(&mut repeats, &act(n), 0));
        }
        assert_eq!(repeats.0.len(), ACTS_MAX);
        assert!(is_again(&mut repeats, &act(0), 1) && !is_again(&mut repeats, &act(9_999), 1));
    }
}
