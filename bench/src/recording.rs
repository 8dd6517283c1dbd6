//! What the recording costs: bytes a tick on disk, beside the same ticks as JSON lines with zstd, and time a tick on the hub's thread.
//!
//! Time is simulated, a frame every 10 ms; trades are drawn as the simulated market draws them.

use anyhow::Context;
use app::model::{
    connection::{ConnectionId, ConnectionSet},
    status::Feed,
    symbol::Symbol,
    tick::Tick,
    time::UnixMillis,
};
use clap::Args;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use serde_json::{Value, json};
use server::{
    bus::{Delivery, write_tick},
    config::{Config, Variables},
    monitor::Monitor,
    recording::{Format, Recording, RecordingConfig, Wanted},
    universe::{Universes, plan},
};
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tokio::runtime::Runtime;

const RATES: [u64; 3] = [1_000, 10_000, 100_000];
const FRAME_MS: i64 = 10;
/// Enough for a minute's file and its whole boards to count.
const SECONDS: i64 = 90;
const TURNS: usize = 3;

/// What is measured.
#[derive(Args)]
pub(crate) struct Options {
    /// Fills this folder instead, so that a server can show it: with so many hours up to now, of so many ticks a second.
    #[arg(long, value_name = "FOLDER")]
    fill: Option<PathBuf>,
    #[arg(long, default_value_t = 24, requires = "fill")]
    hours: u16,
    #[arg(long, default_value_t = 1_000, requires = "fill")]
    rate: u64,
}

/// Prints the rows; the same as JSON on the last line.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if let Some(folder) = &options.fill {
        return fill(folder, options, &runtime);
    }
    println!(
        "| ticks/s | bytes a tick | as Parquet | JSON lines, zstd of a second | a day | per tick without | with | added |"
    );
    println!("|---:|---:|---:|---:|---:|---:|---:|---:|");
    let mut results = Vec::new();
    for rate in RATES {
        // The quickest of some, turn by turn, so that a machine that warms up favours neither.
        let (mut without, mut with, mut size, mut parquet) = (f64::MAX, f64::MAX, 0.0, 0.0);
        for _ in 0..TURNS {
            without = without.min(Market::new(rate, UnixMillis::now())?.run(SECONDS, None)?);
            let folder = tempfile::tempdir()?;
            let (recording, tee, recorder) = Recording::start(config(folder.path()))?;
            let mut market = Market::new(rate, UnixMillis::now())?;
            market.monitor.record_to(tee);
            with = with.min(market.run(SECONDS, Some(&recording))?);
            drop(market);
            runtime.block_on(recorder.ended());
            let contents = recording.contents().context("the recording")?;
            anyhow::ensure!(recording.counted().lost == 0, "ticks were lost: {:?}", recording.counted());
            size = contents.bytes as f64 / contents.ticks as f64;
            let everything = Wanted {
                range: UnixMillis(0)..UnixMillis(i64::MAX),
                connections: ConnectionSet::default(),
                symbol: None,
            };
            let mut file = Vec::new();
            recording.export(&everything, Format::Parquet, &mut file).map_err(|error| anyhow::anyhow!("{error}"))?;
            parquet = file.len() as f64 / contents.ticks as f64;
        }
        let lines = Market::new(rate, UnixMillis::now())?.json_bytes_a_tick()?;
        let day = size * rate as f64 * 86_400.0 / 1e9;
        println!(
            "| {rate} | {size:.2} | {parquet:.2} | {lines:.2} | {day:.2} GB | {without:.0} ns | {with:.0} ns | {:.0} ns |",
            with - without
        );
        results.push(json!({
            "ticks_per_second": rate, "bytes_a_tick": size, "parquet_bytes_a_tick": parquet, "json_zstd_bytes_a_tick": lines, "day_gb": day,
            "without_ns": without, "with_ns": with,
        }));
    }
    println!("\n{}", Value::from(results));
    Ok(())
}

fn config(folder: &Path) -> RecordingConfig {
    let kept = Duration::from_secs(400 * 3600);
    RecordingConfig { enabled: true, folder: folder.to_owned(), kept, bytes_max: 1 << 40 }
}

fn fill(folder: &Path, options: &Options, runtime: &Runtime) -> anyhow::Result<()> {
    let seconds = i64::from(options.hours) * 3_600;
    let started = Instant::now();
    let (recording, tee, recorder) = Recording::start(config(folder))?;
    let mut market = Market::new(options.rate, UnixMillis(UnixMillis::now().0 - seconds * 1_000))?;
    market.monitor.record_to(tee);
    market.run(seconds, Some(&recording))?;
    drop(market);
    runtime.block_on(recorder.ended());
    let contents = recording.contents().context("the recording")?;
    println!("{} ticks, {} bytes, in {:.0?}", contents.ticks, contents.bytes, started.elapsed());
    Ok(())
}

