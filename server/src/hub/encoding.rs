//! Frames as WebSocket messages: postcard for the page, one JSON event a message for everybody else.

use super::events::{ConnectionStatusUpdate, ErrorSaid, Event, MetricsUpdate, TickUpdate};
use app::model::{
    connection::ConnectionId,
    protocol::{Frame, Metrics, Row, SUBPROTOCOL_BINARY, SUBPROTOCOL_JSON, TickEntry},
    status::{ConnectionLive, LiveReport},
    symbol::Symbol,
    time::UnixMillis,
};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};
use tokio_tungstenite::tungstenite::Message;

/// How a socket is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// `tickstock.v1.bin`.
    Binary,
    /// `tickstock.v1.json`, or no subprotocol.
    Json,
}

impl Encoding {
    /// All subprotocols, the preferred one first.
    pub const SUBPROTOCOLS: [&'static str; 2] = [SUBPROTOCOL_BINARY, SUBPROTOCOL_JSON];

    /// The encoding of the subprotocol that was agreed on.
    #[must_use]
    pub fn of(subprotocol: Option<&str>) -> Self {
        if subprotocol == Some(SUBPROTOCOL_BINARY) { Self::Binary } else { Self::Json }
    }
}

/// Messages that belong together, shared by all sockets of an encoding.
pub(super) type Batch = Arc<[Item]>;

/// A message and the sockets that it is for.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) message: Message,
    pub(super) audience: Audience,
}

/// Which sockets a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Audience {
    /// All of them.
    Everybody,
    /// Those that are not paused.
    Watching,
    /// Of those, the ones that have this connection's tape open.
    Tape(ConnectionId),
}

impl Audience {
    fn of(frame: &Frame) -> Self {
        match frame {
            Frame::Snapshot(_) | Frame::Live(_) | Frame::Metrics(_) => Self::Everybody,
            Frame::Rows(_) | Frame::Ticks(_) => Self::Watching,
            Frame::Tape(tape) => Self::Tape(tape.connection_id),
        }
    }
}

/// Rows of a snapshot in one message: some 80 KB, which a slow line (128 kbit/s) brings before the page takes it for dead.
const ROWS_PER_MESSAGE: usize = 2_500;

/// One message a frame, several for a snapshot of many rows: a browser tells nothing of a message before it is whole.
pub(super) fn binary(frames: &[Frame]) -> Batch {
    let item = |frame: &Frame, audience| Item { message: Message::Binary(frame.encode().into()), audience };
    let items = frames.iter().flat_map(|frame| match frame {
        Frame::Snapshot(snapshot) if snapshot.rows.len() > ROWS_PER_MESSAGE => {
            let parts = snapshot.as_ref().clone().in_parts(ROWS_PER_MESSAGE);
            parts.iter().map(|part| item(part, Audience::Everybody)).collect()
        }
        _ => vec![item(frame, Audience::of(frame))],
    });
    items.collect()
}

/// Writes frames as JSON events and remembers what it said of each connection: an event is sent on change alone.
#[derive(Debug, Default)]
pub(super) struct JsonEvents {
    said: HashMap<ConnectionId, ConnectionStatusUpdate>,
    /// Whose price was told, to one socket at least.
    priced: HashSet<(ConnectionId, Symbol)>,
}

impl JsonEvents {
    /// The events of these frames, possibly none. `rows` are the board's.
    pub(super) fn batch(&mut self, frames: &[Frame], rows: &[Row]) -> Batch {
        let items = frames.iter().flat_map(|frame| {
            let audience = Audience::of(frame);
            self.events(frame, rows).into_iter().map(move |message| Item { message, audience })
        });
        items.collect()
    }

    fn events(&mut self, frame: &Frame, rows: &[Row]) -> Vec<Message> {
        match frame {
            Frame::Snapshot(snapshot) => {
                // Another collector's board, on which some have not ticked.
                let told = std::mem::take(&mut self.priced);
                let is_gone = |row: &&Row| row.price.is_none() && told.contains(&(row.connection_id, row.symbol));
                let gone: Vec<_> =
                    snapshot.rows.iter().filter(is_gone).map(|row| tick(TickUpdate::unpriced(row))).collect();
                let mut messages = self.first(frame);
                messages.extend(gone);
                messages
            }
            Frame::Rows(_) | Frame::Tape(_) => Vec::new(),
            Frame::Ticks(ticks) => {
                let rows_of = |entry: &TickEntry| rows.get(entry.row as usize);
                self.priced.extend(ticks.entries.iter().filter_map(rows_of).map(|row| (row.connection_id, row.symbol)));
                let ticked = |entry| Some(tick(TickUpdate::ticked(rows_of(entry)?, entry)));
                ticks.entries.iter().filter_map(ticked).collect()
            }
            Frame::Live(live) => self.changes(live),
            Frame::Metrics(Metrics { live, .. }) => {
                let mut messages = self.changes(live);
                messages.extend(live.connections.iter().map(|connection| metrics(connection, live)));
                messages
            }
        }
    }

    /// The events that a socket starts with, as a batch.
    pub(super) fn first_batch(&mut self, frame: &Frame) -> Batch {
        self.first(frame).into_iter().map(|message| Item { message, audience: Audience::Everybody }).collect()
    }

