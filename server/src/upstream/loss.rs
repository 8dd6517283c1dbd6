//! Why a connection is down: the kind, which decides how long to wait, and the words, which people read.

use crate::text;
use app::model::health::LossKind;
use std::time::Duration;

/// The words of a close frame in which the WebSocket library puts code 1002 in place of one that no close frame may carry.
const FORBIDDEN_CODE: (u16, &str) = (1002, "Protocol violation");

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
    /// How long the provider asks the account to wait before anybody dials again.
    pub(super) wait: Option<Duration>,
}

impl Loss {
    fn new(kind: LossKind, reason: impl Into<String>) -> Self {
        Self { kind, close_code: None, words: None, reason: reason.into(), wait: None }
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
        Self::new(LossKind::Silent, format!("No reply to pings for {} s", silence.as_secs()))
    }

    /// The provider did not say what it had to.
    pub(super) fn unanswered(why: impl Into<String>) -> Self {
        Self::new(LossKind::Silent, why)
    }

    /// The provider sent a close frame.
    pub(super) fn closed(code: Option<u16>, words: &str) -> Self {
        let words = &*text::tidy(words.trim(), text::BYTES_MAX);
        if code.is_some_and(|code| (code, words) == FORBIDDEN_CODE) {
            let reason = "Closed by the provider with an invalid close code, such as 1005, 1006 or 1015";
            return Self::new(LossKind::Closed, reason);
        }
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
            let label = kind.label();
            // Providers tend to begin with the same words.
            let is_said = words.get(..label.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(label));
            let how = if kind == LossKind::Closed || is_said { String::new() } else { format!(", {label}") };
            let reason = format!("The provider ended the connection{how}: {words}");
            return Self { kind, words: Some(words), reason, ..self };
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
        1002 => "it reports a protocol error on our side",
        1003 => "it does not accept what we sent",
        1007 => "it reports invalid text from us",
        1008 => "policy violation",
        1009 => "message too large",
        1011 => "server error",
        1012 => "server restarts",
        1013 => "try again later",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_said_twice_of_an_end_that_was_announced() {
        let reason = |words: &str| {
            let announced = Loss::dropped("gone").announced(LossKind::SlowConsumer, words.to_owned());
            announced.reason.strip_prefix("The provider ended the connection").unwrap().to_owned()
        };
        assert_eq!(reason("Slow consumer: too far behind."), ": Slow consumer: too far behind.");
        assert_eq!(reason("You are too slow."), ", slow consumer: You are too slow.");
    }

    #[test]
    fn a_code_that_is_not_on_the_wire_is_not_shown_as_the_providers() {
        let odd = Loss::closed(Some(1002), "Protocol violation");
        assert_eq!((odd.close_code, odd.words), (None, None));
        assert!(odd.reason.contains("an invalid close code"), "{}", odd.reason);
        let said = Loss::closed(Some(1002), "");
        assert_eq!(
            (said.close_code, said.reason.as_str()),
            (Some(1002), "Closed by the provider with code 1002 (it reports a protocol error on our side)")
        );
    }
}
