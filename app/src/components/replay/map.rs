//! The time that the bar shows, small: how each connection was, what happened, what is not recorded, and the moment. A slider
//! that is dragged or moved by the keys.

use super::player::{Ask, Player, past_text};
use crate::{
    components::{
        format::identity,
        history::{
            bands,
            scale::{self, HEIGHT},
            state_chart::{Patterns, States},
        },
    },
    model::{
        connection::ConnectionId,
        history::{EventKind, gap::BUS, view::HistoryView},
        past::ReplayView,
        time::UnixMillis,
    },
};
use leptos::{ev, prelude::*};
use std::fmt::Write;

/// The map.
#[component]
pub fn Map(
    /// What there is.
    view: Signal<ReplayView>,
    /// Where the replay stands.
    player: Player,
    /// What the reader asks for.
    on_ask: Callback<Ask>,
) -> impl IntoView {
    let bar: Signal<HistoryView> = Memo::new(move |_| view.with(|view| view.bar.clone())).into();
    let rows = Memo::new(move |_| {
        view.with(|view| view.bar.series.iter().map(|one| (one.connection_id, one.name.clone())).collect::<Vec<_>>())
    });
    let name = move |(id, name): (ConnectionId, String)| {
        let toggle = move |_| on_ask.run(Ask::Connections(player.connections.get_untracked().toggled(id)));
        let is_shown = move || player.connections.with(|only| only.is_empty() || only.contains(id));
        view! {
            <li data-identity=identity(id)>
                <button type="button" class="text-button" aria-pressed=move || is_shown().to_string() title="Show this connection, or several" data-testid=["only-", &id.to_string()].concat() on:click=toggle>
                    <span class="legend-mark" aria-hidden="true"></span>{id} " " <span class="past-name">{name}</span>
                </button>
            </li>
        }
    };
    let position = move |at| scale::percent(bar.with(|bar| bar.position(at)));
    let here = move || position(player.here());
    let dragged = StoredValue::new(false);
    let seek = move |event: &ev::PointerEvent| {
        if let Some(share) = share_of(event) {
            let span = bar.with_untracked(|bar| bar.length() as u64 * bar.bucket_ms()) as f64;
            let from = bar.with_untracked(|bar| bar.from);
            on_ask.run(Ask::Seek(UnixMillis(from.0 + (share * span) as i64)));
        }
    };
    let on_down = move |event: ev::PointerEvent| {
        if event.button() <= 0 {
            dragged.set_value(true);
            hold(&event);
            seek(&event);
        }
    };
    let on_move = move |event: ev::PointerEvent| {
        if dragged.get_value() {
            seek(&event);
        }
    };
    let seconds = move |at: UnixMillis| bar.with(|bar| at.millis_since(bar.from) / 1000).to_string();
    let text = move || {
        let at = player.here();
        [&past_text(at), ", ", &at.clock(), " UTC"].concat()
    };
    let events = move |acts: bool| {
        move || {
            bar.with(|bar| {
                let wanted = bar.events.iter().filter(|event| (event.kind == EventKind::Audit) == acts);
                marks(bar, wanted.map(|event| event.at))
            })
        }
    };
    let holes = move || {
        view.with(|view| {
            let HistoryView { from, to, .. } = view.bar;
            let share = |at| view.bar.position(at);
            let hole = |(from, to)| (scale::percent(share(from)), scale::percent(share(to) - share(from)));
            view.recorded.holes(from, to).into_iter().map(hole).collect::<Vec<_>>()
        })
    };
    let labels = Memo::new(move |_| bar.with(scale::time_labels));
    view! {
        <div class="past-map">
            <Patterns/>
            <ul class="past-names" aria-label="Connections">{move || rows.get().into_iter().map(name).collect_view()}</ul>
            <div
                class="past-track"
                id="moment"
                role="slider"
                tabindex="0"
                data-testid="moment"
                aria-label="Moment of the recording"
                aria-valuemin="0"
                aria-valuemax=move || seconds(bar.with(|bar| bar.to))
                aria-valuenow=move || seconds(player.here())
                aria-valuetext=text
                on:pointerdown=on_down
                on:pointermove=on_move
                on:pointerup=move |_| dragged.set_value(false)
                on:pointercancel=move |_| dragged.set_value(false)
            >
                {move || rows.get().into_iter().map(|(id, _)| view! { <Row id bar/> }).collect_view()}
                <svg class="past-axis" aria-hidden="true" focusable="false">
                    <svg preserveAspectRatio="none" width="100%" height="8" viewBox=move || scale::view_box(bar.with(HistoryView::length))>
                        <path class="past-event" d=events(false)></path>
                        <path class="past-act" d=events(true)></path>
                    </svg>
                    {move || labels.get().into_iter().map(|label| view! { <text class="axis-label number" x=label.x y="19">{label.text}</text> }).collect_view()}
                </svg>
                <svg class="past-over" aria-hidden="true" focusable="false">
                    {move || holes().into_iter().map(|(x, wide)| view! { <rect class="past-hole" x=x y="0" width=wide height="100%"></rect> }).collect_view()}
                    <line class="past-cursor" data-testid="past-cursor" x1=here x2=here y1="0" y2="100%"></line>
                </svg>
            </div>
        </div>
    }
}

