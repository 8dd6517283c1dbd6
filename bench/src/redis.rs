//! A real redis-server, and a publisher that costs little: commands are written by hand, answers only counted.

use crate::{
    pace::Publish,
    scenario::{Market, Scenario, Source, connection_of, symbol},
};
use anyhow::Context;
use app::model::{protocol::Row, time::UnixMillis};
use server::bus::{
    frames::{BoardCopy, Encoded, FrameWriter, Stream},
    write_tick,
};
use std::{
    fmt::Write as _,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread::{self, sleep},
    time::{Duration, Instant},
};

/// The channel that TickStock publishes ticks on.
pub(crate) const CHANNEL: &str = "tickstock:market:ticks";
/// The channel of frames, and the shortest time between two of them.
const FRAMES: &str = "tickstock:market:frames";
const FRAME_INTERVAL: Duration = Duration::from_millis(10);
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct RedisServer {
    pub(crate) address: SocketAddr,
    process: Child,
}

impl RedisServer {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let process = Command::new("redis-server")
            .args(["--port", &address.port().to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .spawn()
            .context("redis-server is not installed")?;
        let server = Self { address, process };
        wait_for("redis-server answers", || TcpStream::connect(address).is_ok())?;
        Ok(server)
    }

    pub(crate) fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Waits until somebody listens to what this source publishes.
    pub(crate) fn wait_for_subscriber(&self, source: Source) -> anyhow::Result<()> {
        let channel = if source == Source::Frames { FRAMES } else { CHANNEL };
        let mut connection = BufReader::new(TcpStream::connect(self.address)?);
        wait_for("a subscriber", || {
            let asked = connection.get_mut().write_all(format!("PUBSUB NUMSUB {channel}\r\n").as_bytes());
            // *2, $22, the channel, :1
            let answer: Vec<_> = (0..4).filter_map(|_| line(&mut connection)).collect();
            asked.is_ok() && answer.last().is_some_and(|count| count != ":0")
        })
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn line(connection: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    connection.read_line(&mut line).ok()?;
    Some(line.trim_end().to_owned())
}

fn wait_for(what: &str, mut condition: impl FnMut() -> bool) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        anyhow::ensure!(Instant::now() < deadline, "waited in vain: {what}");
        sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Publishes a `PUBLISH` a tick, those of one call in one write.
pub(crate) struct Load {
    scenario: Scenario,
    market: Market,
    connection: TcpStream,
    commands: String,
    json: String,
}

impl Load {
    pub(crate) fn new(scenario: &Scenario, server: &RedisServer) -> anyhow::Result<Self> {
        let connection = TcpStream::connect(server.address)?;
        connection.set_nodelay(true)?;
        count_answers(&connection)?;
        let market = Market::new(scenario);
        Ok(Self { scenario: scenario.clone(), market, connection, commands: String::new(), json: String::new() })
    }
}

impl Publish for Load {
    fn publish(&mut self, first: u64, count: u64) -> anyhow::Result<()> {
        let now_us = self.scenario.now_us();
        self.commands.clear();
        for n in first..first + count {
            self.json.clear();
            write_tick(&self.market.tick(n, now_us), "bench", None, &mut self.json);
            let (channel, json) = (CHANNEL.len(), self.json.len());
            let _ =
                write!(self.commands, "*3\r\n$7\r\nPUBLISH\r\n${channel}\r\n{CHANNEL}\r\n${json}\r\n{}\r\n", self.json);
        }
        self.connection.write_all(self.commands.as_bytes()).context("Redis is gone")
    }
}

fn count_answers(connection: &TcpStream) -> anyhow::Result<()> {
    let mut answers = connection.try_clone()?;
    thread::spawn(move || {
        let mut buffer = [0; 65_536];
        while answers.read(&mut buffer).is_ok_and(|length| length > 0) {}
    });
    Ok(())
}

/// Publishes frames, as a collector does that gathers ticks for an interval.
pub(crate) struct FrameLoad {
    scenario: Scenario,
    market: Market,
    connection: TcpStream,
    writer: FrameWriter,
    commands: Vec<u8>,
    sent: Instant,
    total: u64,
}

impl FrameLoad {
    pub(crate) fn new(scenario: &Scenario, server: &RedisServer) -> anyhow::Result<Self> {
        let connection = TcpStream::connect(server.address)?;
        connection.set_nodelay(true)?;
        count_answers(&connection)?;
        let total = (scenario.ticks_per_second as f64 * scenario.length().as_secs_f64()) as u64;
        let (market, writer) = (Market::new(scenario), FrameWriter::new(Stream { epoch: 1, run: 1 }));
        let scenario = scenario.clone();
        let mut load = Self { scenario, market, connection, writer, commands: Vec::new(), sent: Instant::now(), total };
        let hello: Vec<_> = load.writer.sign_of_life(UnixMillis::now()).collect();
        load.send(hello)?;
        // It is asked for, but this generator only counts answers.
        let rows = (0..load.scenario.symbols)
            .map(|place| Row::empty(connection_of(place, load.scenario.connections), symbol(place)))
            .collect();
        let board = load.writer.board(&BoardCopy { rows, ..BoardCopy::default() });
        load.send(board)?;
        Ok(load)
    }

    fn send(&mut self, messages: impl IntoIterator<Item = Encoded>) -> anyhow::Result<()> {
        self.commands.clear();
        for Encoded { bytes, .. } in messages {
            let head = format!("*3\r\n$7\r\nPUBLISH\r\n${}\r\n{FRAMES}\r\n${}\r\n", FRAMES.len(), bytes.len());
            self.commands.extend_from_slice(head.as_bytes());
            self.commands.extend_from_slice(&bytes);
            self.commands.extend_from_slice(b"\r\n");
        }
        self.connection.write_all(&self.commands).context("Redis is gone")
    }
}

impl Publish for FrameLoad {
    fn publish(&mut self, first: u64, count: u64) -> anyhow::Result<()> {
        let now_us = self.scenario.now_us();
        let now = UnixMillis::now();
        for n in first..first + count {
            let (place, tick) = (n % self.scenario.symbols, self.market.tick(n, now_us));
            self.writer.record(connection_of(place, self.scenario.connections), place as u32, &tick, 1, now);
        }
        if self.sent.elapsed() >= FRAME_INTERVAL || first + count >= self.total {
            self.sent = Instant::now();
            let frames: Vec<_> = self.writer.drain(now).collect();
            self.send(frames)?;
        }
        Ok(())
    }
}
