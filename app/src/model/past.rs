//! The past that can be shown as it was: what of it is recorded, what happened in it, and how it differs from the present.

use super::{
    connection::{ConnectionId, ConnectionState},
    history::view::HistoryView,
    protocol::Snapshot,
    symbol::Symbol,
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// The longest note on what is kept, in characters.
pub const KEEP_NOTE_LENGTH_MAX: usize = 500;
/// What an event did is on the board so long after it, in milliseconds: a step to an event goes there.
pub const AFTER_EVENT_MS: i64 = 250;
/// The most differences that are listed.
const DIFFERENCES_MAX: usize = 200;
/// A symbol that ticks now and then has stopped after so long, in milliseconds.
const STOPPED_MS: i64 = 60_000;

/// What is recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// The stretches without a hole, oldest first.
    pub spans: Vec<(UnixMillis, UnixMillis)>,
    /// What is kept for good.
    pub kept: Vec<Kept>,
    /// Why nothing is being recorded now; `None` while it is.
    pub trouble: Option<String>,
}

/// A stretch that somebody keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Its id in addresses.
    pub id: String,
    /// From when.
    pub from: UnixMillis,
    /// Until when.
    pub to: UnixMillis,
    /// Why.
    pub note: String,
    /// Whose email.
    pub by: String,
}

impl Recorded {
    /// From the first moment to the last; `None` where nothing is recorded.
    #[must_use]
    pub fn bounds(&self) -> Option<(UnixMillis, UnixMillis)> {
        Some((self.spans.first()?.0, self.spans.iter().map(|(_, to)| *to).max()?))
    }

    /// Can this moment be shown?
    #[must_use]
    pub fn covers(&self, at: UnixMillis) -> bool {
        self.spans.iter().any(|(from, to)| (*from..=*to).contains(&at))
    }

    /// The moment itself where it can be shown, else the nearest one that can.
    #[must_use]
    pub fn nearest(&self, at: UnixMillis) -> Option<UnixMillis> {
        self.spans.iter().map(|(from, to)| at.clamp(*from, *to)).min_by_key(|near| near.millis_since(at).abs())
    }

    /// What of a stretch is not recorded.
    #[must_use]
    pub fn holes(&self, from: UnixMillis, to: UnixMillis) -> Vec<(UnixMillis, UnixMillis)> {
        let (mut holes, mut at) = (Vec::new(), from);
        for (begin, end) in &self.spans {
            if *begin > at && at < to {
                holes.push((at, (*begin).min(to)));
            }
            at = at.max(*end);
        }
        if at < to {
            holes.push((at, to));
        }
        holes
    }

    /// The stretch of a bar that is so long and has `at` in it: in the middle, or as near to it as the recording's ends let it.
    #[must_use]
    pub fn bar(&self, at: UnixMillis, seconds: u32) -> (UnixMillis, UnixMillis) {
        let length = i64::from(seconds) * 1000;
        let centred = at.0 - length / 2;
        match self.bounds() {
            Some((first, last)) if (first..=last).contains(&at) => {
                let from = centred.min(last.0 - length).max(first.0);
                // At least a minute, however young the recording is.
                (UnixMillis(from), UnixMillis((from + length).min(last.0.max(from + 60_000))))
            }
            _ => (UnixMillis(centred), UnixMillis(centred + length)),
        }
    }
}

/// Something that happened, to step to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// When; of a gap, when it began.
    pub at: UnixMillis,
    /// Is it the begin of a gap?
    pub is_gap: bool,
    /// What.
    pub text: String,
}

impl Step {
    /// The moment that shows it: before a gap, after anything else.
    #[must_use]
    pub fn shown_at(&self) -> UnixMillis {
        if self.is_gap { self.at } else { UnixMillis(self.at.0 + AFTER_EVENT_MS) }
    }
}

/// The next thing after `at`, or the last one before. `steps` are in order.
#[must_use]
pub fn step_from(steps: &[Step], at: UnixMillis, forward: bool, gaps_only: bool) -> Option<&Step> {
    let wanted = || steps.iter().filter(|step| step.is_gap || !gaps_only);
    if forward {
        wanted().filter(|step| step.shown_at() > at).min_by_key(|step| step.shown_at())
    } else {
        wanted().filter(|step| step.shown_at() < at).max_by_key(|step| step.shown_at())
    }
}

