//! Faults by chance, of servers and of Redis, and what has to be true all the same. `SCHEDULES=200` for as many schedules,
//! `SCHEDULE_SECONDS=10` for longer ones, `SCHEDULE_SEED` for one that failed, `SCHEDULE_LOGS` for what its servers logged.

mod checker;

use super::{
    log::{Log, Writers},
    market::Gate,
    provider::Provider,
};
use crate::util::{Monitor, Postgres, Proxy, RedisServer, Watched, eventually};
use checker::{Evidence, Figures, check};
use futures_util::{StreamExt, stream};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use server::database::Database;
use std::time::{Duration, Instant};
use tokio::time::sleep;

const SYMBOLS: [&[&str]; 2] = [&["AAPL", "MSFT"], &["NVDA", "JPM"]];
/// Schedules that run at a time.
const AT_ONCE: usize = 5;

#[derive(Clone, Copy, Debug)]
enum Fault {
    /// The collector is killed, and started again after a while.
    Kill(Duration),
    /// It is told to stop, and started again.
    Stop(Duration),
    /// It stands still for a while.
    StandStill(Duration),
    /// It is cut off from Redis for a while.
    Cut(Duration),
    /// Another server is killed, and started again.
    KillAnother(Duration),
    /// One after the other is told to stop and started again.
    Roll,
    /// Redis is killed, and started again without what it knew.
    RestartRedis(Duration),
    /// Redis stands still.
    PauseRedis(Duration),
    /// Redis forgets everything.
    Flush,
    /// The Sentinel makes the other Redis the master.
    FailOver,
    /// PostgreSQL is shut down, and started again.
    RestartPostgres(Duration),
}

/// Which Redis it is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Over {
    One,
    Sentinel,
}

/// Where the servers keep their history.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Store {
    /// Each in a file of its own.
    Files,
    /// All in one PostgreSQL.
    Postgres,
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn faults(random: &mut SmallRng, over: Over, store: Store, count: usize) -> Vec<Fault> {
    let longest = number("SCHEDULE_SECONDS", 2).clamp(4, 60) * 300;
    let mut one = || {
        let time = Duration::from_millis(random.random_range(100..longest));
        match (over, random.random_range(0..11)) {
            (_, 10) if store == Store::Postgres => Fault::RestartPostgres(time),
            (_, 0) => Fault::Kill(time),
            (_, 1) => Fault::Stop(time),
            (_, 2 | 3) => Fault::StandStill(time),
            (_, 4) => Fault::KillAnother(time),
            (_, 5) => Fault::Roll,
            (Over::One, 6) => Fault::Cut(time),
            (Over::One, 7) => Fault::RestartRedis(time),
            (Over::One, 8) => Fault::PauseRedis(time),
            (Over::One, _) => Fault::Flush,
            (Over::Sentinel, _) => Fault::FailOver,
        }
    };
    (0..count).map(|_| one()).collect()
}

struct Server {
    name: String,
    process: Monitor,
    gate: Gate,
    proxy: Option<Proxy>,
}

enum Redis {
    One(RedisServer),
    Watched(Box<Watched>),
}

struct Field {
    provider: Provider,
    redis: Redis,
    postgres: Option<(Postgres, String)>,
    servers: Vec<Server>,
    logs: Vec<Log>,
    _writers: Vec<Writers>,
}

impl Field {
    async fn start(over: Over, store: Store) -> Self {
        let provider = Provider::start().await;
        let redis = match over {
            Over::One => Redis::One(RedisServer::start().await),
            Over::Sentinel => Redis::Watched(Box::new(Watched::start().await)),
        };
        let written = match &redis {
            Redis::One(redis) => vec![Log::write(redis)],
            Redis::Watched(watched) => vec![Log::write(&watched.first), Log::write(&watched.second)],
        };
        let (logs, writers) = written.into_iter().unzip();
        let postgres = match store {
            Store::Files => None,
            Store::Postgres => {
                let postgres = tokio::task::spawn_blocking(Postgres::start).await.unwrap();
                let database = postgres.empty_database().await.url;
                Some((postgres, database))
            }
        };
        let mut field = Self { provider, redis, postgres, servers: Vec::new(), logs, _writers: writers };
        for name in ["a:1", "b:2"] {
            let server = field.server(name).await;
            field.servers.push(server);
        }
        field
    }

