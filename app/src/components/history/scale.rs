//! From buckets to lines: where things are on a chart.
//!
//! A plot is a drawing of [`BUCKET_WIDTH`] units a bucket and [`HEIGHT`] units high that is stretched to the space it has.
//! What must not be stretched (texts, the point in time) is placed in percent.

use crate::{
    components::format,
    model::{
        connection::ConnectionId,
        history::{
            Phase,
            gap::BUS,
            series::{Bucket, Series},
            view::HistoryView,
        },
        time::UnixMillis,
    },
};
use std::fmt::Write;

/// Units of a bucket's width.
pub const BUCKET_WIDTH: usize = 10;
/// Units of a plot's height.
pub const HEIGHT: u32 = 1_000;
/// Room above the highest value, for its line's width.
const HEADROOM: f64 = 0.96;
/// The parts of the axis that may have a mark; the style sheet has as many columns.
pub const MARKS: usize = 40;

/// The coordinate system of a plot with so many buckets.
#[must_use]
pub fn view_box(buckets: usize) -> String {
    ["0 0 ", &(buckets * BUCKET_WIDTH).to_string(), " ", &HEIGHT.to_string()].concat()
}

/// The top of an axis: the smallest of 1, 2, 5, 10, 20, … that no value exceeds.
#[must_use]
pub fn nice_max(values: impl Iterator<Item = f64>) -> f64 {
    let highest = values.filter(|value| value.is_finite()).fold(0.0_f64, f64::max);
    let mut step = 1.0;
    loop {
        for factor in [1.0, 2.0, 5.0] {
            if highest <= step * factor || step > 1e15 {
                return step * factor;
            }
        }
        step *= 10.0;
    }
}

/// How many buckets in a row may be missing without a hole: samples come every few seconds at the slowest.
fn hole_max(bucket_seconds: u32) -> usize {
    5 / bucket_seconds.max(1) as usize
}

/// A line through values. Where one is missing the line ends, and begins again after it: zero is drawn at the bottom,
/// missing is not drawn at all.
#[must_use]
pub fn line(values: impl Iterator<Item = Option<f64>>, max: f64, bucket_seconds: u32) -> String {
    let hole_max = hole_max(bucket_seconds);
    let mut text = String::new();
    let mut last = None;
    for (place, value) in values.enumerate() {
        let Some(value) = value else { continue };
        let share = (value / max).clamp(0.0, 1.0) * HEADROOM;
        let y = HEIGHT - (share * f64::from(HEIGHT)).round() as u32;
        let x = place * BUCKET_WIDTH + BUCKET_WIDTH / 2;
        let continues = last.is_some_and(|last: usize| place - last - 1 <= hole_max);
        // The stroke's round end makes a dot of a point that stands alone.
        let _ = if continues { write!(text, "L{x} {y}") } else { write!(text, "M{x} {y}h0") };
        last = Some(place);
    }
    text
}

/// The columns of a state band that show one phase. Well is a low strip; trouble stands out by its height as well as by its
/// colour, the higher the more of the time it took.
#[must_use]
pub fn band(buckets: &[Bucket], phase: Phase, bucket_seconds: u32) -> String {
    const STRIP: u32 = HEIGHT * 3 / 10;
    let hole_max = hole_max(bucket_seconds);
    let mut text = String::new();
    for (place, bucket) in buckets.iter().enumerate().filter(|(_, bucket)| bucket.worst() == Some(phase)) {
        // Up to the next bucket that was seen, when that is near.
        let holes = buckets.iter().skip(place + 1).take(hole_max + 1).position(|next| next.covered_ms > 0);
        let wide = (holes.unwrap_or(0) + 1) * BUCKET_WIDTH + 1;
        let height = match phase {
            Phase::Disabled => STRIP / 3,
            _ => STRIP + (bucket.trouble() * f64::from(HEIGHT - STRIP)).round() as u32,
        };
        // A little wider than a bucket, or hairlines would show between two of them.
        let (x, y) = (place * BUCKET_WIDTH, HEIGHT - height);
        let _ = write!(text, "M{x} {y}h{wide}v{height}h-{wide}z");
    }
    text
}

