//! Which servers there are, as each of them says on Redis.
//!
//! One hash, `PREFIXservers`: a field `NAME RUN` for each run of a server, with the time of Redis and what it says of itself. Each
//! write drops those that have been silent for a minute, and an earlier run of the same server; the whole ends by itself.

use super::{address::RedisAddress, answered, words};
use crate::bus::{BusError, RedisConfig};
use redis::{Cmd, FromRedisValue, RedisResult, aio::MultiplexedConnection};
use secrecy::ExposeSecret;
use std::time::Duration;

/// A server that said nothing for so long is forgotten.
const KEPT: Duration = Duration::from_secs(60);
/// So many are known at most.
const SERVERS_MAX: usize = 64;
/// What is longer was not written by a server.
const BYTES_MAX: usize = 2_048;

const SAY: &str = "local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local answer = {string.format('%.0f', now)}
local all = redis.call('HGETALL', KEYS[1])
for n = 1, #all, 2 do
  local at = tonumber(string.match(all[n + 1], '^%d+') or '0')
  local is_before = all[n] ~= ARGV[1] and string.sub(all[n], 1, #ARGV[6]) == ARGV[6] and now - at > 1500
  if is_before or now - at > tonumber(ARGV[3]) or #all[n + 1] > tonumber(ARGV[5]) then
    redis.call('HDEL', KEYS[1], all[n])
  elseif all[n] ~= ARGV[1] and #answer <= tonumber(ARGV[4]) then
    answer[#answer + 1] = all[n + 1]
  end
end
if redis.call('HLEN', KEYS[1]) < tonumber(ARGV[4]) or redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then
  redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', now) .. ' ' .. ARGV[2])
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return answer";

/// The place on Redis where servers tell of themselves. It connects by itself.
pub struct PresenceOnRedis {
    address: RedisAddress,
    key: String,
    /// What the runs of this server begin with.
    name: String,
    /// Tells this run from every other.
    run: String,
    connection: Option<MultiplexedConnection>,
}

/// What another server said, and how long ago.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// In its own words.
    pub words: String,
    /// Milliseconds ago, by the clock of Redis.
    pub age_ms: i64,
}

impl PresenceOnRedis {
    /// Nothing is connected yet. `name` is how this server is called.
    ///
    /// # Errors
    /// When the address cannot be understood.
    pub fn new(config: &RedisConfig, name: &str) -> Result<Self, BusError> {
        let address = RedisAddress::parse(config.url.expose_secret()).map_err(BusError::Address)?;
        let key = format!("{}servers", config.key_prefix);
        let name = format!("{name} ");
        let run = format!("{name}{:016x}", rand::random::<u64>());
        Ok(Self { address, key, name, run, connection: None })
    }

    /// Says what there is to say of this server, and answers what the others said.
    ///
    /// # Errors
    /// Why there is no answer, in words.
    pub async fn say(&mut self, own: &str) -> Result<Vec<Said>, String> {
        let mut command = redis::cmd("EVAL");
        command.arg(SAY).arg(1).arg(&self.key).arg(&self.run).arg(own);
        command.arg(KEPT.as_millis() as u64).arg(SERVERS_MAX).arg(BYTES_MAX).arg(&self.name);
        // Bytes: who else may write there may write anything.
        let answer: Vec<Vec<u8>> = self.ask(command).await?;
        let mut texts = answer.iter().map(|bytes| String::from_utf8_lossy(bytes));
        let now_ms: i64 = texts.next().and_then(|text| text.parse().ok()).unwrap_or(0);
        let read = |text: std::borrow::Cow<'_, str>| {
            let (at, words) = text.split_once(' ')?;
            Some(Said { words: words.to_owned(), age_ms: (now_ms - at.parse::<i64>().ok()?).max(0) })
        };
        Ok(texts.filter_map(read).collect())
    }

    /// This server ends.
    pub async fn leave(&mut self) {
        let mut command = redis::cmd("HDEL");
        command.arg(&self.key).arg(&self.run);
        let _: Result<i64, _> = self.ask(command).await;
    }

    async fn ask<T: FromRedisValue>(&mut self, command: Cmd) -> Result<T, String> {
        let asked = async {
            let mut connection = self.connect().await?;
            command.query_async(&mut connection).await
        };
        let answer: RedisResult<T> = answered(asked).await;
        answer.map_err(|error| {
            self.connection = None;
            words(&error)
        })
    }

    async fn connect(&mut self) -> RedisResult<MultiplexedConnection> {
        if let Some(connection) = &self.connection {
            return Ok(connection.clone());
        }
        let connection = self.address.client().await?.get_multiplexed_async_connection().await?;
        Ok(self.connection.insert(connection).clone())
    }
}
