//! From buckets to lines and columns: where values are on a chart.
//!
//! A plot is a drawing of [`BUCKET_WIDTH`] units a bucket and [`HEIGHT`] units high that is stretched to the space it has.
//! What must not be stretched (texts, the point in time) is placed in percent.

use crate::{
    components::format,
    model::{history::view::HistoryView, time::UnixMillis},
};
use std::fmt::Write;

/// Units of a bucket's width.
pub const BUCKET_WIDTH: usize = 10;
/// Units of a plot's height.
pub const HEIGHT: u32 = 1_000;
/// Room above the highest value, for its line's width.
const HEADROOM: f64 = 0.96;
/// The lowest column: one error beside a thousand is seen.
const COLUMN_MIN: u32 = 30;

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
pub(super) fn hole_max(bucket_seconds: u32) -> usize {
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

/// Counts as columns that stand on each other, a path for each series: none seen has no column.
#[must_use]
pub fn columns(series: &[Vec<Option<f64>>], max: f64) -> Vec<String> {
    let mut paths = vec![String::new(); series.len()];
    for place in 0..series.iter().map(Vec::len).max().unwrap_or(0) {
        let mut y = HEIGHT;
        for (values, path) in series.iter().zip(&mut paths) {
            let Some(value) = values.get(place).copied().flatten().filter(|value| *value > 0.0) else { continue };
            let share = (value / max).clamp(0.0, 1.0) * HEADROOM;
            let high = ((share * f64::from(HEIGHT)).round() as u32).max(COLUMN_MIN).min(y);
            y -= high;
            let (x, wide) = (place * BUCKET_WIDTH + 1, BUCKET_WIDTH - 2);
            let _ = write!(path, "M{x} {y}h{wide}v{high}h-{wide}z");
        }
    }
    paths
}

/// The ground under columns, where anybody looked: zero is not missing.
#[must_use]
pub fn ground(series: &[Vec<Option<f64>>], bucket_seconds: u32) -> String {
    const Y: u32 = HEIGHT - 4;
    let hole_max = hole_max(bucket_seconds);
    let is_seen = |place: &usize| series.iter().any(|values| values.get(*place).is_some_and(Option::is_some));
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for place in (0..series.iter().map(Vec::len).max().unwrap_or(0)).filter(is_seen) {
        match runs.last_mut() {
            Some((_, end)) if place - *end <= hole_max => *end = place + 1,
            _ => runs.push((place, place + 1)),
        }
    }
    let mut text = String::new();
    for (begin, end) in runs {
        let _ = write!(text, "M{} {Y}H{}", begin * BUCKET_WIDTH, end * BUCKET_WIDTH);
    }
    text
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
    fn counts_of_several_connections_stand_on_each_other() {
        let one = vec![Some(0.0), Some(5.0), None];
        let two = vec![Some(1.0), Some(5.0), None];
        assert_eq!(columns(&[one.clone(), two], 10.0), ["M11 520h8v480h-8z", "M1 904h8v96h-8zM11 40h8v480h-8z"]);
        assert_eq!(columns(&[vec![Some(1.0)]], 1_000.0), ["M1 970h8v30h-8z"], "one in a thousand is seen");
        assert_eq!(ground(&[one], 10), "M0 996H20", "zero is drawn, missing is not");
        assert_eq!(ground(&[vec![None]], 10), "");
    }

    #[test]
    fn labels_are_round_times() {
        let (from, to) = (UnixMillis(1_768_996_800_000), UnixMillis(1_768_996_900_000));
        let mut view = HistoryView { at: to, from, to, bucket_seconds: 10, ..HistoryView::default() };
        let labels = time_labels(&view);
        let texts: Vec<_> = labels.iter().map(|label| label.text.as_str()).collect();
        assert_eq!(texts, ["12:00:30", "12:01:00", "12:01:30"], "none at the edge");
        assert_eq!(labels[0].x, "30.00%");
        view.to = UnixMillis(view.from.0 + 7_776_000_000);
        view.bucket_seconds = 21_600;
        let texts: Vec<_> = time_labels(&view).into_iter().map(|label| label.text).collect();
        assert_eq!(texts.len(), 5, "{texts:?}");
        assert_eq!(moment(UnixMillis(1_768_996_800_000)), "01-21 12:00:00");
    }
}
