//! The symbols of a connection with their latest prices: a table of any length in a document of a screenful.
//!
//! ```text
//!  scroller (scrolls, focusable) ─┬─ sizer (as high as all rows)
//!                                 └── window (moved to the first visible row) ── slots, reused while scrolling
//! ```
//!
//! Sizes and offsets are set through the CSSOM after hydration: the page's policy allows no `style` attribute.

use super::{
    format,
    icon::{Icon, direction_path},
};
use crate::{
    model::{connection::ConnectionId, tick::Direction},
    store::view::{Flash, RowView, Slot},
};
use leptos::{html, prelude::*};

/// The height of a row in CSS pixels; `--row-height` in `style/tokens.css` is the same, and a test compares them.
pub const ROW_HEIGHT_PX: u32 = 26;
/// Rows kept in the document above and below the visible ones, so that scrolling never shows a gap.
const OVERSCAN_ROWS: usize = 6;

/// Which rows a table should show: the first and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The place of the first row.
    pub first: usize,
    /// How many rows.
    pub count: usize,
}

impl Span {
    /// The rows to hold in the document for a viewport of `height` that is scrolled down by `top`, in CSS pixels.
    #[must_use]
    pub fn of_viewport(top: i32, height: i32) -> Self {
        let row = |pixels: i32| pixels.max(0).unsigned_abs() / ROW_HEIGHT_PX;
        let first = (row(top) as usize).saturating_sub(OVERSCAN_ROWS);
        Self { first, count: row(height) as usize + 2 + 2 * OVERSCAN_ROWS }
    }
}

/// The live table of connection `id`.
#[component]
pub fn LiveTable(
    /// Whose table.
    id: ConnectionId,
    /// Rows in the table, in the document or not.
    row_count: Signal<usize>,
    /// The place of the first slot's row.
    first: Signal<usize>,
    /// The rows in the document.
    slots: Signal<Vec<Slot>>,
    /// What to say when there is no row.
    empty: Signal<&'static str>,
    /// Called when other rows came into view.
    on_span: Callback<Span>,
) -> impl IntoView {
    let scroller = NodeRef::<html::Div>::new();
    let sizer = NodeRef::<html::Div>::new();
    let rows = NodeRef::<html::Div>::new();
    let measure = move || {
        if let Some(element) = scroller.get_untracked() {
            on_span.run(Span::of_viewport(element.scroll_top(), element.client_height()));
        }
    };
    Effect::new(move |_| set_pixels(sizer, "height", row_count.get()));
    Effect::new(move |_| set_pixels(rows, "top", first.get()));
    observe_size(scroller, measure);
    view! {
        <div class="table" role="table" aria-labelledby=format!("column-name-{id}") aria-rowcount=move || (row_count.get() + 1).to_string()>
            <div class="table-row table-head" role="row" aria-rowindex="1">
                <span role="columnheader">"Symbol"</span>
                <span role="columnheader" class="align-end">"Price"</span>
                <span role="columnheader"><span class="visually-hidden">"Direction"</span></span>
                <span role="columnheader" class="align-end">"Updated"</span>
            </div>
            <div class="table-scroller" role="rowgroup" tabindex="0" aria-label="Live prices" node_ref=scroller on:scroll=move |_| measure()>
                <div class="table-sizer" role="presentation" node_ref=sizer>
                    <div class="table-window" role="presentation" node_ref=rows>
                        <For each=move || slots.get() key=|slot| slot.place let:slot>
                            <TableRow row=RwSignal::from(slot.row).into()/>
                        </For>
                    </div>
                </div>
                <Show when=move || row_count.get() == 0>
                    <p class="table-empty">{move || empty.get()}</p>
                </Show>
            </div>
        </div>
    }
}

