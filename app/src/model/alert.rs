//! Alerts: what is wrong and somebody should be told of, until it is well again.
//!
//! ```text
//!            for as long as its rule says              well for a minute
//!  trouble ─────────────────────────────▶ open alert ───────────────────▶ resolved
//!                                          ├ acknowledged: somebody looks after it
//!                                          ├ escalated: nobody did, told again
//!                                          └ flapping: comes and goes, stays open
//! ```

pub mod page;
mod rule;

pub use rule::{RULE_SECONDS_MAX, Rule, RuleNumbers, Unit, When};

#[cfg(feature = "ssr")]
mod related;

use super::{connection::ConnectionId, history::gap::Acknowledgement, time::UnixMillis};
use serde::{Deserialize, Serialize};

/// How much it matters. Destinations take what is at least as grave as they are set to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// To be known.
    Info,
    /// To be looked at today.
    #[default]
    Warning,
    /// Data is missing now, or nobody would notice if it were.
    Critical,
}

impl Severity {
    /// All of them, the least first.
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Critical];

    /// Its name in configuration, JSON and on the page.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// The severity with a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|severity| severity.name() == name)
    }
}

/// A connection that an alert is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct AlertConnection {
    /// Its number.
    pub id: ConnectionId,
    /// Its name.
    pub name: String,
}

/// One alert, from the moment it is told until it is resolved.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Unique for ever: the fingerprint and when the trouble began.
    pub id: String,
    /// What it is about: rule and connections, `mute:1` or `not_connected:1,2,3`. At most one open alert has it.
    pub fingerprint: String,
    /// Its rule.
    pub rule: Rule,
    /// How much it matters.
    pub severity: Severity,
    /// The connections it is about, lost together; none where it is about the whole.
    pub connections: Vec<AlertConnection>,
    /// The server it is about, where one was lost.
    #[serde(default)]
    pub server: Option<String>,
    /// What, in a few words.
    pub title: String,
    /// What, with the reason as it is known.
    pub text: String,
    /// When the trouble began.
    pub started_at: UnixMillis,
    /// When the alert fired: the trouble had lasted as long as its rule says.
    pub fired_at: UnixMillis,
    /// When the trouble ended; `None` while it lasts.
    pub ended_at: Option<UnixMillis>,
    /// What was measured, in the rule's unit.
    pub value: Option<f64>,
    /// What it was measured against.
    pub threshold: Option<f64>,
    /// Who looks after it.
    pub acknowledged: Option<Acknowledgement>,
    /// Does it come and go? Then it stays open until that is over.
    pub flapping: bool,
    /// Why nobody is told: a silence's reason.
    #[serde(default)]
    pub silenced: Option<String>,
    /// The destinations that were told it fires: they are told how it goes on, and no others.
    #[serde(default)]
    pub told: Vec<String>,
    /// How many steps of the escalation are done.
    #[serde(default)]
    pub escalations: u32,
    /// How many transitions it went through: the next one's number.
    #[serde(default)]
    pub transitions: u32,
}

impl Alert {
    /// The state that API, page and metrics tell.
    #[must_use]
    pub fn state(&self) -> &'static str {
        match (self.ended_at, &self.acknowledged) {
            (Some(_), _) => "resolved",
            (None, Some(_)) => "acknowledged",
            (None, None) => "firing",
        }
    }

    /// The connection it is about, where it is about one alone.
    #[must_use]
    pub fn connection(&self) -> Option<&AlertConnection> {
        if let [one] = &*self.connections { Some(one) } else { None }
    }

    /// Is it about this connection?
    #[must_use]
    pub fn is_about(&self, id: ConnectionId) -> bool {
        self.connections.iter().any(|connection| connection.id == id)
    }

    /// Its line on the dashboard.
    #[must_use]
    pub fn line(&self) -> AlertLine {
        AlertLine {
            id: self.id.clone(),
            severity: self.severity,
            connection: self.connections.first().map(|connection| connection.id),
            title: self.title.clone(),
            text: self.text.clone(),
            since: self.started_at,
            acknowledged_by: self.acknowledged.as_ref().map(|by| by.by.clone()),
            flapping: self.flapping,
            silenced: self.silenced.is_some(),
        }
    }
}

/// What became of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransitionKind {
    /// It is told: the trouble lasted, or a silence ended.
    Firing,
    /// Somebody looks after it.
    Acknowledged,
    /// Nobody does: told again.
    Escalated,
    /// It comes and goes. On record, and told to nobody.
    Flapping,
    /// It is well again.
    Resolved,
}

impl TransitionKind {
    /// Its name in JSON and the database.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Acknowledged => "acknowledged",
            Self::Escalated => "escalated",
            Self::Flapping => "flapping",
            Self::Resolved => "resolved",
        }
    }
}

/// A step of an alert, with the alert as it was then.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transition {
    /// Unique for ever: receivers know a repetition by it.
    pub id: String,
    /// What.
    pub kind: TransitionKind,
    /// When.
    pub at: UnixMillis,
    /// The alert after it.
    pub alert: Alert,
    /// The destinations that are told.
    pub to: Vec<String>,
}

