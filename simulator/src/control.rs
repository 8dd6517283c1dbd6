//! Faults on demand: `POST /control` takes one, `GET /control` shows sessions and faults. From this machine only.

use super::Simulator;
use super::faults::{Lasting, Moment, Shown};
use super::peer::{End, Extra, Peer};
use super::protocol::Channel;
use app::model::{symbol::Symbol, time::UnixMillis};
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, body::Bytes, routing::get};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What no parser takes for an event: not JSON, though it begins like it.
pub(super) const RUBBISH: &str = r#"[{"ev":"T","sym":"AAPL","p":1e999,"s":-,}}]] %%% <garbage>"#;

/// The names that `fault` takes.
const FAULTS: &str = "drop, close, stall, mute_pings, lag, flood, garbage, refuse_key, refuse_plan, refuse_realtime, limit, evict, \
     slow_consumer, force_disconnect, deny_channel, ignore_channel, halt, duplicate_bar, revise_bar, large_frame, \
     strange_events, clear";

const CONNECTION_MAX: u64 = 999_999;

/// What is late waits in memory.
const LAG_MS_MAX: u64 = 60_000;

/// A fault, read and checked.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    /// Ends the sessions now open.
    End(End),
    /// Sends rubbish to the sessions now open.
    Garbage,
    /// Sends something once to the sessions now open.
    Extra(Extra),
    /// Lasts: `None` until it is cleared.
    Lasting(Lasting, Option<Duration>),
    /// Takes lasting faults out of force.
    Clear,
}

/// A fault and whom it hits.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Order {
    fault: Fault,
    /// All when `None`.
    connection: Option<u32>,
}

pub(super) fn router() -> Router<Arc<Simulator>> {
    Router::new()
        .route("/control", get(show).post(order))
        .layer(DefaultBodyLimit::max(4 * 1024))
        .layer(middleware::from_fn(only_from_here))
}

/// A number that a connection may have.
pub(super) fn connection_number(number: u64) -> Option<u32> {
    (1..=CONNECTION_MAX).contains(&number).then(|| u32::try_from(number).ok())?
}

pub(super) fn error(status: StatusCode, code: &str, message: &str) -> Response {
    (status, Json(json!({"error": {"code": code, "message": message}}))).into_response()
}

