//! The past as the server writes it: everything reads without JavaScript, and nothing looks live.

use super::*;
use crate::model::{
    connection::ConnectionState,
    history::{
        EventKind, HistoryEvent,
        gap::Gap,
        series::{Bucket, Series},
    },
    past::{Kept, Recorded, Step},
    protocol::{ReportParts, Row, Snapshot},
    status::{ConnectionConfig, ConnectionLive},
    symbol::Symbol,
};

const AT: UnixMillis = UnixMillis(1_768_998_896_789);

fn view() -> ReplayView {
    let (from, to) = (UnixMillis(AT.0 - 1_800_000), UnixMillis(AT.0 + 1_800_000));
    let mut bar = HistoryView { at: to, from, to, bucket_seconds: 10, ..HistoryView::default() };
    let bucket = Bucket { covered_ms: 10_000, ticks: 600, phase_ms: [0, 10_000, 0, 0, 0, 0], ..Bucket::default() };
    for (connection_id, name) in [(1, "primary"), (2, "secondary")] {
        bar.series.push(Series { connection_id, name: name.into(), buckets: vec![bucket; bar.length()] });
    }
    let gap = |number, before_s: i64, length_s: i64| Gap {
        ended_at: Some(UnixMillis(AT.0 + (length_s - before_s) * 1000)),
        ..Gap::blank(2, number, UnixMillis(AT.0 - before_s * 1000))
    };
    // Over, lasting, and not yet begun.
    bar.gaps = vec![gap(3, -60, 5), gap(2, 10, 30), gap(1, 600, 20)];
    bar.events = vec![HistoryEvent {
        id: 1,
        at: AT,
        connection_id: Some(2),
        kind: EventKind::State,
        state: Some(ConnectionState::Reconnecting),
        text: "dropped".into(),
        alert: None,
    }];
    let kept = Kept { id: "k1".into(), from, to: AT, note: "the drop of 10:42".into(), by: "ann@example.com".into() };
    let recorded = Recorded { spans: vec![(UnixMillis(AT.0 - 900_000), to)], kept: vec![kept], trouble: None };
    ReplayView { recorded, bar, steps: vec![Step { at: AT, is_gap: true, text: "#2-2".into() }] }
}

fn first() -> FirstReplay {
    let live = |id, state| ConnectionLive {
        id,
        state,
        enabled: true,
        connected: state == ConnectionState::Connected,
        reason: Some("Closed by the provider".into()),
        reconnect: crate::model::status::Reconnect { attempt: 1, next_at: Some(UnixMillis(AT.0 + 3_000)) },
        ..ConnectionLive::default()
    };
    let mut report = ReportParts { configs: vec![ConnectionConfig::default(); 2], ..ReportParts::default() };
    report.live.connections = vec![live(1, ConnectionState::Connected), live(2, ConnectionState::Reconnecting)];
    report.live.head.generated_at = AT;
    report.live.head.bus.connected = true;
    let row = Row { price: Some(178.23), timestamp: AT, ..Row::empty(1, Symbol::parse("AAPL").expect("a symbol")) };
    let snapshot = Snapshot { report, rows: vec![row], rows_total: 1, ..Snapshot::default() };
    FirstReplay { view: view(), at: AT, snapshot, missing: None, email: "ann@example.com".into(), may_act: true }
}

fn render(first: FirstReplay, moment: Moment) -> String {
    Owner::new().with(|| view! { <Replay first moment opening=PageArrangement::default()/> }.to_html())
}

#[test]
fn the_past_is_all_in_the_markup_and_named_as_such() {
    let html = render(first(), Moment::default());
    for part in [
        ">Past<",
        "07:34:56",
        "Past, 07:34:56 New York",
        "2026-01-21",
        "data-testid=\"column-2\"",
        "data-testid=\"state-2\">reconnecting",
        "178.23",
        "role=\"slider\"",
        "aria-valuetext=\"Past, 07:34:56 New York, 12:34:56 UTC\"",
        "data-testid=\"past-row-2\"",
        "class=\"past-hole\"",
        "href=\"/admin/websockets\"",
        "the drop of 10:42",
        "/api/admin/recording/ticks?from=2026-01-21T12%3A19%3A56.789Z&amp;to=2026-01-21T13%3A04%3A56.789Z&amp;format=parquet",
        "data-testid=\"keep-note\"",
    ] {
        assert!(html.contains(part), "{part} is not in {html}");
    }
    assert!(!html.contains("style="), "the policy refuses inline styles");
}

#[test]
fn nothing_of_the_past_looks_live_or_can_be_acted_on() {
    let html = render(first(), Moment::default());
    for absent in [
        "Live data",
        "Live prices",
        "data-testid=\"link\"",
        "retry-2",
        "explain-2",
        "data-testid=\"refresh\"",
        "data-testid=\"pause\"",
    ] {
        assert!(!html.contains(absent), "{absent} is in {html}");
    }
    // The way back alone, and what is said where the page's program does not run.
    let text = html.to_lowercase().replace("back to live", "").replace("live updates are not running", "");
    let at = text.find(">live").or_else(|| text.find("live<"));
    assert_eq!(at.map(|at| &text[at - 40..at + 40]), None);
}

#[test]
fn who_may_only_look_keeps_nothing_and_sees_what_is_kept() {
    let html = render(FirstReplay { may_act: false, ..first() }, Moment::default());
    assert!(!html.contains("keep-note") && !html.contains("data-testid=\"drop\""), "{html}");
    assert!(html.contains("the drop of 10:42"));
}

#[test]
fn what_is_lost_is_said_with_what_is_left() {
    let missing = Some("The recording begins at 12:19:56 UTC.".into());
    let html = render(FirstReplay { missing, snapshot: Snapshot::default(), ..first() }, Moment::default());
    for part in [
        "data-testid=\"not-recorded\"",
        "The recording begins at 12:19:56 UTC.",
        "/admin/metrics?from=2026-01-21T12:29:56.789Z&amp;to=2026-01-21T12:39:56.789Z",
        "data-testid=\"nearest\"",
    ] {
        assert!(html.contains(part), "{part} is not in {html}");
    }
}

#[test]
fn the_ledger_knows_nothing_of_what_came_afterwards() {
    let bar = view().bar;
    assert_eq!(open_then(&bar, AT), Some(1));
    let last = |at| known_then(&bar, at)[1].last.clone().expect("an outage");
    assert_eq!((last(AT).number, last(AT).ended_at), (2, None), "it lasted then");
    let before = last(UnixMillis(AT.0 - 60_000));
    assert_eq!((before.number, before.ended_at), (1, Some(UnixMillis(AT.0 - 580_000))));
    assert_eq!(known_then(&bar, UnixMillis(AT.0 - 700_000))[1].last, None);
    assert_eq!((open_then(&bar, UnixMillis(AT.0 - 700_000)), open_then(&HistoryView::default(), AT)), (Some(0), None));
}

#[test]
fn the_address_chooses_connections_and_the_length_of_the_bar() {
    let moment = Moment { window_seconds: 60, connections: Some(2).into(), ..Moment::default() };
    let html = render(first(), moment);
    assert!(html.contains("data-testid=\"column-2\"") && !html.contains("data-testid=\"column-1\""), "{html}");
    let pressed = html.split("data-testid=\"window-60s\"").next().expect("the button").rsplit("<button").next();
    assert!(pressed.is_some_and(|tag| tag.contains("aria-pressed=\"true\"")), "{pressed:?}");
}
