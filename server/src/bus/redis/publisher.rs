//! Publishes what the mailbox holds.
//!
//! Several pipelines are in flight, so that a Redis far away takes as many ticks as a near one. What it has not confirmed is
//! known to the tick. While it takes none, the latest of each symbol waits and the others are counted; the first thing that is
//! published after a trouble goes alone, as its proof.
//!
//! A server among several asks for its right before every batch, and publishes through the fence (`fence.rs`). Without the right
//! ticks wait as with a Redis that takes none; while it does not collect there are none, and the connection is kept ready.

mod answers;
mod pending;
mod status;

use super::{
    ANSWER_TIMEOUT, Names, Retry,
    address::RedisAddress,
    answered,
    connection::{Answer, Asked, Connection, Request, What, ask, connect, error_of, probe},
    fence::{self, Call},
    frames::Frames,
    health::{Health, Part},
    transit::Transit,
    words, words_when_connecting,
};
use crate::bus::{Right, Role, mailbox::Inbox, wire};
use app::model::{status::StatusReport, tick::Tick, time::UnixMillis};
use futures_util::{StreamExt, stream::FuturesOrdered};
use pending::{Next, Pending};
use redis::{ErrorKind, Pipeline, RedisError, RedisResult, Value};
use status::Own;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, interval, sleep, sleep_until, timeout},
};

const PUBLISHES_PER_PIPELINE: usize = 500;
/// So far ahead of Redis' answers: at 100 ms from here, 160,000 ticks a second.
const PIPELINES_MAX: usize = 32;
/// A connection on which nothing goes may be dead: so often it is tried.
const IDLE_INTERVAL: Duration = Duration::from_secs(1);
/// The time that a connection, once made, waits for our own subscription to come back too: what is published before it is
/// handed over without the detour, and what the last connection left open is only then known.
const SUBSCRIBER_WAIT: Duration = Duration::from_secs(2);
/// A lease that ran out, as after a standstill, is had again in no time, unless Redis or another server is in the way. Ticks
/// wait for it in order, and are conflated after that.
const RIGHT_PATIENCE: Duration = Duration::from_secs(3);
/// While Redis takes none, ticks are taken out of the mailbox so often.
const ABSORB_INTERVAL: Duration = Duration::from_millis(100);
/// A connection that did not answer while a new one was made and answered has so much time left.
const LAST_CHANCE: Duration = Duration::from_millis(100);

pub(super) struct Publisher {
    address: RedisAddress,
    names: Arc<Names>,
    own: Own,
    /// `None`: nobody else could publish.
    right: Option<Right>,
    changes: watch::Receiver<()>,
    inbox: Inbox,
    health: Arc<Health>,
    transit: Arc<Transit>,
    frames: Frames,

    pending: Pending,
    /// Those sent before this number were given up.
    given_up: u64,
    status: Option<Arc<StatusReport>>,
    json: String,
    /// Since when Redis takes what is published.
    proven_at: Option<Instant>,
    /// It was asked whether it does: at the begin of a connection, and when nothing else was published for a while.
    probed: bool,
    /// It does not, so that ticks wait and are conflated.
    in_trouble: bool,
    /// Since when it lacks nothing but the right to publish, which may come back at once: ticks wait in order for it.
    without_right_since: Option<Instant>,
    /// It refused a tick, and took none since.
    refused: bool,
    /// The next tick is tried then.
    hold_until: Instant,
    retry: Retry,
    /// The epoch under which was published last, while the right lasts; without a lease it always does.
    epoch: Option<u64>,
    /// That of what is in flight.
    sent_under: Option<u64>,
    /// Whoever waits until nothing is left here.
    flushes: Vec<oneshot::Sender<()>>,
}

async fn wait_out(without_right_since: Option<Instant>) {
    if let Some(since) = without_right_since {
        sleep_until(since + RIGHT_PATIENCE).await;
    }
}

/// Nothing yet, under the epoch of the lease where there is one.
fn request(address: &RedisAddress, names: &Names, epoch: Option<u64>, messages: usize) -> Request {
    match epoch {
        Some(epoch) => Request::Call(Call::publish(&names.lease.epoch, epoch, address.moves())),
        None => Request::Pipeline(Pipeline::with_capacity(messages)),
    }
}

/// How a connection ended.
enum Ended {
    Failed(RedisError),
    /// It does not answer, and this one does.
    Replaced(Connection),
}

