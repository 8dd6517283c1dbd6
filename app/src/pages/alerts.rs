//! The alerts: what fires, what fired, what is not told, by which numbers, and to whom. Plain forms that work without
//! JavaScript; rendered on the server alone.

mod lists;
mod parts;
mod settings;

use crate::{
    address::{self, ALERTS},
    api::{Backend, CurrentViewer, IsRecording, MayAct},
    components::admin_pages::{admin_page, problem},
    model::alert::page::{AlertsAsked, AlertsPage},
};
use leptos::prelude::*;
use lists::{open, past, search, story};
use settings::{destinations, rules, silences};
use std::sync::Arc;

/// Up to so many alerts are read at a glance, and need no search.
const SEARCHED_MIN: usize = 5;

/// The page.
pub(crate) fn page() -> AnyView {
    admin_page("Alerts", ALERTS, "admin-page admin-page-wide", body)
}

fn body(viewer: CurrentViewer, backend: Arc<dyn Backend>) -> AnyView {
    provide_context(MayAct(viewer.may_act));
    provide_context(IsRecording(backend.is_recording()));
    let query = address::query();
    let asked = AlertsAsked::read(|name| query.get(name));
    let outcome = outcome(query.get("done"), query.get("error"));
    view! {
        {outcome}
        <Suspense>
            {move || {
                let (backend, asked) = (Arc::clone(&backend), asked.clone());
                Suspend::new(async move {
                    match backend.alerts_page(asked.clone()).await {
                        Ok(page) => whole(page, &asked),
                        Err(text) => problem(text, "problem").into_any(),
                    }
                })
            }}
        </Suspense>
    }
    .into_any()
}

/// What became of the form that was sent.
fn outcome(done: Option<&str>, error: Option<&str>) -> AnyView {
    let done = done.and_then(|word| {
        Some(match word {
            "acknowledged" => "Acknowledged. It is not sent again until it is resolved.",
            "silenced" => "Silenced.",
            "ended" => "The silence has ended.",
            "rule" => "The rule is changed.",
            "test" => "The test was taken.",
            _ => return None,
        })
    });
    let error = error.map(|word| match word {
        "late" => "This alert is resolved, or somebody has acknowledged it already.",
        "gone" => "There is no such alert, silence or destination any more.",
        "test" => "The test was not taken: see the destination's last deliveries for its answer.",
        "unavailable" => "The database is unavailable right now. Nothing was changed; try again in a moment.",
        _ => "Nothing was changed: a value is missing or out of its range.",
    });
    let done = done.map(|text| {
        view! { <p class="banner" data-tone="good" role="status" data-testid="done">{text}</p> }
    });
    view! { {done} {error.map(|text| problem(text, "problem"))} }.into_any()
}

fn whole(page: AlertsPage, asked: &AlertsAsked) -> AnyView {
    let AlertsPage { now, connections, .. } = page;
    let is_gone = asked.alert.is_some() && page.asked.is_none();
    let gone = is_gone.then(|| problem("There is no such alert, or not any more.", "gone"));
    let is_searched = asked.filters() || page.open.len() + page.past.len() > SEARCHED_MIN;
    view! {
        {gone}
        {page.asked.map(|found| story(found, asked, now))}
        {is_searched.then(|| search(asked, &connections))}
        {open(page.open, asked, now)}
        {destinations(page.destinations, page.has_heartbeat)}
        {silences(page.silences, &connections)}
        {rules(page.rules, &connections)}
        {past(page.past, page.next_cursor, asked, now)}
    }
    .into_any()
}
