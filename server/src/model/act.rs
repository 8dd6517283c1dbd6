//! What is recorded, and the hash that chains it to what was recorded before.

use super::Role;
use crate::text;
use app::model::{audit::AuditRecord, time::UnixMillis};
use sha2::{Digest, Sha256};
use std::{fmt, net::IpAddr, str::FromStr};

/// The longest name of a user of the machine.
const USER_CHARS_MAX: usize = 32;
/// Starts what is hashed, so that no other program's hash is ever one of ours.
const DOMAIN: &[u8] = b"tickstock-monitor audit v1";

/// SHA-256 of a record and of all before it.
pub type Hash = [u8; 32];

/// What can be on record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// A password was checked.
    SignIn,
    /// A session was ended by its owner.
    SignOut,
    /// Sessions were ended from the account page.
    SessionEnd,
    /// An account's own password was changed.
    PasswordChange,
    /// A page for administrators was asked for.
    PageView,
    /// The API was called; what the call does has a record of its own.
    ApiCall,
    /// The live socket was asked for.
    SocketOpen,
    /// The server closed a socket: its right to be there was over.
    SocketEnd,
    /// The configuration was read again.
    ConfigRefresh,
    /// A connection that waits was tried at once.
    ConnectionRetry,
    /// An outage was acknowledged.
    GapAcknowledge,
    /// Another note was added to an outage.
    GapNote,
    /// Somebody looks after an alert.
    AlertAcknowledge,
    /// Alerts are not told for a while.
    AlertSilence,
    /// A silence was ended.
    AlertSilenceEnd,
    /// A rule of the alerts was changed.
    AlertRule,
    /// A destination of alerts was tried.
    AlertTest,
    /// A stretch of the recording was pinned.
    RecordingKeep,
    /// What was pinned of the recording was deleted.
    RecordingForget,
    /// Records left as a file.
    Export,
    /// A request from another origin.
    CrossOrigin,
    /// An account was made.
    AccountAdd,
    /// An account was refused from then on.
    AccountDisable,
    /// A disabled account was let in again.
    AccountEnable,
    /// An account got another role.
    AccountRole,
    /// An account got another password, from the command line.
    AccountPassword,
    /// An API token was made.
    TokenAdd,
    /// An API token was ended.
    TokenRevoke,
    /// An account turned a second factor on.
    SecondFactorOn,
    /// An account lost its second factor.
    SecondFactorOff,
    /// An account got other recovery codes.
    RecoveryCodes,
    /// A screen on a wall was paired.
    ScreenPair,
    /// A screen was ended.
    ScreenEnd,
    /// Old records were deleted: `target` says through which, `reason` has the last one's hash.
    AuditPrune,
    /// Refusals that were too many to be records of their own: `reason` says whose.
    RefusalsCounted,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 35] = [
        Self::SignIn,
        Self::SignOut,
        Self::SessionEnd,
        Self::PasswordChange,
        Self::PageView,
        Self::ApiCall,
        Self::SocketOpen,
        Self::SocketEnd,
        Self::ConfigRefresh,
        Self::ConnectionRetry,
        Self::GapAcknowledge,
        Self::GapNote,
        Self::AlertAcknowledge,
        Self::AlertSilence,
        Self::AlertSilenceEnd,
        Self::AlertRule,
        Self::AlertTest,
        Self::RecordingKeep,
        Self::RecordingForget,
        Self::Export,
        Self::CrossOrigin,
        Self::AccountAdd,
        Self::AccountDisable,
        Self::AccountEnable,
        Self::AccountRole,
        Self::AccountPassword,
        Self::TokenAdd,
        Self::TokenRevoke,
        Self::SecondFactorOn,
        Self::SecondFactorOff,
        Self::RecoveryCodes,
        Self::ScreenPair,
        Self::ScreenEnd,
        Self::AuditPrune,
        Self::RefusalsCounted,
    ];

    /// The action's name in the log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SignIn => "sign_in",
            Self::SignOut => "sign_out",
            Self::SessionEnd => "session_end",
            Self::PasswordChange => "password_change",
            Self::PageView => "page_view",
            Self::ApiCall => "api_call",
            Self::SocketOpen => "socket_open",
            Self::SocketEnd => "socket_end",
            Self::ConfigRefresh => "config_refresh",
            Self::ConnectionRetry => "connection_retry",
            Self::GapAcknowledge => "gap_acknowledge",
            Self::GapNote => "gap_note",
            Self::AlertAcknowledge => "alert_acknowledge",
            Self::AlertSilence => "alert_silence",
            Self::AlertSilenceEnd => "alert_silence_end",
            Self::AlertRule => "alert_rule",
            Self::AlertTest => "alert_test",
            Self::RecordingKeep => "recording_keep",
            Self::RecordingForget => "recording_forget",
            Self::Export => "export",
            Self::CrossOrigin => "cross_origin",
            Self::AccountAdd => "account_add",
            Self::AccountDisable => "account_disable",
            Self::AccountEnable => "account_enable",
            Self::AccountRole => "account_role",
            Self::AccountPassword => "account_password",
            Self::TokenAdd => "token_add",
            Self::TokenRevoke => "token_revoke",
            Self::SecondFactorOn => "second_factor_on",
            Self::SecondFactorOff => "second_factor_off",
            Self::RecoveryCodes => "recovery_codes",
            Self::ScreenPair => "screen_pair",
            Self::ScreenEnd => "screen_end",
            Self::AuditPrune => "audit_prune",
            Self::RefusalsCounted => "refusals_counted",
        }
    }
}

