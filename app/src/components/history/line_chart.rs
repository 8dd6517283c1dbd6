//! One quantity over time, a line for each connection.

use super::{charts::ChartContext, scale, value_table::ValueTable};
use crate::{
    components::format::{self, identity},
    model::history::{series::Bucket, view::HistoryView},
};
use leptos::prelude::*;

/// A line of a chart: how it is named, how it is dashed, and what it shows of a bucket.
#[derive(Clone, Copy)]
pub struct Measure {
    /// What tells it from the others of its chart; empty when it is alone.
    pub label: &'static str,
    /// `solid`, `dashed` or `dotted`.
    pub stroke: &'static str,
    /// The value; `None` where nothing is known.
    pub of: fn(&Bucket) -> Option<f64>,
}

/// What a chart shows.
#[derive(Clone, Copy)]
pub struct Quantity {
    /// Its name in the page.
    pub id: &'static str,
    /// Its title.
    pub title: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// Decimals of a value.
    pub decimals: u32,
    /// Its lines.
    pub measures: &'static [Measure],
    /// What is said when nothing is known of it.
    pub nothing: &'static str,
}

/// What is said where nobody looked.
pub const NO_DATA: &str = "No data";

/// Every chart of lines, from top to bottom.
pub const QUANTITIES: [Quantity; 4] = [
    Quantity {
        id: "ticks",
        title: "Throughput",
        unit: "ticks/s",
        decimals: 1,
        measures: &[Measure { label: "", stroke: "solid", of: |bucket| bucket.per_second(bucket.ticks) }],
        nothing: NO_DATA,
    },
    Quantity {
        id: "latency",
        title: "Latency, exchange to server",
        unit: "ms",
        decimals: 1,
        measures: &[
            Measure { label: "p50", stroke: "solid", of: |bucket| bucket.p50_us.map(millis) },
            Measure { label: "p95", stroke: "dashed", of: |bucket| bucket.p95_us.map(millis) },
            Measure { label: "p99", stroke: "dotted", of: |bucket| bucket.p99_us.map(millis) },
        ],
        nothing: "No data: latency is measured on trades and quotes, not on bars.",
    },
    Quantity {
        id: "errors",
        title: "Errors",
        unit: "errors",
        decimals: 0,
        measures: &[Measure { label: "", stroke: "solid", of: |bucket| counted(bucket, bucket.errors) }],
        nothing: NO_DATA,
    },
    Quantity {
        id: "reconnects",
        title: "Reconnects",
        unit: "reconnects",
        decimals: 0,
        measures: &[Measure { label: "", stroke: "solid", of: |bucket| counted(bucket, bucket.reconnects) }],
        nothing: NO_DATA,
    },
];

fn millis(micros: u64) -> f64 {
    micros as f64 / 1000.0
}

/// None seen is zero; nobody looking is nothing.
fn counted(bucket: &Bucket, count: u64) -> Option<f64> {
    (bucket.covered_ms > 0).then_some(count as f64)
}

/// A value as it is shown.
#[must_use]
pub fn value_text(value: Option<f64>, decimals: u32) -> String {
    value.map_or_else(|| format::NOTHING.to_owned(), |value| format::fixed(value, decimals))
}

