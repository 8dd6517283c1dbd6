//! How each connection was: a band each, on the time axis of the charts.

use super::{
    charts::ChartContext,
    line_chart::{CursorLine, NO_DATA},
    scale,
};
use crate::{
    components::format::identity,
    model::history::{Phase, view::HistoryView},
};
use leptos::prelude::*;

/// The bands of all connections, with the state at the point in time beside each name.
#[component]
pub fn StateChart(
    /// What all charts share.
    context: ChartContext,
) -> impl IntoView {
    let view = context.view;
    let ids = Memo::new(move |_| {
        view.with(|v| v.series.iter().map(|s| (s.connection_id, s.name.clone())).collect::<Vec<_>>())
    });
    view! {
        <section class="chart" data-testid="chart-states" aria-labelledby="chart-title-states">
            <div class="chart-head"><h2 id="chart-title-states">"State"</h2></div>
            {move || ids.get().into_iter().map(|(id, name)| view! { <Band id name context/> }).collect_view()}
            <details class="chart-table">
                <summary>"State as a table"</summary>
                <StateTable context/>
            </details>
        </section>
    }
}

#[component]
fn Band(id: u8, name: String, context: ChartContext) -> impl IntoView {
    let view = context.view;
    let at_cursor = move || context.bucket_of(id).and_then(|bucket| bucket.worst());
    let paths = Memo::new(move |_| {
        view.with(|view| {
            let series = view.series.iter().find(|series| series.connection_id == id);
            let buckets = series.map_or(&[][..], |series| &series.buckets);
            Phase::ALL.map(|phase| (tone(phase), scale::band(buckets, phase, view.bucket_seconds)))
        })
    });
    view! {
        <div class="band-head" data-identity=identity(id)>
            <span class="legend-mark" aria-hidden="true"></span>
            <span class="legend-name">{id} " " {name}</span>
            <span class="legend-value" data-testid=format!("value-state-{id}")>{move || at_cursor().map_or(NO_DATA, Phase::label)}</span>
        </div>
        <svg class="plot plot-band" aria-hidden="true" focusable="false">
            <svg preserveAspectRatio="none" width="100%" height="100%" viewBox=move || scale::view_box(view.with(HistoryView::length))>
                {move || paths.get().into_iter().map(|(tone, d)| view! { <path class="plot-state" data-tone=tone d=d></path> }).collect_view()}
                <path class="plot-events" d=move || context.events.get()></path>
            </svg>
            <CursorLine context/>
        </svg>
    }
}

/// The status colour of a phase; its height and its word say the same.
fn tone(phase: Phase) -> &'static str {
    match phase {
        Phase::Disabled => "off",
        Phase::Connected => "ok",
        Phase::Degraded => "warn",
        Phase::Busy => "busy",
        Phase::Mute | Phase::Failed => "bad",
    }
}

/// The stretches in which a connection was in one state, newest last.
#[component]
fn StateTable(context: ChartContext) -> impl IntoView {
    /// The newest ones; the export has every second.
    const ROWS_MAX: usize = 60;
    let rows = move || {
        context.view.with(|view| {
            let mut rows = Vec::new();
            for series in &view.series {
                let mut last = None;
                for (place, bucket) in series.buckets.iter().enumerate() {
                    let phase = bucket.worst();
                    if last != Some(phase) {
                        rows.push((view.bucket_at(place), series.connection_id, phase));
                        last = Some(phase);
                    }
                }
            }
            rows.sort_by_key(|(at, id, _)| (*at, *id));
            rows.split_off(rows.len().saturating_sub(ROWS_MAX))
        })
    };
    view! {
        <table class="values">
            <thead><tr><th scope="col">"From (UTC)"</th><th scope="col">"Connection"</th><th scope="col">"Worst state"</th></tr></thead>
            <tbody>
                {move || rows().into_iter().map(|(at, id, phase)| view! {
                    <tr><th scope="row" class="number">{scale::moment(at)}</th><td class="number">{id}</td><td>{phase.map_or(NO_DATA, Phase::label)}</td></tr>
                }).collect_view()}
            </tbody>
        </table>
    }
}
