use super::*;
use crate::bus::LEASE;
use app::model::status::Collector;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn start() -> Instant {
    Instant::now()
}

fn taken(epoch: u64) -> LeaseAnswer {
    LeaseAnswer::Taken { epoch, after_others: false, others: true }
}

const KEPT: LeaseAnswer = LeaseAnswer::Kept { others: true };

fn other() -> LeaseAnswer {
    LeaseAnswer::Other(Collector::default())
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn the_right_ends_by_when_it_was_asked_for_and_not_by_when_it_was_answered() {
    let (mut lease, now) = (Lease::default(), start());
    assert_eq!(lease.hear(now, &taken(7), now + ms(240)), Some(Order::Start));
    assert_eq!(lease.right(), Some((7, now + RIGHT)));
    assert_eq!(lease.hear(now + ms(300), &KEPT, now + ms(500)), None);
    assert_eq!(lease.right(), Some((7, now + ms(300) + RIGHT)));
    assert_eq!(lease.look(now + ms(1_499)), None);
    assert!(lease.right().is_some());
    assert_eq!(lease.look(now + ms(1_500)), None, "it keeps its connections");
    assert_eq!((lease.right(), lease.epoch()), (None, 7));
}

#[test]
fn an_answer_that_comes_when_its_right_is_over_gives_none() {
    let (mut lease, now) = (Lease::default(), start());
    lease.hear(now, &taken(7), now);
    assert_eq!(lease.hear(now + ms(100), &KEPT, now + ms(1_400)), None);
    assert_eq!(lease.right(), None);
}

#[test]
fn connections_are_held_for_ten_seconds_while_nobody_else_takes_over_and_for_as_long_as_nobody_could() {
    let now = start();
    for others in [true, false] {
        let mut lease = Lease::default();
        lease.hear(now, &LeaseAnswer::Taken { epoch: 7, after_others: false, others }, now);
        assert_eq!(lease.look(now + RIGHT), None);
        assert_eq!(lease.look(now + RIGHT + HOLD - ms(1)), None);
        let over = others.then_some(Order::Stop(Why::HoldOver));
        assert_eq!(lease.look(now + RIGHT + HOLD), over);
        assert_eq!(lease.is_standby(), others);
    }
}

#[test]
fn a_lease_that_is_taken_again_with_nobody_in_between_goes_on_and_else_begins_anew() {
    let now = start();
    let holding = || {
        let mut lease = Lease::default();
        lease.hear(now, &taken(7), now);
        lease.look(now + ms(2_000));
        lease
    };
    let later = now + ms(5_000);
    let mut same = holding();
    assert_eq!((same.hear(later, &KEPT, later), same.epoch()), (None, 7));
    let mut lost_its_data = holding();
    assert_eq!((lost_its_data.hear(later, &taken(9), later), lost_its_data.epoch()), (None, 9));
    let mut interrupted = holding();
    let answer = LeaseAnswer::Taken { epoch: 9, after_others: true, others: true };
    assert_eq!((interrupted.hear(later, &answer, later), interrupted.epoch()), (Some(Order::StartAnew), 9));
    let mut lost = holding();
    assert_eq!((lost.hear(later, &other(), later), lost.epoch()), (Some(Order::Stop(Why::Other)), 0));
}

#[test]
fn what_redis_refuses_ends_the_right_at_once_and_the_next_answer_tells_why() {
    let (mut lease, now) = (Lease::default(), start());
    lease.hear(now, &taken(7), now);
    lease.refused(now + ms(10));
    assert_eq!((lease.right(), lease.epoch()), (None, 7));
    assert_eq!(lease.hear(now + ms(11), &other(), now + ms(12)), Some(Order::Stop(Why::Other)));
}

/// The lease as Redis keeps it, with the rules of its script.
#[derive(Default)]
struct Redis {
    holder: Option<usize>,
    until_ms: u64,
    epoch: u64,
}

impl Redis {
    fn ask(&mut self, who: usize, mine: u64, now_ms: u64) -> LeaseAnswer {
        if now_ms >= self.until_ms {
            self.holder = None;
        }
        if self.holder.is_some_and(|holder| holder != who) {
            return other();
        }
        let last = self.epoch;
        (self.holder, self.until_ms) = (Some(who), now_ms + LEASE.as_millis() as u64);
        if mine > 0 && last == mine {
            return KEPT;
        }
        self.epoch = (last + 1).max(mine + 1).max(now_ms);
        LeaseAnswer::Taken { epoch: self.epoch, after_others: mine > 0 && last > mine, others: true }
    }
}

/// What becomes of one question.
#[derive(Clone, Debug)]
struct Question {
    who: usize,
    /// Between this question and the last.
    pause_ms: u64,
    /// On its way there and back.
    there_ms: u64,
    back_ms: u64,
    is_answer_lost: bool,
    /// Redis loses all it has right before.
    flush: bool,
}

fn question() -> impl Strategy<Value = Question> {
    (0..3_usize, 0..400_u64, 0..2_000_u64, 0..2_000_u64, prop::bool::weighted(0.2), prop::bool::weighted(0.02))
        .prop_map(|(who, pause_ms, there_ms, back_ms, is_answer_lost, flush)| Question {
            who,
            pause_ms,
            there_ms: if there_ms > 400 { there_ms % 20 } else { there_ms },
            back_ms: if back_ms > 400 { back_ms % 20 } else { back_ms },
            is_answer_lost,
            flush,
        })
}

/// Clocks that do not run at the same speed: parts in a thousand.
fn clocks() -> impl Strategy<Value = [u64; 3]> {
    [990..1_010_u64, 990..1_010_u64, 990..1_010_u64]
}

proptest! {
    /// Whatever is late or lost, and however the clocks run: two servers never both have the right, unless Redis lost what it
    /// knew, and then under different epochs; epochs rise; each has one holder.
    #[test]
    fn two_servers_never_have_the_right_at_once(questions in prop::collection::vec(question(), 1..200), speeds in clocks()) {
        let base = start();
        let at = |who: usize, now_ms: u64| base + Duration::from_micros(now_ms * speeds[who]);
        let mut redis = Redis::default();
        let mut leases: [Lease; 3] = Default::default();
        let mut holders: BTreeMap<u64, usize> = BTreeMap::new();
        // Each server asks one question at a time: until when it is busy, and what comes back then.
        let mut free_ms = [0_u64; 3];
        let (mut now_ms, mut flushed_ms) = (1_000_u64, None);
        // In the order in which Redis is asked: when, by whom, with what; then the answers in the order in which they come.
        let mut pending: Vec<(u64, usize, Instant, Option<LeaseAnswer>)> = Vec::new();
        for question in questions {
            now_ms += question.pause_ms;
            let who = question.who;
            if free_ms[who] > now_ms {
                continue;
            }
            // What has come back by now.
            pending.sort_by_key(|(at_ms, ..)| *at_ms);
            while pending.first().is_some_and(|(at_ms, ..)| *at_ms <= now_ms) {
                let (at_ms, whose, asked, answer) = pending.remove(0);
                if let Some(answer) = answer {
                    leases[whose].hear(asked, &answer, at(whose, at_ms));
                }
                let epoch = leases[whose].right().map(|(epoch, _)| epoch);
                if let Some(epoch) = epoch {
                    prop_assert_eq!(*holders.entry(epoch).or_insert(whose), whose, "one holder an epoch");
                }
                check(&mut leases, &speeds, base, at_ms, flushed_ms)?;
            }
            check(&mut leases, &speeds, base, now_ms, flushed_ms)?;
            if question.flush {
                (redis, flushed_ms) = (Redis::default(), Some(now_ms));
            }
            let (asked_at, mine) = (at(who, now_ms), leases[who].epoch());
            now_ms += question.there_ms;
            let before = redis.epoch;
            let answer = redis.ask(who, mine, now_ms);
            prop_assert!(redis.epoch >= before);
            let back = now_ms + question.back_ms;
            free_ms[who] = back;
            pending.push((back, who, asked_at, (!question.is_answer_lost).then_some(answer)));
        }
    }
}

/// Of those that have the right by their own clocks, there is one.
fn check(
    leases: &mut [Lease; 3],
    speeds: &[u64; 3],
    base: Instant,
    now_ms: u64,
    flushed_ms: Option<u64>,
) -> Result<(), TestCaseError> {
    let mut epochs = Vec::new();
    for (lease, speed) in leases.iter_mut().zip(speeds) {
        let now = base + Duration::from_micros(now_ms * speed);
        lease.look(now);
        epochs.extend(lease.right().filter(|(_, until)| now < *until).map(|(epoch, _)| epoch));
    }
    let is_shortly_after_flush = flushed_ms.is_some_and(|at| now_ms < at + 2_500);
    prop_assert!(epochs.len() <= 1 || is_shortly_after_flush, "{epochs:?} at {now_ms}");
    let different: std::collections::BTreeSet<_> = epochs.iter().collect();
    prop_assert_eq!(different.len(), epochs.len());
    Ok(())
}
