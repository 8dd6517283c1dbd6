//! PagerDuty's Events API v2: an alert is an incident, by its id.

use super::{Context, Message, json};
use app::model::alert::{Severity, Transition, TransitionKind};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json as value;

/// Where it is, unless another host is configured.
pub(crate) const DEFAULT_URL: &str = "https://events.pagerduty.com/v2/enqueue";
const SUMMARY_CHARS_MAX: usize = 1_024;
const KEY_CHARS_MAX: usize = 255;

pub(super) fn message(url: &SecretString, key: &SecretString, step: &Transition, context: &Context) -> Option<Message> {
    let alert = &step.alert;
    let action = match step.kind {
        // Once more is the same incident.
        TransitionKind::Firing | TransitionKind::Escalated => "trigger",
        TransitionKind::Acknowledged => "acknowledge",
        TransitionKind::Resolved => "resolve",
        TransitionKind::Flapping => return None,
    };
    let cut = |text: &str, most: usize| text.chars().take(most).collect::<String>();
    let mut body = value!({
        "routing_key": key.expose_secret(),
        "event_action": action,
        "dedup_key": cut(&alert.id, KEY_CHARS_MAX),
    });
    if action == "trigger" {
        let names: Vec<_> = alert.connections.iter().map(|connection| connection.name.as_str()).collect();
        body["payload"] = value!({
            "summary": cut(&[&alert.title, ": ", &alert.text].concat(), SUMMARY_CHARS_MAX),
            "source": "tickstock-monitor",
            "severity": severity(alert.severity),
            "timestamp": alert.started_at,
            "component": if names.is_empty() { "monitor".to_owned() } else { names.join(", ") },
            "group": "market data",
            "class": alert.rule,
            "custom_details": super::webhook::data(alert, context),
        });
        body["client"] = "TickStock Monitor".into();
        if let Some(link) = context.alert(alert) {
            body["client_url"] = link.into();
        }
    }
    Some(json(url, &body))
}

fn severity(severity: Severity) -> &'static str {
    // Theirs are critical, error, warning and info.
    severity.name()
}
