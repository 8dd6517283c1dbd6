//! Ticks and status as they travel over Redis (docs/configuration.md, Redis). Ours are written in one form; others' are read
//! with tolerance, and what cannot be read is dropped with its reason.

use crate::text::tidy_json;
use app::model::{
    connection::{ConnectionId, ConnectionState},
    status::{ConnectionStatus, StatusReport, Summary},
    symbol::Symbol,
    tick::Tick,
    time::UnixMillis,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use std::{borrow::Cow, collections::BTreeMap, fmt::Write as _};

/// Larger messages are dropped unread.
pub(super) const MESSAGE_BYTES_MAX: usize = 64 << 10;

/// A status lists every symbol: larger than a tick, but not endless.
const STATUS_BYTES_MAX: usize = 4 << 20;

/// Why a message was dropped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Over 64 KiB.
    #[error("a message of {0} bytes is larger than 64 KiB")]
    TooLarge(usize),
    /// Not JSON, or not an object.
    #[error("not a JSON object")]
    NotJson,
    /// No `symbol` and no `ticker`, or not one that can be.
    #[error("no usable symbol: {0}")]
    Symbol(String),
    /// No `price`, or one that is not finite and positive.
    #[error("no usable price")]
    Price,
    /// A `volume` that is not a number from 0 to 2^53.
    #[error("no usable volume")]
    Volume,
    /// A `timestamp` that is no time, or one before 2000 or more than a day ahead.
    #[error("no usable timestamp")]
    Timestamp,
    /// A `connection_id` that is no connection.
    #[error("no usable connection_id")]
    Connection,
}

impl Rejection {
    /// What it is counted under.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::TooLarge(_) => "too_large",
            Self::NotJson => "not_json",
            Self::Symbol(_) => "symbol",
            Self::Price => "price",
            Self::Volume => "volume",
            Self::Timestamp => "timestamp",
            Self::Connection => "connection",
        }
    }
}

