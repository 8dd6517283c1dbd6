//! One quantity over time: a line for each connection, or for counts columns that stand on each other.

use super::{
    context::ChartContext,
    overlay::{CursorLine, Readout},
    quantity::Quantity,
    range_bar, scale,
    value_table::ValueTable,
};
use crate::{
    components::format::{self, identity},
    model::history::{selection::Selection, series::Percentile, view::HistoryView},
};
use leptos::prelude::*;

/// A chart with its legend, which reads the values at the point in time, and the table behind it.
#[component]
pub fn Chart(
    /// What it shows.
    quantity: Quantity,
    /// What all charts share.
    context: ChartContext,
) -> impl IntoView {
    let ChartContext { view, selection: Selection { percentile, .. }, .. } = context;
    let drawing = Memo::new(move |_| view.with(|view| Drawing::of(view, quantity, percentile)));
    let max = Memo::new(move |_| drawing.with(|drawing| drawing.max));
    let is_empty = Memo::new(move |_| drawing.with(|drawing| drawing.is_empty));
    let unit = move || match quantity.is_count() {
        true => [quantity.unit, " per ", &format::round_span(view.with(|v| u64::from(v.bucket_seconds)))].concat(),
        false => quantity.unit.to_owned(),
    };
    // Both labels alike: a decimal where the axis is short, none where it counts.
    let axis_text = move |value: f64, top: f64| format::fixed(value, quantity.decimals.min(u32::from(top < 10.0)));
    let class = if quantity.is_count() { "plot-column" } else { "plot-line" };
    let ids = Memo::new(move |_| context.shown.with(|shown| shown.iter().map(|(id, _)| *id).collect::<Vec<_>>()));
    let value = move |id| quantity.text(context.bucket_of(id).as_ref(), percentile);
    let title_id = ["chart-title-", quantity.id].concat();
    let labelled_by = title_id.clone();
    view! {
        <section class="chart" data-testid=["chart-", quantity.id].concat() aria-labelledby=labelled_by>
            <div class="chart-head">
                <h2 id=title_id>{quantity.title} " " <span class="unit">{unit}</span></h2>
                {quantity.is_latency().then(|| view! { <Percentiles selection=context.selection/> })}
                <Legend quantity context/>
            </div>
            <svg class="plot" aria-hidden="true" focusable="false">
                <svg preserveAspectRatio="none" width="100%" height="100%" viewBox=move || scale::view_box(view.with(HistoryView::length))>
                    {move || context.gaps.get().into_iter().map(|(id, d)| view! {
                        <path class="plot-gaps" data-identity=id.map(identity) d=d></path>
                    }).collect_view()}
                    <path class="plot-grid" d="M0 40H99999M0 520H99999"></path>
                    <path class="plot-events" d=move || context.events.get()></path>
                    <path class="plot-ground" d=move || drawing.with(|drawing| drawing.ground.clone())></path>
                    {move || drawing.with(|drawing| drawing.paths.clone()).into_iter().map(|(id, d)| view! {
                        <path class=class data-identity=identity(id) d=d></path>
                    }).collect_view()}
                </svg>
                <text class="plot-label number" x="4" y="13">{move || axis_text(max.get(), max.get())}</text>
                <text class="plot-label number" x="4" y="60%">{move || axis_text(max.get() / 2.0, max.get())}</text>
                <CursorLine context/>
                <Readout context ids value/>
            </svg>
            <Show when=move || is_empty.get()><p class="chart-empty">{quantity.nothing}</p></Show>
            <ValueTable quantity context/>
        </section>
    }
}

/// Which latency is drawn: one of them, or every connection would have several lines.
#[component]
fn Percentiles(selection: Selection) -> impl IntoView {
    let links = Percentile::ALL.map(|percentile| {
        let there = range_bar::href(&Selection { percentile, ..selection });
        let current = (selection.percentile == percentile).then_some("true");
        view! { <a class="choice" href=there id=["latency-", percentile.name()].concat() data-noscroll="" aria-current=current data-testid=["latency-", percentile.name()].concat()>{percentile.label()}</a> }
    });
    view! { <nav class="choices" aria-label="Percentile">{links.collect_view()}</nav> }
}

