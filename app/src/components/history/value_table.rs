//! The numbers behind a chart, for those who cannot see it or want to copy them.

use super::{context::ChartContext, quantity::Quantity, scale};
use crate::model::{
    history::{
        series::{Bucket, Percentile},
        view::HistoryView,
    },
    time::UnixMillis,
};
use leptos::prelude::*;

/// Rows of a table: neighbouring buckets are joined until they fit. The export has every one.
const ROWS_MAX: usize = 30;

/// A table that opens with a click, newest first.
#[component]
pub fn ValueTable(
    /// What the chart shows.
    quantity: Quantity,
    /// What all charts share.
    context: ChartContext,
) -> impl IntoView {
    let percentile = context.selection.percentile;
    // Of latency the one that is drawn.
    let which = if quantity.is_latency() { [" ", percentile.label()].concat() } else { String::new() };
    let heads = move || {
        let which = which.clone();
        context
            .shown
            .get()
            .into_iter()
            .map(move |(_, name)| view! { <th scope="col">{name + &which}</th> })
            .collect_view()
    };
    let rows = move || context.view.with(|view| rows(view, quantity, percentile));
    view! {
        <details class="chart-table" data-testid=["table-", quantity.id].concat()>
            <summary>{quantity.title} " as a table"</summary>
            <div class="table-scroll" tabindex="0" role="group" aria-label=[quantity.title, ", values"].concat()>
                <table class="values">
                    <thead><tr><th scope="col">"From (UTC)"</th>
                        {heads}
                    </tr></thead>
                    <tbody>
                        {move || rows().into_iter().map(|(at, values)| view! {
                            <tr><th scope="row" class="number">{scale::moment(at)}</th>
                                {values.into_iter().map(|value| view! { <td class="number">{value}</td> }).collect_view()}
                            </tr>
                        }).collect_view()}
                    </tbody>
                </table>
            </div>
        </details>
    }
}

fn rows(view: &HistoryView, quantity: Quantity, percentile: Percentile) -> Vec<(UnixMillis, Vec<String>)> {
    let length = view.length();
    let joined = length.div_ceil(ROWS_MAX).max(1);
    let row = |first: usize| {
        let values = view.series.iter().map(|series| {
            let end = (first + joined).min(series.buckets.len());
            let buckets = series.buckets.get(first..end).unwrap_or_default();
            let bucket = buckets.iter().fold(Bucket::default(), |sum, bucket| sum.join(*bucket));
            quantity.text(Some(&bucket), percentile)
        });
        (view.bucket_at(first), values.collect())
    };
    (0..length).step_by(joined).map(row).rev().collect()
}
