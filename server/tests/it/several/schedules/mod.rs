//! Faults by chance, of servers and of Redis, and what has to be true all the same. `SCHEDULES=200` for as many schedules,
//! `SCHEDULE_SEED` for the first seed of others than those of every day, or of one that failed, `SCHEDULE_SECONDS=10` for longer ones,
//! `SCHEDULES_AT_ONCE` for how many beside each other.

mod checker;

use super::{
    log::{Log, Writers},
    market::Gate,
    provider::Provider,
};
use crate::util::{Monitor, Postgres, Proxy, RedisServer, Watched, eventually_within};
use app::model::time::UnixMillis;
use checker::{Evidence, Figures, check};
use futures_util::future::join_all;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use server::database::Database;
use std::time::{Duration, Instant};
use tokio::{task::block_in_place, time::sleep};

const SYMBOLS: [&[&str]; 2] = [&["AAPL", "MSFT"], &["NVDA", "JPM"]];
/// Schedules that run at a time.
const AT_ONCE: u64 = 4;
/// The first seed, unless another one is asked for.
const SEED: u64 = 820_000_000;
/// How long servers may take to stand as they should: several schedules and other tests run beside each other.
const PATIENCE: Duration = Duration::from_secs(60);

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
    /// None: ticks come.
    Publish,
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

/// What happens to whom.
struct Schedule {
    name: String,
    over: Over,
    store: Store,
    /// Each with the time until the next one.
    faults: Vec<(Fault, Duration)>,
    /// No fault begins later than this.
    time: Duration,
}