/// The gaps. Of the only connection they are bands over the whole height; of several they are strips at the top, a row and
/// a path for each connection that has any, or nobody could tell whose a gap is. Those of the bus concern all connections:
/// bands over the whole height, always.
#[must_use]
pub fn gap_bands(view: &HistoryView) -> Vec<(Option<ConnectionId>, String)> {
    /// Four pixels of a plot on a desk: a strip of three, and one between two of them.
    const ROW: u32 = 36;
    let width = (view.length() * BUCKET_WIDTH) as f64;
    let count = view.series.len() as u32;
    // However many there are, most of the plot is for the lines.
    let row = ROW.min(HEIGHT / 4 / count.max(1));
    let path = |id: ConnectionId, (y, high): (u32, u32)| {
        let mut text = String::new();
        for gap in view.gap_spans().filter(|gap| gap.connection_id == id) {
            let (from, to) = (view.position(gap.from), view.position(gap.to));
            let x = (from * width).floor() as u32;
            let wide = ((to - from) * width).ceil().max(2.0) as u32;
            let _ = write!(text, "M{x} {y}h{wide}v{high}h-{wide}z");
        }
        text
    };
    let of_connection = |(place, series): (u32, &Series)| {
        let band = if count == 1 { (0, HEIGHT) } else { (place * row, row * 3 / 4) };
        ((count > 1).then_some(series.connection_id), path(series.connection_id, band))
    };
    let mut paths = vec![(None, path(BUS, (0, HEIGHT)))];
    paths.extend((0..).zip(&view.series).map(of_connection));
    paths.retain(|(_, text)| !text.is_empty());
    paths
}

/// The events, as lines over the whole height.
#[must_use]
pub fn event_lines(view: &HistoryView) -> String {
    let width = (view.length() * BUCKET_WIDTH) as f64;
    let mut places: Vec<_> = view.event_spans().map(|event| (view.position(event.at) * width).round() as u32).collect();
    places.dedup();
    let mut text = String::new();
    for place in places {
        let _ = write!(text, "M{place} 0v{HEIGHT}");
    }
    text
}

/// One or more events that are at the same place of the axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The newest one's name in the address.
    pub anchor: String,
    /// What the newest one says, and how many there are.
    pub text: String,
    /// How many events.
    pub count: usize,
}

/// The axis in [`MARKS`] parts, each with the mark of the events in it.
#[must_use]
pub fn marks(view: &HistoryView) -> Vec<Option<Mark>> {
    let mut marks: Vec<Option<Mark>> = vec![None; MARKS];
    // Newest first: the first one of a place is the one that is named.
    for event in &view.events {
        let place = ((view.position(event.at) * MARKS as f64) as usize).min(MARKS - 1);
        match &mut marks[place] {
            Some(mark) => mark.count += 1,
            slot => {
                let text = [&event.at.clock(), " UTC: ", &event.text].concat();
                *slot = Some(Mark { anchor: event.anchor(), text, count: 1 });
            }
        }
    }
    // Older ones than are listed are only counted; their marks lead to the head of the timeline.
    for bundle in &view.older_events {
        let place = ((view.position(bundle.at) * MARKS as f64) as usize).min(MARKS - 1);
        let count = bundle.count as usize;
        match &mut marks[place] {
            Some(mark) => mark.count += count,
            slot => {
                let text = [&moment(bundle.at), " UTC; choose a shorter range to see them"].concat();
                *slot = Some(Mark { anchor: "timeline-title".to_owned(), text, count });
            }
        }
    }
    for mark in marks.iter_mut().flatten().filter(|mark| mark.count > 1) {
        mark.text = [&mark.count.to_string(), " events, the last at ", &mark.text].concat();
    }
    marks
}

/// A share of the width, as SVG takes it.
#[must_use]
pub fn percent(position: f64) -> String {
    format::fixed(position * 100.0, 2) + "%"
}

/// A label of the time axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Where, in percent.
    pub x: String,
    /// What.
    pub text: String,
}

/// Round times along the axis: at most eight, in UTC. None at the very edges, where half of it would be outside.
#[must_use]
pub fn time_labels(view: &HistoryView) -> Vec<Label> {
    const EDGE: f64 = 0.02;
    const STEPS: [i64; 15] =
        [30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200, 86_400, 432_000, 1_296_000];
    let span_ms = view.to.millis_since(view.from).max(1);
    let step = STEPS.into_iter().find(|step| span_ms / (step * 1000) <= 8).unwrap_or(STEPS[STEPS.len() - 1] * 2) * 1000;
    let mut at = UnixMillis((view.from.0 + step - 1).div_euclid(step) * step);
    let mut labels = Vec::new();
    while at < view.to && labels.len() < 16 {
        let text = if step >= 86_400_000 {
            date(at)
        } else if step < 60_000 {
            at.clock()
        } else {
            at.clock()[..5].to_owned()
        };
        let position = view.position(at);
        if (EDGE..=1.0 - EDGE).contains(&position) {
            labels.push(Label { x: percent(position), text });
        }
        at.0 += step;
    }
    labels
}

/// A day and month, `01-21`.
#[must_use]
pub fn date(at: UnixMillis) -> String {
    at.to_string().get(5..10).unwrap_or_default().to_owned()
}

