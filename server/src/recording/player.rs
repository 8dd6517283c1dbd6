//! Reads a recording: from the last whole board before a moment on, step by step.

use super::{
    block::{self, Head, Kind},
    chunk::{Chunk, Recorded, Start, State, StepView},
    columns::Decoder,
    folder::Number,
    index::{Index, SegmentFile},
    past::Past,
};
use app::model::{
    protocol::{Frame, Row},
    time::UnixMillis,
};
use std::{
    fs::File,
    io::{self, BufReader, Seek, SeekFrom},
    path::Path,
    sync::Arc,
};

/// What one step told, and what is known of it beside.
#[derive(Debug)]
pub(super) struct Played<'a> {
    pub(super) step: StepView<'a>,
    pub(super) epoch: Option<u64>,
    pub(super) rows: &'a [Row],
}

/// A place in a recording, with the board as it was there.
pub(super) struct Player {
    index: Index,
    number: Number,
    file: Arc<SegmentFile>,
    reader: BufReader<File>,
    /// Where the next block begins.
    byte: u64,
    decoder: Decoder,
    payload: Vec<u8>,
    /// The chunk that is being played, and its next step.
    chunk: Chunk,
    next: usize,
    epoch: Option<u64>,
    pub(super) past: Past,
    is_folded: bool,
    /// Is the board another one than the steps before led to?
    jumped: bool,
}

impl Player {
    /// Stands before the last whole board that was written before a moment, in the file that has it.
    pub(super) fn open(index: Index, (number, file): (Number, Arc<SegmentFile>), at: UnixMillis) -> io::Result<Self> {
        let byte = file.key_before(at);
        let reader = BufReader::with_capacity(1 << 16, File::open(&file.path)?);
        let mut player = Self {
            index,
            number,
            file,
            reader,
            byte,
            decoder: Decoder::new()?,
            payload: Vec::new(),
            chunk: Chunk::default(),
            next: 0,
            epoch: None,
            past: Past::default(),
            is_folded: false,
            jumped: false,
        };
        player.reader.seek(SeekFrom::Start(byte))?;
        Ok(player)
    }

    /// Does it read from this folder?
    pub(super) fn is_in(&self, folder: &Path) -> bool {
        self.file.path.parent() == Some(folder)
    }

    /// Takes up what the folder has become: there may be more behind the end.
    pub(super) fn follow(&mut self, index: Index) {
        if let Some((_, file)) = index.files().find(|(number, _)| *number == self.number) {
            self.file = Arc::clone(file);
        }
        self.index = index;
    }

    /// When the next step was; `None` at the end of what is recorded.
    pub(super) fn next_at(&mut self) -> io::Result<Option<UnixMillis>> {
        while self.next >= self.chunk.steps.len() {
            if !self.next_chunk()? {
                return Ok(None);
            }
        }
        Ok(Some(self.chunk.steps[self.next].at))
    }

    /// The next step; [`Player::next_at`] says that there is one. It is folded into the board.
    pub(super) fn step(&mut self, tapes: bool) -> Vec<Frame> {
        let jump = std::mem::take(&mut self.jumped).then(|| Frame::Snapshot(Box::new(self.past.snapshot())));
        let step = self.chunk.view(self.next);
        let frames = step.frames(tapes);
        frames.iter().for_each(|frame| self.past.apply(frame));
        self.past.at = step.at;
        self.next += 1;
        jump.into_iter().chain(frames).collect()
    }

    /// The ticks of the step that comes next, with their rows' numbers as of after it.
    pub(super) fn ahead(&self) -> &[Recorded] {
        self.chunk.view(self.next).ticks
    }

    /// Does the next step begin anew, with rows of its own?
    pub(super) fn starts_anew(&self) -> bool {
        self.chunk.view(self.next).start.is_some()
    }

    /// The next step, for who wants its ticks and of the board the rows' names alone.
    pub(super) fn pass(&mut self) -> Played<'_> {
        let step = self.chunk.view(self.next);
        if let Some(start) = step.start {
            self.past.apply(&start.snapshot);
        }
        for state in step.states {
            if let State::Frame(frame) = state
                && matches!(**frame, Frame::Rows(_))
            {
                self.past.apply(frame);
            }
        }
        self.next += 1;
        Played { step, epoch: self.epoch, rows: &self.past.board.rows }
    }

    /// Folds everything up to a moment, itself included. Whoever asks for the board then has it all.
    pub(super) fn run_to(&mut self, at: UnixMillis) -> io::Result<()> {
        while self.next_at()?.is_some_and(|next| next <= at) {
            self.step(false);
        }
        self.jumped = false;
        Ok(())
    }

    /// Reads on to the next chunk. A block that is broken costs what is between it and the next whole board of another file.
    fn next_chunk(&mut self) -> io::Result<bool> {
        let mut start = None;
        loop {
            if self.byte >= self.file.bytes {
                if !self.next_file()? {
                    return Ok(false);
                }
                continue;
            }
            let block = block::read_block(&mut self.reader, &mut self.payload)?;
            let read = block.map(|head| {
                self.byte += head.bytes();
                self.read(&head, &mut start)
            });
            match read {
                Some(Ok(true)) => return Ok(true),
                Some(Ok(false)) => {}
                Some(Err(error)) if error.kind() != io::ErrorKind::InvalidData => return Err(error),
                // Broken: what is behind it in this file cannot be made sense of.
                Some(Err(_)) | None => (self.byte, self.is_folded, start) = (u64::MAX, false, None),
            }
        }
    }

    fn read(&mut self, head: &Head, start: &mut Option<Start>) -> io::Result<bool> {
        match head.kind {
            Kind::Start => {
                let whole = self.decoder.whole(&self.payload, head.from)?;
                self.epoch = whole.0.epoch;
                *start = Some(Start::of(whole));
                self.is_folded = true;
            }
            Kind::Key => {
                let whole = self.decoder.whole(&self.payload, head.from)?;
                self.epoch = whole.0.epoch;
                // Who comes from before it has that board.
                if !std::mem::replace(&mut self.is_folded, true) {
                    let start = Start::of(whole);
                    self.past.apply(&start.snapshot);
                    (self.past.at, self.jumped) = (head.from, true);
                }
            }
            // Nothing can be made of differences to what is not known.
            Kind::Data if !self.is_folded => {}
            Kind::Data => {
                self.chunk = self.decoder.chunk(&self.payload, head.from)?;
                self.chunk.start = start.take();
                self.next = 0;
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn next_file(&mut self) -> io::Result<bool> {
        // More may have come of this one.
        let Some((number, file)) = self.index.after(self.number) else { return Ok(false) };
        // Its end may be broken in a way that no block is found in it.
        self.is_folded &= self.file.is_whole && self.byte != u64::MAX;
        self.reader = BufReader::with_capacity(1 << 16, File::open(&file.path)?);
        (self.number, self.file, self.byte) = (number, file, 0);
        Ok(true)
    }
}
