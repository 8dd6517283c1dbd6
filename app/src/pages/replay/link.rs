//! The browser's side of the replay's socket: one command at a time, the last one that a reader gave waits; frames go into the
//! store at their own time.

use super::said::Said;
use crate::{
    components::replay::player::{Player, SPEEDS},
    model::{
        protocol::{CloseReason, ComeBack, Frame, SUBPROTOCOL_BINARY},
        tape::TapeSet,
        time::UnixMillis,
    },
    store::{
        Store, backoff,
        engine::Rest,
        link::{Ended, LinkState},
    },
};
use leptos::prelude::*;
use std::{
    cell::{Cell, RefCell},
    rc::{Rc, Weak},
    time::Duration,
};
use wasm_bindgen::{JsCast, closure::Closure};
use web_sys::{BinaryType, CloseEvent, MessageEvent, WebSocket};

const PATH: &str = "/admin-ws/replay";
/// While frames come, clocks and ages are written at most so often, in milliseconds.
const BEAT_MS: f64 = 200.0;

/// What a reader wants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Command {
    /// This moment.
    Seek(UnixMillis),
    /// The next frame, or the one before.
    Step(bool),
    /// Go on, at the player's speed.
    Play,
    /// Stand still.
    Pause,
}

impl Command {
    /// Does it start anew from a snapshot?
    fn jumps(self) -> bool {
        matches!(self, Self::Seek(_) | Self::Step(false))
    }

