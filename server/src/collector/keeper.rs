//! The task around the lease: asks Redis, grants and revokes the right, and says where this server stands.

use super::lease::{Lease, Order, Why};
use crate::bus::{LeaseAnswer, LeaseOnRedis, Question, Right};
use app::model::{
    status::{self, Collector, ServerRole},
    time::UnixMillis,
};
use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// The holder renews so often,
const RENEW_INTERVAL: Duration = Duration::from_millis(300);
/// those who stand by ask so often,
const STANDBY_INTERVAL: Duration = Duration::from_millis(150);
/// and those who never collect look so often.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// Who stands by lets the holder go first for so long after Redis was away or lost what it knew: the holder still has its
/// connections. So does a server that starts and finds no epoch there: a Redis on its own machine may have started with it.
const HEAD_START: Duration = Duration::from_millis(600);
/// Renewals whose time is remembered: a minute of them.
const RENEWALS_MAX: usize = 200;

/// Where this server stands.
#[derive(Clone, Debug)]
pub struct Standing {
    /// What is shown of it.
    pub view: status::Standing,
    /// While it collects.
    pub tenure: Option<Tenure>,
}

/// One stretch in which this server collects.
#[derive(Clone, Debug)]
pub struct Tenure {
    number: u64,
    /// Since when.
    pub since: UnixMillis,
    /// Who collected before, as far as was seen, and whether it gave its lease up.
    pub predecessor: Option<(String, bool)>,
    epoch: watch::Receiver<u64>,
}

impl Tenure {
    /// Tells it from every other of this process.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Its epoch by now: it rises when Redis lost the lease and nobody else took it.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        *self.epoch.borrow()
    }
}

/// A way to the task. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Keeper {
    standing: watch::Receiver<Standing>,
    releases: mpsc::Sender<oneshot::Sender<bool>>,
    /// Cancelled when the lease is given up for good, which ends the task.
    given_up: CancellationToken,
    figures: Arc<Figures>,
}

#[derive(Debug, Default)]
struct Figures {
    renewals: Mutex<VecDeque<Duration>>,
    has_others: std::sync::atomic::AtomicBool,
}

impl Keeper {
    /// Where this server stands, from now on.
    #[must_use]
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.clone()
    }

    /// Is somebody else there who would take over?
    #[must_use]
    pub fn has_others(&self) -> bool {
        self.figures.has_others.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// How long renewals took of late, the quickest first.
    #[must_use]
    pub fn renewals(&self) -> Vec<Duration> {
        let renewals = self.figures.renewals.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sorted: Vec<_> = renewals.iter().copied().collect();
        sorted.sort_unstable();
        sorted
    }

    /// Cancelled when the lease is given up for good.
    #[must_use]
    pub fn given_up(&self) -> &CancellationToken {
        &self.given_up
    }

    /// Gives the lease up for good; `false` when there was none, or Redis did not answer.
    pub async fn release(&self) -> bool {
        self.given_up.cancel();
        let (done, released) = oneshot::channel();
        self.releases.send(done).await.is_ok() && released.await.unwrap_or(false)
    }
}

/// Makes a keeper; the future is its task. `server` is how this one is called.
pub fn keep(
    redis: LeaseOnRedis,
    right: Right,
    server: String,
    competes: bool,
) -> (Keeper, impl Future<Output = ()> + Send) {
    let view = super::first_view(competes);
    let (standing, seen) = watch::channel(Standing { view, tenure: None });
    let (releases, received) = mpsc::channel(1);
    let figures = Arc::new(Figures::default());
    let task = Task {
        lease: Lease::default(),
        right,
        server,
        competes,
        standing,
        tenures: 0,
        predecessor: None,
        epoch: watch::Sender::default(),
        since: UnixMillis::default(),
        figures: Arc::clone(&figures),
        trouble: None,
        // Not 0: a Redis that knows no epoch lost its data, for all that a server that starts knows.
        seen: 1,
        competes_from: Instant::now(),
    };
    (Keeper { standing: seen, releases, given_up: CancellationToken::new(), figures }, task.run(redis, received))
}

type Asking = Pin<Box<dyn Future<Output = (LeaseOnRedis, Asked)> + Send>>;

/// A question that was answered, or was not.
struct Asked {
    at: Instant,
    /// When this server began to collect, should it be the holder by this answer.
    since: UnixMillis,
    answer: Result<LeaseAnswer, String>,
}

