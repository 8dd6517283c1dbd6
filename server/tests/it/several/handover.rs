//! A collector that is told to stop, and another one that follows it: every tick of a provider that numbers them.

use super::{
    SYMBOLS,
    log::{Log, Writers},
    market::Gate,
    provider::Provider,
};
use crate::util::{Monitor, RedisServer, eventually};
use app::model::time::UnixMillis;
use std::time::{Duration, Instant};

const NAMES: [&str; 4] = ["AAPL", "MSFT", "NVDA", "JPM"];

struct Field {
    provider: Provider,
    log: Log,
    servers: [(Monitor, Gate); 2],
    _writers: Writers,
    _redis: RedisServer,
}

/// What became of the ticks.
#[derive(Debug, Default, PartialEq)]
struct Count {
    made: u64,
    lost: u64,
    doubled: u64,
    /// Those that are lost, and in no gap.
    unknown: u64,
}

impl Field {
    /// Two servers, the first of which collects, on an account for so many connections; they have two each.
    async fn start(places: &str) -> Self {
        let (provider, redis) = (Provider::start().await, RedisServer::start().await);
        let (log, writers) = Log::write(&redis);
        let mut servers = Vec::new();
        for name in ["a:1", "b:2"] {
            let gate = Gate::start(provider.address).await;
            let url = gate.url();
            let own = [
                ("SERVER_NAME", name),
                ("REDIS_URL", &redis.url),
                ("MARKET_FEED", "massive"),
                ("MASSIVE_API_KEY", "k"),
                ("MASSIVE_WEBSOCKET_URL", &url),
                ("WEBSOCKET_CONNECTIONS_MAX", places),
            ];
            let common = SYMBOLS.into_iter().filter(|(name, _)| !name.starts_with("WEBSOCKET_CONNECTION_3"));
            let monitor = Monitor::start(&common.chain(own).collect::<Vec<_>>());
            let role = if name == "a:1" { "collector" } else { "standby" };
            eventually(role, || async { (monitor.ready().await["role"] == role).then_some(()) }).await;
            servers.push((monitor, gate));
        }
        let Ok(servers) = servers.try_into() else { unreachable!("two") };
        let field = Self { provider, log, servers, _writers: writers, _redis: redis };
        field.until_ticks_come().await;
        let admin = field.servers[1].0.admin().await;
        eventually("the second sees the ticks of both", || async {
            let status = admin.status().await;
            let ticked = |n: usize| status["connections"][n]["metrics"]["ticks_total"].as_u64() > Some(0);
            (ticked(0) && ticked(1)).then_some(())
        })
        .await;
        // The second has been seen to stand by since the last renewal.
        tokio::time::sleep(Duration::from_millis(500)).await;
        field
    }

    async fn until_ticks_come(&self) {
        let before = self.log.count();
        eventually("ticks come over Redis", || async { (self.log.count() > before + 40).then_some(()) }).await;
    }

    /// The first is told to stop; answers the ledger of the second, and the time from the signal to its first tick.
    async fn hand_over(&mut self) -> (Vec<serde_json::Value>, Duration) {
        let epoch = self.log.ticks().last().unwrap().epoch;
        let told = Instant::now();
        self.servers[0].0.signal("-TERM");
        let log = &self.log;
        let took = eventually("the second publishes", || async {
            log.ticks().last().is_some_and(|tick| tick.epoch > epoch).then(|| told.elapsed())
        })
        .await;
        assert!(self.servers[0].0.end().await.success());
        self.until_ticks_come().await;
        let admin = self.servers[1].0.admin().await;
        let gaps = eventually("the ledger has both", || async {
            let gaps =
                admin.get_json("/api/admin/history/gaps?from=-15m", 200).await["gaps"].as_array().unwrap().clone();
            (gaps.len() == 2 && gaps.iter().all(|gap| gap["ended_at"].is_string())).then_some(gaps)
        })
        .await;
        assert!(gaps.iter().all(|gap| gap["cause"] == "handover"), "{gaps:?}");
        (gaps, took)
    }

    fn count(&self, gaps: &[serde_json::Value]) -> Count {
        let (ticks, made) = (self.log.ticks(), self.provider.made());
        let mut count = Count::default();
        for (place, symbol) in NAMES.iter().enumerate() {
            let numbers: Vec<_> = ticks.iter().filter(|tick| tick.symbol == *symbol).map(|tick| tick.number).collect();
            let (first, last) = (numbers[0], *numbers.iter().max().unwrap());
            count.made += last + 1 - first;
            let missing: Vec<_> = (first..=last).filter(|number| !numbers.contains(number)).collect();
            count.lost += missing.len() as u64;
            count.doubled += numbers.len() as u64 + missing.len() as u64 - (last + 1 - first);
            let gap = gaps.iter().find(|gap| gap["connection_id"] == place / 2 + 1).unwrap();
            let time = |name: &str| serde_json::from_value::<UnixMillis>(gap[name].clone()).unwrap().0;
            // To the metrics interval.
            let is_known = |number: &&u64| {
                let at = made[**number as usize - 1].0;
                (time("started_at") - 50..=time("ended_at") + 50).contains(&at)
            };
            count.unknown += missing.iter().filter(|number| !is_known(number)).count() as u64;
        }
        count
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_place_to_spare_a_handover_loses_no_tick_and_doubles_none_and_its_gap_has_no_length() {
    let _measuring = super::MEASURING.read().await;
    let mut field = Field::start("3").await;
    let (gaps, took) = field.hand_over().await;
    let count = field.count(&gaps);
    println!("a place to spare: {count:?}, first tick after {took:?}");
    assert_eq!((count.lost, count.doubled), (0, 0), "{count:?} {gaps:?}");
    assert!(gaps.iter().all(|gap| gap["duration_ms"] == 0), "{gaps:?}");
    assert!(took < Duration::from_millis(500), "{took:?}");
    assert_eq!((field.provider.most(), field.provider.evictions()), (3, 0));
    assert_eq!((field.servers[0].1.arrivals(), field.servers[1].1.arrivals()), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_one_connections_go_and_come_one_by_one_and_each_gap_is_as_long_as_what_it_lost() {
    let _measuring = super::MEASURING.read().await;
    let mut field = Field::start("2").await;
    let (gaps, took) = field.hand_over().await;
    let count = field.count(&gaps);
    println!("no place to spare: {count:?}, first tick after {took:?}, {gaps:?}");
    assert_eq!((count.doubled, count.unknown), (0, 0), "{count:?} {gaps:?}");
    assert!(took < Duration::from_millis(500), "{took:?}");
    assert!(gaps.iter().all(|gap| gap["duration_ms"].as_u64() < Some(400)), "{gaps:?}");
    assert_eq!((field.provider.most(), field.provider.evictions()), (2, 0));
}
