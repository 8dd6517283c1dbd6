//! Chunks and boards as the payload of blocks: numbers of one kind stand together, small, and each such column is compressed by
//! itself, as one table of frequencies fits one kind of number.
//!
//! Of a tick: its row, its price as a difference to the row's last one in ticks of that price's own exponent, its size, its time as
//! a difference to that of the tick before. What is no tick is MessagePack with names, which later versions can read; it is compressed
//! with the last whole board for a dictionary, as most of it stays the same from second to second.

use super::{
    chunk::{Chunk, Recorded, Start, State, Step},
    numbers::{Base, Bytes, put_signed, put_unsigned},
    past::Past,
};
use app::model::{
    alert::OpenAlerts,
    connection::ConnectionId,
    protocol::{Frame, ReportParts, Row, RowSpan, Snapshot},
    time::UnixMillis,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::io;
use zstd::bulk::{Compressor, Decompressor};

/// The quickest that still halves what varints leave.
const LEVEL: i32 = 1;
/// No column is longer: what says so is broken.
const COLUMN_BYTES_MAX: usize = 128 << 20;
/// Ticks and steps of a chunk, however broken.
const COUNT_MAX: u64 = 4 << 20;

/// What writer and reader know alike before a block, as both went through those before it since the last whole board.
#[derive(Debug, Default)]
pub(super) struct Context {
    bases: Vec<Base>,
    dictionary: Vec<u8>,
}

/// A board that reading can begin at. Named, as is all that is no tick: later versions have to read it.
#[derive(Debug, Serialize, Deserialize)]
struct Whole {
    #[serde(default)]
    epoch: Option<u64>,
    /// Ticks that were not recorded before it.
    #[serde(default)]
    lost: u64,
    report: ReportParts,
    #[serde(default)]
    rates: Vec<Vec<f32>>,
    #[serde(default)]
    stale: Vec<RowSpan>,
    #[serde(default)]
    alerts: OpenAlerts,
}

/// What a whole board begins with beside itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Beginning {
    pub(super) lost: u64,
    pub(super) epoch: Option<u64>,
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a recording that is broken: {what}"))
}

fn named<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    rmp_serde::to_vec_named(value).map_err(io::Error::other)
}

fn of_named<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    rmp_serde::from_slice(bytes).map_err(|error| invalid(&error.to_string()))
}

/// Writes payloads. Its buffers stay, so that a second costs no memory but what it keeps.
pub(super) struct Encoder {
    compressor: Compressor<'static>,
    context: Context,
    columns: [Vec<u8>; 7],
    squeezed: Vec<u8>,
}

/// Where [`Encoder::columns`] has the steps; times, rows, prices of either kind, sizes and counts follow.
const STEPS: usize = 0;

impl Encoder {
    pub(super) fn new() -> io::Result<Self> {
        let compressor = Compressor::new(LEVEL)?;
        Ok(Self { compressor, context: Context::default(), columns: Default::default(), squeezed: Vec::new() })
    }

    /// The board as it is, from which differences are reckoned from now on.
    pub(super) fn whole(&mut self, past: &Past, beginning: Beginning, payload: &mut Vec<u8>) -> io::Result<()> {
        let Snapshot { report, rows, rates, stale, alerts, .. } = past.snapshot();
        let Beginning { lost, epoch } = beginning;
        let whole = named(&Whole { epoch, lost, report, rates, stale, alerts })?;
        self.compressor.set_dictionary(LEVEL, &[])?;
        squeeze(&mut self.compressor, &mut self.squeezed, &whole, payload)?;
        let mut bytes = std::mem::take(&mut self.columns[STEPS]);
        bytes.clear();
        put_rows(&mut bytes, &rows, past.at);
        squeeze(&mut self.compressor, &mut self.squeezed, &bytes, payload)?;
        self.columns[STEPS] = bytes;
        self.context = Context { bases: rows.iter().map(|row| Base::of(row.price)).collect(), dictionary: whole };
        Ok(())
    }

