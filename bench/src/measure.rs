//! One row: server, source, admins and load, put together and taken apart again.

use crate::{
    child::{self, Process},
    crowd::{Crowd, Seen, Watched},
    pace::pace,
    provider::{self, Provider},
    redis::{self, RedisServer},
    relays,
    rig::Published,
    scenario::{Contestant, Scenario, Source, View, WARM_UP},
    tls::Front,
    usage,
};
use anyhow::Context;
use hdrhistogram::Histogram;
use serde::Serialize;
use std::{
    sync::atomic::Ordering::Relaxed,
    thread,
    time::{Duration, Instant},
};

/// What was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) scenario: Scenario,
    /// Ticks published over the whole run.
    pub(crate) published: u64,
    /// Ticks delivered to all admins, a second.
    pub(crate) delivered_per_second: f64,
    /// Of those, the ones behind a later price.
    pub(crate) conflated_per_second: f64,
    /// Ticks delivered one by one, to all admins over the whole run; must be all of them with an open tape.
    pub(crate) one_by_one: u64,
    /// Ticks that some admin did not get.
    pub(crate) missing: u64,
    /// Ticks that came in another order than they were published in.
    pub(crate) disordered: u64,
    /// Publishing to having decoded, in milliseconds: p50, p99, p99.9. Fast readers only.
    pub(crate) latency_ms: [f64; 3],
    /// CPU seconds of the server a million ticks published.
    pub(crate) cpu_per_million_ticks: f64,
    /// The same a million ticks delivered.
    pub(crate) cpu_per_million_delivered: f64,
    /// Of one core.
    pub(crate) cpu_percent: f64,
    /// Bytes of messages a tick delivered.
    pub(crate) bytes_per_delivered: f64,
    pub(crate) messages_per_second: f64,
    /// The server's peak.
    pub(crate) peak_mb: f64,
    /// Nanoseconds of a `publish_ticks` call by tick: p50, p99, p99.9.
    pub(crate) call_ns: Option<[u64; 3]>,
    /// Slow admins: how many, and how many of them knew every latest price in the end.
    pub(crate) slow: Option<SlowAdmins>,
}

#[derive(Debug, Serialize)]
pub(crate) struct SlowAdmins {
    pub(crate) admins: usize,
    pub(crate) closed: usize,
    pub(crate) right_in_the_end: usize,
    /// How old the ticks were that they read, in milliseconds: half of them, and the oldest.
    pub(crate) age_ms: [f64; 2],
    /// Snapshots that stood for what they missed.
    pub(crate) snapshots: u64,
}

impl Row {
    /// Does every admin know of every tick, and every slow one of the latest prices?
    pub(crate) fn is_exact(&self) -> bool {
        let slow_are_right = self.slow.as_ref().is_none_or(|slow| slow.right_in_the_end == slow.admins);
        self.missing == 0 && self.disordered == 0 && slow_are_right
    }
}

/// The load, wherever it comes from.
enum Load {
    /// Inside the server's process, which paces itself.
    Inside,
    /// The server is kept until everything is read: with it would go what it has not delivered.
    Redis {
        load: Box<redis::Load>,
        _server: RedisServer,
    },
    /// The same.
    Frames {
        load: Box<redis::FrameLoad>,
        _server: RedisServer,
    },
    Provider(Box<provider::Load>),
}

