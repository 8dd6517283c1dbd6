//! The recording's folder: numbered segment files, what is kept of them, and a lock, as one server at a time writes there.

use super::block;
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
};

const EXTENSION: &str = "rec";
const LOCK: &str = "lock";
/// The folder of what was pinned.
pub(super) const KEPT: &str = "kept";

/// The number of a segment file.
pub(super) type Number = u64;

/// The folder, locked.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
}

/// Why the folder cannot be written.
pub(super) fn why(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "the disk is full".to_owned(),
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
            "its folder cannot be written to".to_owned()
        }
        io::ErrorKind::NotFound => "its folder is gone".to_owned(),
        io::ErrorKind::ResourceBusy => "another server records to this folder".to_owned(),
        _ => format!("its folder cannot be used: {error}"),
    }
}

impl Folder {
    /// Makes it where it is not there, and locks it. Of the newest file what is no whole block is cut off.
    ///
    /// # Errors
    /// [`io::ErrorKind::ResourceBusy`] when another process writes there, and what the system says.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(path.join(LOCK))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::ResourceBusy.into()),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let folder = Self { path: path.to_owned(), _lock: lock };
        folder.cut_torn_end()?;
        Ok(folder)
    }

    fn cut_torn_end(&self) -> io::Result<()> {
        let Some((_, path)) = segments(&self.path)?.pop() else { return Ok(()) };
        let mut file = OpenOptions::new().read(true).write(true).open(&path)?;
        let whole = block::whole_bytes(&mut file)?;
        if whole == 0 {
            fs::remove_file(&path)?;
        } else if whole < file.metadata()?.len() {
            file.set_len(whole)?;
        }
        Ok(())
    }

    /// The next segment file, open for writing.
    pub(super) fn next(&self) -> io::Result<(PathBuf, File)> {
        let last = segments(&self.path)?.pop().map_or(0, |(number, _)| number);
        let path = self.path.join(format!("{:010}.{EXTENSION}", last + 1));
        let file = OpenOptions::new().create_new(true).append(true).open(&path)?;
        Ok((path, file))
    }

    /// Deletes the oldest files but the newest, until the others take no more than so many bytes and none has its last moment before
    /// `oldest`, as `last_moment` tells.
    pub(super) fn prune(&self, bytes_max: u64, is_too_old: impl Fn(&Path) -> bool) -> io::Result<()> {
        let mut segments = segments(&self.path)?;
        segments.pop();
        let sizes = segments.iter().map(|(_, path)| fs::metadata(path).map_or(0, |about| about.len()));
        let mut total: u64 = sizes.sum();
        for (_, path) in segments {
            if total <= bytes_max && !is_too_old(&path) {
                break;
            }
            total = total.saturating_sub(fs::metadata(&path).map_or(0, |about| about.len()));
            fs::remove_file(&path)?;
        }
        Ok(())
    }
}

/// Is there no such folder?
pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// The segment files of a folder, by number; none where there is no folder.
pub(super) fn segments(folder: &Path) -> io::Result<Vec<(Number, PathBuf)>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut segments = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
        if let Some(number) = number.filter(|_| path.extension().is_some_and(|extension| extension == EXTENSION)) {
            segments.push((number, path));
        }
    }
    segments.sort_unstable();
    Ok(segments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_writes_to_a_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = Folder::open(folder.path()).expect("free");
        let error = Folder::open(folder.path()).expect_err("taken");
        assert_eq!(why(&error), "another server records to this folder");
        drop(first);
        Folder::open(folder.path()).expect("free again");
    }

    #[test]
    fn the_oldest_go_first_and_the_newest_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let open = Folder::open(folder.path()).expect("free");
        for _ in 0..4 {
            let (path, _) = open.next().expect("a file");
            fs::write(path, [0; 100]).expect("written");
        }
        let numbers = || segments(folder.path()).expect("a folder").into_iter().map(|(n, _)| n).collect::<Vec<_>>();
        open.prune(250, |_| false).expect("pruned");
        assert_eq!(numbers(), [2, 3, 4]);
        open.prune(250, |path| path.ends_with("0000000002.rec")).expect("pruned");
        assert_eq!(numbers(), [3, 4]);
        open.prune(0, |_| true).expect("pruned");
        assert_eq!(numbers(), [4]);
    }
}