struct Task {
    lease: Lease,
    right: Right,
    server: String,
    competes: bool,
    standing: watch::Sender<Standing>,
    tenures: u64,
    /// Who was seen to hold the lease last, and whether it was given up since.
    predecessor: Option<(Collector, bool)>,
    epoch: watch::Sender<u64>,
    since: UnixMillis,
    figures: Arc<Figures>,
    trouble: Option<String>,
    /// The highest epoch that was seen. One that Redis does not know any more is waited for, see [`HEAD_START`].
    seen: u64,
    /// Redis answers, and before then nothing is taken from a holder that was cut off as we were.
    competes_from: Instant,
}

/// What woke the task.
enum Woken {
    Answer(Box<(LeaseOnRedis, Asked)>),
    Ask,
    Due,
    Refused,
    Released,
    GiveUp(Option<oneshot::Sender<bool>>),
}

impl Task {
    async fn run(mut self, redis: LeaseOnRedis, mut releases: mpsc::Receiver<oneshot::Sender<bool>>) {
        let mut idle = Some(redis);
        let mut asking: Option<Asking> = None;
        let mut next = Instant::now();
        // Something happened since the question that is under way was asked.
        let mut is_urgent = false;
        let mut given_up: Option<oneshot::Sender<bool>> = None;
        loop {
            let due = self.lease.due();
            let right = self.right.clone();
            let woken = tokio::select! {
                (redis, asked) = async {
                    match &mut asking {
                        Some(asking) => asking.await,
                        None => std::future::pending().await,
                    }
                } => Woken::Answer(Box::new((redis, asked))),
                () = sleep_until(next), if asking.is_none() => Woken::Ask,
                () = sleep_until(due.unwrap_or(next)), if due.is_some() => Woken::Due,
                () = right.refused() => Woken::Refused,
                () = right.released(), if self.lease.is_standby() => Woken::Released,
                done = releases.recv(), if given_up.is_none() => Woken::GiveUp(done),
            };
            let now = Instant::now();
            match woken {
                Woken::Answer(answer) => {
                    let (redis, asked) = *answer;
                    asking = None;
                    idle = Some(redis);
                    // Nothing is taken that is about to be given up.
                    if given_up.is_none() {
                        self.hear(&asked, now);
                    }
                    // What came meanwhile, such as a release, is asked for at once.
                    next = if is_urgent { now } else { asked.at + self.interval() };
                    is_urgent = false;
                }
                Woken::Ask => {
                    asking = idle.take().map(|mut redis| -> Asking {
                        let question = self.question(now);
                        Box::pin(async move {
                            let at = Instant::now();
                            let answer = redis.ask(question).await;
                            (redis, Asked { at, since: question.since, answer })
                        })
                    });
                }
                Woken::Due => {
                    let order = self.lease.look(now);
                    self.obey(order);
                }
                Woken::Refused => {
                    self.lease.refused(now);
                    self.obey(None);
                    (next, is_urgent) = (now, true);
                }
                Woken::Released => {
                    (next, is_urgent) = (now, true);
                    if let Some((_, gave_up)) = &mut self.predecessor {
                        *gave_up = true;
                    }
                }
                Woken::GiveUp(None) => return,
                Woken::GiveUp(Some(done)) => given_up = Some(done),
            }
            if let Some(done) = given_up.take() {
                // What is asked just now could take it once more.
                let Some(mut redis) = idle.take() else {
                    given_up = Some(done);
                    continue;
                };
                self.right.revoke();
                self.lease.give_up();
                let released = redis.release().await.unwrap_or(false);
                self.show_nobody();
                let _ = done.send(released);
                return;
            }
        }
    }

    fn question(&self, now: Instant) -> Question {
        let is_standby = self.lease.is_standby();
        let is_first = now >= self.competes_from && self.trouble.is_none();
        Question {
            epoch: self.lease.epoch(),
            since: if is_standby { UnixMillis::now() } else { self.since },
            competes: self.competes && (!is_standby || is_first),
            seen: self.seen,
        }
    }

    fn interval(&self) -> Duration {
        match (self.competes, self.lease.right().is_some()) {
            (false, _) => LOOK_INTERVAL,
            (true, false) => STANDBY_INTERVAL,
            (true, true) => RENEW_INTERVAL,
        }
    }

