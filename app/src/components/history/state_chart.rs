//! How each connection was: a strip each, on the time axis of the charts. Every state has a colour and a pattern.

use super::{
    bands,
    context::ChartContext,
    overlay::{CursorLine, Readout},
    quantity::NO_DATA,
    scale,
};
use crate::{
    components::format::{self, identity},
    model::{
        connection::ConnectionId,
        history::{Phase, view::HistoryView},
    },
};
use leptos::prelude::*;

/// The strips of all connections, with the state at the point in time beside each name.
#[component]
pub fn StateChart(
    /// What all charts share.
    context: ChartContext,
) -> impl IntoView {
    view! {
        <section class="chart" data-testid="chart-states" aria-labelledby="chart-title-states">
            <Patterns/>
            <div class="chart-head">
                <h2 id="chart-title-states">"State"</h2>
                <StateLegend/>
            </div>
            {move || context.shown.get().into_iter().map(|(id, name)| view! { <Strip id name context/> }).collect_view()}
            <details class="chart-table">
                <summary>"State as a table"</summary>
                <StateTable context/>
            </details>
        </section>
    }
}

/// What the strips are filled with: a status colour, and lines over it that tell it from the others without colour.
#[component]
pub fn Patterns() -> impl IntoView {
    let pattern = |phase: Phase| {
        view! {
            <pattern id=pattern_id(phase) width="8" height="8" patternUnits="userSpaceOnUse">
                <rect class="state-ground" data-tone=tone(phase) width="8" height="8"></rect>
                <path class="state-lines" d=lines(phase)></path>
            </pattern>
        }
    };
    view! {
        <svg class="visually-hidden" width="0" height="0" aria-hidden="true" focusable="false">
            <defs>{Phase::ALL.map(pattern)}</defs>
        </svg>
    }
}

/// What each colour and pattern means.
#[component]
fn StateLegend() -> impl IntoView {
    let entry = |fill: Option<String>, label: &'static str| {
        view! {
            <li>
                <svg class="state-swatch" width="20" height="12" aria-hidden="true" focusable="false">
                    <rect width="20" height="12" fill=fill.unwrap_or_else(|| "none".to_owned())></rect>
                </svg>
                {label}
            </li>
        }
    };
    view! {
        <ul class="legend state-legend" aria-label="States">
            // From well to worst, then what is no state.
            {Phase::ALL[1..].iter().map(|phase| entry(Some(fill(*phase)), phase.label())).collect_view()}
            {entry(Some(fill(Phase::Disabled)), Phase::Disabled.label())}
            {entry(None, "no data")}
        </ul>
    }
}

#[component]
fn Strip(id: u8, name: String, context: ChartContext) -> impl IntoView {
    let view = context.view;
    let word =
        move |id| context.bucket_of(id).and_then(|bucket| bucket.state_text()).unwrap_or_else(|| NO_DATA.to_owned());
    let ids = Signal::stored(vec![id]);
    view! {
        <div class="band-head" data-identity=identity(id)>
            <span class="legend-mark" aria-hidden="true"></span>
            <span class="legend-name">{id} " " {name}</span>
            <span class="legend-value" data-testid=format!("value-state-{id}")>{move || word(id)}</span>
        </div>
        <svg class="plot plot-band" data-testid=format!("strip-{id}") aria-hidden="true" focusable="false">
            <States id view/>
            <svg preserveAspectRatio="none" width="100%" height="100%" viewBox=move || scale::view_box(view.with(HistoryView::length))>
                <path class="plot-events" d=move || context.events.get()></path>
            </svg>
            <CursorLine context/>
            <Readout context ids value=word/>
        </svg>
    }
}

