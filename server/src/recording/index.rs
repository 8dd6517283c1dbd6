//! What is in a recording's folder, by time.
//!
//! Readers look at the files and ask nobody, so it makes no difference who writes them: this server, one that collected before, or
//! another one on a shared disk. Of a file only what came since the last look is read, heads alone.

use super::{
    block::{self, HEAD_BYTES, Head},
    folder::{self, Number},
};
use app::model::time::UnixMillis;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Without a step for so long nothing was recorded: metrics come at least every four seconds.
pub(super) const SILENCE_MS: i64 = 6_000;

/// A segment file, as far as it is whole.
#[derive(Clone, Debug)]
pub(super) struct SegmentFile {
    pub(super) path: PathBuf,
    pub(super) from: UnixMillis,
    pub(super) to: UnixMillis,
    pub(super) bytes: u64,
    pub(super) ticks: u64,
    /// Is there nothing behind the last whole block?
    pub(super) is_whole: bool,
    /// Where reading can begin: from which moment, and at which byte.
    keys: Vec<(UnixMillis, u64)>,
    /// Moments after which nothing was recorded for a while, and when it went on.
    holes: Vec<(UnixMillis, UnixMillis)>,
}

impl SegmentFile {
    fn new(path: PathBuf) -> Self {
        let (from, to) = (UnixMillis(i64::MAX), UnixMillis(i64::MIN));
        Self { path, from, to, bytes: 0, ticks: 0, is_whole: true, keys: Vec::new(), holes: Vec::new() }
    }

    /// Reads the heads that came since the last time.
    fn read_on(&mut self, length: u64) -> io::Result<()> {
        self.is_whole = false;
        let mut file = File::open(&self.path)?;
        while self.bytes + HEAD_BYTES as u64 <= length {
            file.seek(SeekFrom::Start(self.bytes))?;
            // Half a block is one that is being written, or that will be cut off.
            let Some(head) = block::read_head(&mut file)?.filter(|head| self.bytes + head.bytes() <= length) else {
                return Ok(());
            };
            self.add(&head);
        }
        self.is_whole = self.bytes == length;
        Ok(())
    }

    fn add(&mut self, head: &Head) {
        if head.kind.is_whole() {
            self.keys.push((head.from, self.bytes));
        }
        if self.to != UnixMillis(i64::MIN) && head.from.millis_since(self.to) > SILENCE_MS {
            self.holes.push((self.to, head.from));
        }
        (self.from, self.to) = (self.from.min(head.from), self.to.max(head.to));
        self.bytes += head.bytes();
        self.ticks += u64::from(head.ticks);
    }

    /// Where reading begins for what was at that moment: the last whole board before it, else the first.
    pub(super) fn key_before(&self, at: UnixMillis) -> u64 {
        let before = self.keys.iter().rev().find(|(from, _)| *from <= at).or(self.keys.first());
        before.map_or(0, |(_, byte)| *byte)
    }

    fn holds(&self, at: UnixMillis) -> bool {
        let is_hole = |(from, until): &(UnixMillis, UnixMillis)| at.millis_since(*from) > SILENCE_MS && at < *until;
        self.from <= at && at.millis_since(self.to) <= SILENCE_MS && !self.holes.iter().any(is_hole)
    }

    fn spans(&self) -> Vec<(UnixMillis, UnixMillis)> {
        let starts = std::iter::once(self.from).chain(self.holes.iter().map(|hole| hole.1));
        let ends = self.holes.iter().map(|hole| hole.0).chain(std::iter::once(self.to));
        starts.zip(ends).collect()
    }
}

/// The files of one folder, in the order in which they were written.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    files: BTreeMap<Number, Arc<SegmentFile>>,
}

impl Index {
    /// Takes up what the folder has become.
    pub(super) fn refresh(&mut self, path: &Path) -> io::Result<()> {
        let there = folder::segments(path)?;
        let numbers: std::collections::BTreeSet<_> = there.iter().map(|(number, _)| *number).collect();
        self.files.retain(|number, _| numbers.contains(number));
        for (number, path) in there {
            // It may have gone meanwhile.
            let Ok(about) = fs::metadata(&path) else {
                self.files.remove(&number);
                continue;
            };
            let known = self.files.entry(number).or_insert_with(|| Arc::new(SegmentFile::new(path.clone())));
            if about.len() < known.bytes {
                *known = Arc::new(SegmentFile::new(path));
            }
            if about.len() > known.bytes {
                Arc::make_mut(known).read_on(about.len())?;
            }
        }
        Ok(())
    }

    /// Files with something in them.
    pub(super) fn files(&self) -> impl DoubleEndedIterator<Item = (Number, &Arc<SegmentFile>)> {
        self.files.iter().filter(|(_, file)| !file.keys.is_empty()).map(|(number, file)| (*number, file))
    }

    /// The file of a moment: of several, after a clock was set back, the newest.
    pub(super) fn at(&self, at: UnixMillis) -> Option<(Number, Arc<SegmentFile>)> {
        let (number, file) = self.files().rev().find(|(_, file)| file.holds(at))?;
        Some((number, Arc::clone(file)))
    }

    /// The file after one.
    pub(super) fn after(&self, number: Number) -> Option<(Number, Arc<SegmentFile>)> {
        let (number, file) = self.files().find(|(other, _)| *other > number)?;
        Some((number, Arc::clone(file)))
    }

    /// Files that have something between two moments.
    pub(super) fn between(&self, from: UnixMillis, to: UnixMillis) -> Vec<(Number, Arc<SegmentFile>)> {
        let within = self.files().filter(|(_, file)| file.from < to && file.to >= from);
        within.map(|(number, file)| (number, Arc::clone(file))).collect()
    }

    /// The first moment after one at which something is recorded.
    pub(super) fn next_after(&self, at: UnixMillis) -> Option<UnixMillis> {
        let starts = self.files().flat_map(|(_, file)| file.spans()).map(|(from, _)| from);
        starts.filter(|from| *from > at).min()
    }

    /// Stretches without a hole, oldest first, overlapping ones as one.
    pub(super) fn spans(&self) -> Vec<(UnixMillis, UnixMillis)> {
        join(self.files().flat_map(|(_, file)| file.spans()).collect())
    }
}

/// Spans that touch are one.
pub(super) fn join(mut spans: Vec<(UnixMillis, UnixMillis)>) -> Vec<(UnixMillis, UnixMillis)> {
    spans.sort_unstable();
    let mut joined: Vec<(UnixMillis, UnixMillis)> = Vec::new();
    for (from, to) in spans {
        match joined.last_mut() {
            Some(last) if from.millis_since(last.1) <= SILENCE_MS => last.1 = last.1.max(to),
            _ => joined.push((from, to)),
        }
    }
    joined
}
