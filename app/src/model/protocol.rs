//! What travels over `/admin-ws`: subprotocols, binary frames, commands, close codes. `docs/protocol.md` describes it
//! for those who write a client; the two change together.

use super::{
    alert::OpenAlerts,
    connection::ConnectionId,
    status::{LiveReport, StatusReport},
    symbol::Symbol,
    tape::{Tape, TapeSet},
    tick::Direction,
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};

pub use super::tick::{RowId, TickEntry};

/// Text frames, one JSON event each; also what a client without a subprotocol gets.
pub const SUBPROTOCOL_JSON: &str = "tickstock.v1.json";
/// Batched binary frames in postcard encoding; what the page uses.
pub const SUBPROTOCOL_BINARY: &str = "tickstock.v1.bin";

/// How many one-second samples of the message rate the sparkline holds: five minutes.
pub const RATE_HISTORY_LENGTH: usize = 300;

/// A binary frame. The first byte is the variant's number, in the order below.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Frame {
    /// 0: the whole truth at one moment; replaces everything before. First on every socket, again after a lag and
    /// whenever the configuration changed. Its rows may go on in [`Frame::Rows`], see [`Snapshot::rows_total`].
    Snapshot(Box<Snapshot>),
    /// 1: symbols seen for the first time; they continue the snapshot's rows.
    Rows(Vec<Row>),
    /// 2: what ticked since the last frame.
    Ticks(Ticks),
    /// 3: a connection's state changed, or the bus's.
    Live(LiveReport),
    /// 4: the same, every metrics interval: one more sample of the rates.
    Metrics(Metrics),
    /// 5: every tick of one connection, for the sockets that have its tape open. Comes before the [`Frame::Ticks`] that
    /// tells the same ticks conflated.
    Tape(Tape),
}

/// Everything a page needs to start.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Status and configuration.
    pub report: ReportParts,
    /// The first rows, or all of them; a row's place is its [`RowId`].
    pub rows: Vec<Row>,
    /// Per connection, in the report's order: ticks a second, one sample a metrics interval, oldest first, at most
    /// [`RATE_HISTORY_LENGTH`].
    pub rates: Vec<Vec<f32>>,
    /// The rows that are stale, as in [`Metrics::stale`]. Last, see [`Ticks::waited_ms`].
    #[serde(default, deserialize_with = "default_at_the_end")]
    pub stale: Vec<RowSpan>,
    /// How many rows there are. Where that is more than [`Snapshot::rows`] has, [`Frame::Rows`] with the others follow at once, in
    /// order and with nothing in between: a reader sees that the rest is on its way, and shows it with the last of them.
    #[serde(default, deserialize_with = "default_at_the_end")]
    pub rows_total: u32,
    /// The open alerts, as in [`Metrics::alerts`].
    #[serde(default, deserialize_with = "default_at_the_end")]
    pub alerts: OpenAlerts,
}

/// What comes every metrics interval.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// States and numbers.
    pub live: LiveReport,
    /// The rows whose symbol has been silent for far longer than is usual for it, in order. Last with what follows, see
    /// [`Ticks::waited_ms`].
    #[serde(default, deserialize_with = "default_at_the_end")]
    pub stale: Vec<RowSpan>,
    /// When a gap last began, ended or got another cause in the ledger: time to ask for it again.
    #[serde(default, deserialize_with = "default_at_the_end")]
    pub ledger_changed_at: UnixMillis,
    /// The open alerts, the gravest first.
    #[serde(default, deserialize_with = "default_at_the_end")]
    pub alerts: OpenAlerts,
}

/// Rows that follow each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct RowSpan {
    /// The first of them.
    pub first: RowId,
    /// How many.
    pub count: u32,
}

impl RowSpan {
    /// The places that are marked, as few spans as possible.
    pub fn of(marked: impl Iterator<Item = bool>) -> Vec<Self> {
        let mut spans: Vec<Self> = Vec::new();
        for (row, _) in (0..).zip(marked).filter(|(_, is_marked)| *is_marked) {
            match spans.last_mut().filter(|span| span.first + span.count == row) {
                Some(span) => span.count += 1,
                None => spans.push(Self { first: row, count: 1 }),
            }
        }
        spans
    }

