//! What `auth`, `audit` and `database` share: accounts, and acts with the chain of records that they become. Plain data: no
//! database, no network, no clock.

mod account;
mod act;
mod chain;
mod role;

pub use account::{Account, BadEmail, Email, PasswordHash};
pub use act::{Action, Actor, AuditAct, Hash, Outcome, hash};
pub use chain::{Anchor, Break, Chain, Whole};
pub use role::{Role, RoleRules, UnknownRole};

pub(crate) use act::{Entry, Hex};
pub(crate) use chain::pruned_target;