/// A connection: its ticks a second as a line, the gaps over it, its states below.
#[component]
fn Row(id: ConnectionId, bar: Signal<HistoryView>) -> impl IntoView {
    let line = move || {
        bar.with(|bar| {
            let Some(series) = bar.series.iter().find(|series| series.connection_id == id) else {
                return String::new();
            };
            let rates = || series.buckets.iter().map(|bucket| bucket.per_second(bucket.ticks));
            scale::line(rates(), scale::nice_max(rates().flatten()), bar.bucket_seconds)
        })
    };
    let gaps = move || bar.with(|bar| bands::gap_path(bar, id, (0, HEIGHT)) + &bands::gap_path(bar, BUS, (0, HEIGHT)));
    view! {
        <svg class="past-row" data-identity=identity(id) data-testid=["past-row-", &id.to_string()].concat() aria-hidden="true" focusable="false">
            <svg preserveAspectRatio="none" width="100%" height="68%" viewBox=move || scale::view_box(bar.with(HistoryView::length))>
                <path class="past-gaps" d=gaps></path>
                <path class="plot-line" d=line></path>
            </svg>
            <svg y="72%" width="100%" height="28%"><States id view=bar/></svg>
        </svg>
    }
}

/// A line over the whole height at each moment.
fn marks(bar: &HistoryView, moments: impl Iterator<Item = UnixMillis>) -> String {
    let width = (bar.length() * scale::BUCKET_WIDTH) as f64;
    let mut places: Vec<_> = moments.map(|at| (bar.position(at) * width).round() as u32).collect();
    places.sort_unstable();
    places.dedup();
    let mut text = String::new();
    for place in places {
        let _ = write!(text, "M{place} 0v{HEIGHT}");
    }
    text
}

/// How far to the right the pointer is, from 0 to 1.
#[cfg(feature = "hydrate")]
fn share_of(event: &ev::PointerEvent) -> Option<f64> {
    let width = f64::from(track(event)?.client_width());
    (width > 0.0).then(|| (f64::from(event.offset_x()) / width).clamp(0.0, 1.0))
}

#[cfg(not(feature = "hydrate"))]
fn share_of(_event: &ev::PointerEvent) -> Option<f64> {
    None
}

/// Nothing inside the track takes the pointer, so the target is the track.
#[cfg(feature = "hydrate")]
fn track(event: &ev::PointerEvent) -> Option<web_sys::HtmlElement> {
    use wasm_bindgen::JsCast;

    event.target()?.dyn_into().ok()
}

/// The track keeps the pointer, so that a drag may leave it, and takes the focus, so that keys go on from there.
fn hold(event: &ev::PointerEvent) {
    #[cfg(feature = "hydrate")]
    if let Some(track) = track(event) {
        let _ = track.set_pointer_capture(event.pointer_id());
        let _ = track.focus();
    }
    #[cfg(not(feature = "hydrate"))]
    let _ = event;
}
