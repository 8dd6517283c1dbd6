//! Faults that last: which are in force, for which connection, until when. Pure; the time is handed in.

use super::protocol::Channel;
use app::model::symbol::Symbol;
use serde::Serialize;
use std::collections::BTreeSet;
use tokio::time::Instant;

/// A fault that lasts until it is cleared or its time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lasting {
    /// No data; the socket is open and pings are answered.
    Stall,
    /// Nothing at all is sent and nothing is read: what a peer looks like that died without a word.
    MutePings,
    /// Every key is refused.
    RefuseKey,
    /// Every key is refused, because its plan has no WebSockets.
    RefusePlan,
    /// Keys are taken, and every subscription is refused: the plan has delayed data only.
    RefuseRealtime,
    /// The account has too many connections, said at this moment.
    Limit(Moment),
    /// So many trades a second on top, whatever the channels are.
    Flood(u32),
    /// Subscriptions to the channel are refused.
    DenyChannel(Channel),
    /// Subscriptions to the channel get no answer, as for a prefix that is unknown.
    IgnoreChannel(Channel),
    /// Rubbish among the data, all the time.
    Garbage,
    /// Everything is sent so many milliseconds late, as from a queue that has grown.
    Lag(u32),
    /// The symbol does not trade, and says so on the channel of limits. Of the market, whatever the connection.
    Halt(Symbol),
}

/// When the provider finds out that the account has too many connections (it was seen at each: `docs/provider.md`, "Handshake and status messages").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Moment {
    /// In place of the greeting.
    Hello,
    /// In place of the answer to the key.
    Auth,
    /// After the acknowledgements.
    Subscribed,
}

impl Lasting {
    fn name(self) -> &'static str {
        match self {
            Self::Stall => "stall",
            Self::MutePings => "mute_pings",
            Self::RefuseKey => "refuse_key",
            Self::RefusePlan => "refuse_plan",
            Self::RefuseRealtime => "refuse_realtime",
            Self::Limit(_) => "limit",
            Self::Flood(_) => "flood",
            Self::DenyChannel(_) => "deny_channel",
            Self::IgnoreChannel(_) => "ignore_channel",
            Self::Garbage => "garbage",
            Self::Lag(_) => "lag",
            Self::Halt(_) => "halt",
        }
    }

    /// Does a new fault replace this one, when both are for the same connection?
    fn is_replaced_by(self, new: Self) -> bool {
        match (self, new) {
            (Self::DenyChannel(mine), Self::DenyChannel(theirs))
            | (Self::IgnoreChannel(mine), Self::IgnoreChannel(theirs)) => mine == theirs,
            (Self::Halt(mine), Self::Halt(theirs)) => mine == theirs,
            _ => self.name() == new.name(),
        }
    }
}

#[derive(Clone, Debug)]
struct Active {
    fault: Lasting,
    /// `None`: all connections but the excepted ones, those to come included.
    connection: Option<u32>,
    /// Connections for which a fault of all was cleared.
    except: BTreeSet<u32>,
    since: Instant,
    until: Option<Instant>,
}

impl Active {
    fn hits(&self, connection: u32, now: Instant) -> bool {
        let is_meant = self.connection.map_or(!self.except.contains(&connection), |only| only == connection);
        is_meant && self.is_alive(now)
    }

    fn is_alive(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// The faults in force.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults(Vec<Active>);

/// A fault as `GET /control` shows it.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    fault: &'static str,
    connection: Option<u32>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    except: BTreeSet<u32>,
    seconds_left: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    events_per_second: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by_ms: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    symbol: Option<Symbol>,
}

impl Faults {
    /// Puts a fault in force, in place of an older one of its kind for the same connection.
    pub(super) fn set(&mut self, fault: Lasting, connection: Option<u32>, until: Option<Instant>, now: Instant) {
        self.0.retain(|old| old.is_alive(now) && !(old.connection == connection && old.fault.is_replaced_by(fault)));
        self.0.push(Active { fault, connection, except: BTreeSet::new(), since: now, until });
    }

    /// Takes the faults of one connection, or all of them, out of force.
    pub(super) fn clear(&mut self, connection: Option<u32>) {
        let Some(number) = connection else { return self.0.clear() };
        self.0.retain(|active| active.connection != Some(number));
        for active in &mut self.0 {
            if active.connection.is_none() {
                active.except.insert(number);
            }
        }
    }

    fn hitting(&self, connection: u32, now: Instant) -> impl Iterator<Item = &Active> {
        self.0.iter().filter(move |active| active.hits(connection, now))
    }

    /// No data for this connection?
    pub(super) fn is_stalled(&self, connection: u32, now: Instant) -> bool {
        self.hitting(connection, now).any(|active| matches!(active.fault, Lasting::Stall | Lasting::MutePings))
    }

    /// Silence for this connection? With the time at which it ends by itself, if it does.
    pub(super) fn mute(&self, connection: u32, now: Instant) -> Option<Option<Instant>> {
        let mut mutes = self.hitting(connection, now).filter(|active| active.fault == Lasting::MutePings);
        mutes.next().map(|active| active.until)
    }

