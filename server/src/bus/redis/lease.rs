//! The lease of the collector, as it stands on Redis: asked for, kept and given up by scripts, so that two servers never both
//! have it.
//!
//! ```text
//!  PREFIX{collector}:lease     hash: holder, server, host, build, epoch, since; ends by itself
//!  PREFIX{collector}:epoch     the highest epoch that was ever given; never deleted
//!  PREFIX{collector}:standby   somebody else would take it; ends by itself
//!  PREFIX{collector}:released  channel: it was given up just now
//! ```
//!
//! An epoch is the time of Redis in milliseconds, or one more than the last: it rises even over a Redis that lost its data.

use super::{address::RedisAddress, answered, words};
use crate::bus::{BusError, RedisConfig};
use app::model::{status::Collector, time::UnixMillis};
use redis::{RedisResult, aio::MultiplexedConnection};
use secrecy::ExposeSecret;
use std::{collections::HashMap, time::Duration};
use tokio::time::{Instant, timeout};
use tokio_util::task::AbortOnDropHandle;

/// The lease ends so long after it was taken or renewed.
pub const LEASE: Duration = Duration::from_millis(1_500);
/// The time for an answer, on a connection that is there.
const LEASE_ANSWER_TIMEOUT: Duration = Duration::from_millis(250);
/// A server that stands by is known for so long after it asked.
const STANDBY: Duration = Duration::from_secs(2);

/// A question that Redis comes to later than this after it was asked is answered with nothing: whoever asked has given it up.
const VALID: Duration = Duration::from_millis(500);

/// What Redis does on a question. It writes the epoch first: whatever fails then, no epoch is given twice. A Redis that refuses
/// to write gives the lease to nobody else either, so its holder keeps it; but where Sentinels name the master, one that refuses
/// because it is none, or cut off, proves nothing.
const ASK: &str = "local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function number(n) return string.format('%.0f', n) end
local lease = redis.call('HMGET', KEYS[1], 'holder', 'server', 'since', 'epoch')
local last = tonumber(redis.call('GET', KEYS[2]) or '0')
local mine = tonumber(ARGV[2])
if now > tonumber(ARGV[10]) then return {'late', '0', '', '0', '0'} end
if lease[1] and lease[1] ~= ARGV[1] then
  if ARGV[3] == '1' then redis.pcall('SET', KEYS[3], ARGV[4], 'PX', ARGV[9]) end
  return {'other', lease[4] or '0', lease[2] or '', lease[3] or '0', '0'}
end
if ARGV[3] ~= '1' then return {'nobody', '0', '', '0', '0'} end
if mine == 0 and last == 0 and ARGV[11] ~= '0' then return {'lost', '0', '', '0', '0'} end
local others = tostring(redis.call('EXISTS', KEYS[3]))
local epoch, kind = mine, 'kept'
if mine == 0 or last ~= mine then
  epoch, kind = math.max(last + 1, mine + 1, now), 'taken'
  if mine > 0 and last > mine then kind = 'taken_after_others' end
end
local function failed(done) return type(done) == 'table' and done.err end
local done = redis.pcall('SET', KEYS[2], number(epoch))
if not failed(done) then
  done = redis.pcall('HSET', KEYS[1], 'holder', ARGV[1], 'server', ARGV[4], 'host', ARGV[5], 'build', ARGV[6],
    'since', ARGV[7], 'epoch', number(epoch))
end
if not failed(done) then done = redis.pcall('PEXPIRE', KEYS[1], ARGV[8]) end
if failed(done) then
  local moved = ARGV[12] == '1' and (string.find(done.err, 'READONLY') or string.find(done.err, 'NOREPLICAS'))
  if kind == 'kept' and not moved then return {'kept', number(mine), '', '0', others} end
  return redis.error_reply(done.err)
end
return {kind, number(epoch), '', '0', others}";

/// Given up by its holder alone.
const RELEASE: &str = "if redis.call('HGET', KEYS[1], 'holder') ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('PUBLISH', ARGV[2], '')
return 1";