/// What the bar of a replay is drawn from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReplayView {
    /// What is recorded.
    pub recorded: Recorded,
    /// The stretch that the bar shows.
    pub bar: HistoryView,
    /// The newest events and gaps of all that is recorded, and those of the bar, oldest first.
    pub steps: Vec<Step>,
}

/// How a moment differs from the present: states, configuration, symbols that tick no more. A sentence each.
#[must_use]
pub fn differences(then: &Snapshot, now: &Snapshot) -> Vec<String> {
    let mut all = Vec::new();
    let connections = |snapshot: &Snapshot| {
        let parts = snapshot.report.live.connections.iter().zip(&snapshot.report.configs);
        parts.map(|(live, config)| (live.id, (live.clone(), config.clone()))).collect::<HashMap<_, _>>()
    };
    let (old, new) = (connections(then), connections(now));
    let mut ids: Vec<_> = old.keys().chain(new.keys()).copied().collect();
    ids.sort_unstable();
    ids.dedup();
    for id in ids {
        let name = ["Connection ", &id.to_string()].concat();
        match (old.get(&id), new.get(&id)) {
            (Some(_), None) => all.push(name + " is not configured any more."),
            (None, Some(_)) => all.push(name + " was not configured then."),
            (Some((was, was_set)), Some((is, is_set))) => {
                if was.state != is.state {
                    all.push([&name, " was ", was.state.label(), " and is ", is.state.label(), "."].concat());
                }
                if was_set.universe_key != is_set.universe_key {
                    let key = |key: &Option<String>| key.clone().unwrap_or_else(|| "not set".to_owned());
                    let (was, is) = (key(&was_set.universe_key), key(&is_set.universe_key));
                    all.push([&name, ": the universe key was ", &was, " and is ", &is, "."].concat());
                }
                if was_set.ticker_count != is_set.ticker_count {
                    let (was, is) = (was_set.ticker_count.to_string(), is_set.ticker_count.to_string());
                    all.push([&name, " carried ", &was, " tickers and carries ", &is, "."].concat());
                }
                if was_set.channels != is_set.channels || was_set.priority != is_set.priority {
                    all.push(name + ": channels or priority are set differently.");
                }
            }
            (None, None) => {}
        }
    }
    all.extend(stopped(then, now));
    all.truncate(DIFFERENCES_MAX);
    all
}

