//! The database's three files on the disk: who may read them, and whether they are still the ones that are open.
//!
//! SQLite writes on into a file that was deleted or replaced, and what it wrote is lost at the next start. Of the three,
//! `-wal` has what is not in the database file yet, and `-shm` says what of it counts. Both are there as long as one
//! connection is open.

use std::{
    ffi::OsString,
    fmt, fs, io,
    mem::ManuallyDrop,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
};

/// What a file's name ends with, and what it is called.
const PARTS: [(&str, &str); 3] =
    [("", "the database file"), ("-wal", "the database's write-ahead log"), ("-shm", "the database's shared memory")];
/// `-shm` grows in steps of this and never shrinks while it is open.
const SHARED_MEMORY_BYTES_MIN: u64 = 32 << 10;
const OVERWRITTEN: &str = "was overwritten by another program: stop the server and restore the database again";

/// Where the files were when the database was opened, and which ones they were.
#[derive(Debug)]
pub(in crate::database) struct Files {
    parts: Vec<Part>,
    header: Option<Header>,
    are_overwritten: AtomicBool,
}

/// The begin of the database file. SQLite counts its changes there, and never back.
#[derive(Debug)]
struct Header {
    /// Never closed: closing a file gives up all locks that the process has on it, those of SQLite among them.
    #[cfg_attr(not(unix), expect(dead_code, reason = "read at a place, which is done in another way elsewhere"))]
    file: ManuallyDrop<fs::File>,
    highest: AtomicU32,
}

#[derive(Debug)]
struct Part {
    name: &'static str,
    path: PathBuf,
    identity: (u64, u64),
    bytes_min: u64,
}

/// What happened to one of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::database) struct Moved {
    name: &'static str,
    how: &'static str,
}

impl fmt::Display for Moved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.how)
    }
}

impl Files {
    /// Those of a database that is open.
    pub(super) fn of(database: &Path) -> Self {
        let part = |(suffix, name): (&str, &'static str)| {
            let path = with_suffix(database, suffix);
            let (identity, _) = look(&path).ok()?;
            let bytes_min = if suffix == "-shm" { SHARED_MEMORY_BYTES_MIN } else { 0 };
            Some(Part { name, path, identity, bytes_min })
        };
        let parts = PARTS.into_iter().filter_map(part).collect();
        Self { parts, header: Header::of(database), are_overwritten: AtomicBool::new(false) }
    }

    /// Was something else copied into the files while they were open? Then what is in them is not ours to change.
    pub(in crate::database) fn are_overwritten(&self) -> bool {
        self.are_overwritten.load(Relaxed)
    }

