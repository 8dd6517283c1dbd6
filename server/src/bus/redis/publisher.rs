//! Publishes what the mailbox holds.
//!
//! Several pipelines are in flight, so that a Redis far away takes as many ticks as a near one. What it has not confirmed is
//! known to the tick. While it takes none, the latest of each symbol waits and the others are counted; the first thing that is
//! published after a trouble goes alone, as its proof.
//!
//! A server among several asks for its right before every batch, and publishes through the fence (`fence.rs`). Without the right
//! ticks wait as with a Redis that takes none; while it does not collect there are none, and the connection is kept ready.

use super::{
    ANSWER_TIMEOUT, Names, Retry,
    address::RedisAddress,
    answered,
    connection::{Answer, Connection, Request, What, ask, connect, error_of, probe},
    fence::{self, Call},
    frames::Frames,
    health::{Health, Part},
    transit::Transit,
    waiting::Waiting,
    words, words_of, words_when_connecting,
};
use crate::bus::{
    Right, Role,
    mailbox::{Delivery, Inbox},
    wire,
};
use app::model::{
    status::{Collector, StatusReport},
    tick::Tick,
    time::UnixMillis,
};
use futures_util::{StreamExt, stream::FuturesOrdered};
use redis::{ErrorKind, Pipeline, RedisError, RedisResult, ServerError, Value};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, interval, sleep_until, timeout},
};

const PUBLISHES_PER_PIPELINE: usize = 500;
/// So far ahead of Redis' answers: at 100 ms from here, 160,000 ticks a second.
const PIPELINES_MAX: usize = 32;
const STATUS_EXPIRY_SECONDS: u64 = 10;
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
    source: &'static str,
    collector: Collector,
    /// `None`: nobody else could publish.
    right: Option<Right>,
    changes: watch::Receiver<()>,
    inbox: Inbox,
    health: Arc<Health>,
    transit: Arc<Transit>,
    frames: Frames,

    delivery: Delivery,
    /// Ticks in order, sent up to `sent`; the first of them was published at `since`.
    queue: Vec<Tick>,
    sent: usize,
    since: Instant,
    /// The latest of each symbol, while `proven_at` is `None`.
    waiting: Waiting,
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