    fn first(&mut self, frame: &Frame) -> Vec<Message> {
        let mut messages = Vec::new();
        let mut tell = |live: &LiveReport| {
            messages.extend(live.connections.iter().map(|connection| status(connection, live)));
            messages.extend(live.connections.iter().map(|connection| metrics(connection, live)));
        };
        match frame {
            Frame::Snapshot(snapshot) => {
                tell(&snapshot.report.live);
                for row in snapshot.rows.iter().filter(|row| row.price.is_some()) {
                    messages.push(tick(TickUpdate::repeated(row)));
                    self.priced.insert((row.connection_id, row.symbol));
                }
            }
            Frame::Live(live) | Frame::Metrics(Metrics { live, .. }) => tell(live),
            Frame::Rows(_) | Frame::Ticks(_) | Frame::Tape(_) => {}
        }
        messages
    }

    fn changes(&mut self, live: &LiveReport) -> Vec<Message> {
        let changed = live.connections.iter().filter(|connection| {
            // As of no time: that alone is no change.
            let now = ConnectionStatusUpdate::of(connection, UnixMillis(0));
            self.said.insert(connection.id, now.clone()) != Some(now)
        });
        changed.map(|connection| status(connection, live)).collect()
    }
}

/// An event of type `error` to one socket.
pub(super) fn error(message: &str) -> Message {
    Event::Error(ErrorSaid { message }).message()
}

fn status(connection: &ConnectionLive, live: &LiveReport) -> Message {
    Event::ConnectionStatusUpdate(ConnectionStatusUpdate::of(connection, live.head.generated_at)).message()
}

fn metrics(connection: &ConnectionLive, live: &LiveReport) -> Message {
    Event::MetricsUpdate(MetricsUpdate::of(connection, live)).message()
}

fn tick(update: TickUpdate) -> Message {
    Event::TickUpdate(update).message()
}

#[cfg(test)]
mod tests {
    use super::*;
    use app::model::{
        protocol::{Snapshot, Ticks},
        symbol::Symbol,
    };
    use serde_json::{Value, json};

    #[test]
    fn a_snapshot_of_many_rows_reaches_everybody_in_messages_that_are_not_large() {
        let symbol = |n: usize| Symbol::parse(&format!("SYMBOL{n}")).expect("a symbol");
        let row = |n| Row { price: Some(123.45), ticks_total: 9_900, ..Row::empty(1, symbol(n)) };
        let rows: Vec<_> = (0..50_000).map(row).collect();
        let snapshot = Snapshot { rows_total: 50_000, rows, ..Snapshot::default() };
        let items = binary(&[Frame::Snapshot(Box::new(snapshot))]);
        assert_eq!(items.len(), 20);
        assert!(items.iter().all(|item| item.audience == Audience::Everybody && item.message.len() < 100_000));
    }

    #[test]
    fn a_tick_says_what_came_and_the_total_and_a_repeated_state_says_that_it_is_one() {
        let symbol = Symbol::parse("AAPL").expect("a symbol");
        let row = Row { price: Some(2.0), ticks_total: 9_900, ..Row::empty(1, symbol) };
        let entry = TickEntry { row: 0, price: 2.0, volume: 1, age_ms: 0, ticks: 7 };
        let ticks = Frame::Ticks(Ticks { at: UnixMillis(1), entries: vec![entry], waited_ms: 0 });
        let read = |items: &Batch| -> Value {
            let Some(Item { message: Message::Text(text), .. }) = items.last() else { panic!("an event") };
            serde_json::from_str::<Value>(text).expect("JSON")["data"].take()
        };
        let ticked = read(&JsonEvents::default().batch(&[ticks], &[row]));
        assert_eq!((&ticked["ticks"], &ticked["ticks_total"]), (&json!(7), &json!(9_900)));
        assert_eq!(ticked.get("snapshot"), None);
        let snapshot = Frame::Snapshot(Box::new(Snapshot { rows: vec![row], ..Snapshot::default() }));
        for batch in [
            JsonEvents::default().first_batch(&snapshot),
            JsonEvents::default().batch(std::slice::from_ref(&snapshot), &[row]),
        ] {
            let repeated = read(&batch);
            assert_eq!((&repeated["ticks"], &repeated["ticks_total"]), (&json!(9_900), &json!(9_900)));
            assert_eq!(repeated["snapshot"], json!(true));
        }
    }

    #[test]
    fn a_symbol_that_was_told_and_has_no_price_on_another_board_is_told_to_have_none() {
        let row = |price| Row { price, ..Row::empty(1, Symbol::parse("AAPL").expect("a symbol")) };
        let snapshot = |price| Frame::Snapshot(Box::new(Snapshot { rows: vec![row(price)], ..Snapshot::default() }));
        let mut events = JsonEvents::default();
        assert_eq!(events.batch(&[snapshot(None)], &[]).len(), 0, "nobody heard of it");
        events.first_batch(&snapshot(Some(2.0)));
        let batch = events.batch(&[snapshot(None)], &[]);
        let [Item { message: Message::Text(text), .. }] = &batch[..] else { panic!("one event: {batch:?}") };
        let data: Value = serde_json::from_str::<Value>(text).expect("JSON")["data"].take();
        assert_eq!((&data["price"], &data["ticks_total"], &data["snapshot"]), (&Value::Null, &json!(0), &json!(true)));
    }
}
