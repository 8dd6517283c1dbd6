//! What was pinned: the segment files of a window, in a folder of their own that the ring does not touch, with a note.
//!
//! They are hard links where the disk has such: keeping copies nothing but the file that is still being written. What is known of them is
//! a file beside them, so they can be taken elsewhere as they are.

use super::{
    NotShown, Recording,
    folder::{KEPT, is_absent},
    index::Index,
};
use app::model::time::UnixMillis;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::PoisonError,
};

const ABOUT: &str = "about.json";
const BEING_MADE: &str = "being-made-";

/// A stretch that outlives the ring.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Kept {
    /// What addresses call it.
    pub id: String,
    /// What was asked for.
    pub from: UnixMillis,
    /// Until then.
    pub to: UnixMillis,
    /// Why.
    pub note: String,
    /// Who keeps it.
    pub by: String,
    /// Since when.
    pub at: UnixMillis,
    /// Bytes of its files, which are whole minutes.
    pub bytes: u64,
    /// Ticks in them.
    pub ticks: u64,
}

/// Why nothing is kept.
#[derive(Debug, thiserror::Error)]
pub enum NotKept {
    /// Nothing was recorded then, or the disk cannot be read.
    #[error(transparent)]
    NotShown(#[from] NotShown),
    /// What is kept may take as much as the ring.
    #[error("what is kept takes {used} of {max} bytes, and this would take {wanted} more; delete something first")]
    Full {
        /// Bytes that are kept.
        used: u64,
        /// Bytes that this one has.
        wanted: u64,
        /// Bytes that may be kept.
        max: u64,
    },
    /// The disk.
    #[error("it could not be kept: {}", super::folder::why(.0))]
    Disk(#[from] io::Error),
}

impl Recording {
    /// Keeps what is recorded between two moments. Writes files.
    ///
    /// # Errors
    /// When nothing is recorded then, when the quota is used up, or when the disk refuses.
    pub fn keep(&self, from: UnixMillis, to: UnixMillis, note: &str, by: &str) -> Result<Kept, NotKept> {
        let ring = self.ring().map_err(NotShown::from)?;
        let files = ring.between(from, to);
        if files.is_empty() {
            let spans = self.spans(&ring).map_err(NotShown::from)?;
            return Err(NotShown::NotRecorded { at: from, spans }.into());
        }
        let wanted = files.iter().map(|(_, file)| file.bytes).sum();
        let used = self.kept()?.iter().map(|kept| kept.bytes).sum::<u64>();
        let max = self.config.bytes_max;
        if used.saturating_add(wanted) > max {
            return Err(NotKept::Full { used, wanted, max });
        }
        let at = UnixMillis::now();
        let ticks = files.iter().map(|(_, file)| file.ticks).sum();
        let id = format!("{}-{}", from.0, at.0);
        let (note, by) = (note.to_owned(), by.to_owned());
        let kept = Kept { id, from, to, note, by, at, bytes: wanted, ticks };
        let folder = self.kept_folder();
        let being_made = folder.join(format!("{BEING_MADE}{}", kept.id));
        fs::create_dir_all(&being_made)?;
        let made = files.iter().try_for_each(|(number, file)| {
            // The newest still grows.
            let is_complete = ring.after(*number).is_some();
            let name = file.path.file_name().unwrap_or_default();
            take(&file.path, file.bytes, is_complete, &being_made.join(name))
        });
        let written = made.and_then(|()| fs::write(being_made.join(ABOUT), serde_json::to_vec(&kept)?));
        match written.and_then(|()| fs::rename(&being_made, folder.join(&kept.id))) {
            Ok(()) => Ok(kept),
            Err(error) => {
                // What is left of it is not shown, whether it can be removed or not.
                let _ = fs::remove_dir_all(&being_made);
                Err(error.into())
            }
        }
    }

    /// Forgets what was kept under a name. Answers what that was. Deletes files.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn forget(&self, id: &str) -> io::Result<Option<Kept>> {
        let Some(kept) = self.kept()?.into_iter().find(|kept| kept.id == id) else { return Ok(None) };
        fs::remove_dir_all(self.kept_folder().join(&kept.id))?;
        Ok(Some(kept))
    }

    /// What was pinned, oldest first. Reads files.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn kept(&self) -> io::Result<Vec<Kept>> {
        let entries = match fs::read_dir(self.kept_folder()) {
            Ok(entries) => entries,
            Err(error) if is_absent(&error) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut all = Vec::new();
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            // What is no folder of ours is left alone.
            let about = fs::read(entry.path().join(ABOUT)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
            all.extend(about.filter(|kept: &Kept| name == kept.id.as_str()));
        }
        all.sort_by_key(|kept: &Kept| (kept.from, kept.at));
        Ok(all)
    }

    fn kept_folder(&self) -> PathBuf {
        self.config.folder.join(KEPT)
    }

    /// What is in each that was pinned.
    pub(super) fn kept_indexes(&self) -> io::Result<Vec<(String, Index)>> {
        let all = self.kept()?;
        let mut indexes = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        indexes.retain(|id, _| all.iter().any(|kept| kept.id == *id));
        for kept in &all {
            indexes.entry(kept.id.clone()).or_default().refresh(&self.kept_folder().join(&kept.id))?;
        }
        Ok(indexes.iter().map(|(id, index)| (id.clone(), index.clone())).collect())
    }
}

fn take(from: &Path, bytes: u64, is_complete: bool, to: &Path) -> io::Result<()> {
    if is_complete && fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    let mut file = File::create_new(to)?;
    io::copy(&mut File::open(from)?.take(bytes), &mut file)?;
    file.sync_all()
}
