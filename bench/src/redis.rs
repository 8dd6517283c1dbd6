//! A real redis-server, and a publisher that costs little: commands are written by hand, answers only counted.

use crate::{
    pace::Publish,
    scenario::{Market, Scenario},
};
use anyhow::Context;
use server::bus::write_tick;
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

    /// Waits until somebody listens to the ticks.
    pub(crate) fn wait_for_subscriber(&self) -> anyhow::Result<()> {
        let mut connection = BufReader::new(TcpStream::connect(self.address)?);
        wait_for("a subscriber", || {
            let asked = connection.get_mut().write_all(format!("PUBSUB NUMSUB {CHANNEL}\r\n").as_bytes());
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
        let mut answers = connection.try_clone()?;
        thread::spawn(move || {
            let mut buffer = [0; 65_536];
            while answers.read(&mut buffer).is_ok_and(|length| length > 0) {}
        });
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
