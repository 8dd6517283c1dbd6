//! How the words of a hand-over reach the other server.

use super::{address::RedisAddress, answered, lease::LeaseNames, words};
use crate::bus::{BusError, RedisConfig, handover::Word};
use redis::aio::MultiplexedConnection;
use secrecy::ExposeSecret;
use std::{sync::Arc, time::Duration};
use tokio::{sync::Mutex, time::timeout};

/// A word that Redis does not take at once comes too late.
const PATIENCE: Duration = Duration::from_millis(250);

/// Said while the epoch holds, and not after.
const SAY: &str = "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PUBLISH', ARGV[2], ARGV[3])";

/// The way to the other server. Nothing is connected while nothing is said. Cheap to clone.
#[derive(Clone)]
pub struct HandoverOnRedis {
    address: RedisAddress,
    names: LeaseNames,
    connection: Arc<Mutex<Option<MultiplexedConnection>>>,
}

impl HandoverOnRedis {
    /// Nothing is connected yet.
    ///
    /// # Errors
    /// When the address cannot be understood.
    pub fn new(config: &RedisConfig) -> Result<Self, BusError> {
        let address = RedisAddress::parse(config.url.expose_secret()).map_err(BusError::Address)?;
        Ok(Self { address, names: LeaseNames::new(&config.key_prefix), connection: Arc::default() })
    }

    /// The server that stands by, by its name.
    ///
    /// # Errors
    /// Why it cannot be told, in words.
    pub async fn standby(&self) -> Result<Option<String>, String> {
        let mut command = redis::cmd("GET");
        command.arg(&self.names.standby);
        self.ask(command).await
    }

    /// Says a word to all servers; `false` when its epoch is over.
    ///
    /// # Errors
    /// Why it could not be said, in words.
    pub async fn say(&self, word: &Word) -> Result<bool, String> {
        let mut command = redis::cmd("EVAL");
        let json = serde_json::to_string(word).map_err(|error| error.to_string())?;
        command.arg(SAY).arg(1).arg(&self.names.epoch).arg(word.epoch()).arg(&self.names.released).arg(json);
        self.ask::<u64>(command).await.map(|heard_by| heard_by > 0)
    }

    async fn ask<T: redis::FromRedisValue>(&self, command: redis::Cmd) -> Result<T, String> {
        let mut known = self.connection.lock().await;
        let asked = async {
            let connection = match &mut *known {
                Some(connection) => connection,
                None => known.insert(
                    answered(async { self.address.client().await?.get_multiplexed_async_connection().await }).await?,
                ),
            };
            command.query_async(connection).await
        };
        match timeout(PATIENCE, asked).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                *known = None;
                Err(words(&error))
            }
            Err(_) => {
                *known = None;
                Err(format!("it did not answer within {} ms", PATIENCE.as_millis()))
            }
        }
    }
}
