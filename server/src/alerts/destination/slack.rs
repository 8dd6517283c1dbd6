//! Slack's incoming webhooks, which Mattermost, Rocket.Chat and others take too: text for notifications, blocks for reading.

use super::{Context, Message, details, headline, json};
use app::model::alert::{Transition, TransitionKind};
use secrecy::SecretString;
use serde_json::json as value;

/// The longest text of a section block, in characters, is 3,000.
const SECTION_CHARS_MAX: usize = 2_900;

pub(super) fn message(url: &SecretString, step: &Transition, context: &Context) -> Option<Message> {
    if step.kind == TransitionKind::Flapping {
        return None;
    }
    let (headline, details) = (escaped(&headline(step)), escaped(&details(step)));
    let link = context.alert(&step.alert).map(|link| ["\n<", &link, "|Open the alert>"].concat()).unwrap_or_default();
    let section: String = format!("*{headline}*\n{details}").chars().take(SECTION_CHARS_MAX).collect();
    let body = value!({
        "text": headline,
        "blocks": [{ "type": "section", "text": { "type": "mrkdwn", "text": section + &link } }],
    });
    Some(json(url, &body))
}

/// The three characters that mean something to Slack: with them a provider's words could mention a whole channel.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
