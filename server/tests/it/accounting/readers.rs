//! Those who count: a subscriber of Redis, and a client of each protocol of the page's socket.

use super::{CHANNEL, Counts};
use crate::util::{RedisServer, Socket};
use app::model::board::Board;
use futures_util::StreamExt;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

/// What each of them has seen.
#[derive(Clone, Default)]
pub(super) struct Seen {
    /// The numbers that Redis delivered, in their order.
    pub(super) redis: BTreeMap<String, Vec<u64>>,
    pub(super) page: Page,
}

/// What the page was told, since its server was started.
#[derive(Clone, Default)]
pub(super) struct Page {
    /// What a client of the JSON protocol has added up, and what it was told as the total.
    pub(super) json: Counts,
    pub(super) json_totals: Counts,
    /// The board of a client of the binary protocol.
    pub(super) binary: Counts,
    /// Prices at the end, which are numbers.
    pub(super) prices: Counts,
}

/// Subscribes; the future reads.
pub(super) async fn read_redis(
    redis: &RedisServer,
    seen: Arc<Mutex<Seen>>,
) -> impl Future<Output = ()> + Send + 'static + use<> {
    let mut pubsub = redis.client().get_async_pubsub().await.unwrap();
    pubsub.subscribe(CHANNEL).await.unwrap();
    async move {
        let mut messages = pubsub.into_on_message();
        while let Some(message) = messages.next().await {
            let tick: Value = serde_json::from_slice(message.get_payload_bytes()).unwrap();
            let (symbol, number) = (tick["symbol"].as_str().unwrap().to_owned(), tick["price"].as_f64().unwrap());
            seen.lock().unwrap().redis.entry(symbol).or_default().push(number as u64);
        }
    }
}

pub(super) async fn read_json(mut socket: Socket, seen: Arc<Mutex<Seen>>) {
    loop {
        let tick = socket.event_named("tick_update").await;
        let mut seen = seen.lock().unwrap();
        count(&mut seen.page.json, &tick);
        let symbol = tick["symbol"].as_str().unwrap().to_owned();
        seen.page.json_totals.insert(symbol, tick["ticks_total"].as_u64().unwrap());
    }
}

/// Adds up as docs/protocol.md says: what repeats the state brings the total, everything else what came since.
pub(super) fn count(counts: &mut Counts, tick: &Value) {
    let number = |name: &str| tick[name].as_u64().unwrap();
    let count = counts.entry(tick["symbol"].as_str().unwrap().to_owned()).or_default();
    *count = if tick["snapshot"] == true { number("ticks_total") } else { *count + number("ticks") };
}

pub(super) async fn read_binary(mut socket: Socket, seen: Arc<Mutex<Seen>>) {
    let mut board = Board::default();
    loop {
        board.apply(&socket.frame().await);
        let mut seen = seen.lock().unwrap();
        for row in board.rows.iter().filter(|row| row.ticks_total > 0) {
            seen.page.binary.insert(row.symbol.to_string(), row.ticks_total);
            seen.page.prices.insert(row.symbol.to_string(), row.price.unwrap_or_default() as u64);
        }
    }
}