/// The names of the lease's keys.
#[derive(Clone, Debug)]
pub(super) struct LeaseNames {
    lease: String,
    pub(super) epoch: String,
    pub(super) standby: String,
    pub(super) released: String,
}

impl LeaseNames {
    pub(super) fn new(prefix: &str) -> Self {
        // In braces, so that a cluster keeps all of them in one place.
        let name = |what: &str| format!("{prefix}{{collector}}:{what}");
        Self { lease: name("lease"), epoch: name("epoch"), standby: name("standby"), released: name("released") }
    }
}

/// Who asks.
#[derive(Clone, Debug)]
pub struct Asker {
    /// How the server is called, as people know it.
    pub server: String,
    /// The machine.
    pub host: String,
    /// Which build it runs.
    pub build: String,
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// The epoch under which the lease was ours last; 0: it is not ours.
    pub epoch: u64,
    /// When we began to collect, should it be ours by the answer.
    pub since: UnixMillis,
    /// Is it wanted, or only to be known who has it?
    pub competes: bool,
    /// The highest epoch that was seen, whosever.
    pub seen: u64,
}

/// What Redis answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseAnswer {
    /// It was ours and is ours on, under the same epoch.
    Kept {
        /// Does somebody else stand by?
        others: bool,
    },
    /// It is ours from now on.
    Taken {
        /// Under this epoch.
        epoch: u64,
        /// Somebody else had it since it was ours last.
        after_others: bool,
        /// Does somebody else stand by?
        others: bool,
    },
    /// Somebody else has it.
    Other(Collector),
    /// Nobody has it, and it was not asked for.
    Nobody,
    /// Nobody has it, as Redis lost what it knew: whoever had it comes first.
    Lost,
}

/// Whether Sentinels name another master. One that was replaced takes renewals until it hears of that, seconds later, while the
/// lease runs out on the new one: so they are asked beside every question.
#[derive(Default)]
struct Master {
    looking: Option<AbortOnDropHandle<()>>,
    moved: Option<AbortOnDropHandle<()>>,
}

impl Master {
    /// Is it known to be another one since this was asked last?
    fn has_moved(&mut self, address: &RedisAddress) -> bool {
        if !address.moves() {
            return false;
        }
        let is_over = |task: &Option<AbortOnDropHandle<()>>| task.as_ref().is_none_or(|task| task.is_finished());
        let has_moved = self.moved.is_some() && is_over(&self.moved);
        if is_over(&self.moved) {
            self.moved = Some(AbortOnDropHandle::new(tokio::spawn(address.moved())));
        }
        if is_over(&self.looking) {
            let address = address.clone();
            // What is wrong is told by whoever connects.
            let look = async move { drop(address.client().await) };
            self.looking = Some(AbortOnDropHandle::new(tokio::spawn(look)));
        }
        has_moved
    }
}

/// The way to the lease on Redis. It connects by itself.
pub struct LeaseOnRedis {
    address: RedisAddress,
    names: LeaseNames,
    asker: Asker,
    /// Tells this run of the server from every other.
    holder: String,
    connection: Option<MultiplexedConnection>,
    master: Master,
    /// The time of Redis when it was last asked for it.
    clock: (i64, Instant),
    is_checked: bool,
}

impl LeaseOnRedis {
    /// Nothing is connected yet.
    ///
    /// # Errors
    /// When the address cannot be understood.
    pub fn new(config: &RedisConfig, asker: Asker) -> Result<Self, BusError> {
        let address = RedisAddress::parse(config.url.expose_secret()).map_err(BusError::Address)?;
        let holder = format!("{} {:016x}", asker.server, rand::random::<u64>());
        let names = LeaseNames::new(&config.key_prefix);
        let (connection, master, clock) = (None, Master::default(), (0, Instant::now()));
        Ok(Self { address, names, asker, holder, connection, master, clock, is_checked: false })
    }