/// Who is who, and the values at the point in time, or the newest ones.
#[component]
fn Legend(quantity: Quantity, context: ChartContext) -> impl IntoView {
    let percentile = context.selection.percentile;
    view! {
        <ul class="legend">
            {move || context.shown.get().into_iter().map(|(id, name)| view! {
                <li data-identity=identity(id) data-testid=["value-", quantity.id, "-", &id.to_string()].concat()>
                    <span class="legend-mark" aria-hidden="true"></span>
                    <span class="legend-name">{id} " " {name}</span>
                    <span class="legend-value number">{move || quantity.text(context.bucket_of(id).as_ref(), percentile)}</span>
                </li>
            }).collect_view()}
        </ul>
    }
}

/// What a chart draws.
#[derive(Clone, PartialEq)]
struct Drawing {
    /// The top of the axis.
    max: f64,
    /// A path for each connection.
    paths: Vec<(u8, String)>,
    /// What columns stand on.
    ground: String,
    /// Is nothing known?
    is_empty: bool,
}

impl Drawing {
    fn of(view: &HistoryView, quantity: Quantity, percentile: Percentile) -> Self {
        let values_of = |buckets: &[_]| buckets.iter().map(|bucket| (quantity.of)(bucket, percentile)).collect();
        let values: Vec<Vec<Option<f64>>> = view.series.iter().map(|series| values_of(&series.buckets)).collect();
        let is_empty = values.iter().flatten().all(Option::is_none);
        let (max, paths, ground);
        if quantity.is_count() {
            // They stand on each other. The top is twice a round number: the label in its middle is a count too.
            let sums =
                (0..view.length()).map(|place| values.iter().filter_map(|values| *values.get(place)?).sum::<f64>());
            max = 2.0 * scale::nice_max(sums.map(|sum| sum / 2.0));
            paths = scale::columns(&values, max);
            ground = scale::ground(&values, view.bucket_seconds);
        } else {
            max = scale::nice_max(values.iter().flatten().copied().flatten());
            paths =
                values.into_iter().map(|values| scale::line(values.into_iter(), max, view.bucket_seconds)).collect();
            ground = String::new();
        }
        let paths = view.series.iter().map(|series| series.connection_id).zip(paths).collect();
        Self { max, paths, ground, is_empty }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::quantity::QUANTITIES, *};
    use crate::model::history::series::{Bucket, Series};

    fn view(buckets: &[Bucket]) -> HistoryView {
        let series = |connection_id| Series { connection_id, name: "primary".into(), buckets: buckets.to_vec() };
        HistoryView { series: vec![series(1), series(2)], ..HistoryView::default() }
    }

    #[test]
    fn the_middle_of_an_axis_of_counts_is_a_count_and_the_columns_fit_in() {
        let of = |errors: u64| {
            let view = view(&[Bucket { covered_ms: 1_000, errors, ..Bucket::default() }]);
            Drawing::of(&view, QUANTITIES[2], Percentile::default()).max
        };
        assert_eq!([0, 1, 3, 5, 11].map(of), [2.0, 2.0, 10.0, 10.0, 40.0], "two connections with so many each");
    }

    #[test]
    fn each_connection_has_one_line_of_the_latency_that_is_chosen() {
        let latency = Bucket { p50_us: Some(100), p99_us: Some(900), p99_us_max: Some(5_000), ..Bucket::default() };
        let view = view(&[latency]);
        let drawn = |percentile| Drawing::of(&view, QUANTITIES[1], percentile);
        assert_eq!([Percentile::P99, Percentile::Worst].map(|percentile| drawn(percentile).max), [1.0, 5.0]);
        assert_eq!(drawn(Percentile::P99).paths.len(), 2);
        assert!(!drawn(Percentile::P50).is_empty && drawn(Percentile::P95).is_empty);
    }
}
