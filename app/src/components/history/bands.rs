//! What fills a stretch of the time axis: states, gaps, and the marks of gaps and events. In the units of [`super::scale`].

use super::scale::{BUCKET_WIDTH, HEIGHT, hole_max, moment};
use crate::model::{
    connection::ConnectionId,
    history::{
        Phase,
        gap::BUS,
        series::{Bucket, Series},
        view::HistoryView,
    },
    time::UnixMillis,
};
use std::fmt::Write;

/// How each part of a strip is filled: from the top, and how high, for each phase in the order of [`Phase::ALL`].
type Fill = [(u32, u32); Phase::COUNT];

/// Fills the whole height with the phases of a bucket, each as high as its share of the time, the worst on top. A few
/// seconds of trouble in a bucket of hours are still seen.
fn fill(bucket: &Bucket) -> Option<Fill> {
    const SEEN_MIN: f64 = 0.2;
    let total: u64 = bucket.phase_ms.iter().sum();
    // The mildest phase takes what the others leave.
    let rest = bucket.phase_ms.iter().position(|ms| *ms > 0)?;
    let mut shares = bucket.phase_ms.map(|ms| if ms > 0 { (ms as f64 / total as f64).max(SEEN_MIN) } else { 0.0 });
    shares[rest] = 0.0;
    let others: f64 = shares.iter().sum();
    let fit = if others > 1.0 - SEEN_MIN { (1.0 - SEEN_MIN) / others } else { 1.0 };
    let mut fill = Fill::default();
    let mut y = 0;
    for (place, share) in shares.into_iter().enumerate().rev() {
        let high = if place == rest { HEIGHT - y } else { (share * fit * f64::from(HEIGHT)).round() as u32 };
        fill[place] = (y, high);
        y += high;
    }
    Some(fill)
}

/// The strip of a connection's states, a path for each phase. What nobody saw is not drawn.
#[must_use]
pub fn states(buckets: &[Bucket], bucket_seconds: u32) -> [String; Phase::COUNT] {
    let hole_max = hole_max(bucket_seconds);
    let mut runs: Vec<(usize, usize, Fill)> = Vec::new();
    for (place, fill) in buckets.iter().enumerate().filter_map(|(place, bucket)| Some((place, fill(bucket)?))) {
        match runs.last_mut() {
            Some((_, end, before)) if place - *end <= hole_max => {
                // What was not seen in between is short, and belongs to what was before.
                *end = place;
                if *before == fill {
                    *end = place + 1;
                } else {
                    runs.push((place, place + 1, fill));
                }
            }
            _ => runs.push((place, place + 1, fill)),
        }
    }
    let mut paths: [String; Phase::COUNT] = Default::default();
    for (begin, end, fill) in runs {
        for ((y, high), path) in fill.into_iter().zip(&mut paths).filter(|((_, high), _)| *high > 0) {
            // A little wider, or hairlines would show between two of them.
            let (x, wide) = (begin * BUCKET_WIDTH, (end - begin) * BUCKET_WIDTH + 1);
            let _ = write!(path, "M{x} {y}h{wide}v{high}h-{wide}z");
        }
    }
    paths
}

/// The gaps. Of the only connection they are bands over the whole height; of several they are strips at the top, a row and
/// a path for each connection that has any, or nobody could tell whose a gap is. Those of the bus concern all connections:
/// bands over the whole height, always. Gaps that are too near each other to be told apart are one band.
#[must_use]
pub fn gap_bands(view: &HistoryView) -> Vec<(Option<ConnectionId>, String)> {
    /// Four pixels of a plot on a desk: a strip of three, and one between two of them.
    const ROW: u32 = 36;
    let count = view.series.len() as u32;
    // However many there are, most of the plot is for the lines.
    let row = ROW.min(HEIGHT / 4 / count.max(1));
    let of_connection = |(place, series): (u32, &Series)| {
        let band = if count == 1 { (0, HEIGHT) } else { (place * row, row * 3 / 4) };
        ((count > 1).then_some(series.connection_id), gap_path(view, series.connection_id, band))
    };
    let mut paths = vec![(None, gap_path(view, BUS, (0, HEIGHT)))];
    paths.extend((0..).zip(&view.series).map(of_connection));
    paths.retain(|(_, text)| !text.is_empty());
    paths
}