impl Publisher {
    pub(super) fn new(
        address: RedisAddress,
        names: Arc<Names>,
        role: &Role,
        inbox: Inbox,
        health: Arc<Health>,
        transit: Arc<Transit>,
        frames: Frames,
    ) -> Option<Self> {
        let own = Own::of(role)?;
        // `None`: nobody else could publish.
        let right = match role {
            Role::Candidate { right, .. } => Some(right.clone()),
            Role::Collector { .. } | Role::Watcher => None,
        };
        Some(Self {
            address,
            names,
            own,
            changes: right.as_ref().map_or_else(|| watch::channel(()).1, Right::changes),
            right,
            inbox,
            health,
            transit,
            frames,
            pending: Pending::default(),
            given_up: 0,
            status: None,
            json: String::new(),
            proven_at: None,
            probed: false,
            in_trouble: false,
            without_right_since: None,
            refused: false,
            hold_until: Instant::now(),
            retry: Retry::default(),
            epoch: None,
            sent_under: None,
            flushes: Vec::new(),
        })
    }

    pub(super) async fn run(mut self, mut flush: mpsc::Receiver<oneshot::Sender<()>>) {
        let mut next = None;
        loop {
            let connection = match next.take() {
                Some(connection) => Ok(connection),
                None => {
                    let address = self.address.clone();
                    self.meanwhile(connect(&address)).await
                }
            };
            let why = match connection {
                Ok(connection) => {
                    self.settle().await;
                    match self.publish(&connection, &mut flush).await {
                        Ended::Failed(error) => words(&error),
                        Ended::Replaced(connection) => {
                            next = Some(connection);
                            continue;
                        }
                    }
                }
                Err(error) => words_when_connecting(&error),
            };
            self.trouble(format!("Redis does not take ticks: {why}"));
            self.absorb();
            let wait = self.retry.next();
            self.meanwhile(sleep(wait)).await;
            self.absorb();
        }
    }

    /// Waits while nothing can be sent. That this server collects no more is noticed at once.
    async fn meanwhile<T>(&mut self, wait: impl Future<Output = T>) -> T {
        tokio::pin!(wait);
        loop {
            tokio::select! {
                done = &mut wait => return done,
                Ok(()) = self.changes.changed() => self.give_up_when_over(),
            }
        }
    }

    /// What the last connection left open: Redis took what our own subscription saw. The rest waits again.
    async fn settle(&mut self) {
        // Without a subscription all that was not confirmed counts as not taken.
        let transit = Arc::clone(&self.transit);
        let _ = self.meanwhile(timeout(SUBSCRIBER_WAIT, transit.barrier())).await;
        let (first, back) = self.transit.take_back();
        let replaced = self.put_back(first, &back, |_| true);
        self.health.unpublished(replaced, self.frames.drop_in_flight());
    }

    /// Publishes until Redis fails.
    async fn publish(&mut self, connection: &Connection, flush: &mut mpsc::Receiver<oneshot::Sender<()>>) -> Ended {
        let mut answers = FuturesOrdered::new();
        // When Redis last answered, or was asked after it had answered everything.
        let mut heard = Instant::now();
        self.probed = false;
        loop {
            self.look_at_right();
            while answers.len() < PIPELINES_MAX
                && let Some((what, request)) = self.next(answers.is_empty())
            {
                if answers.is_empty() {
                    heard = Instant::now();
                }
                let asked = Asked { what, at: UnixMillis::now() };
                answers.push_back(ask(connection.redis.clone(), asked, request));
            }
            let has_asked = !answers.is_empty();
            let unconfirmed = [self.transit.unconfirmed_since(), self.pending.since(), self.frames.since()];
            self.health.set_unconfirmed(unconfirmed.into_iter().flatten().min());
            if (!has_asked || self.collects_no_more()) && !self.has_something() {
                if !self.flushes.is_empty() {
                    self.health.tell();
                }
                for done in self.flushes.drain(..) {
                    let _ = done.send(());
                }
            }
            let (asked, answer) = tokio::select! {
                Some(answer) = answers.next() => answer,
                () = self.inbox.take(self.pending.delivery()), if self.may_receive() => {
                    self.receive();
                    continue;
                }
                () = self.frames.outlet.filled(), if self.proven_at.is_some() => continue,
                () = sleep_until(self.hold_until), if self.is_held() => continue,
                () = wait_out(self.without_right_since), if self.without_right_since.is_some() => continue,
                Ok(()) = self.changes.changed() => continue,
                Some(done) = flush.recv() => {
                    self.flushes.push(done);
                    continue;
                }
                () = sleep_until(heard + IDLE_INTERVAL), if !has_asked && self.proven_at.is_some() => {
                    self.probed = false;
                    continue;
                }
                () = sleep_until(heard + ANSWER_TIMEOUT), if has_asked => {
                    match self.wait_for_life(connection, &mut answers).await {
                        Ok(answer) => answer,
                        Err(ended) => return ended,
                    }
                }
            };
            heard = Instant::now();
            let values = match answer {
                Ok(values) => values,
                Err(error) => return Ended::Failed(error),
            };
            let moves = self.address.moves();
            let is_over = |value| error_of(Some(value)).is_some_and(|error| moves && fence::is_over(error));
            if values.iter().any(is_over) {
                // The lease may be on a master that this server does not know of yet.
                self.fenced();
                let refused = "it refuses this server's lease".to_owned();
                return Ended::Failed(RedisError::from((ErrorKind::InvalidClientConfig, "fenced", refused)));
            }
            if values.iter().any(|value| error_of(Some(value)).is_some_and(|error| self.address.is_demoted(error))) {
                let demoted = "the master is another server now".to_owned();
                return Ended::Failed(RedisError::from((ErrorKind::InvalidClientConfig, "demoted", demoted)));
            }
            if let Err(refused_from) = self.take_answer(asked, &values)
                && let Err(error) = self.take_refusal(refused_from, &values, &mut answers).await
            {
                return Ended::Failed(error);
            }
        }
    }

