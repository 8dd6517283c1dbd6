//! What an account's owner sees of it, and an administrator of tokens.

use super::time::UnixMillis;
use serde::{Deserialize, Serialize};

/// A session: a browser that is signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountSession {
    /// A number to name it by; not the id in the cookie.
    pub id: i64,
    /// When it was started.
    pub signed_in_at: UnixMillis,
    /// When it was last used, to a quarter of an hour.
    pub last_used_at: UnixMillis,
    /// From where it was started.
    pub address: Option<String>,
    /// What the browser called itself then.
    pub user_agent: Option<String>,
    /// Is it the one that asks?
    pub is_own: bool,
}

/// An API token, without what it is: that is shown once, when it is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiToken {
    /// How it is called.
    pub name: String,
    /// `read` or `operate`.
    pub scope: String,
    /// Who made it: an account's email, or `cli:USER`.
    pub made_by: String,
    /// When it was made.
    pub made_at: UnixMillis,
    /// When it ends.
    pub ends_at: UnixMillis,
    /// When it was last used, to a minute.
    pub last_used_at: Option<UnixMillis>,
    /// From where it was last used.
    pub last_used_from: Option<String>,
}
