//! The live part of a column: what is shown of it, filtered and sorted how, and the table or the tape itself.

use super::{
    dynamic::Show,
    format,
    icon::{Icon, SEARCH},
    live_table::LiveTable,
    section::Section,
    tape_list::TapeList,
};
use crate::{
    api::Past,
    model::{connection::ConnectionId, status::ConnectionLive, time::UnixMillis},
    store::{
        arrangement::{Arrangement, DataView},
        filter::FILTER_LENGTH_MAX,
        table::Act,
        view::{Column, Hold, RowView, Slot},
    },
};
use leptos::prelude::*;

/// Table or tape, and the bar above them.
#[component]
pub fn LiveData(
    /// The column's signals.
    column: Column,
    /// How the connection is.
    live: Signal<ConnectionLive>,
    /// Since when no ticks reach the monitor, when that is so.
    bus_lost_at: Signal<Option<UnixMillis>>,
    /// What the reader does.
    on_act: Callback<Act>,
) -> impl IntoView {
    let id = column.id;
    let arrangement: Signal<Arrangement> = RwSignal::from(column.arrangement.clone()).into();
    let view = Memo::new(move |_| arrangement.with(|arrangement| arrangement.view));
    let filtered = Memo::new(move |_| arrangement.with(|arrangement| !arrangement.filter.is_open()));
    let sort = Memo::new(move |_| arrangement.with(|arrangement| arrangement.sort));
    let row_count: Signal<usize> = RwSignal::from(column.row_count.clone()).into();
    let members: Signal<usize> = RwSignal::from(column.member_count.clone()).into();
    let first: Signal<usize> = RwSignal::from(column.first.clone()).into();
    let slots: Signal<Vec<Slot<RowView>>> = RwSignal::from(column.slots.clone()).into();
    let cursor: Signal<Option<usize>> = RwSignal::from(column.cursor.clone()).into();
    let frozen_at = RwSignal::from(column.frozen_at.clone());
    let last = move || live.with(|live| live.metrics.last_update);
    let as_of = move || match frozen_at.get().or_else(|| bus_lost_at.get().into_iter().chain(last()).min()) {
        Some(at) => ("as of ".to_owned() + &at.clock(), " UTC"),
        None => ("no ticks yet".to_owned(), ""),
    };
    let connected = Memo::new(move |_| live.with(|live| live.connected));
    let empty = Signal::derive(move || empty_text(members.get(), connected.get()));
    let head = view! {
        <Bar column=column.clone() arrangement view=view.into() row_count members on_act/>
        <p class="as-of number">{move || as_of().0}<span class="unit">{move || as_of().1}</span></p>
    }
    .into_any();
    let tape = column.tape;
    view! {
        <Section id name="data" title=if Past::is_here() { "Data" } else { "Live data" } head>
            <Show
                when=move || view.get() == DataView::Table
                fallback=move || view! { <TapeList id tape=tape.clone() filtered=filtered.into() on_act/> }
            >
                <LiveTable id sort=sort.into() row_count first slots cursor empty on_act/>
            </Show>
        </Section>
    }
}

/// What to say instead of rows.
fn empty_text(members: usize, connected: bool) -> String {
    match (members, connected) {
        (0, true) => "No symbols. Set this connection's universe key or symbol list, then refresh the configuration.",
        (0, false) => "No symbols yet. They come from this connection's universe key or symbol list.",
        _ => "No symbol matches the filter.",
    }
    .to_owned()
}

/// Back from the field to its column, where keys of one character work again.
fn leave(event: &leptos::ev::KeyboardEvent) {
    #[cfg(feature = "hydrate")]
    {
        use leptos::web_sys::{Element, HtmlElement};
        use wasm_bindgen::JsCast;

        let field = event.target().and_then(|target| target.dyn_into::<Element>().ok());
        let column = field.and_then(|field| field.closest("[data-column]").ok().flatten());
        if let Some(column) = column.and_then(|column| column.dyn_into::<HtmlElement>().ok()) {
            let _ = column.focus();
        }
    }
    #[cfg(not(feature = "hydrate"))]
    let _ = event;
}

