//! The log: text for people on standard error, and the audit log's records as JSON lines among it.
//!
//! ```text
//!  tracing ──▶ Lines (1 MiB at most) ──▶ a thread of its own ──▶ standard error, read or not
//! ```
//!
//! Whoever logs never waits for whoever reads: a log collector that pauses, a terminal that is stopped, a full disk. Lines
//! that find no room are dropped and counted, and the count is a line of the log as soon as lines are read again. Records
//! of the audit log are in the database, whatever becomes of their lines here.

use crate::text::OneLine;
use app::model::time::UnixMillis;
use std::{
    backtrace::{Backtrace, BacktraceStatus},
    io::{self, ErrorKind, IsTerminal, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError},
    thread,
    time::{Duration, Instant},
};
use tracing_subscriber::{EnvFilter, Layer, filter::filter_fn, fmt, prelude::*};

/// What waits to be written; as much again is being written.
const WAITING_BYTES_MAX: usize = 1 << 20;
/// How long the end of the program waits for what was logged last.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);
/// Until an output that takes nothing at the moment is tried again.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

static LOG: OnceLock<Lines> = OnceLock::new();

/// Something that strangers can cause at any rate, and that the log therefore says only so often.
#[derive(Debug, Default)]
pub(crate) struct NowAndThen(Mutex<(Option<Instant>, u64)>);

impl NowAndThen {
    /// Counts it. Answers how often it happened since it was said last, when it is to be said now: the first time, and once
    /// `pause` has passed since.
    pub(crate) fn happened(&self, pause: Duration, now: Instant) -> Option<u64> {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.1 += 1;
        if said.0.is_some_and(|at| now.saturating_duration_since(at) < pause) {
            return None;
        }
        said.0 = Some(now);
        Some(std::mem::take(&mut said.1))
    }
}

/// Starts logging, as much of it as `RUST_LOG` says; records of the audit log whatever `RUST_LOG` says. Panics are logged
/// too. Once per process.
///
/// # Errors
/// When the system gives no thread.
pub fn start() -> io::Result<()> {
    const AUDIT: &str = "audit";
    let lines = LOG.get_or_init(Lines::default).clone();
    lines.write_to(io::stderr())?;
    let chosen = EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    // The WebSocket library writes whole frames into its trace, and one of them carries the provider's key: whatever
    // RUST_LOG says, that stays out. So do spans of others: the session layer's would stand in the lines of every request.
    let ours = filter_fn(|line| {
        let is_frame = line.target().starts_with("tungstenite") && *line.level() > tracing::Level::WARN;
        line.target() != AUDIT
            && !is_frame
            && (line.is_event() || ["server", "simulator"].iter().any(|ours| line.target().starts_with(ours)))
    });
    let (text_lines, record_lines) = (lines.clone(), lines);
    let text = fmt::layer()
        .fmt_fields(OneLine)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(move || text_lines.clone())
        .with_filter(ours)
        .with_filter(chosen);
    let records = fmt::layer()
        .json()
        .flatten_event(true)
        .with_writer(move || record_lines.clone())
        .with_filter(filter_fn(|line| line.target() == AUDIT));
    tracing_subscriber::registry().with(text).with(records).init();
    // The usual hook writes to standard error itself, and waits there.
    std::panic::set_hook(Box::new(|panic| {
        let backtrace = Backtrace::capture();
        let name = thread::current().name().unwrap_or("unnamed").to_owned();
        match backtrace.status() {
            BacktraceStatus::Captured => tracing::error!("The thread {name} {panic}\n{backtrace}"),
            _ => tracing::error!("The thread {name} {panic}"),
        }
    }));
    Ok(())
}

/// Writes a line as it is.
pub fn line(text: &str) {
    if let Some(lines) = LOG.get() {
        lines.put(format!("{text}\n").as_bytes());
    }
}

/// Waits until what was logged is written, for a second at most.
pub fn flush() {
    if let Some(lines) = LOG.get() {
        lines.flush(FLUSH_TIMEOUT);
    }
}

/// Lines on their way to an output that may not be read. Cheap to clone; every write is one line or several whole ones.
#[derive(Clone, Default)]
pub struct Lines(Arc<Shared>);

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// Something waits.
    news: Condvar,
    /// Nothing waits any more.
    rest: Condvar,
}

#[derive(Default)]
struct Waiting {
    lines: Vec<u8>,
    /// Lines that found no room since `lines` was taken last: their place is behind it.
    dropped: u64,
    is_writing: bool,
}