pub(crate) fn measure(scenario: &Scenario) -> anyhow::Result<Row> {
    let redis = matches!(scenario.source, Source::Redis | Source::Frames).then(RedisServer::start).transpose()?;
    let is_provided = matches!(scenario.source, Source::Provider | Source::TlsProvider);
    let provider = is_provided.then(Provider::start).transpose()?;
    let front = provider.as_ref().filter(|_| scenario.source == Source::TlsProvider);
    let front = front.map(|provider| Front::start(provider.address)).transpose()?;
    let url = redis.as_ref().map(|server| format!("redis://{}", server.address));
    let url = url.or(front.as_ref().map(Front::url)).or(provider.as_ref().map(Provider::url));
    let mut command = match scenario.server {
        Contestant::Ours => {
            let scenario = serde_json::to_string(scenario)?;
            child::own(&["rig", &scenario].into_iter().chain(url.as_deref()).collect::<Vec<_>>())?
        }
        relay => relays::command(relay, &url.context("a relay needs a provider")?)?,
    };
    if let Some(front) = &front {
        command.envs(front.trust());
    }
    let mut server = Process::start(&mut command)?;
    let listening = server.listening()?;
    let load = match (redis, &provider) {
        (Some(redis), _) => {
            redis.wait_for_subscriber(scenario.source)?;
            if scenario.source == Source::Frames {
                Load::Frames { load: Box::new(redis::FrameLoad::new(scenario, &redis)?), _server: redis }
            } else {
                Load::Redis { load: Box::new(redis::Load::new(scenario, &redis)?), _server: redis }
            }
        }
        (None, Some(provider)) => Load::Provider(Box::new(provider.load(scenario)?)),
        (None, None) => Load::Inside,
    };
    let crowd = Crowd::connect(scenario, listening)?;
    // What connecting costs is not what is measured.
    thread::sleep(Duration::from_millis(300));
    let (published, window) = run(scenario, load, &mut server, &crowd)?;
    let peak_mb = usage::peak_mb(server.id());
    let watched = crowd.finish(published.ticks)?;
    drop(server);
    Ok(summarise(scenario, &published, &window, &watched, peak_mb))
}

/// Runs the load; the window opens once it is warm.
fn run(scenario: &Scenario, load: Load, server: &mut Process, crowd: &Crowd) -> anyhow::Result<(Published, Window)> {
    let (rate, spacing, length) = (scenario.ticks_per_second, scenario.spacing, scenario.length());
    let outside = move |mut publisher| {
        let ticks = match &mut publisher {
            Load::Inside => Ok(0),
            Load::Redis { load, .. } => pace(rate, spacing, length, load.as_mut()),
            Load::Frames { load, .. } => pace(rate, spacing, length, load.as_mut()),
            Load::Provider(load) => pace(rate, spacing, length, load.as_mut()),
        };
        ticks.map(|ticks| (ticks, publisher))
    };
    let outside = match load {
        Load::Inside => {
            server.tell("go")?;
            None
        }
        load => Some(thread::Builder::new().name(usage::GENERATOR.into()).spawn(move || outside(load))?),
    };
    thread::sleep(WARM_UP);
    let mut window = Window::open(server, crowd)?;
    crowd.tally.measuring.store(true, Relaxed);
    thread::sleep(length - WARM_UP);
    window.close(server, crowd)?;
    let published = match outside {
        None => server.answer()?,
        Some(thread) => {
            let (ticks, source) = thread.join().map_err(|_| anyhow::anyhow!("the load panicked"))??;
            wait_until_delivered(crowd, ticks, scenario);
            drop(source);
            Published { ticks, call_ns: [0; 3], calls_seconds: 0.0 }
        }
    };
    Ok((published, window))
}

fn wait_until_delivered(crowd: &Crowd, ticks: u64, scenario: &Scenario) {
    let goal = ticks * (scenario.admins - scenario.slow_admins) as u64;
    let deadline = Instant::now() + Duration::from_secs(10);
    while crowd.tally.ticks.load(Relaxed) < goal && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(50));
    }
}

/// What the server spent and the admins got, from one moment to another.
#[derive(Clone, Debug, Default)]
struct Window {
    opened: Option<Instant>,
    seconds: f64,
    cpu_seconds: f64,
    ticks: u64,
    prices: u64,
    messages: u64,
    bytes: u64,
}

impl Window {
    fn open(server: &Process, crowd: &Crowd) -> anyhow::Result<Self> {
        let tally = &crowd.tally;
        Ok(Self {
            opened: Some(Instant::now()),
            seconds: 0.0,
            cpu_seconds: usage::cpu_seconds(server.id())?,
            ticks: tally.ticks.load(Relaxed),
            prices: tally.prices.load(Relaxed),
            messages: tally.messages.load(Relaxed),
            bytes: tally.bytes.load(Relaxed),
        })
    }

