//! The recorder's thread: folds what the hub left, compresses it and writes it away.
//!
//! It has a board of its own, so that a whole one can be written now and then without asking the hub. Whatever is wrong with the disk
//! ends here: it is told, the hub goes on without being recorded, and every two seconds it is tried again.

use super::{
    block::{self, Kind},
    chunk::Chunk,
    columns::{Beginning, Encoder},
    folder::{Folder, why},
    past::Past,
    status::Shared,
    tee::Ends,
};
use app::model::time::UnixMillis;
use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::Ordering::Relaxed,
        mpsc::{Receiver, RecvTimeoutError, SyncSender},
    },
    time::{Duration, Instant, SystemTime},
};

/// How often a folder that cannot be used is tried again.
const RETRY: Duration = Duration::from_secs(2);
/// A file has a minute.
const SEGMENT_MS: i64 = 60_000;
/// A whole board comes again when so many times its size has been written since: six per cent, and little to fold behind it.
const KEY_SHARE: u64 = 16;
/// It comes no more often than that.
const KEY_MS: i64 = 1_000;
/// A clock that goes back further begins another file: within one, time goes on.
const BACK_MS_MAX: i64 = 1_000;

/// What a recording may take.
#[derive(Clone, Debug)]
pub struct RecordingConfig {
    /// `RECORDING`: false switches it off.
    pub enabled: bool,
    /// `RECORDING_DIR`.
    pub folder: PathBuf,
    /// `RECORDING_KEPT_HOURS`.
    pub kept: Duration,
    /// `RECORDING_MAX_MB`.
    pub bytes_max: u64,
}

pub(super) struct Writer {
    config: RecordingConfig,
    shared: Arc<Shared>,
    to_write: Receiver<Box<Chunk>>,
    give_back: SyncSender<Box<Chunk>>,
    encoder: Encoder,
    past: Past,
    folder: Option<Folder>,
    segment: Option<Segment>,
    /// Does the board go on from what was written?
    is_in_step: bool,
    beginning: Beginning,
    bytes: Vec<u8>,
    tried: Option<Instant>,
}

struct Segment {
    path: PathBuf,
    file: File,
    minute: i64,
    /// The last moment in it.
    to: UnixMillis,
    key_at: UnixMillis,
    key_bytes: u64,
    bytes_since_key: u64,
}

impl Writer {
    pub(super) fn new(config: RecordingConfig, shared: Arc<Shared>, (to_write, give_back): Ends) -> io::Result<Self> {
        Ok(Self {
            config,
            shared,
            to_write,
            give_back,
            encoder: Encoder::new()?,
            past: Past::default(),
            folder: None,
            segment: None,
            is_in_step: false,
            beginning: Beginning::default(),
            bytes: Vec::new(),
            tried: None,
        })
    }

    /// Until the hub is gone, and what it left is written.
    pub(super) fn run(mut self) {
        loop {
            match self.to_write.recv_timeout(RETRY) {
                Ok(chunk) => self.take_one(chunk),
                Err(RecvTimeoutError::Timeout) => self.rest(),
                Err(RecvTimeoutError::Disconnected) => return self.close(),
            }
        }
    }

    fn take_one(&mut self, mut chunk: Box<Chunk>) {
        if !chunk.steps.is_empty() {
            self.take(&chunk);
        }
        chunk.clear();
        // There is room for all of them.
        let _ = self.give_back.try_send(chunk);
    }

    /// What was left so far, for tests without a thread.
    #[cfg(test)]
    pub(super) fn catch_up(&mut self) {
        while let Ok(chunk) = self.to_write.try_recv() {
            self.take_one(chunk);
        }
    }

    /// The same after a while.
    #[cfg(test)]
    pub(super) fn try_again(&mut self) {
        self.tried = None;
        self.rest();
    }

    /// Nothing came for a while.
    fn rest(&mut self) {
        if !self.shared.collects.load(Relaxed) {
            self.close();
            self.shared.is_unusable.store(false, Relaxed);
            self.shared.stand_by();
        } else if self.shared.is_unusable.load(Relaxed) && self.tried.is_none_or(|tried| tried.elapsed() >= RETRY) {
            self.tried = Some(Instant::now());
            match Folder::open(&self.config.folder) {
                Ok(folder) => {
                    self.folder = Some(folder);
                    self.shared.is_unusable.store(false, Relaxed);
                }
                Err(error) => self.fail(&error),
            }
        }
    }

    fn close(&mut self) {
        if let Some(segment) = self.segment.take() {
            // It is whole for every reader by now; whether it outlives a power cut is the disk's to say.
            let _ = segment.file.sync_data();
        }
        self.folder = None;
        self.is_in_step = false;
    }

    fn fail(&mut self, error: &io::Error) {
        self.close();
        self.shared.is_unusable.store(true, Relaxed);
        self.shared.trouble(UnixMillis::now(), &why(error));
    }

