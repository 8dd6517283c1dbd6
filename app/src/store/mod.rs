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
//! A column's figures and ages are written once a second, with the report, and not into all of many columns in the same frame, which
//! would take long; rows in sight are written with every frame. A click is answered before anything else is drawn.
//!
//! What the reader does goes the same way in small: an [`table::Act`] changes the engine, which writes the signals.
//!
//! Everything but [`socket`] and [`storage`] is plain Rust: the server builds the same [`Store`] from the same first view to render the
//! page, and tests run it natively.

pub mod announcer;
pub mod arrangement;
mod arriving;
pub mod backoff;
pub mod clock;
pub mod engine;
pub mod filter;
pub mod link;
pub mod moment;
pub mod refresh;
pub mod screen_delay;
pub mod side;
pub mod socket;
pub mod storage;
pub mod table;
pub mod tape;
pub mod view;

use crate::model::{
    connection::ConnectionId,
    protocol::{Frame, Snapshot},
    symbol::Symbol,
    symbol_detail::SymbolName,
    tape::TapeSet,
    time::UnixMillis,
};
use arrangement::PageArrangement;
use engine::{Engine, Found, Rest};
use leptos::prelude::*;
use link::LinkState;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use table::Act;
use view::View;

/// The page's state; a clone is another handle on the same.
#[derive(Clone)]
pub struct Store {
    /// The signals that components read.
    pub view: View,
    engine: Arc<Mutex<Engine>>,
}

impl Store {
    /// Starts from what the server rendered, arranged as the address asks.
    #[must_use]
    pub fn new(snapshot: Snapshot, opening: PageArrangement) -> Self {
        let made_at = snapshot.report.live.head.generated_at;
        let mut engine = Engine::new(snapshot, opening);
        let view = View::default();
        engine.paint(&view, made_at);
        Self { view, engine: Arc::new(Mutex::new(engine)) }
    }

    /// Nothing awaits or renders while it is held: signals only queue their effects.
    fn engine(&self) -> MutexGuard<'_, Engine> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a frame that arrived when this machine's clock showed `local`; true for a snapshot that is whole.
    pub fn receive(&self, frame: Frame, local: UnixMillis) -> bool {
        self.engine().receive(frame, local)
    }

    /// The next snapshot is of another moment, maybe an earlier one: nothing is carried over into it.
    pub fn jump(&self) {
        self.engine().jump();
    }

    /// Folds what came and shows it; once an animation frame. Unless it returns [`Rest::None`] another one has to follow, even if
    /// nothing comes.
    pub fn animation_frame(&self, local: UnixMillis) -> Rest {
        self.engine().paint(&self.view, local)
    }

    /// What that wrote is drawn.
    pub fn drawn(&self, local: UnixMillis) {
        self.engine().drawn(local);
    }

    /// The page is seen again.
    pub fn wake(&self) {
        self.engine().wake();
    }

    /// One second went by: clocks, ages, staleness.
    pub fn beat(&self, local: UnixMillis) {
        self.engine().beat(&self.view, local);
    }

    /// Freezes the view, or lets it go to show the present, from the next animation frame on.
    pub fn toggle_pause(&self, local: UnixMillis) {
        self.engine().toggle_pause(&self.view, local);
    }

    /// The reader does something to a column.
    pub fn act(&self, id: ConnectionId, act: Act) {
        self.engine().act(&self.view, id, act);
    }

    /// Text is selected in these columns, and in no others.
    pub fn select(&self, selected: TapeSet) {
        self.engine().select(&self.view, selected);
    }

    /// Puts all rows into the document for the printer, or takes them out again.
    pub fn print(&self, printing: bool) {
        self.engine().print(&self.view, printing);
    }

    /// The symbols of all columns that have a text in them, the best matches first, and how many there are.
    #[must_use]
    pub fn find(&self, text: &str, max: usize) -> (Vec<Found>, usize) {
        self.engine().find(text, max)
    }

    /// The symbol that an address names.
    #[must_use]
    pub fn named(&self, name: SymbolName) -> Option<Found> {
        self.engine().named(name)
    }

    /// What an address calls the row of a symbol: the first connection that has it needs no number.
    #[must_use]
    pub fn name_of(&self, id: ConnectionId, symbol: Symbol) -> SymbolName {
        let plain = SymbolName { symbol, connection: None };
        let is_first = self.named(plain).is_none_or(|first| first.connection_id == id);
        SymbolName { connection: (!is_first).then_some(id), ..plain }
    }

    /// The columns whose tape is open.
    #[must_use]
    pub fn open_tapes(&self) -> TapeSet {
        self.engine().open_tapes()
    }

    /// How the page is arranged now: what its address should say.
    #[must_use]
    pub fn arrangement(&self) -> PageArrangement {
        self.engine().arrangement()
    }

    /// The socket's state changed.
    pub fn set_link(&self, state: LinkState) {
        if self.view.link.get_untracked() != state {
            self.engine().set_link(&self.view, state);
            self.view.link.set(state);
        }
    }

    /// The socket brought the present, at `local`.
    pub fn go_live(&self, local: UnixMillis) {
        self.set_link(LinkState::Live);
        self.beat(local);
        self.engine().pause_as_opened(&self.view, local);
    }

    /// A local time in the server's clock.
    #[must_use]
    pub fn server_time(&self, local: UnixMillis) -> UnixMillis {
        self.engine().server_time(local)
    }
}
