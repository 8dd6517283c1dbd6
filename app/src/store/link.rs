//! The state of the page's own socket.

use crate::model::{protocol::CloseReason, time::UnixMillis};

/// Why the page does not come back by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The session is over.
    SignedOut,
    /// The account's role does not allow it.
    Forbidden,
    /// Frames cannot be read, not even by a page that was loaded anew.
    Unreadable,
}

impl Ended {
    /// What a close code that says "do not come back" means.
    #[must_use]
    pub fn of_close(code: u16) -> Self {
        if code == CloseReason::Forbidden.code() { Self::Forbidden } else { Self::SignedOut }
    }

    /// What a status of the HTTP API means; `None` when it does not end the session.
    #[must_use]
    pub fn of_http(status: u16) -> Option<Self> {
        match status {
            401 => Some(Self::SignedOut),
            403 => Some(Self::Forbidden),
            _ => None,
        }
    }

    /// What the page says.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::SignedOut => "Your session has ended.",
            Self::Forbidden => "Your account no longer has access to this page.",
            Self::Unreadable => "This page cannot read what the server sends: they are of different versions.",
        }
    }
}

/// The page's own socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LinkState {
    /// The first socket is being opened; what is shown is what the server just rendered.
    #[default]
    Connecting,
    /// Open, waiting for the snapshot.
    CatchingUp,
    /// What is shown is the present.
    Live,
    /// Lost; tried again without end.
    Lost {
        /// Attempts since it was live.
        attempt: u32,
        /// When the next one starts, by the server's clock; `None` while one is under way.
        retry_at: Option<UnixMillis>,
        /// The server answers plain requests all the same.
        http_works: bool,
    },
    /// Not to be had with this session.
    Ended(Ended),
}

impl LinkState {
    /// Is what is shown the present?
    #[must_use]
    pub fn is_live(self) -> bool {
        self == Self::Live
    }

    /// Is what is shown old? Not at the very start, until the first snapshot: then it was rendered a moment ago.
    #[must_use]
    pub fn is_stale(self) -> bool {
        matches!(self, Self::Lost { .. } | Self::Ended(_))
    }

    /// Its name in `data-state`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Connecting | Self::CatchingUp => "connecting",
            Self::Live => "live",
            Self::Lost { .. } => "lost",
            Self::Ended(_) => "ended",
        }
    }

    /// The word in the top bar.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::CatchingUp => "catching up",
            Self::Live => "live",
            Self::Lost { .. } => "link lost",
            Self::Ended(Ended::SignedOut) => "signed out",
            Self::Ended(Ended::Forbidden) => "not allowed",
            Self::Ended(Ended::Unreadable) => "out of date",
        }
    }
}

/// Metrics come every second; a link that says nothing for so long is lost, whatever the socket thinks.
const SILENCE_MS_MAX: i64 = 5_000;
/// A snapshot comes in frames of 2,500 rows, each of which counts. Its first has the configuration too: 50,000 symbols take a second and
/// a half at 2 Mbit/s.
const CATCHING_UP_MS_MAX: i64 = 30_000;

/// How long the link may say nothing.
#[must_use]
pub fn silence_ms_max(is_catching_up: bool) -> i64 {
    if is_catching_up { CATCHING_UP_MS_MAX } else { SILENCE_MS_MAX }
}

/// What a page does about a frame that it cannot read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Opens the socket again: the snapshot may be one that it can read.
    Reconnect,
    /// Loads itself anew: it is older than the server.
    Reload,
    /// Says so.
    GiveUp,
}

impl Remedy {
    /// After so many frames of late. `reloaded` when that was tried already.
    #[must_use]
    pub fn after(unreadable: u32, reloaded: bool) -> Self {
        match (unreadable, reloaded) {
            (0 | 1, _) => Self::Reconnect,
            (_, false) => Self::Reload,
            (_, true) => Self::GiveUp,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_live_numbers_look_live() {
        let lost = LinkState::Lost { attempt: 1, retry_at: None, http_works: false };
        let ended = LinkState::Ended(Ended::of_close(4001));
        assert!([lost, ended].into_iter().all(LinkState::is_stale));
        assert!(![LinkState::Connecting, LinkState::CatchingUp].into_iter().any(LinkState::is_stale), "just rendered");
        assert!(!LinkState::Live.is_stale() && LinkState::Live.is_live());
        assert_eq!((lost.name(), ended.label()), ("lost", "signed out"));
        assert_eq!(Ended::of_close(4003), Ended::Forbidden);
        assert_eq!((Ended::of_http(401), Ended::of_http(502)), (Some(Ended::SignedOut), None));
    }

    #[test]
    fn a_page_that_reads_nothing_loads_itself_anew_once_and_then_says_so() {
        let steps = [(1, false), (2, false), (1, true), (2, true), (3, true)];
        use Remedy::{GiveUp, Reconnect, Reload};
        let expected = [Reconnect, Reload, Reconnect, GiveUp, GiveUp];
        assert_eq!(steps.map(|(unreadable, reloaded)| Remedy::after(unreadable, reloaded)), expected);
    }
}