/// One reusable row.
#[component]
fn TableRow(
    /// What it shows now.
    row: Signal<Option<RowView>>,
) -> impl IntoView {
    let direction = Memo::new(move |_| row.get().map(|row| (row.price.is_some(), row.direction)));
    let shown_direction = move || direction.get().filter(|(ticked, _)| *ticked).map(|(_, direction)| direction);
    let path = Signal::derive(move || shown_direction().map_or("", direction_path));
    let symbol = Memo::new(move |_| row.get().map(|row| row.symbol));
    let symbol_text = move || symbol.get().map(|symbol| symbol.to_string());
    view! {
        <div
            class="table-row"
            role="row"
            hidden=move || symbol.get().is_none()
            aria-rowindex=move || row.get().map(|row| (row.index + 1).to_string())
            class:is-stale=move || row.get().is_some_and(|row| row.stale)
            data-symbol=symbol_text
            data-testid=move || symbol.get().map(|symbol| ["row-", &symbol].concat())
        >
            <span role="rowheader" class="cell-symbol">{symbol_text}</span>
            <span
                role="cell"
                class="cell-price number"
                data-cell="price"
                data-direction=move || direction_name(shown_direction().unwrap_or_default())
                data-flash=move || flash_name(row.get())
            >
                {move || row.get().map(|row| format::price(row.price))}
            </span>
            <span
                role="cell"
                class="cell-arrow"
                data-cell="arrow"
                data-direction=move || direction_name(shown_direction().unwrap_or_default())
            >
                <Icon path/>
                <span class="visually-hidden">{move || shown_direction().map(direction_name)}</span>
            </span>
            <span role="cell" class="cell-time number" data-cell="time">
                {move || row.get().map(|row| format::clock(row.timestamp))}
            </span>
        </div>
    }
}

fn direction_name(direction: Direction) -> &'static str {
    match direction {
        Direction::Up => "up",
        Direction::Down => "down",
        Direction::Unchanged => "unchanged",
    }
}

fn flash_name(row: Option<RowView>) -> Option<&'static str> {
    match row?.flash {
        Flash::None => None,
        Flash::Tick => Some("tick"),
        Flash::Tock => Some("tock"),
    }
}

/// Sets a property to the height of `rows` rows.
#[cfg(feature = "hydrate")]
fn set_pixels(node: NodeRef<html::Div>, property: &str, rows: usize) {
    if let Some(element) = node.get() {
        let pixels = (rows as u32).saturating_mul(ROW_HEIGHT_PX).to_string() + "px";
        let style = web_sys::HtmlElement::style(&element);
        let _ = style.set_property(property, &pixels);
    }
}

/// The server lays nothing out.
#[cfg(not(feature = "hydrate"))]
fn set_pixels(_node: NodeRef<html::Div>, _property: &str, _rows: usize) {}

/// Measures now and whenever the element's size changes.
#[cfg(feature = "hydrate")]
fn observe_size(node: NodeRef<html::Div>, measure: impl Fn() + Copy + 'static) {
    use wasm_bindgen::{JsCast, closure::Closure};

    Effect::new(move |_| {
        let Some(element) = node.get() else { return };
        let callback = Closure::<dyn FnMut()>::new(measure);
        let Ok(observer) = web_sys::ResizeObserver::new(callback.as_ref().unchecked_ref()) else { return measure() };
        observer.observe(&element);
        let held = StoredValue::new_local((observer, callback));
        on_cleanup(move || {
            let _ = held.try_with_value(|(observer, _)| observer.disconnect());
        });
    });
}

/// The server has no viewport.
#[cfg(not(feature = "hydrate"))]
fn observe_size(_node: NodeRef<html::Div>, _measure: impl Fn() + Copy + 'static) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_span_covers_the_viewport_and_a_little_more() {
        assert_eq!(Span::of_viewport(0, 260), Span { first: 0, count: 24 });
        assert_eq!(Span::of_viewport(2600, 260), Span { first: 94, count: 24 });
        assert_eq!(Span::of_viewport(-30, -1), Span { first: 0, count: 14 }, "elastic scrolling overshoots");
    }

    #[test]
    fn the_style_sheet_knows_the_height_of_a_row() {
        let tokens = include_str!("../../../style/tokens.css");
        assert!(tokens.contains(&format!("--row-height: {ROW_HEIGHT_PX}px;")));
    }
}