/// A connection's states over the whole of the drawing that it stands in. [`Patterns`] has what it is filled with.
#[component]
pub fn States(
    /// The connection.
    id: ConnectionId,
    /// The time axis, and the states on it.
    view: Signal<HistoryView>,
) -> impl IntoView {
    let paths = Memo::new(move |_| {
        view.with(|view| {
            let series = view.series.iter().find(|series| series.connection_id == id);
            let buckets = series.map_or(&[][..], |series| &series.buckets);
            bands::states(buckets, view.bucket_seconds)
        })
    });
    // The drawing's units to the unit square, in which a clip covers whatever size the strip has.
    let fit = move || {
        let units = view.with(HistoryView::length) * scale::BUCKET_WIDTH;
        ["scale(", &format::fixed(1_000.0 / units as f64, 6), "e-3 .001)"].concat()
    };
    let clip_id = move |phase: Phase| ["strip-", &id.to_string(), "-", phase.label()].concat();
    let part = move |phase: Phase| {
        view! {
            <clipPath id=clip_id(phase) clipPathUnits="objectBoundingBox">
                <path transform=fit d=move || paths.with(|paths| paths[phase as usize].clone())></path>
            </clipPath>
            <rect
                class="plot-state"
                data-phase=phase.label()
                width="100%"
                height="100%"
                fill=fill(phase)
                clip-path=["url(#", &clip_id(phase), ")"].concat()
            ></rect>
        }
    };
    Phase::ALL.map(part)
}

fn pattern_id(phase: Phase) -> String {
    ["state-", phase.label()].concat()
}

fn fill(phase: Phase) -> String {
    ["url(#", &pattern_id(phase), ")"].concat()
}

/// The status colour of a phase.
fn tone(phase: Phase) -> &'static str {
    match phase {
        Phase::Disabled => "off",
        Phase::Connected => "ok",
        Phase::Degraded => "warn",
        Phase::Busy => "busy",
        Phase::Mute | Phase::Failed => "bad",
    }
}

/// The lines of a phase, in a square of 8 that repeats.
fn lines(phase: Phase) -> &'static str {
    match phase {
        Phase::Connected => "",
        Phase::Degraded => "M-1 9 9 -1M-1 1 1 -1M7 9 9 7",
        Phase::Busy => "M2 0V8M6 0V8",
        Phase::Mute => "M1 2H3M5 6H7",
        Phase::Failed => "M0 0 8 8M8 0 0 8",
        Phase::Disabled => "M0 2H8M0 6H8",
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_state_has_a_pattern_of_its_own() {
        let patterns: BTreeSet<_> = Phase::ALL.map(lines).into_iter().collect();
        assert_eq!(patterns.len(), Phase::COUNT, "told apart without colour");
    }

    /// The relative luminance of a colour, as WCAG 2.2 defines it.
    fn luminance(colour: &str) -> f64 {
        let channel = |place: usize| {
            let value = u8::from_str_radix(&colour[place..place + 2], 16).expect("a colour in hex");
            let share = f64::from(value) / 255.0;
            if share <= 0.04045 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    }

    #[test]
    fn strips_and_connections_stand_out_from_the_ground_in_both_themes() {
        let tokens = include_str!("../../../../style/tokens.css");
        let blocks = [(":root {", "light"), (":root[data-theme=\"dark\"] {", "dark")];
        let names = ["ok", "warn", "busy", "bad-strong", "off"].map(str::to_owned).into_iter();
        let names: Vec<_> = names.chain((1..=8).map(|id| format!("identity-{id}"))).collect();
        let mut faint = Vec::new();
        for (selector, theme) in blocks {
            let (_, rest) = tokens.split_once(selector).expect("the theme");
            let (block, _) = rest.split_once("\n}").expect("its end");
            let token = |name: &str| {
                let (_, rest) = block.split_once(&format!("--{name}: ")).expect("the token");
                rest.split(';').next().expect("a value")
            };
            for name in &names {
                let mut pair = [luminance(token(name)), luminance(token("surface"))];
                pair.sort_by(f64::total_cmp);
                let ratio = (pair[1] + 0.05) / (pair[0] + 0.05);
                if ratio < 3.0 {
                    faint.push(format!("--{name} in the {theme} theme has {ratio:.2}"));
                }
            }
        }
        assert!(faint.is_empty(), "3:1 is the least: {faint:?}");
    }
}