    async fn server(&self, name: &str) -> Server {
        let gate = Gate::start(self.provider.address).await;
        let (url, proxy) = match &self.redis {
            Redis::One(redis) => {
                let proxy = Proxy::start(redis.port).await;
                (format!("redis://127.0.0.1:{}", proxy.port), Some(proxy))
            }
            Redis::Watched(watched) => (watched.url.clone(), None),
        };
        let market = gate.url();
        let own = [
            ("SERVER_NAME", name),
            ("REDIS_URL", &url),
            ("MARKET_FEED", "massive"),
            ("MASSIVE_API_KEY", "k"),
            ("MASSIVE_WEBSOCKET_URL", &market),
        ];
        let store = self.postgres.iter().map(|(_, url)| ("DATABASE_URL", url.as_str()));
        let variables: Vec<_> = super::SYMBOLS.into_iter().chain(own).chain(store).collect();
        Server { name: name.to_owned(), process: Monitor::start_silent(&variables), gate, proxy }
    }

    fn seen(&self) -> usize {
        self.logs.iter().map(Log::count).sum()
    }

    async fn until_ticks_come(&self) {
        let before = self.seen();
        eventually("ticks come over Redis", || async { (self.seen() > before + 40).then_some(()) }).await;
    }

    /// Who collects, or would.
    async fn collector(&self) -> usize {
        for (place, server) in self.servers.iter().enumerate() {
            if server.process.ready().await["role"] == "collector" {
                return place;
            }
        }
        0
    }

    async fn until_all_stand(&self) {
        eventually("one collects and the others stand by", || async {
            let mut collectors = 0;
            for server in &self.servers {
                match server.process.ready().await["role"].as_str()? {
                    "collector" => collectors += 1,
                    "standby" => {}
                    _ => return None,
                }
            }
            (collectors == 1).then_some(())
        })
        .await;
    }

    async fn suffer(&mut self, fault: Fault) {
        let collector = self.collector().await;
        match fault {
            Fault::Kill(time) => self.kill(collector, time).await,
            Fault::KillAnother(time) => self.kill((collector + 1) % self.servers.len(), time).await,
            Fault::Stop(time) => self.stop(collector, time).await,
            Fault::StandStill(time) => {
                let process = &self.servers[collector].process;
                process.signal("-STOP");
                sleep(time).await;
                process.signal("-CONT");
            }
            Fault::Cut(time) => {
                if let Some(proxy) = &self.servers[collector].proxy {
                    proxy.shut(true);
                    proxy.forget_connections();
                    sleep(time).await;
                    proxy.shut(false);
                }
            }
            Fault::Roll => {
                for place in 0..self.servers.len() {
                    self.stop(place, Duration::ZERO).await;
                    let process = &self.servers[place].process;
                    eventually("it is there again", || async { process.ready().await["role"].as_str().map(|_| ()) })
                        .await;
                }
            }
            Fault::RestartRedis(time) => {
                if let Redis::One(redis) = &mut self.redis {
                    redis.kill();
                    sleep(time).await;
                    redis.restart().await;
                }
            }
            Fault::PauseRedis(time) => {
                if let Redis::One(redis) = &self.redis {
                    redis.hang();
                    sleep(time).await;
                    redis.go_on();
                }
            }
            Fault::Flush => {
                if let Redis::One(redis) = &self.redis {
                    redis.command("FLUSHALL").await.unwrap();
                }
            }
            Fault::RestartPostgres(time) => {
                if let Some((postgres, _)) = &mut self.postgres {
                    postgres.shut_down();
                    sleep(time).await;
                    postgres.start_again();
                }
            }
            Fault::FailOver => {
                if let Redis::Watched(watched) = &self.redis {
                    watched.fail_over().await;
                }
            }
        }
    }

    async fn kill(&mut self, place: usize, time: Duration) {
        self.servers[place].process.kill();
        sleep(time).await;
        self.servers[place].process.start_again();
    }

    async fn stop(&mut self, place: usize, time: Duration) {
        let process = &mut self.servers[place].process;
        process.signal("-TERM");
        process.end().await;
        sleep(time).await;
        process.start_again();
    }

