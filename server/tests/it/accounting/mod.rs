//! Every tick accounted for: a provider that numbers its ticks, and everybody who counts them. What Redis delivered, what both
//! sockets were told, the status, the samples of history and the ledger have to agree to the tick, whatever ends meanwhile.

mod faults;
mod provider;

use crate::util::{Client, RedisServer, Socket, TestServer, eventually};
use app::model::{board::Board, history::gap::Gap, time::UnixMillis};
use futures_util::StreamExt;
use provider::Provider;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, Mutex},
};
use tokio_util::task::AbortOnDropHandle;

/// By symbol.
type Counts = BTreeMap<String, u64>;

const CHANNEL: &str = "tickstock:market:ticks";

/// What each of those who count has seen.
#[derive(Clone, Default)]
struct Seen {
    /// The numbers that Redis delivered, in their order.
    redis: BTreeMap<String, Vec<u64>>,
    /// What a client of the JSON protocol has added up, and what it was told as the total.
    json: Counts,
    json_totals: Counts,
    /// The board of a client of the binary protocol.
    binary: Counts,
    /// Prices at the end, which are numbers.
    prices: Counts,
}

/// The provider, a server with its connections to it, and those who count.
struct Books {
    provider: Provider,
    redis: RedisServer,
    server: TestServer,
    admin: Client,
    seen: Arc<Mutex<Seen>>,
    _readers: Vec<AbortOnDropHandle<()>>,
}

impl Books {
    /// Two connections, all of whose symbols are subscribed.
    async fn open() -> Self {
        let (provider, redis) = (Provider::start().await, RedisServer::start().await);
        let server = TestServer::start([
            ("MARKET_FEED", "massive"),
            ("MASSIVE_API_KEY", "k"),
            ("MASSIVE_WEBSOCKET_URL", &provider.url()),
            ("REDIS_URL", &redis.url),
            ("USE_MULTI_CONNECTION", "true"),
            ("WEBSOCKET_CONNECTION_1_ENABLED", "true"),
            ("WEBSOCKET_CONNECTION_1_SYMBOLS", "AAPL,MSFT,NVDA,BRK.B"),
            ("WEBSOCKET_CONNECTION_2_ENABLED", "true"),
            ("WEBSOCKET_CONNECTION_2_SYMBOLS", "JPM,GS,PFE"),
        ])
        .await;
        let admin = server.admin().await;
        let seen = Arc::new(Mutex::new(Seen::default()));
        let readers = vec![
            spawn(read_redis(&redis, Arc::clone(&seen)).await),
            spawn(read_json(admin.socket(Some("tickstock.v1.json")).await, Arc::clone(&seen))),
            spawn(read_binary(admin.socket(Some("tickstock.v1.bin")).await, Arc::clone(&seen))),
        ];
        let books = Self { provider, redis, server, admin, seen, _readers: readers };
        books.until_subscribed().await;
        eventually("the bus is up", || async {
            (books.admin.status().await["bus"]["connected"] == true).then_some(())
        })
        .await;
        books
    }

    async fn until_subscribed(&self) {
        eventually("every symbol is subscribed", || async { (self.provider.subscribed() == 7).then_some(()) }).await;
    }

    /// What the status says of the ticks of each connection.
    async fn of_status(&self) -> [u64; 2] {
        let status = self.admin.status().await;
        [0, 1].map(|place| status["connections"][place]["metrics"]["ticks_total"].as_u64().unwrap())
    }

    /// What was sent to each connection.
    fn sent_to(&self) -> [u64; 2] {
        let sent = self.provider.sent();
        let of = |symbols: &[&str]| symbols.iter().filter_map(|symbol| sent.get(*symbol)).sum();
        [of(&["AAPL", "MSFT", "NVDA", "BRK.B"]), of(&["JPM", "GS", "PFE"])]
    }

    /// What history has of each connection.
    async fn of_history(&self) -> [u64; 2] {
        let mut sums = [0; 2];
        for id in [1, 2] {
            let samples = self.server.database.history_samples(1, all(), Some(id), None, 100_000).await.unwrap();
            sums[usize::from(id) - 1] = samples.iter().map(|sample| sample.ticks).sum();
        }
        sums
    }

    async fn gaps(&self) -> Vec<Gap> {
        self.server.database.history_gaps(all(), None, None, 100).await.unwrap()
    }

    /// What the status says of the bus.
    async fn bus(&self) -> Value {
        self.admin.status().await["bus"].take()
    }

