//! What the provider says about the connection itself.

use crate::text::tidy;
use app::model::health::LossKind;

/// The provider's words are kept for people to read; more than this of them nobody reads.
const WORDS_BYTES_MAX: usize = 300;

/// What the provider says about the connection itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// `connected`: the first frame.
    Hello,
    /// `auth_success`.
    KeyTaken,
    /// `auth_failed`: the key or the plan does not do.
    KeyRefused(String),
    /// `success`, "subscribed to: T.AAPL". One for each name, however many a message joins.
    Subscribed(String),
    /// `error`: something that was asked for is not allowed. Which, the provider does not say.
    Refused(String),
    /// `max_connections`: the account has too many.
    TooManyConnections(String),
    /// `slow_consumer`, `force_disconnect`: last words before the provider ends the connection, and what kind of loss
    /// that will be.
    Leaving(LossKind, String),
    /// `info`, and any success that is no acknowledgement: nothing to do, nothing wrong.
    Remark(String),
    /// Any other status, in the provider's words.
    Problem(String),
}

/// Appends what a status message says.
pub(super) fn read(status: &str, message: &str, notices: &mut Vec<Notice>) {
    let message = message.trim();
    // The whole list, before words are cut to what people read.
    if status == "success"
        && let Some(list) = message.strip_prefix("subscribed to:")
    {
        let names = list.split(',').map(str::trim).filter(|name| !name.is_empty());
        notices.extend(names.map(|name| Notice::Subscribed(name.to_owned())));
        return;
    }
    let words = if message.is_empty() { status } else { message };
    let words = tidy(words, WORDS_BYTES_MAX);
    notices.push(match status {
        "connected" => Notice::Hello,
        "auth_success" => Notice::KeyTaken,
        "auth_failed" => Notice::KeyRefused(words),
        // The key came too late or not at all; nobody has looked at it.
        "auth_timeout" => Notice::Leaving(LossKind::Closed, words),
        "max_connections" => Notice::TooManyConnections(words),
        "slow_consumer" => Notice::Leaving(LossKind::SlowConsumer, words),
        "force_disconnect" => Notice::Leaving(LossKind::ForceDisconnect, words),
        "error" => Notice::Refused(words),
        "success" | "info" => Notice::Remark(words),
        _ => Notice::Problem(words),
    });
}
