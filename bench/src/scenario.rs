//! What a row measures, and the market that every row is fed with: tick `n` is the same wherever it is made.

use app::model::{connection::ConnectionId, symbol::Symbol, tick::Tick, time::UnixMillis};
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Connections that the symbols are dealt out to, unless a row says another number.
pub(crate) const CONNECTIONS: u64 = 3;
/// Before a row is measured, the load runs for this long.
pub(crate) const WARM_UP: Duration = Duration::from_secs(1);

/// One row.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Scenario {
    /// Rows that are compared with each other.
    pub(crate) group: String,
    /// Who fans out.
    pub(crate) server: Contestant,
    /// How ticks reach it.
    pub(crate) source: Source,
    /// What an admin gets.
    pub(crate) view: View,
    /// Sockets.
    pub(crate) admins: usize,
    /// Of those, the ones that read 10 kB/s.
    pub(crate) slow_admins: usize,
    /// Connections that the symbols are dealt out to.
    pub(crate) connections: u64,
    /// Symbols, over all connections.
    pub(crate) symbols: u64,
    /// The load.
    pub(crate) ticks_per_second: u64,
    /// How the load is spread over a second.
    pub(crate) spacing: Spacing,
    /// How long it is measured.
    pub(crate) seconds: u64,
    /// Unix microseconds from which all processes of the row count.
    pub(crate) epoch_us: u64,
}

/// Who fans out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Contestant {
    /// Bus, monitor and hub of this repository.
    Ours,
    /// axum with a broadcast channel: a message a tick.
    Axum,
    /// The npm package `ws` on Node: a message a tick.
    Node,
    /// uWebSockets under bun: a message a tick.
    Bun,
}

/// How ticks reach the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Source {
    /// A thread in the server's process calls `publish_ticks`.
    Bus,
    /// `PUBLISH` on a real redis-server, one JSON message a tick.
    Redis,
    /// The same, in frames as a collector of ours publishes them.
    Frames,
    /// A WebSocket that speaks Massive's protocol.
    Provider,
    /// The same through TLS.
    TlsProvider,
}

/// What an admin gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum View {
    /// The latest price of each symbol and the count behind it.
    Latest,
    /// Every tick in order, beside that.
    Tape,
}

/// How the load is spread over a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Spacing {
    /// Every millisecond the ticks of that millisecond.
    Bursts,
    /// One by one.
    Even,
    /// All of them at the second's start.
    Seconds,
}

impl Spacing {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Bursts => "1 ms bursts",
            Self::Even => "evenly",
            Self::Seconds => "at the second",
        }
    }
}

impl Scenario {
    /// The load from its start to its end.
    pub(crate) fn length(&self) -> Duration {
        WARM_UP + Duration::from_secs(self.seconds)
    }

    /// Microseconds since the row's epoch, in any process.
    pub(crate) fn now_us(&self) -> u64 {
        unix_us().saturating_sub(self.epoch_us)
    }

    /// What every symbol shows after `published` ticks.
    pub(crate) fn last_prices(&self, published: u64) -> impl Iterator<Item = (Symbol, f64)> {
        let rounds = published / self.symbols;
        let left = published % self.symbols;
        let symbols = self.symbols;
        (0..symbols).filter_map(move |place| {
            let round = if place < left { rounds } else { rounds.checked_sub(1)? };
            Some((symbol(place), price(round * symbols + place)))
        })
    }
}

/// Makes the ticks of a scenario.
#[derive(Clone, Debug)]
pub(crate) struct Market {
    symbols: Vec<Symbol>,
    connections: u64,
    epoch_us: u64,
}

impl Market {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let symbols = (0..scenario.symbols).map(symbol).collect();
        Self { symbols, connections: scenario.connections, epoch_us: scenario.epoch_us }
    }

    /// Tick number `n`. Its volume is the time of publishing, by which a reader knows how long it took.
    pub(crate) fn tick(&self, n: u64, published_us: u64) -> Tick {
        let place = n % self.symbols.len() as u64;
        Tick {
            connection_id: Some(connection_of(place, self.connections)),
            symbol: self.symbols[place as usize],
            price: price(n),
            volume: published_us,
            timestamp: UnixMillis(((self.epoch_us + published_us) / 1000) as i64),
        }
    }
}

/// Which of so many connections symbol number `place` is on.
pub(crate) fn connection_of(place: u64, connections: u64) -> ConnectionId {
    (place % connections) as ConnectionId + 1
}

/// The price of tick `n`: to the cent, and different from tick to tick.
pub(crate) fn price(n: u64) -> f64 {
    (10_000 + n % 9_973) as f64 / 100.0
}

/// Symbol number `place`: four letters from `AAAA` on.
pub(crate) fn symbol(place: u64) -> Symbol {
    let letter = |power: u32| char::from(b'A' + (place / 26_u64.pow(power) % 26) as u8);
    let name: String = [letter(3), letter(2), letter(1), letter(0)].into_iter().collect();
    Symbol::parse(&name).expect("four letters are a symbol")
}

pub(crate) fn unix_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as u64
}