    /// Breaks Redis, or mends it.
    async fn redis_command(&self, words: &[&str]) {
        let mut connection = self.redis.client().get_multiplexed_async_connection().await.unwrap();
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query_async::<()>(&mut connection).await.unwrap();
    }

    /// How many ticks came over Redis.
    fn on_redis(&self) -> u64 {
        self.seen.lock().unwrap().redis.values().map(|numbers| numbers.len() as u64).sum()
    }

    /// What came over Redis came once and in order, whatever is missing.
    fn in_order_on_redis(&self) {
        for (symbol, numbers) in &self.seen.lock().unwrap().redis {
            assert!(numbers.is_sorted_by(|a, b| a < b), "{symbol}: {numbers:?}");
        }
    }

    /// Everybody has seen exactly what was sent: each tick once, in order.
    async fn agree(&self) {
        let sent = self.provider.sent();
        let total: u64 = sent.values().sum();
        eventually("every tick came over Redis", || async { (self.on_redis() >= total).then_some(()) }).await;
        for (symbol, count) in &sent {
            let numbers = self.seen.lock().unwrap().redis[symbol].clone();
            assert!(numbers == Vec::from_iter(1..=*count), "{symbol} on Redis: {} of {count}", numbers.len());
        }
        self.agree_that_the_page_has(&sent).await;
    }

    /// What came over Redis, as counts.
    fn counts_on_redis(&self) -> Counts {
        let seen = self.seen.lock().unwrap();
        seen.redis.iter().map(|(symbol, numbers)| (symbol.clone(), numbers.len() as u64)).collect()
    }

    /// Both sockets have these counts, and the latest prices; status and history have what was sent.
    async fn agree_that_the_page_has(&self, counts: &Counts) {
        let sum = |counts: &Counts| counts.values().sum::<u64>();
        let seen = || self.seen.lock().unwrap().clone();
        eventually("everybody has counted as much as there is", || async {
            let seen = seen();
            let sockets = [&seen.json, &seen.binary].into_iter().all(|seen| sum(seen) >= sum(counts));
            (sockets && self.of_history().await >= self.sent_to()).then_some(())
        })
        .await;
        let seen = seen();
        for (symbol, count) in &self.provider.sent() {
            assert_eq!(seen.prices[symbol], *count, "the latest price of {symbol}");
        }
        assert_eq!(seen.json, *counts, "what a JSON client added up");
        assert_eq!(seen.json_totals, *counts, "what a JSON client was told");
        assert_eq!(seen.binary, *counts, "the rows of the page");
        assert_eq!(self.of_status().await, self.sent_to(), "the status");
        assert_eq!(self.of_history().await, self.sent_to(), "history");
    }
}

fn all() -> Range<UnixMillis> {
    UnixMillis(0)..UnixMillis(i64::MAX)
}

fn spawn(reader: impl Future<Output = ()> + Send + 'static) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(reader))
}

/// Subscribes; the future reads.
async fn read_redis(redis: &RedisServer, seen: Arc<Mutex<Seen>>) -> impl Future<Output = ()> + Send + 'static + use<> {
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

async fn read_json(mut socket: Socket, seen: Arc<Mutex<Seen>>) {
    loop {
        let tick = socket.event_named("tick_update").await;
        let mut seen = seen.lock().unwrap();
        count(&mut seen.json, &tick);
        let symbol = tick["symbol"].as_str().unwrap().to_owned();
        seen.json_totals.insert(symbol, tick["ticks_total"].as_u64().unwrap());
    }
}

/// Adds up as docs/protocol.md says: what repeats the state brings the total, everything else what came since.
fn count(counts: &mut Counts, tick: &Value) {
    let number = |name: &str| tick[name].as_u64().unwrap();
    let count = counts.entry(tick["symbol"].as_str().unwrap().to_owned()).or_default();
    *count = if tick["snapshot"] == true { number("ticks_total") } else { *count + number("ticks") };
}

async fn read_binary(mut socket: Socket, seen: Arc<Mutex<Seen>>) {
    let mut board = Board::default();
    loop {
        board.apply(&socket.frame().await);
        let mut seen = seen.lock().unwrap();
        for row in board.rows.iter().filter(|row| row.ticks_total > 0) {
            seen.binary.insert(row.symbol.to_string(), row.ticks_total);
            seen.prices.insert(row.symbol.to_string(), row.price.unwrap_or_default() as u64);
        }
    }
}
