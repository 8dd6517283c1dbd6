//! What a collector that leaves and the server that follows it say to each other, on the channel on which a lease is given up.
//!
//! ```text
//!  leaves    Offer ─────────▶ Come 1 ────────▶ (ends 1) Come 2 ────────▶ (ends 2) Left ─▶ lease given up
//!  follows          Ready ◀──       Here 1 ◀──                 Here 2 ◀──            passes on what came since
//! ```

use app::model::{connection::ConnectionId, symbol::Symbol, tick::Tick, time::UnixMillis};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The last ticks of a symbol by which its place in another connection's is found: one could repeat.
pub const LAST_TICKS: usize = 3;

/// One word of a hand-over. `epoch` is that of the collector that leaves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "HandoverWord")]
#[serde(tag = "word", rename_all = "snake_case")]
pub enum Word {
    /// The collector will leave: is this server there to follow it?
    Offer {
        /// Its name.
        to: String,
        /// See above.
        epoch: u64,
    },
    /// It is.
    Ready {
        /// See above.
        epoch: u64,
    },
    /// The account has a place for this connection of it.
    Come {
        /// See above.
        epoch: u64,
        /// Which.
        connection: ConnectionId,
    },
    /// It is up: all that it subscribed to comes.
    Here {
        /// See above.
        epoch: u64,
        /// Which.
        connection: ConnectionId,
    },
    /// All connections of the collector have ended, and all that came over them is published.
    Left {
        /// See above.
        epoch: u64,
        /// Those that ended after the ones of the follower were up.
        whole: Vec<ConnectionId>,
        /// Of each symbol that ticked since the offer the last ticks, in order.
        last: Vec<LastTick>,
    },
}

impl Word {
    /// The epoch of the collector that leaves.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        match self {
            Self::Offer { epoch, .. }
            | Self::Ready { epoch }
            | Self::Come { epoch, .. }
            | Self::Here { epoch, .. }
            | Self::Left { epoch, .. } => *epoch,
        }
    }
}

/// A tick, as it is told in a hand-over: to the last bit of its price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LastTick {
    connection: Option<ConnectionId>,
    symbol: Symbol,
    price_bits: u64,
    volume: u64,
    timestamp: i64,
}

impl From<&Tick> for LastTick {
    fn from(tick: &Tick) -> Self {
        let Tick { connection_id, symbol, price, volume, timestamp } = *tick;
        Self { connection: connection_id, symbol, price_bits: price.to_bits(), volume, timestamp: timestamp.0 }
    }
}

impl From<&LastTick> for Tick {
    fn from(tick: &LastTick) -> Self {
        let LastTick { connection, symbol, price_bits, volume, timestamp } = *tick;
        let price = f64::from_bits(price_bits);
        Self { connection_id: connection, symbol, price, volume, timestamp: UnixMillis(timestamp) }
    }
}
