//! Every tick accounted for: a provider that numbers its ticks, and everybody who counts them. What Redis delivered, what both
//! sockets were told, the status, the samples of history and the ledger have to agree to the tick, whatever ends meanwhile.

mod elsewhere;
mod faults;
mod frames;
mod ours;
mod provider;
mod readers;
mod recording;
mod redis;
mod tickstock;

use crate::util::{Client, Clock, Monitor, Proxy, RedisServer, TestServer, eventually};
use app::model::{
    connection::ConnectionSet,
    history::{
        EventKind,
        gap::{BUS, Gap},
    },
    time::UnixMillis,
};
use provider::Provider;
use readers::{Page, Seen};
use serde_json::Value;
use server::database::{Database, history::EventFilter};
use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, Mutex},
};
use tokio_util::task::AbortOnDropHandle;

/// By symbol.
type Counts = BTreeMap<String, u64>;

const CHANNEL: &str = "tickstock:market:ticks";
const SYMBOLS: [&[&str]; 2] = [&["AAPL", "MSFT", "NVDA", "BRK.B"], &["JPM", "GS", "PFE"]];

/// Two connections, over all of whose symbols ticks come.
const CONNECTIONS: [(&str, &str); 5] = [
    ("USE_MULTI_CONNECTION", "true"),
    ("WEBSOCKET_CONNECTION_1_ENABLED", "true"),
    ("WEBSOCKET_CONNECTION_1_SYMBOLS", "AAPL,MSFT,NVDA,BRK.B"),
    ("WEBSOCKET_CONNECTION_2_ENABLED", "true"),
    ("WEBSOCKET_CONNECTION_2_SYMBOLS", "JPM,GS,PFE"),
];

/// Whoever numbers ticks.
trait Numbers {
    /// How many of each symbol were sent in all.
    fn sent(&self) -> Counts;
}

/// The server whose page is looked at.
enum Server {
    Here(TestServer),
    Process(Monitor),
}

/// The provider, a server with its connections to it, and those who count.
struct Books<P = Provider> {
    provider: P,
    redis: RedisServer,
    server: Server,
    database: Database,
    admin: Client,
    seen: Arc<Mutex<Seen>>,
    redis_reader: AbortOnDropHandle<()>,
    page_readers: Vec<AbortOnDropHandle<()>>,
    /// What was sent before the server was started whose page is looked at: its rows start at zero.
    sent_before: Counts,
    /// How the totals of each connection in the status differ from what was sent, as somebody else began to count earlier or
    /// later.
    totals_ahead: [i64; 2],
    /// Ticks of each connection that history could not keep.
    unkept: [u64; 2],
}

impl Books {
    async fn open() -> Self {
        let (provider, redis) = (Provider::start().await, RedisServer::start().await);
        let url = redis.url.clone();
        Self::open_over(provider, redis, &url).await
    }

    /// With something between the server and Redis.
    async fn open_through_a_proxy() -> (Self, Proxy) {
        let (provider, redis) = (Provider::start().await, RedisServer::start().await);
        let proxy = Proxy::start(redis.port).await;
        (Self::open_over(provider, redis, &format!("redis://127.0.0.1:{}", proxy.port)).await, proxy)
    }

    async fn open_over(provider: Provider, redis: RedisServer, redis_url: &str) -> Self {
        let [a, b, c, d, e] = CONNECTIONS;
        let feed = feed(&provider);
        let [f, g, h] = [0, 1, 2].map(|place| (feed[place].0, feed[place].1.as_str()));
        let server = TestServer::start([a, b, c, d, e, f, g, h, ("REDIS_URL", redis_url)]).await;
        let (admin, database) = (server.admin().await, server.database.clone());
        let books = Self::begin(provider, redis, Server::Here(server), database, admin).await;
        books.until_subscribed().await;
        books.until_the_bus_is(true).await;
        books
    }

    /// With a process as the server, in the time of a clock that the test sets.
    async fn open_a_process(clock: &Arc<Clock>) -> Self {
        let (provider, redis) = (Provider::start_by(clock).await, RedisServer::start().await);
        let server = collector(&provider, &redis, clock);
        server.until_ready().await;
        let (admin, database) = (server.admin().await, server.database().await);
        let books = Self::begin(provider, redis, Server::Process(server), database, admin).await;
        books.until_subscribed().await;
        books.until_the_bus_is(true).await;
        books
    }

