//! Where alerts are told: one file for each format, and what all of them have in common.

mod alertmanager;
mod email;
mod ntfy;
mod pagerduty;
mod slack;
#[cfg(test)]
mod tests;
mod webhook;

use super::reach::{Reach, Unreachable};
use crate::http_client::http_client;
use app::{
    address::alert_at,
    model::{
        alert::{Alert, Severity, Transition},
        time::UnixMillis,
    },
    store::moment::{around, charts_around},
};
use hmac::Hmac;
use reqwest::{Client, Method, StatusCode, Url, header::HeaderMap};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use std::{
    fmt::Write as _,
    sync::{Arc, OnceLock},
    time::Duration,
};

pub use email::{Email, SmtpUrl};
pub(crate) use email::{are_addresses, is_address};
pub(crate) use pagerduty::DEFAULT_URL as PAGERDUTY_URL;
pub(crate) use webhook::key_of;
pub use webhook::{AlertData, AlertTold, data};

/// How long a destination may take, as the specification of webhooks has it. Unit tests wait for it, and have less patience.
const TIMEOUT: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 15 });
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The most that is read of an answer.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// The most that is shown of it.
const ANSWER_SHOWN_MAX: usize = 200;

/// Somebody to be told: where, how, and from which severity on.
#[derive(Clone, Debug)]
pub struct Destination {
    /// Its name on the page and in the API: `webhook`, `slack_2`.
    pub name: String,
    /// The least severity that it takes.
    pub min_severity: Severity,
    /// Its format, with what that needs.
    pub format: Format,
}

/// How it is told. Addresses hold secrets.
#[derive(Clone, Debug)]
pub enum Format {
    /// Standard Webhooks 1.0.
    Webhook {
        /// The address.
        url: SecretString,
        /// The key of the signature, `whsec_…`; `None`: unsigned.
        secret: Option<SecretString>,
    },
    /// Slack's incoming webhooks, and what takes the same.
    Slack {
        /// The address.
        url: SecretString,
    },
    /// PagerDuty's Events API v2.
    PagerDuty {
        /// The address.
        url: SecretString,
        /// The integration key.
        key: SecretString,
    },
    /// Prometheus Alertmanager's API v2.
    Alertmanager {
        /// The address of the Alertmanager.
        url: SecretString,
    },
    /// ntfy.
    Ntfy {
        /// The address with the topic.
        url: SecretString,
    },
    /// E-mail over SMTP.
    Email(Box<Email>),
}

/// How a message came to be taken or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was taken.
    Taken(String),
    /// It was not, and may be later.
    Failed(String),
    /// It never will be: the message is refused as it is.
    Refused(String),
    /// The destination is gone for good, by its own word.
    Gone(String),
}

impl Answer {
    /// What was answered, in words.
    #[must_use]
    pub fn text(&self) -> &str {
        let (Self::Taken(text) | Self::Failed(text) | Self::Refused(text) | Self::Gone(text)) = self;
        text
    }
}

/// What every message may say beside the alert.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// `PUBLIC_URL`: where links lead.
    pub public_url: Option<String>,
    /// Can the dashboard be shown as it was?
    pub is_recorded: bool,
}

impl Context {
    /// The dashboard.
    #[must_use]
    pub fn dashboard(&self) -> Option<String> {
        self.link("/admin/websockets")
    }

    /// The alert on its page.
    #[must_use]
    pub fn alert(&self, alert: &Alert) -> Option<String> {
        self.link(&alert_at(&alert.id))
    }

    /// The dashboard when it began; where that is not recorded the charts around it, five minutes before and after.
    #[must_use]
    pub fn replay(&self, alert: &Alert) -> Option<String> {
        self.link(&if self.is_recorded { around(alert.started_at) } else { charts_around(alert) })
    }

    fn link(&self, path: &str) -> Option<String> {
        self.public_url.as_ref().map(|url| [url, path].concat())
    }
}

/// Sends messages. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Courier {
    /// Made for the first message: that reads every certificate of the system, and most servers have nobody to tell.
    client: Arc<OnceLock<Client>>,
    reach: Reach,
    pub(super) context: Context,
}