/// Which view, the filter, and what is not shown.
#[component]
fn Bar(
    /// The column's signals.
    column: Column,
    /// How the reader arranged it.
    arrangement: Signal<Arrangement>,
    /// Table or tape.
    view: Signal<DataView>,
    /// Rows that pass the filter.
    row_count: Signal<usize>,
    /// All rows.
    members: Signal<usize>,
    /// What the reader does.
    on_act: Callback<Act>,
) -> impl IntoView {
    let id = column.id;
    let one_of: Signal<u64> = RwSignal::from(column.one_of).into();
    let held: Signal<Hold> = RwSignal::from(column.held).into();
    let following: Signal<bool> = RwSignal::from(column.tape.following).into();
    let filter = Memo::new(move |_| arrangement.with(|arrangement| arrangement.filter.text().to_owned()));
    let count = move || {
        let all = format::count(members.get() as u64);
        if filter.with(String::is_empty) {
            all
        } else {
            [&format::count(row_count.get() as u64), " of ", &all].concat()
        }
    };
    let is_tape = move || view.get() == DataView::Tape;
    let filter_key = move |event: leptos::ev::KeyboardEvent| {
        if event.key() == "Escape" && filter.with_untracked(String::is_empty) {
            leave(&event);
        } else if event.key() == "Escape" {
            on_act.run(Act::Filter(String::new()));
        }
    };
    view! {
        <div class="bar">
            <div class="segments" role="group" aria-label="View">
                <Segment id this=DataView::Table label="Table" view on_act/>
                <Segment id this=DataView::Tape label="Tape" view on_act/>
            </div>
            <label class="filter">
                <Icon path=SEARCH/>
                <span class="visually-hidden">{format!("Filter the symbols of connection {id}")}</span>
                <input
                    type="search"
                    id=format!("filter-{id}")
                    data-testid=format!("filter-{id}")
                    placeholder="Filter"
                    autocomplete="off"
                    spellcheck="false"
                    maxlength=FILTER_LENGTH_MAX.to_string()
                    value=filter.get_untracked()
                    prop:value=move || filter.get()
                    on:input=move |event| on_act.run(Act::Filter(event_target_value(&event)))
                    on:keydown=filter_key
                />
            </label>
            <span class="bar-fact bar-count number" hidden=is_tape data-testid=format!("count-{id}")>{count}</span>
            <span class="bar-fact bar-held" hidden=move || held.get() == Hold::None || is_tape() && held.get() == Hold::Order title="For as long as you point at the table, or for a minute while text is selected">
                {move || if held.get() == Hold::All { "paused: text selected" } else { "sorting paused" }}
            </span>
            <span class="bar-fact bar-conflated number" hidden=move || is_tape() || one_of.get() < 2 data-testid=format!("conflated-{id}") title="Ticks arrive faster than the screen is drawn; counts are exact">
                "1 of " {move || format::count(one_of.get())} " drawn"
            </span>
            <button
                type="button"
                class="button button-small"
                hidden=move || !is_tape()
                class:is-active=move || following.get()
                aria-pressed=move || following.get().to_string()
                data-testid=format!("follow-{id}")
                on:click=move |_| on_act.run(Act::Follow(!following.get_untracked()))
            >
                "Auto-scroll"
            </button>
        </div>
    }
}

#[component]
fn Segment(
    /// Whose column.
    id: ConnectionId,
    /// What this one shows.
    this: DataView,
    /// Its name.
    label: &'static str,
    /// What is shown now.
    view: Signal<DataView>,
    /// What the reader does.
    on_act: Callback<Act>,
) -> impl IntoView {
    let test_id = [&label.to_ascii_lowercase(), "-view-", &id.to_string()].concat();
    view! {
        <button
            type="button"
            class="segment"
            aria-pressed=move || (view.get() == this).to_string()
            data-testid=test_id
            on:click=move |_| on_act.run(Act::View(this))
        >
            {label}
        </button>
    }
}
