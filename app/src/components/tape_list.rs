//! The ticks of a connection one by one, the newest at the bottom and in sight. Scrolling up stops that, until the
//! reader is back at the end.

use super::{
    dynamic::{Each, Show},
    format::{self, direction_name},
    viewport::{OVERSCAN_ROWS, ROW_HEIGHT_PX, Span, observe_size, set_pixels},
};
use crate::{
    model::connection::ConnectionId,
    store::{
        table::Act,
        view::{TapeColumn, TapeEvent, TapeLine},
    },
};
use leptos::{html, prelude::*};

/// The tape of connection `id`.
#[component]
pub fn TapeList(
    /// Whose tape.
    id: ConnectionId,
    /// Its signals.
    tape: TapeColumn,
    /// Is a filter set?
    filtered: Signal<bool>,
    /// What the reader does.
    on_act: Callback<Act>,
) -> impl IntoView {
    let length: Signal<usize> = RwSignal::from(tape.length).into();
    let first: Signal<usize> = RwSignal::from(tape.first).into();
    let following: Signal<bool> = RwSignal::from(tape.following).into();
    let unseen: Signal<u64> = RwSignal::from(tape.unseen).into();
    let scroll_to = RwSignal::from(tape.scroll_to);
    let slots = RwSignal::from(tape.slots);
    let scroller = NodeRef::<html::Div>::new();
    let sizer = NodeRef::<html::Div>::new();
    let lines = NodeRef::<html::Div>::new();
    let last_top = StoredValue::new(0);
    let measure = move || {
        let Some(element) = scroller.get_untracked() else { return };
        let (top, height) = (element.scroll_top(), element.client_height());
        // Folded away, it is nowhere.
        if height == 0 {
            return;
        }
        let at_end = top + height + ROW_HEIGHT_PX.cast_signed() > element.scroll_height();
        // Only going up is leaving the end, and only going down comes back to it: when lines were added below, or the scroll
        // that follows them is told late, nobody has moved.
        let before = last_top.get_value();
        let follows = if following.get_untracked() { at_end || top >= before } else { at_end && top > before };
        last_top.set_value(top);
        let span = Span::of_viewport(top, height);
        on_act.run(Act::TapeRows(span.first, span.count, follows));
    };
    Effect::new(move |_| {
        set_pixels(sizer, "height", length.get());
        if let (true, Some(element)) = (following.get(), scroller.get_untracked()) {
            element.set_scroll_top(element.scroll_height());
            last_top.set_value(element.scroll_top());
        }
    });
    Effect::new(move |_| {
        let Some(place) = scroll_to.get() else { return };
        if let (false, Some(element)) = (following.get_untracked(), scroller.get_untracked()) {
            // The first row in the document stands so many above the first in sight.
            let top = if place > 0 { place + OVERSCAN_ROWS } else { 0 };
            element.set_scroll_top((top as u32 * ROW_HEIGHT_PX).cast_signed());
            last_top.set_value(element.scroll_top());
        }
        scroll_to.set(None);
    });
    Effect::new(move |_| set_pixels(lines, "top", first.get()));
    observe_size(scroller, move || {
        if let (true, Some(element)) = (following.get_untracked(), scroller.get_untracked()) {
            element.set_scroll_top(element.scroll_height());
        }
        measure();
    });
    // The wheel scrolls beside the page's own thread: without this, lines that come in the same frame would scroll back to the
    // end before anybody hears of it, and a busy tape could not be left.
    let leave_end = move || {
        if scroller.get_untracked().is_some_and(|element| element.scroll_top() > 0) {
            on_act.run(Act::Follow(false));
        }
    };
    let to_end = move |_| {
        on_act.run(Act::Follow(true));
        // The button goes, and must not take the keyboard with it.
        #[cfg(feature = "hydrate")]
        if let Some(element) = scroller.get_untracked() {
            let _ = element.focus();
        }
    };
    let empty = move || match (filtered.get(), unseen.get() > 0) {
        (true, _) => "No ticks match the filter.",
        (false, true) => "The tape was empty when it was paused.",
        (false, false) => "The tape starts with the next tick.",
    };
    let row = move |key| {
        let slot = slots.with_untracked(|slots| slots.get(key as usize).cloned())?;
        Some(view! { <TapeRow line=slot.row index=Signal::derive(move || first.get() + slot.place + 2)/> })
    };
    view! {
        <div class="tape-frame">
        <div
            class="table-scroller tape"
            role="table"
            tabindex="0"
            aria-label=format!("Tape of connection {id}")
            aria-rowcount=move || (length.get() + 1).to_string()
            data-testid=format!("tape-{id}")
            node_ref=scroller
            on:scroll=move |_| measure()
            on:wheel=move |event| if event.delta_y() < 0.0 && !event.ctrl_key() { leave_end() }
            on:keydown=move |event| if matches!(event.key().as_str(), "ArrowUp" | "PageUp" | "Home") { leave_end() }
        >
            <div class="table-row tape-row table-head" role="row" aria-rowindex="1">
                <span role="columnheader" title="UTC">"Time"</span>
                <span role="columnheader">"Symbol"</span>
                <span role="columnheader" class="align-end">"Price"</span>
                <span role="columnheader"><span class="visually-hidden">"Direction"</span></span>
                <span role="columnheader" class="align-end">"Size"</span>
            </div>
            <div class="table-sizer" role="presentation" node_ref=sizer>
                <div class="table-window" role="presentation" node_ref=lines>
                    <Each keys=move || slots.with(|slots| (0..slots.len() as u64).collect()) view=row/>
                </div>
            </div>
            <Show when=move || length.get() == 0>
                <p class="table-empty">{empty}</p>
            </Show>
        </div>
        // No part of the table; where it leads one is at the end.
        <button
            type="button"
            class="button button-small tape-unseen number"
            hidden=move || unseen.get() == 0
            title="Ticks since the tape stopped scrolling; click to go to the newest"
            data-testid=format!("unseen-{id}")
            // Paused, there is no newest to go to.
            disabled=move || following.get()
            on:click=to_end
        >
            {move || format::count(unseen.get())} " new"
        </button>
        </div>
    }
}

