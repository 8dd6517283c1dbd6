//! Every deadline of the connection manager in one place, so that a test can have less patience than production.

use super::backoff::Backoff;
use app::model::connection::Channel;
use std::time::Duration;

/// How patient a connection is.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The time for TCP, TLS and the WebSocket handshake together.
    pub dial_timeout: Duration,
    /// The time from open socket to key taken.
    pub authentication_timeout: Duration,
    /// The time for acknowledgements; unknown channels are never acknowledged.
    pub acknowledge_timeout: Duration,
    /// How often we ping.
    pub ping_interval: Duration,
    /// The silence after which a socket is dead. Any frame proves life: pongs were seen missing under load.
    pub silence_timeout: Duration,
    /// How long a connection must have lived for its loss to start the waits anew: `auth_success` alone proves nothing,
    /// and a connection that is put out again and again would come back once a second.
    pub proven_after: Duration,
    /// How often data is looked at for silence and lateness.
    pub check_interval: Duration,
    /// The waits between attempts.
    pub backoff: Backoff,
    /// What counts as silence of the data.
    pub pulse: PulsePolicy,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            dial_timeout: Duration::from_secs(10),
            authentication_timeout: Duration::from_secs(15),
            acknowledge_timeout: Duration::from_secs(10),
            ping_interval: Duration::from_secs(5),
            silence_timeout: Duration::from_secs(15),
            proven_after: Duration::from_secs(10),
            check_interval: Duration::from_millis(250),
            backoff: Backoff::default(),
            pulse: PulsePolicy::default(),
        }
    }
}

/// What counts as silence, in milliseconds. Less than the floor is never called mute, however regular the ticks were.
#[derive(Clone, Debug)]
pub struct PulsePolicy {
    /// The floor for bars of a second, trades and quotes.
    pub floor_ms: u64,
    /// The floor for bars of a minute: the minute itself, the seconds they take to come, and some more.
    pub floor_minute_ms: u64,
    /// The floor before the open and after the close, when trading is thin.
    pub floor_thin_ms: u64,
    /// The silence that counts as mute before anything was learned.
    pub unlearned_ms: u64,
    /// How long a symbol may be without its first tick.
    pub first_tick_ms: u64,
    /// The shortest silence of a single symbol that is worth a word.
    pub symbol_floor_ms: u64,
    /// How much later than usual data may be.
    pub late_ms: u64,
}

impl PulsePolicy {
    /// The shortest silence of a connection over these channels that may count as mute.
    #[must_use]
    pub fn floor_ms_of(&self, channels: &[Channel]) -> u64 {
        let mut of_prices = channels.iter().filter(|channel| channel.carries_prices());
        let is_slow = of_prices.all(|channel| *channel == Channel::MinuteBars);
        if is_slow { self.floor_minute_ms } else { self.floor_ms }
    }
}

impl Default for PulsePolicy {
    fn default() -> Self {
        Self {
            floor_ms: 3_000,
            floor_minute_ms: 75_000,
            floor_thin_ms: 60_000,
            unlearned_ms: 30_000,
            first_tick_ms: 60_000,
            symbol_floor_ms: 60_000,
            late_ms: 5_000,
        }
    }
}
