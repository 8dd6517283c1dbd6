//! What publishing under a lease costs, beside publishing with a command a tick: CPU time of this process and of Redis, in turns.

use crate::{
    redis::RedisServer,
    scenario::{Market, Source},
    usage::cpu_seconds,
};
use app::model::time::UnixMillis;
use serde_json::json;
use server::{
    bus::{self, Asker, Collecting, LeaseAnswer, LeaseOnRedis, Question, Right, Role},
    config::RedisConfig,
    tasks::Tasks,
};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

const TURNS: usize = 3;
const SECONDS: u64 = 3;
const RATES: [u64; 3] = [1_000, 10_000, 100_000];

/// All rates, both ways, in turns.
pub(crate) fn run() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    println!("| ticks/s | published by | this process, µs a tick | Redis, µs a tick |");
    println!("|---:|---|---:|---:|");
    let mut results = Vec::new();
    for rate in RATES {
        for _ in 0..TURNS {
            for is_fenced in [false, true] {
                let (ours, theirs) = runtime.block_on(publish(rate, is_fenced))?;
                let how = if is_fenced { "a script of up to 500" } else { "PUBLISH each" };
                println!("| {rate} | {how} | {ours:.2} | {theirs:.2} |");
                results.push(json!({"rate": rate, "fenced": is_fenced, "us": ours, "redis_us": theirs}));
            }
        }
    }
    println!("\n{}", json!(results));
    Ok(())
}

async fn publish(rate: u64, is_fenced: bool) -> anyhow::Result<(f64, f64)> {
    let redis = RedisServer::start()?;
    let config = RedisConfig {
        url: format!("redis://{}", redis.address).into(),
        key_prefix: "tickstock:".into(),
        publish_ticks: true,
    };
    let shutdown = CancellationToken::new();
    let _end = shutdown.clone().drop_guard();
    let role = if is_fenced { candidate(&config).await? } else { Role::Collector { source: "bench" } };
    let (bus, mut inbox) = bus::open(Some(&config), role, &Tasks::new(shutdown))?;
    redis.wait_for_subscriber(Source::Redis)?;
    tokio::spawn(async move {
        let mut delivery = bus::Delivery::default();
        loop {
            inbox.take(&mut delivery).await;
        }
    });
    let scenario = crate::floors::scenario(rate, SECONDS);
    let market = Market::new(&scenario);
    let (ours, theirs) = (cpu_seconds(std::process::id())?, cpu_seconds(redis.process_id())?);
    let (since, mut published) = (Instant::now(), 0);
    let mut bursts = tokio::time::interval(Duration::from_millis(1));
    while since.elapsed() < Duration::from_secs(SECONDS) {
        bursts.tick().await;
        let due = (since.elapsed().as_secs_f64() * rate as f64) as u64;
        let ticks: Vec<_> = (published..due).map(|n| market.tick(n, scenario.now_us())).collect();
        bus.publish_ticks(&ticks);
        published = due;
    }
    bus.flushed().await;
    let micros = |now: f64, before: f64| (now - before) * 1e6 / published as f64;
    Ok((micros(cpu_seconds(std::process::id())?, ours), micros(cpu_seconds(redis.process_id())?, theirs)))
}

/// A server that holds the lease for as long as a row takes.
async fn candidate(config: &RedisConfig) -> anyhow::Result<Role> {
    let asker = Asker { server: "bench".into(), host: "bench".into(), build: "bench".into() };
    let question = Question { epoch: 0, since: UnixMillis::now(), competes: true, seen: 0 };
    let answer = LeaseOnRedis::new(config, asker)?.ask(question).await.map_err(|why| anyhow::anyhow!("{why}"))?;
    let LeaseAnswer::Taken { epoch, .. } = answer else { anyhow::bail!("no lease: {answer:?}") };
    let right = Right::default();
    right.grant(epoch, tokio::time::Instant::now() + Duration::from_secs(60));
    right.set_collecting(Some(Collecting { since: UnixMillis::now(), last_ticks: BTreeMap::new() }));
    Ok(Role::Candidate { source: "bench", server: "bench".into(), right })
}
