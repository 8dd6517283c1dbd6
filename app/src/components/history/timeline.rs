//! Everything that happened in the range, newest first. An entry leads to its moment in the charts; a mark there leads here.

use super::{
    context::ChartContext,
    gap_ledger::{alert_link, newest_of, replay_link},
    range_bar, scale,
};
use crate::{
    components::format::{self, identity},
    model::{
        history::{
            EventKind, HistoryEvent,
            selection::{Range, Selection},
            view::HistoryView,
        },
        time::UnixMillis,
    },
};
use leptos::prelude::*;

/// Around an event, so much is shown on either side, in milliseconds.
const AROUND_MS: i64 = 150_000;

/// The timeline with its filter.
#[component]
pub fn Timeline(
    /// What the charts share.
    context: ChartContext,
) -> impl IntoView {
    let (view, selection) = (context.view, context.selection);
    let events = Memo::new(move |_| view.with(|view| view.events.clone()));
    let total = move || view.with(|view| view.events_total);
    let left_out = move || newest_of(events.with(Vec::len), total());
    let kinds = std::iter::once(None).chain(EventKind::ALL.map(Some)).map(move |kind| {
        let there = range_bar::href(&Selection { kind, ..selection });
        let name = kind.map_or("all", EventKind::name);
        let current = (selection.kind == kind).then_some("true");
        view! { <a class="choice" href=there id=["kind-", name].concat() data-noscroll="" aria-current=current data-testid=["kind-", name].concat()>{name}</a> }
    });
    view! {
        <section class="timeline" aria-labelledby="timeline-title" data-testid="timeline">
            <h2 id="timeline-title">"Timeline " <span class="unit number">{move || format::count(total())}</span></h2>
            <nav class="choices" aria-label="Kind of event">{kinds.collect_view()}</nav>
            <Show when=move || total() != 0 fallback=move || view! {
                <p class="table-empty">
                    {move || if view.with(HistoryView::emptiness).is_some() { "Unknown." } else { "No such events in this range." }}
                </p>
            }>
                <ol class="events">
                    <For each=move || events.get() key=HistoryEvent::anchor children=move |event| view! { <Entry event context/> }/>
                </ol>
                <p class="unit number">{left_out}</p>
            </Show>
        </section>
    }
}

#[component]
fn Entry(event: HistoryEvent, context: ChartContext) -> impl IntoView {
    let at = event.at;
    let around = Range::Between(UnixMillis(at.0 - AROUND_MS), UnixMillis(at.0 + AROUND_MS));
    let zoom = range_bar::href(&Selection { range: around, ..context.selection });
    let identity = event.connection_id.map(identity);
    let anchor = event.anchor();
    let kind = event.state.map_or(event.kind.name(), |state| state.label());
    let alert = event.alert.as_deref().map(|id| alert_link(id, &event.text));
    // A state that nobody gave a reason for is its own text.
    let text = (event.text != kind).then_some(event.text);
    view! {
        <li id=anchor class="event" data-kind=event.kind.name() data-testid="event">
            <button
                type="button"
                class="event-at number"
                title="Show in the charts"
                on:click=move |_| context.show(at)
            >{scale::moment(at)}</button>
            <span class="event-who" data-identity=identity>{event.connection_id.map(|id| view! { <span class="legend-mark" aria-hidden="true"></span>{id} })}</span>
            <span class="event-kind">{kind}</span>
            <span class="event-text">{text}</span>
            <span class="event-links">
                {alert}
                {replay_link(at, event.connection_id)}
                <a class="event-zoom" href=zoom aria-label=["Show the five minutes around ", &scale::moment(at)].concat()>"± 2.5 min"</a>
            </span>
        </li>
    }
}
