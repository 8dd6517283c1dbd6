//! The time machine's memory: every tick, state and metric of the last hours, on disk.
//!
//! ```text
//!  hub ──▶ Tee ──chunks of half a second──▶ Writer (a thread) ──▶ segment files of a minute ──▶ Player ──▶ frames, as they were sent
//!           ▲                                  │ folds, compresses                 └──▶ export
//!           └────── chunks, to be filled ◀─────┘
//! ```
//!
//! What is recorded are the frames that the sockets were sent, and every tick behind them. The page is made of such frames, so they
//! are the past: a whole board, and what was told since, folded by the code that folds live ones. `docs/recording.md` describes the
//! files.
//!
//! The hub copies a tick and waits for nobody. Whatever the disk does costs the recording alone, which says so.

mod block;
mod chunk;
mod columns;
mod export;
mod folder;
mod index;
mod keep;
mod merge;
mod numbers;
mod past;
mod player;
mod session;
mod status;
mod tee;
#[cfg(test)]
mod tests;
mod writer;

pub use export::{Format, Wanted};
pub use keep::{Kept, NotKept};
pub use past::Past;
pub use session::{Advanced, NotShown, Session};
pub use status::Doing;
pub use tee::Tee;
pub use writer::RecordingConfig;

use app::model::time::UnixMillis;
use index::Index;
use player::Player;
use status::Shared;
use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering::Relaxed},
    thread,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch},
    task::spawn_blocking,
};
use writer::Writer;

/// The recording, for who reads it. It need not be this server's.
#[derive(Clone, Debug)]
pub struct Recording {
    config: Arc<RecordingConfig>,
    shared: Arc<Shared>,
    records: bool,
    ring: Arc<Mutex<Index>>,
    kept: Arc<Mutex<BTreeMap<String, Index>>>,
    turns: Arc<Semaphore>,
    exports: Arc<Semaphore>,
}

/// So many read files at once: the others wait for their turn.
const TURNS: usize = 4;
/// So many write a file at once, however long who reads it takes.
const EXPORTS: usize = 4;

/// What the recorder counted since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Ticks on disk.
    pub ticks: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// Ticks that were folded and are not on disk.
    pub lost: u64,
}

/// The recorder's thread.
#[derive(Debug)]
pub struct Recorder(oneshot::Receiver<()>);

impl Recorder {
    /// Resolves when it has written what the hub left; it ends when the [`Tee`] is dropped.
    pub async fn ended(self) {
        // Nothing is ever sent.
        let _ = self.0.await;
    }
}

impl Recording {
    /// Reads what is in the folder, and records nothing.
    #[must_use]
    pub fn to_read(config: RecordingConfig) -> Self {
        let shared = Arc::new(Shared::default());
        Self {
            config: Arc::new(config),
            shared,
            records: false,
            ring: Arc::default(),
            kept: Arc::default(),
            turns: Arc::new(Semaphore::new(TURNS)),
            exports: Arc::new(Semaphore::new(EXPORTS)),
        }
    }

    /// The same, with a recorder: what the hub leaves in the [`Tee`] is written.
    ///
    /// # Errors
    /// When the system gives no thread. A folder that cannot be used is no error: it is told, and tried again.
    pub fn start(config: RecordingConfig) -> io::Result<(Self, Tee, Recorder)> {
        let recording = Self { records: true, ..Self::to_read(config) };
        let (tee, ends) = Tee::new(Arc::clone(&recording.shared));
        let writer = Writer::new(recording.config.as_ref().clone(), Arc::clone(&recording.shared), ends)?;
        let (running, ended) = oneshot::channel::<()>();
        thread::Builder::new().name("recorder".into()).spawn(move || {
            let _running = running;
            writer.run();
        })?;
        Ok((recording, tee, Recorder(ended)))
    }

