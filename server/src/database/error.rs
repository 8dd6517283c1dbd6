//! Why a database could not be opened, of either kind.

use sqlx::migrate::MigrateError;
use std::{io, path::PathBuf};

/// Why the database could not be opened. The URL itself is never repeated: one of another kind may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The URL is for another kind of database.
    #[error(
        "DATABASE_URL starts with `{scheme}`; sqlite:// and postgres:// are supported, as in sqlite://data/monitor.db"
    )]
    UnsupportedScheme {
        /// What stands before the colon.
        scheme: String,
    },
    /// The URL names no file.
    #[error(
        "DATABASE_URL names no file; write it like sqlite://data/monitor.db or sqlite:///var/lib/tickstock/monitor.db"
    )]
    NoFile,
    /// The URL has parameters.
    #[error("DATABASE_URL takes no parameters but `mode=rwc`; percent-encode a `?` in the file's name as %3F")]
    Parameters,
    /// What is percent-encoded in the file's name is no text.
    #[error("DATABASE_URL is not understood: {0}")]
    BadUrl(#[source] sqlx::Error),
    /// The path is a folder.
    #[error("the database {} is a folder, not a file", .0.display())]
    IsFolder(PathBuf),
    /// The folder is missing and cannot be made.
    #[error("the folder {} of the database cannot be made: {cause}", .folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the operating system said.
        cause: io::Error,
    },
    /// The file cannot be made or written.
    #[error("the database {} cannot be written: {cause}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        cause: io::Error,
    },
    /// The file holds something else.
    #[error("{} is not a SQLite database", .0.display())]
    NotADatabase(PathBuf),
    /// SQLite refused the file.
    #[error("the database {} cannot be opened: {cause}", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        cause: sqlx::Error,
    },
    /// Another server has it.
    #[error(
        "the database {} is in use by another server ({holder}): stop that one, or set DATABASE_URL to another file",
        .path.display()
    )]
    InUse {
        /// The file.
        path: PathBuf,
        /// Who has it, since when, and where it is to be found.
        holder: String,
    },
    /// The tables could not be brought up to date.
    #[error("the tables of the database {database} cannot be brought up to date: {cause}")]
    Migrate {
        /// Its file, or its name and where it is.
        database: String,
        /// Which migration, and why.
        cause: MigrateError,
    },
    /// A newer version has changed the tables.
    #[error(
        "the database {database} was brought up to migration {found} by a newer version, and this one knows {known}: \
         start that version, or restore a backup from before"
    )]
    Newer {
        /// Its file, or its name and where it is.
        database: String,
        /// The newest migration that was run on it.
        found: i64,
        /// The newest one that this version has.
        known: i64,
    },
    /// The address of a PostgreSQL database is not one.
    #[error("DATABASE_URL has to be like postgres://USER:PASSWORD@HOST:5432/NAME: {}", .0.join("; "))]
    PostgresUrl(Vec<String>),
    /// PostgreSQL does not answer.
    #[error("the database {database} cannot be reached: {cause}; does PostgreSQL run, and listen there?")]
    Unreachable {
        /// Its name and where it is.
        database: String,
        /// What went wrong.
        cause: sqlx::Error,
    },
    /// PostgreSQL lets the role not in.
    #[error("the database {database} refuses the role `{role}`: {said}; check user and password in DATABASE_URL")]
    Refused {
        /// Its name and where it is.
        database: String,
        /// Who was refused.
        role: String,
        /// What PostgreSQL said.
        said: String,
    },
    /// There is no such database.
    #[error(
        "there is no database {database}: check the name in DATABASE_URL, or make it with \
         `CREATE DATABASE … OWNER {role}`"
    )]
    NoDatabase {
        /// Its name and where it is.
        database: String,
        /// Who should own it.
        role: String,
    },
    /// The connection cannot be encrypted as it has to be.
    #[error("the connection to the database {database} cannot be encrypted: {said}; check `sslmode` and `sslrootcert`")]
    Tls {
        /// Its name and where it is.
        database: String,
        /// What went wrong.
        said: String,
    },
    /// PostgreSQL is too old, or set up so that texts would be lost.
    #[error("the database {database} cannot be used: it has {found}, and {wanted} is needed")]
    Unsuitable {
        /// Its name and where it is.
        database: String,
        /// What it has.
        found: String,
        /// What it would need.
        wanted: &'static str,
    },
    /// The role lacks rights.
    #[error("in the database {database} the role `{role}` may not {what}: make it the owner, or GRANT it these rights")]
    Rights {
        /// Its name and where it is.
        database: String,
        /// Who lacks them.
        role: String,
        /// What it may not.
        what: String,
    },
    /// The server is a standby.
    #[error("the database {database} is a read-only standby: DATABASE_URL has to name the primary")]
    Standby {
        /// Its name and where it is.
        database: String,
    },
}

impl DatabaseError {
    /// May it be otherwise in a while, with the same configuration? A full disk, one that fails, a file that another program
    /// holds or that is damaged: a server is better without its database than not running at all. A PostgreSQL
    /// that does not answer may be about to start, too.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Folder { cause, .. } | Self::File { cause, .. } => matches!(
                cause.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::ReadOnlyFilesystem
            ),
            Self::Unreachable { .. } | Self::Standby { .. } => true,
            Self::Open { cause, .. }
            | Self::Migrate {
                cause: MigrateError::Execute(cause) | MigrateError::ExecuteMigration(cause, _), ..
            } => is_of_the_moment(cause),
            _ => false,
        }
    }
}

/// Of SQLite, the codes for busy, locked, read-only, I/O error, corrupt, full, cannot open, locking protocol, whose variants
/// are in the higher bytes. Of PostgreSQL, the classes for a connection, resources, what an operator does, and the system; and
/// a lock that was not to be had.
pub(super) fn is_of_the_moment(error: &sqlx::Error) -> bool {
    const CODES: [i32; 8] = [5, 6, 8, 10, 11, 13, 14, 15];
    const CLASSES: [&str; 5] = ["08", "53", "55", "57", "58"];
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| match code.len() {
            // PostgreSQL's have five characters, SQLite's fewer.
            5 => CLASSES.contains(&&code[..2]),
            _ => code.parse::<i32>().is_ok_and(|code| CODES.contains(&(code & 0xff))),
        }),
        _ => false,
    }
}
