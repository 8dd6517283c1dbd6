//! Ticks of a stretch, written as they are read: what is in memory is a row group at most.

use super::{NotShown, Recording, player::Played};
use app::model::{
    connection::{ConnectionId, ConnectionSet},
    symbol::Symbol,
    time::UnixMillis,
};
use parquet::{
    basic::{Compression, ZstdLevel},
    data_type::{ByteArray, ByteArrayType, DoubleType, Int32Type, Int64Type},
    errors::ParquetError,
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::parser::parse_message_type,
};
use std::{
    io::{self, Write},
    ops::Range,
    sync::Arc,
};

/// Rows of a row group of Parquet: some 4 MB while it is filled.
const GROUP_ROWS: usize = 65_536;
const SCHEMA: &str = "message ticks {
    required int64 received_at (TIMESTAMP(MILLIS, true));
    required int64 timestamp (TIMESTAMP(MILLIS, true));
    required int32 connection_id;
    required binary symbol (STRING);
    required double price;
    required int64 volume;
    required int32 ticks;
    optional int64 epoch;
}";
const COLUMNS: &str = "received_at,timestamp,connection_id,symbol,price,volume,ticks,epoch\r\n";

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// With a line of names first.
    Csv,
    /// A JSON object a line.
    JsonLines,
    /// Apache Parquet.
    Parquet,
}

/// Which ticks.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// When they were received.
    pub range: Range<UnixMillis>,
    /// Of which connections; all of them when empty.
    pub connections: ConnectionSet,
    /// Of which symbol; all of them when `None`.
    pub symbol: Option<Symbol>,
}

/// A tick of a file.
#[derive(Clone, Copy, Debug)]
struct Line {
    received_at: UnixMillis,
    timestamp: UnixMillis,
    connection_id: ConnectionId,
    symbol: Symbol,
    price: f64,
    volume: u64,
    count: u32,
    epoch: Option<u64>,
}

impl Recording {
    /// Writes the ticks of a stretch, in the order in which they were told; of each step those of one connection after those of another.
    ///
    /// # Errors
    /// When files cannot be read, or `sink` does not take what is written.
    pub fn export(&self, wanted: &Wanted, format: Format, sink: impl Write + Send) -> Result<(), NotShown> {
        let mut sheet = Sheet::begin(format, sink)?;
        let Range { start, end } = wanted.range;
        let mut next = if self.player(start, start).is_ok() { Some(start) } else { self.next_after(start)? };
        while let Some(from) = next.filter(|from| *from < end) {
            let mut player = self.player(from, from)?;
            let mut last = from;
            while let Some(at) = player.next_at()?.filter(|at| *at < end) {
                let played = player.pass();
                last = last.max(at);
                if at >= from {
                    lines(&played, wanted).try_for_each(|line| sheet.write(&line))?;
                }
            }
            // Of what was kept the end need not be that of all.
            next = match player.next_at()? {
                Some(_) => None,
                None => self.next_after(last)?,
            };
        }
        Ok(sheet.end()?)
    }
}

fn lines<'a>(played: &'a Played<'_>, wanted: &'a Wanted) -> impl Iterator<Item = Line> + 'a {
    use super::chunk::State;
    let Played { step, epoch, rows } = played;
    let renumbered = step.states.iter().flat_map(|state| match state {
        State::Renumbered(ticks) => ticks.as_slice(),
        State::Frame(_) => &[],
    });
    let renumbered = renumbered.map(|tick| Line {
        received_at: step.at,
        timestamp: tick.timestamp,
        connection_id: tick.connection_id,
        symbol: tick.symbol,
        price: tick.price,
        volume: tick.volume,
        count: tick.count,
        epoch: *epoch,
    });
    let told = step.ticks.iter().filter_map(|tick| {
        Some(Line {
            received_at: step.at,
            timestamp: tick.timestamp,
            connection_id: tick.connection_id,
            symbol: rows.get(tick.row as usize)?.symbol,
            price: tick.price,
            volume: tick.volume,
            count: tick.count,
            epoch: *epoch,
        })
    });
    renumbered.chain(told).filter(|line| {
        (wanted.connections.is_empty() || wanted.connections.contains(line.connection_id))
            && wanted.symbol.is_none_or(|symbol| symbol == line.symbol)
    })
}

enum Sheet<W: Write + Send> {
    Csv(W),
    JsonLines(W),
    Parquet(Box<Group<W>>),
}

impl<W: Write + Send> Sheet<W> {
    fn begin(format: Format, mut sink: W) -> io::Result<Self> {
        Ok(match format {
            Format::Csv => {
                sink.write_all(COLUMNS.as_bytes())?;
                Self::Csv(sink)
            }
            Format::JsonLines => Self::JsonLines(sink),
            Format::Parquet => Self::Parquet(Box::new(Group::begin(sink).map_err(of_parquet)?)),
        })
    }