impl Schedule {
    fn by_chance(seed: u64) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let over = if random.random_range(0..4) == 0 { Over::Sentinel } else { Over::One };
        let store = if random.random_range(0..3) == 0 { Store::Postgres } else { Store::Files };
        let faults = faults(&mut random, over, store, 200).into_iter();
        let faults = faults.map(|fault| (fault, Duration::from_millis(random.random_range(0..1_500)))).collect();
        let time = Duration::from_secs(number("SCHEDULE_SECONDS", 2));
        Self { name: format!("SCHEDULE_SEED={seed}"), over, store, faults, time }
    }

    /// Of one Redis and one PostgreSQL.
    fn of(name: &str, faults: Vec<(Fault, Duration)>) -> Self {
        let time = Duration::from_secs(600);
        Self { name: name.to_owned(), over: Over::One, store: Store::Postgres, faults, time }
    }
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
    /// The schedule.
    what: String,
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
        let what = String::new();
        let mut field = Self { what, provider, redis, postgres, servers: Vec::new(), logs, _writers: writers };
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
        let process = block_in_place(|| Monitor::start_silent(&variables));
        Server { name: name.to_owned(), process, gate, proxy }
    }

    fn seen(&self) -> usize {
        self.logs.iter().map(Log::count).sum()
    }

    async fn until_ticks_come(&self) {
        let before = self.seen();
        eventually_within(PATIENCE, "ticks come over Redis", || async { (self.seen() > before + 40).then_some(()) })
            .await;
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
        eventually_within(PATIENCE, "one collects and the others stand by", || async {
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

    /// All that happened so far is in the ledger, and the last gap of each connection has ended: one may come up later than the
    /// other, and a tick of it that is seen before the end of its gap is written would be missing without a reason.
    async fn until_history_is_written(&self) {
        let now = UnixMillis::now().0 + 1_000;
        let database = self.database(self.collector().await).await;
        eventually_within(PATIENCE, "history is written, and no gap lasts", || async {
            let past = database.history_past(None).await.ok()?;
            (past.last_run?.last_seen_at.0 > now && past.open.is_empty()).then_some(())
        })
        .await;
        database.close().await;
    }

    /// Where a server keeps its history.
    async fn database(&self, place: usize) -> Database {
        match &self.postgres {
            Some((_, url)) => Database::open(url).await.unwrap(),
            None => self.servers[place].process.database().await,
        }
    }

    async fn suffer(&mut self, fault: Fault) {
        let collector = self.collector().await;
        match fault {
            Fault::Kill(time) => self.kill(collector, time).await,
            Fault::KillAnother(time) => self.kill((collector + 1) % self.servers.len(), time).await,
            Fault::Stop(time) => self.stop(collector, time).await,
            Fault::StandStill(time) => {
                let process = &self.servers[collector].process;
                block_in_place(|| process.signal("-STOP"));
                sleep(time).await;
                block_in_place(|| process.signal("-CONT"));
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
                    eventually_within(PATIENCE, "it is there again", || async {
                        process.ready().await["role"].as_str().map(|_| ())
                    })
                    .await;
                }
            }
            Fault::RestartRedis(time) => {
                if let Redis::One(redis) = &mut self.redis {
                    // Nobody gets in before the one who listens: what Redis takes is heard.
                    let (log, proxies) =
                        (&self.logs[0], self.servers.iter().filter_map(|server| server.proxy.as_ref()));
                    let subscriptions = log.subscriptions();
                    proxies.clone().for_each(|proxy| proxy.shut(true));
                    block_in_place(|| redis.kill());
                    sleep(time).await;
                    redis.restart().await;
                    eventually_within(PATIENCE, "the log is subscribed", || async {
                        (log.subscriptions() > subscriptions).then_some(())
                    })
                    .await;
                    proxies.for_each(|proxy| proxy.shut(false));
                }
            }
            Fault::PauseRedis(time) => {
                if let Redis::One(redis) = &self.redis {
                    block_in_place(|| redis.hang());
                    sleep(time).await;
                    block_in_place(|| redis.go_on());
                }
            }
            Fault::Flush => {
                if let Redis::One(redis) = &self.redis {
                    redis.command("FLUSHALL").await.unwrap();
                }
            }
            Fault::RestartPostgres(time) => {
                if let Some((postgres, _)) = &mut self.postgres {
                    block_in_place(|| postgres.shut_down());
                    sleep(time).await;
                    block_in_place(|| postgres.start_again());
                }
            }
            Fault::Publish => self.until_ticks_come().await,
            Fault::FailOver => {
                if let Redis::Watched(watched) = &self.redis {
                    watched.fail_over().await;
                }
            }
        }
    }

    async fn kill(&mut self, place: usize, time: Duration) {
        let process = &mut self.servers[place].process;
        block_in_place(|| process.kill());
        sleep(time).await;
        block_in_place(|| process.start_again());
    }

    async fn stop(&mut self, place: usize, time: Duration) {
        let process = &mut self.servers[place].process;
        block_in_place(|| process.signal("-TERM"));
        process.end().await;
        sleep(time).await;
        block_in_place(|| process.start_again());
    }

    async fn verdict(&self, faults: &[Fault]) -> Result<Figures, Vec<String>> {
        let mut gaps = Vec::new();
        // One of them has it all where they share it.
        let ledgers = if self.postgres.is_some() { 1 } else { self.servers.len() };
        for place in 0..ledgers {
            let database = self.database(place).await;
            let always = UnixMillis(0)..UnixMillis(i64::MAX);
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
                    | Fault::Publish
            )
        };
        check(&Evidence {
            provider: &self.provider,
            logs: &self.logs,
            arrivals: arrivals.collect(),
            gaps,
            may_evict: faults.iter().any(may_evict),
            may_repeat: faults.iter().any(is_of_redis),
            may_be_deaf: matches!(self.redis, Redis::Watched(_)),
        })
    }

    fn print_logs(&self) {
        for server in &self.servers {
            println!("--- {}, {}\n{}", self.what, server.name, server.process.log_tail());
        }
    }
}

impl Drop for Field {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.print_logs();
        }
    }
}

/// Runs one schedule.
async fn run(schedule: Schedule) -> Result<Figures, String> {
    let Schedule { name, over, store, faults, time } = schedule;
    let mut field = Field::start(over, store).await;
    field.what = format!("{name}, {over:?}, {store:?}");
    field.until_all_stand().await;
    field.until_ticks_come().await;
    let since = Instant::now();
    let mut suffered = Vec::new();
    for (fault, pause) in faults {
        if since.elapsed() > time {
            break;
        }
        field.what += &format!(", {fault:?}");
        field.suffer(fault).await;
        suffered.push(fault);
        sleep(pause).await;
    }
    field.until_all_stand().await;
    field.until_ticks_come().await;
    field.until_history_is_written().await;
    let verdict = field.verdict(&suffered).await;
    match &verdict {
        Ok(figures) => println!("{}: {figures:?}", field.what),
        Err(_) => field.print_logs(),
    }
    let what = field.what.clone();
    block_in_place(|| drop(field));
    verdict.map_err(|wrong| format!("{what}:\n  {}", wrong.join("\n  ")))
}

