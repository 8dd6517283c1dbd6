//! What nothing could be faster than: reading the bytes and doing nothing with them.

use crate::{
    pace::{Publish, pace},
    provider::text_frame,
    redis::{CHANNEL, Load, RedisServer},
    scenario::{CONNECTIONS, Contestant, Market, Scenario, Source, Spacing, View, unix_us},
    usage, wire,
};
use app::model::{
    protocol::{Frame, TickEntry, Ticks},
    time::UnixMillis,
};
use serde_json::{Value, json};
use server::{
    bus::{read_tick, write_tick},
    upstream::massive::{Reading, read_frame},
};
use std::{
    fmt::Write as _,
    hint::black_box,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

/// What was found.
#[derive(Default)]
pub(crate) struct Floors {
    /// All of it, for the file.
    pub(crate) told: Vec<Value>,
    /// CPU nanoseconds a tick of reading the provider's frames and dropping them, at 10,000 ticks a second in bursts.
    pub(crate) reading_ns: Option<f64>,
}

pub(crate) fn run(quick: bool) -> anyhow::Result<Floors> {
    println!("\n### floors\n\n| what | figure |\n|---|---:|");
    let rounds = if quick { 200 } else { 2_000 };
    let mut told = Vec::new();
    let mut tell = |what: &str, nanos: f64, unit: &str| {
        println!("| {what} | {nanos:.0} ns a {unit} |");
        told.push(json!({"what": what, "nanoseconds": nanos, "a": unit}));
    };
    for events in [1, 10, 500] {
        tell(&format!("read_frame, {events} trades a frame"), parse_frames(events, rounds * 500 / events), "tick");
    }
    tell("read_tick, JSON from Redis", parse_ticks(rounds * 100), "tick");
    tell("encoding a frame of 100 prices", encode_frames(rounds * 10), "price");
    tell("writing that frame to a bare WebSocket", bare_broadcast(rounds * 10)?, "frame and socket");
    tell("reading ticks from a bare Redis subscription, 10,000 a second", bare_subscriber(quick)?, "tick");
    let what = "reading 10,000 trades a second in 1 ms bursts from three bare WebSockets";
    let scenario = Scenario { source: Source::Provider, ..scenario(10_000, if quick { 1 } else { 4 }) };
    let reading_ns = wire::read_and_drop(&scenario, false)?;
    tell(what, reading_ns, "tick");
    tell(&format!("{what}, through TLS"), wire::read_and_drop(&scenario, true)?, "tick");
    Ok(Floors { told, reading_ns: Some(reading_ns) })
}

pub(crate) fn scenario(ticks_per_second: u64, seconds: u64) -> Scenario {
    Scenario {
        group: "floors".into(),
        server: Contestant::Ours,
        source: Source::Redis,
        view: View::Latest,
        admins: 0,
        slow_admins: 0,
        connections: CONNECTIONS,
        symbols: 300,
        ticks_per_second,
        spacing: Spacing::Bursts,
        seconds,
        epoch_us: unix_us(),
    }
}

/// Best of five: what another process takes of the machine can only add.
fn nanos_each(count: usize, mut work: impl FnMut()) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..5 {
        let started = Instant::now();
        work();
        best = best.min(started.elapsed().as_nanos() as f64 / count as f64);
    }
    best
}

fn parse_frames(events: usize, rounds: usize) -> f64 {
    let market = Market::new(&scenario(1, 1));
    let mut text = String::from("[");
    for n in 0..events as u64 {
        let tick = market.tick(n, 1_000);
        let comma = if n == 0 { "" } else { "," };
        let _ = write!(
            text,
            r#"{comma}{{"ev":"T","sym":"{}","x":4,"i":"{n}","z":3,"p":{},"s":{},"c":[0,12],"t":{},"q":{n}}}"#,
            tick.symbol, tick.price, tick.volume, tick.timestamp.0
        );
    }
    text.push(']');
    let (mut reading, now) = (Reading::default(), UnixMillis::now());
    nanos_each(events * rounds, || {
        for _ in 0..rounds {
            read_frame(black_box(&text), 1, now, &mut reading);
            assert_eq!(black_box(&reading).ticks.len(), events);
        }
    })
}

fn parse_ticks(rounds: usize) -> f64 {
    let mut json = String::new();
    write_tick(&Market::new(&scenario(1, 1)).tick(7, 1_000), "bench", None, &mut json);
    let now = UnixMillis::now();
    nanos_each(rounds, || {
        for _ in 0..rounds {
            assert!(black_box(read_tick(black_box(json.as_bytes()), now)).is_ok());
        }
    })
}

fn hundred_prices() -> Frame {
    let entry = |row| TickEntry { row, price: 178.23, volume: 100, age_ms: 12, ticks: 3 };
    let at = UnixMillis::now();
    Frame::Ticks(Ticks { at, entries: (0..100).map(entry).collect(), waited_ms: 9 })
}

fn encode_frames(rounds: usize) -> f64 {
    let frame = hundred_prices();
    nanos_each(100 * rounds, || {
        for _ in 0..rounds {
            black_box(black_box(&frame).encode());
        }
    })
}

/// The same bytes written by one thread to ten sockets that are read as fast as they can be: CPU time of the writer.
fn bare_broadcast(rounds: usize) -> anyhow::Result<f64> {
    const SOCKETS: usize = 10;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut sockets = Vec::new();
    for _ in 0..SOCKETS {
        let mut reader = TcpStream::connect(listener.local_addr()?)?;
        thread::spawn(move || {
            let mut buffer = [0; 65_536];
            while reader.read(&mut buffer).is_ok_and(|length| length > 0) {}
        });
        let (socket, _) = listener.accept()?;
        socket.set_nodelay(true)?;
        sockets.push(socket);
    }
    let message = text_frame(&hundred_prices().encode());
    let before = usage::own_thread_seconds();
    for _ in 0..rounds {
        for socket in &mut sockets {
            socket.write_all(&message)?;
        }
    }
    Ok((usage::own_thread_seconds() - before) * 1e9 / (rounds * SOCKETS) as f64)
}

/// A subscriber that reads lines and counts them: CPU time of its thread.
fn bare_subscriber(quick: bool) -> anyhow::Result<f64> {
    let scenario = scenario(10_000, if quick { 1 } else { 4 });
    let server = RedisServer::start()?;
    let mut connection = TcpStream::connect(server.address)?;
    connection.write_all(format!("SUBSCRIBE {CHANNEL}\r\n").as_bytes())?;
    let expected = scenario.ticks_per_second * scenario.length().as_secs();
    let reader = thread::spawn(move || {
        let mut lines = BufReader::with_capacity(65_536, connection);
        let (mut line, mut ticks) = (String::new(), 0);
        while ticks < expected {
            line.clear();
            if lines.read_line(&mut line).unwrap_or(0) == 0 {
                break;
            }
            ticks += u64::from(line.starts_with('{'));
        }
        (ticks, usage::own_thread_seconds())
    });
    server.wait_for_subscriber(Source::Redis)?;
    let mut load = Load::new(&scenario, &server)?;
    pace(scenario.ticks_per_second, scenario.spacing, scenario.length(), &mut load)?;
    load.publish(0, 0)?;
    thread::sleep(Duration::from_millis(100));
    let (ticks, seconds) = reader.join().map_err(|_| anyhow::anyhow!("the subscriber panicked"))?;
    anyhow::ensure!(ticks == expected, "{ticks} of {expected} ticks came");
    Ok(seconds * 1e9 / ticks as f64)
}
