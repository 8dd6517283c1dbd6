//! The page's socket: opens it, keeps it, brings it back. On the server [`keep`] does nothing.
//!
//! ```text
//!            open            snapshot
//!  Connecting ──▶ CatchingUp ──────▶ Live
//!      ▲                              │ close, silence of 5 s, a frame that cannot be read
//!      └──── pause (backoff) ◀── Lost ┘            4001, 4003, HTTP 401, 403 ──▶ Ended
//!
//! A snapshot of many rows comes in several frames, each of which is a sign of life; before the first one a silence may be longer.
//!
//! Two frames that cannot be read within a minute, whatever came between them: the page is older than the server and loads itself anew,
//! once. Where that does not help it ends, too.
//! ```

#[cfg(feature = "hydrate")]
mod browser;

#[cfg(not(feature = "hydrate"))]
pub use absent::{KeptLink, keep};
#[cfg(feature = "hydrate")]
pub use browser::{KeptLink, keep};

/// The server's side: the same names, nothing behind them. In particular no value bound to a thread: pages are dropped
/// on whichever thread comes along.
#[cfg(not(feature = "hydrate"))]
mod absent {
    use crate::store::Store;

    /// Nothing to hold on the server.
    #[derive(Clone, Copy)]
    pub struct KeptLink;

    impl KeptLink {
        /// Nobody to tell.
        pub fn tell_tapes(self) {}

        /// Nothing to draw.
        pub fn ask_for_frame(self) {}

        /// Nothing to open.
        pub fn retry_now(self) {}
    }

    /// Pages open sockets, servers do not.
    #[must_use]
    pub fn keep(_store: &Store) -> KeptLink {
        KeptLink
    }
}