    /// Are they still where they were?
    pub(in crate::database) fn check(&self) -> io::Result<Result<(), Moved>> {
        for part in &self.parts {
            let is_main = part.path == self.parts[0].path;
            let is_whole = || !is_main || self.header.as_ref().is_none_or(Header::is_ours);
            let how = match look(&part.path) {
                Ok((identity, bytes)) if identity == part.identity && bytes >= part.bytes_min && is_whole() => continue,
                Ok((identity, _)) if identity == part.identity => {
                    self.are_overwritten.store(true, Relaxed);
                    OVERWRITTEN
                }
                Ok(_) => "was replaced by another file: restart the server",
                Err(error) if error.kind() == io::ErrorKind::NotFound && is_main => {
                    "was removed: put it back or restart the server"
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => "was removed: restart the server",
                Err(error) => return Err(error),
            };
            return Ok(Err(Moved { name: part.name, how }));
        }
        // A copy that was under way is whole by now.
        let main = self.parts.first().filter(|_| self.are_overwritten());
        Ok(main.map_or(Ok(()), |main| Err(Moved { name: main.name, how: OVERWRITTEN })))
    }

    /// Can what is in the write-ahead log still be folded into the database file? It is in its place, and nobody else has
    /// begun a log of their own for it.
    pub(in crate::database) fn can_be_saved(&self) -> bool {
        let Some(main) = self.parts.first().filter(|_| !self.are_overwritten()) else { return false };
        let is_there = look(&main.path).is_ok_and(|(identity, _)| identity == main.identity);
        let log = self.parts.iter().find(|part| part.path == with_suffix(&main.path, "-wal"));
        let is_ours_alone = |log: &Part| match look(&log.path) {
            Ok((identity, bytes)) => identity == log.identity || bytes == 0,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        is_there && log.is_some_and(is_ours_alone)
    }
}

impl Header {
    fn of(database: &Path) -> Option<Self> {
        let header = Self { file: ManuallyDrop::new(fs::File::open(database).ok()?), highest: AtomicU32::new(0) };
        header.is_ours().then_some(header)
    }

    /// Does the file begin as a database does that was not changed less often than before?
    fn is_ours(&self) -> bool {
        let look = |_| match self.changes() {
            Ok(Some(changes)) => changes >= self.highest.fetch_max(changes, Relaxed),
            Ok(None) => false,
            // What a disk does is another trouble, which who reads and writes is told.
            Err(error) => error.kind() != io::ErrorKind::UnexpectedEof,
        };
        // Twice: the first look may have met a write.
        (0..2).any(look)
    }

    /// How often the database was changed, as far as it is in this file; `None` when this is no database.
    #[cfg(unix)]
    fn changes(&self) -> io::Result<Option<u32>> {
        const MAGIC: &[u8] = b"SQLite format 3\0";
        let mut head = [0; 28];
        std::os::unix::fs::FileExt::read_exact_at(&*self.file, &mut head, 0)?;
        let [.., a, b, c, d] = head;
        Ok(head.starts_with(MAGIC).then_some(u32::from_be_bytes([a, b, c, d])))
    }

    /// Elsewhere an open file cannot be overwritten.
    #[cfg(not(unix))]
    fn changes(&self) -> io::Result<Option<u32>> {
        Ok(Some(0))
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// Device and inode, which a file keeps under whatever name; and its size.
#[cfg(unix)]
fn look(path: &Path) -> io::Result<((u64, u64), u64)> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).map(|file| ((file.dev(), file.ino()), file.len()))
}

/// Elsewhere an open file cannot be removed or replaced.
#[cfg(not(unix))]
fn look(path: &Path) -> io::Result<((u64, u64), u64)> {
    fs::metadata(path).map(|file| ((0, 0), file.len()))
}

/// Makes a folder that nobody else may look into, with those above it.
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Takes from everybody but their owner what rights they have to files that are there: in them are password hashes and who
/// is signed in. SQLite gives new side files the mode of the database file.
#[cfg(unix)]
pub(super) fn close_to_others(database: &Path) {
    use std::os::unix::fs::PermissionsExt;
    for (suffix, _) in PARTS {
        let path = with_suffix(database, suffix);
        let Ok(file) = fs::metadata(&path) else { continue };
        let mode = file.permissions().mode() & 0o777;
        if mode & 0o077 == 0 {
            continue;
        }
        let path_shown = path.display();
        match fs::set_permissions(&path, fs::Permissions::from_mode(mode & 0o700)) {
            Ok(()) => tracing::warn!("Others could read {path_shown} (mode {mode:04o}); now its owner alone can"),
            Err(error) => {
                tracing::warn!("Others can read {path_shown} (mode {mode:04o}), and that cannot be changed: {error}");
            }
        }
    }
}

#[cfg(not(unix))]
pub(super) fn close_to_others(_database: &Path) {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        auth::testing,
        database::Database,
        model::{Action, Actor, Entry},
    };
    use app::model::time::UnixMillis;

    async fn records(database: &Database) -> usize {
        database.audit_records(&Default::default(), 100).await.unwrap().len()
    }

    #[tokio::test]
    async fn side_files_that_are_removed_are_noticed_and_nothing_is_lost() {
        for removed in [&["-wal"][..], &["-shm"], &["-wal", "-shm"]] {
            let (folder, database) = testing::database().await;
            let file = |suffix: &str| folder.path().join(format!("monitor.db{suffix}"));
            let act = Actor::server().does(Action::PageView);
            database.append_audit(&[Entry { act: act.clone(), at: UnixMillis(1), occurrences: 1 }]).await.unwrap();
            for suffix in removed {
                fs::remove_file(file(suffix)).unwrap();
            }
            let error = database
                .append_audit(&[Entry { act: act.clone(), at: UnixMillis(2), occurrences: 1 }])
                .await
                .unwrap_err()
                .reason();
            let name = if removed[0] == "-wal" { "write-ahead log" } else { "shared memory" };
            assert_eq!(error, format!("the database's {name} was removed: restart the server"));
            assert_eq!(database.trouble().await, Some("the database does not answer"));

            // Had it been killed now, the next one would find this.
            let copy = tempfile::tempdir().unwrap();
            fs::copy(file(""), copy.path().join("monitor.db")).unwrap();
            assert_eq!(records(&testing::open(&copy).await).await, 1, "{removed:?}");

            database.close().await;
            let again = testing::open(&folder).await;
            assert_eq!(records(&again).await, 1, "{removed:?}");
            again.append_audit(&[Entry { act: act.clone(), at: UnixMillis(3), occurrences: 1 }]).await.unwrap();
            again.close().await;
        }
    }

    #[tokio::test]
    async fn a_log_that_somebody_else_has_begun_is_left_alone() {
        let (folder, database) = testing::database().await;
        let log = folder.path().join("monitor.db-wal");
        fs::rename(&log, folder.path().join("elsewhere")).unwrap();
        fs::write(&log, "another log").unwrap();
        let error = database.change().await.unwrap_err().reason();
        assert_eq!(error, "the database's write-ahead log was replaced by another file: restart the server");
        assert!(!database.opened.files.get().unwrap().can_be_saved());
    }

    #[tokio::test]
    async fn other_processes_that_come_and_go_leave_the_files_where_they_are() {
        let (folder, database) = testing::database().await;
        for _ in 0..3 {
            testing::open(&folder).await.close().await;
            database
                .append_audit(&[Entry {
                    act: Actor::server().does(Action::PageView),
                    at: UnixMillis(1),
                    occurrences: 1,
                }])
                .await
                .unwrap();
        }
    }

    /// Somebody puts a backup back while the server runs.
    #[tokio::test]
    async fn a_backup_that_is_copied_over_the_open_file_is_noticed_and_left_as_it_is() {
        let (folder, database) = testing::database().await;
        let append = |at| {
            let entry = Entry { act: Actor::server().does(Action::PageView), at: UnixMillis(at), occurrences: 1 };
            let database = database.clone();
            async move { database.append_audit(&[entry]).await }
        };
        let (file, backup) = (folder.path().join("monitor.db"), folder.path().join("backup.db"));
        append(1).await.unwrap();
        database.tamper(&format!("VACUUM INTO '{}'", backup.display())).await.unwrap();
        for at in 2..200 {
            append(at).await.unwrap();
        }
        let backup = fs::read(backup).unwrap();
        let inode = look(&file).unwrap().0;
        fs::write(&file, &backup).unwrap();
        assert_eq!(look(&file).unwrap().0, inode, "in its place");
        let error = append(200).await.unwrap_err().reason();
        assert_eq!(error, format!("the database file {OVERWRITTEN}"));
        assert_eq!(database.trouble().await, Some("the database does not answer"));

        // The log of before does not go into it at the end.
        database.close().await;
        assert_eq!(fs::read(&file).unwrap(), backup);
        // Without its log it is what the backup was.
        let restored = tempfile::tempdir().unwrap();
        fs::copy(&file, restored.path().join("monitor.db")).unwrap();
        assert_eq!(records(&testing::open(&restored).await).await, 1);
    }

    #[tokio::test]
    async fn a_database_that_grows_shrinks_and_is_folded_together_is_still_the_same() {
        let (_folder, database) = testing::database().await;
        let files = database.opened.files.get().unwrap();
        for statement in [
            "CREATE TABLE t AS WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 5000) SELECT n, hex(randomblob(500)) AS x FROM n",
            "PRAGMA wal_checkpoint(FULL)",
            "DELETE FROM t WHERE n > 10",
            "VACUUM",
            "PRAGMA wal_checkpoint(TRUNCATE)",
            "DROP TABLE t",
            "VACUUM",
            "PRAGMA wal_checkpoint(RESTART)",
        ] {
            database.tamper(statement).await.unwrap();
            assert_eq!(files.check().unwrap(), Ok(()), "{statement}");
        }
    }

    #[test]
    fn shared_memory_that_was_overwritten_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let main = folder.path().join("m.db");
        let database = [&b"SQLite format 3\0"[..], &[0; 4080]].concat();
        for (suffix, bytes) in [("", database), ("-wal", vec![]), ("-shm", vec![0; SHARED_MEMORY_BYTES_MIN as usize])] {
            fs::write(with_suffix(&main, suffix), bytes).unwrap();
        }
        let files = Files::of(&main);
        assert_eq!(files.check().unwrap(), Ok(()));
        fs::write(with_suffix(&main, "-shm"), "a copy under way").unwrap();
        let moved = files.check().unwrap().unwrap_err();
        assert_eq!(moved.to_string(), format!("the database's shared memory {OVERWRITTEN}"));
    }
}
