//! The counts that several servers share. Each question is one script, so that two servers never count the same one.

use super::{Delay, Key, LEASE, Rate, Wait, millis};
use crate::bus::{RedisAddress, RedisConfig, words};
use redis::{Cmd, RedisError, aio::MultiplexedConnection};
use secrecy::ExposeSecret;
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, timeout};

/// A sign-in does not wait longer for Redis: then this server counts alone.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(250);
/// And asks it no more for so long.
const PAUSE: Duration = Duration::from_secs(5);

const NOW: &str = "local t = redis.call('TIME') local now = t[1] * 1000 + math.floor(t[2] / 1000) ";

/// As in `memory`: answers the milliseconds to wait, 0 for none.
const TAKE: &str = "local burst, interval = tonumber(ARGV[1]), tonumber(ARGV[2])
local due = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
local wait = due - (burst - 1) * interval - now
if wait > 0 then return wait end
due = due + interval
redis.call('SET', KEYS[1], string.format('%.0f', due), 'PX', string.format('%.0f', due - now + 1))
return 0";

const ATTEMPT: &str =
    "local free, first, longest, forget = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local known = redis.call('HMGET', KEYS[1], 'count', 'until')
local count, blocked = tonumber(known[1] or '0'), tonumber(known[2] or '0')
if blocked > now then return blocked - now end
count = count + 1
blocked = now
if count > free then blocked = now + math.min(longest, first * 2 ^ math.min(count - free - 1, 32)) end
redis.call('HSET', KEYS[1], 'count', count, 'until', string.format('%.0f', blocked))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', blocked - now + forget))
return 0";

const FORGIVE: &str = "local count = tonumber(redis.call('HGET', KEYS[1], 'count') or '0') - tonumber(ARGV[1])
if count > 0 then redis.call('HSET', KEYS[1], 'count', count, 'until', 0) else redis.call('DEL', KEYS[1]) end
return 0";

const LEASE_SCRIPT: &str = "local max, lease = tonumber(ARGV[2]), tonumber(ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if max > 0 and redis.call('ZCARD', KEYS[1]) >= max then return 0 end
redis.call('ZADD', KEYS[1], now + lease, ARGV[1])
redis.call('PEXPIRE', KEYS[1], lease)
return 1";

#[derive(Debug)]
pub(super) struct Shared {
    address: RedisAddress,
    prefix: String,
    link: Mutex<Link>,
}

#[derive(Default)]
struct Link {
    connection: Option<MultiplexedConnection>,
    paused_until: Option<Instant>,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("connected", &self.connection.is_some()).finish_non_exhaustive()
    }
}

impl Shared {
    /// `None` for an address that is none; the configuration has refused it before.
    pub(super) fn open(config: &RedisConfig) -> Option<Self> {
        let address = RedisAddress::parse(config.url.expose_secret()).ok()?;
        Some(Self { address, prefix: format!("{}limits:", config.key_prefix), link: Mutex::default() })
    }

    /// `None` when Redis does not answer; then the memory decides.
    pub(super) async fn take(&self, rate: Rate, key: Key) -> Option<Result<(), Wait>> {
        let mut script = self.script(TAKE, key);
        script.arg(rate.burst).arg(millis(rate.interval));
        self.ask(script).await.map(wait)
    }

    pub(super) async fn attempt(&self, delay: Delay, key: Key) -> Option<Result<(), Wait>> {
        let mut script = self.script(ATTEMPT, key);
        script.arg(delay.free).arg(millis(delay.first)).arg(millis(delay.longest)).arg(millis(delay.forget));
        self.ask(script).await.map(wait)
    }

    pub(super) async fn forgive(&self, key: Key, attempts: u32) {
        let mut script = self.script(FORGIVE, key);
        script.arg(attempts);
        self.ask(script).await;
    }

    /// Takes a place; `Some(false)` when all are taken.
    pub(super) async fn lease(&self, key: Key, id: u64, max: usize) -> Option<bool> {
        let mut script = self.script(LEASE_SCRIPT, key);
        script.arg(id).arg(max).arg(millis(LEASE));
        self.ask(script).await.map(|taken| taken == 1)
    }

    /// Keeps it, also on a Redis that lost it meanwhile.
    pub(super) async fn renew(&self, key: Key, id: u64) {
        self.lease(key, id, 0).await;
    }

    pub(super) async fn release(&self, key: Key, id: u64) {
        let mut command = redis::cmd("ZREM");
        command.arg(self.name(key)).arg(id);
        self.ask(command).await;
    }

    fn script(&self, script: &str, key: Key) -> Cmd {
        let mut command = redis::cmd("EVAL");
        command.arg([NOW, script].concat()).arg(1).arg(self.name(key));
        command
    }

    fn name(&self, key: Key) -> String {
        format!("{}{:032x}", self.prefix, u128::from_be_bytes(key))
    }

    async fn ask(&self, command: Cmd) -> Option<i64> {
        if self.link().paused_until.is_some_and(|until| until > Instant::now()) {
            return None;
        }
        let asking = async {
            let mut connection = self.connection().await?;
            command.query_async::<i64>(&mut connection).await
        };
        let answer = timeout(ANSWER_TIMEOUT, asking).await;
        let mut link = self.link();
        match answer {
            Ok(Ok(answer)) => {
                if link.paused_until.take().is_some() {
                    tracing::info!("Limits are shared on Redis again");
                }
                Some(answer)
            }
            failed => {
                if link.paused_until.is_none() {
                    let reason = match failed {
                        Ok(answer) => answer.map_or_else(|error| words(&error), |_| String::new()),
                        Err(_) => "no answer in time".to_owned(),
                    };
                    tracing::warn!(reason, "Limits are not shared: Redis does not answer, this server counts alone");
                }
                *link = Link { connection: None, paused_until: Some(Instant::now() + PAUSE) };
                None
            }
        }
    }

    async fn connection(&self) -> Result<MultiplexedConnection, RedisError> {
        let open = self.link().connection.clone();
        if let Some(connection) = open {
            return Ok(connection);
        }
        let connection = self.address.client().await?.get_multiplexed_async_connection().await?;
        self.link().connection = Some(connection.clone());
        Ok(connection)
    }

    fn link(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wait(milliseconds: i64) -> Result<(), Wait> {
    match u64::try_from(milliseconds) {
        Ok(1..) => Err(Wait(Duration::from_millis(milliseconds.unsigned_abs()))),
        _ => Ok(()),
    }
}
