//! The markup of the full metrics as the server writes it: everything reads without JavaScript.

use super::*;
use crate::model::{
    connection::ConnectionState,
    history::{
        EventKind, HistoryEvent, HistoryTrouble,
        gap::{Acknowledgement, Gap, GapCause},
        series::{Bucket, Percentile, Series},
    },
    time::UnixMillis,
};

const AT: UnixMillis = UnixMillis(1_768_998_900_000);

fn view() -> HistoryView {
    let mut view =
        HistoryView { at: AT, from: UnixMillis(AT.0 - 300_000), to: AT, bucket_seconds: 1, ..HistoryView::default() };
    for (connection_id, name) in [(1, "primary"), (2, "secondary")] {
        let bucket = |second: u64| Bucket {
            covered_ms: 1_000,
            ticks: 60 + second % 7,
            p50_us: Some(1_200),
            p95_us: Some(3_400),
            p99_us: Some(5_600),
            phase_ms: [0, 1_000, 0, 0, 0, 0],
            ..Bucket::default()
        };
        let seen = |second: &u64| connection_id == 1 || !(100..140).contains(second);
        let buckets = (0..300).map(|second| if seen(&second) { bucket(second) } else { Bucket::default() }).collect();
        view.series.push(Series { connection_id, name: name.into(), buckets });
    }
    view.connections = vec![(1, "primary".into()), (2, "secondary".into()), (3, "tertiary".into())];
    view.gaps = vec![Gap {
        id: 9,
        ended_at: Some(UnixMillis(AT.0 - 160_000)),
        cause: GapCause::Closed,
        close_code: Some(1008),
        words: "Closed by the provider with code 1008: policy".into(),
        symbols_count: 60,
        symbols: vec!["JPM".into()],
        ticks_per_second_before: Some(62.5),
        rate_seconds: 300,
        attempts: 2,
        ..Gap::blank(2, 3, UnixMillis(AT.0 - 200_000))
    }];
    view.gaps_total = 1;
    view.events = vec![HistoryEvent {
        id: 41,
        at: UnixMillis(AT.0 - 200_000),
        connection_id: Some(2),
        kind: EventKind::State,
        state: Some(ConnectionState::Reconnecting),
        text: "Closed by the provider with code 1008: policy".into(),
        alert: None,
    }];
    view.events_total = 1;
    view
}

fn render(view: HistoryView, selection: Selection) -> String {
    let owner = Owner::new();
    owner.with(|| {
        let answer = HistoryAnswer { view, email: "admin@example.com".into(), may_act: true, recording: true };
        view! { <Metrics answer selection asked=Signal::stored(selection)/> }.to_html()
    })
}

#[test]
fn charts_tables_gaps_and_events_are_all_in_the_markup() {
    let html = render(view(), Selection { range: Range::Last(300), ..Selection::default() });
    for part in [
        "data-testid=\"chart-ticks\"",
        "data-testid=\"chart-reconnects\"",
        "aria-valuetext=",
        "#2-3",
        "<b>closed by the provider",
        "(code 1008)",
        "2,500",
        "62.5 ticks/s, rate of the 5 min before",
        "id=\"event-41\"",
        "href=\"#event-41\"",
        "Closed by the provider with code 1008: policy",
        "/api/admin/history/samples?format=csv&amp;from=-300s",
        "name=\"note\"",
        // The 60 seconds around the gap, and around the event.
        "/admin/replay?at=2026-01-21T12:31:40.000Z&amp;window=60s#column-2",
        "aria-label=\"Replay the 60 seconds around 01-21 12:31:40\"",
    ] {
        assert!(html.contains(part), "{part} is not in {html}");
    }
    assert!(!html.contains("style="), "the policy refuses inline styles");
}

#[test]
fn trouble_and_what_was_acknowledged_are_said() {
    let mut view = view();
    view.trouble = Some(HistoryTrouble { since: AT, reason: "database or disk is full".into() });
    view.gaps[0].notes = vec![Acknowledgement { at: AT, by: "bob@example.com".into(), note: "half of it".into() }];
    view.gaps[0].acknowledged =
        Some(Acknowledgement { at: AT, by: "ann@example.com".into(), note: "filled from flat files".into() });
    let html = render(view, Selection::default());
    assert!(
        html.contains("History has not been recorded since") && html.contains("database or disk is full"),
        "{html}"
    );
    assert!(html.contains("filled from flat files") && !html.contains(">Acknowledge<"));
    assert!(html.contains("bob@example.com") && html.contains("half of it"));
    assert!(html.contains("Add a note") && html.contains("name=\"further\" value=\"true\""), "more may be said");
}

#[test]
fn who_may_only_look_is_asked_for_no_note() {
    let answer = HistoryAnswer { view: view(), ..HistoryAnswer::default() };
    let html = Owner::new().with(|| {
        view! { <Metrics answer selection=Selection::default() asked=Signal::stored(Selection::default())/> }.to_html()
    });
    assert!(
        html.contains("id=\"gap-9\"") && !html.contains("name=\"note\"") && !html.contains("Acknowledge"),
        "{html}"
    );
    assert!(!html.contains("/admin/replay?"), "nothing is recorded here");
}