    /// Is a row in any of the spans, which are in order?
    #[must_use]
    pub fn hold(spans: &[Self], row: RowId) -> bool {
        let after = spans.partition_point(|span| span.first <= row);
        spans[..after].last().is_some_and(|span| row < span.first + span.count)
    }
}

/// A [`StatusReport`] in a form that needs no field names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReportParts {
    /// How everything is.
    pub live: LiveReport,
    /// What each connection is set to, in the same order.
    pub configs: Vec<super::status::ConnectionConfig>,
}

impl From<&StatusReport> for ReportParts {
    fn from(report: &StatusReport) -> Self {
        Self { live: report.live(), configs: report.connections.iter().map(|c| c.config.clone()).collect() }
    }
}

impl From<ReportParts> for StatusReport {
    fn from(parts: ReportParts) -> Self {
        let connections = parts.live.connections.into_iter().zip(parts.configs);
        Self {
            head: parts.live.head,
            connections: connections
                .map(|(live, config)| super::status::ConnectionStatus { live, config, ..Default::default() })
                .collect(),
        }
    }
}

/// One symbol of one connection: its latest price and the count of ticks behind it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Row {
    /// Whose symbol it is.
    pub connection_id: ConnectionId,
    /// The symbol.
    pub symbol: Symbol,
    /// The latest price in dollars; `None` before the first tick.
    pub price: Option<f64>,
    /// That price against the one before.
    pub direction: Direction,
    /// Shares of the latest tick.
    pub volume: u64,
    /// Time of the latest tick.
    pub timestamp: UnixMillis,
    /// Ticks since the server started.
    pub ticks_total: u64,
}

impl Row {
    /// A symbol that has not ticked yet.
    #[must_use]
    pub fn empty(connection_id: ConnectionId, symbol: Symbol) -> Self {
        Self {
            connection_id,
            symbol,
            price: None,
            direction: Direction::Unchanged,
            volume: 0,
            timestamp: UnixMillis(0),
            ticks_total: 0,
        }
    }
}

/// What ticked since the last frame: one entry a symbol, however many ticks are behind it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ticks {
    /// When the frame was made.
    pub at: UnixMillis,
    /// The latest tick of each symbol that ticked.
    pub entries: Vec<TickEntry>,
    /// How long before [`Ticks::at`] the first of the ticks was received, in milliseconds. Last, as readers ignore what
    /// follows a frame: those that came before this field read on, and servers that do are read on.
    #[serde(default, deserialize_with = "default_at_the_end")]
    pub waited_ms: u16,
}

fn default_at_the_end<'de, T, D>(bytes: D) -> Result<T, D::Error>
where
    T: Default + Deserialize<'de>,
    D: serde::Deserializer<'de>,
{
    Ok(T::deserialize(bytes).unwrap_or_default())
}

impl Snapshot {
    /// As frames of at most `rows_max` rows each, so that a slow line brings one after another.
    #[must_use]
    pub fn in_parts(mut self, rows_max: usize) -> Vec<Frame> {
        let rest = self.rows.split_off(self.rows.len().min(rows_max));
        let rest = rest.chunks(rows_max).map(|rows| Frame::Rows(rows.to_vec()));
        std::iter::once(Frame::Snapshot(Box::new(self))).chain(rest.collect::<Vec<_>>()).collect()
    }
}

impl Frame {
    /// When it was made, by the server's clock, where it says so.
    #[must_use]
    pub fn made_at(&self) -> Option<UnixMillis> {
        match self {
            Self::Ticks(ticks) => Some(ticks.at),
            Self::Live(live) | Self::Metrics(Metrics { live, .. }) => Some(live.head.generated_at),
            Self::Snapshot(snapshot) => Some(snapshot.report.live.head.generated_at),
            Self::Rows(_) | Self::Tape(_) => None,
        }
    }