    fn write(&mut self, line: &Line) -> io::Result<()> {
        let Line { received_at, timestamp, connection_id, symbol, price, volume, count, epoch } = line;
        match self {
            Self::Csv(sink) => {
                write!(sink, "{received_at},{timestamp},{connection_id},{symbol},{price},{volume},{count},")?;
                if let Some(epoch) = epoch {
                    write!(sink, "{epoch}")?;
                }
                sink.write_all(b"\r\n")
            }
            Self::JsonLines(sink) => {
                let line = serde_json::json!({
                    "received_at": received_at,
                    "timestamp": timestamp,
                    "connection_id": connection_id,
                    "symbol": symbol,
                    "price": price,
                    "volume": volume,
                    "ticks": count,
                    "epoch": epoch,
                });
                writeln!(sink, "{line}")
            }
            Self::Parquet(group) => group.push(line).map_err(of_parquet),
        }
    }

    fn end(self) -> io::Result<()> {
        match self {
            Self::Csv(mut sink) | Self::JsonLines(mut sink) => sink.flush(),
            Self::Parquet(group) => group.end().map_err(of_parquet),
        }
    }
}

fn of_parquet(error: ParquetError) -> io::Error {
    io::Error::other(error)
}

/// A row group that is filled, and the file that it is of.
struct Group<W: Write + Send> {
    file: SerializedFileWriter<W>,
    lines: Vec<Line>,
}

impl<W: Write + Send> Group<W> {
    fn begin(sink: W) -> Result<Self, ParquetError> {
        let schema = Arc::new(parse_message_type(SCHEMA)?);
        let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?)).build();
        Ok(Self { file: SerializedFileWriter::new(sink, schema, Arc::new(properties))?, lines: Vec::new() })
    }

    fn push(&mut self, line: &Line) -> Result<(), ParquetError> {
        self.lines.push(*line);
        if self.lines.len() < GROUP_ROWS { Ok(()) } else { self.write() }
    }

    fn write(&mut self) -> Result<(), ParquetError> {
        let lines = std::mem::take(&mut self.lines);
        let mut group = self.file.next_row_group()?;
        let mut wide = |of: fn(&Line) -> i64| -> Result<(), ParquetError> {
            let values: Vec<_> = lines.iter().map(of).collect();
            let Some(mut column) = group.next_column()? else { return Ok(()) };
            column.typed::<Int64Type>().write_batch(&values, None, None)?;
            column.close()
        };
        wide(|line| line.received_at.0)?;
        wide(|line| line.timestamp.0)?;
        if let Some(mut column) = group.next_column()? {
            let values: Vec<_> = lines.iter().map(|line| i32::from(line.connection_id)).collect();
            column.typed::<Int32Type>().write_batch(&values, None, None)?;
            column.close()?;
        }
        if let Some(mut column) = group.next_column()? {
            let values: Vec<_> = lines.iter().map(|line| ByteArray::from(&*line.symbol)).collect();
            column.typed::<ByteArrayType>().write_batch(&values, None, None)?;
            column.close()?;
        }
        if let Some(mut column) = group.next_column()? {
            let values: Vec<_> = lines.iter().map(|line| line.price).collect();
            column.typed::<DoubleType>().write_batch(&values, None, None)?;
            column.close()?;
        }
        if let Some(mut column) = group.next_column()? {
            let values: Vec<_> = lines.iter().map(|line| i64::try_from(line.volume).unwrap_or(i64::MAX)).collect();
            column.typed::<Int64Type>().write_batch(&values, None, None)?;
            column.close()?;
        }
        if let Some(mut column) = group.next_column()? {
            let values: Vec<_> = lines.iter().map(|line| i32::try_from(line.count).unwrap_or(i32::MAX)).collect();
            column.typed::<Int32Type>().write_batch(&values, None, None)?;
            column.close()?;
        }
        if let Some(mut column) = group.next_column()? {
            let epochs = || lines.iter().map(|line| line.epoch);
            let values: Vec<_> = epochs().flatten().map(|epoch| i64::try_from(epoch).unwrap_or(i64::MAX)).collect();
            let levels: Vec<_> = epochs().map(|epoch| i16::from(epoch.is_some())).collect();
            column.typed::<Int64Type>().write_batch(&values, Some(&levels), None)?;
            column.close()?;
        }
        group.close()?;
        self.lines = lines;
        self.lines.clear();
        Ok(())
    }

    fn end(mut self) -> Result<(), ParquetError> {
        if !self.lines.is_empty() {
            self.write()?;
        }
        self.file.close().map(|_| ())
    }
}
