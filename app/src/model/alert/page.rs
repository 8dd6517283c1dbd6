//! What the page of the alerts shows.

use super::{Alert, AlertConnection, Rule, RuleNumbers, Severity, Silence};
use crate::model::{connection::ConnectionId, time::UnixMillis};
use serde::Serialize;

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct AlertsPage {
    /// What fires now.
    pub open: Vec<Alert>,
    /// What is resolved, newest first.
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