    /// A chunk. A start of its own is not in it: that is a whole board before it.
    pub(super) fn chunk(&mut self, chunk: &Chunk, from: UnixMillis, payload: &mut Vec<u8>) -> io::Result<()> {
        self.columns.iter_mut().for_each(Vec::clear);
        let ids = connections(chunk);
        let [steps, times, rows, prices, others, sizes, counts] = &mut self.columns;
        put_steps(steps, chunk, &ids, from);
        let is_conflated = chunk.ticks.iter().any(|tick| tick.count != 1);
        for id in &ids {
            let of_it = || chunk.ticks.iter().filter(|tick| tick.connection_id == *id);
            let first_row = of_it().map(|tick| tick.row).min().unwrap_or_default();
            put_unsigned(rows, first_row.into());
            let mut before = from;
            for tick in of_it() {
                put_unsigned(rows, (tick.row - first_row).into());
                put_signed(times, tick.timestamp.0.wrapping_sub(before.0));
                before = tick.timestamp;
                base(&mut self.context.bases, tick.row).put(tick.price, prices, others);
                put_unsigned(sizes, tick.volume);
                if is_conflated {
                    put_unsigned(counts, tick.count.into());
                }
            }
        }
        self.compressor.set_dictionary(LEVEL, &[])?;
        for column in &self.columns {
            squeeze(&mut self.compressor, &mut self.squeezed, column, payload)?;
        }
        let states = if chunk.states.is_empty() { Vec::new() } else { named(&chunk.states)? };
        self.compressor.set_dictionary(LEVEL, &self.context.dictionary)?;
        squeeze(&mut self.compressor, &mut self.squeezed, &states, payload)
    }
}

/// The connections that ticked, by number.
fn connections(chunk: &Chunk) -> Vec<ConnectionId> {
    let mut has = [false; 256];
    chunk.ticks.iter().for_each(|tick| has[usize::from(tick.connection_id)] = true);
    (0..=u8::MAX).filter(|id| has[usize::from(*id)]).collect()
}

fn base(bases: &mut Vec<Base>, row: u32) -> &mut Base {
    let place = row as usize;
    if place >= bases.len() {
        bases.resize(place + 1, Base::default());
    }
    &mut bases[place]
}

/// One column: its length, that of what follows, and itself, compressed where that is shorter.
fn squeeze(
    compressor: &mut Compressor<'_>,
    squeezed: &mut Vec<u8>,
    column: &[u8],
    payload: &mut Vec<u8>,
) -> io::Result<()> {
    put_unsigned(payload, column.len() as u64);
    if column.is_empty() {
        return Ok(());
    }
    squeezed.clear();
    squeezed.reserve(zstd::zstd_safe::compress_bound(column.len()));
    compressor.compress_to_buffer(column, squeezed)?;
    let bytes = if squeezed.len() < column.len() { squeezed } else { column };
    put_unsigned(payload, bytes.len() as u64);
    payload.extend_from_slice(bytes);
    Ok(())
}

fn put_rows(bytes: &mut Vec<u8>, rows: &[Row], at: UnixMillis) {
    put_unsigned(bytes, rows.len() as u64);
    rows.iter().for_each(|row| bytes.push(row.connection_id));
    for row in rows {
        bytes.push(row.symbol.len() as u8);
        bytes.extend_from_slice(row.symbol.as_bytes());
    }
    rows.iter().for_each(|row| bytes.push(row.direction as u8 | u8::from(row.price.is_some()) << 2));
    let (mut prices, mut others) = (Vec::new(), Vec::new());
    rows.iter().filter_map(|row| row.price).for_each(|price| Base::default().put(price, &mut prices, &mut others));
    put_unsigned(bytes, prices.len() as u64);
    bytes.append(&mut prices);
    put_unsigned(bytes, others.len() as u64);
    bytes.append(&mut others);
    rows.iter().for_each(|row| put_unsigned(bytes, row.volume));
    rows.iter().for_each(|row| put_signed(bytes, at.0.wrapping_sub(row.timestamp.0)));
    rows.iter().for_each(|row| put_unsigned(bytes, row.ticks_total));
}

