//! How long a takeover takes: `TAKEOVERS=20` for the times that are in docs/performance.md.

use super::Cluster;
use std::time::{Duration, Instant};
use tokio::time::sleep;

#[tokio::test(flavor = "multi_thread")]
async fn takeovers_again_and_again_take_no_longer_than_the_first() {
    let _measuring = super::MEASURING.read().await;
    let count: usize = std::env::var("TAKEOVERS").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    let cluster = Cluster::start().await;
    for (signal, limit) in [("-KILL", Duration::from_secs(2)), ("-TERM", Duration::from_millis(500))] {
        let (mut collector, [mut standby]) = cluster.with_standbys(["b:2"]).await;
        let mut times = Vec::new();
        for _ in 0..count {
            let epoch = cluster.epoch();
            sleep(Duration::from_millis(500)).await;
            let since = Instant::now();
            collector.process.signal(signal);
            let (at, _) = cluster.seen.first_after(epoch).await;
            times.push(at - since);
            collector.process.end().await;
            standby.until_it_collects().await;
            collector.process.start_again();
            collector.until_it_is("standby").await;
            std::mem::swap(&mut collector, &mut standby);
        }
        times.sort_unstable();
        println!("{signal}: p50 {:?}, p99 {:?} of {count}", times[times.len() / 2], times[times.len() - 1]);
        assert!(times[times.len() - 1] < limit, "{signal}: {times:?}");
        // Neither of them is left for the next round.
        collector.process.kill();
        standby.process.kill();
        sleep(Duration::from_millis(1_600)).await;
    }
    cluster.seen.epochs_never_fall();
}
