//! Frames as somebody else might publish them: with holes, of other epochs, cut off, or nothing of the kind.

use crate::util::{Client, RedisServer, TestServer, eventually};
use app::model::{symbol::Symbol, tick::Tick, time::UnixMillis};
use redis::{AsyncCommands, aio::MultiplexedConnection};
use serde_json::{Value, json};
use server::bus::frames::{BoardCopy, Encoded, FrameWriter, Stream};

const TICKS: &str = "tickstock:market:ticks";
const FRAMES: &str = "tickstock:market:frames";
const ASK: &str = "tickstock:market:frames:ask";

/// A collector that is none, and a dashboard that follows it.
struct Fake {
    redis: RedisServer,
    connection: MultiplexedConnection,
    writer: FrameWriter,
    dashboard: TestServer,
    admin: Client,
}

impl Fake {
    async fn start(epoch: u64) -> Self {
        let redis = RedisServer::start().await;
        let connection = redis.client().get_multiplexed_async_connection().await.unwrap();
        let dashboard = TestServer::start([
            ("MARKET_FEED", "redis"),
            ("REDIS_URL", &redis.url),
            ("USE_MULTI_CONNECTION", "true"),
            ("WEBSOCKET_CONNECTION_1_ENABLED", "true"),
            ("WEBSOCKET_CONNECTION_1_SYMBOLS", "AAPL,MSFT"),
        ])
        .await;
        let admin = dashboard.admin().await;
        let writer = FrameWriter::new(Stream { epoch, run: 1 });
        let mut fake = Self { redis, connection, writer, dashboard, admin };
        eventually("the dashboard listens", || {
            let mut connection = fake.connection.clone();
            async move { (connection.publish::<_, _, usize>(FRAMES, &[1_u8][..]).await.unwrap() > 0).then_some(()) }
        })
        .await;
        fake.send_all(&[]).await;
        fake
    }

    fn ticks(&mut self, prices: &[f64]) -> Vec<Encoded> {
        let now = UnixMillis::now();
        for price in prices {
            let symbol = Symbol::parse("AAPL").unwrap();
            let tick = Tick { connection_id: Some(1), symbol, price: *price, volume: 1, timestamp: now };
            self.writer.record(1, 0, &tick, 1, now);
        }
        self.writer.drain(now).collect()
    }

    async fn publish(&mut self, bytes: &[u8]) {
        let _: usize = self.connection.publish(FRAMES, bytes).await.unwrap();
    }

    async fn send_all(&mut self, messages: &[Encoded]) {
        for message in messages {
            self.publish(&message.bytes).await;
        }
    }

    async fn send(&mut self, prices: &[f64]) {
        let messages = self.ticks(prices);
        self.send_all(&messages).await;
    }

    /// A board with one row.
    async fn send_board(&mut self, price: f64, ticks_total: u64) {
        let symbol = Symbol::parse("AAPL").unwrap();
        let row = app::model::protocol::Row {
            price: Some(price),
            ticks_total,
            timestamp: UnixMillis::now(),
            ..app::model::protocol::Row::empty(1, symbol)
        };
        let messages = self.writer.board(&BoardCopy { rows: vec![row], ..BoardCopy::default() });
        self.send_all(&messages).await;
    }

    /// What the dashboard shows of the symbol: its price, and how many ticks are behind it.
    async fn shown(&self) -> (Option<f64>, u64) {
        let symbol = self.admin.get_json("/api/admin/symbol?connection=1&symbol=AAPL", 200).await;
        let row = &symbol["row"];
        (row["price"].as_f64(), row["ticks_total"].as_u64().unwrap_or_default())
    }

    async fn until_shown(&self, price: f64, ticks: u64) {
        eventually(&format!("{price} and {ticks} ticks are shown"), || async {
            (self.shown().await == (Some(price), ticks)).then_some(())
        })
        .await;
    }

    async fn bus(&self) -> Value {
        self.admin.status().await["bus"].take()
    }

    /// Waits for the dashboard to ask, and answers.
    async fn answer(&mut self, price: f64, ticks_total: u64) {
        let mut asked = self.redis.listen(ASK).await;
        asked.next().await;
        self.send_board(price, ticks_total).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hole_in_the_frames_is_counted_to_the_tick_and_repaired_by_the_board_that_was_asked_for() {
    let mut fake = Fake::start(7).await;
    fake.send(&[1.0]).await;
    fake.answer(1.0, 1).await;
    fake.send(&[2.0, 3.0]).await;
    fake.until_shown(3.0, 3).await;
    // These are lost.
    fake.ticks(&[4.0, 5.0, 6.0]);
    fake.send(&[7.0]).await;
    fake.answer(7.0, 7).await;
    fake.send(&[8.0]).await;
    fake.until_shown(8.0, 8).await;
    eventually("they are counted", || async { (fake.bus().await["missed_ticks_total"] == 3).then_some(()) }).await;
    let metrics = reqwest::get(fake.dashboard.url("/metrics")).await.unwrap().text().await.unwrap();
    assert!(metrics.contains("tickstock_bus_missed_ticks_total 3"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_board_of_two_epochs_is_never_shown() {
    let mut fake = Fake::start(7).await;
    fake.send(&[1.0]).await;
    fake.answer(1.0, 1).await;
    fake.until_shown(1.0, 1).await;
    let old = std::mem::replace(&mut fake.writer, FrameWriter::new(Stream { epoch: 8, run: 1 }));
    fake.send(&[100.0]).await;
    let new = std::mem::replace(&mut fake.writer, old);
    fake.send(&[2.0]).await;
    fake.send_board(2.0, 2).await;
    fake.writer = new;
    assert_eq!(fake.shown().await, (Some(1.0), 1), "the old board, until the new one's has come");
    fake.answer(100.0, 1).await;
    fake.send(&[101.0]).await;
    fake.until_shown(101.0, 2).await;
    assert_eq!(fake.bus().await["missed_ticks_total"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_frame_is_counted_and_stops_nothing_and_json_is_taken_until_there_are_frames() {
    let mut fake = Fake::start(0).await;
    let good = fake.ticks(&[1.0]).remove(0).bytes;
    let newer = [&[9], &good[1..]].concat();
    // The first that `start` publishes is a version and nothing else.
    for bad in [newer.as_slice(), &good[..good.len() - 1], b"garbage", &vec![1; 600_000]] {
        fake.publish(bad).await;
    }
    let json = |price: f64| format!(r#"{{"symbol":"AAPL","price":{price},"connection_id":1}}"#);
    fake.redis.publish(TICKS, &json(1.5)).await;
    fake.until_shown(1.5, 1).await;
    let rejections = eventually("all are counted", || async {
        let bus = fake.bus().await;
        (bus["rejected_total"] == 5).then(|| bus["rejections"].clone())
    })
    .await;
    assert_eq!(rejections, json!([{"reason": "frame", "total": 5}]));

    // Somebody is there who publishes frames: JSON goes on until the board has come.
    fake.publish(&good).await;
    fake.redis.publish(TICKS, &json(1.75)).await;
    fake.until_shown(1.75, 2).await;
    fake.answer(1.0, 1).await;
    fake.until_shown(1.0, 1).await;
    assert_eq!(fake.redis.publish(TICKS, &json(2.0)).await, 0, "nobody takes JSON any more");
    fake.publish(b"\x01\x00garbage").await;
    fake.send(&[3.0]).await;
    fake.until_shown(3.0, 2).await;
}
