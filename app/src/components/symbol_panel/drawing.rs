//! The figures of the panel, as paths and shares.

use crate::{
    components::format,
    model::{
        symbol_detail::{SECONDS_KEPT, SymbolDetail, gap_end_ms},
        time::{UnixMillis, format_seconds},
    },
};

/// Ten units a second.
const WIDTH: i64 = SECONDS_KEPT as i64 * 10;
const PRICE_HEIGHT: f64 = 600.0;
const GAP_HEIGHT: u64 = 400;

/// `0.3 s`, `12 s`, `2 m 10 s`
pub(super) fn gap_text(ms: u64) -> String {
    if ms < 9_950 { format::fixed(ms as f64 / 1_000.0, 1) + " s" } else { format_seconds(ms.div_ceil(500) / 2) }
}

/// Where a moment stands.
fn x(detail: &SymbolDetail, at: UnixMillis) -> i64 {
    (WIDTH - detail.at.millis_since(at) / 100).clamp(0, WIDTH)
}

/// The price as a stair: each holds until the next.
pub(super) fn price_line(detail: &SymbolDetail) -> String {
    let prices = || detail.seconds.iter().map(|second| second.price);
    let lowest = prices().fold(f64::INFINITY, f64::min);
    let span = prices().fold(f64::NEG_INFINITY, f64::max) - lowest;
    let mut path = String::new();
    for second in &detail.seconds {
        let part = if span > 0.0 { (second.price - lowest) / span } else { 0.5 };
        let y = (PRICE_HEIGHT - 20.0 - part * (PRICE_HEIGHT - 40.0)) as i64;
        let x = x(detail, second.at).to_string();
        let (to_x, to_y) = if path.is_empty() { ("M", " ") } else { ("H", "V") };
        path.push_str(&[to_x, &x, to_y, &y.to_string()].concat());
    }
    if path.is_empty() { path } else { path + "H" + &WIDTH.to_string() }
}

/// The gap that is as high as the drawing, in milliseconds.
pub(super) fn scale_of_gaps(detail: &SymbolDetail, usual_ms: Option<u64>) -> u64 {
    let longest = detail.seconds.iter().map(|second| second.gap_ms).max().unwrap_or_default();
    silence_ms(detail).max(longest.into()).max(usual_ms.unwrap_or_default()).max(1)
}

fn silence_ms(detail: &SymbolDetail) -> u64 {
    detail.last_arrival.map_or(0, |last| detail.at.millis_since(last).max(0).unsigned_abs())
}

/// A bar for each gap where it ended, and one for the silence at the moment.
pub(super) fn gap_bars(detail: &SymbolDetail, scale_ms: u64) -> (String, String) {
    let bar = |x: i64, ms: u64| {
        // Each is seen.
        let height = (ms.min(scale_ms) * GAP_HEIGHT / scale_ms).max(8);
        ["M", &x.to_string(), " ", &GAP_HEIGHT.to_string(), "v-", &height.to_string(), "h12v", &height.to_string(), "z"]
            .concat()
    };
    let bars = detail.seconds.iter().filter(|second| second.gap_ms > 0);
    let bars = bars.map(|second| bar(x(detail, second.at), second.gap_ms.into())).collect();
    let silence = detail.last_arrival.map(|_| bar(WIDTH - 12, silence_ms(detail)));
    (bars, silence.unwrap_or_default())
}

/// Gaps by length, each up to twice as long as those before: the longest, and the share in percent. From the shortest to the
/// longest that occurred.
pub(super) fn gap_shares(gaps: &[u16]) -> Vec<(String, u32)> {
    let total: u32 = gaps.iter().map(|count| u32::from(*count)).sum();
    let mut bins: Vec<(String, u32)> = Vec::new();
    // The first place stands alone; after it two make a doubling.
    for first in (0..gaps.len()).filter(|place| *place == 0 || !place.is_multiple_of(2)) {
        let last = if first == 0 { 0 } else { first + 1 };
        let count: u32 = gaps.iter().take(last + 1).skip(first).map(|count| u32::from(*count)).sum();
        let end = if last < gaps.len() {
            "≤ ".to_owned() + &gap_text(gap_end_ms(last))
        } else {
            "> ".to_owned() + &gap_text(gap_end_ms(first - 1))
        };
        bins.push((end, count));
    }
    let used = |(_, count): &(String, u32)| *count > 0;
    let (Some(first), Some(last)) = (bins.iter().position(used), bins.iter().rposition(used)) else {
        return Vec::new();
    };
    bins.drain(first..=last).map(|(end, count)| (end, (count * 100 + total / 2) / total)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_stand_in_doublings_from_the_shortest_to_the_longest() {
        let mut gaps = [0; 24];
        (gaps[1], gaps[2], gaps[5], gaps[23]) = (1, 1, 1, 1);
        let shares = gap_shares(&gaps);
        assert_eq!(shares[0], ("≤ 0.2 s".to_owned(), 50));
        assert_eq!(shares[2], ("≤ 0.8 s".to_owned(), 25));
        assert_eq!(shares.last(), Some(&("> 3 m 25 s".to_owned(), 25)));
        assert!(gap_shares(&[0; 24]).is_empty() && gap_shares(&[]).is_empty());
    }

    #[test]
    fn a_gap_is_said_as_exactly_as_it_matters() {
        assert_eq!(
            [0, 40, 1_250, 9_949, 12_400, 130_000].map(gap_text),
            ["0.0 s", "0.0 s", "1.3 s", "9.9 s", "12 s", "2 m 10 s"]
        );
    }
}
