//! Who somebody is and what they may do.
//!
//! ```text
//! POST /login ──▶ Accounts::authenticate ──▶ session (cookie ⇄ SQLite)
//!                  (argon2, few at a time)        │
//! every request ──▶ session layer ── Account ─────┤   read anew, so a change of role counts at once
//!                                                 ▼
//!                       guard ──▶ Admin ──▶ handlers, server functions
//!                                   └─────▶ still_admin, asked by open sockets whenever Revocations tells
//! ```
//!
//! Permission is an argument: a handler that takes an [`Admin`] can only be called by one.

mod admin;
mod backend;
pub mod cli;
mod first;
mod guessable;
mod password;
mod revocation;
mod session;
#[cfg(test)]
pub(crate) mod testing;

pub use crate::model::{Account, BadEmail, Email, PasswordHash, Role, UnknownRole};
pub use admin::{Admin, Denied, Standing, still_admin};
pub use backend::{Accounts, AuthError, AuthSession, Credentials};
pub use first::{FirstAccount, FirstAccountError, first_account};
pub use guessable::Names;
pub use password::{
    BadPassword, PASSWORD_MIN, TOKEN_MIN, check_password, generate_password, hash_password, is_good_token,
    is_same_secret,
};
pub use revocation::Revocations;
pub(crate) use session::LOGOUT;
pub use session::{SessionRules, StartError, start_session, with_sessions};
