//! Which time, which connections; and the same as a file. Links and a plain form, so that it works without JavaScript and
//! every choice has an address.

use crate::{
    address::METRICS,
    components::format::{self, identity},
    model::{
        connection::{ConnectionId, ConnectionSet},
        history::{
            selection::{RANGES, Range, Selection},
            series::Percentile,
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
    /// What was chosen by now, while that loads: another choice adds to it.
    asked: Signal<Selection>,
    /// What is shown.
    view: Signal<HistoryView>,
) -> impl IntoView {
    let ranges = RANGES.into_iter().map(|(short, words, seconds)| {
        let range = Range::Last(seconds);
        let there = move || href(&Selection { range, ..asked.get() });
        let current = move || (asked.get().range == range).then_some("true");
        view! { <a class="choice" href=there id=["range-", short].concat() aria-current=current aria-label=words data-testid=["range-", short].concat()>{short}</a> }
    });
    view! {
        <div class="range-bar">
            <nav class="choices" aria-label="Range">{ranges.collect_view()}</nav>
            <Neighbours selection view/>
            <Absolute selection view/>
            <Connections asked view/>
            <Jumps view/>
            <Export selection view/>
        </div>
    }
}

/// The ranges before and after this one, and a longer one around it.
#[component]
fn Neighbours(selection: Selection, view: Signal<HistoryView>) -> impl IntoView {
    let now = move || view.with(|view| view.at);
    let link = move |range: Option<Range>, text: &'static str, test_id: &'static str| {
        match range {
        Some(range) => {
            view! { <a class="choice" href=href(&Selection { range, ..selection }) id=test_id data-noscroll="" data-testid=test_id>{text}</a> }.into_any()
        }
        // Stays where it is, so that the others do too.
        None => view! { <span class="choice" aria-hidden="true" data-testid=test_id>{text}</span> }.into_any(),
    }
    };
    view! {
        <nav class="choices neighbours" aria-label="Neighbouring ranges">
            {move || link(Some(selection.range.earlier(now())), "‹ Earlier", "earlier")}
            {move || link(selection.range.later(now()), "Later ›", "later")}
            {move || link(selection.range.wider(now()), "Zoom out", "wider")}
        </nav>
    }
}

/// Where gaps and events stand below the charts, the way there.
#[component]
fn Jumps(view: Signal<HistoryView>) -> impl IntoView {
    let count = move |of: fn(&HistoryView) -> u64| format::count(view.with(of));
    // The browser's own: the router would scroll and leave the focus behind.
    view! {
        <nav class="choices jumps number" aria-label="On this page">
            <a class="choice" href="#ledger-title" rel="external">"Gaps " {move || count(|view| view.gaps_total)}</a>
            <a class="choice" href="#timeline-title" rel="external">"Events " {move || count(|view| view.events_total)}</a>
        </nav>
    }
}

/// From one moment to another, in UTC. Fields of text: a browser's own would ask for twelve hours in some languages, and in
/// the machine's zone.
#[component]
fn Absolute(selection: Selection, view: Signal<HistoryView>) -> impl IntoView {
    let field = move |name: &'static str, label: &'static str, at: fn(&HistoryView) -> UnixMillis| {
        view! {
            <input
                type="text"
                name=name
                size="16"
                required
                autocomplete="off"
                pattern=r"\s*\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d+)?)?Z?\s*"
                title="Date and time of 24 hours in UTC, as in 2026-01-21 14:30"
                aria-label=label
                value=minute(view.with_untracked(at))
            />
        }
    };
    let hidden = |name: &'static str, value: Option<String>| {
        value.map(|value| view! { <input type="hidden" name=name value=value/> })
    };
    let Selection { connections, percentile, kind, .. } = selection;
    view! {
        <form class="absolute" method="get" action=METRICS aria-label="Range from and to, in UTC">
            {field("from", "From (UTC)", |view| view.from)}
            <span aria-hidden="true">"–"</span>
            {field("to", "To (UTC)", |view| view.to)}
            <span class="unit" aria-hidden="true">"UTC"</span>
            {hidden("connection", (!connections.is_empty()).then(|| connections.to_list()))}
            {hidden("latency", (percentile != Percentile::default()).then(|| percentile.name().to_owned()))}
            {hidden("kind", kind.map(|kind| kind.name().to_owned()))}
            <button type="submit" class="button" data-testid="absolute">"Show"</button>
        </form>
    }
}

/// `2026-01-21 12:34`, as the fields have it.
fn minute(at: UnixMillis) -> String {
    at.to_string().get(..16).unwrap_or_default().replace('T', " ")
}

/// All connections, or as many as are chosen.
#[component]
fn Connections(asked: Signal<Selection>, view: Signal<HistoryView>) -> impl IntoView {
    let known = Memo::new(move |_| view.with(|view| view.connections.clone()));
    let chosen = move || asked.get().connections;
    let choice = move |id: Option<ConnectionId>, name: String| {
        let identity = id.map(identity);
        let test_id = id.map_or_else(|| "only-all".to_owned(), |id| ["only-", &id.to_string()].concat());
        let there = move || {
            let connections = id.map_or_else(ConnectionSet::default, |id| chosen().toggled(id));
            href(&Selection { connections, ..asked.get() })
        };
        let current = move || id.map_or_else(|| chosen().is_empty(), |id| chosen().contains(id)).then_some("true");
        view! { <a class="choice" href=there id=test_id.clone() data-noscroll="" aria-current=current data-identity=identity data-testid=test_id>{name}</a> }
    };
    view! {
        <nav class="choices" aria-label="Connections, one or several">
            {choice(None, "All".to_owned())}
            {move || known.get().into_iter().map(|(id, name)| choice(Some(id), [&id.to_string(), " ", &name].concat())).collect_view()}
        </nav>
    }
}

/// The same range as files.
#[component]
fn Export(selection: Selection, view: Signal<HistoryView>) -> impl IntoView {
    let address = move |what: &str, format: &str| {
        let (from, to) = match selection.range {
            Range::Fitting => ("-1h".to_owned(), None),
            Range::Last(seconds) => (["-", &seconds.to_string(), "s"].concat(), None),
            Range::Between(from, to) => (from.to_string(), Some(to.to_string())),
        };
        let mut address = ["/api/admin/history/", what, "?format=", format, "&from=", &from].concat();
        if let Some(to) = to {
            address.push_str(&["&to=", &to].concat());
        }
        if !selection.connections.is_empty() {
            address.push_str(&["&connection=", &selection.connections.to_list()].concat());
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
