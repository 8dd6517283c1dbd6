//! The words of the protocol: what clients say, what the server answers (`docs/provider.md`, "Handshake and status messages"). Pure; no sockets.

use app::model::symbol::Symbol;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Acknowledgements of a large subscription are sent this many to a frame.
const STATUSES_PER_FRAME: usize = 100;

/// A frame stays below this: the strictest official client reads at most 1,000,000 bytes (`docs/provider.md`, "Official clients").
pub(super) const FRAME_BYTES_MAX: usize = 900_000;

/// A kind of event that can be subscribed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Channel {
    /// `T`.
    Trades,
    /// `Q`.
    Quotes,
    /// `A`: bars of a second.
    Seconds,
    /// `AM`: bars of a minute.
    Minutes,
    /// `LULD`: acknowledged, and silent here.
    Limits,
    /// `NOI`: acknowledged, and silent here.
    Imbalances,
    /// `FMV`: acknowledged, and silent here.
    FairValue,
}

impl Channel {
    /// All of them, with their prefixes.
    pub(super) const ALL: [(Self, &'static str); 7] = [
        (Self::Trades, "T"),
        (Self::Quotes, "Q"),
        (Self::Seconds, "A"),
        (Self::Minutes, "AM"),
        (Self::Limits, "LULD"),
        (Self::Imbalances, "NOI"),
        (Self::FairValue, "FMV"),
    ];

    /// The prefix in front of the dot.
    pub(super) fn prefix(self) -> &'static str {
        Self::ALL.iter().find(|(channel, _)| *channel == self).map_or("", |(_, prefix)| prefix)
    }

    /// This channel's bit in a mask of channels.
    pub(super) fn bit(self) -> u8 {
        1 << self as u8
    }

    /// The prefixes, for people.
    pub(super) fn accepted() -> String {
        Self::ALL.map(|(_, prefix)| prefix).join(", ")
    }
}

impl FromStr for Channel {
    type Err = UnknownChannel;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.iter().find(|(_, prefix)| *prefix == text);
        found.map(|(channel, _)| *channel).ok_or_else(|| UnknownChannel(text.to_owned()))
    }
}

/// A prefix that no channel has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a channel; accepted: {list}", list = Channel::accepted())]
pub struct UnknownChannel(String);

/// A channel and a symbol, `T.AAPL`, or all symbols, `T.*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Topic {
    pub(super) channel: Channel,
    /// `*` for all.
    pub(super) symbol: Symbol,
}

impl Topic {
    /// Reads one item of `params`. `None` when the prefix is unknown or nothing follows it: the real server says nothing
    /// to those either. The first dot splits, so that `T.BRK.B` is a trade of `BRK.B`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (prefix, symbol) = text.trim().split_once('.')?;
        Some(Self { channel: prefix.parse().ok()?, symbol: Symbol::parse(symbol).ok()? })
    }

    pub(super) fn is_wildcard(&self) -> bool {
        &*self.symbol == "*"
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.channel.prefix(), self.symbol)
    }
}

/// What a client asks for.
#[derive(Debug)]
pub(super) enum Request {
    /// `{"action":"auth","params":"KEY"}`
    Authenticate(SecretString),
    /// `{"action":"subscribe","params":"T.AAPL,A.*"}`
    Subscribe(Vec<Topic>),
    /// `{"action":"unsubscribe","params":"T.AAPL"}`
    Unsubscribe(Vec<Topic>),
}

impl Request {
    /// Reads a text frame. `None` when it is no request.
    pub(super) fn parse(text: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Wire<'a> {
            #[serde(borrow)]
            action: std::borrow::Cow<'a, str>,
            #[serde(borrow)]
            params: std::borrow::Cow<'a, str>,
        }
        let Wire { action, params } = serde_json::from_str(text).ok()?;
        match &*action {
            "auth" => Some(Self::Authenticate(params.into_owned().into())),
            "subscribe" => Some(Self::Subscribe(topics(&params))),
            "unsubscribe" => Some(Self::Unsubscribe(topics(&params))),
            _ => None,
        }
    }
}

fn topics(params: &str) -> Vec<Topic> {
    params.split(',').filter_map(Topic::parse).collect()
}

/// A status event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Status {
    ev: &'static str,
    status: &'static str,
    message: String,
}

impl Status {
    fn new(status: &'static str, message: impl Into<String>) -> Self {
        Self { ev: "status", status, message: message.into() }
    }

    pub(super) fn connected() -> Self {
        Self::new("connected", "Connected Successfully")
    }

    pub(super) fn authenticated() -> Self {
        Self::new("auth_success", "authenticated")
    }

    pub(super) fn refused() -> Self {
        Self::new("auth_failed", "authentication failed")
    }

    /// A plan without WebSockets.
    pub(super) fn plan_refused() -> Self {
        let words = "Your plan doesn't include websocket access. Visit https://massive.com/pricing to upgrade.";
        Self::new("auth_failed", words)
    }

