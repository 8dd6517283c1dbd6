//! Who gets in, who does not, and what is on record of it: from outside, as an attacker would try it.

mod account;
mod attacks;
mod audit;
mod canary;
mod flood;
mod frames;
mod front;
mod limits;
mod oidc;
mod refusals;
mod rights;
mod screens;
mod second_factor;
mod sessions;
mod tls;
mod tokens;
mod words;

use std::{collections::BTreeMap, time::Duration};
use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::{MissedTickBehavior, interval},
};

/// How long a flood lasts: `ATTACK_SECONDS`, a short burst unless it is set.
fn attack_length() -> Duration {
    Duration::from_secs(std::env::var("ATTACK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5))
}

/// Sends the numbered requests at a steady pace until `stopped`; answers how often each status came, 0 where the network failed.
fn flood<R>(
    pace: Duration,
    stopped: watch::Receiver<bool>,
    request: impl Fn(u32) -> R + Send + 'static,
) -> JoinHandle<BTreeMap<u16, u32>>
where
    R: Future<Output = u16> + Send + 'static,
{
    tokio::spawn(async move {
        let mut beats = interval(pace);
        beats.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let (mut requests, mut answers) = (JoinSet::new(), BTreeMap::new());
        for n in 0.. {
            beats.tick().await;
            if *stopped.borrow() {
                break;
            }
            requests.spawn(request(n));
            while let Some(Ok(status)) = requests.try_join_next() {
                *answers.entry(status).or_default() += 1;
            }
        }
        while let Some(Ok(status)) = requests.join_next().await {
            *answers.entry(status).or_default() += 1;
        }
        answers
    })
}