/// A request that is to be made.
struct Message {
    url: SecretString,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Courier {
    /// One that has sent nothing yet.
    #[must_use]
    pub fn new(reach: Reach, context: Context) -> Self {
        Self { client: Arc::default(), reach, context }
    }

    fn client(&self) -> reqwest::Result<&Client> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = http_client(CONNECT_TIMEOUT, TIMEOUT).dns_resolver(Arc::new(self.reach.clone())).build()?;
        Ok(self.client.get_or_init(|| client))
    }

    /// Tells a step. Never longer than a quarter of a minute.
    pub async fn tell(&self, to: &Destination, step: &Transition, now: UnixMillis) -> Answer {
        let message = match &to.format {
            Format::Webhook { url, secret } => webhook::message(url, secret.as_ref(), step, &self.context, now),
            Format::Slack { url } => slack::message(url, step, &self.context),
            Format::PagerDuty { url, key } => pagerduty::message(url, key, step, &self.context),
            Format::Alertmanager { url } => alertmanager::message(url, &[(step.kind, &step.alert)], &self.context, now),
            Format::Ntfy { url } => ntfy::message(url, step, &self.context),
            Format::Email(email) => return email.send(step, &self.context).await,
        };
        match message {
            Some(message) => self.post(message).await,
            // Formats without a word for it.
            None => Answer::Taken("nothing to tell in this format".to_owned()),
        }
    }

    /// Alertmanager forgets what it is not told again: all alerts that it was told and that last.
    pub async fn remind(&self, url: &SecretString, open: &[&Alert], now: UnixMillis) -> Answer {
        use app::model::alert::TransitionKind::Firing;
        let alerts: Vec<_> = open.iter().map(|alert| (Firing, *alert)).collect();
        match alertmanager::message(url, &alerts, &self.context, now) {
            Some(message) => self.post(message).await,
            None => Answer::Taken(String::new()),
        }
    }

    /// A GET that says that all is well.
    pub async fn beat(&self, url: &SecretString) -> Answer {
        self.request(Method::GET, Message { url: url.clone(), headers: HeaderMap::new(), body: Vec::new() }).await
    }

    async fn post(&self, message: Message) -> Answer {
        self.request(Method::POST, message).await
    }

    async fn request(&self, method: Method, message: Message) -> Answer {
        let Ok(url) = Url::parse(message.url.expose_secret()) else {
            return Answer::Refused("the address is not understood".to_owned());
        };
        if let Err(error) = url.host_str().map_or(Ok(()), |host| self.reach.check_literal(host)) {
            return Answer::Failed(error.to_string());
        }
        let client = match self.client() {
            Ok(client) => client,
            Err(error) => return Answer::Failed(words_of(&error)),
        };
        match client.request(method, url).headers(message.headers).body(message.body).send().await {
            Ok(response) => judge(response).await,
            Err(error) => Answer::Failed(words_of(&error)),
        }
    }
}

/// What an answer means. A redirection is none: who wants another address configures it.
async fn judge(mut response: reqwest::Response) -> Answer {
    let status = response.status();
    let mut body = Vec::new();
    // The status says it all; the beginning of the body is read to be shown, and the rest left where it is.
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() >= ANSWER_BYTES_MAX {
            body.truncate(ANSWER_BYTES_MAX);
            break;
        }
    }
    let words = String::from_utf8_lossy(&body);
    // A page says nothing in its first line.
    let first = words.trim().lines().next().filter(|line| !line.starts_with('<')).unwrap_or_default();
    let shown: String = first.chars().take(ANSWER_SHOWN_MAX).collect();
    let shown = crate::text::tidy(&shown, ANSWER_SHOWN_MAX * 4);
    let text = if shown.is_empty() { status.to_string() } else { format!("{status}: {shown}") };
    match status {
        _ if status.is_success() => Answer::Taken(status.to_string()),
        StatusCode::GONE => Answer::Gone(text),
        _ if status.is_redirection() => Answer::Failed(format!("{status}: redirections are not followed")),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS | StatusCode::TOO_EARLY => Answer::Failed(text),
        // Said for good of a message; a wrong key or a missing path is mended by people, and then it is taken.
        StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY => {
            Answer::Refused(text)
        }
        _ => Answer::Failed(text),
    }
}