/// Symbols that ticked then and have not for a while, though their connection is up.
fn stopped(then: &Snapshot, now: &Snapshot) -> Vec<String> {
    let (then_at, now_at) = (then.report.live.head.generated_at, now.report.live.head.generated_at);
    let is_up = |id: ConnectionId| {
        let mut all = now.report.live.connections.iter();
        all.any(|live| live.id == id && live.state == ConnectionState::Connected)
    };
    let newest: HashMap<(ConnectionId, Symbol), _> =
        now.rows.iter().map(|row| ((row.connection_id, row.symbol), row)).collect();
    let mut stopped: Vec<(ConnectionId, Symbol, bool)> = Vec::new();
    for row in &then.rows {
        let ticked = row.price.is_some() && then_at.millis_since(row.timestamp) < STOPPED_MS;
        if !ticked || !is_up(row.connection_id) {
            continue;
        }
        match newest.get(&(row.connection_id, row.symbol)) {
            None => stopped.push((row.connection_id, row.symbol, true)),
            Some(new) if now_at.millis_since(new.timestamp) > STOPPED_MS => {
                stopped.push((row.connection_id, row.symbol, false));
            }
            Some(_) => {}
        }
    }
    stopped.sort_unstable();
    stopped
        .into_iter()
        .map(|(id, symbol, gone)| {
            let what = if gone { " ticked then and is not carried any more" } else { " ticked then and has stopped" };
            [&*symbol, what, ", connection ", &id.to_string(), "."].concat()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        protocol::{ReportParts, Row},
        status::{ConnectionConfig, ConnectionLive},
    };

    fn at(seconds: i64) -> UnixMillis {
        UnixMillis(seconds * 1000)
    }

    fn recorded(spans: &[(i64, i64)]) -> Recorded {
        Recorded { spans: spans.iter().map(|(from, to)| (at(*from), at(*to))).collect(), ..Recorded::default() }
    }

    #[test]
    fn what_is_not_recorded_is_known_and_what_is_near_it() {
        let all = recorded(&[(100, 200), (300, 400)]);
        assert_eq!(all.bounds(), Some((at(100), at(400))));
        assert!(all.covers(at(150)) && !all.covers(at(250)) && !all.covers(at(401)));
        assert_eq!(
            [50, 150, 220, 280, 999].map(|s| all.nearest(at(s)).map(|near| near.0 / 1000)),
            [Some(100), Some(150), Some(200), Some(300), Some(400)]
        );
        assert_eq!(all.holes(at(50), at(450)), [(at(50), at(100)), (at(200), at(300)), (at(400), at(450))]);
        assert_eq!(all.holes(at(110), at(190)), []);
        assert_eq!(Recorded::default().holes(at(1), at(2)), [(at(1), at(2))]);
        assert_eq!((Recorded::default().nearest(at(1)), Recorded::default().bounds()), (None, None));
    }

    #[test]
    fn a_bar_has_its_moment_in_it_and_does_not_reach_beyond_the_recording() {
        let all = recorded(&[(0, 10_000)]);
        assert_eq!(all.bar(at(5_000), 600), (at(4_700), at(5_300)));
        assert_eq!(all.bar(at(10), 600), (at(0), at(600)), "at the begin");
        assert_eq!(all.bar(at(9_990), 600), (at(9_400), at(10_000)), "at the end");
        assert_eq!(all.bar(at(5_000), 86_400), (at(0), at(10_000)), "all of it");
        assert_eq!(recorded(&[(0, 5)]).bar(at(3), 3_600), (at(0), at(60)), "a recording that has just begun");
        assert_eq!(all.bar(at(20_000), 60), (at(19_970), at(20_030)), "lost, and shown as such");
    }

    #[test]
    fn steps_go_from_event_to_event_and_from_gap_to_gap() {
        let step = |seconds, is_gap| Step { at: at(seconds), is_gap, text: String::new() };
        let steps = [step(10, false), step(20, true), step(30, false), step(40, true)];
        let from = |at: UnixMillis, forward, gaps| step_from(&steps, at, forward, gaps).map(|step| step.at.0 / 1000);
        assert_eq!([from(at(0), true, false), from(at(0), true, true)], [Some(10), Some(20)]);
        // Every step leads on from where the one before led to.
        let mut seen = Vec::new();
        let mut moment = at(0);
        while let Some(next) = step_from(&steps, moment, true, false) {
            seen.push(next.at.0 / 1000);
            moment = next.shown_at();
        }
        assert_eq!(seen, [10, 20, 30, 40]);
        assert_eq!([from(moment, false, false), from(moment, true, true)], [Some(30), None]);
        assert_eq!(from(at(10), false, false), None);
    }

    #[test]
    fn what_changed_since_is_told_in_sentences() {
        let snapshot = |seconds, state, tickers, rows: &[(&str, i64)]| {
            let live = ConnectionLive { id: 1, state, ..ConnectionLive::default() };
            let config = ConnectionConfig { ticker_count: tickers, ..ConnectionConfig::default() };
            let mut report = ReportParts { configs: vec![config], ..ReportParts::default() };
            report.live.connections = vec![live];
            report.live.head.generated_at = at(seconds);
            let row = |(symbol, ticked): &(&str, i64)| Row {
                price: Some(1.0),
                timestamp: at(*ticked),
                ..Row::empty(1, Symbol::parse(symbol).expect("a symbol"))
            };
            Snapshot { report, rows: rows.iter().map(row).collect(), ..Snapshot::default() }
        };
        let then = snapshot(1_000, ConnectionState::Mute, 3, &[("AAPL", 999), ("MSFT", 999), ("IBM", 999), ("OLD", 1)]);
        let now = snapshot(2_000, ConnectionState::Connected, 2, &[("AAPL", 1_999), ("MSFT", 1_500), ("OLD", 1)]);
        assert_eq!(
            differences(&then, &now),
            [
                "Connection 1 was mute and is connected.",
                "Connection 1 carried 3 tickers and carries 2.",
                "IBM ticked then and is not carried any more, connection 1.",
                "MSFT ticked then and has stopped, connection 1."
            ]
        );
        assert_eq!(differences(&now, &now), Vec::<String>::new());
        let gone = Snapshot::default();
        assert_eq!(differences(&then, &gone), ["Connection 1 is not configured any more."]);
    }
}
