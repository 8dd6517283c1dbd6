//! A dashboard that is fed by frames, beside its collector: both tell the same, whatever is lost between them.

use super::{CHANNEL, CONNECTIONS, feed, provider::Provider, spawn};
use crate::util::{Client, RedisServer, Socket, TestServer, eventually};
use app::model::{
    board::Board,
    protocol::{Frame, Row},
};
use futures_util::FutureExt;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio_util::task::AbortOnDropHandle;

const FRAMES: &str = "tickstock:market:frames";
const ASK: &str = "tickstock:market:frames:ask";

/// A socket of a page with both tapes open, and all that it was told.
#[derive(Clone, Default)]
struct Page {
    board: Board,
    /// Symbol, price and count of each line, by connection.
    tapes: BTreeMap<u8, Vec<(String, f64, u32)>>,
    skipped: u32,
    snapshots: usize,
}

impl Page {
    async fn open(admin: &Client) -> (Arc<Mutex<Self>>, AbortOnDropHandle<()>) {
        let mut socket = admin.socket(Some("tickstock.v1.bin")).await;
        socket.say(r#"{"event":"set_tape","connections":[1,2]}"#).await;
        let page = Arc::<Mutex<Self>>::default();
        (Arc::clone(&page), spawn(Self::read(socket, page)))
    }

    async fn read(mut socket: Socket, page: Arc<Mutex<Self>>) {
        loop {
            let frame = socket.frame().await;
            let mut page = page.lock().unwrap();
            page.board.apply(&frame);
            match frame {
                Frame::Snapshot(_) => page.snapshots += 1,
                Frame::Tape(tape) => {
                    page.skipped += tape.skipped;
                    for entry in tape.entries {
                        let symbol = page.board.rows[entry.row as usize].symbol.to_string();
                        page.tapes.entry(tape.connection_id).or_default().push((symbol, entry.price, entry.ticks));
                    }
                }
                _ => {}
            }
        }
    }

    fn ticks(&self) -> u64 {
        self.board.rows.iter().map(|row| row.ticks_total).sum()
    }
}

/// A provider, a collector and a dashboard.
struct Pair {
    provider: Provider,
    redis: RedisServer,
    collector: TestServer,
    dashboard: TestServer,
}

async fn collector(provider: &Provider, redis: &RedisServer, publish_ticks: &str) -> TestServer {
    let [a, b, c, d, e] = CONNECTIONS;
    let feed = feed(provider);
    let [f, g, h] = [0, 1, 2].map(|place| (feed[place].0, feed[place].1.as_str()));
    let redis = [("REDIS_URL", redis.url.as_str()), ("REDIS_PUBLISH_TICKS", publish_ticks)];
    let server = TestServer::start([a, b, c, d, e, f, g, h, redis[0], redis[1]]).await;
    eventually("every symbol is subscribed", || async { (provider.subscribed() == 7).then_some(()) }).await;
    server
}

async fn dashboard(redis: &RedisServer) -> TestServer {
    let [a, b, c, d, e] = CONNECTIONS;
    TestServer::start([a, b, c, d, e, ("MARKET_FEED", "redis"), ("REDIS_URL", &redis.url)]).await
}

/// How many are subscribed to a channel.
async fn listeners(redis: &RedisServer, channel: &str) -> i64 {
    match redis.command(&format!("PUBSUB NUMSUB {channel}")).await.unwrap() {
        redis::Value::Array(answer) => match answer[1] {
            redis::Value::Int(count) => count,
            _ => panic!("{answer:?}"),
        },
        other => panic!("{other:?}"),
    }
}

impl Pair {
    async fn open(publish_ticks: &str) -> Self {
        let (provider, redis) = (Provider::start().await, RedisServer::start().await);
        let collector = collector(&provider, &redis, publish_ticks).await;
        let dashboard = dashboard(&redis).await;
        let pair = Self { provider, redis, collector, dashboard };
        pair.until_in_step().await;
        pair
    }

    /// The dashboard is fed by frames: of those who took ticks as JSON the collector is left.
    async fn until_in_step(&self) {
        eventually("the dashboard takes frames", || async {
            // The collector is there too, as it might have to stand by.
            let is_there = listeners(&self.redis, FRAMES).await == 2;
            (is_there && listeners(&self.redis, CHANNEL).await == 1).then_some(())
        })
        .await;
    }