/// What went wrong, without the address: it may hold a secret.
fn words_of(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        if let Some(refused) = next.downcast_ref::<Unreachable>() {
            return refused.to_string();
        }
        cause = next;
    }
    if error.is_timeout() {
        return format!("no answer within {} s", TIMEOUT.as_secs());
    }
    let what = if error.is_builder() {
        "no request can be made"
    } else if error.is_connect() {
        "cannot be connected to"
    } else {
        "broke off"
    };
    crate::text::tidy(&format!("{what}: {cause}"), ANSWER_SHOWN_MAX)
}

impl Destination {
    /// What tells its address from another one, without telling the address.
    #[must_use]
    pub fn address_hash(&self) -> String {
        let address = match &self.format {
            Format::Webhook { url, .. }
            | Format::Slack { url }
            | Format::Alertmanager { url }
            | Format::Ntfy { url } => url.expose_secret().to_owned(),
            Format::PagerDuty { url, key } => [url.expose_secret(), " ", key.expose_secret()].concat(),
            Format::Email(email) => email.to.clone(),
        };
        let hash = Sha256::digest([&self.name, " ", &address].concat());
        hash.iter().take(16).fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// Where it is, as far as that is no secret: the host.
    #[must_use]
    pub fn host(&self) -> String {
        match &self.format {
            Format::Webhook { url, .. }
            | Format::Slack { url }
            | Format::PagerDuty { url, .. }
            | Format::Alertmanager { url }
            | Format::Ntfy { url } => {
                let url = Url::parse(url.expose_secret()).ok();
                let host = url.as_ref().and_then(Url::host_str).unwrap_or("unknown").to_owned();
                match url.as_ref().and_then(Url::port) {
                    Some(port) => format!("{host}:{port}"),
                    None => host,
                }
            }
            Format::Email(email) => email.to.clone(),
        }
    }

    /// What its format is called.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.format {
            Format::Webhook { .. } => "webhook",
            Format::Slack { .. } => "slack",
            Format::PagerDuty { .. } => "pagerduty",
            Format::Alertmanager { .. } => "alertmanager",
            Format::Ntfy { .. } => "ntfy",
            Format::Email(_) => "email",
        }
    }
}

/// A JSON body, with its type.
fn json(url: &SecretString, body: &serde_json::Value) -> Message {
    let mut headers = HeaderMap::new();
    headers.insert(reqwest::header::CONTENT_TYPE, reqwest::header::HeaderValue::from_static("application/json"));
    Message { url: url.clone(), headers, body: body.to_string().into_bytes() }
}

/// What happened to the alert, for those who read one line.
fn headline(step: &Transition) -> String {
    use app::model::alert::TransitionKind as Kind;
    let word = match step.kind {
        Kind::Firing => step.alert.severity.name().to_uppercase(),
        Kind::Escalated => ["STILL ", &step.alert.severity.name().to_uppercase()].concat(),
        Kind::Acknowledged => "Acknowledged".to_owned(),
        Kind::Flapping => "Flapping".to_owned(),
        Kind::Resolved => "Resolved".to_owned(),
    };
    [&word, ": ", &step.alert.title].concat()
}

/// The rest of it: what is known, since when, who looks after it.
fn details(step: &Transition) -> String {
    use app::model::time::format_seconds;
    let alert = &step.alert;
    let mut text = alert.text.clone();
    let _ = write!(text, "\nSince {} UTC", alert.started_at.to_string().replace('T', " ").trim_end_matches('Z'));
    if let Some(ended) = alert.ended_at {
        let seconds = ended.millis_since(alert.started_at).max(0).unsigned_abs() / 1000;
        let _ = write!(text, ", well again after {}", format_seconds(seconds));
    }
    if alert.flapping {
        text.push_str(", comes and goes");
    }
    if let Some(said) = &alert.acknowledged {
        let _ = write!(text, "\n{}: {}", said.by, said.note);
    }
    text
}

type HmacSha256 = Hmac<Sha256>;
