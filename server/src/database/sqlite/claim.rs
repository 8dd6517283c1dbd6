//! One server at a time has an SQLite file: two would take each other's samples and gaps for their own.

use super::DatabaseError;
use app::model::time::UnixMillis;
use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

/// What the file says of who holds it is never longer.
const WORDS_BYTES_MAX: u64 = 256;

/// A server's claim to a database, until it is dropped or its process ends in whatever way: a lock of the system's on a
/// file beside the database. The commands `user` and `audit` need none, they work beside a server.
#[derive(Debug)]
pub struct Claim {
    _lock: Option<File>,
}

impl Claim {
    /// Claims the database of a `sqlite://` URL for this process, which can be found at `address`. Where the system has no
    /// locks, or the disk no room, there is a warning instead of a claim. PostgreSQL is for several servers: there is nothing
    /// to claim.
    ///
    /// # Errors
    /// [`DatabaseError::InUse`] says who has it; and whatever is wrong with the URL.
    pub fn take(url: &str, address: &str) -> Result<Self, DatabaseError> {
        if !url.starts_with("sqlite:") {
            return Ok(Self { _lock: None });
        }
        let path = super::parse(url)?.get_filename().to_path_buf();
        let lock = match lock(&path) {
            Ok((mut file, path)) => match file.try_lock() {
                Ok(()) => {
                    // A lock without words holds as well.
                    let _ = sign(&mut file, address);
                    Some(file)
                }
                Err(TryLockError::WouldBlock) => return Err(DatabaseError::InUse { path, holder: holder(file) }),
                Err(TryLockError::Error(cause)) => unlocked(&path, &cause),
            },
            // Opening the database says what is wrong with the path.
            Err(cause) => unlocked(&path, &cause),
        };
        Ok(Self { _lock: lock })
    }
}

/// The file to lock. Whatever name the database is called by, it is one file in one place.
fn lock(database: &Path) -> io::Result<(File, PathBuf)> {
    super::prepare_file(database).map_err(io::Error::other)?;
    let path = database.canonicalize()?;
    let mut name = path.clone().into_os_string();
    name.push(".lock");
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    Ok((options.open(name)?, path))
}

fn sign(file: &mut File, address: &str) -> io::Result<()> {
    file.set_len(0)?;
    writeln!(file, "process {}, since {}, on {address}", std::process::id(), UnixMillis::now())
}

fn holder(file: File) -> String {
    let mut words = String::new();
    let is_read = file.take(WORDS_BYTES_MAX).read_to_string(&mut words).is_ok();
    let words: String = words.lines().next().unwrap_or_default().chars().filter(|c| !c.is_control()).collect();
    if is_read && !words.is_empty() { words } else { "which one is not known".to_owned() }
}

fn unlocked(path: &Path, cause: &io::Error) -> Option<File> {
    tracing::warn!("Whether another server uses the database {} cannot be told: {cause}", path.display());
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_has_one_server_whatever_it_is_called() {
        let folder = tempfile::tempdir().unwrap();
        let url = |name: &str| format!("sqlite://{}/{name}", folder.path().display());
        let claim = Claim::take(&url("monitor.db"), "http://127.0.0.1:1").unwrap();
        std::os::unix::fs::symlink(folder.path().join("monitor.db"), folder.path().join("link.db")).unwrap();
        for name in ["monitor.db", "./monitor.db", "link.db"] {
            let text = Claim::take(&url(name), "http://127.0.0.1:2").unwrap_err().to_string();
            let process = format!("is in use by another server (process {}, since 2", std::process::id());
            assert!(text.contains(&process) && text.contains("on http://127.0.0.1:1)"), "{name}: {text}");
        }
        let other = Claim::take(&url("other.db"), "").unwrap();
        drop((claim, other));
        Claim::take(&url("link.db"), "http://127.0.0.1:2").unwrap();
    }

    #[test]
    fn a_path_that_cannot_be_locked_is_left_to_who_opens_it() {
        Claim::take("sqlite:///dev/null/monitor.db", "").unwrap();
        assert!(Claim::take("sqlite://", "").is_err());
    }
}