    fn hear(&mut self, asked: &Asked, now: Instant) {
        let order = match &asked.answer {
            Ok(answer) => {
                if self.well() || *answer == LeaseAnswer::Lost {
                    (self.competes_from, self.seen) = (now + HEAD_START, 0);
                }
                self.count(now - asked.at, answer);
                self.since = asked.since;
                self.lease.hear(asked.at, answer, now)
            }
            Err(why) => {
                self.trouble(why);
                self.lease.look(now)
            }
        };
        let others = match &asked.answer {
            Ok(LeaseAnswer::Other(collector)) => collector.epoch.unwrap_or(0),
            _ => 0,
        };
        self.seen = self.seen.max(others).max(self.lease.epoch());
        self.figures.has_others.store(self.lease.has_others(), std::sync::atomic::Ordering::Relaxed);
        self.obey(order);
        if self.lease.is_standby() {
            self.show_others(&asked.answer);
        }
    }

    /// The right is as the lease is; then whatever is to be done.
    fn obey(&mut self, order: Option<Order>) {
        match self.lease.right() {
            Some((epoch, until)) => self.right.grant(epoch, until),
            None => self.right.revoke(),
        }
        let epoch = self.lease.epoch();
        if epoch > 0 && epoch != *self.epoch.borrow() && !matches!(order, Some(Order::Start | Order::StartAnew)) {
            info!("Took the lease of the collector again with nobody in between, epoch {epoch}");
            self.epoch.send_replace(epoch);
            self.show_own();
        }
        match order {
            None => {}
            Some(Order::Start | Order::StartAnew) => {
                info!("Took the lease of the collector, epoch {epoch}");
                self.tenures += 1;
                self.epoch = watch::Sender::new(epoch);
                self.show_own();
            }
            Some(Order::Stop(why)) => {
                self.predecessor = None;
                match why {
                    Why::Other => warn!("Lost the lease of the collector to another server"),
                    Why::HoldOver => {
                        warn!("Could not renew the lease of the collector for too long: ending its connections");
                    }
                }
                self.show_nobody();
            }
        }
    }

    fn show_own(&self) {
        let epoch = Some(*self.epoch.borrow());
        let collector = Collector { server: self.server.clone(), since: self.since, epoch };
        let view = status::Standing { role: ServerRole::Collector, collector: Some(collector), nobody_since: None };
        let (number, since) = (self.tenures, self.since);
        let predecessor = self.predecessor.as_ref().map(|(before, gave_up)| (before.server.clone(), *gave_up));
        let tenure = Tenure { number, since, predecessor, epoch: self.epoch.subscribe() };
        self.standing.send_replace(Standing { view, tenure: Some(tenure) });
    }

    fn show_nobody(&self) {
        self.standing.send_replace(Standing { view: super::first_view(self.competes), tenure: None });
    }

    /// Somebody else has it, or nobody, or nobody knows.
    fn show_others(&mut self, answer: &Result<LeaseAnswer, String>) {
        let collector = match answer {
            Ok(LeaseAnswer::Other(collector)) => {
                if self.predecessor.as_ref().is_none_or(|(before, _)| before != collector) {
                    self.predecessor = Some((collector.clone(), false));
                }
                Some(collector.clone())
            }
            Ok(_) => None,
            Err(_) => return,
        };
        self.standing.send_if_modified(|standing| {
            let view = &mut standing.view;
            if standing.tenure.is_some() || view.collector == collector {
                return false;
            }
            view.nobody_since = collector.is_none().then(UnixMillis::now);
            view.collector = collector;
            true
        });
    }

    fn count(&self, took: Duration, answer: &LeaseAnswer) {
        if matches!(answer, LeaseAnswer::Kept { .. }) {
            let mut renewals = self.figures.renewals.lock().unwrap_or_else(PoisonError::into_inner);
            if renewals.len() >= RENEWALS_MAX {
                renewals.pop_front();
            }
            renewals.push_back(took);
        }
    }

    /// Says once what is wrong.
    fn trouble(&mut self, why: &str) {
        if self.trouble.as_deref() != Some(why) {
            warn!("The lease of the collector cannot be asked for: {why}");
            self.trouble = Some(why.to_owned());
        }
    }

    /// Redis answers; was it away?
    fn well(&mut self) -> bool {
        let was_away = self.trouble.take().is_some();
        if was_away {
            info!("The lease of the collector can be asked for again");
        }
        was_away
    }
}
