//! When which ticks are due.

use crate::scenario::Spacing;
use std::{
    fs,
    thread::sleep,
    time::{Duration, Instant},
};

/// A burst, as a provider's frames come.
const BURST: Duration = Duration::from_millis(1);
/// Ticks handed over in one go when all of a second's come together: a large frame of the provider.
const FRAME: u64 = 500;
/// The most ticks to a frame: a tenth of the megabyte and more that clients of the provider read at most.
const FRAME_MAX: u64 = 5_000;

/// Where ticks go.
pub(crate) trait Publish {
    /// Hands over ticks `first..first + count`, now.
    fn publish(&mut self, first: u64, count: u64) -> anyhow::Result<()>;
}

/// Publishes at `rate` a second for `length`; answers how many ticks that were. What is late is made up for.
pub(crate) fn pace(rate: u64, spacing: Spacing, length: Duration, publisher: &mut impl Publish) -> anyhow::Result<u64> {
    sleep_precisely();
    let total = (rate as f64 * length.as_secs_f64()) as u64;
    let started = Instant::now();
    let mut done = 0;
    while done < total {
        let elapsed = started.elapsed();
        let due = match spacing {
            Spacing::Bursts => rate * (elapsed.as_millis() as u64 + 1) / 1000,
            Spacing::Even => (rate as f64 * elapsed.as_secs_f64()) as u64 + 1,
            Spacing::Seconds => rate * (elapsed.as_secs() + 1),
        }
        .min(total);
        let chunk = match spacing {
            // A frame that made up for a long delay would be larger than anybody takes.
            Spacing::Bursts => (due - done).min(FRAME_MAX),
            Spacing::Even => 1,
            Spacing::Seconds => FRAME,
        };
        while done < due {
            let count = chunk.min(due - done);
            publisher.publish(done, count)?;
            done += count;
        }
        let next = match spacing {
            Spacing::Bursts => BURST * (elapsed.as_millis() as u32 + 1),
            Spacing::Even => Duration::from_secs_f64(done as f64 / rate as f64),
            Spacing::Seconds => Duration::from_secs(elapsed.as_secs() + 1),
        };
        sleep(next.saturating_sub(started.elapsed()));
    }
    Ok(total)
}

/// Linux lets a sleep last 50 µs longer than asked for, to save wake-ups; a load generator wants to be on time. Where it
/// cannot be had, ticks that should come evenly come in small groups.
fn sleep_precisely() {
    if let Ok(link) = fs::read_link("/proc/thread-self")
        && let Some(thread) = link.file_name()
    {
        let _ = fs::write(format!("/proc/{}/timerslack_ns", thread.to_string_lossy()), "1");
    }
}
