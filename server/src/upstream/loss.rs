//! Why a connection is down: the kind, which decides how long to wait, and the words, which people read.

use crate::text;
use app::model::health::LossKind;
use std::time::Duration;

/// Why a connection is down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Loss {
    pub(super) kind: LossKind,
    /// Of the close frame (RFC 6455, 7.4).
    pub(super) close_code: Option<u16>,
    /// The provider's.
    pub(super) words: Option<String>,
    /// The whole of it in one sentence. Holds no secret: the key is in no error, it travels inside the socket.
    pub(super) reason: String,
}

impl Loss {
    fn new(kind: LossKind, reason: impl Into<String>) -> Self {
        Self { kind, close_code: None, words: None, reason: reason.into() }
    }

    fn with_words(mut self, words: String) -> Self {
        self.words = Some(words);
        self
    }

    /// It could not be opened.
    pub(super) fn unreachable(why: impl Into<String>) -> Self {
        Self::new(LossKind::Unreachable, why)
    }

    /// It went away without a close frame.
    pub(super) fn dropped(why: impl Into<String>) -> Self {
        Self::new(LossKind::Dropped, why)
    }

    /// Nothing came for so long.
    pub(super) fn silent(silence: Duration) -> Self {
        Self::new(LossKind::Silent, format!("Nothing received for {} s, not even a pong", silence.as_secs()))
    }

    /// The provider did not say what it had to.
    pub(super) fn unanswered(why: impl Into<String>) -> Self {
        Self::new(LossKind::Silent, why)
    }

    /// The provider sent a close frame.
    pub(super) fn closed(code: Option<u16>, words: &str) -> Self {
        let words = &*text::tidy(words.trim(), text::BYTES_MAX);
        let code_text = code.map_or_else(|| "without a code".to_owned(), |code| format!("with code {code}"));
        let meaning = code.map(meaning).filter(|meaning| !meaning.is_empty());
        let said = match (words.is_empty(), meaning) {
            (false, _) => format!(": {words}"),
            (true, Some(meaning)) => format!(" ({meaning})"),
            (true, None) => String::new(),
        };
        let loss = Self::new(LossKind::Closed, format!("Closed by the provider {code_text}{said}"));
        let loss = if words.is_empty() { loss } else { loss.with_words(words.to_owned()) };
        Self { close_code: code, ..loss }
    }

    /// The key or the plan was refused.
    pub(super) fn key_refused(words: String) -> Self {
        Self::new(LossKind::KeyRefused, format!("Key refused by the provider: {words}")).with_words(words)
    }

    /// The account has too many connections.
    pub(super) fn too_many(words: String) -> Self {
        Self::new(LossKind::TooManyConnections, format!("Connection limit of the account: {words}")).with_words(words)
    }

    /// The account has too many connections, and one of ours comes before this one.
    pub(super) fn gave_way(words: Option<String>) -> Self {
        let said = words.clone().unwrap_or_else(|| "too many connections.".to_owned());
        let reason = format!(
            "Connection limit of the account: {said} Other connections of ours come first and use what it allows; \
             refresh the configuration to try again"
        );
        Self { words, ..Self::new(LossKind::TooManyConnections, reason) }
    }

    /// Nothing that was asked for was acknowledged.
    pub(super) fn nothing_subscribed(count: usize, words: Option<String>) -> Self {
        let said = words.as_ref().map(|words| format!("; the provider says: {words}")).unwrap_or_default();
        let reason = format!("None of {count} subscriptions was acknowledged{said}");
        Self { words, ..Self::new(LossKind::NothingSubscribed, reason) }
    }

    /// The same end, announced by the provider before: what it announced is the reason.
    pub(super) fn announced(self, kind: LossKind, words: String) -> Self {
        if matches!(self.kind, LossKind::Dropped | LossKind::Closed) {
            let how = if kind == LossKind::Closed { String::new() } else { format!(", {}", kind.label()) };
            let reason = format!("The provider ended the connection{how}: {words}");
            return Self { kind, close_code: self.close_code, words: Some(words), reason };
        }
        self
    }

    /// Does it take somebody to change something, so that trying again soon is of no use?
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self.kind, LossKind::KeyRefused | LossKind::TooManyConnections | LossKind::NothingSubscribed)
    }
}

/// What the codes that providers use mean (RFC 6455, 7.4.1).
fn meaning(code: u16) -> &'static str {
    match code {
        1000 => "normal end",
        1001 => "server going away",
        1008 => "policy violation",
        1009 => "message too large",
        1011 => "server error",
        1012 => "server restarts",
        1013 => "try again later",
        _ => "",
    }
}