    /// The bytes of a binary WebSocket message.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let bytes = Vec::with_capacity(self.bytes_expected());
        // Writing into memory fails only when a sequence has no known length, and none of ours lacks one.
        postcard::to_extend(self, bytes).unwrap_or_default()
    }

    /// Room for the bytes, so that a frame of ticks is written without moving it.
    fn bytes_expected(&self) -> usize {
        match self {
            Self::Ticks(ticks) => 16 + ticks.entries.len() * TICK_BYTES,
            Self::Tape(tape) => 32 + tape.entries.len() * TICK_BYTES,
            Self::Snapshot(snapshot) => 4096 + snapshot.rows.len() * ROW_BYTES,
            Self::Rows(rows) => 16 + rows.len() * ROW_BYTES,
            Self::Live(_) | Self::Metrics(_) => 1024,
        }
    }

    /// Reads a binary WebSocket message.
    ///
    /// # Errors
    /// When the bytes are not one whole frame of this version.
    pub fn decode(bytes: &[u8]) -> Result<Self, postcard::Error> {
        postcard::from_bytes(bytes)
    }
}

/// Bytes of an entry, usually fewer.
const TICK_BYTES: usize = 20;
/// Bytes of a row, usually fewer.
const ROW_BYTES: usize = 40;

/// What a client may say, as a JSON text frame `{"event":NAME}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Command {
    /// Stop sending ticks; status and metrics go on.
    PauseStream,
    /// Send ticks again, a snapshot first.
    ResumeStream,
    /// Send status and metrics now.
    RequestMetrics,
    /// Send every tick of these connections, in order, and of no others. Binary sockets only.
    SetTape {
        /// The connections, by number.
        connections: TapeSet,
    },
}

/// Why the server closed a socket. Codes in 4000–4999 are ours (RFC 6455, 7.4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The server is going away.
    GoingAway,
    /// The session is over.
    SignedOut,
    /// The account's role does not allow it.
    Forbidden,
    /// Too many or too large messages.
    RateLimited,
    /// The client did not read.
    TooSlow,
}

/// When a client should come back after a close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComeBack {
    /// Not with this session.
    Never,
    /// At once.
    AtOnce,
    /// After a pause with jitter, longer each time.
    Later,
}