/// Who publishes here. The host's name alone would be the same for two servers on one host.
fn this_collector() -> Collector {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_else(|_| "unknown host".to_owned());
    let server = format!("{} (process {})", host.trim(), std::process::id());
    Collector { server, since: UnixMillis::now(), epoch: None }
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
        let (source, collector, right) = match role {
            Role::Collector { source } => (*source, this_collector(), None),
            Role::Candidate { source, server, right } => {
                (*source, Collector { server: server.clone(), ..Collector::default() }, Some(right.clone()))
            }
            Role::Watcher => return None,
        };
        Some(Self {
            address,
            names,
            source,
            collector,
            changes: right.as_ref().map_or_else(|| watch::channel(()).1, Right::changes),
            right,
            inbox,
            health,
            transit,
            frames,
            delivery: Delivery::default(),
            queue: Vec::new(),
            sent: 0,
            since: Instant::now(),
            waiting: Waiting::default(),
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
            flushes: Vec::new(),
        })
    }

    pub(super) async fn run(mut self, mut flush: mpsc::Receiver<oneshot::Sender<()>>) {
        let mut next = None;
        loop {
            let connection = match next.take() {
                Some(connection) => Ok(connection),
                None => connect(&self.address).await,
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
            self.retry.wait().await;
            self.absorb();
        }
    }

    /// What the last connection left open: Redis took what our own subscription saw. The rest waits again.
    async fn settle(&mut self) {
        // Without a subscription all that was not confirmed counts as not taken.
        let _ = timeout(SUBSCRIBER_WAIT, self.transit.barrier()).await;
        let (_, back) = self.transit.take_back();
        let replaced = self.waiting.put_older(&back);
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
                answers.push_back(ask(connection.redis.clone(), what, request));
            }
            let has_asked = !answers.is_empty();
            if !has_asked && !self.has_something() {
                for done in self.flushes.drain(..) {
                    let _ = done.send(());
                }
            }
            let (what, answer) = tokio::select! {
                Some(answer) = answers.next() => answer,
                () = self.inbox.take(&mut self.delivery), if self.may_receive() => {
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
            if let Err(refused_from) = self.take_answer(what, &values)
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
            // What is left is of a time that is over.
            let left = (self.queue.len() - self.sent + self.waiting.len()) as u64;
            self.health.unpublished(0, left);
            self.queue.clear();
            (self.sent, self.waiting, self.status) = (0, Waiting::default(), None);
            self.without_right_since = None;
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

    /// May ticks and status be published now? Asked for before every batch.
    fn may_publish(&self) -> bool {
        match &self.right {
            None => true,
            Some(right) => self.epoch.is_some() && self.epoch == right.epoch(Instant::now()),
        }
    }

    /// Is anything here that is not published yet?
    fn has_something(&self) -> bool {
        self.sent < self.queue.len() || !self.waiting.is_empty() || self.status.is_some() || !self.inbox.is_empty()
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
        if !self.may_publish() {
            return None;
        }
        if let Some(status) = self.status.take() {
            return Some((What::Status, self.status_request(&status)));
        }
        if self.proven_at.is_some()
            && let Some((ticks, frames)) = self.frames.next()
        {
            let mut request = request(&self.address, &self.names, self.epoch, frames.len());
            frames.for_each(|frame| request.publish(&self.names.frames, &frame.bytes[..]));
            return Some((What::Frames { ticks }, request));
        }
        if self.sent == self.queue.len() {
            self.load();
        }
        let ticks = &self.queue[self.sent..];
        let ticks = &ticks[..ticks.len().min(PUBLISHES_PER_PIPELINE)];
        if ticks.is_empty() {
            return None;
        }
        let mut request = request(&self.address, &self.names, self.epoch, ticks.len());
        for tick in ticks {
            self.json.clear();
            wire::write_tick(tick, self.source, self.epoch, &mut self.json);
            request.publish(&self.names.ticks, self.json.as_bytes());
        }
        let (first, count) = (self.transit.send(ticks, self.since, Instant::now()), ticks.len());
        self.sent += count;
        Some((What::Ticks { first, count }, request))
    }

    /// Fills the queue from what waits.
    fn load(&mut self) {
        (self.sent, self.since) = (0, Instant::now());
        self.queue.clear();
        if self.proven_at.is_some() {
            self.waiting.drain(&mut self.queue);
        } else if self.hold_until <= Instant::now() {
            self.queue.extend(self.waiting.pop());
        }
    }

    fn status_request(&mut self, status: &StatusReport) -> Request {
        let mut status = status.clone();
        if let Some(since) = self.right.as_ref().and_then(Right::collecting_since) {
            (self.collector.since, self.collector.epoch) = (since, self.epoch);
        }
        (status.head.bus, status.head.collector) = (self.health.status(), Some(self.collector.clone()));
        let (json, channel) = (wire::write_status(&status), &self.names.status);
        match self.epoch {
            Some(epoch) => {
                let key = &self.names.lease.epoch;
                Request::Call(Call::status(key, epoch, channel, &json, STATUS_EXPIRY_SECONDS))
            }
            None => {
                let mut pipeline = redis::pipe();
                pipeline.set_ex(channel, &json, STATUS_EXPIRY_SECONDS).publish(channel, &json);
                Request::Pipeline(pipeline)
            }
        }
    }

    /// While Redis takes ticks, those that are not sent yet come first. While it does not, all that come are conflated. At the
    /// very start neither is known, and they stay where they are.
    fn may_receive(&self) -> bool {
        match self.proven_at {
            _ if self.without_right_since.is_some() => false,
            Some(_) if !self.lacks_right() => self.sent == self.queue.len() && self.waiting.is_empty(),
            Some(_) => true,
            None => self.in_trouble,
        }
    }

    /// Is there a lease that is not held?
    fn lacks_right(&self) -> bool {
        self.right.is_some() && self.epoch.is_none()
    }

    /// Is there something that is tried only later?
    fn is_held(&self) -> bool {
        let has_something = !self.waiting.is_empty() || !self.probed;
        self.proven_at.is_none() && has_something && self.hold_until > Instant::now()
    }

    /// The mailbox was emptied.
    fn receive(&mut self) {
        let can_publish = self.proven_at.is_some() && !self.lacks_right();
        let delivery = &mut self.delivery;
        if let Some(status) = delivery.statuses.pop() {
            self.status = Some(status);
        }
        if !can_publish {
            let lost = delivery.lost;
            let replaced = self.waiting.absorb(delivery) - lost;
            self.health.unpublished(replaced, lost);
            return;
        }
        let replaced = delivery.conflated.iter().map(|(_, count)| u64::from(*count) - 1).sum();
        self.health.unpublished(replaced, delivery.lost);
        self.queue.clear();
        std::mem::swap(&mut self.queue, &mut delivery.ticks);
        self.queue.extend(delivery.conflated.drain(..).map(|(tick, _)| tick));
        self.sent = 0;
        let waited_ms = delivery.since.map_or(0, |since| UnixMillis::now().millis_since(since));
        let waited = Duration::from_millis(u64::try_from(waited_ms).unwrap_or(0));
        self.since = Instant::now().checked_sub(waited).unwrap_or_else(Instant::now);
    }

    /// Takes out of the mailbox what is there, while nothing can be sent. Old frames are of no use to anybody.
    fn absorb(&mut self) {
        self.health.unpublished(0, self.frames.drop_waiting());
        if self.inbox.take_now(&mut self.delivery) {
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
        let replaced = self.waiting.put(&self.queue[self.sent..]);
        self.health.unpublished(replaced, self.frames.drop_waiting());
        self.queue.clear();
        self.sent = 0;
    }

    /// Redis answered. `Err` with the first of the ticks that it refused.
    fn take_answer(&mut self, what: What, values: &[Value]) -> Result<(), usize> {
        match what {
            What::Probe => match error_of(values.first()) {
                None if !self.refused => self.proven(),
                // A user may be confined to the channels that are needed: then these tell.
                Some(error) if !error.details().is_some_and(|words| words.contains("channel")) => {
                    self.tell_refusal(error);
                }
                _ => self.in_trouble = true,
            },
            What::Status => {
                let words = |what: &str, error| format!("Redis does not {what} the status: {}", words_of(error));
                let (kept, published) = (error_of(values.first()), error_of(values.get(1)));
                if kept.is_some_and(fence::is_over) {
                    self.fenced();
                    return Ok(());
                }
                let trouble = kept.map(|error| words("keep", error)).or(published.map(|error| words("publish", error)));
                self.health.set(Part::Status, trouble);
                match published {
                    None if !self.refused => self.proven(),
                    Some(error) if self.proven_at.is_none() => self.tell_refusal(error),
                    _ => {}
                }
            }
            What::Frames { ticks } => {
                self.frames.answered(ticks);
                let refused = values.iter().find_map(|value| error_of(Some(value)));
                let unpublished = if refused.is_some() { ticks } else { 0 } + self.frames.outlet.lost_ticks();
                self.health.unpublished(0, if self.frames.alone { unpublished } else { 0 });
                match refused {
                    Some(error) if fence::is_over(error) => self.fenced(),
                    Some(error) if self.frames.alone => self.tell_refusal(error),
                    None if self.frames.alone => self.proven(),
                    refused => {
                        let words = |error| format!("Redis does not take frames for dashboards: {}", words_of(error));
                        self.health.set(Part::Frames, refused.map(words));
                    }
                }
            }
            What::Ticks { first, count } => {
                let taken = values.iter().position(|value| error_of(Some(value)).is_some()).unwrap_or(count);
                self.transit.confirm(first + taken as u64, Instant::now());
                if error_of(values.get(taken)).is_some_and(fence::is_over) {
                    self.fenced();
                }
                if taken < count {
                    return Err(taken);
                }
                self.refused = false;
                self.proven();
            }
        }
        Ok(())
    }

    /// Redis refused an epoch: the lease is over, or has to be taken anew.
    fn fenced(&mut self) {
        if let (Some(right), Some(epoch)) = (&self.right, self.epoch) {
            right.refuse(epoch);
        }
    }

    /// Does this server collect without the right to publish?
    fn is_without_right(&self) -> bool {
        self.epoch.is_none() && self.right.as_ref().is_some_and(Right::is_collecting)
    }

    fn proven(&mut self) {
        self.health.confirmed();
        if self.is_without_right() {
            return;
        }
        self.in_trouble = false;
        self.hold_until = Instant::now();
        if self.proven_at.is_none() {
            self.proven_at = Some(Instant::now());
            self.health.set(Part::Publishing, None);
        }
    }

    fn tell_refusal(&mut self, error: &ServerError) {
        self.trouble(format!("Redis does not take ticks: {}", words_of(error)));
        self.hold_until = Instant::now() + self.retry.next();
        self.probed = self.refused;
    }

    /// Redis refused ticks from a place in this answer on: what is in flight behind them is answered too, and what was not
    /// taken waits again.
    async fn take_refusal(
        &mut self,
        refused_from: usize,
        values: &[Value],
        answers: &mut FuturesOrdered<impl Future<Output = Answer>>,
    ) -> RedisResult<()> {
        let is_taken = |value: &Value| error_of(Some(value)).is_none();
        let mut taken: Vec<bool> = values[refused_from..].iter().map(is_taken).collect();
        self.refused = true;
        while let Some((what, values)) = answered(async { Ok(answers.next().await) }).await? {
            let values = values?;
            match what {
                What::Ticks { .. } => taken.extend(values.iter().map(is_taken)),
                What::Status | What::Probe | What::Frames { .. } => self.take_answer(what, &values).unwrap_or_default(),
            }
        }
        let (_, mut back) = self.transit.take_back();
        // As it happens rarely that some are taken after one was refused, they are told apart only here.
        let mut behind = taken.split_off(taken.len().saturating_sub(back.len())).into_iter();
        back.retain(|_| !behind.next().unwrap_or(false));
        match error_of(values.get(refused_from)) {
            // The lease tells what comes of it.
            Some(error) if fence::is_over(error) => self.trouble("Redis refuses this server's lease".to_owned()),
            Some(error) => self.tell_refusal(error),
            None => {}
        }
        let replaced = self.waiting.put_older(&back);
        self.health.unpublished(replaced, 0);
        Ok(())
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
