//! Exchange to received, of trades and quotes: a rolling window in high dynamic range histograms.
//!
//! Bars say nothing about it, their times are those of their windows; and the delayed host is late by design. Then there
//! is no figure, and a note says why. A trade that is reported late has no latency either, and is left out.

use super::massive::Mark;
use app::model::{connection::Channel, status::LatencyMs, tick::Tick, time::UnixMillis};
use hdrhistogram::Histogram;

/// The window is made of parts, the oldest of which is emptied for what comes.
const PARTS: usize = 6;
const PART_MS: i64 = 10_000;

/// So many ticks have to come before they happened, for it to be the clock's fault.
const BEHIND_MIN: usize = 3;

/// An hour: what is later counts as that.
const LATEST_MS: u64 = 3_600_000;

/// The latency of one connection over about the last minute.
#[derive(Debug)]
pub(super) struct Latency {
    parts: Vec<Histogram<u32>>,
    current: usize,
    turned: i64,
    /// For each part how long ticks came before they happened, in milliseconds: this machine's clock is behind. The three
    /// largest, the largest first: one or two odd times say nothing of the clock.
    behind_ms: [[i64; BEHIND_MIN]; PARTS],
    absent: Option<&'static str>,
}

impl Latency {
    /// For a connection with these channels to this address.
    pub(super) fn new(channels: &[Channel], url: &str) -> Self {
        let is_timed = channels.iter().any(|channel| is_timed(*channel));
        let absent = if is_delayed(url) {
            Some("The delayed host is 15 minutes late by design: there is no latency to measure")
        } else if is_timed {
            None
        } else {
            Some("Not measured for bars")
        };
        let part = || Histogram::new_with_bounds(1, LATEST_MS, 2);
        // Two digits within these bounds is a histogram that exists.
        let parts = if absent.is_none() { (0..PARTS).filter_map(|_| part().ok()).collect() } else { Vec::new() };
        Self { parts, current: 0, turned: 0, behind_ms: [[0; BEHIND_MIN]; PARTS], absent }
    }

    /// Records the ticks that have a time of the exchange and are not older than `late_report_ms`. `marks` are theirs, in the
    /// same order.
    pub(super) fn take(&mut self, now: UnixMillis, ticks: &[Tick], marks: &[Mark], late_report_ms: i64) {
        if self.absent.is_some() {
            return;
        }
        self.turn(now);
        let current = self.parts.get_mut(self.current).zip(self.behind_ms.get_mut(self.current));
        let Some((part, behind_ms)) = current else { return };
        for (tick, _) in ticks.iter().zip(marks).filter(|(_, mark)| is_timed(mark.channel)) {
            let latency_ms = now.millis_since(tick.timestamp);
            if latency_ms > late_report_ms {
                continue;
            }
            // The larger stays, the smaller is held against the next.
            behind_ms
                .iter_mut()
                .fold(-latency_ms, |behind, place| behind.min(std::mem::replace(place, behind.max(*place))));
            part.saturating_record(latency_ms.max(0) as u64);
        }
    }

    /// The percentiles now, and what is to be said about them.
    pub(super) fn view(&mut self, now: UnixMillis) -> (Option<LatencyMs>, Option<String>) {
        if let Some(why) = self.absent {
            return (None, Some(why.to_owned()));
        }
        self.turn(now);
        let mut parts = self.parts.iter().filter(|part| !part.is_empty());
        let Some(mut all) = parts.next().cloned() else { return (None, Some("No trade or quote yet".to_owned())) };
        for part in parts {
            // They have the same bounds, so adding cannot fail.
            let _ = all.add(part);
        }
        let at = |quantile| all.value_at_quantile(quantile) as f64;
        let latency = LatencyMs { p50: at(0.5), p95: at(0.95), p99: at(0.99), samples: all.len() };
        let behind = self.behind_ms.iter().map(|largest| largest[BEHIND_MIN - 1]).max().unwrap_or_default();
        let note = (behind > 0).then(|| {
            format!(
                "This machine's clock is at least {behind} ms behind the exchange's: latencies are higher than shown"
            )
        });
        (Some(latency), note)
    }