impl CloseReason {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::GoingAway, Self::SignedOut, Self::Forbidden, Self::RateLimited, Self::TooSlow];

    /// The close code.
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            Self::GoingAway => 1001,
            Self::SignedOut => 4001,
            Self::Forbidden => 4003,
            Self::RateLimited => 4008,
            Self::TooSlow => 4009,
        }
    }

    /// The reason phrase sent with it.
    #[must_use]
    pub fn phrase(self) -> &'static str {
        match self {
            Self::GoingAway => "server going away",
            Self::SignedOut => "session over",
            Self::Forbidden => "not allowed",
            Self::RateLimited => "too many messages",
            Self::TooSlow => "reading too slowly",
        }
    }

    /// What a client should do after this code; codes that are not ours mean a lost connection.
    #[must_use]
    pub fn come_back(code: u16) -> ComeBack {
        match Self::ALL.into_iter().find(|reason| reason.code() == code) {
            Some(Self::SignedOut | Self::Forbidden) => ComeBack::Never,
            Some(Self::TooSlow) => ComeBack::AtOnce,
            Some(Self::GoingAway | Self::RateLimited) | None => ComeBack::Later,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_without_what_came_later_are_read_and_those_with_it_by_older_pages() {
        let live = LiveReport::default();
        let stale = RowSpan::of([false, true, true, false, true].into_iter());
        assert_eq!(stale, [RowSpan { first: 1, count: 2 }, RowSpan { first: 4, count: 1 }]);
        let held: Vec<_> = (0..6).filter(|row| RowSpan::hold(&stale, *row)).collect();
        assert_eq!((held, RowSpan::hold(&[], 0)), (vec![1, 2, 4], false));
        let new = Frame::Metrics(Metrics {
            live: live.clone(),
            stale,
            ledger_changed_at: UnixMillis(9),
            alerts: OpenAlerts { total: 1, ..OpenAlerts::default() },
        });
        assert_eq!(Frame::decode(&new.encode()), Ok(new.clone()));
        // As it was: the frame's number, and a report.
        assert_eq!(postcard::from_bytes(&new.encode()[1..]), Ok(live.clone()));
        let old = [vec![4], postcard::to_stdvec(&live).expect("serialises")].concat();
        assert_eq!(Frame::decode(&old), Ok(Frame::Metrics(Metrics { live, ..Metrics::default() })));
    }

    #[test]
    fn a_tick_entry_is_a_dozen_bytes() {
        let entry = TickEntry { row: 250, price: 178.23, volume: 1000, age_ms: 12, ticks: 1 };
        let frame = Frame::Ticks(Ticks { at: UnixMillis(1_768_998_896_789), entries: vec![entry], waited_ms: 7 });
        let bytes = frame.encode();
        assert_eq!(bytes.len(), 23, "kind 1, time 6, length 1, entry 14, wait 1: {bytes:?}");
        assert_eq!(Frame::decode(&bytes).expect("decodes"), frame);
    }

    #[test]
    fn a_server_that_does_not_tell_how_long_ticks_waited_is_understood() {
        let ticks = |waited_ms| Frame::Ticks(Ticks { at: UnixMillis(5), entries: Vec::new(), waited_ms });
        let bytes = ticks(300).encode();
        assert_eq!(bytes.len(), 5, "kind, time, length, wait of 2: {bytes:?}");
        assert_eq!(Frame::decode(&bytes[..3]).expect("decodes"), ticks(0));
    }

    #[test]
    fn bytes_cut_anywhere_are_an_error_not_a_panic() {
        let row = Row::empty(1, Symbol::parse("AAPL").expect("a symbol"));
        let bytes = Frame::Snapshot(Box::new(Snapshot { rows: vec![row], ..Snapshot::default() })).encode();
        // The last four bytes are two lists and two counts that older servers do not send.
        for length in 0..bytes.len() - 4 {
            assert!(Frame::decode(&bytes[..length]).is_err(), "{length} of {}", bytes.len());
        }
    }

    #[test]
    fn a_snapshot_of_many_rows_is_several_frames() {
        let row = Row::empty(1, Symbol::parse("AAPL").expect("a symbol"));
        let parts = |rows: usize| {
            let snapshot = Snapshot { rows: vec![row; rows], rows_total: rows as u32, ..Snapshot::default() };
            let rows = |frame: &Frame| match frame {
                Frame::Snapshot(snapshot) => snapshot.rows.len(),
                Frame::Rows(rows) => rows.len(),
                _ => 0,
            };
            snapshot.in_parts(2).iter().map(rows).collect::<Vec<_>>()
        };
        assert_eq!((parts(0), parts(2), parts(5)), (vec![0], vec![2], vec![2, 2, 1]));
    }

    #[test]
    fn a_status_in_parts_is_the_same_status() {
        let mut report = StatusReport::default();
        report.connections.push(super::super::status::ConnectionStatus::default());
        assert_eq!(StatusReport::from(ReportParts::from(&report)), report);
    }

    #[test]
    fn close_codes_say_whether_to_come_back() {
        assert_eq!(CloseReason::come_back(4001), ComeBack::Never);
        assert_eq!(CloseReason::come_back(4009), ComeBack::AtOnce);
        assert_eq!(CloseReason::come_back(1006), ComeBack::Later);
    }

    #[test]
    fn commands_read_as_documented() {
        let command: Command = serde_json::from_str(r#"{"event":"pause_stream"}"#).expect("parses");
        assert_eq!(command, Command::PauseStream);
        let command = serde_json::to_string(&Command::SetTape { connections: [2, 1].into_iter().collect() });
        assert_eq!(command.expect("serialises"), r#"{"event":"set_tape","connections":[1,2]}"#);
        assert!(serde_json::from_str::<Command>(r#"{"event":"reboot"}"#).is_err());
    }
}
