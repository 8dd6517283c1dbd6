//! What an account's owner sees of it.

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
