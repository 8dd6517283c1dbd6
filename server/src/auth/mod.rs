//! Who somebody is and what they may do.
//!
//! ```text
//! POST /login ──▶ Accounts::authenticate ──▶ session (cookie ⇄ SQLite)
//!                  (argon2, few at a time)        │
//! GET /login/oidc ──▶ Provider (its word) ────────┤
//! every request ──▶ session layer ── Account ─────┤   read anew, so a change of role counts at once
//! of a program  ──▶ Bearer ── KnownToken ─────────┤   the same
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
mod oidc;
mod password;
mod revocation;
mod screen;
mod second_factor;
mod session;
#[cfg(test)]
pub(crate) mod testing;
mod token;
pub mod token_cli;

pub use crate::model::{
    Account, BadEmail, Email, Identity, PasswordHash, Role, RoleRules, RoleSet, Scope, TokenName, UnknownRole,
};
pub use backend::{Accounts, AuthError, AuthSession, Credentials};
pub use caller::{Admin, Caller, Denied, Owner, Reader, Right, Standing, Viewer, standing};
pub use first::{FirstAccount, FirstAccountError, first_account};
pub use guessable::Names;
pub use oidc::{Begun, CallbackQuery, OidcConfig, OidcError, Provider, RoleMap, SignedIn, admit_identity, keep_roles};
pub use password::{
    BadPassword, PASSWORD_MIN, TOKEN_MIN, check_password, generate_password, hash_password, is_good_token,
    is_same_secret,
};
pub use revocation::Revocations;
pub use screen::{
    generate_screen_code, generate_screen_secret, read_screen_code, screen_code_text, screen_cookie, screen_of,
};
pub(crate) use second_factor::picture;
pub use second_factor::{
    RECOVERY_CODES, generate_recovery_codes, generate_seed, seed_picture, seed_text, spend_code, step_of,
};
pub(crate) use session::LOGOUT;
pub use session::{SessionRules, StartError, start_session, with_sessions};
pub use token::{TOKEN_DAYS_MAX, generate_token};
pub(crate) use token::{holds_token, read_token};
