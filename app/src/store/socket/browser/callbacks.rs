//! What the browser calls: when the socket opens, brings something or closes, when time passes, when there is something to draw,
//! when somebody clicks.

use super::{Link, now};
use crate::store::{engine::Rest, link::LinkState};
use std::rc::Weak;
use wasm_bindgen::{JsCast, closure::Closure};
use web_sys::{CloseEvent, MessageEvent};

/// Made once for all sockets: a callback may then not be dropped while it runs.
pub(super) struct Callbacks {
    pub(super) open: Closure<dyn FnMut()>,
    pub(super) message: Closure<dyn FnMut(MessageEvent)>,
    pub(super) close: Closure<dyn FnMut(CloseEvent)>,
    pub(super) retry: Closure<dyn FnMut()>,
    pub(super) beat: Closure<dyn FnMut()>,
    pub(super) draw: Closure<dyn FnMut()>,
    pub(super) drawn: Closure<dyn FnMut()>,
    pub(super) wake: Closure<dyn FnMut()>,
    pub(super) press: Closure<dyn FnMut()>,
    pub(super) click: Closure<dyn FnMut()>,
}

/// A callback that does nothing once the link is gone.
fn guarded(link: &Weak<Link>, run: impl Fn(&Link) + 'static) -> Closure<dyn FnMut()> {
    let link = link.clone();
    Closure::new(move || {
        if let Some(link) = link.upgrade().filter(|link| !link.ended.get()) {
            run(&link);
        }
    })
}

fn guarded_with<T: wasm_bindgen::convert::FromWasmAbi + 'static>(
    link: &Weak<Link>,
    run: impl Fn(&Link, T) + 'static,
) -> Closure<dyn FnMut(T)> {
    let link = link.clone();
    Closure::new(move |argument| {
        if let Some(link) = link.upgrade().filter(|link| !link.ended.get()) {
            run(&link, argument);
        }
    })
}

impl Callbacks {
    pub(super) fn new(link: &Weak<Link>) -> Self {
        Self {
            open: guarded(link, |link| {
                link.http_works.set(false);
                link.last_frame.set(now());
                link.catching_up.set(true);
                link.store.set_link(link.state_while_opening(LinkState::CatchingUp));
            }),
            message: guarded_with(link, |link, event: MessageEvent| link.take(&event)),
            close: guarded_with(link, |link, event: CloseEvent| link.lost(event.code())),
            retry: guarded(link, Link::connect),
            beat: guarded(link, Link::beat),
            draw: guarded(link, |link| {
                link.frame.set(None);
                if link.gives_way() {
                    return link.ask_for_frame();
                }
                if link.beats.take() {
                    link.store.beat(now());
                }
                if link.store.animation_frame(now()) != Rest::None {
                    link.ask_for_frame();
                }
                // The next task comes when the browser has laid out and painted what this one wrote.
                link.with_callbacks(|callbacks| {
                    let drawn = callbacks.drawn.as_ref().unchecked_ref();
                    link.window.set_timeout_with_callback(drawn).ok()
                });
            }),
            drawn: guarded(link, |link| link.store.drawn(now())),
            wake: guarded(link, Link::wake),
            press: guarded(link, |link| link.pressed_at.set(now())),
            click: guarded(link, |link| {
                link.pressed_at.take();
                link.clicked.set(true);
            }),
        }
    }
}