/// Runs schedules beside each other, but not beside whoever measures times.
async fn run_all(schedules: impl IntoIterator<Item = Schedule>) -> Vec<Result<Figures, String>> {
    let _alone = super::MEASURING.write().await;
    let runs = schedules.into_iter().map(|schedule| {
        let name = schedule.name.clone();
        async move { tokio::spawn(run(schedule)).await.unwrap_or_else(|_| Err(name + ": it did not come to its end")) }
    });
    join_all(runs).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_collector_gives_up_while_it_hands_over_is_in_the_ledger() {
    // The connections to Redis are dead, and nobody knows of it for two seconds: it is told to stop before that, or then.
    let cut = Fault::Cut(Duration::from_millis(300));
    let after = |pause_ms: u64| {
        let pause = Duration::from_millis(pause_ms);
        Schedule::of("hand-over", vec![(cut, pause), (Fault::Stop(Duration::ZERO), Duration::ZERO)])
    };
    for figures in run_all([after(900), after(1_600)]).await {
        assert!(figures.as_ref().is_ok_and(|figures| figures.missing_in_gaps > 0), "{figures:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_collector_gave_up_is_in_the_ledger_when_it_is_killed_as_soon_as_it_publishes_again() {
    let restart = Fault::RestartRedis(Duration::from_millis(600));
    let faults = vec![
        (restart, Duration::ZERO),
        (Fault::Publish, Duration::ZERO),
        (Fault::Kill(Duration::ZERO), Duration::ZERO),
    ];
    let figures = run_all([Schedule::of("kill", faults)]).await.remove(0);
    assert!(figures.as_ref().is_ok_and(|figures| figures.missing_in_gaps > 0), "{figures:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_in_flight_when_a_collector_was_cut_off_and_killed_is_in_the_ledger() {
    // It wrote history in between, before it knew that Redis took nothing any more.
    let cut = (Fault::Cut(Duration::from_millis(300)), Duration::from_millis(1_100));
    let kill = || Schedule::of("cut and kill", vec![cut, (Fault::Kill(Duration::ZERO), Duration::ZERO)]);
    for figures in run_all([kill(), kill()]).await {
        assert!(figures.as_ref().is_ok_and(|figures| figures.missing_in_gaps > 0), "{figures:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_epochs_rise_nobody_connects_without_the_lease_and_every_tick_is_on_redis_or_in_a_gap() {
    let count = number("SCHEDULES", 20);
    let (first, at_once) = (number("SCHEDULE_SEED", SEED), number("SCHEDULES_AT_ONCE", AT_ONCE));
    let since = Instant::now();
    let mut results = Vec::new();
    for seed in (first..first + count).step_by(at_once as usize) {
        let seeds = seed..(seed + at_once).min(first + count);
        results.extend(run_all(seeds.map(Schedule::by_chance)).await);
    }
    let wrong: Vec<_> = results.iter().filter_map(|result| result.as_ref().err()).cloned().collect();
    let right: Vec<_> = results.iter().flatten().collect();
    let sum = |of: fn(&Figures) -> u64| right.iter().map(|figures| of(figures)).sum::<u64>();
    println!(
        "{count} schedules from seed {first} on in {:.0} s: {} right, ticks: {} made, {} seen, {} in gaps, {} unheard, {} again; \
         {} epochs, {} evictions",
        since.elapsed().as_secs_f64(),
        right.len(),
        sum(|figures| figures.made),
        sum(|figures| figures.seen),
        sum(|figures| figures.missing_in_gaps),
        sum(|figures| figures.unheard),
        sum(|figures| figures.repeated),
        sum(|figures| figures.epochs as u64),
        sum(|figures| figures.evictions as u64),
    );
    assert!(wrong.is_empty(), "{} of {count} schedules:\n{}", wrong.len(), wrong.join("\n"));
}