fn put_steps(bytes: &mut Vec<u8>, chunk: &Chunk, ids: &[ConnectionId], from: UnixMillis) {
    put_unsigned(bytes, ids.len() as u64);
    bytes.extend_from_slice(ids);
    put_unsigned(bytes, chunk.steps.len() as u64);
    let mut before = from;
    for place in 0..chunk.steps.len() {
        let step = chunk.view(place);
        put_signed(bytes, step.at.0.wrapping_sub(before.0));
        before = step.at;
        put_unsigned(bytes, step.states.len() as u64);
        // Most tell ticks of every connection; what tells none says so in a byte.
        put_unsigned(bytes, step.ticks.len() as u64);
        if step.ticks.is_empty() {
            continue;
        }
        put_unsigned(bytes, step.waited_ms.into());
        // The last has what is left.
        for id in &ids[..ids.len() - 1] {
            put_unsigned(bytes, step.ticks.iter().filter(|tick| tick.connection_id == *id).count() as u64);
        }
    }
}

/// Reads payloads.
pub(super) struct Decoder {
    decompressor: Decompressor<'static>,
    context: Context,
}

impl Decoder {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { decompressor: Decompressor::new()?, context: Context::default() })
    }

    /// The snapshot of a whole board, from which the chunks after it go on.
    pub(super) fn whole(&mut self, payload: &[u8], at: UnixMillis) -> io::Result<(Beginning, Snapshot)> {
        let mut payload = Bytes(payload);
        self.decompressor.set_dictionary(&[])?;
        let named = self.column(&mut payload)?;
        let Whole { epoch, lost, report, rates, stale, alerts } = of_named(&named)?;
        let rows = self.column(&mut payload)?;
        let rows = take_rows(&mut Bytes(&rows), at).ok_or_else(|| invalid("rows"))?;
        self.context = Context { bases: rows.iter().map(|row| Base::of(row.price)).collect(), dictionary: named };
        let snapshot = Snapshot { report, rates, stale, alerts, rows_total: rows.len() as u32, rows };
        Ok((Beginning { lost, epoch }, snapshot))
    }

    /// A chunk, its start left out.
    pub(super) fn chunk(&mut self, payload: &[u8], from: UnixMillis) -> io::Result<Chunk> {
        let mut payload = Bytes(payload);
        self.decompressor.set_dictionary(&[])?;
        let mut columns: [Vec<u8>; 7] = Default::default();
        for column in &mut columns {
            *column = self.column(&mut payload)?;
        }
        self.decompressor.set_dictionary(&self.context.dictionary)?;
        let states = self.column(&mut payload)?;
        let states: Vec<State> = if states.is_empty() { Vec::new() } else { of_named(&states)? };
        take_chunk(&columns, states, from, &mut self.context.bases).ok_or_else(|| invalid("ticks"))
    }

    fn column(&mut self, payload: &mut Bytes<'_>) -> io::Result<Vec<u8>> {
        let short = || invalid("a column");
        let length = payload.unsigned().ok_or_else(short)? as usize;
        if length == 0 {
            return Ok(Vec::new());
        }
        let squeezed = payload.unsigned().ok_or_else(short)? as usize;
        let bytes = payload.take(squeezed).ok_or_else(short)?;
        if length > COLUMN_BYTES_MAX || squeezed > length {
            return Err(short());
        }
        if squeezed == length {
            return Ok(bytes.to_vec());
        }
        let column = self.decompressor.decompress(bytes, length)?;
        if column.len() == length { Ok(column) } else { Err(short()) }
    }
}

fn take_rows(bytes: &mut Bytes<'_>, at: UnixMillis) -> Option<Vec<Row>> {
    use app::model::{symbol::Symbol, tick::Direction};
    let count = usize::try_from(bytes.unsigned()?).ok().filter(|count| *count <= bytes.0.len())?;
    let ids = bytes.take(count)?;
    let mut rows = Vec::with_capacity(count);
    for id in ids {
        let length = bytes.byte()?;
        let symbol = std::str::from_utf8(bytes.take(length.into())?).ok()?;
        rows.push(Row::empty(*id, Symbol::parse(symbol).ok()?));
    }
    let flags = bytes.take(count)?;
    let length = bytes.unsigned()?;
    let mut prices = Bytes(bytes.take(length.try_into().ok()?)?);
    let length = bytes.unsigned()?;
    let mut others = Bytes(bytes.take(length.try_into().ok()?)?);
    for (row, flags) in rows.iter_mut().zip(flags) {
        row.direction = *[Direction::Unchanged, Direction::Up, Direction::Down].get(usize::from(flags & 3))?;
        if flags & 4 != 0 {
            row.price = Some(Base::default().take(&mut prices, &mut others)?);
        }
    }
    for row in &mut rows {
        row.volume = bytes.unsigned()?;
    }
    for row in &mut rows {
        row.timestamp = UnixMillis(at.0.wrapping_sub(bytes.signed()?));
    }
    for row in &mut rows {
        row.ticks_total = bytes.unsigned()?;
    }
    Some(rows)
}