    async fn bus(&self) -> Value {
        self.dashboard.admin().await.status().await["bus"].take()
    }
}

async fn until_both_have(pages: [&Arc<Mutex<Page>>; 2], ticks: u64) -> [Page; 2] {
    let now = || pages.map(|page| page.lock().unwrap().clone());
    eventually("both pages have all ticks", || async { now().iter().all(|page| page.ticks() >= ticks).then_some(()) })
        .await;
    now()
}

fn prices(page: &Page) -> Vec<Row> {
    page.board.rows.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dashboard_fed_by_frames_tells_the_same_as_its_collector_tick_by_tick() {
    for publish_ticks in ["true", "false"] {
        let pair = Pair::open(publish_ticks).await;
        let mut json = pair.redis.listen(CHANNEL).await;
        let (collectors, _reading) = Page::open(&pair.collector.admin().await).await;
        let (ours, _reading_ours) = Page::open(&pair.dashboard.admin().await).await;
        let open = || [&collectors, &ours].iter().all(|page| page.lock().unwrap().snapshots > 0);
        eventually("both pages are there", || async { open().then_some(()) }).await;
        // A direction is told against what was shown before: on a busy machine that could be nothing.
        pair.provider.trade(20).await;
        until_both_have([&collectors, &ours], 7 * 20).await;
        for _ in 0..9 {
            pair.provider.trade(20).await;
        }
        let [theirs, shown] = until_both_have([&collectors, &ours], 7 * 200).await;
        assert_eq!(prices(&shown), prices(&theirs));
        assert!(shown.tapes == theirs.tapes, "every tick once and in the same order");
        let of = |id: u8| shown.tapes[&id].len();
        assert_eq!((of(1), of(2), shown.skipped), (800, 600, 0));
        assert_eq!(shown.snapshots, 1, "nothing had to be repaired");

        // Somebody else's ticks beside ours are the collector's to count, and reach the dashboard through it, once.
        let tick = r#"{"symbol":"AAPL","price":777.5,"volume":3}"#;
        assert_eq!(pair.redis.publish(CHANNEL, tick).await, 2, "the collector and this test");
        pair.redis.publish(CHANNEL, r#"{"symbol":"NOBODYS","price":1}"#).await;
        let is_there = |page: &Arc<Mutex<Page>>| {
            let page = page.lock().unwrap();
            let head = &page.board.report.head;
            let row = page.board.rows.iter().find(|row| &*row.symbol == "AAPL").unwrap();
            head.summary.unassigned_ticks_total == 1 && (row.price, row.ticks_total) == (Some(777.5), 201)
        };
        for page in [&collectors, &ours] {
            eventually("it is counted", || async { is_there(page).then_some(()) }).await;
        }
        let next = || tokio::task::unconstrained(json.next()).now_or_never();
        let published = std::iter::from_fn(next).count();
        assert_eq!(published, if publish_ticks == "true" { 1_402 } else { 2 }, "{publish_ticks}");
        assert_eq!(pair.bus().await["missed_ticks_total"], 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dashboard_that_starts_in_mid_stream_has_board_rates_and_tapes_within_a_second() {
    let (provider, redis) = (Provider::start().await, RedisServer::start().await);
    let collector = collector(&provider, &redis, "false").await;
    provider.trade(100).await;
    let (theirs, _reading) = Page::open(&collector.admin().await).await;
    let rates = |page: &Arc<Mutex<Page>>| page.lock().unwrap().board.rates.first().map_or(0, |rates| rates.len());
    eventually("there is a history of rates", || async {
        (theirs.lock().unwrap().ticks() == 700 && rates(&theirs) >= 10).then_some(())
    })
    .await;
    let dashboard = dashboard(&redis).await;
    let since = Instant::now();
    let admin = dashboard.admin().await;
    let (ours, _reading_ours) = Page::open(&admin).await;
    eventually("its board is the collector's", || async {
        let [ours, theirs] = [&ours, &theirs].map(|page| page.lock().unwrap().clone());
        (prices(&ours) == prices(&theirs)).then_some(())
    })
    .await;
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
    assert!(rates(&ours) >= 10, "{} rates", rates(&ours));
    provider.trade(10).await;
    let [ours, theirs] = until_both_have([&ours, &theirs], 770).await;
    assert_eq!(prices(&ours), prices(&theirs));
}

/// Redis ends all subscriptions amid the ticks, as it does with those that read too slowly.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_cut_subscription_missed_is_counted_and_repaired_to_the_tick() {
    let pair = Pair::open("false").await;
    let (theirs, _reading) = Page::open(&pair.collector.admin().await).await;
    let (ours, _reading_ours) = Page::open(&pair.dashboard.admin().await).await;
    for _ in 0..3 {
        pair.provider.trade(10).await;
        pair.redis.command("CLIENT KILL TYPE pubsub").await.unwrap();
        pair.provider.trade(10).await;
        eventually("the dashboard is back", || async { (listeners(&pair.redis, FRAMES).await == 2).then_some(()) })
            .await;
    }
    pair.provider.trade(10).await;
    let [theirs, ours] = until_both_have([&theirs, &ours], 7 * 70).await;
    assert_eq!(prices(&ours), prices(&theirs));
    let lines = |page: &Page| -> u64 {
        page.tapes.values().flatten().map(|(_, _, ticks)| u64::from(*ticks)).sum::<u64>() + u64::from(page.skipped)
    };
    assert_eq!(
        (ours.tapes, lines(&theirs)),
        (theirs.tapes.clone(), 490),
        "what was missed is on the tapes, at its place"
    );
    eventually("what was missed is counted", || async {
        (pair.bus().await["missed_ticks_total"].as_u64() > Some(0)).then_some(())
    })
    .await;
    assert_eq!(listeners(&pair.redis, ASK).await, 1);
}

/// Under the same address and with nothing known of before.
#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_started_anew_is_shown_with_what_it_has_and_nothing_of_before() {
    let mut pair = Pair::open("true").await;
    pair.provider.trade(30).await;
    let (ours, _reading) = Page::open(&pair.dashboard.admin().await).await;
    eventually("the page has all", || async { (ours.lock().unwrap().ticks() == 210).then_some(()) }).await;
    pair.collector.stop().await;
    pair.collector = collector(&pair.provider, &pair.redis, "true").await;
    let since = Instant::now();
    eventually("the board is the new one's", || async { (ours.lock().unwrap().ticks() == 0).then_some(()) }).await;
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
    assert!(ours.lock().unwrap().board.rows.iter().all(|row| row.price.is_none()), "no price of before");
    pair.provider.trade(5).await;
    let (theirs, _reading_theirs) = Page::open(&pair.collector.admin().await).await;
    let [ours, theirs] = until_both_have([&ours, &theirs], 35).await;
    assert_eq!(prices(&ours), prices(&theirs));
    assert_eq!(listeners(&pair.redis, CHANNEL).await, 1, "and no JSON meanwhile");
}
