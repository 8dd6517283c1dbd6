//! The browser's side: one [`Link`] for as long as the page is there, a socket after another.

mod callbacks;

use crate::{
    api::STATUS_UNASKED,
    model::{
        protocol::{CloseReason, ComeBack, Frame, SUBPROTOCOL_BINARY},
        tape::TapeSet,
        time::UnixMillis,
    },
    store::{
        Store, backoff,
        link::{Ended, LinkState, Remedy, silence_ms_max},
        storage,
        view::set_if_changed,
    },
};
use callbacks::Callbacks;
use leptos::prelude::*;
use std::{
    cell::{Cell, RefCell},
    rc::{Rc, Weak},
};
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use web_sys::{BinaryType, MessageEvent, WebSocket, Window};

const BEAT_MS: i32 = 1_000;
/// As long as most clicks take, in milliseconds; whoever presses for longer drags, or holds a finger on the page.
const PRESS_MS: i64 = 100;
const UNREADABLE_MS: i64 = 60_000;
const PATH: &str = "/admin-ws";
/// How often a page that cannot come back asks whether it may: at the second failure, then at every sixth.
const STATUS_EVERY_ATTEMPTS: u32 = 6;

/// The page's socket, from hydration until the page goes.
#[derive(Clone, Copy)]
pub struct KeptLink(StoredValue<Option<Rc<Link>>, LocalStorage>);

impl KeptLink {
    /// Tells the server which tapes are open, when that changed.
    pub fn tell_tapes(self) {
        let _ = self.0.try_with_value(|link| link.as_ref().map(|link| link.tell_tapes()));
    }

    /// Asks for an animation frame, to show what waits.
    pub fn ask_for_frame(self) {
        let _ = self.0.try_with_value(|link| link.as_ref().map(|link| link.ask_for_frame()));
    }

    /// Opens a lost socket again without waiting any longer.
    pub fn retry_now(self) {
        let _ = self.0.try_with_value(|link| link.as_ref().map(|link| link.retry_now()));
    }
}

/// Opens the socket once the page is hydrated, closes it when the page goes.
#[must_use]
pub fn keep(store: &Store) -> KeptLink {
    let held = StoredValue::new_local(None);
    let store = store.clone();
    Effect::new(move |_| held.set_value(Some(start(store.clone()))));
    on_cleanup(move || {
        let _ = held.try_with_value(|link: &Option<Rc<Link>>| link.as_ref().map(|link| link.end()));
    });
    KeptLink(held)
}

/// Where the page's clock stands in the document; its text shows whether the document still takes what is written.
const CLOCK_ID: &str = "utc-clock";

struct Link {
    this: Weak<Link>,
    store: Store,
    window: Window,
    socket: RefCell<Option<WebSocket>>,
    callbacks: RefCell<Option<Callbacks>>,
    /// Set first when the page goes: no late callback may touch what is gone.
    ended: Cell<bool>,
    attempt: Cell<u32>,
    /// The server answered a plain request while no socket could be opened.
    http_works: Cell<bool>,
    last_frame: Cell<UnixMillis>,
    /// The socket's first snapshot is on its way.
    catching_up: Cell<bool>,
    retry_timer: Cell<Option<i32>>,
    beat_timer: Cell<Option<i32>>,
    frame: Cell<Option<i32>>,
    /// A second went by, which the next animation frame shows.
    beats: Cell<bool>,
    /// The tapes that the server knows to be open; none on a new socket.
    tapes_said: Cell<TapeSet>,
    /// Frames that could not be read, each within [`UNREADABLE_MS`] of the one before, and when the last one came.
    unreadable: Cell<(u32, UnixMillis)>,
    /// When the pointer was pressed, and whether that became a click since the last animation frame.
    pressed_at: Cell<UnixMillis>,
    clicked: Cell<bool>,
    /// Did the last animation frame give way to a click?
    gave_way: Cell<bool>,
    /// Did the document differ from what was written a second ago?
    differed: Cell<bool>,
}

fn start(store: Store) -> Rc<Link> {
    let link = Rc::new_cyclic(|this| Link {
        this: this.clone(),
        store,
        window: window(),
        socket: RefCell::default(),
        callbacks: RefCell::default(),
        ended: Cell::new(false),
        attempt: Cell::new(0),
        http_works: Cell::new(false),
        last_frame: Cell::new(now()),
        catching_up: Cell::new(false),
        retry_timer: Cell::new(None),
        beat_timer: Cell::new(None),
        frame: Cell::new(None),
        beats: Cell::new(false),
        tapes_said: Cell::default(),
        unreadable: Cell::default(),
        pressed_at: Cell::default(),
        clicked: Cell::new(false),
        gave_way: Cell::new(false),
        differed: Cell::new(false),
    });
    *link.callbacks.borrow_mut() = Some(Callbacks::new(&Rc::downgrade(&link)));
    link.listen(true);
    link.connect();
    link.beat();
    link
}