    async fn verdict(&self, faults: &[Fault]) -> Result<Figures, Vec<String>> {
        let mut gaps = Vec::new();
        // One of them has it all where they share it.
        let ledgers = if self.postgres.is_some() { 1 } else { self.servers.len() };
        for server in &self.servers[..ledgers] {
            let database = match &self.postgres {
                Some((_, url)) => Database::open(url).await.unwrap(),
                None => server.process.database().await,
            };
            let always = app::model::time::UnixMillis(0)..app::model::time::UnixMillis(i64::MAX);
            gaps.extend(database.history_gaps(always, None, None, 10_000).await.unwrap());
            database.close().await;
        }
        let arrivals = self.servers.iter().flat_map(|server| {
            let name = server.name.clone();
            server.gate.arrival_times().into_iter().map(move |at| (name.clone(), at))
        });
        // A new master may know nothing of the lease's last renewal, so that it runs out there while the holder asks the old one.
        let may_evict = |fault: &Fault| {
            matches!(fault, Fault::StandStill(_) | Fault::Cut(_) | Fault::PauseRedis(_) | Fault::FailOver)
        };
        let is_of_redis = |fault: &Fault| {
            !matches!(
                fault,
                Fault::Kill(_)
                    | Fault::Stop(_)
                    | Fault::KillAnother(_)
                    | Fault::Roll
                    | Fault::Flush
                    | Fault::RestartPostgres(_)
            )
        };
        check(&Evidence {
            provider: &self.provider,
            logs: &self.logs,
            arrivals: arrivals.collect(),
            gaps,
            may_evict: faults.iter().any(may_evict),
            may_repeat: faults.iter().any(is_of_redis),
        })
    }
}

/// Runs one schedule.
async fn run(seed: u64) -> Result<Figures, String> {
    let mut random = SmallRng::seed_from_u64(seed);
    let over = if random.random_range(0..4) == 0 { Over::Sentinel } else { Over::One };
    let store = if random.random_range(0..3) == 0 { Store::Postgres } else { Store::Files };
    let seconds = Duration::from_secs(number("SCHEDULE_SECONDS", 2));
    let faults = faults(&mut random, over, store, 200);
    let mut field = Field::start(over, store).await;
    field.until_all_stand().await;
    field.until_ticks_come().await;
    let since = Instant::now();
    let mut suffered = 0;
    for fault in &faults {
        if since.elapsed() > seconds {
            break;
        }
        field.suffer(*fault).await;
        suffered += 1;
        sleep(Duration::from_millis(random.random_range(0..1_500))).await;
    }
    field.until_all_stand().await;
    field.until_ticks_come().await;
    // The ledger's last gap ends, and is written.
    sleep(Duration::from_millis(1_500)).await;
    let suffered = &faults[..suffered];
    match field.verdict(suffered).await {
        Ok(figures) => {
            println!("seed {seed}, {over:?}, {store:?}, {suffered:?}: {figures:?}");
            Ok(figures)
        }
        Err(wrong) => {
            if std::env::var_os("SCHEDULE_LOGS").is_some() {
                for server in &field.servers {
                    println!("--- seed {seed}, {}\n{}", server.name, server.process.log_tail());
                }
            }
            Err(format!("SCHEDULE_SEED={seed}, {over:?}, {store:?}, {suffered:?}:\n  {}", wrong.join("\n  ")))
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "on a machine with more to do than it can, Redis and this watcher stand still for seconds: run it by hand"]
async fn whatever_happens_epochs_rise_nobody_connects_without_the_lease_and_every_tick_is_on_redis_or_in_a_gap() {
    let count = number("SCHEDULES", 20);
    let first = number("SCHEDULE_SEED", rand::random_range(0..1_000_000_000));
    let schedules = stream::iter(first..first + count).map(|seed| async move {
        tokio::spawn(run(seed))
            .await
            .unwrap_or_else(|_| Err(format!("SCHEDULE_SEED={seed}: it did not come to its end")))
    });
    let results: Vec<_> = schedules.buffer_unordered(AT_ONCE).collect().await;
    let wrong: Vec<_> = results.iter().filter_map(|result| result.as_ref().err()).cloned().collect();
    assert!(wrong.is_empty(), "{} of {count} schedules:\n{}", wrong.len(), wrong.join("\n"));
}
