//! The rows of `make bench`, and how they are printed.

use crate::{
    aims, api,
    floors::{self, Floors},
    ingest,
    measure::{Row, measure},
    relays,
    scenario::{CONNECTIONS, Contestant, Scenario, Source, Spacing, View, unix_us},
};
use serde_json::json;
use std::{fs, path::PathBuf};

/// What to run.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// Fewer rows, each shorter: while working, not for figures to keep.
    #[arg(long)]
    quick: bool,
    /// Only groups whose name has this in it.
    #[arg(long, default_value = "")]
    only: String,
    /// Where to write everything as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    let mut group = String::new();
    for scenario in scenarios(options.quick).into_iter().filter(|scenario| scenario.group.contains(&options.only)) {
        if !relays::is_installed(scenario.server) {
            eprintln!("{:?} is not installed: left out", scenario.server);
            continue;
        }
        if group != scenario.group {
            group.clone_from(&scenario.group);
            println!("\n### {group}\n\n{HEAD}");
        }
        let row = measure(&Scenario { epoch_us: unix_us(), ..scenario })?;
        println!("{}", line(&row));
        rows.push(row);
    }
    let floors = if "floors".contains(&options.only) { floors::run(options.quick)? } else { Floors::default() };
    let ingest = if "ingest".contains(&options.only) {
        tokio::runtime::Runtime::new()?.block_on(ingest::measure())?
    } else {
        json!(null)
    };
    let whole = "whole".contains(&options.only).then(api::run).transpose()?;
    let aims = aims::print(&rows, whole.as_ref(), floors.reading_ns);
    if let Some(path) = &options.json {
        fs::write(
            path,
            serde_json::to_string_pretty(
                &json!({"rows": rows, "floors": floors.told, "ingest": ingest, "whole": whole, "aims": aims}),
            )?,
        )?;
    }
    let wrong = rows.iter().filter(|row| row.scenario.server == Contestant::Ours && !row.is_exact()).count();
    anyhow::ensure!(wrong == 0, "{wrong} rows miscounted");
    Ok(())
}

fn scenarios(quick: bool) -> Vec<Scenario> {
    let seconds = if quick { 2 } else { 5 };
    let plain = Scenario {
        group: String::new(),
        server: Contestant::Ours,
        source: Source::Bus,
        view: View::Latest,
        admins: 10,
        slow_admins: 0,
        connections: CONNECTIONS,
        symbols: 300,
        ticks_per_second: 10_000,
        spacing: Spacing::Bursts,
        seconds,
        epoch_us: 0,
    };
    let mut rows = Vec::new();
    let mut add = |group: &str, scenario: Scenario| rows.push(Scenario { group: group.into(), ..scenario });

    for (admins, ticks_per_second, spacing) in [
        (10, 10_000, Spacing::Bursts),
        (10, 10_000, Spacing::Even),
        (100, 1_000, Spacing::Bursts),
        (10, 40_000, Spacing::Bursts),
    ] {
        let aim = Scenario { admins, ticks_per_second, spacing, ..plain.clone() };
        add("every tick to every admin", Scenario { view: View::Tape, ..aim.clone() });
        add("every tick to every admin", Scenario { view: View::Tape, source: Source::Provider, ..aim.clone() });
        add("every tick to every admin", Scenario { view: View::Latest, ..aim });
    }
    for source in [Source::Provider, Source::TlsProvider] {
        for spacing in [Spacing::Bursts, Spacing::Even] {
            let group = "against a message a tick";
            let provider = Scenario { source, spacing, ..plain.clone() };
            add(group, Scenario { view: View::Tape, ..provider.clone() });
            // The relays read the same frames as this one.
            add(group, Scenario { view: View::Tape, connections: 1, ..provider.clone() });
            for server in [Contestant::Bun, Contestant::Axum, Contestant::Node] {
                add(group, Scenario { server, connections: 1, ..provider.clone() });
            }
        }
    }
    for source in [Source::Bus, Source::Redis] {
        let group = if source == Source::Bus { "from the bus" } else { "from Redis" };
        for admins in if quick { vec![10, 100] } else { vec![1, 10, 100, 1_000] } {
            for ticks_per_second in if quick { vec![10_000] } else { vec![1_000, 10_000, 100_000] } {
                add(group, Scenario { source, admins, ticks_per_second, ..plain.clone() });
            }
        }
    }
    for ticks_per_second in [10_000, 100_000] {
        for source in [Source::Redis, Source::Frames] {
            add("a dashboard tick by tick and by frames", Scenario { source, ticks_per_second, ..plain.clone() });
        }
    }
    for admins in [0, 1, 10, 100] {
        add("what admins cost the ingest path", Scenario { admins, ..plain.clone() });
    }
    let bars = Scenario { symbols: 11_000, ticks_per_second: 11_000, spacing: Spacing::Seconds, ..plain.clone() };
    add("bursts", bars.clone());
    add("bursts", Scenario { source: Source::Provider, ..bars });
    add("bursts", Scenario { ticks_per_second: 100_000, symbols: 11_000, ..plain.clone() });
    add("bursts", Scenario { ticks_per_second: 400_000, seconds: 1, symbols: 11_000, ..plain.clone() });
    add(
        "bursts",
        Scenario { ticks_per_second: 400_000, seconds: 1, symbols: 11_000, source: Source::Provider, ..plain.clone() },
    );
    for slow_admins in [0, 50] {
        add("slow readers", Scenario { admins: 100, slow_admins, seconds: seconds * 4, ..plain.clone() });
    }
    rows
}