fn now() -> UnixMillis {
    UnixMillis(js_sys::Date::now() as i64)
}

impl Link {
    fn with_callbacks<R>(&self, with: impl FnOnce(&Callbacks) -> R) -> Option<R> {
        self.callbacks.borrow().as_ref().map(with)
    }

    fn tell_tapes(&self) {
        let open = self.store.open_tapes();
        // Before the snapshot the socket may not even be open; with it, this is called again.
        if open == self.tapes_said.get() || !self.store.view.link.get_untracked().is_live() {
            return;
        }
        let numbers: Vec<_> = open.iter().map(|id| id.to_string()).collect();
        let command = [r#"{"event":"set_tape","connections":["#, &numbers.join(","), "]}"].concat();
        if self.socket.borrow().as_ref().is_some_and(|socket| socket.send_with_str(&command).is_ok()) {
            self.tapes_said.set(open);
        }
    }

    fn end(&self) {
        self.ended.set(true);
        self.drop_socket();
        self.listen(false);
        // The browser calls what it was promised to call, even what is gone by then.
        if let Some(frame) = self.frame.take() {
            let _ = self.window.cancel_animation_frame(frame);
        }
    }

    /// Watches time, network, visibility and clicks, or stops doing so.
    fn listen(&self, on: bool) {
        self.with_callbacks(|callbacks| {
            let events = [
                ("online", &callbacks.wake),
                ("visibilitychange", &callbacks.wake),
                ("pointerdown", &callbacks.press),
                ("click", &callbacks.click),
            ];
            for (name, callback) in events {
                let callback = callback.as_ref().unchecked_ref();
                let _ = if on {
                    self.window.add_event_listener_with_callback(name, callback)
                } else {
                    self.window.remove_event_listener_with_callback(name, callback)
                };
            }
            if on {
                let beat = callbacks.beat.as_ref().unchecked_ref();
                let timer = self.window.set_interval_with_callback_and_timeout_and_arguments_0(beat, BEAT_MS);
                self.beat_timer.set(timer.ok());
            } else if let Some(timer) = self.beat_timer.take() {
                self.window.clear_interval_with_handle(timer);
            }
        });
    }

    /// Once lost, the link stays lost until it is live again; only the very first start is "connecting".
    fn state_while_opening(&self, first: LinkState) -> LinkState {
        if self.attempt.get() == 0 { first } else { self.state_while_lost(None) }
    }

    fn state_while_lost(&self, retry_at: Option<UnixMillis>) -> LinkState {
        LinkState::Lost { attempt: self.attempt.get(), retry_at, http_works: self.http_works.get() }
    }

    fn connect(&self) {
        self.drop_socket();
        self.tapes_said.set(TapeSet::default());
        self.store.set_link(self.state_while_opening(LinkState::Connecting));
        self.last_frame.set(now());
        self.catching_up.set(false);
        let location = self.window.location();
        let scheme = if location.protocol().is_ok_and(|protocol| protocol == "https:") { "wss://" } else { "ws://" };
        let url = [scheme, &location.host().unwrap_or_default(), PATH].concat();
        let Ok(socket) = WebSocket::new_with_str(&url, SUBPROTOCOL_BINARY) else {
            return self.lost(1006);
        };
        socket.set_binary_type(BinaryType::Arraybuffer);
        self.with_callbacks(|callbacks| {
            socket.set_onopen(Some(callbacks.open.as_ref().unchecked_ref()));
            socket.set_onmessage(Some(callbacks.message.as_ref().unchecked_ref()));
            socket.set_onclose(Some(callbacks.close.as_ref().unchecked_ref()));
        });
        *self.socket.borrow_mut() = Some(socket);
    }

    /// Lets go of the socket, so that nothing it still says arrives, and of a retry that waits.
    fn drop_socket(&self) {
        if let Some(socket) = self.socket.borrow_mut().take() {
            socket.set_onopen(None);
            socket.set_onmessage(None);
            socket.set_onclose(None);
            let _ = socket.close();
        }
        if let Some(timer) = self.retry_timer.take() {
            self.window.clear_timeout_with_handle(timer);
        }
    }

    fn take(&self, event: &MessageEvent) {
        // Text is the server's answer to a command it did not understand; this page sends none such.
        let Ok(buffer) = event.data().dyn_into::<js_sys::ArrayBuffer>() else { return };
        let arrived = now();
        self.last_frame.set(arrived);
        let bytes = js_sys::Uint8Array::new(&buffer).to_vec();
        let Ok(frame) = Frame::decode(&bytes) else {
            return self.take_unreadable();
        };
        if self.store.receive(frame, arrived) {
            self.catching_up.set(false);
            self.attempt.set(0);
            // Rows may have other places now: the next frame shows them, whatever is clicked on.
            self.pressed_at.take();
            self.clicked.set(false);
            self.store.go_live(arrived);
            self.tell_tapes();
        }
        self.ask_for_frame();
    }

    fn take_unreadable(&self) {
        let (before, at) = self.unreadable.get();
        let count = if now().millis_since(at) < UNREADABLE_MS { before + 1 } else { 1 };
        self.unreadable.set((count, now()));
        leptos::logging::warn!("a frame could not be read ({count} within a minute)");
        match Remedy::after(count, count > 1 && storage::reloaded_of_late(now())) {
            Remedy::Reconnect => self.lost(1006),
            Remedy::Reload => {
                self.drop_socket();
                let _ = self.window.location().reload();
            }
            Remedy::GiveUp => {
                self.drop_socket();
                self.store.set_link(LinkState::Ended(Ended::Unreadable));
            }
        }
    }

    fn ask_for_frame(&self) {
        if self.frame.get().is_none() {
            self.with_callbacks(|callbacks| {
                let draw = callbacks.draw.as_ref().unchecked_ref();
                self.frame.set(self.window.request_animation_frame(draw).ok());
            });
        }
    }

    /// Is a click to be answered first? What it changes is drawn in a frame without ticks, and while the pointer is down nothing is
    /// drawn, so that the click is handled at once. A key that is held down clicks again and again: every other frame is drawn.
    fn gives_way(&self) -> bool {
        let clicked = self.clicked.take() && !self.gave_way.get();
        self.gave_way.set(clicked);
        clicked || (0..PRESS_MS).contains(&now().millis_since(self.pressed_at.get()))
    }

    /// The socket closed with `code`, or is as good as closed.
    fn lost(&self, code: u16) {
        self.drop_socket();
        let come_back = CloseReason::come_back(code);
        if come_back == ComeBack::Never {
            return self.store.set_link(LinkState::Ended(Ended::of_close(code)));
        }
        let attempt = self.attempt.get().saturating_add(1);
        self.attempt.set(attempt);
        let delay_ms = match come_back {
            ComeBack::AtOnce if attempt == 1 => 0,
            _ => backoff::delay_ms(attempt, js_sys::Math::random()),
        };
        let retry_at = self.store.server_time(UnixMillis(now().0 + i64::from(delay_ms)));
        self.store.set_link(self.state_while_lost(Some(retry_at)));
        self.with_callbacks(|callbacks| {
            let retry = callbacks.retry.as_ref().unchecked_ref();
            let timer =
                self.window.set_timeout_with_callback_and_timeout_and_arguments_0(retry, delay_ms.cast_signed());
            self.retry_timer.set(timer.ok());
        });
        if attempt % STATUS_EVERY_ATTEMPTS == 2 {
            self.ask_for_status();
        }
    }

    /// A refused handshake closes with 1006 and hides its status; the API tells whether the session is over.
    fn ask_for_status(&self) {
        let link = self.this.clone();
        let answer = Closure::once(move |response: JsValue| {
            if let Some(link) = link.upgrade().filter(|link| !link.ended.get()) {
                link.take_status(&response);
            }
        });
        let _ = self.window.fetch_with_str(STATUS_UNASKED).then2(&answer, &answer);
        // Called once and then empty; it may outlive the page, so nobody else can hold it.
        answer.forget();
    }

    fn take_status(&self, response: &JsValue) {
        let status = response.dyn_ref::<web_sys::Response>().map(web_sys::Response::status);
        // Said from the next failure on: until then the server may have come back just now.
        self.http_works.set(status == Some(200) && self.socket.borrow().is_none());
        if let Some(ended) = status.and_then(Ended::of_http) {
            self.drop_socket();
            self.store.set_link(LinkState::Ended(ended));
        }
    }

    /// The tab came to the front, or the network came back: no reason to wait any longer.
    fn wake(&self) {
        if document().hidden() {
            return;
        }
        self.store.wake();
        self.beat();
        self.ask_for_frame();
        self.retry_now();
    }

    fn retry_now(&self) {
        if self.retry_timer.get().is_some() {
            self.connect();
        }
    }

    /// The clock was written a second ago. Where the document shows another text, somebody else has put nodes of theirs
    /// into the place of ours, and prices are written where nobody sees them.
    fn look_at_document(&self) {
        let view = &self.store.view;
        let Some(clock) = view.clock.get_untracked().filter(|_| !document().hidden()) else { return };
        let shown = document().get_element_by_id(CLOCK_ID).and_then(|element| element.text_content());
        let differs = shown.is_none_or(|shown| shown != clock.clock());
        let differed = self.differed.replace(differs);
        set_if_changed(&view.altered, differs && differed);
    }

    fn beat(&self) {
        self.look_at_document();
        let now = now();
        // Drawn with the next frame, or the browser would lay the page out twice. Where no frames come, as in a hidden tab, here.
        if self.beats.replace(true) || document().hidden() {
            self.beats.set(false);
            self.store.beat(now);
        }
        self.ask_for_frame();
        let silent = now.millis_since(self.last_frame.get()) > silence_ms_max(self.catching_up.get());
        if silent && self.socket.borrow().is_some() {
            self.lost(1006);
        }
    }
}