    /// The right may have begun or ended since.
    fn look_at_right(&mut self) {
        let Some(right) = &self.right else { return };
        let (before, is_collecting) = (self.epoch, right.is_collecting());
        self.epoch = right.epoch(Instant::now()).filter(|_| is_collecting);
        if !is_collecting {
            self.give_up_when_over();
        } else if self.epoch.is_none() && (before.is_some() || !self.in_trouble) {
            let now = Instant::now();
            let since = *self.without_right_since.get_or_insert(now);
            if self.proven_at.is_none() || since + RIGHT_PATIENCE <= now {
                self.trouble("Redis does not renew this server's lease".to_owned());
            }
        } else if before.is_none() && self.epoch.is_some() {
            // What waits goes on as after any trouble.
            self.without_right_since = None;
            (self.probed, self.hold_until) = (self.probed && self.proven_at.is_some(), Instant::now());
            self.refused = false;
        }
    }

    /// Is there a lease, and others collect?
    fn collects_no_more(&self) -> bool {
        self.right.as_ref().is_some_and(|right| !right.is_collecting())
    }

    /// What is left when this server collects no more is given up. What Redis was sent and did not confirm counts too: nobody will
    /// know whether it took that.
    fn give_up_when_over(&mut self) {
        if !self.collects_no_more() {
            return;
        }
        if self.inbox.take_now(self.pending.delivery()) {
            self.receive();
        }
        let (unconfirmed, end) = self.transit.unconfirmed(self.given_up);
        self.given_up = end;
        let given_up = unconfirmed + self.pending.clear() + self.frames.drop_waiting();
        (self.status, self.without_right_since) = (None, None);
        if given_up > 0 {
            self.health.unpublished(0, given_up);
            // Before history ends.
            self.health.tell();
        }
    }

    /// What Redis did not take waits again, but for what was given up; answers how many were replaced by later ones. `first` is the
    /// number of the first of them, and `is_left` is asked for each place.
    fn put_back(&mut self, first: u64, back: &[Tick], is_left: impl Fn(usize) -> bool) -> u64 {
        let known = usize::try_from(self.given_up.saturating_sub(first)).unwrap_or(usize::MAX).min(back.len());
        self.pending.put_back(&back[known..], |place| is_left(place + known))
    }

    /// May ticks and status be published now? Asked for before every batch.
    fn may_publish(&self) -> bool {
        match &self.right {
            None => true,
            Some(right) => self.epoch.is_some() && self.epoch == right.epoch(Instant::now()),
        }
    }

    /// Is anything here that is not published yet?
    fn has_something(&self) -> bool {
        let has_ticks = !self.pending.is_empty() || !self.inbox.is_empty();
        has_ticks || self.status.is_some() || (self.frames.alone && !self.frames.outlet.is_empty())
    }

