//! What one server is asked for and another one does.
//!
//! ```text
//!  PREFIX{collector}:orders       channel: "KIND ID", to all servers
//!  PREFIX{collector}:order:ID     what is to be done; ends with its deadline, and whoever does it takes it away
//!  PREFIX{collector}:answer:ID    list: what came of it
//! ```
//!
//! An order is done once at most, and not after its deadline: it is gone then.

use super::{ANSWER_TIMEOUT, address::RedisAddress, answered, words};
use crate::bus::{BusError, RedisConfig};
use futures_util::{Stream, StreamExt};
use redis::{AsyncConnectionConfig, Cmd, FromRedisValue, RedisResult, aio::MultiplexedConnection};
use secrecy::ExposeSecret;
use std::time::Duration;
use tokio::time::timeout;

/// An order is answered within this time, or not at all.
const DEADLINE: Duration = Duration::from_secs(5);
/// An order of nobody: all are told of something that is done already.
const DONE: &str = "-";

/// The way to the other servers. Nothing is connected while nothing is asked for.
#[derive(Clone, Debug)]
pub struct OrdersOnRedis {
    address: RedisAddress,
    prefix: String,
}

/// That there is an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What it is about.
    pub kind: String,
    /// Which; `None` when it is done and only told.
    pub id: Option<String>,
}

impl OrdersOnRedis {
    /// Nothing is connected yet.
    ///
    /// # Errors
    /// When the address cannot be understood.
    pub fn new(config: &RedisConfig) -> Result<Self, BusError> {
        let address = RedisAddress::parse(config.url.expose_secret()).map_err(BusError::Address)?;
        Ok(Self { address, prefix: format!("{}{{collector}}:", config.key_prefix) })
    }

    /// Asks for something and waits until it is done; `None` when nobody did it in time.
    ///
    /// # Errors
    /// Why it could not be asked for, in words.
    pub async fn give(&self, kind: &str, order: &str) -> Result<Option<String>, String> {
        let id = format!("{:032x}", rand::random::<u128>());
        let asking = async {
            let mut connection = self.connect().await?;
            let mut pipeline = redis::pipe();
            pipeline.cmd("SET").arg(self.order(&id)).arg(order).arg("PX").arg(DEADLINE.as_millis() as u64);
            pipeline.publish(self.channel(), format!("{kind} {id}"));
            answered(pipeline.query_async::<()>(&mut connection)).await?;
            let mut wait = redis::cmd("BLPOP");
            wait.arg(self.answer_to(&id)).arg(DEADLINE.as_secs());
            wait.query_async::<Option<(String, String)>>(&mut connection).await
        };
        match timeout(DEADLINE, asking).await {
            Ok(answer) => answer.map(|answer| answer.map(|(_, text)| text)).map_err(|error| words(&error)),
            Err(_) => Ok(None),
        }
    }

    /// Tells all servers of something that is done here.
    ///
    /// # Errors
    /// Why it could not be told, in words.
    pub async fn announce(&self, kind: &str) -> Result<(), String> {
        let mut command = redis::cmd("PUBLISH");
        command.arg(self.channel()).arg(format!("{kind} {DONE}"));
        self.ask(command).await
    }

    /// What is asked for from now on; ends when Redis does.
    ///
    /// # Errors
    /// Why nothing can be heard, in words.
    pub async fn notices(&self) -> Result<impl Stream<Item = Notice> + Send + use<>, String> {
        let subscribing = async {
            let mut pubsub = self.address.client().await?.get_async_pubsub().await?;
            pubsub.subscribe(self.channel()).await?;
            Ok(pubsub.into_on_message())
        };
        let messages = answered(subscribing).await.map_err(|error| words(&error))?;
        Ok(messages.filter_map(|message| std::future::ready(notice(message.get_payload_bytes()))))
    }

    /// Takes an order, so that nobody else does it; `None` when it is late, or taken.
    ///
    /// # Errors
    /// Why it cannot be had, in words.
    pub async fn take(&self, id: &str) -> Result<Option<String>, String> {
        let mut command = redis::cmd("EVAL");
        // GETDEL is of Redis 6.2.
        command.arg("local order = redis.call('GET', KEYS[1]) redis.call('DEL', KEYS[1]) return order");
        command.arg(1).arg(self.order(id));
        self.ask(command).await
    }

    /// Says what came of an order.
    ///
    /// # Errors
    /// Why it could not be said, in words.
    pub async fn answer(&self, id: &str, text: &str) -> Result<(), String> {
        let key = self.answer_to(id);
        let asked = async {
            let mut connection = self.connect().await?;
            let mut pipeline = redis::pipe();
            pipeline.rpush(&key, text).pexpire(&key, DEADLINE.as_millis() as i64);
            pipeline.query_async::<()>(&mut connection).await
        };
        answered(asked).await.map_err(|error| words(&error))
    }

    async fn ask<T: FromRedisValue>(&self, command: Cmd) -> Result<T, String> {
        let asked = async { command.query_async(&mut self.connect().await?).await };
        answered(asked).await.map_err(|error| words(&error))
    }

    async fn connect(&self) -> RedisResult<MultiplexedConnection> {
        // Waiting for an answer is none that is late.
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(ANSWER_TIMEOUT)).set_response_timeout(None);
        self.address.client().await?.get_multiplexed_async_connection_with_config(&config).await
    }

    fn channel(&self) -> String {
        format!("{}orders", self.prefix)
    }

    fn order(&self, id: &str) -> String {
        format!("{}order:{id}", self.prefix)
    }

    fn answer_to(&self, id: &str) -> String {
        format!("{}answer:{id}", self.prefix)
    }
}

/// It comes from whoever may publish.
fn notice(payload: &[u8]) -> Option<Notice> {
    let (kind, id) = std::str::from_utf8(payload).ok()?.split_once(' ')?;
    let is_id = id == DONE || (id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()));
    is_id.then(|| Notice { kind: kind.to_owned(), id: (id != DONE).then(|| id.to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_servers_write_is_a_notice() {
        let id = "0123456789abcdef0123456789abcdef";
        let order = Notice { kind: "refresh".into(), id: Some(id.into()) };
        assert_eq!(notice(format!("refresh {id}").as_bytes()), Some(order));
        assert_eq!(notice(b"refresh -"), Some(Notice { kind: "refresh".into(), id: None }));
        for junk in [&b""[..], b"refresh", b"refresh ", b"refresh ../../x", b"\xff -x"] {
            assert_eq!(notice(junk), None);
        }
    }
}
