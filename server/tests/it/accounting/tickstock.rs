//! TickStock's own ingest, which numbers its ticks: it publishes them on Redis, and a status in its own shape, with totals that
//! began long ago.

use super::{CHANNEL, Counts, Numbers, SYMBOLS};
use crate::util::RedisServer;
use app::model::time::UnixMillis;
use redis::{AsyncCommands, aio::MultiplexedConnection};
use serde_json::{Value, json};
use std::sync::Mutex;

const STATUS: &str = "tickstock:websocket:status";

pub(super) struct TickStock {
    redis: MultiplexedConnection,
    sent: Mutex<Counts>,
    /// What each connection had counted before.
    base: u64,
}

impl TickStock {
    pub(super) async fn start(redis: &RedisServer, base: u64) -> Self {
        let redis = redis.client().get_multiplexed_async_connection().await.unwrap();
        Self { redis, sent: Mutex::default(), base }
    }

    /// Publishes so many ticks of every symbol.
    pub(super) async fn trade(&self, each: u64) {
        let mut redis = self.redis.clone();
        for _ in 0..each {
            for (connection_id, symbols) in (1..).zip(SYMBOLS) {
                for symbol in symbols {
                    let number = self.sent.lock().unwrap().get(*symbol).copied().unwrap_or(0) + 1;
                    let tick = json!({"type": "market_tick", "symbol": symbol, "price": number, "volume": 1,
                        "timestamp": UnixMillis::now().0, "source": "massive", "connection_id": connection_id});
                    let _: usize = redis.publish(CHANNEL, tick.to_string()).await.unwrap();
                    self.sent.lock().unwrap().insert((*symbol).to_owned(), number);
                }
            }
        }
    }

    /// What it says of its connections now.
    pub(super) fn status(&self) -> String {
        let sent = self.sent.lock().unwrap();
        let totals = SYMBOLS.map(|symbols| symbols.iter().filter_map(|symbol| sent.get(*symbol)).sum::<u64>());
        status(totals.map(|total| self.base + total))
    }

    /// Publishes a status, whoever it is of; answers how many were listening.
    pub(super) async fn say(&self, status: &str) -> usize {
        self.redis.clone().publish(STATUS, status).await.unwrap()
    }
}

/// A status in TickStock's own shape.
pub(super) fn status(totals: [u64; 2]) -> String {
    let of = |total: u64| -> Value {
        json!({"name": "primary", "status": "connected", "assigned_tickers": 4, "message_count": total,
            "error_count": 0, "last_message_time": null})
    };
    json!({"connections": {"connection_1": of(totals[0]), "connection_2": of(totals[1])}}).to_string()
}

impl Numbers for TickStock {
    fn sent(&self) -> Counts {
        self.sent.lock().unwrap().clone()
    }
}