/// 300 symbols of three connections.
struct Market {
    monitor: Monitor,
    rng: SmallRng,
    symbols: Vec<(ConnectionId, Symbol, i64)>,
    per_frame: usize,
    now: UnixMillis,
}

impl Market {
    fn new(rate: u64, now: UnixMillis) -> anyhow::Result<Self> {
        let config = Config::read(&Variables::default()).map_err(|problems| anyhow::anyhow!("{problems:?}"))?;
        let plans = plan(&config.connections, &Universes::load(None)?);
        let mut rng = SmallRng::seed_from_u64(18);
        let names = plans.iter().flat_map(|plan| plan.config.symbols.iter().map(|symbol| (plan.id, *symbol)));
        let symbols = names.map(|(id, symbol)| (id, symbol, rng.random_range(2_000..50_000))).collect();
        let monitor = Monitor::new(Feed::Simulator, plans, now);
        Ok(Self { monitor, rng, symbols, per_frame: (rate * FRAME_MS as u64 / 1_000) as usize, now })
    }

    fn ticks(&mut self, ticks: &mut Vec<Tick>) {
        ticks.clear();
        for _ in 0..self.per_frame {
            let place = self.rng.random_range(0..self.symbols.len());
            let (id, symbol, cents) = &mut self.symbols[place];
            // The middle walks, and trades bounce between bid and ask.
            *cents = (*cents + self.rng.random_range(-2..=2)).max(100);
            let half_spread = (*cents / 10_000).max(1);
            let cents = if self.rng.random() { *cents + half_spread } else { *cents - half_spread };
            let volume = match self.rng.random_range(0..100) {
                0..45 => self.rng.random_range(1..100),
                45..85 => 100,
                85..99 => 100 * self.rng.random_range(2..10),
                _ => 100 * self.rng.random_range(10..100),
            };
            ticks.push(Tick {
                connection_id: Some(*id),
                symbol: *symbol,
                price: cents as f64 / 100.0,
                volume,
                timestamp: UnixMillis(self.now.0 - self.rng.random_range(0..FRAME_MS)),
            });
        }
        ticks.sort_by_key(|tick| tick.timestamp);
    }

    /// Nanoseconds a tick that folding and flushing take on the hub's thread.
    fn run(&mut self, seconds: i64, recording: Option<&Recording>) -> anyhow::Result<f64> {
        let (mut delivery, mut took, mut count) = (Delivery::default(), Duration::ZERO, 0);
        for frame in 1..=seconds * 1_000 / FRAME_MS {
            self.now.0 += FRAME_MS;
            let mut ticks = std::mem::take(&mut delivery.ticks);
            self.ticks(&mut ticks);
            delivery.ticks = ticks;
            count += delivery.ticks.len();
            let started = Instant::now();
            self.monitor.take(&delivery, self.now);
            let frames = self.monitor.flush(self.now);
            self.monitor.told(frames, self.now);
            took += started.elapsed();
            if frame % (1_000 / FRAME_MS) == 0 {
                let beat = self.monitor.beat(self.now, 1.0);
                self.monitor.told(vec![beat], self.now);
            }
            // Simulated time passes quicker than the recorder writes.
            while recording.is_some_and(|recording| count as u64 > recording.counted().ticks + 3 * self.second()) {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        Ok(took.as_nanos() as f64 / count as f64)
    }

    fn second(&self) -> u64 {
        self.per_frame as u64 * 1_000 / FRAME_MS as u64 / 2
    }

    fn json_bytes_a_tick(&mut self) -> anyhow::Result<f64> {
        let (mut ticks, mut text, mut line) = (Vec::new(), String::new(), String::new());
        let (mut bytes, mut count) = (0, 0);
        for frame in 1..=10 * 1_000 / FRAME_MS {
            self.now.0 += FRAME_MS;
            self.ticks(&mut ticks);
            count += ticks.len();
            for tick in &ticks {
                line.clear();
                write_tick(tick, "massive", None, &mut line);
                text.push_str(&line);
                text.push('\n');
            }
            if frame % (1_000 / FRAME_MS) == 0 {
                bytes += zstd::bulk::compress(text.as_bytes(), 1)?.len();
                text.clear();
            }
        }
        Ok(bytes as f64 / count as f64)
    }
}