    fn close(&mut self, server: &Process, crowd: &Crowd) -> anyhow::Result<()> {
        let end = Self::open(server, crowd)?;
        self.seconds = self.opened.map_or(0.0, |opened| opened.elapsed().as_secs_f64());
        self.cpu_seconds = end.cpu_seconds - self.cpu_seconds;
        self.ticks = end.ticks - self.ticks;
        self.prices = end.prices - self.prices;
        self.messages = end.messages - self.messages;
        self.bytes = end.bytes - self.bytes;
        Ok(())
    }
}

fn summarise(scenario: &Scenario, published: &Published, window: &Window, watched: &Watched, peak_mb: f64) -> Row {
    let Watched { seen, latency_us, .. } = watched;
    let cpu_seconds = window.cpu_seconds + published.calls_seconds;
    let millions = |count: f64| (count / 1e6).max(f64::MIN_POSITIVE);
    let published_in_window = scenario.ticks_per_second as f64 * window.seconds;
    let delivered = window.ticks as f64;
    let conflated = delivered - window.prices as f64;
    let fast = || seen.iter().filter(|seen| !seen.is_slow);
    Row {
        scenario: scenario.clone(),
        published: published.ticks,
        delivered_per_second: delivered / window.seconds,
        conflated_per_second: conflated / window.seconds,
        one_by_one: seen.iter().map(|seen| seen.one_by_one).sum(),
        missing: fast().map(|seen| missing(scenario, published.ticks, seen)).sum(),
        disordered: seen.iter().map(|seen| seen.disordered).sum(),
        latency_ms: [0.5, 0.99, 0.999].map(|quantile| milliseconds(latency_us, quantile)),
        cpu_per_million_ticks: cpu_seconds / millions(published_in_window),
        cpu_per_million_delivered: if delivered > 0.0 { cpu_seconds / millions(delivered) } else { 0.0 },
        cpu_percent: cpu_seconds / window.seconds * 100.0,
        bytes_per_delivered: if delivered > 0.0 { window.bytes as f64 / delivered } else { 0.0 },
        messages_per_second: window.messages as f64 / window.seconds,
        peak_mb,
        call_ns: (scenario.source == Source::Bus).then_some(published.call_ns),
        slow: (scenario.slow_admins > 0).then(|| slow(scenario, published.ticks, watched)),
    }
}

fn milliseconds(micros: &Histogram<u64>, quantile: f64) -> f64 {
    micros.value_at_quantile(quantile) as f64 / 1000.0
}

/// Ticks that an admin did not get, or got twice; with its tapes open, also those that did not come one by one.
fn missing(scenario: &Scenario, published: u64, seen: &Seen) -> u64 {
    let of_tapes = if scenario.view == View::Tape { published.abs_diff(seen.one_by_one) } else { 0 };
    published.abs_diff(seen.ticks) + of_tapes
}

/// Slow readers get the present, not the past: in the end every price they show is the latest.
fn slow(scenario: &Scenario, published: u64, watched: &Watched) -> SlowAdmins {
    let truth: std::collections::HashMap<_, _> = scenario.last_prices(published).collect();
    let slow: Vec<_> = watched.seen.iter().filter(|seen| seen.is_slow).collect();
    let is_right = |seen: &&&Seen| {
        let rows = seen.board.as_ref().map_or(&[][..], |board| &board.rows);
        let right =
            rows.iter().filter(|row| row.price.is_some() && row.price == truth.get(&row.symbol).copied()).count();
        right == truth.len() && seen.ticks == published
    };
    SlowAdmins {
        admins: slow.len(),
        closed: slow.iter().filter(|seen| seen.closed.is_some()).count(),
        right_in_the_end: slow.iter().filter(is_right).count(),
        age_ms: [0.5, 1.0].map(|quantile| milliseconds(&watched.slow_latency_us, quantile)),
        snapshots: slow.iter().map(|seen| seen.snapshots - 1).sum(),
    }
}