    /// A plan with delayed data, on the real-time host.
    pub(super) fn not_realtime() -> Self {
        let words = "You don't have access real-time data. If your plan only includes delayed data, you can connect to the \
                     delayed websocket at wss://delayed.polygon.io/stocks.";
        Self::new("error", words)
    }

    pub(super) fn not_heard_of() -> Self {
        Self::new("auth_timeout", "No authentication request received.")
    }

    pub(super) fn subscribed(topic: Topic) -> Self {
        Self::new("success", format!("subscribed to: {topic}"))
    }

    pub(super) fn unsubscribed(topic: Topic) -> Self {
        Self::new("success", format!("unsubscribed to: {topic}"))
    }

    /// A channel outside the plan. The real answer names no channel either.
    pub(super) fn not_authorized() -> Self {
        Self::new("error", "not authorized")
    }

    /// The trailing space is the real server's.
    pub(super) fn too_many() -> Self {
        Self::new("max_connections", "Maximum number of websocket connections exceeded. ")
    }

    /// Status name as known; its text is ours, the real one is on no record.
    pub(super) fn slow() -> Self {
        Self::new("slow_consumer", "Slow consumer: the connection fell too far behind.")
    }

    /// Status name as known; its text is ours, the real one is on no record.
    pub(super) fn forced() -> Self {
        Self::new("force_disconnect", "The connection was ended by an operator.")
    }

    /// Our own word for requests before authentication; the real answer is on no record.
    pub(super) fn not_authenticated() -> Self {
        Self::new("error", "not authenticated")
    }

    /// Our own word for what is no request; the real answer is on no record.
    pub(super) fn malformed() -> Self {
        Self::new("error", "malformed request")
    }

    /// Our own limit, see [`super::subscriptions`].
    pub(super) fn too_many_topics() -> Self {
        Self::new("error", "too many subscriptions")
    }
}

/// Statuses as text frames: arrays of at most [`STATUSES_PER_FRAME`].
pub(super) fn frames(statuses: &[Status]) -> impl Iterator<Item = String> {
    statuses
        .chunks(STATUSES_PER_FRAME)
        .map(|chunk| serde_json::to_string(chunk).expect("statuses are strings, which always serialise"))
}

/// Everything about events that surprised somebody (`docs/provider.md`, "Events"): unknown kinds and fields, nanoseconds,
/// fractions of shares as text, an average size that is no integer, limits under a name of their own.
pub(super) fn strange_events(symbol: Symbol, now_ms: i64) -> String {
    format!(
        concat!(
            r#"[{{"ev":"ZZ","sym":"{0}","anything":[{{"nested":null}}]}},{{"ev":"FMV","sym":"{0}","fmv":1.5,"t":{1}000000}},"#,
            r#"{{"ev":"T","sym":"{0}","x":4,"i":"52983525029461","z":3,"p":100.25,"s":3,"ds":"3.141","new":true,"t":{1}000000,"q":9}},"#,
            r#"{{"ev":"LULD","T":"{0}","h":218.96,"l":198.11,"i":[21],"z":3,"t":{1}000000,"q":10}},"#,
            r#"{{"ev":"A","sym":"{0}","v":2.5,"av":8642007,"vw":25.4,"o":100.5,"c":100.5,"h":100.5,"l":100.5,"a":25.4,"z":12.5,"s":{2},"e":{1},"otc":true}}]"#
        ),
        symbol,
        now_ms,
        now_ms - 1_000
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    fn shown(topics: &[Topic]) -> Vec<String> {
        topics.iter().map(Topic::to_string).collect()
    }

    #[test]
    fn params_are_trimmed_split_at_the_first_dot_and_unknown_prefixes_fall_out() {
        let text = r#"{"action":"subscribe","params":"AM.AAPL, T.BRK.B ,ZZ.AAPL,A.*,,T.,AAPL,t.AAPL"}"#;
        let Some(Request::Subscribe(topics)) = Request::parse(text) else { panic!("a subscription") };
        assert_eq!(shown(&topics), ["AM.AAPL", "T.BRK.B", "A.*"]);
        assert!(topics[2].is_wildcard());
    }

    #[test]
    fn a_key_is_never_in_debug_output() {
        let request = Request::parse(r#"{"action":"auth","params":"hush\u0021"}"#).expect("a request");
        assert!(!format!("{request:?}").contains("hush"));
        let Request::Authenticate(key) = request else { panic!("a key") };
        assert_eq!(key.expose_secret(), "hush!");
    }

    #[test]
    fn what_is_no_request_is_none() {
        for text in ["", "null", "[]", "{}", r#"{"action":"dance","params":""}"#, r#"{"action":"auth","params":7}"#] {
            assert!(Request::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_thousand_acknowledgements_are_ten_frames() {
        let topic = Topic::parse("T.AAPL").expect("a topic");
        let frames: Vec<String> = frames(&vec![Status::subscribed(topic); 1_000]).collect();
        assert_eq!(frames.len(), 10);
        assert!(frames[0].starts_with(r#"[{"ev":"status","status":"success","message":"subscribed to: T.AAPL"},{"#));
    }
}