/// Appends a tick's JSON. `source` is where it came from, `epoch` that of the collector's lease, if it has one.
pub fn write_tick(tick: &Tick, source: &str, epoch: Option<u64>, json: &mut String) {
    // Seconds keep their point even when they are whole: whole numbers are milliseconds to some readers.
    // By hand: this runs for every tick, and every part is known to need no escaping (symbols have no quotes, and a
    // backslash is the one visible character that JSON would want escaped).
    let symbol: Cow<'_, str> =
        if tick.symbol.contains('\\') { tick.symbol.replace('\\', "\\\\").into() } else { Cow::Borrowed(&tick.symbol) };
    let _ = write!(
        json,
        r#"{{"type":"market_tick","symbol":"{symbol}","price":{},"volume":{},"timestamp":{:?},"source":"{source}""#,
        tick.price,
        tick.volume,
        tick.timestamp.as_seconds(),
    );
    if let Some(id) = tick.connection_id {
        let _ = write!(json, r#","connection_id":{id}"#);
    }
    if let Some(epoch) = epoch {
        let _ = write!(json, r#","epoch":{epoch}"#);
    }
    json.push('}');
}

/// A tick as [`write_tick`] writes it, for those who read it.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "its schema is what is read")]
pub struct MarketTick {
    /// Always `market_tick`.
    #[serde(rename = "type")]
    kind: MarketTickKind,
    symbol: Symbol,
    /// In dollars, above 0.
    price: f64,
    /// Shares.
    volume: u64,
    /// Unix seconds with a fraction.
    timestamp: f64,
    /// Where it came from: `simulator` or `massive`.
    source: String,
    /// The connection that carried it; absent from producers that do not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    connection_id: Option<ConnectionId>,
    /// That of the collector's lease, which only rises; absent without a lease.
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<u64>,
}

#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "its schema is what is read")]
enum MarketTickKind {
    MarketTick,
}

#[derive(Deserialize)]
struct WireTick<'a> {
    #[serde(borrow)]
    symbol: Option<&'a RawValue>,
    #[serde(borrow)]
    ticker: Option<&'a RawValue>,
    #[serde(borrow)]
    price: Option<&'a RawValue>,
    #[serde(borrow)]
    volume: Option<&'a RawValue>,
    #[serde(borrow)]
    timestamp: Option<&'a RawValue>,
    #[serde(borrow)]
    connection_id: Option<&'a RawValue>,
    #[serde(borrow)]
    epoch: Option<&'a RawValue>,
}

/// Reads a tick: ours, or one of the tolerated forms. A field that is absent or null has its default where there is one; one
/// that is there and cannot be used costs the message, whichever field it is. A number is a JSON number: text is none, though
/// it may hold digits. `now` is the time of a tick without one, and none may be more than a day ahead of it.
///
/// # Errors
/// The reason to drop it.
pub fn read_tick(bytes: &[u8], now: UnixMillis) -> Result<Tick, Rejection> {
    read(bytes, now).map(|(tick, _)| tick)
}

/// The same, with the epoch of its collector's lease where it says one.
pub(super) fn read(bytes: &[u8], now: UnixMillis) -> Result<(Tick, Option<u64>), Rejection> {
    if bytes.len() > MESSAGE_BYTES_MAX {
        return Err(Rejection::TooLarge(bytes.len()));
    }
    let wire: WireTick<'_> = serde_json::from_slice(bytes).map_err(|_| Rejection::NotJson)?;
    let name = wire.symbol.or(wire.ticker).ok_or_else(|| Rejection::Symbol("none given".into()))?;
    let symbol: Symbol = serde_json::from_str(name.get()).map_err(|error| Rejection::Symbol(error.to_string()))?;
    let price = wire.price.and_then(number).filter(|price| *price > 0.0).ok_or(Rejection::Price)?;
    let volume = match wire.volume {
        None => 0,
        Some(raw) => number(raw).and_then(volume).ok_or(Rejection::Volume)?,
    };
    let timestamp = match wire.timestamp {
        None => now,
        Some(raw) => number(raw).and_then(time).filter(|time| is_plausible(*time, now)).ok_or(Rejection::Timestamp)?,
    };
    let connection_id = match wire.connection_id {
        None => None,
        Some(raw) => Some(connection(raw.get()).ok_or(Rejection::Connection)?),
    };
    // Nobody else's field is meant by that name: what is no epoch of ours is none.
    let epoch = wire.epoch.and_then(|raw| raw.get().parse().ok());
    Ok((Tick { connection_id, symbol, price, volume, timestamp }, epoch))
}

/// The one rule for every number.
fn number(raw: &RawValue) -> Option<f64> {
    raw.get().parse().ok().filter(|number: &f64| number.is_finite())
}

/// Whole shares; parts of one are rounded. Beyond 2^53 a JSON number is not exact any more, and no trade is so large.
fn volume(number: f64) -> Option<u64> {
    (0.0..=9_007_199_254_740_992.0).contains(&number).then(|| number.round() as u64)
}

/// Seconds with a fraction, or whole milliseconds: seconds reach 1e11 in the year 5138.
fn time(number: f64) -> Option<UnixMillis> {
    UnixMillis::from_seconds(if number < 1e11 { number } else { number / 1000.0 })
}

/// Zero, microseconds and a clock that is years off make times that nobody means. A replay of old days is fine.
fn is_plausible(time: UnixMillis, now: UnixMillis) -> bool {
    const YEAR_2000_MS: i64 = 946_684_800_000;
    const DAY_MS: i64 = 86_400_000;
    time.0 >= YEAR_2000_MS && time.millis_since(now) <= DAY_MS
}

/// `1`, also written `1.0`, or the name `"connection_1"`.
fn connection(raw: &str) -> Option<ConnectionId> {
    let id = match raw.strip_prefix('"') {
        Some(name) => name.strip_suffix('"')?.strip_prefix("connection_")?.parse().ok()?,
        None => {
            let number: f64 = raw.parse().ok()?;
            let is_an_id = number.fract() == 0.0 && (0.0..=f64::from(ConnectionId::MAX)).contains(&number);
            is_an_id.then_some(number as ConnectionId)?
        }
    };
    (id > 0).then_some(id)
}

/// A status's JSON, as it is published.
pub(super) fn write_status(report: &StatusReport) -> String {
    serde_json::to_string(report).unwrap_or_default()
}

/// Reads a status: ours, or the shape that TickStockAppV2's own manager returns. Its words come from whoever may publish.
pub(super) fn read_status(bytes: &[u8]) -> Result<StatusReport, String> {
    if bytes.len() > STATUS_BYTES_MAX {
        return Err(format!("a status of {} bytes is larger than 4 MiB", bytes.len()));
    }
    let unreadable = |why: String| format!("a status that cannot be read: {why}");
    let mut status: Value = serde_json::from_slice(bytes).map_err(|error| unreadable(error.to_string()))?;
    tidy_json(&mut status);
    let mut report = match StatusReport::deserialize(&status) {
        Ok(report) => report,
        Err(ours) => match TickStockStatus::deserialize(&status) {
            Ok(status) => status.into(),
            Err(theirs) => return Err(unreadable(format!("{ours}; as TickStock's: {theirs}"))),
        },
    };
    report.head.origin.is_from_redis = true;
    Ok(report)
}

/// A status as TickStock's own connection manager publishes it.
#[derive(Deserialize, JsonSchema)]
pub struct TickStockStatus {
    /// By name: `connection_1`.
    connections: BTreeMap<String, TickStockConnection>,
}

#[derive(Deserialize, JsonSchema)]
struct TickStockConnection {
    name: String,
    status: TickStockState,
    #[serde(default)]
    assigned_tickers: u32,
    #[serde(default)]
    message_count: u64,
    #[serde(default)]
    error_count: u64,
    last_message_time: Option<f64>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum TickStockState {
    Disconnected,
    Connecting,
    Connected,
    Error,
    /// A word that a later version may have.
    #[serde(other)]
    Unknown,
}

impl From<TickStockStatus> for StatusReport {
    fn from(status: TickStockStatus) -> Self {
        let mut report = Self::default();
        for (key, theirs) in status.connections {
            let Some(id) = key.strip_prefix("connection_").unwrap_or(&key).parse().ok().filter(|id| *id > 0) else {
                continue;
            };
            let mut ours = ConnectionStatus::default();
            let live = &mut ours.live;
            (live.id, live.name, live.enabled) = (id, theirs.name, true);
            (live.state, live.reason) = match theirs.status {
                TickStockState::Connected => (ConnectionState::Connected, None),
                TickStockState::Connecting => (ConnectionState::Connecting, None),
                TickStockState::Disconnected => {
                    (ConnectionState::Failed, Some("TickStock reports it disconnected".into()))
                }
                TickStockState::Error => (ConnectionState::Failed, Some("TickStock reports an error".into())),
                TickStockState::Unknown => {
                    (ConnectionState::Connecting, Some("TickStock reports a state that is not known here".into()))
                }
            };
            live.connected = live.state.is_up();
            live.metrics.messages_total = theirs.message_count;
            live.metrics.ticks_total = theirs.message_count;
            live.metrics.error_count = theirs.error_count;
            live.metrics.last_update = theirs.last_message_time.filter(|time| *time > 0.0).and_then(time);
            ours.config.ticker_count = theirs.assigned_tickers;
            report.connections.push(ours);
        }
        report.connections.sort_by_key(|connection| connection.live.id);
        report.head.generated_at = UnixMillis::now();
        report.head.summary = Summary::of(report.connections.iter().map(|connection| &connection.live), 0);
        report
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use app::model::status::Collector;
    use proptest::prelude::*;

    const NOW: UnixMillis = UnixMillis(1_769_007_600_000);

    #[test]
    fn our_tick_is_written_as_the_contract_says_and_read_back() {
        let tick = Tick {
            connection_id: Some(1),
            symbol: Symbol::parse("AAPL").expect("a symbol"),
            price: 178.23,
            volume: 1000,
            timestamp: UnixMillis(1_705_853_696_123),
        };
        let mut json = String::new();
        write_tick(&tick, "massive", None, &mut json);
        assert_eq!(
            json,
            r#"{"type":"market_tick","symbol":"AAPL","price":178.23,"volume":1000,"timestamp":1705853696.123,"source":"massive","connection_id":1}"#
        );
        assert_eq!(read_tick(json.as_bytes(), NOW), Ok(tick));
        json.clear();
        write_tick(&tick, "massive", Some(1_764_400_000_123), &mut json);
        assert!(json.ends_with(r#""connection_id":1,"epoch":1764400000123}"#), "{json}");
        assert_eq!(read(json.as_bytes(), NOW), Ok((tick, Some(1_764_400_000_123))));
    }

    #[test]
    fn the_tolerated_forms_are_read() {
        let json =
            br#"{"ticker":"BRK.B","price":1,"timestamp":1705853696123,"connection_id":"connection_2","extra":[1]}"#;
        let tick = read_tick(json, NOW).expect("reads");
        assert_eq!((&*tick.symbol, tick.connection_id, tick.volume), ("BRK.B", Some(2), 0));
        assert_eq!(tick.timestamp, UnixMillis(1_705_853_696_123));
        let both = read_tick(br#"{"symbol":"A","ticker":"A","price":2.5,"volume":null,"timestamp":null}"#, NOW)
            .expect("reads");
        assert_eq!((both.connection_id, both.timestamp), (None, NOW));
    }

    #[test]
    fn anything_else_is_dropped_with_its_reason() {
        let reason = |json: &str| read_tick(json.as_bytes(), NOW).expect_err(json);
        assert_eq!(reason("not json"), Rejection::NotJson);
        assert_eq!(reason("[1]"), Rejection::NotJson);
        assert!(matches!(reason(r#"{"price":1}"#), Rejection::Symbol(_)));
        assert!(matches!(reason(r#"{"symbol":"A B","price":1}"#), Rejection::Symbol(_)));
        for price in ["", r#","price":null"#, r#","price":-1"#, r#","price":0"#, r#","price":"1""#, r#","price":1e999"#]
        {
            assert_eq!(reason(&format!(r#"{{"symbol":"A"{price}}}"#)), Rejection::Price, "{price}");
        }
        assert_eq!(reason(r#"{"symbol":"A","price":1,"timestamp":"soon"}"#), Rejection::Timestamp);
        assert!(matches!(reason(&format!(r#"{{"a":"{}"}}"#, "x".repeat(70_000))), Rejection::TooLarge(_)));
    }

    #[test]
    fn numbers_as_text_are_refused_in_every_field_alike() {
        let read = |field: &str, value: &str| {
            let price = if field == "price" { "" } else { r#""price":1,"# };
            read_tick(format!(r#"{{"symbol":"A",{price}"{field}":{value}}}"#).as_bytes(), NOW)
        };
        let fields = [
            ("price", "100.75", Rejection::Price),
            ("volume", "10", Rejection::Volume),
            ("timestamp", "1705853696.123", Rejection::Timestamp),
            ("connection_id", "1", Rejection::Connection),
        ];
        for (field, number, rejection) in fields {
            assert!(read(field, number).is_ok(), "{field}");
            let text = format!("\"{number}\"");
            for bad in [text.as_str(), "true", "[1]", "{}", "\"\"", "\"NaN\"", "1e999", "-1"] {
                assert_eq!(read(field, bad), Err(rejection.clone()), "{field}: {bad}");
            }
        }
        for bad in
            ["0", "0.0", "1.5", "256", "1e300", "\"x\"", "\"connection_\"", "\"connection_0\"", "\"connection_1.0\""]
        {
            assert_eq!(read("connection_id", bad), Err(Rejection::Connection), "{bad}");
        }
        for (good, id) in [("1", 1), ("1.0", 1), ("2e0", 2), ("255", 255), ("\"connection_3\"", 3)] {
            assert_eq!(read("connection_id", good).expect(good).connection_id, Some(id));
        }
        for (good, volume) in [("null", 0), ("0", 0), ("10.0", 10), ("10.6", 11), ("9007199254740992", 1 << 53)] {
            assert_eq!(read("volume", good).expect(good).volume, volume);
        }
        assert_eq!(read("volume", "9007199254740994"), Err(Rejection::Volume));
        let tomorrow = NOW.0 + 86_400_000;
        assert!(read("timestamp", &tomorrow.to_string()).is_ok());
        let far_ahead = (tomorrow + 1).to_string();
        for bad in ["0", "1", "946684799999", "1705853696123456", "1705853696123456789", "1e15", far_ahead.as_str()] {
            assert_eq!(read("timestamp", bad), Err(Rejection::Timestamp), "{bad}");
        }
    }

    proptest! {
        /// Whatever is written in a field: the tick is right, or the message is refused under that field's name.
        #[test]
        fn a_field_is_read_as_it_stands_or_refused_by_its_name(value in "-?[0-9]{1,20}(\\.[0-9]{1,6})?(e-?[0-9]{1,3})?|\"[0-9.]{0,8}\"|true|\\[\\]") {
            let is_text = value.starts_with(['"', 't', '[']);
            let number: f64 = if is_text { f64::NAN } else { value.parse().expect("a number") };
            let json = |field: &str| format!(r#"{{"symbol":"A","price":1,"{field}":{value}}}"#);
            if serde_json::from_str::<serde_json::Value>(&value).is_ok() {
                match read_tick(json("volume").as_bytes(), NOW) {
                    Ok(tick) => prop_assert_eq!(tick.volume as f64, number.round()),
                    Err(why) => prop_assert!(why == Rejection::Volume && !(0.0..=9e15).contains(&number), "{}", why),
                }
                match read_tick(json("connection_id").as_bytes(), NOW) {
                    Ok(tick) => prop_assert_eq!(tick.connection_id.map(f64::from), Some(number)),
                    Err(why) => prop_assert_eq!(why, Rejection::Connection),
                }
                match read_tick(json("timestamp").as_bytes(), NOW) {
                    Ok(tick) => {
                        let millis = if number < 1e11 { number * 1000.0 } else { number };
                        prop_assert_eq!(tick.timestamp.0, millis.round() as i64);
                    }
                    Err(why) => prop_assert_eq!(why, Rejection::Timestamp),
                }
            }
        }
    }

    #[test]
    fn tickstocks_own_status_is_understood() {
        let json = br#"{"total_connections":3,"connected_count":2,"total_ticks_received":15000,"total_errors":5,"connections":{
            "connection_1":{"name":"primary","status":"connected","assigned_tickers":150,"message_count":10000,"error_count":0,"last_message_time":1705853696.123},
            "connection_2":{"name":"secondary","status":"error","assigned_tickers":10,"message_count":5000,"error_count":5,"last_message_time":0}}}"#;
        let report = read_status(json).expect("reads");
        assert_eq!(
            (report.head.summary.total, report.head.summary.connected, report.head.summary.errors_total),
            (2, 1, 5)
        );
        assert_eq!(report.connections[0].live.metrics.last_update, Some(UnixMillis(1_705_853_696_123)));
        assert_eq!(report.connections[1].live.state, ConnectionState::Failed);
        assert!(read_status(b"{}").is_err());
        let json = br#"{"connections":{"connection_1":{"name":"primary","status":"resting"}}}"#;
        assert_eq!(read_status(json).expect("reads").connections[0].live.state, ConnectionState::Connecting);
    }

    #[test]
    fn the_words_of_a_status_are_tidied_whoever_sent_it() {
        let mut report = StatusReport::default();
        report.connections.push(ConnectionStatus::default());
        let live = &mut report.connections[0].live;
        live.name = "primary\n{\"target\":\"audit\"}".into();
        live.reason = Some("\u{1b}[2J\u{202e}".into());
        live.subscription.missing = vec!["T.\0".into(), "x".repeat(100_000)];
        let read = read_status(&serde_json::to_vec(&report).expect("serialises")).expect("reads");
        let live = &read.connections[0].live;
        assert_eq!(live.name, r#"primary\u{a}{"target":"audit"}"#);
        assert_eq!(live.reason.as_deref(), Some(r"\u{1b}[2J\u{202e}"));
        assert_eq!((&*live.subscription.missing[0], live.subscription.missing[1].len()), (r"T.\u{0}", 512));

        let theirs = br#"{"connections":{"connection_1":{"name":"a\u202eb","status":"connected"}}}"#;
        assert_eq!(read_status(theirs).expect("reads").connections[0].live.name, r"a\u{202e}b");
    }

    #[test]
    fn our_own_status_survives_the_way() {
        let mut report = StatusReport::default();
        report.connections.push(ConnectionStatus::default());
        report.head.origin.is_from_redis = true;
        let json = serde_json::to_vec(&report).expect("serialises");
        assert_eq!(read_status(&json).as_ref(), Ok(&report), "an older version's, without a name");
        let since = UnixMillis(1_768_998_896_789);
        let collector = Collector { server: "a (process 7)".into(), since, epoch: Some(1_768_998_896_800) };
        report.head.collector = Some(collector);
        let json = write_status(&report);
        assert!(
            json.contains(
                r#""collector":{"server":"a (process 7)","since":"2026-01-21T12:34:56.789Z","epoch":1768998896800}"#
            ),
            "{json}"
        );
        assert_eq!(read_status(json.as_bytes()), Ok(report));
    }
}