/// A moment with its day, `01-21 12:34:56`, in UTC.
#[must_use]
pub fn moment(at: UnixMillis) -> String {
    [&date(at), " ", &at.clock()].concat()
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn zero_is_at_the_bottom_and_missing_ends_the_line() {
        let values = [Some(0.0), Some(10.0), None, Some(5.0), Some(f64::NAN)];
        assert_eq!(line(values.into_iter(), 10.0, 10), "M5 1000h0L15 40M35 520h0L45 1000");
        let values = [Some(1.0), None, None, Some(1.0)];
        assert_eq!(line(values.into_iter(), 1.0, 1), "M5 40h0L35 40", "two seconds are no hole");
        assert_eq!(line(values.into_iter(), 1.0, 5), "M5 40h0M35 40h0");
        assert_eq!(line(std::iter::empty(), 1.0, 1), "");
    }

    #[test]
    fn an_axis_ends_at_a_round_number() {
        let of = |value: f64| nice_max([value].into_iter());
        assert_eq!([0.0, 0.3, 1.0, 1.1, 4.9, 61.7, 5_000.1].map(of), [1.0, 1.0, 1.0, 2.0, 5.0, 100.0, 10_000.0]);
        assert_eq!((of(f64::INFINITY), of(-5.0)), (1.0, 1.0));
    }

    #[test]
    fn trouble_is_higher_than_well_being() {
        let well = Bucket { covered_ms: 10_000, phase_ms: [0, 10_000, 0, 0, 0, 0], ..Bucket::default() };
        let half = Bucket { covered_ms: 10_000, phase_ms: [0, 5_000, 0, 5_000, 0, 0], ..Bucket::default() };
        let buckets = [well, half, Bucket::default()];
        assert_eq!(band(&buckets, Phase::Connected, 10), "M0 700h11v300h-11z");
        assert_eq!(band(&buckets, Phase::Busy, 10), "M10 350h11v650h-11z");
        assert_eq!(band(&buckets, Phase::Failed, 10), "", "what nobody saw is not drawn");
        assert_eq!(band(&[well, Bucket::default(), half], Phase::Connected, 2), "M0 700h21v300h-21z", "no hole");
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
        });
        view.gaps = vec![Gap::blank(1, 2, at(90)), ended];
        view.events = events.to_vec();
        assert_eq!(gap_bands(&view), [(None, "M90 0h10v1000h-10zM20 0h30v1000h-30z".to_owned())]);
        view.series.extend([2, 3].map(|id| Series { connection_id: id, ..view.series[0].clone() }));
        view.gaps[1].connection_id = 3;
        let strips = [(Some(1), "M90 0h10v27h-10z"), (Some(3), "M20 72h30v27h-30z")];
        assert_eq!(gap_bands(&view), strips.map(|(id, d)| (id, d.to_owned())), "each in the row of its connection");
        view.gaps[1].connection_id = BUS;
        let bands = [(None, "M20 0h30v1000h-30z"), (Some(1), "M90 0h10v27h-10z")];
        assert_eq!(gap_bands(&view), bands.map(|(id, d)| (id, d.to_owned())), "the bus's concern all");
        assert_eq!(event_lines(&view), "M99 0v1000M50 0v1000");
        let marks = marks(&view);
        assert_eq!(marks.iter().flatten().count(), 2);
        let mark = marks[20].as_ref().expect("a mark in the middle");
        assert_eq!((mark.anchor.as_str(), mark.text.as_str()), ("event-50", "2 events, the last at 12:00:50 UTC: b"));
    }

    #[test]
    fn what_is_not_listed_is_drawn_and_says_how_many_it_is() {
        let mut view = view();
        let at = |seconds: i64| UnixMillis(view.from.0 + seconds * 1000);
        view.older_gaps = vec![GapBundle { connection_id: 1, from: at(20), to: at(50), count: 73 }];
        view.older_events = vec![EventBundle { at: at(20), count: 41 }, EventBundle { at: at(21), count: 2 }];
        assert_eq!(gap_bands(&view), [(None, "M20 0h30v1000h-30z".to_owned())]);
        assert_eq!(event_lines(&view), "M20 0v1000M21 0v1000");
        let marks = marks(&view);
        let mark = marks[8].as_ref().expect("a mark");
        assert_eq!((mark.count, marks.iter().flatten().count()), (43, 1));
        assert!(
            mark.text.starts_with("43 events, the last at 01-21 12:00:20 UTC; choose a shorter range"),
            "{}",
            mark.text
        );
    }

    #[test]
    fn labels_are_round_times() {
        let labels = time_labels(&view());
        let texts: Vec<_> = labels.iter().map(|label| label.text.as_str()).collect();
        assert_eq!(texts, ["12:00:30", "12:01:00", "12:01:30"], "none at the edge");
        assert_eq!(labels[0].x, "30.00%");
        let mut months = view();
        months.to = UnixMillis(months.from.0 + 7_776_000_000);
        months.bucket_seconds = 21_600;
        let texts: Vec<_> = time_labels(&months).into_iter().map(|label| label.text).collect();
        assert_eq!(texts.len(), 5, "{texts:?}");
        assert_eq!(moment(UnixMillis(1_768_996_800_000)), "01-21 12:00:00");
    }
}
