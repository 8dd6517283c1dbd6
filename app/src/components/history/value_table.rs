//! The numbers behind a chart, for those who cannot see it or want to copy them.

use super::{
    charts::ChartContext,
    line_chart::{Quantity, value_text},
    scale,
};
use crate::model::{
    history::{series::Bucket, view::HistoryView},
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
    let heads = move || {
        context.view.with(|view| {
            let mut heads = Vec::new();
            for series in &view.series {
                heads.extend(quantity.measures.iter().map(|m| [&series.name, " ", m.label].concat().trim().to_owned()));
            }
            heads
        })
    };
    let rows = move || context.view.with(|view| rows(view, quantity));
    view! {
        <details class="chart-table" data-testid=["table-", quantity.id].concat()>
            <summary>{quantity.title} " as a table"</summary>
            <div class="table-scroll" tabindex="0" role="group" aria-label=[quantity.title, ", values"].concat()>
                <table class="values">
                    <thead><tr><th scope="col">"From (UTC)"</th>
                        {move || heads().into_iter().map(|head| view! { <th scope="col">{head}</th> }).collect_view()}
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

fn rows(view: &HistoryView, quantity: Quantity) -> Vec<(UnixMillis, Vec<String>)> {
    let length = view.length();
    let joined = length.div_ceil(ROWS_MAX).max(1);
    let row = |first: usize| {
        let values = view.series.iter().flat_map(move |series| {
            let end = (first + joined).min(series.buckets.len());
            let buckets = series.buckets.get(first..end).unwrap_or_default();
            let bucket = buckets.iter().fold(Bucket::default(), |sum, bucket| sum.join(*bucket));
            quantity.measures.iter().map(move |measure| value_text((measure.of)(&bucket), quantity.decimals))
        });
        (view.bucket_at(first), values.collect())
    };
    (0..length).step_by(joined).map(row).rev().collect()
}