/// An address of this machine, also when an IPv6 socket shows it as `::ffff:127.0.0.1`.
pub(super) fn is_here(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// Turns other machines away, and web pages that a browser on this machine shows: those can send a form here, and say so
/// in `Origin`.
async fn only_from_here(ConnectInfo(peer): ConnectInfo<SocketAddr>, request: Request, next: Next) -> Response {
    if !is_here(peer.ip()) {
        return error(StatusCode::FORBIDDEN, "forbidden", "the control interface answers to this machine only");
    }
    if request.headers().contains_key(header::ORIGIN) {
        return error(StatusCode::FORBIDDEN, "forbidden", "the control interface does not answer to web pages");
    }
    next.run(request).await
}

#[derive(Serialize)]
struct ShownConnection {
    connection: u32,
    authenticated: bool,
    subscriptions: usize,
    events_sent: u64,
    since: UnixMillis,
}

#[derive(Serialize)]
struct ShownAll {
    connections: Vec<ShownConnection>,
    faults: Vec<Shown>,
}

async fn show(State(simulator): State<Arc<Simulator>>) -> Json<ShownAll> {
    let mut connections: Vec<ShownConnection> = simulator
        .accounts
        .list(None)
        .into_iter()
        .map(|(peer, authenticated)| ShownConnection {
            connection: peer.connection,
            authenticated,
            subscriptions: peer.subscriptions().len(),
            events_sent: peer.events_sent(),
            since: peer.since,
        })
        .collect();
    connections.sort_by_key(|shown| (shown.connection, shown.since));
    Json(ShownAll { connections, faults: simulator.faults.borrow().shown(Instant::now()) })
}

async fn order(State(simulator): State<Arc<Simulator>>, body: Bytes) -> Response {
    match Order::parse(&body) {
        Ok(order) => Json(json!({"sessions": execute(&simulator, order)})).into_response(),
        Err(message) => error(StatusCode::BAD_REQUEST, "bad_request", &message),
    }
}

/// Does it, and says how many of the open sessions it hits.
fn execute(simulator: &Simulator, Order { fault, connection }: Order) -> usize {
    tracing::info!(?fault, ?connection, "Simulator fault set");
    let peers = simulator.accounts.list(connection);
    let to_each = |act: &dyn Fn(&Peer)| peers.iter().for_each(|(peer, _)| act(peer));
    match fault {
        Fault::End(end) => to_each(&|peer| peer.finish(end)),
        Fault::Garbage => to_each(&|peer| peer.push(RUBBISH.to_owned(), 0)),
        Fault::Extra(extra) => to_each(&|peer| peer.ask_for(extra)),
        Fault::Clear => simulator.faults.send_modify(|faults| faults.clear(connection)),
        Fault::Lasting(lasting, duration) => {
            let now = Instant::now();
            let until = duration.map(|duration| now + duration);
            simulator.faults.send_modify(|faults| faults.set(lasting, connection, until, now));
        }
    }
    peers.len()
}

impl Order {
    fn parse(body: &[u8]) -> Result<Self, String> {
        let fields: Map<String, Value> = serde_json::from_slice(body)
            .map_err(|error| format!("the body is not a JSON object such as {{\"fault\":\"drop\"}}: {error}"))?;
        let mut fields = Fields(fields);
        let name = fields.0.remove("fault");
        let name = name.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
        let fault = match &*name {
            "drop" => Fault::End(End::Drop),
            "close" => Fault::End(End::Close(fields.close_code()?)),
            "evict" => Fault::End(End::Evicted),
            "slow_consumer" => Fault::End(End::Slow),
            "force_disconnect" => Fault::End(End::Forced),
            "garbage" => match fields.seconds()? {
                None => Fault::Garbage,
                lasting => Fault::Lasting(Lasting::Garbage, lasting),
            },
            "duplicate_bar" => Fault::Extra(Extra::RepeatedBars),
            "revise_bar" => Fault::Extra(Extra::RevisedBars),
            "large_frame" => Fault::Extra(Extra::LargeFrames),
            "strange_events" => Fault::Extra(Extra::StrangeEvents),
            "clear" => Fault::Clear,
            "stall" => Fault::Lasting(Lasting::Stall, fields.seconds()?),
            "mute_pings" => Fault::Lasting(Lasting::MutePings, fields.seconds()?),
            "refuse_key" => Fault::Lasting(Lasting::RefuseKey, fields.seconds()?),
            "refuse_plan" => Fault::Lasting(Lasting::RefusePlan, fields.seconds()?),
            "refuse_realtime" => Fault::Lasting(Lasting::RefuseRealtime, fields.seconds()?),
            "limit" => Fault::Lasting(Lasting::Limit(fields.moment()?), fields.seconds()?),
            "deny_channel" => Fault::Lasting(Lasting::DenyChannel(fields.channel()?), fields.seconds()?),
            "ignore_channel" => Fault::Lasting(Lasting::IgnoreChannel(fields.channel()?), fields.seconds()?),
            "halt" => Fault::Lasting(Lasting::Halt(fields.symbol()?), fields.seconds()?),
            "lag" => {
                let by_ms = fields.integer("by_ms", 1, LAG_MS_MAX)?.unwrap_or(10_000);
                Fault::Lasting(Lasting::Lag(u32::try_from(by_ms).unwrap_or(u32::MAX)), fields.seconds()?)
            }
            "flood" => {
                let rate = fields.integer("events_per_second", 1, 1_000_000)?.unwrap_or(50_000);
                let duration = fields.seconds()?.unwrap_or(Duration::from_secs(10));
                Fault::Lasting(Lasting::Flood(u32::try_from(rate).unwrap_or(u32::MAX)), Some(duration))
            }
            _ => return Err(format!("\"fault\" is unknown or missing; accepted: {FAULTS}")),
        };
        let connection = fields.integer("connection", 1, CONNECTION_MAX)?.and_then(connection_number);
        match fields.0.keys().next() {
            Some(field) => Err(format!("{field:?} is not a field of the fault {name:?}")),
            None => Ok(Self { fault, connection }),
        }
    }
}

/// Fields not read yet.
struct Fields(Map<String, Value>);

impl Fields {
    fn integer(&mut self, name: &str, least: u64, most: u64) -> Result<Option<u64>, String> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match value.as_u64().filter(|number| (least..=most).contains(number)) {
                Some(number) => Ok(Some(number)),
                None => Err(format!("{name:?} is {value}; accepted: an integer from {least} to {most}")),
            },
        }
    }

    fn seconds(&mut self) -> Result<Option<Duration>, String> {
        match self.0.remove("seconds") {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match value.as_f64().filter(|seconds| *seconds > 0.0 && *seconds <= 86_400.0) {
                Some(seconds) => Ok(Some(Duration::from_secs_f64(seconds))),
                None => Err(format!("\"seconds\" is {value}; accepted: a number above 0, up to 86400")),
            },
        }
    }

    fn channel(&mut self) -> Result<Channel, String> {
        let value = self.0.remove("channel").unwrap_or_default();
        let channel = value.as_str().and_then(|text| text.parse().ok());
        channel.ok_or_else(|| format!("\"channel\" is {value}; accepted: {}", Channel::accepted()))
    }

    fn moment(&mut self) -> Result<Moment, String> {
        let value = self.0.remove("at").unwrap_or_else(|| "auth".into());
        match value.as_str() {
            Some("hello") => Ok(Moment::Hello),
            Some("auth") => Ok(Moment::Auth),
            Some("subscribed") => Ok(Moment::Subscribed),
            _ => Err(format!("\"at\" is {value}; accepted: hello, auth, subscribed")),
        }
    }

    fn symbol(&mut self) -> Result<Symbol, String> {
        let value = self.0.remove("symbol").unwrap_or_default();
        let symbol = value.as_str().and_then(|text| Symbol::parse(text).ok());
        symbol.ok_or_else(|| format!("\"symbol\" is {value}; accepted: a ticker"))
    }

    /// Codes that a close frame may carry (RFC 6455 §7.4); a lost connection, 1006, is the fault `drop`.
    fn close_code(&mut self) -> Result<u16, String> {
        let code = self.integer("code", 1000, 4999)?.unwrap_or(1000);
        match u16::try_from(code) {
            Ok(code) if !matches!(code, 1004..=1006 | 1015..=2999) => Ok(code),
            _ => Err(format!(
                "\"code\" is {code}; accepted: 1000 to 1014 without 1004, 1005 and 1006 (for that, \"drop\"), 3000 to 4999"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<Order, String> {
        Order::parse(body.as_bytes())
    }

    #[test]
    fn every_fault_is_read_with_its_defaults() {
        let ten = Some(Duration::from_secs(10));
        for (body, fault) in [
            (r#"{"fault":"drop"}"#, Fault::End(End::Drop)),
            (r#"{"fault":"close"}"#, Fault::End(End::Close(1000))),
            (r#"{"fault":"close","code":4321}"#, Fault::End(End::Close(4321))),
            (r#"{"fault":"evict"}"#, Fault::End(End::Evicted)),
            (r#"{"fault":"garbage"}"#, Fault::Garbage),
            (r#"{"fault":"garbage","seconds":10}"#, Fault::Lasting(Lasting::Garbage, ten)),
            (r#"{"fault":"duplicate_bar"}"#, Fault::Extra(Extra::RepeatedBars)),
            (r#"{"fault":"slow_consumer"}"#, Fault::End(End::Slow)),
            (r#"{"fault":"limit"}"#, Fault::Lasting(Lasting::Limit(Moment::Auth), None)),
            (r#"{"fault":"limit","at":"hello"}"#, Fault::Lasting(Lasting::Limit(Moment::Hello), None)),
            (r#"{"fault":"lag","seconds":10}"#, Fault::Lasting(Lasting::Lag(10_000), ten)),
            (r#"{"fault":"clear"}"#, Fault::Clear),
            (r#"{"fault":"stall"}"#, Fault::Lasting(Lasting::Stall, None)),
            (r#"{"fault":"mute_pings","seconds":10}"#, Fault::Lasting(Lasting::MutePings, ten)),
            (r#"{"fault":"refuse_key"}"#, Fault::Lasting(Lasting::RefuseKey, None)),
            (r#"{"fault":"flood"}"#, Fault::Lasting(Lasting::Flood(50_000), ten)),
            (r#"{"fault":"deny_channel","channel":"Q"}"#, Fault::Lasting(Lasting::DenyChannel(Channel::Quotes), None)),
        ] {
            assert_eq!(read(body), Ok(Order { fault, connection: None }), "{body}");
        }
        assert_eq!(read(r#"{"fault":"drop","connection":2}"#).map(|order| order.connection), Ok(Some(2)));
    }

    #[test]
    fn only_loopback_is_here() {
        let is_here = |text: &str| super::is_here(text.parse().expect("an address"));
        assert!(is_here("127.0.0.1") && is_here("127.8.8.8") && is_here("::1") && is_here("::ffff:127.0.0.1"));
        assert!(!is_here("10.0.0.1") && !is_here("::ffff:10.0.0.1") && !is_here("fe80::1"));
    }

    #[test]
    fn every_mistake_is_named_with_what_is_accepted() {
        for (body, expected) in [
            ("", "the body is not a JSON object"),
            ("[]", "the body is not a JSON object"),
            ("{}", "\"fault\" is unknown or missing; accepted: drop, close,"),
            (r#"{"fault":"explode"}"#, "\"fault\" is unknown or missing; accepted: drop, close,"),
            (r#"{"fault":"drop","connection":0}"#, "\"connection\" is 0; accepted: an integer from 1 to"),
            (r#"{"fault":"drop","connection":"2"}"#, "\"connection\" is \"2\"; accepted: an integer from 1 to"),
            (r#"{"fault":"drop","code":1000}"#, "\"code\" is not a field of the fault \"drop\""),
            (r#"{"fault":"close","code":1006}"#, "\"code\" is 1006; accepted: 1000 to 1014"),
            (r#"{"fault":"close","code":1}"#, "\"code\" is 1; accepted: an integer from 1000 to 4999"),
            (r#"{"fault":"stall","seconds":-1}"#, "\"seconds\" is -1; accepted: a number above 0"),
            (r#"{"fault":"flood","events_per_second":0}"#, "\"events_per_second\" is 0; accepted: an integer from 1"),
            (r#"{"fault":"deny_channel"}"#, "\"channel\" is null; accepted: T, Q, A, AM"),
            (r#"{"fault":"limit","at":"noon"}"#, "\"at\" is \"noon\"; accepted: hello, auth, subscribed"),
            (r#"{"fault":"halt"}"#, "\"symbol\" is null; accepted: a ticker"),
            (r#"{"fault":"lag","by_ms":0}"#, "\"by_ms\" is 0; accepted: an integer from 1 to 60000"),
        ] {
            let error = read(body).expect_err(body);
            assert!(error.starts_with(expected), "{body}: {error}");
        }
    }
}