fn take_chunk(columns: &[Vec<u8>; 7], states: Vec<State>, from: UnixMillis, bases: &mut Vec<Base>) -> Option<Chunk> {
    let mut steps = Bytes(&columns[STEPS]);
    let ids = usize::try_from(steps.unsigned()?).ok()?;
    let ids = steps.take(ids)?;
    let count = steps.unsigned().filter(|count| *count <= COUNT_MAX)?;
    let mut chunk = Chunk { states, ..Chunk::default() };
    // Ticks of each connection in each step, step after step.
    let mut shares = Vec::new();
    let (mut before, mut total, mut states_end) = (from, 0_u64, 0_u64);
    for _ in 0..count {
        let at = UnixMillis(before.0.wrapping_add(steps.signed()?));
        before = at;
        states_end = states_end.checked_add(steps.unsigned()?)?;
        let ticks = steps.unsigned()?;
        total = total.checked_add(ticks).filter(|total| *total <= COUNT_MAX && (ticks == 0 || !ids.is_empty()))?;
        let waited_ms = if ticks > 0 { u16::try_from(steps.unsigned()?).ok()? } else { 0 };
        let mut rest = ticks;
        for place in 0..ids.len() {
            let is_told = ticks > 0 && place + 1 < ids.len();
            let share = if is_told {
                steps.unsigned()?
            } else if place + 1 == ids.len() {
                rest
            } else {
                0
            };
            rest = rest.checked_sub(share)?;
            shares.push(share as usize);
        }
        let (ticks_end, states_end) = (total as usize, states_end as usize);
        chunk.steps.push(Step { at, waited_ms, ticks_end, states_end });
    }
    if states_end as usize != chunk.states.len() {
        return None;
    }
    let blank = Recorded { row: 0, count: 1, price: 0.0, volume: 0, timestamp: from, connection_id: 0 };
    chunk.ticks = vec![blank; total as usize];
    let [_, times, rows, prices, others, sizes, counts] = columns.each_ref().map(|column| Bytes(column));
    let (mut times, mut rows, mut prices, mut others) = (times, rows, prices, others);
    let (mut sizes, mut counts) = (sizes, counts);
    let is_conflated = !counts.0.is_empty();
    for (place, id) in ids.iter().enumerate() {
        let first_row = rows.unsigned()?;
        let mut time = from;
        // Where the step's ticks begin, and those of this connection among them.
        let mut begin = 0;
        for (step, shares) in chunk.steps.iter().zip(shares.chunks(ids.len())) {
            let own = begin + shares[..place].iter().sum::<usize>();
            for tick in chunk.ticks.get_mut(own..own + shares[place])? {
                tick.connection_id = *id;
                tick.row = u32::try_from(first_row.checked_add(rows.unsigned()?)?).ok()?;
                if u64::from(tick.row) > COUNT_MAX {
                    return None;
                }
                time = UnixMillis(time.0.wrapping_add(times.signed()?));
                tick.timestamp = time;
                tick.price = base(bases, tick.row).take(&mut prices, &mut others)?;
                tick.volume = sizes.unsigned()?;
                if is_conflated {
                    tick.count = u32::try_from(counts.unsigned()?).ok()?;
                }
            }
            begin = step.ticks_end;
        }
    }
    Some(chunk)
}

impl Start {
    /// The snapshot that a whole board was read as.
    pub(super) fn of((Beginning { lost, epoch }, snapshot): (Beginning, Snapshot)) -> Self {
        Self { snapshot: Box::new(Frame::Snapshot(Box::new(snapshot))), lost, epoch }
    }
}
