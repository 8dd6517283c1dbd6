//! Standard Webhooks 1.0: a JSON body, an id that stays the same over all attempts, and a signature.

use super::{Context, HmacSha256, Message, json};
use app::model::{
    alert::{Alert, Transition, TransitionKind},
    time::UnixMillis,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::Mac;
use reqwest::header::{HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json as value};

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
    Some(value!({ "type": kind, "timestamp": step.at, "data": data(&step.alert, context) }))
}

/// An alert as webhooks and the API tell it.
#[must_use]
pub fn data(alert: &Alert, context: &Context) -> Value {
    value!({
        "id": alert.id,
        "fingerprint": alert.fingerprint,
        "rule": alert.rule,
        "severity": alert.severity,
        "state": alert.state(),
        "connection": alert.connection(),
        "connections": alert.connections,
        "server": alert.server,
        "title": alert.title,
        "text": alert.text,
        "started_at": alert.started_at,
        "fired_at": alert.fired_at,
        "ended_at": alert.ended_at,
        "value": alert.value,
        "threshold": alert.threshold,
        "unit": alert.rule.unit(),
        "acknowledged": alert.acknowledged,
        "flapping": alert.flapping,
        "silenced": alert.silenced,
        "links": {
            "dashboard": context.dashboard(),
            "alert": context.alert(alert),
            "replay": context.replay(alert),
        },
    })
}
