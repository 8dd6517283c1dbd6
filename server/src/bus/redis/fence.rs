//! What is published under the lease goes through a script, which compares the epoch: a server whose time is over *cannot*
//! publish, however late it notices.
//!
//! It is held against the highest epoch that was given, and not against the lease itself: a lease that ran out while nobody else
//! took it, as when Redis stood still, refuses nothing. A Redis that lost its data refuses all until an epoch is taken anew.
//!
//! The epoch comes from [`Right::epoch`](crate::bus::Right::epoch), asked for before each call; what is published in a call is a
//! list of (channel, payload), whatever the payloads are.
//!
//! Where Sentinels name the master, a server that was one may be a replica by now, or cut off from its replicas: what is published
//! there reaches nobody who counts. It takes `PUBLISH` all the same, and is known by refusing to write.
//!
//! `EVAL` with the whole script and not `EVALSHA`: a Redis that lost its scripts would refuse calls that are in flight, and their
//! ticks would come behind later ones. Redis finds the compiled script by its hash all the same.

use redis::{Cmd, RedisResult, ToRedisArgs, Value, aio::MultiplexedConnection};

/// Answers how many were published, in order, and why the next one was not; a negative number when the epoch is over.
const PUBLISH: &str = "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {-1, ''} end
for n = 2, #ARGV, 2 do
  local done = redis.pcall('PUBLISH', ARGV[n], ARGV[n + 1])
  if type(done) == 'table' and done.err then return {n / 2 - 1, done.err} end
end
return {(#ARGV - 1) / 2, ''}";

/// The same where Sentinels name the master: that the epoch can be written comes first.
const PUBLISH_ON_MASTER: &str = "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {-1, ''} end
local written = redis.pcall('SET', KEYS[1], ARGV[1])
if type(written) == 'table' and written.err and (string.find(written.err, 'READONLY') or string.find(written.err, 'NOREPLICAS')) then
  return {0, written.err}
end
for n = 2, #ARGV, 2 do
  local done = redis.pcall('PUBLISH', ARGV[n], ARGV[n + 1])
  if type(done) == 'table' and done.err then return {n / 2 - 1, done.err} end
end
return {(#ARGV - 1) / 2, ''}";

/// Keeps a status for a while and publishes it. Answers what was refused of the two, or that the epoch is over.
const STATUS: &str = "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {-1, '', ''} end
local kept = redis.pcall('SET', KEYS[2], ARGV[2], 'EX', ARGV[3])
local told = redis.pcall('PUBLISH', KEYS[2], ARGV[2])
return {0, kept.err or '', type(told) == 'table' and told.err or ''}";

/// How Redis' refusal of an epoch that is over is known among its errors.
const OVER: &str = "FENCED";

/// One call that publishes under an epoch.
pub(super) struct Call {
    command: Cmd,
    /// What it publishes: so many answers are made of Redis' one.
    count: usize,
}

impl Call {
    /// Nothing so far. `epoch_key` is where the highest epoch stands; `moves` says that Sentinels name the server.
    pub(super) fn publish(epoch_key: &str, epoch: u64, moves: bool) -> Self {
        let mut command = redis::cmd("EVAL");
        command.arg(if moves { PUBLISH_ON_MASTER } else { PUBLISH }).arg(1).arg(epoch_key).arg(epoch);
        Self { command, count: 0 }
    }

    /// The next that is published.
    pub(super) fn message(&mut self, channel: &str, payload: impl ToRedisArgs) {
        self.command.arg(channel).arg(payload);
        self.count += 1;
    }

    pub(super) fn status(epoch_key: &str, epoch: u64, channel: &str, json: &str, expiry_seconds: u64) -> Self {
        let mut command = redis::cmd("EVAL");
        command.arg(STATUS).arg(2).arg(epoch_key).arg(channel).arg(epoch).arg(json).arg(expiry_seconds);
        Self { command, count: 2 }
    }

    /// The answers to each of what it published, as if each had been a command of its own.
    pub(super) async fn ask(self, redis: &mut MultiplexedConnection) -> RedisResult<Vec<Value>> {
        let answer: Vec<Value> = match redis.send_packed_command(&self.command).await {
            Ok(Value::Array(answer)) => answer,
            Ok(Value::ServerError(error)) => return Ok(vec![Value::ServerError(error); self.count]),
            Ok(other) => vec![other],
            // Redis' own words, such as those on a user that may not run scripts.
            Err(error) => match error.code() {
                Some(code) => {
                    return Ok(vec![refusal(&format!("{code} {}", error.detail().unwrap_or_default())); self.count]);
                }
                None => return Err(error),
            },
        };
        let number = |place: usize| match answer.get(place) {
            Some(Value::Int(number)) => *number,
            _ => 0,
        };
        let text = |place: usize| match answer.get(place) {
            Some(Value::BulkString(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
            Some(Value::SimpleString(text)) => text.clone(),
            _ => String::new(),
        };
        if number(0) < 0 {
            return Ok(vec![refusal(&format!("{OVER} another server collects, or Redis lost its data")); self.count]);
        }
        if answer.len() == 3 {
            let part = |words: String| if words.is_empty() { Value::Int(0) } else { refusal(&words) };
            return Ok(vec![part(text(1)), part(text(2))]);
        }
        let taken = usize::try_from(number(0)).unwrap_or(0).min(self.count);
        let mut answers = vec![Value::Int(0); taken];
        answers.resize(self.count, refusal(&text(1)));
        Ok(answers)
    }
}

/// Was it refused because its epoch is over?
pub(super) fn is_over(error: &redis::ServerError) -> bool {
    error.code() == OVER
}

/// An error as Redis would have sent it.
fn refusal(words: &str) -> Value {
    let line: String = words.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    redis::parse_redis_value(format!("-{}\r\n", line.trim_start_matches('-')).as_bytes()).unwrap_or(Value::Nil)
}
