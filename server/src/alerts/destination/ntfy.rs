//! ntfy: a JSON message to the server, with the topic in it.

use super::{Context, Message, details, headline, json};
use app::model::alert::{Severity, Transition, TransitionKind};
use base64::{Engine, prelude::BASE64_STANDARD};
use reqwest::{
    Url,
    header::{AUTHORIZATION, HeaderValue},
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json as value;

pub(super) fn message(url: &SecretString, step: &Transition, context: &Context) -> Option<Message> {
    if step.kind == TransitionKind::Flapping {
        return None;
    }
    let mut server = Url::parse(url.expose_secret()).ok()?;
    // The last part of the path is the topic; what is before it is where the server lies.
    let path = server.path().trim_matches('/').to_owned();
    let (base, topic) = path.rsplit_once('/').unwrap_or(("", &path));
    let topic = percent_encoding::percent_decode_str(topic).decode_utf8_lossy().into_owned();
    server.set_path(&["/", base].concat());
    let password = server.password().map(str::to_owned);
    let user = server.username().to_owned();
    let _ = (server.set_username(""), server.set_password(None));
    let (priority, tag) = match (step.kind, step.alert.severity) {
        (TransitionKind::Resolved, _) => (3, "white_check_mark"),
        (TransitionKind::Acknowledged, _) => (2, "eyes"),
        (_, Severity::Critical) => (5, "rotating_light"),
        (_, Severity::Warning) => (4, "warning"),
        (_, Severity::Info) => (3, "information_source"),
    };
    let mut body = value!({
        "topic": topic,
        "title": headline(step),
        "message": details(step),
        "priority": priority,
        "tags": [tag, step.alert.rule.name()],
    });
    if let Some(link) = context.alert(&step.alert) {
        body["click"] = link.into();
    }
    let mut message = json(&SecretString::from(String::from(server)), &body);
    if let Some(password) = password {
        // Without a user it is an access token.
        let decoded = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
        let (user, password) = (decoded(&user), decoded(&password));
        let value = if user.is_empty() {
            ["Bearer ", &password].concat()
        } else {
            ["Basic ", &BASE64_STANDARD.encode([&user, ":", &password].concat())].concat()
        };
        let mut value = HeaderValue::from_str(&value).ok()?;
        value.set_sensitive(true);
        message.headers.insert(AUTHORIZATION, value);
    }
    Some(message)
}