    fn turn(&mut self, now: UnixMillis) {
        // At first, and when the clock was set back.
        if self.turned == 0 || now.0 < self.turned {
            self.turned = now.0;
        }
        // After a long silence everything is old, and every part is turned once.
        for _ in 0..PARTS {
            if now.0 - self.turned < PART_MS {
                return;
            }
            self.turned += PART_MS;
            self.current = (self.current + 1) % PARTS;
            if let (Some(part), Some(behind_ms)) =
                (self.parts.get_mut(self.current), self.behind_ms.get_mut(self.current))
            {
                part.reset();
                *behind_ms = [0; BEHIND_MIN];
            }
        }
        self.turned = now.0;
    }
}

fn is_timed(channel: Channel) -> bool {
    matches!(channel, Channel::Trades | Channel::Quotes)
}

/// All of the provider's delayed hosts are called so.
fn is_delayed(url: &str) -> bool {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    host.starts_with("delayed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use app::model::symbol::Symbol;

    const START: i64 = 1_769_007_600_000;
    const TRADES: &[Mark] = &[Mark { channel: Channel::Trades, window_start: 0 }];

    fn trade(latency: &mut Latency, at_ms: i64, latency_ms: i64) {
        let now = UnixMillis(START + at_ms);
        let symbol = Symbol::parse("AAPL").expect("a symbol");
        let timestamp = UnixMillis(now.0 - latency_ms);
        latency.take(now, &[Tick { connection_id: Some(1), symbol, price: 1.0, volume: 1, timestamp }], TRADES, 60_000);
    }

    fn view(latency: &mut Latency, at_ms: i64) -> (Option<LatencyMs>, Option<String>) {
        latency.view(UnixMillis(START + at_ms))
    }

    #[test]
    fn percentiles_are_of_the_last_minute() {
        let mut latency = Latency::new(&[Channel::Trades], "ws://127.0.0.1/stocks");
        assert_eq!(view(&mut latency, 0).1.as_deref(), Some("No trade or quote yet"));
        (1..=100).for_each(|n| trade(&mut latency, 0, n));
        let (shown, note) = view(&mut latency, 1_000);
        assert_eq!(shown, Some(LatencyMs { p50: 50.0, p95: 95.0, p99: 99.0, samples: 100 }));
        assert_eq!(note, None);
        trade(&mut latency, 65_000, 7);
        assert_eq!(view(&mut latency, 65_000).0.map(|shown| (shown.p99, shown.samples)), Some((7.0, 1)));
        assert_eq!(view(&mut latency, 3_600_000).0, None);
    }

    #[test]
    fn a_clock_that_is_behind_is_said() {
        let mut latency = Latency::new(&[Channel::Quotes, Channel::SecondBars], "wss://socket.massive.com/stocks");
        trade(&mut latency, 0, -50_000);
        trade(&mut latency, 0, -12);
        assert_eq!(view(&mut latency, 0).1, None, "one odd time says nothing of the clock");
        trade(&mut latency, 0, -30);
        let (shown, note) = view(&mut latency, 0);
        assert_eq!(shown.map(|shown| shown.p50), Some(0.0));
        assert!(note.is_some_and(|note| note.contains("at least 12 ms behind")));
    }

    #[test]
    fn a_trade_that_is_reported_late_moves_no_percentile() {
        let mut latency = Latency::new(&[Channel::Trades], "ws://127.0.0.1/stocks");
        (1..=50).for_each(|_| trade(&mut latency, 0, 9));
        trade(&mut latency, 0, 86_400_000);
        let shown = view(&mut latency, 0).0;
        assert_eq!(shown, Some(LatencyMs { p50: 9.0, p95: 9.0, p99: 9.0, samples: 50 }));
    }

    #[test]
    fn where_there_is_none_a_note_says_why() {
        let mut bars = Latency::new(&[Channel::SecondBars], "wss://socket.massive.com/stocks");
        trade(&mut bars, 0, 5);
        assert!(view(&mut bars, 0).1.is_some_and(|note| note.starts_with("Not measured for bars")));
        let mut delayed = Latency::new(&[Channel::Trades], "wss://delayed-business.massive.com/stocks");
        trade(&mut delayed, 0, 900_000);
        let (shown, note) = view(&mut delayed, 0);
        assert!(shown.is_none() && note.is_some_and(|note| note.contains("15 minutes late by design")));
    }
}