impl Lines {
    /// Writes them to an output, on a thread of its own that runs as long as the program.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn write_to(&self, output: impl Write + Send + 'static) -> io::Result<()> {
        let shared = Arc::clone(&self.0);
        thread::Builder::new().name("log".into()).spawn(move || shared.write_on(output)).map(drop)
    }

    /// Adds a line; never waits for the output.
    pub fn put(&self, line: &[u8]) {
        let mut waiting = self.0.lock();
        // Once a line was dropped the later ones go too, so that the count stands where they are missing.
        if waiting.dropped == 0 && waiting.lines.len() + line.len() <= WAITING_BYTES_MAX {
            waiting.lines.extend_from_slice(line);
        } else {
            waiting.dropped += newlines(line);
        }
        self.0.news.notify_one();
    }

    /// Waits until everything is written, or for so long.
    pub fn flush(&self, at_most: Duration) {
        let is_busy = |waiting: &mut Waiting| waiting.is_writing || !waiting.is_empty();
        drop(self.0.rest.wait_timeout_while(self.0.lock(), at_most, is_busy));
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.put(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.dropped == 0
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_on(&self, mut output: impl Write) {
        let mut lines = Vec::new();
        let mut lost = 0;
        loop {
            lost += self.take(&mut lines);
            let unwritten = write(&mut output, &lines);
            lost += unwritten;
            if lost > 0 {
                // What could not be written may have ended amid a line.
                let fresh_line = if unwritten > 0 { "\n" } else { "" };
                let words = format!(
                    "{fresh_line}{}  WARN server::logging: {lost} log lines were dropped because nothing was reading the log\n",
                    UnixMillis::now()
                );
                if write(&mut output, words.as_bytes()) == 0 {
                    lost = 0;
                }
            }
        }
    }

    /// Waits for lines and takes all of them; answers how many are missing behind them.
    fn take(&self, lines: &mut Vec<u8>) -> u64 {
        lines.clear();
        let mut waiting = self.lock();
        waiting.is_writing = false;
        if waiting.is_empty() {
            self.rest.notify_all();
        }
        let mut waiting =
            self.news.wait_while(waiting, |waiting| waiting.is_empty()).unwrap_or_else(PoisonError::into_inner);
        waiting.is_writing = true;
        std::mem::swap(lines, &mut waiting.lines);
        std::mem::take(&mut waiting.dropped)
    }
}

/// Writes all of it, however long that takes; answers how many lines an output that is broken did not take.
fn write(output: &mut impl Write, mut bytes: &[u8]) -> u64 {
    while !bytes.is_empty() {
        match output.write(bytes) {
            Ok(0) => break,
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Standard error is shared with others, who may have made it so that it never waits.
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(RETRY_INTERVAL),
            Err(_) => break,
        }
    }
    newlines(bytes)
}

fn newlines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, PipeReader};

    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn what_strangers_cause_is_said_once_and_then_with_a_count_after_a_pause() {
        let (said, start, minute) = (NowAndThen::default(), Instant::now(), Duration::from_secs(60));
        let happened = |seconds| said.happened(minute, start + Duration::from_secs(seconds));
        assert_eq!([0, 1, 59].map(happened), [Some(1), None, None]);
        assert_eq!([60, 61, 119, 120].map(happened), [Some(3), None, None, Some(3)]);
    }

    fn next_line(reader: &mut impl BufRead) -> String {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// More than a pipe, what waits and what is being written hold together.
    fn overflow() -> (Lines, BufReader<PipeReader>, u64) {
        let (reader, writer) = io::pipe().unwrap();
        let lines = Lines::default();
        lines.write_to(writer).unwrap();
        let count = 4 * (WAITING_BYTES_MAX as u64) / 100;
        for number in 0..count {
            lines.put(format!("{number:099}\n").as_bytes());
        }
        (lines, BufReader::new(reader), count)
    }

    #[test]
    fn lines_that_nobody_reads_are_dropped_and_counted_where_they_are_missing() {
        let (lines, mut reader, count) = overflow();
        let mut expected = 0;
        let mut dropped = 0;
        let mut told = 0;
        lines.put(b"the last one\n");
        while expected < count || told == 0 {
            let line = next_line(&mut reader);
            if let Ok(number) = line.parse::<u64>() {
                assert_eq!(number, expected, "in order, and missing only what is counted");
                expected += 1;
            } else {
                let (_, words) = line.split_once("WARN server::logging: ").expect(&line);
                let number =
                    words.strip_suffix(" log lines were dropped because nothing was reading the log").expect(words);
                dropped += number.parse::<u64>().unwrap();
                told += 1;
                // The last one is among them.
                assert_eq!(expected + dropped, count + 1);
                break;
            }
        }
        lines.put(b"read again\n");
        assert_eq!((told, next_line(&mut reader).as_str()), (1, "read again"));
    }

    #[test]
    fn the_end_waits_for_a_reader_and_not_for_nobody() {
        let (lines, mut reader, _) = overflow();
        lines.flush(Duration::from_millis(10));
        assert!(!lines.0.lock().is_empty(), "nobody read it, and it was not waited for");
        thread::spawn(move || while !next_line(&mut reader).is_empty() {});
        lines.flush(PATIENCE);
        assert!(lines.0.lock().is_empty());
    }

    #[test]
    fn an_output_that_breaks_and_is_mended_tells_what_it_missed() {
        struct Broken(Arc<Mutex<Option<Vec<u8>>>>);
        impl Write for Broken {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                match &mut *self.0.lock().unwrap() {
                    None => Err(ErrorKind::StorageFull.into()),
                    Some(taken) => taken.write(bytes),
                }
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let taken = Arc::new(Mutex::new(None));
        let lines = Lines::default();
        lines.write_to(Broken(Arc::clone(&taken))).unwrap();
        lines.put(b"one\ntwo\n");
        lines.flush(PATIENCE);
        *taken.lock().unwrap() = Some(Vec::new());
        lines.put(b"three\n");
        lines.flush(PATIENCE);
        let text = String::from_utf8(taken.lock().unwrap().clone().unwrap()).unwrap();
        assert!(text.starts_with("three\n") && text.contains(": 2 log lines were dropped"), "{text}");
    }
}
