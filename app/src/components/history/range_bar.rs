//! Which time, which connection; and the same as a file. Links and a plain form, so that it works without JavaScript and
//! every choice has an address.

use crate::{
    address::METRICS,
    components::{column::identity, format},
    model::{
        connection::ConnectionId,
        history::{
            selection::{RANGES, Range, Selection},
            view::HistoryView,
        },
        time::UnixMillis,
    },
};
use leptos::prelude::*;

/// The address of a selection.
#[must_use]
pub fn href(selection: &Selection) -> String {
    [METRICS, &selection.query()].concat()
}

/// The bar above the charts.
#[component]
pub fn RangeBar(
    /// What is selected.
    selection: Selection,
    /// What is shown.
    view: Signal<HistoryView>,
) -> impl IntoView {
    let ranges = RANGES.into_iter().map(|(short, words, seconds)| {
        let there = Selection { range: Range::Last(seconds), ..selection };
        let current = (selection.range == there.range).then_some("true");
        view! { <a class="choice" href=href(&there) aria-current=current aria-label=words data-testid=["range-", short].concat()>{short}</a> }
    });
    view! {
        <div class="range-bar">
            <nav class="choices" aria-label="Range">{ranges.collect_view()}</nav>
            <Absolute selection view/>
            <Connections selection view/>
            <Export selection view/>
        </div>
    }
}

/// From one moment to another, in UTC.
#[component]
fn Absolute(selection: Selection, view: Signal<HistoryView>) -> impl IntoView {
    let field = move |at: fn(&HistoryView) -> UnixMillis| {
        let text = view.with_untracked(|view| at(view).to_string());
        text.get(..16).unwrap_or_default().to_owned()
    };
    let hidden = |name: &'static str, value: Option<String>| {
        value.map(|value| view! { <input type="hidden" name=name value=value/> })
    };
    view! {
        <form class="absolute" method="get" action=METRICS aria-label="Range from and to, in UTC">
            <input type="datetime-local" name="from" aria-label="From (UTC)" value=field(|view| view.from) required/>
            <span aria-hidden="true">"–"</span>
            <input type="datetime-local" name="to" aria-label="To (UTC)" value=field(|view| view.to) required/>
            <span class="unit" aria-hidden="true">"UTC"</span>
            {hidden("connection", selection.connection_id.map(|id| id.to_string()))}
            {hidden("kind", selection.kind.map(|kind| kind.name().to_owned()))}
            <button type="submit" class="button" data-testid="absolute">"Show"</button>
        </form>
    }
}

/// All connections or one.
#[component]
fn Connections(selection: Selection, view: Signal<HistoryView>) -> impl IntoView {
    let choice = move |id: Option<ConnectionId>, name: String| {
        let current = (selection.connection_id == id).then_some("true");
        let identity = id.map(identity);
        let test_id = id.map_or_else(|| "only-all".to_owned(), |id| ["only-", &id.to_string()].concat());
        let there = href(&Selection { connection_id: id, ..selection });
        view! { <a class="choice" href=there aria-current=current data-identity=identity data-testid=test_id>{name}</a> }
    };
    // With one selected, only that one is in the view: the way back to the others is "All".
    let known =
        move || view.with(|view| view.series.iter().map(|s| (s.connection_id, s.name.clone())).collect::<Vec<_>>());
    view! {
        <nav class="choices" aria-label="Connection">
            {choice(None, "All".to_owned())}
            {move || known().into_iter().map(|(id, name)| choice(Some(id), [&id.to_string(), " ", &name].concat())).collect_view()}
        </nav>
    }
}

/// The same range as files.
#[component]
fn Export(selection: Selection, view: Signal<HistoryView>) -> impl IntoView {
    let address = move |what: &str, format: &str| {
        let (from, to) = match selection.range {
            Range::Last(seconds) => (["-", &seconds.to_string(), "s"].concat(), None),
            Range::Between(from, to) => (from.to_string(), Some(to.to_string())),
        };
        let mut address = ["/api/admin/history/", what, "?format=", format, "&from=", &from].concat();
        if let Some(to) = to {
            address.push_str(&["&to=", &to].concat());
        }
        if let Some(id) = selection.connection_id {
            address.push_str(&["&connection=", &id.to_string()].concat());
        }
        address
    };
    let row = move |what: &'static str| {
        view! {
            <li>{what} " "
                <a href=address(what, "csv") rel="external" download=["tickstock-", what, ".csv"].concat() data-testid=["csv-", what].concat()>"CSV"</a> " "
                <a href=address(what, "json") rel="external" download=["tickstock-", what, ".json"].concat()>"JSON"</a>
            </li>
        }
    };
    let buckets = move || format::round_span(view.with(|view| u64::from(view.bucket_seconds)));
    view! {
        <details class="export">
            <summary class="button">"Export"</summary>
            <div class="export-menu">
                <ul>{["samples", "events", "gaps"].into_iter().map(row).collect_view()}</ul>
                <p class="unit">"Charts show one value per " {buckets} ". Every export is recorded in the audit log."</p>
            </div>
        </details>
    }
}
