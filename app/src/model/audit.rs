//! A record of the audit log, as pages and the API show it.

use super::time::UnixMillis;
use serde::{Deserialize, Serialize};

/// One act, or a minute's repetitions of one: who, when, from where, what, with what outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct AuditRecord {
    /// Its number, from 1, without gaps.
    pub seq: i64,
    /// When it was done.
    pub at: UnixMillis,
    /// The account's email, `cli:NAME` for the command line, `server` for the server itself; `None` for a stranger.
    pub actor: Option<String>,
    /// The account's role at that time.
    pub role: Option<String>,
    /// The address it came from, as far as trusted proxies tell.
    pub address: Option<String>,
    /// What the program called itself; anybody can claim anything.
    pub user_agent: Option<String>,
    /// What was done, such as `sign_in`.
    pub action: String,
    /// To what.
    pub target: Option<String>,
    /// `ok`, `refused` or `failed`.
    pub outcome: String,
    /// Why, or what came of it.
    pub reason: Option<String>,
    /// How many times: more than one where repetitions within a minute are one record.
    pub occurrences: i64,
    /// SHA-256 over the record before and this one, in hexadecimal.
    pub hash: String,
}

/// Which records a page or the API is asked for, as it was written; an empty one counts as none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditForm {
    /// At or after this: RFC 3339, or a span before now such as `-15m`.
    pub from: Option<String>,
    /// Before this.
    pub to: Option<String>,
    /// By this account.
    pub actor: Option<String>,
    /// This was done.
    pub action: Option<String>,
    /// With this outcome.
    pub outcome: Option<String>,
    /// From this address.
    pub address: Option<String>,
    /// Older than this record.
    pub cursor: Option<String>,
}

/// What the audit page shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditPage {
    /// The records, newest first.
    pub records: Vec<AuditRecord>,
    /// Where the next page begins; `None` on the last.
    pub next_cursor: Option<String>,
    /// What an administrator has to know of the log itself; `None` while all is well.
    pub alarm: Option<String>,
    /// Every action there is.
    pub actions: Vec<&'static str>,
}
