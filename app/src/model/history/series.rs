//! A connection's metrics over time, in buckets of one length.

use super::Phase;
use crate::model::{connection::ConnectionId, time::UnixMillis};
use serde::{Deserialize, Serialize};

/// The lengths that a bucket may have, in seconds; each is made up of whole rows of a kept resolution. Two at least: a
/// provider's burst once a second falls now into this second, now into the next.
const BUCKETS: [u32; 17] =
    [2, 5, 10, 20, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200, 86_400];
/// The most buckets of a range: one for about three pixels of a wide screen.
pub const BUCKETS_MAX: i64 = 400;

/// The length of a bucket, in seconds, so that a range has at most [`BUCKETS_MAX`] of them.
#[must_use]
pub fn bucket_seconds(range_ms: i64) -> u32 {
    BUCKETS.into_iter().find(|seconds| range_ms <= i64::from(*seconds) * 1000 * BUCKETS_MAX).unwrap_or(86_400)
}

/// What is known of one bucket of one connection. Sums add up exactly; percentiles are means over the samples, as those of
/// several seconds cannot be joined, beside the worst of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bucket {
    /// Milliseconds that samples cover; 0 when nobody looked.
    pub covered_ms: u64,
    /// Ticks in them.
    pub ticks: u64,
    /// WebSocket messages in them.
    pub messages: u64,
    /// Errors in them.
    pub errors: u64,
    /// Connections lost in them.
    pub reconnects: u64,
    /// Half are faster, in microseconds.
    pub p50_us: Option<u64>,
    /// 95 of 100 are faster.
    pub p95_us: Option<u64>,
    /// 99 of 100 are faster.
    pub p99_us: Option<u64>,
    /// The worst second's [`Bucket::p99_us`].
    pub p99_us_max: Option<u64>,
    /// Milliseconds in each phase, in the order of [`Phase::ALL`].
    pub phase_ms: [u64; Phase::COUNT],
}

/// Which of the latencies of a bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Percentile {
    /// The mean of the seconds' 99th percentiles.
    #[default]
    P99,
    /// The worst second's.
    Worst,
    /// The mean of the seconds' 95th percentiles.
    P95,
    /// The mean of the seconds' medians.
    P50,
}

impl Percentile {
    /// All of them, in the order in which they are offered.
    pub const ALL: [Self; 4] = [Self::P99, Self::Worst, Self::P95, Self::P50];

    /// Its name in addresses.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::P99 => "p99",
            Self::Worst => "worst",
            Self::P95 => "p95",
            Self::P50 => "p50",
        }
    }

    /// The one with a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|percentile| percentile.name() == name)
    }

    /// The word shown for it.
    #[must_use]
    pub fn label(self) -> &'static str {
        if self == Self::Worst { "worst p99" } else { self.name() }
    }
}

impl Bucket {
    /// A latency, in microseconds; `None` when none was measured.
    #[must_use]
    pub fn latency_us(&self, percentile: Percentile) -> Option<u64> {
        match percentile {
            Percentile::P99 => self.p99_us,
            Percentile::Worst => self.p99_us_max,
            Percentile::P95 => self.p95_us,
            Percentile::P50 => self.p50_us,
        }
    }

    /// A count as a rate over the time that was seen; `None` when nobody looked.
    #[must_use]
    pub fn per_second(&self, count: u64) -> Option<f64> {
        (self.covered_ms > 0).then(|| count as f64 * 1000.0 / self.covered_ms as f64)
    }

    /// The worst phase that the connection was in.
    #[must_use]
    pub fn worst(&self) -> Option<Phase> {
        Phase::ALL.into_iter().zip(self.phase_ms).filter(|(_, ms)| *ms > 0).map(|(phase, _)| phase).next_back()
    }

