//! A server that is killed has recorded every tick up to a second before.

use super::{CONNECTIONS, Counts, Numbers, feed, provider::Provider};
use crate::util::{Monitor, eventually};
use rand::Rng;
use serde_json::Value;
use std::{collections::BTreeMap, time::Duration};
use tokio::time::{Instant, sleep};

/// Longer than a chunk is filled and written.
const LOST_AT_MOST: Duration = Duration::from_millis(1_000);

/// `RECORDING_KILLS` kills, 3 without it, at moments that are drawn by lot.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_has_recorded_every_tick_up_to_a_second_before() {
    let kills = std::env::var("RECORDING_KILLS").map_or(3, |text| text.parse().unwrap());
    let provider = Provider::start().await;
    let feed = feed(&provider);
    let mut variables = CONNECTIONS.to_vec();
    variables.extend(feed.iter().map(|(name, value)| (*name, value.as_str())));
    variables.push(("RECORDING", "true"));
    let mut monitor = Monitor::start(&variables);
    let mut worst = Duration::ZERO;
    for kill in 0..kills {
        eventually("every symbol is subscribed", || async { (provider.subscribed() == 7).then_some(()) }).await;
        let before = provider.sent();
        let began = Instant::now();
        let lives = LOST_AT_MOST + Duration::from_millis(rand::rng().random_range(0..1_500));
        let mut sent = Vec::new();
        while began.elapsed() < lives {
            provider.trade(1).await;
            sent.push((Instant::now(), provider.sent()));
            sleep(Duration::from_millis(3)).await;
        }
        monitor.kill();
        let killed = Instant::now();
        monitor.start_again();
        monitor.until_ready().await;
        let recorded = recorded(&monitor, &before).await;
        // Of no symbol more is lost than of the one of which most is.
        let whole_until = sent.iter().rev().find(|(_, counts)| counts.iter().all(|(symbol, n)| recorded[symbol] >= *n));
        let lost = killed - whole_until.map_or(began, |(at, _)| *at);
        worst = worst.max(lost);
        assert!(
            lost < LOST_AT_MOST,
            "kill {kill} after {lives:?}: {lost:?} are missing; {recorded:?} of {:?}",
            provider.sent()
        );
    }
    println!("{kills} kills: at most the last {worst:?} were not recorded");
}

/// The last number of each symbol, when those behind `before` are there without a hole and once.
async fn recorded(monitor: &Monitor, before: &Counts) -> Counts {
    let text = monitor.admin().await.get("/api/admin/recording/ticks?from=-1h&format=jsonl", 200).await;
    let mut numbers = BTreeMap::<String, Vec<u64>>::new();
    for line in text.lines() {
        let tick: Value = serde_json::from_str(line).unwrap();
        assert_eq!(tick["ticks"], 1, "nothing was conflated: {tick}");
        let symbol = tick["symbol"].as_str().unwrap().to_owned();
        numbers.entry(symbol).or_default().push(tick["price"].as_f64().unwrap() as u64);
    }
    let of = |(symbol, numbers): (String, Vec<u64>)| {
        let first = before.get(&symbol).unwrap_or(&0) + 1;
        let new: Vec<_> = numbers.into_iter().filter(|number| *number >= first).collect();
        let last = first + new.len() as u64 - 1;
        assert_eq!(new, Vec::from_iter(first..=last), "{symbol}");
        (symbol, last)
    };
    numbers.into_iter().map(of).collect()
}