const HEAD: &str = "\
| server, from, ticks | admins × ticks/s | delivered/s | conflated | counts | p50 / p99 / p99.9 ms | CPU s per million delivered | per million ticks | of a core | bytes a tick | peak MB | publish ns p50 / p99 |
|---|---:|---:|---:|---|---:|---:|---:|---:|---:|---:|---:|";

fn line(row: &Row) -> String {
    let scenario = &row.scenario;
    let server = match scenario.server {
        Contestant::Ours if scenario.connections == 1 => "ours, every tick, one connection",
        Contestant::Ours if scenario.view == View::Tape => "ours, every tick",
        Contestant::Ours => "ours, latest",
        Contestant::Axum => "axum broadcast",
        Contestant::Node => "Node `ws`",
        Contestant::Bun => "bun (uWebSockets)",
    };
    let source = match scenario.source {
        Source::Bus => "bus",
        Source::Redis => "Redis",
        Source::Frames => "frames",
        Source::Provider => "provider",
        Source::TlsProvider => "provider through TLS",
    };
    let counts = match (row.is_exact(), scenario.admins, &row.slow) {
        (_, 0, _) => "–".to_owned(),
        (true, _, Some(slow)) => {
            format!(
                "exact; slow: {} of {} right, {} snapshots, ticks {:.1} s old, {:.1} s at most",
                slow.right_in_the_end,
                slow.admins,
                slow.snapshots,
                slow.age_ms[0] / 1000.0,
                slow.age_ms[1] / 1000.0
            )
        }
        (true, ..) => "exact".to_owned(),
        (false, _, Some(slow)) => {
            format!("{} MISSING; slow: {} of {} right", row.missing, slow.right_in_the_end, slow.admins)
        }
        (false, ..) => format!("{} MISSING, {} disordered", row.missing, row.disordered),
    };
    let [p50, p99, p999] = row.latency_ms;
    let conflated =
        if row.delivered_per_second > 0.0 { row.conflated_per_second / row.delivered_per_second * 100.0 } else { 0.0 };
    let publish = row.call_ns.map_or("–".to_owned(), |[p50, p99, _]| format!("{p50} / {p99}"));
    format!(
        "| {server}, {source}, {} | {} × {} | {:.0} | {conflated:.0} % | {counts} | {p50:.1} / {p99:.1} / {p999:.1} | {:.3} | {:.2} | {:.1} % | {:.1} | {:.0} | {publish} |",
        scenario.spacing.label(),
        scenario.admins,
        scenario.ticks_per_second,
        row.delivered_per_second,
        row.cpu_per_million_delivered,
        row.cpu_per_million_ticks,
        row.cpu_percent,
        row.bytes_per_delivered,
        row.peak_mb,
    )
}
