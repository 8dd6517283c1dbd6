//! What a connection does between a loss and the next attempt.

use super::{
    connection::{Connection, Orders},
    limit::{Closed, Verdict},
    loss::Loss,
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
                self.parts.place.vanished(std::time::Instant::now());
                (loss, Verdict::Retry)
            }
            _ => {
                self.parts.place.left();
                (loss, Verdict::Retry)
            }
        };
        if let Some(wait) = loss.wait {
            self.parts.place.turned_away(std::time::Instant::now() + wait, &loss);
        }
        self.parts.record.counters.reconnects.fetch_add(1, Relaxed);
        if let Some(Action::Wait(loss)) = self.link.next(Event::Lost { loss, lived }) {
            let orders = self.parts.orders.clone();
            // What was wished before this loss has been done.
            let _ = orders.hurry.notified().now_or_never();
            let (connection, attempt, why) = (self.id, self.link.attempt(), &loss.reason);
            if verdict == Verdict::StandBack {
                self.parts.record.show_lost(&loss, &self.link, None, self.patience());
                warn!(connection, attempt, "Connection {connection} stands back: {why}");
                tokio::select! {
                    () = orders.retry.notified() => {}
                    () = orders.hurry.notified() => {}
                }
            } else {
                self.wait(&loss, &orders).await;
            }
        }
        self.link.next(Event::WaitOver);
    }

    /// Waits as long as this loss asks for, and as long as the provider asks of the whole account.
    async fn wait(&mut self, loss: &Loss, orders: &Orders) {
        let backoff = self.parts.policy.backoff.wait(loss.kind, self.link.step(), rand::random());
        let own = Instant::now() + backoff;
        let mut is_told = false;
        loop {
            let closed = self.parts.place.closed(std::time::Instant::now());
            let until = closed.as_ref().map_or(own, |closed| own.max(self.back_at(closed)));
            let wait = until.saturating_duration_since(Instant::now());
            if is_told && wait.is_zero() {
                return;
            }
            let (connection, attempt, wait_ms) = (self.id, self.link.attempt(), wait.as_millis() as u64);
            let next_at = Some(UnixMillis(UnixMillis::now().0.saturating_add(wait.as_millis() as i64)));
            if is_told {
                // Meanwhile another connection was told to wait.
                if let Some(closed) = closed.as_ref() {
                    self.link.stays_away(closed.loss.clone());
                }
                self.show(next_at);
                info!(connection, wait_ms, "Connection {connection} waits on: the provider lets nobody in");
            } else {
                if let Some(closed) = closed.as_ref().filter(|_| until > own) {
                    self.link.stays_away(closed.loss.clone());
                }
                self.parts.record.show_lost(loss, &self.link, next_at, self.patience());
                warn!(connection, attempt, wait_ms, "Connection {connection} lost: {}", loss.reason);
                is_told = true;
            }
            tokio::select! {
                () = sleep_until(until) => {}
                // Only a refusal is worth another try before its time: somebody may have changed something.
                () = orders.retry.notified(), if loss.is_refusal() && closed.is_none() => return,
                () = orders.hurry.notified(), if closed.is_none() => {
                    info!(connection, "Connection {connection} is tried now, as asked for");
                    return;
                }
            }
        }
    }

    /// When this connection comes back to an account that was told to wait: not all of them in the same moment.
    fn back_at(&self, closed: &Closed) -> Instant {
        let wait = closed.until.saturating_duration_since(std::time::Instant::now());
        Instant::now() + wait + wait.mul_f64(SPREAD_PART * rand::random::<f64>()).min(SPREAD_MAX)
    }

    /// The account has no place for it: is somebody of ours the reason?
    fn lose_place(&self, loss: Loss) -> (Loss, Verdict) {
        // One that gives way is told so and knows already.
        if loss.kind == LossKind::TooManyConnections && loss.words.is_none() {
            self.parts.place.left();
            return (loss, Verdict::StandBack);
        }
        match self.parts.place.evicted(std::time::Instant::now()) {
            Verdict::StandBack => (Loss::gave_way(loss.words), Verdict::StandBack),
            Verdict::Retry => (loss, Verdict::Retry),
        }
    }
}
