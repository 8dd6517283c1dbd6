//! The symbols of a connection with their latest prices: a grid of any length in a document of a screenful. The arrow
//! keys go from row to row, `p` pins one, Enter opens its panel; see [`super::viewport`] for how the rows are held.

mod row;

use super::{
    dynamic::{Each, Show},
    format,
    icon::{Icon, PIN, SORTED_DOWN, SORTED_UP},
    viewport::{Span, observe_size, rows_in, scroll_to_row, set_pixels},
};
use crate::{
    api::Past,
    model::connection::ConnectionId,
    store::{
        arrangement::{Sort, SortKey},
        table::{Act, PRINTED_MAX},
        view::{RowView, Slot},
    },
};
use leptos::{ev, html, prelude::*};

/// The live table of connection `id`.
#[component]
pub fn LiveTable(
    /// Whose table.
    id: ConnectionId,
    /// Its order.
    sort: Signal<Sort>,
    /// Rows in the table, in the document or not.
    row_count: Signal<usize>,
    /// The place of the first slot's row.
    first: Signal<usize>,
    /// The rows in the document.
    slots: Signal<Vec<Slot<RowView>>>,
    /// The place of the row that the keyboard is at.
    cursor: Signal<Option<usize>>,
    /// What to say when there is no row.
    empty: Signal<String>,
    /// What the reader does.
    on_act: Callback<Act>,
) -> impl IntoView {
    let scroller = NodeRef::<html::Div>::new();
    let sizer = NodeRef::<html::Div>::new();
    let rows = NodeRef::<html::Div>::new();
    let measure = move || {
        if let Some(element) = scroller.get_untracked() {
            let span = Span::of_viewport(element.scroll_top(), element.client_height());
            let (first, count) = span.seen;
            on_act.run(Act::Rows(span.first, span.count, first..first + count));
        }
    };
    Effect::new(move |_| set_pixels(sizer, "height", row_count.get()));
    Effect::new(move |_| set_pixels(rows, "top", first.get()));
    Effect::new(move |_| {
        if let (Some(place), Some(element)) = (cursor.get(), scroller.get_untracked())
            && let Some(top) = scroll_to_row(place, element.scroll_top(), element.client_height())
        {
            element.set_scroll_top(top);
        }
    });
    observe_size(scroller, measure);
    let on_key = move |event: ev::KeyboardEvent| {
        let Some(element) = scroller.get_untracked() else { return };
        let at = cursor.get_untracked();
        if event.key() == "p" && !event.ctrl_key() && !event.meta_key() && !event.alt_key() {
            if let Some(place) = at {
                on_act.run(Act::Pin(place));
            }
        } else if event.key() == "Enter" && event.target() == event.current_target() {
            let is_there = |slot: &Slot<RowView>| slot.row.get_untracked().filter(|row| Some(row.place) == at);
            if let Some(row) = slots.with_untracked(|slots| slots.iter().find_map(is_there)) {
                on_act.run(Act::Open(row.symbol));
            }
        } else if event.key() == "Escape" {
            on_act.run(Act::Cursor(None));
        } else {
            let page = rows_in(element.client_height()).saturating_sub(2).max(1);
            let start = at.unwrap_or_else(|| rows_in(element.scroll_top()));
            let Some(place) = moved(&event.key(), at.is_some(), start, page, row_count.get_untracked()) else { return };
            event.prevent_default();
            on_act.run(Act::Cursor(Some(place)));
        }
    };
    let current = move || {
        let slot = cursor.get()?.checked_sub(first.get())?;
        (slot < slots.with(Vec::len)).then(|| row_id(id, slot))
    };
    let row = move |key| {
        let slot = slots.with_untracked(|slots| slots.get(key as usize).cloned())?;
        Some(view! { <TableRow dom_id=row_id(id, slot.place) row=RwSignal::from(slot.row).into() on_act/> })
    };
    view! {
        <div
            class="table-scroller"
            id=["table-", &id.to_string()].concat()
            role="grid"
            tabindex="0"
            aria-label=format!("{} of connection {id}", if Past::is_here() { "Prices" } else { "Live prices" })
            aria-rowcount=move || (row_count.get() + 1).to_string()
            aria-activedescendant=current
            node_ref=scroller
            on:scroll=move |_| measure()
            on:keydown=on_key
            on:pointermove=move |_| on_act.run(Act::Touch)
            on:pointerleave=move |_| on_act.run(Act::Leave)
        >
            <div class="table-row table-head" role="row" aria-rowindex="1">
                <Head key=SortKey::Symbol label="Symbol" sort on_act/>
                <Head key=SortKey::Price label="Price" sort on_act/>
                <span role="columnheader"><span class="visually-hidden">"Direction"</span></span>
                <Head key=SortKey::Change label="Chg %" title="Change in percent since this page was opened" sort on_act/>
                <Head key=SortKey::Rate label="Rate" title="Ticks per second, averaged over ten seconds" sort on_act/>
                <Head key=SortKey::Updated label="Updated" title="Time of the last tick in UTC, and its age" sort on_act/>
            </div>
            <div class="table-sizer" role="presentation" node_ref=sizer>
                <div class="table-window" role="presentation" node_ref=rows>
                    <Each keys=move || slots.with(|slots| (0..slots.len() as u64).collect()) view=row/>
                </div>
            </div>
            <p class="print-note" hidden=move || row_count.get() <= PRINTED_MAX>{["Only the first ", &format::count(PRINTED_MAX as u64), " rows are printed."].concat()}</p>
            <Show when=move || row_count.get() == 0>
                <p class="table-empty" data-testid=format!("empty-{id}")>{move || empty.get()}</p>
            </Show>
        </div>
    }
}

