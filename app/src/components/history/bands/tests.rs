//! States, gaps and marks on the time axis.

use super::*;
use crate::model::history::{
    EventKind, HistoryEvent,
    gap::Gap,
    view::{EventBundle, GapBundle},
};

fn view() -> HistoryView {
    let (from, to) = (UnixMillis(1_768_996_800_000), UnixMillis(1_768_996_900_000));
    let buckets = vec![Bucket::default(); 10];
    let series = vec![Series { connection_id: 1, name: "primary".into(), buckets }];
    HistoryView { at: to, from, to, bucket_seconds: 10, series, ..HistoryView::default() }
}

fn spent(phase_ms: [u64; Phase::COUNT]) -> Bucket {
    Bucket { covered_ms: phase_ms.iter().sum(), phase_ms, ..Bucket::default() }
}

#[test]
fn a_strip_is_full_and_shows_every_state_that_was() {
    let (well, half) = (spent([0, 10_000, 0, 0, 0, 0]), spent([0, 5_000, 0, 5_000, 0, 0]));
    let paths = states(&[well, half, Bucket::default(), well, well], 10);
    assert_eq!(paths[Phase::Connected as usize], "M0 0h11v1000h-11zM10 500h11v500h-11zM30 0h21v1000h-21z");
    assert_eq!(paths[Phase::Busy as usize], "M10 0h11v500h-11z");
    assert_eq!(paths[Phase::Failed as usize], "", "what nobody saw is not drawn");
    let short = spent([0, 21_590_000, 0, 0, 0, 10_000]);
    assert_eq!(states(&[short], 21_600)[Phase::Failed as usize], "M0 0h11v200h-11z", "ten seconds of six hours");
    let all = states(&[spent([1, 1, 1, 1, 1, 1])], 10);
    assert!(all.iter().all(|path| !path.is_empty()), "{all:?}");
    assert_eq!(all[0], "M0 800h11v200h-11z", "the mildest has its share too");
}

#[test]
fn seconds_that_no_sample_covers_alone_are_no_hole() {
    let well = spent([0, 10_000, 0, 0, 0, 0]);
    let ill = spent([0, 0, 0, 0, 0, 10_000]);
    let none = Bucket::default();
    assert_eq!(states(&[well, none, well, none, ill], 2)[Phase::Connected as usize], "M0 0h41v1000h-41z");
    assert_eq!(states(&[well, none, well], 10)[Phase::Connected as usize], "M0 0h11v1000h-11zM20 0h11v1000h-11z");
}

#[test]
fn gaps_and_events_are_where_they_were() {
    let mut view = view();
    let at = |seconds: i64| UnixMillis(view.from.0 + seconds * 1000);
    let ended = Gap { ended_at: Some(at(50)), ..Gap::blank(1, 1, at(20)) };
    let events = [(99, "c"), (50, "b"), (50, "a")].map(|(second, text)| HistoryEvent {
        id: second,
        at: at(second),
        connection_id: None,
        kind: EventKind::Server,
        state: None,
        text: text.into(),
        alert: None,
    });
    view.gaps = vec![Gap::blank(1, 2, at(90)), ended];
    view.events = events.to_vec();
    assert_eq!(gap_bands(&view), [(None, "M20 0h30v1000h-30zM90 0h10v1000h-10z".to_owned())]);
    view.series.extend([2, 3].map(|id| Series { connection_id: id, ..view.series[0].clone() }));
    view.gaps[1].connection_id = 3;
    let strips = [(Some(1), "M90 0h10v27h-10z"), (Some(3), "M20 72h30v27h-30z")];
    assert_eq!(gap_bands(&view), strips.map(|(id, d)| (id, d.to_owned())), "each in the row of its connection");
    view.gaps[1].connection_id = BUS;
    let bands = [(None, "M20 0h30v1000h-30z"), (Some(1), "M90 0h10v27h-10z")];
    assert_eq!(gap_bands(&view), bands.map(|(id, d)| (id, d.to_owned())), "the bus's concern all");
    assert_eq!(event_lines(&view), "M50 0v1000M99 0v1000");
    let marks = event_marks(&view, 20);
    assert_eq!(marks.iter().flatten().count(), 2);
    let mark = marks[10].as_ref().expect("a mark in the middle");
    let text = "2 events, the last: 01-21 12:00:50 UTC: b";
    assert_eq!((mark.anchor.as_str(), mark.text.as_str()), ("event-50", text));
}

#[test]
fn gaps_that_are_too_near_to_tell_apart_are_bundled_and_counted() {
    let mut view = view();
    view.bucket_seconds = 21_600;
    view.to = UnixMillis(view.from.0 + 90 * 86_400_000);
    let gap = |number: u32, minutes: i64| {
        let started_at = UnixMillis(view.from.0 + 86_400_000 + minutes * 60_000);
        Gap { id: number.into(), ended_at: Some(UnixMillis(started_at.0 + 9_000)), ..Gap::blank(1, number, started_at) }
    };
    view.gaps = (0..14).rev().map(|n| gap(n + 1, i64::from(n) * 10)).collect();
    assert_eq!(gap_bands(&view), [(None, "M40 0h5v1000h-5z".to_owned())], "one band, from the first to the last");
    let marks = gap_marks(&view, 24);
    let mark = marks[0].as_ref().expect("a mark of the first days");
    assert_eq!((mark.count, mark.anchor.as_str()), (14, "gap-14"));
    assert_eq!(mark.text, "14 gaps, the last: #1-14, 01-22 14:10:00 UTC: dropped");
    assert_eq!(marks.iter().flatten().count(), 1);
}

#[test]
fn what_is_not_listed_is_drawn_and_says_how_many_it_is() {
    let mut view = view();
    let at = |seconds: i64| UnixMillis(view.from.0 + seconds * 1000);
    view.older_gaps = vec![GapBundle { connection_id: 1, from: at(20), to: at(50), count: 73 }];
    view.older_events = vec![EventBundle { at: at(20), count: 41 }, EventBundle { at: at(21), count: 2 }];
    assert_eq!(gap_bands(&view), [(None, "M20 0h30v1000h-30z".to_owned())]);
    assert_eq!(event_lines(&view), "M20 0v1000M21 0v1000");
    let (gaps, events) = (gap_marks(&view, 10), event_marks(&view, 10));
    view.older_events = (0..61).map(|second| EventBundle { at: at(second), count: 1 }).collect();
    assert_eq!(event_lines(&view), "", "a fence of lines hides what is behind it");
    let gap = gaps[2].as_ref().expect("a mark");
    assert_eq!((gap.count, gap.anchor.as_str()), (73, "ledger-title"));
    assert_eq!(gap.text, "73 gaps, the last: 01-21 12:00:20 UTC; choose a shorter range to list them");
    assert_eq!(events.iter().flatten().map(|mark| mark.count).collect::<Vec<_>>(), [43]);
}
