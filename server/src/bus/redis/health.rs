//! What the tasks of the bus know of Redis, told to the inbox when it changes.

use super::transit::Transit;
use crate::{
    bus::{Role, mailbox::Outbox},
    text::{self, tidy},
};
use app::model::{
    status::{BusKind, BusStatus, RejectionCount},
    time::UnixMillis,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, interval};
use tracing::{info, warn};

/// Counters and the lag are told so often at most.
const TELL_INTERVAL: Duration = Duration::from_millis(250);
/// From here on ticks are late enough to say so, until they are below half of it.
const LATE: Duration = Duration::from_secs(1);
/// Different words of one trouble that are logged.
const LOGGED_MAX: usize = 4;

pub(super) struct Health {
    known: Mutex<Known>,
    outbox: Outbox,
    transit: Arc<Transit>,
    role: Role,
}

/// What can be wrong, each by itself.
#[derive(Clone, Copy)]
pub(super) enum Part {
    /// Redis takes ticks.
    Publishing,
    /// Redis delivers ticks.
    Subscription,
    /// Redis keeps the status.
    Status,
    /// Redis takes frames for our own dashboards, where it takes ticks.
    Frames,
    /// Redis passes on what a dashboard asks of the collector.
    Asking,
}

struct Known {
    publishing: Trouble,
    subscription: Trouble,
    status: Trouble,
    frames: Trouble,
    asking: Trouble,
    /// When that was sent which Redis took last.
    confirmed_at: UnixMillis,
    /// When the first of the ticks was published that Redis has not confirmed.
    unconfirmed_since: Option<Instant>,
    lag: Option<Duration>,
    is_late: bool,
    conflated_ticks_total: u64,
    unpublished_ticks_total: u64,
    /// When that was sent which Redis had taken last before.
    unpublished_since: Option<UnixMillis>,
    missed_ticks_total: u64,
    /// Those of them that were missed in frames.
    missed_in_frames: u64,
    rejected_total: u64,
    last_rejection: Option<String>,
    /// By reason; there are nine.
    rejections: BTreeMap<&'static str, u64>,
    /// Something is not told yet.
    changed: bool,
    told_at: Instant,
}

impl Known {
    /// Whether Redis takes what is published matters to a server that collects.
    fn status(&self, is_collecting: bool) -> BusStatus {
        let publishing = self.publishing.words.as_ref().filter(|_| is_collecting);
        let trouble = self.subscription.words.as_ref().or(publishing);
        let late =
            || self.lag.filter(|_| self.is_late).map(|lag| format!("Redis is {:.1} s behind", lag.as_secs_f64()));
        let millis = |lag: Duration| u32::try_from(lag.as_millis()).unwrap_or(u32::MAX);
        BusStatus {
            kind: BusKind::Redis,
            connected: trouble.is_none(),
            reason: trouble.or(self.asking.words.as_ref()).cloned().or_else(late),
            conflated_ticks_total: self.conflated_ticks_total,
            rejected_total: self.rejected_total,
            last_rejection: self.last_rejection.clone(),
            rejections: self
                .rejections
                .iter()
                .map(|(reason, total)| RejectionCount { reason: (*reason).to_owned(), total: *total })
                .collect(),
            unpublished_ticks_total: self.unpublished_ticks_total,
            unpublished_since: self.unpublished_since,
            not_publishing_since: publishing.is_some().then_some(self.confirmed_at),
            missed_ticks_total: self.missed_ticks_total,
            lag_ms: self.lag.map(millis),
            status_trouble: self.status.words.clone().filter(|_| is_collecting),
        }
    }

    /// A changed lag is news when a reader would act on it, and not with every millisecond.
    fn take_lag(&mut self, lag: Option<Duration>) {
        let is_late = lag.is_some_and(|lag| lag >= if self.is_late { LATE / 2 } else { LATE });
        let difference = lag.unwrap_or_default().abs_diff(self.lag.unwrap_or_default());
        let is_news = difference > (self.lag.unwrap_or_default() / 4).max(Duration::from_millis(10));
        if is_late != self.is_late || is_news || lag.is_some() != self.lag.is_some() {
            (self.lag, self.is_late, self.changed) = (lag, is_late, true);
        }
    }
}

impl Health {
    pub(super) fn new(outbox: Outbox, transit: Arc<Transit>, role: Role) -> Self {
        let not_yet = || Some("connecting to Redis".to_owned());
        let known = Known {
            publishing: Trouble::new("Publishing to Redis", not_yet().filter(|_| !matches!(role, Role::Watcher))),
            subscription: Trouble::new("Subscribed to ticks on Redis", not_yet()),
            status: Trouble::new("The status is kept on Redis", None),
            frames: Trouble::new("Frames for dashboards are published to Redis", None),
            asking: Trouble::new("The collector's board has come", None),
            confirmed_at: UnixMillis::now(),
            unconfirmed_since: None,
            lag: None,
            is_late: false,
            conflated_ticks_total: 0,
            unpublished_ticks_total: 0,
            unpublished_since: None,
            missed_ticks_total: 0,
            missed_in_frames: 0,
            rejected_total: 0,
            last_rejection: None,
            rejections: BTreeMap::new(),
            changed: false,
            told_at: Instant::now(),
        };
        outbox.put_bus(known.status(role.is_collecting()));
        Self { known: Mutex::new(known), outbox, transit, role }
    }

