//! What has to be true whatever happened.

use super::super::{
    log::{Log, Look, Seen},
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
/// What is late by itself, on a machine with much to do, is in a gap that begins so much later: of so many ticks before it is known
/// how late they were,
const TICKS_BEFORE: usize = 10;
/// and no gap is believed to begin later than this.
const LATE_MS_MAX: i64 = 2_000;
/// The lease lasts so long, and is looked for so often.
const LEASE: Duration = Duration::from_millis(1_500 + 150);
/// Whoever takes it is seen to have it so soon, by somebody who can look.
const TAKEN: Duration = Duration::from_millis(250);
/// Whom the collector lets in when it leaves connects within this time. Who listens may hear of it a little later.
const INVITATION: Duration = Duration::from_secs(3);
const HEARD: Duration = Duration::from_secs(1);

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
    /// A fail-over ends the connections of whoever listens, too, on a server that takes ticks again at once.
    pub(super) may_be_deaf: bool,
}

/// What is counted for the report.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) made: u64,
    pub(super) seen: u64,
    pub(super) missing_in_gaps: u64,
    /// Made while nobody could listen.
    pub(super) unheard: u64,
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
        for (server, epoch) in log.looks().into_iter().filter_map(|look| look.holder) {
            holders.entry(epoch).or_default().insert(server);
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
    let looks: Vec<_> = evidence.logs.iter().map(Log::looks).collect();
    let invited: Vec<_> = evidence.logs.iter().flat_map(Log::invited).collect();
    for (server, at) in &evidence.arrivals {
        let had_it = looks.iter().any(|looks| held_it(looks, server, *at));
        let was_invited = invited.iter().any(|(invited_at, invited)| {
            invited == server && *invited_at <= *at + HEARD && *invited_at + INVITATION >= *at
        });
        if !had_it && !was_invited {
            let around = |look: &&Look| look.answered + TAKEN >= *at && look.asked <= *at + TAKEN;
            let ms = |time: Instant| match time.checked_duration_since(*at) {
                Some(after) => after.as_millis() as i64,
                None => -(at.duration_since(time).as_millis() as i64),
            };
            let seen: Vec<_> =
                looks.iter().flatten().filter(around).map(|look| (ms(look.asked), &look.holder)).collect();
            faults.push(format!("{server} connected to the provider without the lease: {seen:?}"));
        }
    }
}

/// Did the server hold the lease when it connected? It was seen with it a lease's length before, or right after; where nobody could
/// look then, at the next look.
fn held_it(looks: &[Look], server: &str, at: Instant) -> bool {
    let has_it = |look: &Look| look.holder.as_ref().is_some_and(|(holder, _)| holder == server);
    let is_near = |look: &&Look| look.answered + LEASE >= at && look.answered <= at + TAKEN;
    looks.iter().filter(is_near).any(has_it)
        || looks.iter().find(|look| look.asked >= at).is_some_and(|next| next.answered > at + TAKEN && has_it(next))
}

fn every_tick_is_accounted_for(evidence: &Evidence<'_>, faults: &mut Vec<String>) -> Figures {
    // It goes on: what is seen was made before it is asked what was made.
    let logs: Vec<_> = evidence.logs.iter().map(Log::ticks).collect();
    let made = evidence.provider.made();
    let begins = begins_of_epochs(&logs);
    let mut figures = Figures::default();
    for (place, symbols) in super::SYMBOLS.iter().enumerate() {
        for symbol in *symbols {
            // How late each was when it was first seen.
            let mut seen: BTreeMap<u64, i64> = BTreeMap::new();
            for ticks in &logs {
                let mut last = 0;
                for tick in ticks.iter().filter(|tick| tick.symbol == *symbol) {
                    if tick.number == last && evidence.may_repeat {
                        figures.repeated += 1;
                    } else if tick.number <= last {
                        faults.push(format!("{symbol} {} came again, after {last}", tick.number));
                    }
                    last = last.max(tick.number);
                    let late_ms = tick.at.millis_since(made[tick.number as usize - 1]);
                    seen.entry(tick.number).and_modify(|late| *late = late_ms.min(*late)).or_insert(late_ms);
                }
            }
            let ends = seen.first_key_value().zip(seen.last_key_value());
            let Some((first, last)) = ends.map(|((first, _), (last, _))| (*first, *last)) else {
                faults.push(format!("no tick of {symbol}"));
                continue;
            };
            figures.made += last + 1 - first;
            figures.seen += seen.len() as u64;
            let missing: Vec<_> = (first..last).filter(|number| !seen.contains_key(number)).collect();
            let late_ms = |number: u64| {
                let before = seen.range(..number).rev().take(TICKS_BEFORE).map(|(_, late_ms)| *late_ms);
                before.max().unwrap_or(0).clamp(0, LATE_MS_MAX)
            };
            let is_known = |number: &u64| {
                let at = made[*number as usize - 1];
                let is_in = |gap: &Gap| covers(gap, place as u8 + 1, at, late_ms(*number), &begins);
                evidence.gaps.iter().any(is_in)
            };
            let is_unheard = |number: &u64| {
                let (at, late_ms) = (made[*number as usize - 1], late_ms(*number));
                let mut deaf = evidence.logs.iter().flat_map(Log::deaf);
                evidence.may_be_deaf && deaf.any(|(from, to)| at.millis_since(from) >= -late_ms && at < to)
            };
            let unknown: Vec<_> = missing.iter().filter(|number| !is_known(number)).collect();
            figures.missing_in_gaps += (missing.len() - unknown.len()) as u64;
            let (unheard, unknown): (Vec<_>, Vec<_>) = unknown.into_iter().partition(|number| is_unheard(number));
            figures.unheard += unheard.len() as u64;
            if let (Some(first), Some(last)) = (unknown.first(), unknown.last()) {
                let [from, to] = [first, last].map(|number: &&u64| made[**number as usize - 1].clock_millis());
                let count = unknown.len();
                faults
                    .push(format!("{count} ticks of {symbol} are neither on Redis nor in a gap, from {from} to {to}"));
            }
        }
    }
    figures
}

/// When the first tick of each epoch was seen.
fn begins_of_epochs(logs: &[Vec<Seen>]) -> Vec<UnixMillis> {
    let mut begins = BTreeMap::new();
    for tick in logs.iter().flatten() {
        let begin = begins.entry(tick.epoch).or_insert(tick.at);
        *begin = tick.at.min(*begin);
    }
    begins.into_values().collect()
}

/// A gap that a killed server left open in a file of its own lasts there until it collects again. What is missed until another one
/// does is in it.
fn covers(gap: &Gap, connection: u8, at: UnixMillis, late_ms: i64, begins: &[UnixMillis]) -> bool {
    let ended_at = gap.ended_at.or_else(|| begins.iter().find(|begin| **begin > gap.started_at).copied());
    let is_of = gap.connection_id == BUS || u64::from(gap.connection_id) == u64::from(connection);
    let is_after_begin = at.millis_since(gap.started_at) >= -SLACK_MS - late_ms;
    is_of && is_after_begin && ended_at.is_some_and(|ended_at| at.millis_since(ended_at) <= SLACK_MS)
}
