//! What the rows are held against: the numbers of the specification, and further aims on two cores.

use crate::{
    api::Whole,
    measure::Row,
    scenario::{CONNECTIONS, Contestant, Source, Spacing, View},
};
use serde::Serialize;

/// One aim and what was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Aim {
    what: &'static str,
    unit: &'static str,
    at_most: f64,
    measured: f64,
}

impl Aim {
    fn is_met(&self) -> bool {
        self.measured <= self.at_most
    }
}

/// Prints the aims that these rows say something about. `reading_ns`: what nothing could read a tick from a provider for, in bursts.
pub(crate) fn print(rows: &[Row], whole: Option<&Whole>, reading_ns: Option<f64>) -> Vec<Aim> {
    let mut aims = Vec::new();
    let mut add = |what, unit, at_most, measured: Option<f64>| {
        aims.extend(measured.map(|measured| Aim { what, unit, at_most, measured }));
    };
    let from = |source, admins, ticks_per_second, spacing| {
        rows.iter().find(|row| {
            let scenario = &row.scenario;
            scenario.server == Contestant::Ours
                && (scenario.view, scenario.source, scenario.connections) == (View::Tape, source, CONNECTIONS)
                && (scenario.admins, scenario.ticks_per_second, scenario.spacing) == (admins, ticks_per_second, spacing)
        })
    };
    let tape = |admins, ticks_per_second, spacing| from(Source::Bus, admins, ticks_per_second, spacing);
    let latest = |admins, ticks_per_second| {
        rows.iter().find(|row| {
            let scenario = &row.scenario;
            scenario.server == Contestant::Ours
                && (scenario.view, scenario.slow_admins) == (View::Latest, 0)
                && (scenario.admins, scenario.ticks_per_second) == (admins, ticks_per_second)
        })
    };
    let cost = |row: Option<&Row>| row.map(|row| row.cpu_per_million_delivered);
    let bursts = tape(10, 10_000, Spacing::Bursts);
    add("10 admins × 10,000 ticks/s in bursts, every tick", "CPU s per million delivered", 0.3, cost(bursts));
    add("the same, p99 of the time to an admin", "ms", 12.0, bursts.map(|row| row.latency_ms[1]));
    add("the same, peak memory", "MB", 30.0, bursts.map(|row| row.peak_mb));
    let evenly = cost(tape(10, 10_000, Spacing::Even));
    add("10 admins × 10,000 ticks/s evenly, every tick", "CPU s per million delivered", 0.5, evenly);
    let many = tape(100, 1_000, Spacing::Bursts);
    add("100 admins × 1,000 ticks/s, every tick", "CPU s per million delivered", 0.6, cost(many));
    add("the same, peak memory", "MB", 30.0, many.map(|row| row.peak_mb));
    let fast = tape(10, 40_000, Spacing::Bursts);
    add("10 admins × 40,000 ticks/s, every tick", "CPU s per million delivered", 0.1, cost(fast));
    add("the same, ticks miscounted", "ticks", 0.0, fast.map(|row| row.missing as f64));
    let call_us = latest(10, 10_000).and_then(|row| row.call_ns).map(|[_, p99, _]| p99 as f64 / 1000.0);
    add("N3: what a tick takes of the ingest path, p99, 10 admins", "µs", 50.0, call_us);
    add("N4: 1,000 admins × 10,000 ticks/s", "% of a core", 100.0, latest(1_000, 10_000).map(|row| row.cpu_percent));
    let rush = latest(10, 100_000);
    add("N6: 100,000 ticks/s taken in and conflated", "% of a core", 100.0, rush.map(|row| row.cpu_percent));
    let peak = latest(10, 400_000);
    add("N6: 400,000 ticks in one second, miscounted", "ticks", 0.0, peak.map(|row| row.missing as f64));
    let relayed = |server, connections, source, spacing| {
        let is_it = |row: &&Row| {
            let scenario = &row.scenario;
            scenario.group.starts_with("against")
                && (scenario.server, scenario.connections) == (server, connections)
                && (scenario.source, scenario.spacing) == (source, spacing)
        };
        rows.iter().find(is_it).map(|row| row.cpu_per_million_delivered)
    };
    for (what, connections, source, spacing) in [
        ("from a provider in bursts, against bun, both over one connection", 1, Source::Provider, Spacing::Bursts),
        ("from a provider evenly, against bun, both over one connection", 1, Source::Provider, Spacing::Even),
        ("the same in bursts, through TLS", 1, Source::TlsProvider, Spacing::Bursts),
        ("the same evenly, through TLS", 1, Source::TlsProvider, Spacing::Even),
        ("ours over three connections in bursts, against bun over one", CONNECTIONS, Source::Provider, Spacing::Bursts),
        ("ours over three connections evenly, against bun over one", CONNECTIONS, Source::Provider, Spacing::Even),
        ("the same three in bursts, through TLS", CONNECTIONS, Source::TlsProvider, Spacing::Bursts),
        ("the same three evenly, through TLS", CONNECTIONS, Source::TlsProvider, Spacing::Even),
    ] {
        let ours = relayed(Contestant::Ours, connections, source, spacing);
        let both = ours.zip(relayed(Contestant::Bun, 1, source, spacing));
        add(what, "of its CPU time", 0.33, both.map(|(ours, bun)| ours / bun));
    }
    let beyond = from(Source::Provider, 10, 10_000, Spacing::Bursts).zip(bursts).zip(reading_ns);
    let beyond = beyond.map(|((provider, bus), floor_ns)| {
        (provider.cpu_per_million_ticks - bus.cpu_per_million_ticks) * 1000.0 / floor_ns
    });
    add("what a provider adds to the bus in bursts, against reading and dropping", "times", 2.0, beyond);
    let dashboard = |source, ticks_per_second| {
        let is_it = |row: &&Row| {
            let scenario = &row.scenario;
            scenario.group.starts_with("a dashboard")
                && (scenario.source, scenario.ticks_per_second) == (source, ticks_per_second)
        };
        rows.iter().find(is_it).map(|row| row.cpu_percent)
    };
    let by_frames = dashboard(Source::Frames, 100_000);
    add("N10: a dashboard fed by frames, 100,000 ticks/s, 10 admins", "% of a core", 4.0, by_frames);
    for (what, ticks_per_second) in
        [("the same against tick by tick", 100_000), ("10,000 ticks/s by frames against tick by tick", 10_000)]
    {
        let both = dashboard(Source::Frames, ticks_per_second).zip(dashboard(Source::Redis, ticks_per_second));
        add(what, "of the CPU time", 0.5, both.map(|(frames, ticks)| frames / ticks));
    }
    add("N7: status API, p99", "ms", 1.0, whole.map(|whole| whole.status_p99_ms));

    if !aims.is_empty() {
        println!("\n### aims\n\n| what | at most | measured | |\n|---|---:|---:|---|");
    }
    for aim in &aims {
        let verdict = if aim.is_met() { "met" } else { "MISSED" };
        println!("| {} | {} {} | {:.3} | {verdict} |", aim.what, aim.at_most, aim.unit, aim.measured);
    }
    aims
}