    fn text(self, speed: &str) -> String {
        match self {
            Self::Seek(to) => [r#"{"event":"seek","at":""#, &to.to_string(), r#""}"#].concat(),
            Self::Step(true) => r#"{"event":"step","back":false}"#.to_owned(),
            Self::Step(false) => r#"{"event":"step","back":true}"#.to_owned(),
            Self::Play => [r#"{"event":"play","speed":"#, speed, "}"].concat(),
            Self::Pause => r#"{"event":"pause"}"#.to_owned(),
        }
    }
}

/// The socket, from hydration until the page goes.
#[derive(Clone, Copy)]
pub(super) struct KeptLink(StoredValue<Option<Rc<Link>>, LocalStorage>);

impl KeptLink {
    /// Asks for something, now or after what is under way.
    pub(super) fn ask(self, command: Command) {
        let _ = self.0.try_with_value(|link| link.as_ref().map(|link| link.ask(command)));
    }

    /// Tells the server which tapes are open, when that changed.
    pub(super) fn tell_tapes(self) {
        let _ = self.0.try_with_value(|link| link.as_ref().map(|link| link.tell_tapes()));
    }

    /// Opens a lost socket again without waiting any longer.
    pub(super) fn retry_now(self) {
        let _ = self.0.try_with_value(|link| link.as_ref().map(|link| link.connect()));
    }
}

/// Opens the socket once the page is hydrated, closes it when the page goes. `on_settled` is told when the reader has arrived
/// somewhere and stays.
pub(super) fn keep(store: &Store, player: Player, on_settled: Callback<()>) -> KeptLink {
    let held = StoredValue::new_local(None);
    let store = store.clone();
    Effect::new(move |_| held.set_value(Some(Link::start(store.clone(), player, on_settled))));
    on_cleanup(move || {
        let _ = held.try_with_value(|link: &Option<Rc<Link>>| link.as_ref().map(|link| link.end()));
    });
    KeptLink(held)
}

struct Callbacks {
    open: Closure<dyn FnMut()>,
    message: Closure<dyn FnMut(MessageEvent)>,
    close: Closure<dyn FnMut(CloseEvent)>,
}

pub(super) struct Link {
    this: Weak<Link>,
    store: Store,
    player: Player,
    on_settled: Callback<()>,
    socket: RefCell<Option<WebSocket>>,
    callbacks: RefCell<Option<Callbacks>>,
    /// Set first when the page goes: no late callback may touch what is gone.
    ended: Cell<bool>,
    attempt: Cell<u32>,
    /// What was sent and is not answered yet.
    sent: Cell<Option<Command>>,
    /// What comes after it.
    waiting: Cell<Option<Command>>,
    /// The time of the newest frame.
    at: Cell<UnixMillis>,
    /// Is an animation frame asked for?
    drawing: Cell<bool>,
    /// The second whose clocks are shown, and when they were written, by this machine's clock.
    beaten: Cell<(i64, f64)>,
    tapes_said: Cell<TapeSet>,
}

/// Runs nothing once the page is gone.
fn with(link: &Weak<Link>, run: impl FnOnce(&Link)) {
    if let Some(link) = link.upgrade().filter(|link| !link.ended.get()) {
        run(&link);
    }
}

impl Link {
    fn start(store: Store, player: Player, on_settled: Callback<()>) -> Rc<Self> {
        let link = Rc::new_cyclic(|this: &Weak<Self>| Self {
            this: this.clone(),
            store,
            player,
            on_settled,
            socket: RefCell::default(),
            callbacks: RefCell::default(),
            ended: Cell::new(false),
            attempt: Cell::new(0),
            sent: Cell::new(None),
            waiting: Cell::new(None),
            at: Cell::new(player.at.get_untracked()),
            drawing: Cell::new(false),
            beaten: Cell::new((0, 0.0)),
            tapes_said: Cell::default(),
        });
        let (opened, took, closed) = (link.this.clone(), link.this.clone(), link.this.clone());
        *link.callbacks.borrow_mut() = Some(Callbacks {
            open: Closure::new(move || with(&opened, Self::opened)),
            message: Closure::new(move |event: MessageEvent| with(&took, |link| link.take(&event))),
            close: Closure::new(move |event: CloseEvent| with(&closed, |link| link.lost(event.code()))),
        });
        link.connect();
        link
    }

    fn end(&self) {
        self.ended.set(true);
        self.drop_socket();
    }

    fn drop_socket(&self) {
        if let Some(socket) = self.socket.borrow_mut().take() {
            socket.set_onopen(None);
            socket.set_onmessage(None);
            socket.set_onclose(None);
            let _ = socket.close();
        }
    }

    fn connect(&self) {
        self.drop_socket();
        self.tapes_said.set(TapeSet::default());
        self.sent.set(None);
        self.waiting.set(None);
        let location = window().location();
        let scheme = if location.protocol().is_ok_and(|protocol| protocol == "https:") { "wss://" } else { "ws://" };
        let url = [scheme, &location.host().unwrap_or_default(), PATH].concat();
        let Ok(socket) = WebSocket::new_with_str(&url, SUBPROTOCOL_BINARY) else { return self.lost(1006) };
        socket.set_binary_type(BinaryType::Arraybuffer);
        if let Some(callbacks) = &*self.callbacks.borrow() {
            socket.set_onopen(Some(callbacks.open.as_ref().unchecked_ref()));
            socket.set_onmessage(Some(callbacks.message.as_ref().unchecked_ref()));
            socket.set_onclose(Some(callbacks.close.as_ref().unchecked_ref()));
        }
        *self.socket.borrow_mut() = Some(socket);
    }

    fn opened(&self) {
        self.say_tapes();
        self.ask(Command::Seek(self.player.here_untracked()));
    }

    /// The socket closed, or could not be opened.
    fn lost(&self, code: u16) {
        self.drop_socket();
        self.player.playing.set(false);
        if CloseReason::come_back(code) == ComeBack::Never {
            return self.store.set_link(LinkState::Ended(Ended::of_close(code)));
        }
        let attempt = self.attempt.get().saturating_add(1);
        self.attempt.set(attempt);
        // No time of the next attempt: the page's clock is not of now.
        self.store.set_link(LinkState::Lost { attempt, retry_at: None, http_works: false });
        let delay = backoff::delay_ms(attempt, js_sys::Math::random());
        let link = self.this.clone();
        let again = |link: &Self| {
            if link.socket.borrow().is_none() {
                link.connect();
            }
        };
        set_timeout(move || with(&link, again), Duration::from_millis(delay.into()));
        if attempt == 2 {
            self.ask_why();
        }
    }

    /// A refused handshake hides its status; the API tells whether the session is over.
    fn ask_why(&self) {
        let link = self.this.clone();
        leptos::task::spawn_local(async move {
            let answer = gloo_net::http::Request::get(crate::api::STATUS_UNASKED).send().await;
            let ended = answer.ok().and_then(|answer| Ended::of_http(answer.status()));
            if let Some(ended) = ended {
                with(&link, |link| {
                    link.end();
                    link.store.set_link(LinkState::Ended(ended));
                });
            }
        });
    }

    /// One command is under way at a time; of those that come meanwhile the last one counts.
    fn ask(&self, command: Command) {
        if command.jumps() || command == Command::Pause {
            self.player.playing.set(false);
        }
        if let Command::Seek(to) = command {
            self.player.target.set(Some(to));
        }
        if self.sent.get().is_some() {
            return self.waiting.set(Some(command));
        }
        self.send(command);
    }

    fn send(&self, command: Command) {
        let text = command.text(SPEEDS[self.player.speed.get_untracked().min(SPEEDS.len() - 1)]);
        // Where there is no socket, the moment is asked for as soon as there is one.
        if self.socket.borrow().as_ref().is_some_and(|socket| socket.send_with_str(&text).is_ok()) {
            self.sent.set(Some(command));
        }
    }

    fn tell_tapes(&self) {
        if self.say_tapes() && !self.player.playing.get_untracked() {
            // Their last ticks come with the moment.
            self.ask(Command::Seek(self.player.here_untracked()));
        }
    }

    fn say_tapes(&self) -> bool {
        let open = self.store.open_tapes();
        if open == self.tapes_said.get() {
            return false;
        }
        let numbers: Vec<_> = open.iter().map(|id| id.to_string()).collect();
        let command = [r#"{"event":"set_tape","connections":["#, &numbers.join(","), "]}"].concat();
        let said = self.socket.borrow().as_ref().is_some_and(|socket| socket.send_with_str(&command).is_ok());
        if said {
            self.tapes_said.set(open);
        }
        said
    }

    fn take(&self, event: &MessageEvent) {
        let data = event.data();
        if let Some(text) = data.as_string() {
            return match Said::read(&text) {
                Some(Said::Stands { at, playing, skipped_from, ended }) => {
                    self.stands(at, playing, skipped_from, ended);
                }
                Some(Said::Refused(why)) => self.refused(why),
                None => {}
            };
        }
        let Ok(buffer) = data.dyn_into::<js_sys::ArrayBuffer>() else { return };
        let bytes = js_sys::Uint8Array::new(&buffer).to_vec();
        let Ok(frame) = Frame::decode(&bytes) else {
            leptos::logging::warn!("a frame of the recording could not be read");
            return;
        };
        let jumps = self.sent.get().is_some_and(Command::jumps);
        if jumps && matches!(frame, Frame::Snapshot(_)) {
            self.store.jump();
        }
        self.at.set(frame.made_at().unwrap_or_else(|| self.at.get()));
        if self.store.receive(frame, self.at.get()) {
            self.attempt.set(0);
            self.store.go_live(self.at.get());
            self.beaten.set((0, 0.0));
        }
        // On the way to another moment what still comes of this one moves nothing.
        if !jumps {
            self.draw();
        }
    }

    /// An answer, or while it plays where it is.
    fn stands(&self, at: UnixMillis, playing: bool, skipped_from: Option<UnixMillis>, ended: bool) {
        let player = self.player;
        let is_answer = self.sent.get().is_some_and(|sent| (sent == Command::Play) == playing || ended);
        if self.sent.get().is_some() && !is_answer {
            return;
        }
        self.sent.set(None);
        self.at.set(at);
        self.beaten.set((0, 0.0));
        player.missing.set(None);
        player.playing.set(playing);
        if let Some(from) = skipped_from {
            let length = crate::model::time::format_seconds(at.millis_since(from).max(0).unsigned_abs() / 1000);
            let text = ["Skipped ", &length, " without ticks, from ", &from.clock(), " to ", &at.clock(), " UTC"];
            player.note.set(Some(text.concat()));
        }
        if ended {
            player.note.set(Some("End of the recording".to_owned()));
        }
        self.draw();
        self.go_on(playing);
    }

    /// What comes next, or nothing: the reader has arrived.
    fn go_on(&self, playing: bool) {
        match self.waiting.take() {
            Some(command) => self.send(command),
            None => {
                // With what is drawn next, or the mark would jump back.
                let link = self.this.clone();
                let arrive = move |link: &Self| {
                    if link.sent.get().is_none() {
                        link.player.target.set(None);
                        if !playing {
                            link.on_settled.run(());
                        }
                    }
                };
                request_animation_frame(move || with(&link, arrive));
            }
        }
    }

    /// Nothing is recorded there, or it was not understood.
    fn refused(&self, why: String) {
        let sent = self.sent.take();
        self.player.playing.set(false);
        if let Some(Command::Seek(to)) = sent {
            self.player.at.set(to);
            self.player.missing.set(Some(why));
        } else {
            self.player.note.set(Some(why));
        }
        self.go_on(false);
    }

    fn draw(&self) {
        if self.drawing.replace(true) {
            return;
        }
        let link = self.this.clone();
        request_animation_frame(move || with(&link, Self::drawn));
    }

    fn drawn(&self) {
        self.drawing.set(false);
        let at = self.at.get();
        let (second, written_at) = self.beaten.get();
        let (now, local) = (at.0.div_euclid(1000), js_sys::Date::now());
        if now != second && local - written_at >= BEAT_MS {
            self.beaten.set((now, local));
            self.store.beat(at);
        }
        // A flash goes on with the past, not with the time in which somebody looks at one moment of it.
        if self.store.animation_frame(at) == Rest::Columns {
            self.draw();
        }
        if self.player.at.get_untracked() != at && self.player.missing.with_untracked(Option::is_none) {
            self.player.at.set(at);
        }
    }
}
