//! Prometheus Alertmanager's API v2. It groups, silences and tells by rules of its own, and forgets what it is not told again:
//! what lasts is sent once more every minute, with an end five minutes ahead.

use super::{Context, Message, json};
use app::model::{
    alert::{Alert, TransitionKind},
    time::UnixMillis,
};
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json as value};

/// Without another word, an alert is over after so long.
const LASTS_MS: i64 = 300_000;

pub(super) fn message(
    url: &SecretString,
    alerts: &[(TransitionKind, &Alert)],
    context: &Context,
    now: UnixMillis,
) -> Option<Message> {
    let told: Vec<_> = alerts.iter().filter_map(|(kind, alert)| one(*kind, alert, context, now)).collect();
    (!told.is_empty()).then(|| json(&endpoint(url), &told.into()))
}

/// The configured address is the Alertmanager's, with the path that it lies under.
fn endpoint(url: &SecretString) -> SecretString {
    let whole = Url::parse(url.expose_secret()).ok().map(|mut url| {
        let path = url.path().trim_end_matches('/').trim_end_matches("/api/v2/alerts").to_owned();
        url.set_path(&(path + "/api/v2/alerts"));
        String::from(url)
    });
    whole.map_or_else(|| url.clone(), SecretString::from)
}

fn one(kind: TransitionKind, alert: &Alert, context: &Context, now: UnixMillis) -> Option<Value> {
    let ends_at = match kind {
        TransitionKind::Firing | TransitionKind::Escalated => UnixMillis(now.0 + LASTS_MS),
        TransitionKind::Resolved => alert.ended_at.unwrap_or(now),
        // It has no word for either.
        TransitionKind::Acknowledged | TransitionKind::Flapping => return None,
    };
    let ids: Vec<_> = alert.connections.iter().map(|connection| connection.id.to_string()).collect();
    let names: Vec<_> = alert.connections.iter().map(|connection| connection.name.as_str()).collect();
    let mut labels = value!({
        "alertname": format!("TickStock_{}", alert.rule.name()),
        "rule": alert.rule,
        "severity": alert.severity,
        "fingerprint": alert.fingerprint,
        "job": "tickstock-monitor",
    });
    for (name, text) in [
        ("connection", ids.join(",")),
        ("connection_name", names.join(",")),
        ("server", alert.server.clone().unwrap_or_default()),
    ] {
        // A label without a value is none.
        if !text.is_empty() {
            labels[name] = text.into();
        }
    }
    let mut told = value!({
        "labels": labels,
        "annotations": { "summary": alert.title, "description": alert.text },
        "startsAt": alert.started_at,
        "endsAt": ends_at,
    });
    if let Some(link) = context.alert(alert) {
        told["generatorURL"] = link.into();
    }
    Some(told)
}