    /// The worst phase in words, with its share of the bucket where it is not all of it: of six hours, eight seconds are not a state.
    #[must_use]
    pub fn state_text(&self) -> Option<String> {
        let worst = self.worst()?;
        let whole: u64 = self.phase_ms.iter().sum();
        let percent = self.phase_ms[worst as usize] * 100 / whole.max(1);
        Some(match percent {
            99.. => worst.label().to_owned(),
            0 => [worst.label(), " < 1 %"].concat(),
            _ => [worst.label(), " ", &percent.to_string(), " %"].concat(),
        })
    }

    /// Both together, as one longer bucket.
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        let mean = |one: Option<u64>, two: Option<u64>| match (one, two) {
            (Some(one), Some(two)) => {
                let (a, b) = (self.covered_ms.max(1), other.covered_ms.max(1));
                Some((one * a + two * b) / (a + b))
            }
            (one, two) => one.or(two),
        };
        let mut phase_ms = self.phase_ms;
        phase_ms.iter_mut().zip(other.phase_ms).for_each(|(sum, ms)| *sum += ms);
        Self {
            covered_ms: self.covered_ms + other.covered_ms,
            ticks: self.ticks + other.ticks,
            messages: self.messages + other.messages,
            errors: self.errors + other.errors,
            reconnects: self.reconnects + other.reconnects,
            p50_us: mean(self.p50_us, other.p50_us),
            p95_us: mean(self.p95_us, other.p95_us),
            p99_us: mean(self.p99_us, other.p99_us),
            p99_us_max: self.p99_us_max.max(other.p99_us_max),
            phase_ms,
        }
    }
}

/// One connection's buckets, without holes: a bucket that nobody looked at covers nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// The connection whose buckets they are.
    pub connection_id: ConnectionId,
    /// Its name.
    pub name: String,
    /// Oldest first; [`Series::buckets`] of a view are all of one length and begin together.
    pub buckets: Vec<Bucket>,
}

/// A moment down to the begin of its bucket.
#[must_use]
pub fn floor_to(at: UnixMillis, seconds: u32) -> UnixMillis {
    UnixMillis(at.0 - at.0.rem_euclid(i64::from(seconds) * 1000))
}

#[cfg(test)]
mod tests {
    use super::super::selection::RANGES;
    use super::*;

    #[test]
    fn every_range_has_enough_buckets_for_a_line_and_not_too_many() {
        for (name, _, seconds) in RANGES {
            let count = i64::from(seconds) / i64::from(bucket_seconds(i64::from(seconds) * 1000));
            assert!((150..=BUCKETS_MAX).contains(&count), "{name}: {count}");
        }
    }

    #[test]
    fn joined_buckets_keep_sums_and_the_worst() {
        let one = Bucket {
            covered_ms: 1_000,
            ticks: 10,
            p50_us: Some(100),
            p99_us_max: Some(500),
            phase_ms: [0, 1_000, 0, 0, 0, 0],
            ..Bucket::default()
        };
        let two = Bucket {
            covered_ms: 3_000,
            ticks: 50,
            p50_us: Some(300),
            p99_us_max: Some(400),
            phase_ms: [0, 2_000, 0, 0, 0, 1_000],
            ..Bucket::default()
        };
        let both = one.join(two);
        assert_eq!((both.ticks, both.p50_us, both.p99_us_max), (60, Some(250), Some(500)));
        assert_eq!(both.per_second(both.ticks), Some(15.0));
        assert_eq!(both.worst(), Some(Phase::Failed));
        assert_eq!(both.state_text().as_deref(), Some("failed 25 %"));
        let few = Bucket { phase_ms: [0, 21_592_000, 0, 0, 0, 8_000], ..Bucket::default() };
        assert_eq!(few.state_text().as_deref(), Some("failed < 1 %"));
        assert_eq!((one.state_text().as_deref(), Bucket::default().state_text()), (Some("connected"), None));
        assert_eq!(Bucket::default().per_second(0), None, "nobody looked is not zero");
        assert_eq!(one.join(Bucket::default()), one);
    }
}