    /// Does what reads files on a thread that may wait, when it is its turn; `None` when the server ends.
    pub async fn in_turn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let turn = Arc::clone(&self.turns).acquire_owned().await.ok()?;
        let done = spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        done.await.ok()
    }

    /// The right to write a file while it is held; `None` when too many do.
    #[must_use]
    pub fn export_place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.exports).try_acquire_owned().ok()
    }

    /// Does this server record when it collects?
    #[must_use]
    pub fn records(&self) -> bool {
        self.records
    }

    /// What the recording may take.
    #[must_use]
    pub fn config(&self) -> &RecordingConfig {
        &self.config
    }

    /// What the recorder does, and from now on whenever that changes.
    #[must_use]
    pub fn doing(&self) -> watch::Receiver<Doing> {
        self.shared.doing.subscribe()
    }

    /// What the recorder counted.
    #[must_use]
    pub fn counted(&self) -> Counted {
        let Shared { recorded_ticks, written_bytes, lost_ticks, .. } = &*self.shared;
        Counted {
            ticks: recorded_ticks.load(Relaxed),
            bytes: written_bytes.load(Relaxed),
            lost: lost_ticks.load(Relaxed),
        }
    }

    /// The board as it was at a moment. Reads files.
    ///
    /// # Errors
    /// When nothing was recorded then.
    pub fn past(&self, at: UnixMillis) -> Result<Past, NotShown> {
        let mut player = self.player(at, at)?;
        player.run_to(at)?;
        self.is_of(at, &player)?;
        Ok(player.past)
    }

    /// What can be shown. Reads files.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn contents(&self) -> io::Result<Contents> {
        let ring = self.ring()?;
        let files = || ring.files().map(|(_, file)| file);
        Ok(Contents {
            spans: self.spans(&ring)?,
            bytes: files().map(|file| file.bytes).sum(),
            ticks: files().map(|file| file.ticks).sum(),
            kept: self.kept()?,
        })
    }

    fn spans(&self, ring: &Index) -> io::Result<Vec<(UnixMillis, UnixMillis)>> {
        let kept = self.kept_indexes()?;
        let kept = kept.iter().flat_map(|(_, index)| index.spans());
        Ok(index::join(ring.spans().into_iter().chain(kept).collect()))
    }

    fn ring(&self) -> io::Result<Index> {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.refresh(&self.config.folder)?;
        Ok(ring.clone())
    }

    /// A player that reads from the last whole board before `from` on, in the file that has `at`.
    fn player(&self, from: UnixMillis, at: UnixMillis) -> Result<Player, NotShown> {
        let ring = self.ring()?;
        if let Some(file) = ring.at(at) {
            return Ok(Player::open(ring, file, from)?);
        }
        for (_, kept) in self.kept_indexes()? {
            if let Some(file) = kept.at(at) {
                return Ok(Player::open(kept, file, from)?);
            }
        }
        Err(NotShown::NotRecorded { at, spans: self.spans(&ring)? })
    }

    /// Where a file is broken, what can be read begins later.
    fn is_of(&self, at: UnixMillis, player: &Player) -> Result<(), NotShown> {
        if player.past.at <= at && player.past.at != UnixMillis::default() {
            return Ok(());
        }
        let ring = self.ring()?;
        Err(NotShown::NotRecorded { at, spans: self.spans(&ring)? })
    }

    /// More may have been written behind a player's end.
    fn follow(&self, player: &mut Player) -> io::Result<()> {
        let ring = self.ring()?;
        if player.is_in(&self.config.folder) {
            player.follow(ring);
        }
        Ok(())
    }

    fn next_after(&self, at: UnixMillis) -> io::Result<Option<UnixMillis>> {
        let ring = self.ring()?.next_after(at);
        let kept = self.kept_indexes()?.into_iter().filter_map(|(_, kept)| kept.next_after(at)).min();
        Ok(ring.into_iter().chain(kept).min())
    }
}

/// What a recording holds.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    /// Stretches without a hole, oldest first, of ring and kept together.
    pub spans: Vec<(UnixMillis, UnixMillis)>,
    /// Bytes of the ring.
    pub bytes: u64,
    /// Ticks in the ring.
    pub ticks: u64,
    /// What was pinned, oldest first.
    pub kept: Vec<Kept>,
}