/// A connection's gaps, or those of the [`BUS`], as bands from `y` on and so high.
#[must_use]
pub fn gap_path(view: &HistoryView, id: ConnectionId, (y, high): (u32, u32)) -> String {
    let mut text = String::new();
    for (x, end) in joined(view, id) {
        let wide = end - x;
        let _ = write!(text, "M{x} {y}h{wide}v{high}h-{wide}z");
    }
    text
}

/// Where a connection's gaps begin and end, from left to right; those that touch are one.
fn joined(view: &HistoryView, id: ConnectionId) -> Vec<(u32, u32)> {
    let width = (view.length() * BUCKET_WIDTH) as f64;
    let gaps = view.gap_spans().filter(|gap| gap.connection_id == id);
    let mut spans: Vec<_> = gaps
        .map(|gap| {
            let (from, to) = (view.position(gap.from), view.position(gap.to));
            let x = (from * width).floor() as u32;
            (x, x + ((to - from) * width).ceil().max(2.0) as u32)
        })
        .collect();
    spans.sort_unstable();
    let mut joined: Vec<(u32, u32)> = Vec::new();
    for (x, end) in spans {
        match joined.last_mut() {
            Some((_, last)) if x <= *last => *last = end.max(*last),
            _ => joined.push((x, end)),
        }
    }
    joined
}

/// The events, as lines over the whole height; none where they are so many that they would hide what is drawn. Their marks
/// are there all the same.
#[must_use]
pub fn event_lines(view: &HistoryView) -> String {
    const LINES_MAX: usize = 60;
    let width = (view.length() * BUCKET_WIDTH) as f64;
    let mut places: Vec<_> = view.event_spans().map(|event| (view.position(event.at) * width).round() as u32).collect();
    places.sort_unstable();
    places.dedup();
    let mut text = String::new();
    for place in Some(places).filter(|places| places.len() <= LINES_MAX).into_iter().flatten() {
        let _ = write!(text, "M{place} 0v{HEIGHT}");
    }
    text
}

/// One or more gaps or events that are at the same place of the axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The newest one's name in the address.
    pub anchor: String,
    /// What the newest one is, and how many there are.
    pub text: String,
    /// How many.
    pub count: usize,
}

/// The axis in so many parts, each with the mark of the events in it.
#[must_use]
pub fn event_marks(view: &HistoryView, parts: usize) -> Vec<Option<Mark>> {
    let listed = view.events.iter().map(|event| {
        (event.at, Mark { anchor: event.anchor(), text: [&moment(event.at), " UTC: ", &event.text].concat(), count: 1 })
    });
    let older = view.older_events.iter().map(|bundle| (bundle.at, older("timeline-title", bundle.at, bundle.count)));
    marks(view, parts, "events", listed.chain(older))
}

/// The axis in so many parts, each with the mark of the gaps that began in it.
#[must_use]
pub fn gap_marks(view: &HistoryView, parts: usize) -> Vec<Option<Mark>> {
    let listed = view.gaps.iter().map(|gap| {
        let text = [&gap.name(), ", ", &moment(gap.started_at), " UTC: ", gap.cause.label()].concat();
        (gap.started_at, Mark { anchor: gap.anchor(), text, count: 1 })
    });
    let older = view.older_gaps.iter().map(|bundle| (bundle.from, older("ledger-title", bundle.from, bundle.count)));
    marks(view, parts, "gaps", listed.chain(older))
}

/// What is not listed is only counted; its mark leads to the head of the list.
fn older(anchor: &str, at: UnixMillis, count: u64) -> Mark {
    let text = [&moment(at), " UTC; choose a shorter range to list them"].concat();
    Mark { anchor: anchor.to_owned(), text, count: count as usize }
}

/// The newest first: the first one of a part is the one that is named.
fn marks(
    view: &HistoryView,
    parts: usize,
    many: &str,
    items: impl Iterator<Item = (UnixMillis, Mark)>,
) -> Vec<Option<Mark>> {
    let mut marks: Vec<Option<Mark>> = vec![None; parts];
    for (at, item) in items {
        let place = ((view.position(at) * parts as f64) as usize).min(parts - 1);
        match &mut marks[place] {
            Some(mark) => mark.count += item.count,
            slot => *slot = Some(item),
        }
    }
    for mark in marks.iter_mut().flatten().filter(|mark| mark.count > 1) {
        mark.text = [&mark.count.to_string(), " ", many, ", the last: ", &mark.text].concat();
    }
    marks
}

#[cfg(test)]
mod tests;