fn row_id(id: ConnectionId, slot: usize) -> String {
    ["row-", &id.to_string(), "-", &slot.to_string()].concat()
}

/// Where a key leads from the row at `start`; `None` for keys that lead nowhere. The first arrow key only shows the row.
fn moved(key: &str, is_at_row: bool, start: usize, page: usize, rows: usize) -> Option<usize> {
    let last = rows.checked_sub(1)?;
    let place = match key {
        "ArrowDown" | "ArrowUp" if !is_at_row => start,
        "ArrowDown" => start + 1,
        "ArrowUp" => start.saturating_sub(1),
        "PageDown" => start + page,
        "PageUp" => start.saturating_sub(page),
        "Home" => 0,
        "End" => last,
        _ => return None,
    };
    Some(place.min(last))
}

/// The head of a column of the table: sorts by it.
#[component]
fn Head(
    /// By what.
    key: SortKey,
    /// What it says.
    label: &'static str,
    /// What that means.
    #[prop(optional)]
    title: Option<&'static str>,
    /// The table's order.
    sort: Signal<Sort>,
    /// What the reader does.
    on_act: Callback<Act>,
) -> impl IntoView {
    let own = Memo::new(move |_| Some(sort.get()).filter(|sort| sort.key == key).map(|sort| sort.descending));
    let aria_sort = move || own.get().map(|descending| if descending { "descending" } else { "ascending" });
    let path = Signal::derive(move || match own.get() {
        Some(true) => SORTED_DOWN,
        Some(false) => SORTED_UP,
        None => "",
    });
    view! {
        <span role="columnheader" class=["head-", key.name()].concat() aria-sort=aria_sort>
            <button type="button" class="head-button" title=title data-testid=["sort-", key.name()].concat() on:click=move |_| on_act.run(Act::Sort(key))>
                {label}<Icon path/>
            </button>
        </span>
    }
}

/// One reusable row. It has one effect for all that changes in it: it is what the page does most.
#[component]
fn TableRow(
    /// Its id in the document.
    dom_id: String,
    /// What it shows now.
    row: Signal<Option<RowView>>,
    /// What the reader does.
    on_act: Callback<Act>,
) -> impl IntoView {
    let pin = move |_| {
        if let Some(row) = row.get_untracked() {
            on_act.run(Act::Pin(row.place));
        }
    };
    let open = move |_| {
        if let Some(row) = row.get_untracked() {
            on_act.run(Act::Open(row.symbol));
        }
    };
    let node = NodeRef::<html::Div>::new();
    let now = row.get_untracked();
    #[cfg(feature = "hydrate")]
    row::keep(node, row, now);
    let [symbol, price, change, rate, time, age] = row::texts(now);
    let [
        class,
        hidden,
        index,
        current,
        name,
        test_id,
        title,
        pinned,
        label,
        flash,
        direction,
        arrow,
        change_direction,
        tone,
    ] = row::marks(now);
    view! {
        <div
            class=class
            role="row"
            id=dom_id
            hidden=hidden.is_some()
            aria-rowindex=index
            aria-selected=current
            data-symbol=name
            data-testid=test_id
            node_ref=node
        >
            <span role="rowheader" class="cell-symbol">
                <button type="button" class="pin" tabindex="-1" aria-pressed=pinned aria-label=label on:click=pin>
                    <Icon path=PIN/>
                </button>
                <span class="symbol" title=title on:click=open>{symbol}</span>
            </span>
            <span role="gridcell" class="cell-price number" data-cell="price" data-flash=flash>{price}</span>
            <span role="gridcell" class="cell-arrow" data-cell="arrow" data-direction=direction aria-label=arrow></span>
            <span role="gridcell" class="cell-change number" data-cell="change" data-direction=change_direction>{change}</span>
            <span role="gridcell" class="cell-rate number" data-cell="rate">{rate}</span>
            <span role="gridcell" class="cell-updated number" data-cell="time">
                <span class="cell-time">{time}</span>
                <span class="cell-age" data-age=tone>{age}</span>
            </span>
        </div>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_lead_from_row_to_row_and_stop_at_the_ends() {
        assert_eq!(moved("ArrowDown", false, 7, 10, 100), Some(7), "the first press shows where one is");
        assert_eq!(moved("ArrowDown", true, 99, 10, 100), Some(99));
        assert_eq!((moved("PageUp", true, 4, 10, 100), moved("End", true, 4, 10, 100)), (Some(0), Some(99)));
        assert_eq!((moved("x", true, 4, 10, 100), moved("Home", true, 0, 10, 0)), (None, None));
    }
}