/// One reusable line.
#[component]
fn TapeRow(
    /// What it shows now.
    line: ArcRwSignal<Option<TapeLine>>,
    /// Its place in the tape, the head being the first.
    index: Signal<usize>,
) -> impl IntoView {
    let line = RwSignal::from(line);
    let tick = move |of: fn(&TapeEvent) -> Option<String>| {
        move || line.with(|line| line.as_ref().and_then(|line| of(&line.event)))
    };
    let direction = Memo::new(move |_| {
        line.with(|line| match line.as_ref()?.event {
            TapeEvent::Tick { direction, .. } => Some(direction),
            _ => None,
        })
    });
    let name = move || direction.get().map(direction_name);
    let is_note = move || line.with(|line| line.is_some()) && direction.get().is_none();
    view! {
        <div class="table-row tape-row" role="row" aria-rowindex=move || index.get().to_string() class:is-note=is_note hidden=move || line.with(Option::is_none)>
            <span role="cell" class="cell-time number">{move || line.with(|line| line.as_ref().map(|line| line.at.clock_millis()))}</span>
            <span role="cell" class="tape-what" data-cell="what" title=tick(what)>{tick(what)}</span>
            <span role="cell" class="cell-price number" data-cell="price">{tick(price)}</span>
            <span role="cell" class="cell-arrow" data-direction=name aria-label=name></span>
            <span role="cell" class="cell-size number">{tick(size)}</span>
        </div>
    }
}

/// The symbol, or the note that takes the place of a tick.
fn what(event: &TapeEvent) -> Option<String> {
    Some(match event {
        TapeEvent::Tick { symbol, .. } => symbol.to_string(),
        TapeEvent::Skipped(count) => format::count(u64::from(*count)) + " ticks skipped: too fast to list",
        TapeEvent::State(state, None) => state.label().to_owned(),
        TapeEvent::State(state, Some(reason)) => [state.label(), ": ", reason].concat(),
    })
}

fn price(event: &TapeEvent) -> Option<String> {
    match event {
        TapeEvent::Tick { price, .. } => Some(format::price(Some(*price))),
        _ => None,
    }
}

/// Shares; and the number of ticks behind the line where the bus conflated.
fn size(event: &TapeEvent) -> Option<String> {
    match event {
        TapeEvent::Tick { volume, ticks: 1, .. } => Some(format::count(*volume)),
        TapeEvent::Tick { volume, ticks, .. } => {
            Some([&format::count(*volume), " ×", &format::count(u64::from(*ticks))].concat())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{connection::ConnectionState, symbol::Symbol, tick::Direction};

    #[test]
    fn a_line_says_what_it_stands_for() {
        let symbol = Symbol::parse("AAPL").expect("a symbol");
        let tick = TapeEvent::Tick { symbol, price: 1.5, direction: Direction::Up, volume: 1200, ticks: 7 };
        assert_eq!((what(&tick), size(&tick)), (Some("AAPL".into()), Some("1,200 ×7".into())));
        let lost = TapeEvent::State(ConnectionState::Reconnecting, Some("dropped".into()));
        assert_eq!((what(&lost), price(&lost)), (Some("reconnecting: dropped".into()), None));
        assert_eq!(what(&TapeEvent::Skipped(2000)).as_deref(), Some("2,000 ticks skipped: too fast to list"));
    }
}
