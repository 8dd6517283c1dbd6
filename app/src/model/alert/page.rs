//! What the page of the alerts shows.

use super::{Alert, AlertConnection, Rule, RuleNumbers, Severity, Silence};
use crate::model::{connection::ConnectionId, history::HistoryEvent, time::UnixMillis};
use serde::Serialize;

/// What the address asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertsAsked {
    /// One alert, to be shown by itself.
    pub alert: Option<String>,
    /// Those of this severity alone.
    pub severity: Option<Severity>,
    /// Those about this connection alone.
    pub connection: Option<ConnectionId>,
    /// Those that have this in title or text.
    pub text: String,
    /// All open ones, however many there are.
    pub all: bool,
    /// Where the resolved ones go on.
    pub cursor: Option<String>,
}

impl AlertsAsked {
    /// Reads the parameters of an address. What is not understood counts as not said.
    #[must_use]
    pub fn read<'a>(parameter: impl Fn(&str) -> Option<&'a str>) -> Self {
        let said = |name| parameter(name).filter(|value| !value.is_empty());
        Self {
            alert: said("alert").map(str::to_owned),
            severity: said("severity").and_then(Severity::named),
            connection: said("connection").and_then(|id| id.parse().ok()),
            text: said("text").unwrap_or_default().trim().to_owned(),
            all: said("show") == Some("all"),
            cursor: said("cursor").map(str::to_owned),
        }
    }

    /// The parameters that read as this.
    #[must_use]
    pub fn parameters(&self) -> Vec<(&'static str, String)> {
        let all = [
            ("alert", self.alert.clone()),
            ("severity", self.severity.map(|severity| severity.name().to_owned())),
            ("connection", self.connection.map(|id| id.to_string())),
            ("text", Some(self.text.clone()).filter(|text| !text.is_empty())),
            ("show", self.all.then(|| "all".to_owned())),
            ("cursor", self.cursor.clone()),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    /// Does it leave alerts out of the lists?
    #[must_use]
    pub fn filters(&self) -> bool {
        self.severity.is_some() || self.connection.is_some() || !self.text.is_empty()
    }

    /// Is this alert asked for?
    #[must_use]
    pub fn wants(&self, alert: &Alert) -> bool {
        let text = self.text.to_lowercase();
        let has_text =
            || [&alert.title, &alert.text, alert.rule.name()].iter().any(|of| of.to_lowercase().contains(&text));
        self.severity.is_none_or(|severity| alert.severity == severity)
            && self.connection.is_none_or(|id| alert.is_about(id))
            && (text.is_empty() || has_text())
    }
}

/// One alert with all that is known of it.
#[derive(Clone, Debug, Default)]
pub struct AlertStory {
    /// The alert.
    pub alert: Alert,
    /// Its steps, the first one first.
    pub steps: Vec<HistoryEvent>,
    /// The gaps that it told of: what they are called, and where the ledger has them.
    pub gaps: Vec<(String, String)>,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct AlertsPage {
    /// The one that is asked for, where there is such an alert.
    pub asked: Option<AlertStory>,
    /// What fires now.
    pub open: Vec<Alert>,
    /// What is resolved and asked for, newest first.
    pub past: Vec<Alert>,
    /// Where the next page of the past goes on.
    pub next_cursor: Option<String>,
    /// What is not told, until when.
    pub silences: Vec<Silence>,
    /// Every rule; after it, the connections with numbers of their own.
    pub rules: Vec<RuleView>,
    /// Who is told.
    pub destinations: Vec<DestinationView>,
    /// Is there a heartbeat?
    pub has_heartbeat: bool,
    /// The connections that there are.
    pub connections: Vec<AlertConnection>,
    /// When the page was made.
    pub now: UnixMillis,
}

/// A rule and its numbers.
#[derive(Clone, Debug)]
pub struct RuleView {
    /// The rule.
    pub rule: Rule,
    /// The connection that the numbers are of; `None`: of all that have none of their own.
    pub connection: Option<ConnectionId>,
    /// The numbers.
    pub numbers: RuleNumbers,
    /// Did somebody change them?
    pub is_changed: bool,
    /// How often the rule fired in the last seven days.
    pub fired: i64,
    /// How often it would have with these numbers, as far as history tells; `None` where it tells nothing of such a rule.
    pub would_have_fired: Option<u32>,
}

/// Somebody who is told.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ssr", schemars(rename = "AlertDestination"))]
pub struct DestinationView {
    /// Its name.
    pub name: String,
    /// Its format: `webhook`, `slack`, `pagerduty`, `alertmanager`, `ntfy` or `email`.
    pub format: &'static str,
    /// Where it is, without what is secret.
    pub host: String,
    /// The least severity that it takes.
    pub min_severity: Severity,
    /// Since when it is switched off, as it said that it is gone.
    pub gone_since: Option<UnixMillis>,
    /// The last deliveries, newest first.
    pub deliveries: Vec<DeliveryView>,
}

/// Something that was to be told.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ssr", schemars(rename = "AlertDelivery"))]
pub struct DeliveryView {
    /// When.
    pub at: UnixMillis,
    /// The alert; `None` for a test.
    pub alert: Option<String>,
    /// What happened to the alert.
    pub kind: String,
    /// The alert's title.
    pub title: String,
    /// How it went: `pending`, `delivered` or `given_up`.
    pub outcome: String,
    /// How often it was tried.
    pub attempts: u32,
    /// What was answered last.
    pub answer: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_it_was_written_and_leaves_out_what_is_not_asked_for() {
        let asked = AlertsAsked {
            severity: Some(Severity::Critical),
            connection: Some(2),
            text: "No Data".into(),
            all: true,
            ..AlertsAsked::default()
        };
        let parameters = asked.parameters();
        let read = AlertsAsked::read(|name| parameters.iter().find(|(key, _)| *key == name).map(|(_, value)| &**value));
        assert_eq!(read, asked);
        assert_eq!(AlertsAsked::read(|_| Some("")), AlertsAsked::default());
        assert_eq!(AlertsAsked::read(|_| Some("?")).severity, None);
        let of = |id| vec![AlertConnection { id, name: String::new() }];
        let (severity, title) = (Severity::Critical, "secondary: no data".to_owned());
        let alert = Alert { severity, title, connections: of(2), ..Alert::default() };
        assert!(asked.wants(&alert) && AlertsAsked::default().wants(&alert));
        assert!(!asked.wants(&Alert { connections: of(1), ..alert.clone() }));
        assert!(!asked.wants(&Alert { severity: Severity::Warning, ..alert.clone() }));
        assert!(!asked.wants(&Alert { title: "late".into(), ..alert }));
    }
}