impl FromStr for Action {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|action| action.as_str() == name).ok_or(())
    }
}

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Allowed, and done unless a later record says that it failed.
    Ok,
    /// Not allowed.
    Refused,
    /// Allowed, and it did not work.
    Failed,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 3] = [Self::Ok, Self::Refused, Self::Failed];

    /// The outcome's name in the log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

impl FromStr for Outcome {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == name).ok_or(())
    }
}

/// Who does something, and from where. Guards put it into the request's extensions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Actor {
    /// The account's email, which alone has an `@`, or who else it is; `None` for a stranger.
    pub name: Option<String>,
    /// The account's role.
    pub role: Option<Role>,
    /// Where the request came from.
    pub address: Option<IpAddr>,
    /// What the program called itself.
    pub user_agent: Option<String>,
}

impl Actor {
    /// The server itself.
    #[must_use]
    pub fn server() -> Self {
        Self { name: Some("server".into()), ..Self::default() }
    }

    /// The identity provider, or the server on its word.
    #[must_use]
    pub fn identity_provider() -> Self {
        Self { name: Some("server:oidc".into()), ..Self::default() }
    }

    /// Whoever sent the server a signal: the system does not say who.
    #[must_use]
    pub fn signal(name: &str) -> Self {
        Self { name: Some(format!("server:{name}")), ..Self::default() }
    }

    /// Whoever runs the program on the command line, as far as the environment tells.
    #[must_use]
    pub fn command_line() -> Self {
        let user = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
        Self { name: Some(command_line_name(user.as_deref().unwrap_or("unknown"))), ..Self::default() }
    }

    /// Nobody who is known: not signed in, and not the machine's own.
    #[must_use]
    pub fn is_stranger(&self) -> bool {
        self.name.is_none()
    }

    /// An act of theirs that is allowed.
    #[must_use]
    pub fn does(&self, action: Action) -> AuditAct {
        AuditAct { actor: self.clone(), action, target: None, outcome: Outcome::Ok, reason: None }
    }

    /// An act of theirs that is not allowed, and why.
    #[must_use]
    pub fn is_refused(&self, action: Action, reason: impl Into<String>) -> AuditAct {
        AuditAct { outcome: Outcome::Refused, reason: Some(reason.into()), ..self.does(action) }
    }

    /// An act of theirs that was allowed and did not work, and why.
    #[must_use]
    pub fn failed_at(&self, action: Action, reason: impl Into<String>) -> AuditAct {
        AuditAct { outcome: Outcome::Failed, reason: Some(reason.into()), ..self.does(action) }
    }
}

/// Anybody can set the variable that a name comes from: without an `@` it is never taken for an account.
fn command_line_name(user: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    let name: String = user.chars().take(USER_CHARS_MAX).map(plain).collect();
    format!("cli:{name}")
}

/// Something to be put on record.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AuditAct {
    pub(crate) actor: Actor,
    pub(crate) action: Action,
    pub(crate) target: Option<String>,
    pub(crate) outcome: Outcome,
    pub(crate) reason: Option<String>,
}

impl AuditAct {
    /// What it is done to: a path, an account, a gap.
    #[must_use]
    pub fn to(self, target: impl Into<String>) -> Self {
        Self { target: Some(target.into()), ..self }
    }

    /// The same, and it did not work, and why.
    #[must_use]
    pub fn failed(self, reason: impl Into<String>) -> Self {
        Self { outcome: Outcome::Failed, reason: Some(reason.into()), ..self }
    }

    /// Why, or what came of it.
    #[must_use]
    pub fn because(self, reason: impl Into<String>) -> Self {
        Self { reason: Some(reason.into()), ..self }
    }

