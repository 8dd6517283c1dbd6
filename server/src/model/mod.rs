//! What `auth`, `audit` and `database` share: accounts, tokens, and acts with the chain of records that they become. Plain data: no
//! database, no network, no clock.

mod account;
mod act;
mod chain;
mod factor;
mod role;
mod token;

pub use account::{Account, BadEmail, Email, Identity, PasswordHash};
pub use act::{Action, Actor, AuditAct, Hash, Outcome, hash};
pub use chain::{Anchor, Break, Chain, Whole};
pub use factor::{RecoveryHash, SecondFactor, Seed};
pub use role::{Role, RoleRules, RoleSet, UnknownRole};
pub use token::{BadTokenName, Scope, TokenHash, TokenName, UnknownScope};

pub(crate) use act::{Entry, Hex};
pub(crate) use chain::{misplaced, pruned_target};