    /// Asks for the lease.
    ///
    /// # Errors
    /// Why there is no answer, in words.
    pub async fn ask(&mut self, question: Question) -> Result<LeaseAnswer, String> {
        let Question { epoch, since, competes, seen } = question;
        if self.master.has_moved(&self.address) {
            self.connection = None;
            if epoch == 0 {
                // As after any time without Redis: whoever holds it comes first.
                return Err("the Sentinels name another master".to_owned());
            }
        }
        let mut connection = self.connect().await.map_err(|error| words(&error))?;
        let mut command = redis::cmd("EVAL");
        command.arg(ASK).arg(3).arg(&self.names.lease).arg(&self.names.epoch).arg(&self.names.standby);
        command.arg(&self.holder).arg(epoch).arg(u8::from(competes)).arg(&self.asker.server);
        command.arg(&self.asker.host).arg(&self.asker.build).arg(since.0);
        command.arg(LEASE.as_millis() as u64).arg(STANDBY.as_millis() as u64);
        let (redis_ms, at) = self.clock;
        command.arg(redis_ms + (at.elapsed() + VALID).as_millis() as i64).arg(seen).arg(u8::from(self.address.moves()));
        let answer = timeout(LEASE_ANSWER_TIMEOUT, command.query_async(&mut connection)).await;
        let (kind, epoch, server, since, others): (String, u64, String, i64, String) = match answer {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                // One that refuses to write may be the master no more.
                if error.code().is_none() || self.address.moves() {
                    self.connection = None;
                }
                return Err(words(&error));
            }
            Err(_) => {
                // Whether it is slow or gone nobody knows: the next question goes another way.
                self.connection = None;
                return Err(format!("it did not answer within {} ms", LEASE_ANSWER_TIMEOUT.as_millis()));
            }
        };
        let others = others != "0";
        Ok(match &*kind {
            "kept" => LeaseAnswer::Kept { others },
            "other" => LeaseAnswer::Other(Collector { server, since: UnixMillis(since), epoch: Some(epoch) }),
            "nobody" => LeaseAnswer::Nobody,
            "lost" => LeaseAnswer::Lost,
            "late" => {
                // Its clock was set, or the question was on its way for long.
                self.connection = None;
                return Err("it came to the question too late".to_owned());
            }
            kind => LeaseAnswer::Taken { epoch, after_others: kind == "taken_after_others", others },
        })
    }

    /// Gives the lease up, and tells those who stand by; `false` when it was not ours.
    ///
    /// # Errors
    /// Why there is no answer, in words.
    pub async fn release(&mut self) -> Result<bool, String> {
        let mut connection = self.connect().await.map_err(|error| words(&error))?;
        let mut command = redis::cmd("EVAL");
        command.arg(RELEASE).arg(1).arg(&self.names.lease).arg(&self.holder).arg(&self.names.released);
        answered(command.query_async(&mut connection)).await.map_err(|error| words(&error))
    }

    /// What of Redis' settings endangers the lease. Asked for once; a Redis that does not tell is none.
    pub async fn warning(&mut self) -> Option<String> {
        if std::mem::replace(&mut self.is_checked, true) {
            return None;
        }
        let mut connection = self.connection.clone()?;
        let mut command = redis::cmd("CONFIG");
        command.arg("GET").arg("maxmemory-policy");
        let settings: HashMap<String, String> = answered(command.query_async(&mut connection)).await.ok()?;
        let policy = settings.get("maxmemory-policy").filter(|policy| *policy != "noeviction")?;
        Some(format!(
            "Redis' maxmemory-policy is {policy}: when its memory is full it may drop the collector's lease, and another server \
             takes over; set it to noeviction"
        ))
    }

    async fn connect(&mut self) -> RedisResult<MultiplexedConnection> {
        if let Some(connection) = &self.connection {
            return Ok(connection.clone());
        }
        let connect = async { self.address.client().await?.get_multiplexed_async_connection().await };
        let mut connection = answered(connect).await?;
        let at = Instant::now();
        let (seconds, micros): (i64, i64) = answered(redis::cmd("TIME").query_async(&mut connection)).await?;
        // As of when it was asked: what is late for that is late.
        self.clock = (seconds * 1000 + micros / 1000, at);
        Ok(self.connection.insert(connection).clone())
    }
}
