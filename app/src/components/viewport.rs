//! What virtual lists have in common: a scroller that holds a screenful of rows of a long list.
//!
//! ```text
//!  scroller (scrolls, focusable) ─┬─ head (sticks to the top)
//!                                 └─ sizer (as high as all rows)
//!                                     └── window (moved to the first row in the document) ── slots, reused
//! ```
//!
//! Sizes and offsets are set through the CSSOM after hydration: the page's policy allows no `style` attribute.

use leptos::{html, prelude::*};

/// The height of a row in CSS pixels; `--row-height` in `style/tokens.css` is the same, and a test compares them.
pub const ROW_HEIGHT_PX: u32 = 26;
/// Rows kept in the document above and below the visible ones, so that scrolling never shows a gap.
pub const OVERSCAN_ROWS: usize = 6;

/// Which rows a list should hold in the document: the first and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The place of the first row.
    pub first: usize,
    /// How many rows.
    pub count: usize,
    /// The first that is in sight, in part or whole, and how many.
    pub seen: (usize, usize),
}

impl Span {
    /// For a viewport of `height`, its head included, that is scrolled down by `top`, in CSS pixels.
    #[must_use]
    pub fn of_viewport(top: i32, height: i32) -> Self {
        let seen = (rows_in(top), rows_in(height) + 1);
        let first = seen.0.saturating_sub(OVERSCAN_ROWS);
        Self { first, count: seen.0 + seen.1 + OVERSCAN_ROWS - first, seen }
    }
}

/// Whole rows in so many CSS pixels.
#[must_use]
pub fn rows_in(pixels: i32) -> usize {
    (pixels.max(0).unsigned_abs() / ROW_HEIGHT_PX) as usize
}

/// Where a viewport of `height` has to be scrolled to show the row at `place` whole; `None` when it shows it.
#[must_use]
pub fn scroll_to_row(place: usize, top: i32, height: i32) -> Option<i32> {
    let row = (place as u32).saturating_mul(ROW_HEIGHT_PX).cast_signed();
    let rows_height = height - ROW_HEIGHT_PX.cast_signed();
    if row < top {
        Some(row)
    } else if row + ROW_HEIGHT_PX.cast_signed() > top + rows_height {
        Some(row + ROW_HEIGHT_PX.cast_signed() - rows_height)
    } else {
        None
    }
}

/// Sets a property to the height of `rows` rows.
#[cfg(feature = "hydrate")]
pub fn set_pixels(node: NodeRef<html::Div>, property: &str, rows: usize) {
    if let Some(element) = node.get() {
        let pixels = (rows as u32).saturating_mul(ROW_HEIGHT_PX).to_string() + "px";
        let style = web_sys::HtmlElement::style(&element);
        let _ = style.set_property(property, &pixels);
    }
}

/// The server lays nothing out.
#[cfg(not(feature = "hydrate"))]
pub fn set_pixels(_node: NodeRef<html::Div>, _property: &str, _rows: usize) {}

/// Measures now and whenever the element's size changes.
#[cfg(feature = "hydrate")]
pub fn observe_size(node: NodeRef<html::Div>, measure: impl Fn() + Copy + 'static) {
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
pub fn observe_size(_node: NodeRef<html::Div>, _measure: impl Fn() + Copy + 'static) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_span_covers_the_viewport_and_a_little_more() {
        assert_eq!(Span::of_viewport(0, 286), Span { first: 0, count: 18, seen: (0, 12) }, "none above the first");
        assert_eq!(Span::of_viewport(2600, 286), Span { first: 94, count: 24, seen: (100, 12) });
        assert_eq!(
            Span::of_viewport(-30, -1),
            Span { first: 0, count: 7, seen: (0, 1) },
            "elastic scrolling overshoots"
        );
    }

    #[test]
    fn a_row_is_scrolled_to_only_when_it_is_not_in_sight() {
        let ten_rows_and_a_head = 11 * ROW_HEIGHT_PX.cast_signed();
        assert_eq!(scroll_to_row(3, 0, ten_rows_and_a_head), None);
        assert_eq!(scroll_to_row(10, 0, ten_rows_and_a_head), Some(26));
        assert_eq!(scroll_to_row(2, 100, ten_rows_and_a_head), Some(52));
    }

    #[test]
    fn the_style_sheet_knows_the_height_of_a_row() {
        let tokens = include_str!("../../../style/tokens.css");
        assert!(tokens.contains(&format!("--row-height: {ROW_HEIGHT_PX}px;")));
    }
}
