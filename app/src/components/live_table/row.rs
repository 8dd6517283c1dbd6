//! What a row of the table says, and writing what changed of it.

use crate::{
    components::format::{self, direction_name},
    model::tick::Direction,
    store::view::RowView,
};
use std::borrow::Cow;

/// A symbol of more characters is written smaller, in two lines.
const LONG_SYMBOL: usize = 10;

/// What stands in a row's cells: symbol, price, change, rate, time, age.
pub(super) fn texts(row: Option<RowView>) -> [String; 6] {
    let Some(row) = row else { return Default::default() };
    let rate = row.price.and(row.rate).map_or_else(|| format::NOTHING.into(), |rate| format::fixed(rate.into(), 1));
    [
        row.symbol.to_string(),
        format::price(row.price),
        format::change(row.change),
        rate,
        format::clock(row.timestamp),
        format::short_age(row.timestamp.is_some(), row.age_seconds),
    ]
}

/// The value of an attribute; `None` takes it away.
type Mark = Option<Cow<'static, str>>;

/// The values of a row's attributes, in the order of [`ATTRIBUTES`].
pub(super) fn marks(row: Option<RowView>) -> [Mark; 14] {
    let mut marks: [Mark; 14] = Default::default();
    let Some(row) = row else {
        marks[0] = Some("table-row".into());
        marks[1] = Some("".into());
        return marks;
    };
    let is = |is: bool| Some(if is { "true" } else { "false" }.into());
    let has_ticked = row.price.is_some();
    let direction = direction_name(if has_ticked { row.direction } else { Direction::Unchanged });
    let class = [
        "table-row",
        if row.stale { " is-stale" } else { "" },
        if has_ticked { "" } else { " is-silent" },
        if row.pinned { " is-pinned" } else { "" },
        if row.symbol.len() > LONG_SYMBOL { " has-long-symbol" } else { "" },
    ];
    let flash = match (row.direction, row.flash) {
        (Direction::Unchanged, _) | (_, 0) => None,
        (Direction::Up, 1) => Some("up fading"),
        (Direction::Up, _) => Some("up"),
        (Direction::Down, 1) => Some("down fading"),
        (Direction::Down, _) => Some("down"),
    };
    let symbol = || Some(row.symbol.to_string().into());
    [
        Some(class.concat().into()),
        None,
        // The head is the first row.
        Some((row.place + 2).to_string().into()),
        is(row.current),
        symbol(),
        Some(["row-", &row.symbol].concat().into()),
        symbol(),
        is(row.pinned),
        Some(["Pin ", &row.symbol].concat().into()),
        flash.map(Cow::from),
        Some(direction.into()),
        has_ticked.then(|| direction.into()),
        Some(direction_name(format::change_direction(row.change)).into()),
        Some(if row.stale { "warn" } else { "good" }.into()),
    ]
}

#[cfg(feature = "hydrate")]
pub(super) use browser::keep;

#[cfg(feature = "hydrate")]
mod browser {
    use super::{Mark, marks, texts};
    use crate::store::view::RowView;
    use leptos::{html, prelude::*};
    use web_sys::Element;

    /// The elements of a row that have texts, in the order of [`texts`]; the row itself, the pin and the arrow.
    struct Parts([Element; 6], [Element; 3]);

    impl Parts {
        fn of(row: Element) -> Option<Self> {
            let mut cells = std::iter::successors(row.first_element_child(), Element::next_element_sibling);
            let (symbol, price, arrow) = (cells.next()?, cells.next()?, cells.next()?);
            let (change, rate, updated) = (cells.next()?, cells.next()?, cells.next()?);
            let texts = [
                symbol.last_element_child()?,
                price,
                change,
                rate,
                updated.first_element_child()?,
                updated.last_element_child()?,
            ];
            Some(Self(texts, [row, symbol.first_element_child()?, arrow]))
        }

        /// Where each of [`marks`] is written, and as which attribute.
        fn attributes(&self) -> [(&Element, &'static str); 14] {
            let Self([symbol, price, change, _, _, age], [row, pin, arrow]) = self;
            [
                (row, "class"),
                (row, "hidden"),
                (row, "aria-rowindex"),
                (row, "aria-selected"),
                (row, "data-symbol"),
                (row, "data-testid"),
                (symbol, "title"),
                (pin, "aria-pressed"),
                (pin, "aria-label"),
                (price, "data-flash"),
                (arrow, "data-direction"),
                (arrow, "aria-label"),
                (change, "data-direction"),
                (age, "data-age"),
            ]
        }
    }

    fn write(text: &Element, value: &str) {
        // The same node again and again: a new one would have to be styled and laid out.
        match text.first_child() {
            Some(node) => node.set_node_value(Some(value)),
            None => text.set_text_content(Some(value)),
        }
    }

    fn mark(element: &Element, name: &str, value: &Mark) {
        let _ = match value {
            Some(value) => element.set_attribute(name, value),
            None => element.remove_attribute(name),
        };
    }

    /// Writes what changes of a row, which shows `now` at first.
    pub(in super::super) fn keep(node: NodeRef<html::Div>, row: Signal<Option<RowView>>, now: Option<RowView>) {
        let mut parts = None;
        let (mut old_texts, mut old_marks) = (texts(now), marks(now));
        Effect::new(move |_| {
            let row = row.get();
            if parts.is_none() {
                parts = node.get().and_then(|row| Parts::of(row.into()));
            }
            let Some(parts) = &parts else { return };
            let (new_texts, new_marks) = (texts(row), marks(row));
            for ((part, old), new) in parts.0.iter().zip(&old_texts).zip(&new_texts) {
                if old != new {
                    write(part, new);
                }
            }
            for (((part, name), old), new) in parts.attributes().into_iter().zip(&old_marks).zip(&new_marks) {
                if old != new {
                    mark(part, name, new);
                }
            }
            (old_texts, old_marks) = (new_texts, new_marks);
        });
    }
}
