//! What has to be true whatever happened.

use super::super::{
    log::{Log, Seen},
    provider::{CONNECTIONS_MAX, Provider},
};
use app::model::{
    history::gap::{BUS, Gap},
    time::UnixMillis,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

/// The ledger knows begin and end of a gap to the metrics interval, of 200 ms here, and to the poll of who watches it.
const SLACK_MS: i64 = 450;
/// The lease lasts so long, and is looked for so often.
const LEASE: Duration = Duration::from_millis(1_500 + 150);
/// Whom the collector lets in when it leaves connects within this time.
const INVITATION: Duration = Duration::from_secs(3);

pub(super) struct Evidence<'a> {
    pub(super) provider: &'a Provider,
    /// Of each Redis server.
    pub(super) logs: &'a [Log],
    /// Who connected to the provider when.
    pub(super) arrivals: Vec<(String, Instant)>,
    /// Of all servers' ledgers.
    pub(super) gaps: Vec<Gap>,
    /// Connections may have been evicted, of a server that stood still or was cut off and could not end them.
    pub(super) may_evict: bool,
    /// Redis may have forgotten that it took something.
    pub(super) may_repeat: bool,
}

/// What is counted for the report.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) made: u64,
    pub(super) seen: u64,
    pub(super) missing_in_gaps: u64,
    pub(super) repeated: u64,
    pub(super) evictions: usize,
    pub(super) epochs: usize,
}

/// # Errors
/// Whatever is not as it has to be.
pub(super) fn check(evidence: &Evidence<'_>) -> Result<Figures, Vec<String>> {
    let mut faults = Vec::new();
    for log in evidence.logs {
        epochs_never_fall(&log.ticks(), &mut faults);
    }
    let epochs = one_holder_an_epoch(evidence, &mut faults);
    nobody_connects_without_the_lease(evidence, &mut faults);
    let mut figures = every_tick_is_accounted_for(evidence, &mut faults);
    figures.epochs = epochs;
    figures.evictions = evidence.provider.evictions();
    if evidence.provider.most() > CONNECTIONS_MAX {
        faults.push(format!("{} connections at once", evidence.provider.most()));
    }
    if !evidence.may_evict && figures.evictions > 0 {
        faults.push(format!("{} connections were evicted though every server could end its own", figures.evictions));
    }
    if faults.is_empty() {
        return Ok(figures);
    }
    for gap in &evidence.gaps {
        let (from, to) = (gap.started_at.clock_millis(), gap.ended_at.map(UnixMillis::clock_millis));
        faults.push(format!("gap of {}: {from} to {to:?}, {:?}", gap.connection_id, gap.cause));
    }
    Err(faults)
}

fn epochs_never_fall(ticks: &[Seen], faults: &mut Vec<String>) {
    if let Some(pair) = ticks.windows(2).find(|pair| pair[1].epoch < pair[0].epoch) {
        faults.push(format!("after a tick of a newer epoch came one of an older: {pair:?}"));
    }
}

fn one_holder_an_epoch(evidence: &Evidence<'_>, faults: &mut Vec<String>) -> usize {
    let mut holders: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
    for log in evidence.logs {
        for held in log.held() {
            holders.entry(held.epoch).or_default().insert(held.server);
        }
        for (epoch, server) in log.publishers() {
            holders.entry(epoch).or_default().insert(server);
        }
    }
    for (epoch, servers) in holders.iter().filter(|(_, servers)| servers.len() > 1) {
        faults.push(format!("epoch {epoch} was held by {servers:?}"));
    }
    holders.len()
}

fn nobody_connects_without_the_lease(evidence: &Evidence<'_>, faults: &mut Vec<String>) {
    let held: Vec<_> = evidence.logs.iter().flat_map(Log::held).collect();
    let invited: Vec<_> = evidence.logs.iter().flat_map(Log::invited).collect();
    for (server, at) in &evidence.arrivals {
        let had_it = held.iter().any(|held| {
            held.server == *server && held.at + LEASE >= *at && held.at <= *at + Duration::from_millis(250)
        });
        let was_invited = invited.iter().any(|(invited_at, invited)| {
            invited == server && *invited_at <= *at + Duration::from_millis(250) && *invited_at + INVITATION >= *at
        });
        if !had_it && !was_invited {
            faults.push(format!("{server} connected to the provider without the lease"));
        }
    }
}

fn every_tick_is_accounted_for(evidence: &Evidence<'_>, faults: &mut Vec<String>) -> Figures {
    let made = evidence.provider.made();
    let mut figures = Figures::default();
    for (place, symbols) in super::SYMBOLS.iter().enumerate() {
        for symbol in *symbols {
            let mut seen = BTreeSet::new();
            for log in evidence.logs {
                let mut last = 0;
                for tick in log.ticks().iter().filter(|tick| tick.symbol == *symbol) {
                    if tick.number == last && evidence.may_repeat {
                        figures.repeated += 1;
                    } else if tick.number <= last {
                        faults.push(format!("{symbol} {} came again, after {last}", tick.number));
                    }
                    last = last.max(tick.number);
                    seen.insert(tick.number);
                }
            }
            let (Some(first), Some(last)) = (seen.first().copied(), seen.last().copied()) else {
                faults.push(format!("no tick of {symbol}"));
                continue;
            };
            figures.made += last + 1 - first;
            figures.seen += seen.len() as u64;
            let missing: Vec<_> = (first..last).filter(|number| !seen.contains(number)).collect();
            let is_known = |number: &u64| {
                let at = made[*number as usize - 1];
                evidence.gaps.iter().any(|gap| covers(gap, place as u8 + 1, at))
            };
            let unknown: Vec<_> = missing.iter().filter(|number| !is_known(number)).collect();
            figures.missing_in_gaps += (missing.len() - unknown.len()) as u64;
            if let (Some(first), Some(last)) = (unknown.first(), unknown.last()) {
                let [from, to] = [first, last].map(|number| made[**number as usize - 1].clock_millis());
                let count = unknown.len();
                faults
                    .push(format!("{count} ticks of {symbol} are neither on Redis nor in a gap, from {from} to {to}"));
            }
        }
    }
    figures
}

fn covers(gap: &Gap, connection: u8, at: UnixMillis) -> bool {
    let is_of = gap.connection_id == BUS || u64::from(gap.connection_id) == u64::from(connection);
    let begins = at.millis_since(gap.started_at) >= -SLACK_MS;
    is_of && begins && gap.ended_at.is_some_and(|ended_at| at.millis_since(ended_at) <= SLACK_MS)
}