#[test]
fn a_range_without_history_says_so_and_not_that_there_were_no_gaps() {
    let empty = HistoryView { at: AT, from: UnixMillis(AT.0 + 1), to: UnixMillis(AT.0 + 9), ..HistoryView::default() };
    let html = render(empty, Selection::default());
    assert!(html.contains("No history for this range. It is in the future."), "{html}");
    assert!(!html.contains("No gaps in this range") && !html.contains("No such events"), "{html}");
}

#[test]
fn a_page_whose_session_has_ended_asks_no_more() {
    assert!(asks_on(None) && asks_on(Some(Failure::Silent)), "a server that is silent comes back");
    assert!(!asks_on(Some(Failure::Ended(Ended::SignedOut))) && !asks_on(Some(Failure::Ended(Ended::Forbidden))));
}

#[test]
fn a_gap_that_is_not_acknowledged_takes_a_note_and_the_focus() {
    let mut view = view();
    view.gaps[0].ended_at = None;
    let html = render(view, Selection::default());
    let row = html.split_once("id=\"gap-9\"").map(|(_, rest)| rest.split_once("</li>").unwrap().0).expect("the card");
    assert!(row.contains("tabindex=\"-1\"") && row.contains("ongoing") && row.contains("name=\"note\""), "{row}");
}

#[test]
fn a_state_without_a_reason_is_said_once() {
    let mut view = view();
    view.events[0].state = Some(ConnectionState::Connecting);
    view.events[0].text = "connecting".into();
    let html = render(view, Selection::default());
    let (_, entry) = html.split_once("id=\"event-41\"").expect("the entry");
    let (entry, _) = entry.split_once("</li>").expect("its end");
    assert_eq!(entry.matches(">connecting<").count(), 1, "{entry}");
}

#[test]
fn nothing_is_said_where_there_is_nothing() {
    let calm = HistoryView { gaps: Vec::new(), gaps_total: 0, events: Vec::new(), events_total: 0, ..view() };
    let html = render(calm, Selection::default());
    assert!(html.contains("No gaps in this range") && html.contains("No such events"), "{html}");
    assert!(!html.contains("No history"), "{html}");
}

#[test]
fn several_connections_are_chosen_at_once_and_each_link_keeps_the_other_choices() {
    let selection = Selection {
        range: Range::Last(300),
        connections: [1, 2].into_iter().collect(),
        percentile: Percentile::P95,
        ..Selection::default()
    };
    let html = render(view(), selection);
    for address in [
        // Without the second, with the third, all; earlier; another percentile; another kind of event.
        "?range=5m&amp;connection=1&amp;latency=p95\"",
        "?range=5m&amp;connection=1,2,3&amp;latency=p95\"",
        "?range=5m&amp;latency=p95\"",
        "?from=2026-01-21T12:25:00.000Z&amp;to=2026-01-21T12:30:00.000Z&amp;connection=1,2&amp;latency=p95\"",
        "?range=5m&amp;connection=1,2\"",
        "?range=5m&amp;connection=1,2&amp;latency=p95&amp;kind=error\"",
        "/api/admin/history/gaps?format=csv&amp;from=-300s&amp;connection=1,2\"",
    ] {
        assert!(html.contains(address), "{address} is not in {html}");
    }
    assert_eq!(html.matches("name=\"connection\" value=\"1,2\"").count(), 1, "the fields keep them too");
}

#[test]
fn without_a_range_in_the_address_the_page_is_as_long_as_history() {
    let mut view = view();
    view.began = Some(UnixMillis(AT.0 - 600_000));
    let html = render(view, Selection::default());
    let chosen = html.split_once("data-testid=\"range-15m\"").map(|(before, _)| before.rsplit_once("<a ").unwrap().1);
    assert!(chosen.is_some_and(|link| link.contains("aria-current")), "{chosen:?}");
}

#[test]
fn fields_of_time_are_in_utc_and_of_24_hours_in_every_browser() {
    let html = render(view(), Selection::default());
    assert!(!html.contains("datetime-local"), "it shows AM and PM in some languages");
    assert!(html.contains("name=\"from\"") && html.contains("value=\"2026-01-21 12:30\""), "{html}");
}

#[test]
fn lists_and_charts_say_when_they_are_not_whole() {
    let mut view = view();
    (view.gaps_total, view.events_total) = (273, 1);
    let html = render(view, Selection::default());
    assert!(html.contains("The newest 1 of 273 are listed") && html.contains("The newest 1 of 273 gaps are drawn"));
    assert!(!html.contains("of 1 events"));
}

#[test]
fn the_link_is_live_while_the_monitor_answers() {
    assert_eq!(link(None, false), LinkState::Connecting);
    assert_eq!(link(None, true), LinkState::Live);
    assert!(link(Some(Failure::Silent), true).is_stale());
    assert_eq!(link(Some(Failure::Ended(Ended::SignedOut)), true), LinkState::Ended(Ended::SignedOut));
}
