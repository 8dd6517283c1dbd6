//! What lies over every plot: the line at the point in time with the values there, and the stretch that is marked.

use super::{context::ChartContext, scale};
use crate::{components::format::identity, model::connection::ConnectionId};
use leptos::prelude::*;

/// Far outside: the time axis shows what is near its edges.
const NOWHERE: &str = "-100%";

/// The line at the point in time, the same in every plot, and the stretch that is marked.
#[component]
pub fn CursorLine(
    /// What all charts share.
    context: ChartContext,
) -> impl IntoView {
    let x = move || context.cursor_position().map_or_else(|| NOWHERE.to_owned(), scale::percent);
    let from = move || context.marked_share().map_or_else(|| NOWHERE.to_owned(), |(from, _)| scale::percent(from));
    let wide = move || context.marked_share().map_or_else(|| "0".to_owned(), |(_, wide)| scale::percent(wide));
    view! {
        <rect class="plot-marked" x=from y="0" width=wide height="100%"></rect>
        <line class="plot-cursor" x1=x x2=x y1="0" y2="100%"></line>
    }
}

/// The values at the point in time, beside its line: on the side that has room.
#[component]
pub fn Readout(
    /// What all charts share.
    context: ChartContext,
    /// The connections that it is about.
    #[prop(into)]
    ids: Signal<Vec<ConnectionId>>,
    /// What is said of a connection.
    value: impl Fn(ConnectionId) -> String + Copy + Send + Sync + 'static,
) -> impl IntoView {
    let x = move || context.cursor_position().map_or_else(|| NOWHERE.to_owned(), scale::percent);
    let side = move || if context.cursor_position().unwrap_or(0.0) > 0.5 { "left" } else { "right" };
    view! {
        <foreignObject class="readout" x=x y="0" width="1" height="1" data-side=side>
            <div class="readout-box number" data-testid="readout">
                {move || ids.get().into_iter().map(|id| view! {
                    <span class="readout-value" data-identity=identity(id)><span class="legend-mark"></span>{move || value(id)}</span>
                }).collect_view()}
            </div>
        </foreignObject>
    }
}