    fn take(&mut self, chunk: &Chunk) {
        if !self.is_in_step && chunk.start.is_none() {
            self.shared.lost_ticks.fetch_add(chunk.ticks_total(), Relaxed);
            self.shared.start_anew.store(true, Relaxed);
            return;
        }
        if let Err(error) = self.write(chunk) {
            self.shared.lost_ticks.fetch_add(chunk.ticks_total(), Relaxed);
            self.fail(&error);
            return;
        }
        self.shared.recorded_ticks.fetch_add(chunk.ticks_total(), Relaxed);
        // After any trouble a recording starts anew.
        if chunk.start.is_some() {
            self.shared.record_since(chunk.steps[0].at);
        }
    }

    fn write(&mut self, chunk: &Chunk) -> io::Result<()> {
        let from = chunk.steps[0].at;
        self.bytes.clear();
        // What is deleted under our hands would be written to nowhere.
        if let Some(segment) = &self.segment {
            fs::metadata(&segment.path)?;
        }
        match &chunk.start {
            Some(start) => {
                self.beginning = Beginning { lost: start.lost, epoch: start.epoch };
                self.past.apply(&start.snapshot);
                self.past.at = from;
                self.turn(from)?;
                self.put_whole(Kind::Start)?;
                self.is_in_step = true;
            }
            None if self.turn(from)? || self.segment.as_ref().is_some_and(|segment| segment.wants_key(from)) => {
                self.beginning.lost = 0;
                self.put_whole(Kind::Key)?;
            }
            None => {}
        }
        for step in 0..chunk.steps.len() {
            let step = chunk.view(step);
            // The start's snapshot is folded.
            step.frames(false).iter().skip(usize::from(step.start.is_some())).for_each(|frame| self.past.apply(frame));
            self.past.at = step.at;
        }
        let to = self.past.at;
        let key_bytes = self.bytes.len();
        let (encoder, mut outcome) = (&mut self.encoder, Ok(()));
        let ticks = u32::try_from(chunk.ticks_total()).unwrap_or(u32::MAX);
        block::write(&mut self.bytes, (Kind::Data, ticks), (from, to), |payload| {
            outcome = encoder.chunk(chunk, from, payload);
        });
        outcome?;
        let Some(segment) = &mut self.segment else { return Ok(()) };
        segment.file.write_all(&self.bytes)?;
        segment.bytes_since_key += (self.bytes.len() - key_bytes) as u64;
        segment.to = segment.to.max(to);
        self.shared.written_bytes.fetch_add(self.bytes.len() as u64, Relaxed);
        Ok(())
    }

    /// Another file where one is due. Answers whether it is.
    fn turn(&mut self, at: UnixMillis) -> io::Result<bool> {
        let minute = at.0.div_euclid(SEGMENT_MS);
        let goes_on = |segment: &Segment| segment.minute == minute && at.millis_since(segment.to) >= -BACK_MS_MAX;
        if self.segment.as_ref().is_some_and(goes_on) {
            return Ok(false);
        }
        if let Some(segment) = self.segment.take() {
            segment.file.sync_data()?;
        }
        let folder = match self.folder.take() {
            Some(folder) => folder,
            None => Folder::open(&self.config.folder)?,
        };
        let (path, file) = folder.next()?;
        let oldest = SystemTime::now().checked_sub(self.config.kept);
        folder.prune(self.config.bytes_max, |path| is_older(path, oldest))?;
        self.folder = Some(folder);
        self.segment = Some(Segment { path, file, minute, to: at, key_at: at, key_bytes: 0, bytes_since_key: 0 });
        Ok(true)
    }

    fn put_whole(&mut self, kind: Kind) -> io::Result<()> {
        let at = self.past.at;
        let (past, encoder, beginning) = (&self.past, &mut self.encoder, self.beginning);
        let (before, mut outcome) = (self.bytes.len(), Ok(()));
        block::write(&mut self.bytes, (kind, 0), (at, at), |payload| outcome = encoder.whole(past, beginning, payload));
        if let Some(segment) = &mut self.segment {
            (segment.key_at, segment.bytes_since_key) = (at, 0);
            segment.key_bytes = (self.bytes.len() - before) as u64;
        }
        outcome
    }
}

impl Segment {
    fn wants_key(&self, at: UnixMillis) -> bool {
        self.bytes_since_key >= KEY_SHARE * self.key_bytes && at.millis_since(self.key_at) >= KEY_MS
    }
}

/// By when it was written last: the system's clock, as that of the time that it is kept.
fn is_older(path: &Path, oldest: Option<SystemTime>) -> bool {
    let written = fs::metadata(path).and_then(|about| about.modified());
    written.ok().zip(oldest).is_some_and(|(written, oldest)| written < oldest)
}
