//! What a connection does between a loss and the next attempt.

use super::{
    connection::{Connection, Orders},
    loss::Loss,
    quota::{Closed, Verdict},
    state::{Action, Event},
};
use app::model::{health::LossKind, time::UnixMillis};
use futures_util::FutureExt;
use std::{sync::atomic::Ordering::Relaxed, time::Duration};
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

/// Connections that wait for the same moment come back over this part of the wait, and over no more than so long.
const SPREAD_PART: f64 = 0.1;
const SPREAD_MAX: Duration = Duration::from_secs(5);

impl Connection {
    /// Counts the loss, waits as long as it asks for, and leaves the link ready to dial.
    pub(super) async fn lose(&mut self, loss: Loss, lived: Duration) {
        let (loss, verdict) = match loss.kind {
            LossKind::TooManyConnections => self.lose_place(loss),
            LossKind::Dropped | LossKind::Silent | LossKind::Unreachable => {
                self.parts.place.vanished(Instant::now());
                (loss, Verdict::Retry)
            }
            _ => {
                self.parts.place.left();
                (loss, Verdict::Retry)
            }
        };
        if let Some(wait) = loss.wait {
            self.parts.place.turned_away(Instant::now() + wait, &loss);
        }
        self.parts.telemetry.counters.reconnects.fetch_add(1, Relaxed);
        if let Some(Action::Wait(loss)) = self.link.next(Event::Lost { loss, lived }) {
            let orders = self.parts.orders.clone();
            // What was wished before this loss has been done.
            let _ = orders.hurry.notified().now_or_never();
            let (connection, attempt, why) = (self.id, self.link.attempt(), &loss.reason);
            if verdict == Verdict::StandBack {
                self.show_lost(&loss, None, UnixMillis::now());
                warn!(parent: &self.span, attempt, "Connection {connection} stands back: {why}");
                orders.retry.notified().await;
            } else {
                self.wait(&loss, &orders).await;
            }
        }
        self.link.next(Event::WaitOver);
    }

    /// A loss is an error, unless the provider announced it: then the same cause is counted already.
    fn show_lost(&self, loss: &Loss, next_at: Option<UnixMillis>, now: UnixMillis) {
        let is_announced = loss.words.as_ref().is_some_and(|words| self.has_said(words));
        self.parts.telemetry.show_lost(loss, !is_announced, &self.link, (next_at, self.patience()), now);
    }

    /// Waits as long as this loss asks for, and as long as the provider asks of the whole account.
    async fn wait(&mut self, loss: &Loss, orders: &Orders) {
        let backoff = self.parts.policy.backoff.wait(loss.kind, self.link.step(), rand::random());
        let own = Instant::now() + backoff;
        let mut is_told = false;
        loop {
            let (now, wall) = (Instant::now(), UnixMillis::now());
            let closed = self.parts.place.closed(now);
            let until = closed.as_ref().map_or(own, |closed| own.max(back_at(closed, now, rand::random())));
            let wait = until.saturating_duration_since(now);
            if is_told && wait.is_zero() {
                return;
            }
            let (connection, attempt, wait_ms) = (self.id, self.link.attempt(), wait.as_millis() as u64);
            let next_at = Some(UnixMillis(wall.0.saturating_add(wait.as_millis() as i64)));
            if is_told {
                // Meanwhile another connection was told to wait.
                if let Some(closed) = closed.as_ref() {
                    self.link.stays_away(closed.loss.clone());
                }
                self.show(next_at);
                info!(parent: &self.span, wait_ms, "Connection {connection} keeps waiting: the provider accepts no connections");
            } else {
                if let Some(closed) = closed.as_ref().filter(|_| until > own) {
                    self.link.stays_away(closed.loss.clone());
                }
                self.show_lost(loss, next_at, wall);
                warn!(parent: &self.span, attempt, wait_ms, "Connection {connection} lost: {}", loss.reason);
                is_told = true;
            }
            tokio::select! {
                () = sleep_until(until) => {}
                // Only a refusal is worth another try before its time: somebody may have changed something.
                () = orders.retry.notified(), if loss.is_refusal() && closed.is_none() => return,
                // What the provider asks of the account may have ended, or begun, since this wait began.
                () = orders.hurry.notified() => if self.parts.place.closed(Instant::now()).is_none() {
                    info!(parent: &self.span, "Connection {connection} is tried now, as asked for");
                    return;
                }
            }
        }
    }

    /// The account has no place for it: is somebody of ours the reason?
    fn lose_place(&self, loss: Loss) -> (Loss, Verdict) {
        // One that gives way is told so and knows already.
        if loss.kind == LossKind::TooManyConnections && loss.words.is_none() {
            self.parts.place.left();
            return (loss, Verdict::StandBack);
        }
        match self.parts.place.evicted(Instant::now()) {
            Verdict::StandBack => (Loss::gave_way(loss.words), Verdict::StandBack),
            Verdict::Retry => (loss, Verdict::Retry),
        }
    }
}

/// When a connection comes back to an account that was told to wait: not all of them in the same moment, but spread by
/// `jitter`, from 0 to 1.
fn back_at(closed: &Closed, now: Instant, jitter: f64) -> Instant {
    let wait = closed.until.saturating_duration_since(now);
    now + wait + wait.mul_f64(SPREAD_PART * jitter).min(SPREAD_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_come_back_spread_over_a_tenth_of_the_wait_and_five_seconds_at_most() {
        let now = Instant::now();
        let after = |wait: u64, jitter| {
            let closed = Closed { until: now + Duration::from_secs(wait), loss: Loss::gave_way(None) };
            back_at(&closed, now, jitter).duration_since(now).as_millis()
        };
        assert_eq!((after(20, 0.0), after(20, 0.5), after(20, 1.0)), (20_000, 21_000, 22_000));
        assert_eq!((after(3_600, 0.0), after(3_600, 1.0)), (3_600_000, 3_605_000));
        let over = Closed { until: now, loss: Loss::gave_way(None) };
        assert_eq!(back_at(&over, now + Duration::from_secs(1), 1.0), now + Duration::from_secs(1), "it is over");
    }
}
