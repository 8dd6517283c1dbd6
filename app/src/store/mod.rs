//! The browser's state: what came by socket, and the signals that show it.
//!
//! ```text
//!  socket ──▶ Engine: buffer ──(animation frame)──▶ Board ──▶ paint ──▶ View: leaf signals ──▶ text nodes
//!             (append only)      fold all                     only what changed
//! ```
//!
//! The socket's callback only appends. One animation-frame callback folds everything that came since the last one and
//! writes the signals whose value changed, so work per frame is bounded by what is visible, not by what ticks. When no
//! animation frame comes (a tab in the background) the buffer folds itself at [`engine::BUFFER_FRAMES_MAX`].
//!
//! Everything but [`socket`] is plain Rust: the server builds the same [`Store`] from the same first view to render the
//! page, and tests run it natively.

pub mod backoff;
pub mod clock;
pub mod engine;
pub mod link;
pub mod socket;
pub mod view;

use crate::model::{
    connection::ConnectionId,
    protocol::{Frame, Snapshot},
    time::UnixMillis,
};
use engine::Engine;
use leptos::prelude::*;
use link::LinkState;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use view::View;

/// The page's state; a clone is another handle on the same.
#[derive(Clone)]
pub struct Store {
    /// The signals that components read.
    pub view: View,
    engine: Arc<Mutex<Engine>>,
}

impl Store {
    /// Starts from what the server rendered.
    #[must_use]
    pub fn new(snapshot: Snapshot) -> Self {
        let mut engine = Engine::new(snapshot);
        let view = View::default();
        engine.paint(&view);
        Self { view, engine: Arc::new(Mutex::new(engine)) }
    }

    /// Nothing awaits or renders while it is held: signals only queue their effects.
    fn engine(&self) -> MutexGuard<'_, Engine> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a frame that arrived when this machine's clock showed `local`; true for a snapshot.
    pub fn receive(&self, frame: Frame, local: UnixMillis) -> bool {
        self.engine().receive(frame, local)
    }

    /// Folds what came and shows it; once an animation frame.
    pub fn animation_frame(&self) {
        self.engine().paint(&self.view);
    }

    /// One second went by: clocks, ages, staleness.
    pub fn beat(&self, local: UnixMillis) {
        self.engine().beat(&self.view, local);
    }

    /// Freezes the view, or lets it go and shows the present.
    pub fn toggle_pause(&self) {
        self.engine().toggle_pause(&self.view);
    }

    /// The next frame with metrics answers a refresh.
    pub fn expect_refresh(&self) {
        self.engine().expect_refresh();
        self.view.refreshing.set(true);
    }

    /// Shows `count` rows of a connection's table from the one at place `first` on.
    pub fn show_rows(&self, id: ConnectionId, first: usize, count: usize) {
        self.engine().show_rows(&self.view, id, first, count);
    }

    /// The socket's state changed.
    pub fn set_link(&self, state: LinkState) {
        if self.view.link.get_untracked() != state {
            self.engine().set_linked(state.is_live());
            self.view.link.set(state);
        }
    }

    /// A local time in the server's clock.
    #[must_use]
    pub fn server_time(&self, local: UnixMillis) -> UnixMillis {
        self.engine().server_time(local)
    }
}
