//! Who somebody is and what they may do.
//!
//! ```text
//! POST /login ──▶ Accounts::authenticate ──▶ session (cookie ⇄ SQLite)
//!                  (argon2, few at a time)        │
//! every request ──▶ session layer ── Account ─────┤   read anew, so a change of role counts at once
//!                                                 ▼
//!                       guard ──▶ Caller ─┬▶ Viewer ──▶ what shows something, server functions
//!                                         │     └─────▶ standing, asked by open sockets whenever Revocations tells
//!                                         └▶ Admin ───▶ what changes something
//! ```
//!
//! Permission is an argument: a handler that takes an [`Admin`] can only be called by one, and who is a [`Viewer`] alone is none.

mod backend;
mod caller;
pub mod cli;
mod first;
mod guessable;
mod password;
mod revocation;
mod session;
#[cfg(test)]
pub(crate) mod testing;

pub use crate::model::{Account, BadEmail, Email, PasswordHash, Role, RoleRules, UnknownRole};
pub use backend::{Accounts, AuthError, AuthSession, Credentials};
pub use caller::{Admin, Caller, Denied, Right, Standing, Viewer, standing};
pub use first::{FirstAccount, FirstAccountError, first_account};
pub use guessable::Names;
pub use password::{
    BadPassword, PASSWORD_MIN, TOKEN_MIN, check_password, generate_password, hash_password, is_good_token,
    is_same_secret,
};
pub use revocation::Revocations;
pub(crate) use session::LOGOUT;
pub use session::{SessionRules, StartError, start_session, with_sessions};