    /// The record that follows one with the number `after` and the hash `previous`.
    #[must_use]
    pub(crate) fn record(&self, after: i64, previous: &Hash, at: UnixMillis, occurrences: i64) -> AuditRecord {
        let mut record = AuditRecord {
            seq: after + 1,
            at,
            actor: self.actor.name.as_deref().map(tidy),
            role: self.actor.role.map(|role| role.to_string()),
            address: self.actor.address.map(|address| address.to_string()),
            user_agent: self.actor.user_agent.as_deref().map(tidy),
            action: self.action.as_str().to_owned(),
            target: self.target.as_deref().map(tidy),
            outcome: self.outcome.as_str().to_owned(),
            reason: self.reason.as_deref().map(tidy),
            occurrences,
            hash: String::new(),
        };
        record.hash = Hex(&hash(&record, previous)).to_string();
        record
    }
}

/// What becomes one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) act: AuditAct,
    pub(crate) at: UnixMillis,
    /// More than one where repetitions are one record.
    pub(crate) occurrences: i64,
}

/// Text from outside as it is kept.
fn tidy(text: &str) -> String {
    text::tidy(text, text::BYTES_MAX)
}

/// SHA-256 over the domain, the hash of the record before, and every field with its length in front, in a fixed order:
/// no two different records are the same bytes.
#[must_use]
pub fn hash(record: &AuditRecord, previous: &Hash) -> Hash {
    let mut sha = Sha256::new();
    sha.update(DOMAIN);
    sha.update(previous);
    for number in [record.seq, record.at.0, record.occurrences] {
        sha.update(number.to_be_bytes());
    }
    let texts = [
        record.actor.as_deref(),
        record.role.as_deref(),
        record.address.as_deref(),
        record.user_agent.as_deref(),
        Some(record.action.as_str()),
        record.target.as_deref(),
        Some(record.outcome.as_str()),
        record.reason.as_deref(),
    ];
    for text in texts {
        match text {
            None => sha.update([0]),
            Some(text) => {
                sha.update([1]);
                sha.update((text.len() as u64).to_be_bytes());
                sha.update(text);
            }
        }
    }
    sha.finalize().into()
}

/// A hash as text.
pub(crate) struct Hex<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Email;
    use super::*;

    fn record(change: impl FnOnce(&mut AuditAct)) -> AuditRecord {
        let ann = Actor { name: Some("ann@x".into()), role: Some(Role::Admin), ..Actor::default() };
        let mut act = ann.does(Action::PageView).to("/admin");
        change(&mut act);
        act.record(6, &[7; 32], UnixMillis(1_768_998_896_789), 1)
    }

    #[test]
    fn every_field_and_the_record_before_are_in_the_hash() {
        let first = record(|_| {});
        let changes: [fn(&mut AuditRecord); 10] = [
            |r| r.seq += 1,
            |r| r.at.0 += 1,
            |r| r.occurrences += 1,
            |r| r.actor = None,
            |r| r.role = Some("super".into()),
            |r| r.address = Some("::1".into()),
            |r| r.user_agent = Some(String::new()),
            |r| r.action = "page_views".into(),
            |r| (r.target, r.reason) = (r.reason.take(), r.target.take()),
            |r| r.outcome = "refused".into(),
        ];
        for change in changes {
            let mut other = first.clone();
            change(&mut other);
            assert_ne!(hash(&first, &[7; 32]), hash(&other, &[7; 32]), "{other:?}");
        }
        assert_ne!(hash(&first, &[7; 32]), hash(&first, &[8; 32]));
    }

    #[test]
    fn the_encoding_never_changes() {
        // A log of an older version has to stay whole.
        assert_eq!(record(|_| {}).hash, "57a30f3fca3ee733bee24cae47d1e0c504756e708e5f1dcee81262d385505615");
    }

    #[test]
    fn text_from_outside_is_cut_and_made_harmless() {
        let long = record(|act| act.target = Some("é".repeat(600)));
        assert_eq!(long.target.unwrap().len(), 512);
        let odd = record(|act| act.reason = Some("a\n{\"forged\":1}\u{1b}[2J".into()));
        assert_eq!(odd.reason.as_deref(), Some(r#"a\u{a}{"forged":1}\u{1b}[2J"#));
    }

    #[test]
    fn nobody_on_the_command_line_looks_like_an_account() {
        for (user, name) in [
            ("ann", "cli:ann"),
            ("admin@example.com", "cli:admin_example.com"),
            ("a\n{\"actor\":\"server\"}", "cli:a___actor___server__"),
            ("", "cli:"),
        ] {
            assert_eq!(command_line_name(user), name);
        }
        assert_eq!(command_line_name(&"é".repeat(99)).len(), "cli:".len() + 32);
        assert!("cli:ann@x".parse::<Email>().is_err() && "server".parse::<Email>().is_err());
    }

    #[test]
    fn names_are_read_back() {
        assert!(Action::ALL.into_iter().all(|action| action.as_str().parse() == Ok(action)));
        assert!(Outcome::ALL.into_iter().all(|outcome| outcome.as_str().parse() == Ok(outcome)));
        assert!("reboot".parse::<Action>().is_err());
    }
}
