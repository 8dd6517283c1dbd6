//! Standard Webhooks 1.0: a JSON body, an id that stays the same over all attempts, and a signature.

use super::{Context, HmacSha256, Message, json};
use app::model::{
    alert::{Alert, AlertConnection, Rule, Severity, Transition, TransitionKind, Unit},
    history::gap::Acknowledgement,
    time::UnixMillis,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::Mac;
use reqwest::header::{HeaderName, HeaderValue};
use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::Value;

/// What starts a secret.
const PREFIX: &str = "whsec_";
/// How long its key may be, in bytes.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// The key that a secret stands for; `None` when it is none.
pub(crate) fn key_of(secret: &str) -> Option<Vec<u8>> {
    let key = BASE64_STANDARD.decode(secret.strip_prefix(PREFIX)?).ok()?;
    KEY_BYTES.contains(&key.len()).then_some(key)
}

pub(super) fn message(
    url: &SecretString,
    secret: Option<&SecretString>,
    step: &Transition,
    context: &Context,
    now: UnixMillis,
) -> Option<Message> {
    let mut message = json(url, &body(step, context)?);
    let seconds = now.0.div_euclid(1000).to_string();
    let mut put = |name, text: &str| {
        if let Ok(text) = HeaderValue::from_str(text) {
            message.headers.insert(HeaderName::from_static(name), text);
        }
    };
    put("webhook-id", &step.id);
    put("webhook-timestamp", &seconds);
    if let Some(key) = secret.and_then(|secret| key_of(secret.expose_secret())) {
        let mut mac = HmacSha256::new_from_slice(&key).ok()?;
        for part in [step.id.as_bytes(), b".", seconds.as_bytes(), b".", &message.body] {
            mac.update(part);
        }
        put("webhook-signature", &["v1,", &BASE64_STANDARD.encode(mac.finalize().into_bytes())].concat());
    }
    Some(message)
}

fn body(step: &Transition, context: &Context) -> Option<Value> {
    let kind = match step.kind {
        TransitionKind::Flapping => return None,
        kind => ["alert.", kind.name()].concat(),
    };
    serde_json::to_value(AlertTold { kind, timestamp: step.at, data: data(&step.alert, context) }).ok()
}

/// What a webhook is told.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AlertTold<'a> {
    /// `alert.firing`, `alert.acknowledged`, `alert.escalated` or `alert.resolved`.
    #[serde(rename = "type")]
    kind: String,
    /// When that was.
    timestamp: UnixMillis,
    /// The alert after it.
    data: AlertData<'a>,
}

/// An alert as webhooks and the API tell it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Alert")]
pub struct AlertData<'a> {
    /// Unique for ever.
    id: &'a str,
    /// What it is about: rule and connections. At most one open alert has it.
    fingerprint: &'a str,
    /// Its rule.
    rule: Rule,
    /// How much it matters.
    severity: Severity,
    /// `firing`, `acknowledged` or `resolved`.
    state: &'a str,
    /// The connection it is about, where it is about one alone.
    connection: Option<&'a AlertConnection>,
    /// The connections it is about, lost together; none where it is about the whole.
    connections: &'a [AlertConnection],
    /// The server it is about, where one was lost.
    server: Option<&'a str>,
    /// What, in a few words.
    title: &'a str,
    /// What, with the reason as it is known.
    text: &'a str,
    /// When the trouble began.
    started_at: UnixMillis,
    /// When the alert fired: the trouble had lasted as long as its rule says.
    fired_at: UnixMillis,
    /// When the trouble ended; `None` while it lasts.
    ended_at: Option<UnixMillis>,
    /// What was measured, in `unit`.
    value: Option<f64>,
    /// What it was measured against.
    threshold: Option<f64>,
    /// What both are measured in; `None` for rules that measure nothing.
    unit: Option<Unit>,
    /// Who looks after it.
    acknowledged: Option<&'a Acknowledgement>,
    /// Does it come and go? Then it stays open until that is over.
    flapping: bool,
    /// Why nobody is told: a silence's reason.
    silenced: Option<&'a str>,
    /// Where to look; `None` without `PUBLIC_URL`.
    links: Links,
}

/// Addresses of an alert.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AlertLinks")]
struct Links {
    /// The dashboard.
    dashboard: Option<String>,
    /// The alert on its page.
    alert: Option<String>,
    /// The charts around it.
    replay: Option<String>,
}

/// An alert as webhooks and the API tell it.
#[must_use]
pub fn data<'a>(alert: &'a Alert, context: &Context) -> AlertData<'a> {
    AlertData {
        id: &alert.id,
        fingerprint: &alert.fingerprint,
        rule: alert.rule,
        severity: alert.severity,
        state: alert.state(),
        connection: alert.connection(),
        connections: &alert.connections,
        server: alert.server.as_deref(),
        title: &alert.title,
        text: &alert.text,
        started_at: alert.started_at,
        fired_at: alert.fired_at,
        ended_at: alert.ended_at,
        value: alert.value,
        threshold: alert.threshold,
        unit: alert.rule.unit(),
        acknowledged: alert.acknowledged.as_ref(),
        flapping: alert.flapping,
        silenced: alert.silenced.as_deref(),
        links: Links { dashboard: context.dashboard(), alert: context.alert(alert), replay: context.replay(alert) },
    }
}