    /// Is this fault in force for this connection?
    pub(super) fn has(&self, fault: Lasting, connection: u32, now: Instant) -> bool {
        self.hitting(connection, now).any(|active| active.fault == fault)
    }

    /// How many milliseconds late this connection gets everything. A queue grows: data goes out at half its speed until it
    /// is so late, and never stops.
    pub(super) fn lag_ms(&self, connection: u32, now: Instant) -> u32 {
        let lags = self.hitting(connection, now).filter_map(|active| match active.fault {
            Lasting::Lag(by_ms) => {
                let grown_ms = now.saturating_duration_since(active.since).as_millis() / 2;
                Some(u32::try_from(grown_ms).unwrap_or(by_ms).clamp(1, by_ms))
            }
            _ => None,
        });
        lags.max().unwrap_or(0)
    }

    /// The symbols that do not trade.
    pub(super) fn halted(&self, now: Instant) -> BTreeSet<Symbol> {
        let alive = self.0.iter().filter(|active| active.is_alive(now));
        alive.filter_map(|active| if let Lasting::Halt(symbol) = active.fault { Some(symbol) } else { None }).collect()
    }

    /// Trades a second to flood this connection with.
    pub(super) fn flood(&self, connection: u32, now: Instant) -> u32 {
        let rates = self.hitting(connection, now).map(|active| match active.fault {
            Lasting::Flood(events_per_second) => events_per_second,
            _ => 0,
        });
        rates.max().unwrap_or(0)
    }

    /// What is in force, for people.
    pub(super) fn shown(&self, now: Instant) -> Vec<Shown> {
        let alive = self.0.iter().filter(|active| active.is_alive(now));
        alive
            .map(|Active { fault, connection, except, until, .. }| Shown {
                fault: fault.name(),
                connection: *connection,
                except: except.clone(),
                seconds_left: until.map(|until| until.saturating_duration_since(now).as_secs_f64()),
                channel: match fault {
                    Lasting::DenyChannel(channel) | Lasting::IgnoreChannel(channel) => Some(channel.prefix()),
                    _ => None,
                },
                events_per_second: if let Lasting::Flood(rate) = fault { Some(*rate) } else { None },
                by_ms: if let Lasting::Lag(by_ms) = fault { Some(*by_ms) } else { None },
                at: if let Lasting::Limit(moment) = fault { Some(*moment) } else { None },
                symbol: if let Lasting::Halt(symbol) = fault { Some(*symbol) } else { None },
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_fault_hits_its_connection_until_its_time_is_over() {
        let now = Instant::now();
        let later = now + Duration::from_secs(20);
        let mut faults = Faults::default();
        faults.set(Lasting::Stall, Some(2), Some(later), now);
        assert!(faults.is_stalled(2, now) && !faults.is_stalled(1, now));
        assert!(!faults.is_stalled(2, later));
    }

    #[test]
    fn a_fault_of_all_hits_connections_to_come_and_can_be_cleared_for_one() {
        let now = Instant::now();
        let mut faults = Faults::default();
        faults.set(Lasting::RefuseKey, None, None, now);
        faults.set(Lasting::Stall, Some(2), None, now);
        faults.clear(Some(2));
        assert!(
            faults.has(Lasting::RefuseKey, 99, now)
                && !faults.has(Lasting::RefuseKey, 2, now)
                && !faults.is_stalled(2, now)
        );
        faults.set(Lasting::RefuseKey, None, None, now);
        assert!(faults.has(Lasting::RefuseKey, 2, now), "set again, it hits all again");
        faults.clear(None);
        assert!(faults.shown(now).is_empty());
    }

    #[test]
    fn a_fault_set_again_replaces_itself_and_denied_channels_add_up() {
        let now = Instant::now();
        let mut faults = Faults::default();
        faults.set(Lasting::Flood(10), Some(1), None, now);
        faults.set(Lasting::Flood(5), Some(1), None, now);
        faults.set(Lasting::DenyChannel(Channel::Quotes), Some(1), None, now);
        faults.set(Lasting::DenyChannel(Channel::Trades), Some(1), None, now);
        assert_eq!((faults.flood(1, now), faults.shown(now).len()), (5, 3));
        assert!(
            faults.has(Lasting::DenyChannel(Channel::Quotes), 1, now)
                && !faults.has(Lasting::DenyChannel(Channel::Quotes), 2, now)
        );
    }

    #[test]
    fn a_lag_grows_at_half_the_speed_of_time_and_no_further() {
        let now = Instant::now();
        let mut faults = Faults::default();
        faults.set(Lasting::Lag(10_000), Some(1), None, now);
        let lags = [0, 1_000, 10_000, 20_000, 60_000].map(|ms| faults.lag_ms(1, now + Duration::from_millis(ms)));
        assert_eq!(lags, [1, 500, 5_000, 10_000, 10_000], "no silence at any time");
    }

    #[test]
    fn silence_says_when_it_ends() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        let mut faults = Faults::default();
        assert_eq!(faults.mute(1, now), None);
        faults.set(Lasting::MutePings, Some(1), Some(later), now);
        assert_eq!((faults.mute(1, now), faults.is_stalled(1, now)), (Some(Some(later)), true));
    }
}