    async fn until_subscribed(&self) {
        eventually("every symbol is subscribed", || async { (self.provider.subscribed() == 7).then_some(()) }).await;
    }
}

impl<P: Numbers> Books<P> {
    async fn begin(provider: P, redis: RedisServer, server: Server, database: Database, admin: Client) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let redis_reader = spawn(readers::read_redis(&redis, Arc::clone(&seen)).await);
        let mut books = Self {
            provider,
            redis,
            server,
            database,
            admin,
            seen,
            redis_reader,
            page_readers: Vec::new(),
            sent_before: Counts::new(),
            totals_ahead: [0; 2],
            unkept: [0; 2],
        };
        books.open_the_page().await;
        books
    }

    async fn open_the_page(&mut self) {
        self.seen.lock().unwrap().page = Page::default();
        let (json, binary) = ("tickstock.v1.json", "tickstock.v1.bin");
        self.page_readers = vec![
            spawn(readers::read_json(self.admin.socket(Some(json)).await, Arc::clone(&self.seen))),
            spawn(readers::read_binary(self.admin.socket(Some(binary)).await, Arc::clone(&self.seen))),
        ];
    }

    fn process(&mut self) -> &mut Monitor {
        match &mut self.server {
            Server::Process(monitor) => monitor,
            Server::Here(_) => panic!("the server runs in this process"),
        }
    }

    /// Starts the process again that has ended; what it counted by itself begins at zero.
    async fn start_the_process_again(&mut self) {
        self.process().start_again();
        self.process().until_ready().await;
        self.admin = self.process().admin().await;
        self.database = self.process().database().await;
        self.sent_before = self.provider.sent();
        self.totals_ahead = self.sent_to().map(|sent| -(sent as i64));
        self.open_the_page().await;
    }

    async fn until_the_bus_is(&self, connected: bool) {
        let what = format!("the bus is connected: {connected}");
        eventually(&what, || async { (self.bus().await["connected"] == connected).then_some(()) }).await;
    }

    /// What the status says of the ticks of each connection.
    async fn of_status(&self) -> [i64; 2] {
        let status = self.admin.status().await;
        [0, 1].map(|place| status["connections"][place]["metrics"]["ticks_total"].as_i64().unwrap())
    }

    /// What was sent to each connection.
    fn sent_to(&self) -> [u64; 2] {
        let sent = self.provider.sent();
        SYMBOLS.map(|symbols| symbols.iter().filter_map(|symbol| sent.get(*symbol)).sum())
    }

    /// What history has of each connection, and what it could not keep.
    async fn of_history(&self) -> [u64; 2] {
        let mut sums = self.unkept;
        for id in [1, 2] {
            let samples = self.database.history_samples(1, all(), Some(id), None, 100_000).await.unwrap();
            sums[usize::from(id) - 1] += samples.iter().map(|sample| sample.ticks).sum::<u64>();
        }
        sums
    }

    async fn gaps(&self) -> Vec<Gap> {
        self.database.history_gaps(all(), None, None, 100).await.unwrap()
    }

    /// The gaps of both connections, once there are so many and all are over.
    async fn ended_gaps(&self, count: usize) -> Vec<Gap> {
        eventually("the gaps are in the ledger, and over", || async {
            let gaps = self.gaps().await;
            (gaps.len() == count && gaps.iter().all(|gap| gap.ended_at.is_some())).then_some(gaps)
        })
        .await
    }

    /// Waits for an event of this kind with these words.
    async fn event(&self, kind: EventKind, words: &str) {
        let filter = EventFilter { range: all(), connections: ConnectionSet::default(), kind: Some(kind) };
        eventually(&format!("an event says {words:?}"), || async {
            let events = self.database.history_events(&filter, None, 100).await.unwrap();
            events.iter().any(|event| event.text.contains(words)).then_some(())
        })
        .await;
    }

    /// What the status says of the bus.
    async fn bus(&self) -> Value {
        self.admin.status().await["bus"].take()
    }

    async fn unpublished(&self) -> u64 {
        self.bus().await["unpublished_ticks_total"].as_u64().unwrap()
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
        self.redis_has_everything().await;
        self.agree_that_the_page_has(&sent).await;
    }

    async fn redis_has_everything(&self) {
        let sent = self.provider.sent();
        let total: u64 = sent.values().sum();
        eventually("every tick came over Redis", || async { (self.on_redis() >= total).then_some(()) }).await;
        for (symbol, count) in &sent {
            let numbers = self.seen.lock().unwrap().redis[symbol].clone();
            assert!(numbers == Vec::from_iter(1..=*count), "{symbol} on Redis: {} of {count}", numbers.len());
        }
    }

    /// What came over Redis, as counts.
    fn counts_on_redis(&self) -> Counts {
        let seen = self.seen.lock().unwrap();
        seen.redis.iter().map(|(symbol, numbers)| (symbol.clone(), numbers.len() as u64)).collect()
    }

    /// Both sockets have these counts, and the latest prices; status and history have what was sent.
    async fn agree_that_the_page_has(&self, counts: &Counts) {
        self.sockets_have(counts).await;
        eventually("history has as much as was sent", || async {
            (self.of_history().await >= self.sent_to()).then_some(())
        })
        .await;
        assert_eq!(self.of_history().await, self.sent_to(), "history");
        let totals = [0, 1].map(|place| self.sent_to()[place] as i64 + self.totals_ahead[place]);
        assert_eq!(self.of_status().await, totals, "the status");
    }

    async fn sockets_have(&self, counts: &Counts) {
        let since_start = |(symbol, count): (&String, &u64)| {
            let count = count - self.sent_before.get(symbol).unwrap_or(&0);
            (count > 0).then(|| (symbol.clone(), count))
        };
        let counts: Counts = counts.iter().filter_map(since_start).collect();
        let sum = |counts: &Counts| counts.values().sum::<u64>();
        let page = || self.seen.lock().unwrap().page.clone();
        eventually("both sockets have counted as much as there is", || async {
            let page = page();
            [&page.json, &page.binary].into_iter().all(|seen| sum(seen) >= sum(&counts)).then_some(())
        })
        .await;
        let page = page();
        for (symbol, count) in &self.provider.sent() {
            assert_eq!(page.prices[symbol], *count, "the latest price of {symbol}");
        }
        assert_eq!(page.json, counts, "what a JSON client added up");
        assert_eq!(page.json_totals, counts, "what a JSON client was told");
        assert_eq!(page.binary, counts, "the rows of the page");
    }

    /// What is missing on Redis is what was not published, by the counter and in the ledger, to the tick. The page's ticks come
    /// over Redis, so it has what Redis has; what the provider sent is in the status and in history. Answers how many.
    async fn only_what_was_not_published_is_missing(&self) -> u64 {
        let sent: u64 = self.provider.sent().values().sum();
        let missing = eventually("what is missing on Redis is what was not published", || async {
            let missing = sent - self.on_redis();
            (missing == self.unpublished().await).then_some(missing)
        })
        .await;
        self.in_order_on_redis();
        self.agree_that_the_page_has(&self.counts_on_redis()).await;
        self.the_ledger_misses(missing).await;
        missing
    }

    /// So many ticks are in gaps of the bus, which are over; and the connections have none.
    async fn the_ledger_misses(&self, unpublished: u64) {
        eventually("the ledger has it", || async {
            let gaps = self.gaps().await;
            let sum: u64 = gaps.iter().filter_map(|gap| gap.unpublished_ticks).sum();
            (sum == unpublished && gaps.iter().all(|gap| gap.ended_at.is_some())).then_some(())
        })
        .await;
        let others: Vec<_> = self.gaps().await.into_iter().filter(|gap| gap.connection_id != BUS).collect();
        assert_eq!(others, [], "the connections had nothing to do with it");
    }
}

/// What makes a server a collector of the provider's ticks.
fn feed(provider: &Provider) -> [(&'static str, String); 3] {
    [
        ("MARKET_FEED", "massive".to_owned()),
        ("MASSIVE_WEBSOCKET_URL", provider.url()),
        ("MASSIVE_API_KEY", "k".to_owned()),
    ]
}

/// A process that collects the provider's ticks.
fn collector(provider: &Provider, redis: &RedisServer, clock: &Clock) -> Monitor {
    let (feed, time) = (feed(provider), clock.variables());
    let mut variables = CONNECTIONS.to_vec();
    variables.extend(feed.iter().chain(&time).map(|(name, value)| (*name, value.as_str())));
    variables.push(("REDIS_URL", &redis.url));
    Monitor::start(&variables)
}

fn all() -> Range<UnixMillis> {
    UnixMillis(0)..UnixMillis(i64::MAX)
}

fn spawn(reader: impl Future<Output = ()> + Send + 'static) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(reader))
}