    /// Tells counters and the lag while they change.
    pub(super) async fn run(self: Arc<Self>) {
        let mut ticks = interval(TELL_INTERVAL);
        let mut was_collecting = self.role.is_collecting();
        loop {
            ticks.tick().await;
            let (lag, missed) = (self.transit.lag(Instant::now()), self.transit.missed_total());
            let mut known = self.lock();
            let is_collecting = self.role.is_collecting();
            known.changed |= std::mem::replace(&mut was_collecting, is_collecting) != is_collecting;
            let is_publishing = is_collecting && known.publishing.words.is_none();
            let missed = missed + known.missed_in_frames;
            known.take_lag(lag.filter(|_| is_publishing));
            known.changed |= known.missed_ticks_total != missed;
            known.missed_ticks_total = missed;
            self.tell_changes(&mut known);
        }
    }

    /// Tells what is not told yet.
    pub(super) fn tell(&self) {
        self.tell_changes(&mut self.lock());
    }

    /// Told under the lock, so that the tasks cannot overtake each other.
    fn tell_changes(&self, known: &mut Known) {
        if std::mem::take(&mut known.changed) {
            known.told_at = Instant::now();
            self.outbox.put_bus(known.status(self.role.is_collecting()));
        }
    }

    /// A part is well, or what is wrong with it. The same words again are counted and nothing else.
    pub(super) fn set(&self, part: Part, words: Option<String>) {
        let mut known = self.lock();
        let trouble = match part {
            Part::Publishing => &mut known.publishing,
            Part::Subscription => &mut known.subscription,
            Part::Status => &mut known.status,
            Part::Frames => &mut known.frames,
            Part::Asking => &mut known.asking,
        };
        if trouble.set(words) {
            known.changed = true;
            self.tell_changes(&mut known);
        }
    }

    /// Redis took what was sent to it then.
    pub(super) fn confirmed(&self, sent_at: UnixMillis) {
        self.lock().confirmed_at = sent_at;
    }

    /// When the first of the ticks was published that Redis has not confirmed; `None` when it has confirmed all.
    pub(super) fn set_unconfirmed(&self, since: Option<Instant>) {
        self.lock().unconfirmed_since = since;
    }

    /// The same by the clock, and while Redis takes none, when it took the last one.
    pub(super) fn unconfirmed_since(&self, now: UnixMillis) -> Option<UnixMillis> {
        let known = self.lock();
        if !self.role.is_collecting() {
            return None;
        }
        let not_publishing_since = known.publishing.words.as_ref().map(|_| known.confirmed_at);
        let millis_ago = |since: Instant| i64::try_from(since.elapsed().as_millis()).unwrap_or(i64::MAX);
        let since = known.unconfirmed_since.map(|since| UnixMillis(now.0.saturating_sub(millis_ago(since))));
        not_publishing_since.into_iter().chain(since).min()
    }

    /// So many ticks will never be published. The first of them are told at once: a gap begins.
    pub(super) fn unpublished(&self, replaced: u64, lost: u64) {
        if replaced + lost > 0 {
            let mut known = self.lock();
            known.conflated_ticks_total += replaced;
            known.unpublished_ticks_total += replaced + lost;
            known.unpublished_since = Some(known.confirmed_at);
            known.changed = true;
            if known.told_at.elapsed() >= TELL_INTERVAL {
                self.tell_changes(&mut known);
            }
        }
    }

    /// So many ticks were missed in frames.
    pub(super) fn missed(&self, ticks: u64) {
        self.lock().missed_in_frames += ticks;
    }

    pub(super) fn rejected(&self, reason: &'static str, why: String) {
        let mut known = self.lock();
        known.rejected_total += 1;
        *known.rejections.entry(reason).or_default() += 1;
        known.last_rejection = Some(tidy(&why, text::BYTES_MAX));
        known.changed = true;
    }

    pub(super) fn status(&self) -> BusStatus {
        self.lock().status(self.role.is_collecting())
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is wrong with a part, said once.
struct Trouble {
    /// What is logged when it is over.
    well: &'static str,
    words: Option<String>,
    since: Instant,
    times: u64,
    logged: Vec<String>,
}

impl Trouble {
    fn new(well: &'static str, words: Option<String>) -> Self {
        Self { well, words, since: Instant::now(), times: 0, logged: Vec::new() }
    }

    /// Answers whether anything is new.
    fn set(&mut self, words: Option<String>) -> bool {
        match &words {
            Some(words) => {
                if self.words.is_none() {
                    (self.since, self.times) = (Instant::now(), 0);
                    self.logged.clear();
                }
                self.times += 1;
                if self.logged.len() < LOGGED_MAX && !self.logged.contains(words) {
                    warn!("{words}");
                    self.logged.push(words.clone());
                }
            }
            None if self.words.is_some() && self.times > 0 => {
                info!("{}, after {:.1} s and {} failures", self.well, self.since.elapsed().as_secs_f64(), self.times);
            }
            None if self.words.is_some() => info!("{}", self.well),
            None => {}
        }
        let is_news = self.words != words;
        self.words = words;
        is_news
    }
}
