//! Reads what is published, and reconnects by itself.

use super::{
    ANSWER_TIMEOUT, Names, Retry, answered,
    health::{Health, Part},
    transit::{Ping, Transit},
    words, words_when_connecting,
};
use crate::bus::{Role, mailbox::Outbox, wire};
use app::model::{tick::Tick, time::UnixMillis};
use futures_util::{FutureExt, StreamExt, future::BoxFuture};
use redis::{
    Client, RedisError, RedisResult,
    aio::{PubSubSink, PubSubStream},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

/// A subscription can look healthy and deliver nothing: a ping after which nothing comes for [`ANSWER_TIMEOUT`] ends it.
const PING_INTERVAL: Duration = Duration::from_secs(2);
/// Ticks read from Redis that are handed over together.
const TICKS_PER_DELIVERY: usize = 256;

pub(super) struct Subscriber {
    pub(super) client: Client,
    pub(super) names: Arc<Names>,
    pub(super) role: Role,
    pub(super) outbox: Outbox,
    pub(super) health: Arc<Health>,
    pub(super) transit: Arc<Transit>,
    /// The highest that was seen.
    pub(super) epoch: AtomicU64,
}

impl Subscriber {
    pub(super) async fn run(self) {
        let mut retry = Retry::default();
        loop {
            let since = Instant::now();
            let why = match self.subscribe().await {
                Ok((sink, messages)) => words(&self.read_all(sink, messages).await),
                Err(error) => words_when_connecting(&error),
            };
            self.transit.leave(Instant::now());
            self.health.set(Part::Subscription, Some(format!("Redis delivers no ticks: {why}")));
            if since.elapsed() > Retry::LONGEST * 2 {
                retry.reset();
            }
            retry.wait().await;
        }
    }

    async fn subscribe(&self) -> RedisResult<(PubSubSink, PubSubStream)> {
        let (mut sink, messages) = answered(self.client.get_async_pubsub()).await?.split();
        self.transit.join(Instant::now());
        answered(sink.subscribe(&self.names.ticks)).await?;
        if !matches!(self.role, Role::Collector { .. }) {
            answered(sink.subscribe(&self.names.status)).await?;
            self.read_last_status().await?;
        }
        if matches!(self.role, Role::Candidate { .. }) {
            match answered(sink.subscribe(&self.names.lease.released)).await {
                // A user may be confined to the channels that are needed: then a lease that is given up is noticed a little later.
                Err(error) if error.code().is_some() => {}
                subscribed => subscribed?,
            }
        }
        self.health.set(Part::Subscription, None);
        Ok((sink, messages))
    }

    /// Reads until Redis fails.
    async fn read_all(&self, sink: PubSubSink, mut messages: PubSubStream) -> RedisError {
        let mut pings = interval(PING_INTERVAL);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ping: Option<(Ping, BoxFuture<'static, RedisResult<()>>)> = None;
        let mut heard = Instant::now();
        let mut ticks = Vec::with_capacity(TICKS_PER_DELIVERY);
        let ended = || RedisError::from(std::io::Error::from(std::io::ErrorKind::UnexpectedEof));
        loop {
            let is_pinged = ping.is_some();
            let answer = async {
                match &mut ping {
                    Some((_, answer)) => answer.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                message = messages.next() => {
                    let Some(message) = message else { return ended() };
                    heard = Instant::now();
                    let now = UnixMillis::now();
                    self.read(&message, now, &mut ticks);
                    // What has come with it is handed over with it.
                    while ticks.len() < TICKS_PER_DELIVERY
                        && let Some(Some(message)) = messages.next().now_or_never()
                    {
                        self.read(&message, now, &mut ticks);
                    }
                    self.transit.deliver(&ticks, heard);
                    ticks.clear();
                }
                answer = answer => {
                    if let Err(error) = answer {
                        return error;
                    }
                    heard = Instant::now();
                    let now = UnixMillis::now();
                    // All that came before the answer is here by now: to its end, whatever the runtime's turn allows.
                    while let Some(Some(message)) = tokio::task::unconstrained(messages.next()).now_or_never() {
                        self.read(&message, now, &mut ticks);
                    }
                    self.transit.deliver(&ticks, heard);
                    ticks.clear();
                    if let Some((ping, _)) = ping.take() {
                        self.transit.pong(&ping, heard);
                    }
                }
                () = async { tokio::select! { _ = pings.tick() => {} () = self.transit.ping_wanted() => {} } }, if !is_pinged => {
                    ping = Some(self.ping(&sink));
                    heard = Instant::now();
                }
                () = sleep_until(heard + ANSWER_TIMEOUT), if is_pinged => {
                    return RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut));
                }
            }
            if self.transit.is_overrun() {
                return RedisError::from(std::io::Error::other(
                    "our own subscription fell too far behind and is begun anew",
                ));
            }
        }
    }

    /// Any answer will do: a Redis that cannot write to its disk refuses pings.
    fn ping(&self, sink: &PubSubSink) -> (Ping, BoxFuture<'static, RedisResult<()>>) {
        let mut sink = sink.clone();
        let answer = async move {
            match sink.ping::<redis::Value>().await {
                Err(error) if error.code().is_none() => Err(error),
                _ => Ok(()),
            }
        };
        (self.transit.ping(Instant::now()), answer.boxed())
    }

    /// A collector that said how it is before we came need not say it again.
    async fn read_last_status(&self) -> RedisResult<()> {
        let mut connection = answered(self.client.get_multiplexed_async_connection()).await?;
        let status: Option<Vec<u8>> =
            answered(redis::cmd("GET").arg(&self.names.status).query_async(&mut connection)).await?;
        if let Some(status) = status {
            self.read_status(&status);
        }
        Ok(())
    }

    fn read(&self, message: &redis::Msg, now: UnixMillis, ticks: &mut Vec<Tick>) {
        let (channel, payload) = (message.get_channel_name(), message.get_payload_bytes());
        if channel == self.names.status {
            self.read_status(payload);
            return;
        }
        if let Role::Candidate { right, .. } = &self.role
            && channel == self.names.lease.released
        {
            right.tell_release();
            return;
        }
        match wire::read(payload, now) {
            Ok((_, Some(epoch))) if self.is_over(epoch) => {}
            Ok((tick, _)) => ticks.push(tick),
            Err(why) => self.health.rejected(why.reason(), why.to_string()),
        }
    }

    fn read_status(&self, payload: &[u8]) {
        // Our own goes without the detour.
        if self.role.is_collecting() {
            return;
        }
        match wire::read_status(payload) {
            Ok(report) => {
                let epoch = report.head.collector.as_ref().and_then(|collector| collector.epoch);
                if !epoch.is_some_and(|epoch| self.is_over(epoch)) {
                    self.outbox.put_status(Arc::new(report));
                }
            }
            Err(why) => self.health.rejected("status", why),
        }
    }

    /// Was something of a later collector here before? Then this is of one whose time is over.
    fn is_over(&self, epoch: u64) -> bool {
        let newest = self.epoch.fetch_max(epoch, Relaxed);
        if epoch < newest {
            self.health.rejected("epoch", format!("of epoch {epoch}, after epoch {newest}"));
        }
        epoch < newest
    }
}
