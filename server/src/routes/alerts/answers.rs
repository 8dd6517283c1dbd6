//! What the API answers about alerts.

use crate::alerts::AlertData;
use app::model::alert::{Rule, RuleNumbers, RuleSetting, Severity, Silence, Unit, When, page::DestinationView};
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
    /// How many would have started with these numbers, as far as history tells; `None` where it tells nothing of the rule.
    pub(super) would_have_fired_in_7_days: Option<u32>,
}

#[derive(Serialize, JsonSchema)]
pub(in crate::routes) struct DestinationList {
    pub(super) destinations: Vec<DestinationView>,
    /// Is a heartbeat told to another service?
    pub(super) heartbeat: bool,
}

#[derive(Serialize, JsonSchema)]
pub(in crate::routes) struct TestAnswer {
    /// Did the destination take it?
    pub(super) taken: bool,
    /// What it answered.
    pub(super) answer: String,
}
