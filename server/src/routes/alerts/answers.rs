//! What the API answers about alerts.

use crate::{
    alerts::{AlertData, Destination},
    database::alerts::Delivery,
    routes::AppState,
};
use app::model::{
    alert::{Rule, RuleNumbers, RuleSetting, Severity, Silence, Unit, When},
    time::UnixMillis,
};
use schemars::JsonSchema;
use serde::Serialize;

#[derive(Serialize, JsonSchema)]
pub(in crate::routes) struct AlertList<'a> {
    /// The newest first.
    pub(super) alerts: Vec<AlertData<'a>>,
    /// Where the next page begins; `None` on the last.
    pub(super) next_cursor: Option<String>,
}

#[derive(Serialize, JsonSchema)]
pub(in crate::routes) struct SilenceList {
    /// Those that are not over.
    pub(super) silences: Vec<Silence>,
}

#[derive(Serialize, JsonSchema)]
pub(in crate::routes) struct RuleList {
    pub(super) rules: Vec<RuleAnswer>,
}

/// A rule, and its numbers as they are now.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AlertRule")]
pub(super) struct RuleAnswer {
    pub(super) rule: Rule,
    /// What it is called on the page.
    pub(super) title: &'static str,
    pub(super) severity: Severity,
    /// When it applies, by the market's calendar.
    pub(super) when: When,
    /// What its threshold is measured in; `None` for rules that measure nothing.
    pub(super) unit: Option<Unit>,
    #[serde(flatten)]
    pub(super) numbers: RuleNumbers,
    /// Did somebody change them?
    pub(super) changed: bool,
    /// Its numbers as it ships.
    pub(super) default: RuleNumbers,
    /// Numbers of its own that a connection has.
    pub(super) connections: Vec<RuleSetting>,
    /// Alerts of it that started in the last seven days.
    pub(super) fired_in_7_days: i64,
}

#[derive(Serialize, JsonSchema)]
pub(in crate::routes) struct DestinationList {
    pub(super) destinations: Vec<DestinationAnswer>,
    /// Is a heartbeat told to another service?
    pub(super) heartbeat: bool,
}

/// A destination, without its secrets.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AlertDestination")]
pub(super) struct DestinationAnswer {
    pub(super) name: String,
    /// `webhook`, `slack`, `pagerduty`, `alertmanager`, `ntfy` or `email`.
    pub(super) format: &'static str,
    /// Where it is.
    pub(super) host: String,
    pub(super) min_severity: Severity,
    /// Since when it answers that it is gone; `None` while it does not.
    pub(super) gone_since: Option<UnixMillis>,
    /// The last ten, the newest first.
    pub(super) deliveries: Vec<DeliveryAnswer>,
}

/// One message to a destination.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AlertDelivery")]
pub(super) struct DeliveryAnswer {
    /// When it was to be told.
    pub(super) at: UnixMillis,
    /// The alert; `None` for a test.
    pub(super) alert: Option<String>,
    /// What was told of it.
    pub(super) kind: String,
    /// The alert's title.
    pub(super) title: String,
    /// `pending`, `delivered` or `given_up`.
    pub(super) outcome: String,
    /// How often it was tried.
    pub(super) attempts: u32,
    /// What the destination answered last.
    pub(super) answer: Option<String>,
}

impl DestinationAnswer {
    pub(super) fn of(state: &AppState, destination: &Destination, deliveries: Vec<Delivery>) -> Self {
        Self {
            name: destination.name.clone(),
            format: destination.kind(),
            host: destination.host(),
            min_severity: destination.min_severity,
            gone_since: state.alerts.gone_since(&destination.name),
            deliveries: deliveries.into_iter().map(DeliveryAnswer::from).collect(),
        }
    }
}

impl From<Delivery> for DeliveryAnswer {
    fn from(delivery: Delivery) -> Self {
        let Delivery { alert_id, kind, title, at, outcome, attempts, answer } = delivery;
        Self { at, alert: Some(alert_id).filter(|id| !id.is_empty()), kind, title, outcome, attempts, answer }
    }
}

#[derive(Serialize, JsonSchema)]
pub(in crate::routes) struct TestAnswer {
    /// Did the destination take it?
    pub(super) taken: bool,
    /// What it answered.
    pub(super) answer: String,
}
