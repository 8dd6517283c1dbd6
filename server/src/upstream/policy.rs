//! Every deadline of the connection manager in one place, so that a test can have less patience than production.

use super::backoff::Backoff;
use crate::rhythm::PulsePolicy;
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
