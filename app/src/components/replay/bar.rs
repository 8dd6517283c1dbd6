//! The bar over everything that is of the past.

use super::{
    keeping::{Differences, Export, Keeping, Keys},
    map::Map,
    player::{Ask, Player, SPEEDS},
};
use crate::{
    address::DASHBOARD,
    model::{market::new_york_clock, past::ReplayView},
    store::moment::WINDOWS,
};
use leptos::prelude::*;

/// The bar.
#[component]
pub fn PastBar(
    /// What there is.
    view: Signal<ReplayView>,
    /// Where the replay stands.
    player: Player,
    /// What a screen reader is told: the moment, once the reader has arrived there.
    said: Signal<String>,
    /// May the reader keep something?
    may_act: bool,
    /// Do keys of one character work?
    keys_on: RwSignal<bool>,
    /// What the reader asks for.
    on_ask: Callback<Ask>,
    /// Something is kept now, or no more.
    on_kept: Callback<()>,
) -> impl IntoView {
    let here = move || player.here();
    let day = move || here().to_string().get(..10).unwrap_or_default().to_owned();
    let millis = move || here().clock_millis().get(8..).unwrap_or_default().to_owned();
    view! {
        <section class="past" aria-label="The past" data-testid="past" data-at=move || player.at.get().0.to_string() data-playing=move || player.playing.get().to_string() data-arrived=move || player.target.with(Option::is_none).to_string()>
            <div class="past-head">
                <p class="past-clock number" data-testid="past-clock">
                    <b class="past-sign">"Past"</b> " "
                    <b>{move || new_york_clock(here())}</b><span class="past-millis">{millis}</span> <span class="past-unit">" New York"</span> " "
                    <span class="past-utc">{day} " " {move || here().clock()} <span class="past-unit">" UTC"</span></span>
                </p>
                <p class="visually-hidden" role="status" data-testid="past-status">{said}</p>
                <p class="past-note" data-testid="past-note">{move || player.note.get()}</p>
                <a class="button past-back" href=DASHBOARD rel="external" title="Back to the present (L)" data-testid="back-to-live">"Back to live"</a>
            </div>
            <Map view player on_ask/>
            <div class="past-controls">
                <Controls player on_ask/>
                <nav class="segments" aria-label="Length of the bar">{WINDOWS.map(|window| view! { <Window window player on_ask/> })}</nav>
                <div class="past-menus">
                    <Differences player/>
                    <Keeping view may_act on_ask on_kept/>
                    <Export view player/>
                    <Keys keys_on/>
                </div>
            </div>
        </section>
    }
    .into_any()
}

/// Play, speed, and from one thing to the next.
#[component]
fn Controls(player: Player, on_ask: Callback<Ask>) -> impl IntoView {
    let button = move |ask: Ask, name: &'static str, title: &'static str, test_id: &'static str| {
        let ask = StoredValue::new(ask);
        view! { <button type="button" class="button button-small" title=title data-testid=test_id on:click=move |_| on_ask.run(ask.get_value())>{name}</button> }
    };
    let speeds = SPEEDS.iter().enumerate().map(|(place, speed)| {
        let selected = player.speed.get_untracked() == place;
        view! { <option value=place.to_string() selected=selected>{*speed} "×"</option> }
    });
    let on_speed = move |event| {
        if let Ok(place) = event_target_value(&event).parse() {
            on_ask.run(Ask::Speed(place));
        }
    };
    view! {
        <div class="past-play" role="group" aria-label="Playback">
            {button(Ask::Event(false), "‹ Event", "Previous event or gap ([)", "event-before")}
            {button(Ask::Frame(false), "‹ Frame", "One frame back (,)", "frame-before")}
            <button type="button" class="button button-small button-primary past-toggle" title="Play or pause (Space)" data-testid="play" on:click=move |_| on_ask.run(Ask::Toggle)>
                {move || if player.playing.get() { "Pause" } else { "Play" }}
            </button>
            {button(Ask::Frame(true), "Frame ›", "One frame on (.)", "frame-after")}
            {button(Ask::Event(true), "Event ›", "Next event or gap (])", "event-after")}
            {button(Ask::Gap, "Gap ›", "Next gap (G)", "gap-after")}
            <label class="past-speed"><span class="visually-hidden">"Speed"</span>
                <select data-testid="speed" on:change=on_speed>{speeds.collect_view()}</select>
            </label>
        </div>
    }
}

#[component]
fn Window(window: (&'static str, &'static str, u32), player: Player, on_ask: Callback<Ask>) -> impl IntoView {
    let (short, words, seconds) = window;
    let pressed = move || (player.window_seconds.get() == seconds).to_string();
    view! { <button type="button" class="segment" aria-pressed=pressed data-testid=["window-", short].concat() on:click=move |_| on_ask.run(Ask::Window(seconds))>{words}</button> }
}