    /// What goes next: the status, then ticks in order. As long as nothing was taken, one thing alone.
    fn next(&mut self, is_idle: bool) -> Option<(What, Request)> {
        if self.proven_at.is_none() && !is_idle {
            return None;
        }
        if !self.probed && self.hold_until <= Instant::now() {
            self.probed = true;
            let mut pipeline = redis::pipe();
            pipeline.publish(&self.names.probe, "");
            return Some((What::Probe, Request::Pipeline(pipeline)));
        }
        // What was sent under another epoch is answered first: it may be refused, and must not come behind what is newer.
        if !self.may_publish() || (!is_idle && self.sent_under != self.epoch) {
            return None;
        }
        self.sent_under = self.epoch;
        if let Some(status) = self.status.take() {
            let right = self.right.as_ref();
            return Some((
                What::Status,
                self.own.request(&status, self.health.status(), &self.names, right, self.epoch),
            ));
        }
        if self.proven_at.is_some()
            && let Some((ticks, frames)) = self.frames.next()
        {
            let mut request = request(&self.address, &self.names, self.epoch, frames.len());
            frames.for_each(|frame| request.publish(&self.names.frames, &frame.bytes[..]));
            return Some((What::Frames { ticks }, request));
        }
        let next = match self.proven_at {
            Some(_) => Next::All,
            None if self.hold_until <= Instant::now() => Next::One,
            None => Next::None,
        };
        let (ticks, since) = self.pending.next(next, PUBLISHES_PER_PIPELINE);
        if ticks.is_empty() {
            return None;
        }
        let mut request = request(&self.address, &self.names, self.epoch, ticks.len());
        for tick in ticks {
            self.json.clear();
            wire::write_tick(tick, self.own.source, self.epoch, &mut self.json);
            request.publish(&self.names.ticks, self.json.as_bytes());
        }
        let (first, count) = (self.transit.send(ticks, since, Instant::now()), ticks.len());
        self.pending.sent(count);
        Some((What::Ticks { first, count }, request))
    }

    /// While Redis takes ticks, those that are not sent yet come first. While it does not, all that come are conflated. At the
    /// very start neither is known, and they stay where they are.
    fn may_receive(&self) -> bool {
        match self.proven_at {
            _ if self.without_right_since.is_some() => false,
            Some(_) => self.pending.is_empty(),
            None => self.in_trouble,
        }
    }

    /// Is there something that is tried only later?
    fn is_held(&self) -> bool {
        let has_something = self.pending.has_waiting() || !self.probed;
        self.proven_at.is_none() && has_something && self.hold_until > Instant::now()
    }

    /// The mailbox was emptied.
    fn receive(&mut self) {
        let in_order = self.proven_at.is_some() && self.pending.is_empty();
        self.status = self.pending.take_status().or(self.status.take());
        let (replaced, lost) = self.pending.receive(in_order);
        self.health.unpublished(replaced, lost);
    }

    /// Takes out of the mailbox what is there, while nothing can be sent. Old frames are of no use to anybody.
    fn absorb(&mut self) {
        self.health.unpublished(0, self.frames.drop_waiting());
        if self.inbox.take_now(self.pending.delivery()) {
            self.receive();
        }
    }

    /// Redis takes no ticks: what is not sent waits.
    fn trouble(&mut self, words: String) {
        self.without_right_since = None;
        self.health.set(Part::Publishing, Some(words));
        self.in_trouble = true;
        if self.proven_at.take().is_some_and(|since| since.elapsed() > Retry::LONGEST * 2) {
            self.retry.reset();
        }
        let replaced = self.pending.let_wait();
        self.health.unpublished(replaced, self.frames.drop_waiting());
    }

    /// Redis does not answer. It may do so yet: it was paused, or busy. Or the connection is dead without a word, which a new
    /// one tells, on which Redis takes what is published.
    async fn wait_for_life(
        &mut self,
        connection: &Connection,
        answers: &mut FuturesOrdered<impl Future<Output = Answer>>,
    ) -> Result<Answer, Ended> {
        self.trouble("Redis does not take ticks: it did not answer within 2 s".to_owned());
        let mut absorb = interval(ABSORB_INTERVAL);
        loop {
            let probe = probe(self.address.clone(), self.names.probe.clone());
            tokio::pin!(probe);
            let new = loop {
                tokio::select! {
                    Some(answer) = answers.next() => return Ok(answer),
                    new = &mut probe => break new,
                    _ = absorb.tick() => self.absorb(),
                    Ok(()) = self.changes.changed() => self.give_up_when_over(),
                }
            };
            let Ok(new) = new else { continue };
            if let Ok(Some(answer)) = timeout(LAST_CHANCE, answers.next()).await {
                return Ok(answer);
            }
            // So that what is under way to Redis comes to nothing, and can be sent again. Where this is not allowed, the old
            // connection is dead all the same.
            if let Some(id) = connection.id {
                let mut redis = new.redis.clone();
                let _: RedisResult<Value> =
                    answered(redis::cmd("CLIENT").arg("KILL").arg("ID").arg(id).query_async(&mut redis)).await;
            }
            return Err(Ended::Replaced(new));
        }
    }
}