/// Alerts that match fire without telling anybody, until it ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Silence {
    /// Its number.
    pub id: i64,
    /// The rule; `None` is every rule.
    pub rule: Option<Rule>,
    /// The connection; `None` is every connection, and what is about the whole.
    pub connection: Option<ConnectionId>,
    /// From when.
    pub from: UnixMillis,
    /// Until when.
    pub until: UnixMillis,
    /// Why.
    pub reason: String,
    /// Whose.
    pub by: String,
}

/// The longest silence: whoever needs more switches the rule off.
pub const SILENCE_MS_MAX: i64 = 7 * 24 * 3_600_000;
/// The longest reason of a silence, in characters.
pub const REASON_LENGTH_MAX: usize = 200;

impl Silence {
    /// Does it keep this alert quiet at a moment? An alert over several connections only when it covers them all.
    #[must_use]
    pub fn covers(&self, rule: Rule, connections: &[AlertConnection], now: UnixMillis) -> bool {
        let is_time = self.from <= now && now < self.until;
        let is_rule = self.rule.is_none_or(|wanted| wanted == rule);
        let is_theirs = |id| !connections.is_empty() && connections.iter().all(|connection| connection.id == id);
        is_time && is_rule && self.connection.is_none_or(is_theirs)
    }
}

/// A rule's numbers as somebody changed them, for all connections or for one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct RuleSetting {
    /// The rule.
    pub rule: Rule,
    /// The connection; `None` is all that have no setting of their own.
    pub connection: Option<ConnectionId>,
    /// Its numbers.
    #[serde(flatten)]
    pub numbers: RuleNumbers,
}

/// An open alert on the dashboard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct AlertLine {
    /// The alert.
    pub id: String,
    /// How much it matters.
    pub severity: Severity,
    /// The first connection it is about.
    pub connection: Option<ConnectionId>,
    /// What.
    pub title: String,
    /// What, with the reason.
    pub text: String,
    /// Since when.
    pub since: UnixMillis,
    /// Who looks after it.
    pub acknowledged_by: Option<String>,
    /// Does it come and go?
    pub flapping: bool,
    /// Is nobody told?
    pub silenced: bool,
}

/// The most lines that a page is sent; the count stands beside them.
pub const LINES_MAX: usize = 50;

/// The open alerts, as the dashboard has them: the gravest first, then the oldest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenAlerts {
    /// The first [`LINES_MAX`].
    pub lines: Vec<AlertLine>,
    /// How many there are.
    pub total: u32,
}

impl OpenAlerts {
    /// The lines of alerts in any order. What nobody looks after comes before what somebody does.
    #[must_use]
    pub fn of<'a>(alerts: impl IntoIterator<Item = &'a Alert>) -> Self {
        let mut lines: Vec<_> = alerts.into_iter().map(Alert::line).collect();
        lines.sort_by(|a, b| {
            let place =
                |line: &AlertLine| (line.acknowledged_by.is_some(), std::cmp::Reverse(line.severity), line.since);
            place(a).cmp(&place(b)).then_with(|| a.id.cmp(&b.id))
        });
        let total = u32::try_from(lines.len()).unwrap_or(u32::MAX);
        lines.truncate(LINES_MAX);
        Self { lines, total }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(id: &str, severity: Severity, since: i64) -> Alert {
        Alert { id: id.into(), severity, started_at: UnixMillis(since), ..Alert::default() }
    }

    #[test]
    fn the_gravest_that_nobody_looks_after_comes_first() {
        let seen = Acknowledgement { at: UnixMillis(9), by: "ann@x".into(), note: String::new() };
        let alerts = [
            alert("late", Severity::Warning, 1),
            Alert { acknowledged: Some(seen), ..alert("seen", Severity::Critical, 0) },
            alert("newer", Severity::Critical, 5),
            alert("older", Severity::Critical, 4),
        ];
        let open = OpenAlerts::of(&alerts);
        let ids: Vec<_> = open.lines.iter().map(|line| &*line.id).collect();
        assert_eq!((ids, open.total), (vec!["older", "newer", "late", "seen"], 4));
        let many: Vec<_> = (0..200).map(|number| alert(&number.to_string(), Severity::Warning, number)).collect();
        let open = OpenAlerts::of(&many);
        assert_eq!((open.lines.len(), open.total), (LINES_MAX, 200));
    }

    #[test]
    fn a_silence_covers_what_it_names_and_only_while_it_lasts() {
        let one = |id| AlertConnection { id, name: String::new() };
        let silence = Silence {
            id: 1,
            rule: Some(Rule::Mute),
            connection: Some(2),
            from: UnixMillis(10),
            until: UnixMillis(20),
            reason: String::new(),
            by: String::new(),
        };
        let covers = |rule, ids: &[u8], at| {
            let connections: Vec<_> = ids.iter().copied().map(one).collect();
            silence.covers(rule, &connections, UnixMillis(at))
        };
        assert!(covers(Rule::Mute, &[2], 10) && covers(Rule::Mute, &[2], 19));
        assert!(!covers(Rule::Mute, &[2], 9) && !covers(Rule::Mute, &[2], 20));
        assert!(!covers(Rule::Rate, &[2], 15) && !covers(Rule::Mute, &[1, 2], 15) && !covers(Rule::Mute, &[], 15));
        let all = Silence { rule: None, connection: None, ..silence.clone() };
        assert!(all.covers(Rule::Bus, &[], UnixMillis(15)));
    }
}