/// A chart with its legend, which reads the values at the point in time, and the table behind it.
#[component]
pub fn LineChart(
    /// What it shows.
    quantity: Quantity,
    /// What all charts share.
    context: ChartContext,
) -> impl IntoView {
    let ChartContext { view, .. } = context;
    let max = Memo::new(move |_| view.with(|view| top(view, quantity)));
    let lines = Memo::new(move |_| view.with(|view| lines(view, quantity, max.get())));
    let is_empty = Memo::new(move |_| lines.with(|lines| lines.iter().all(|(.., d)| d.is_empty())));
    let unit = move || match quantity.id {
        "errors" | "reconnects" => {
            [quantity.unit, " per ", &format::round_span(view.with(|v| u64::from(v.bucket_seconds)))].concat()
        }
        _ => quantity.unit.to_owned(),
    };
    // Both labels alike: a decimal where the axis is short, none where it counts.
    let axis_text = move |value: f64, top: f64| format::fixed(value, quantity.decimals.min(u32::from(top < 10.0)));
    let title_id = ["chart-title-", quantity.id].concat();
    let labelled_by = title_id.clone();
    view! {
        <section class="chart" data-testid=["chart-", quantity.id].concat() aria-labelledby=labelled_by>
            <div class="chart-head">
                <h2 id=title_id>{quantity.title} " " <span class="unit">{unit}</span></h2>
                <Legend quantity context/>
            </div>
            <svg class="plot" aria-hidden="true" focusable="false">
                <svg preserveAspectRatio="none" width="100%" height="100%" viewBox=move || scale::view_box(view.with(HistoryView::length))>
                    {move || context.gaps.get().into_iter().map(|(id, d)| view! {
                        <path class="plot-gaps" data-identity=id.map(identity) d=d></path>
                    }).collect_view()}
                    <path class="plot-grid" d="M0 40H99999M0 520H99999"></path>
                    <path class="plot-events" d=move || context.events.get()></path>
                    {move || lines.get().into_iter().map(|(id, stroke, d)| view! {
                        <path class="plot-line" data-identity=identity(id) data-stroke=stroke d=d></path>
                    }).collect_view()}
                </svg>
                <text class="plot-label number" x="4" y="13">{move || axis_text(max.get(), max.get())}</text>
                <text class="plot-label number" x="4" y="60%">{move || axis_text(max.get() / 2.0, max.get())}</text>
                <CursorLine context/>
            </svg>
            <Show when=move || is_empty.get()><p class="chart-empty">{quantity.nothing}</p></Show>
            <ValueTable quantity context/>
        </section>
    }
}

/// The line at the point in time, the same in every chart.
#[component]
pub fn CursorLine(
    /// What all charts share.
    context: ChartContext,
) -> impl IntoView {
    // Far outside where there is none: the time axis shows what is near its edges.
    let x = move || context.cursor_position().map_or_else(|| "-100%".to_owned(), scale::percent);
    view! { <line class="plot-cursor" x1=x x2=x y1="0" y2="100%"></line> }
}

/// Who is who, and the values at the point in time, or the newest ones.
#[component]
fn Legend(quantity: Quantity, context: ChartContext) -> impl IntoView {
    let entries = move || {
        context.view.with(|view| view.series.iter().map(|s| (s.connection_id, s.name.clone())).collect::<Vec<_>>())
    };
    let values =
        move |id: u8| {
            let bucket = context.bucket_of(id);
            quantity.measures.iter().map(|measure| {
            let text = value_text(bucket.as_ref().and_then(measure.of), quantity.decimals);
            view! { <span class="legend-value number"><span class="unit">{measure.label} " "</span>{text}</span> }
        }).collect_view()
        };
    view! {
        <ul class="legend">
            {move || entries().into_iter().map(|(id, name)| view! {
                <li data-identity=identity(id) data-testid=["value-", quantity.id, "-", &id.to_string()].concat()>
                    <span class="legend-mark" aria-hidden="true"></span>
                    <span class="legend-name">{id} " " {name}</span>
                    {move || values(id)}
                </li>
            }).collect_view()}
        </ul>
    }
}

/// The top of the axis. Of counts it is twice a round number: the label in its middle is a count too.
fn top(view: &HistoryView, quantity: Quantity) -> f64 {
    let parts = if quantity.decimals == 0 { 2.0 } else { 1.0 };
    let buckets = view.series.iter().flat_map(|series| &series.buckets);
    let values = buckets.flat_map(|bucket| quantity.measures.iter().filter_map(|measure| (measure.of)(bucket)));
    parts * scale::nice_max(values.map(|value| value / parts))
}

fn lines(view: &HistoryView, quantity: Quantity, max: f64) -> Vec<(u8, &'static str, String)> {
    let mut lines = Vec::new();
    for series in &view.series {
        for measure in quantity.measures {
            let d = scale::line(series.buckets.iter().map(measure.of), max, view.bucket_seconds);
            lines.push((series.connection_id, measure.stroke, d));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::history::series::Series;

    #[test]
    fn the_middle_of_an_axis_of_counts_is_a_count() {
        let of = |errors: u64| {
            let buckets = vec![Bucket { covered_ms: 1_000, errors, ..Bucket::default() }];
            let series = vec![Series { connection_id: 1, name: "primary".into(), buckets }];
            top(&HistoryView { series, ..HistoryView::default() }, QUANTITIES[2])
        };
        assert_eq!([0, 1, 3, 5, 11].map(of), [2.0, 2.0, 4.0, 10.0, 20.0]);
    }
}
