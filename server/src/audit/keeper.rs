//! What goes on beside the acts: batches are written, old records cut off, every record written out as a line.

use super::{Audit, Retention, log};
use app::model::time::UnixMillis;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// How often what waits is written, and records of other processes are looked for.
const BEAT: Duration = Duration::from_secs(1);
/// How often old records are cut off and the log is measured.
const PRUNE_INTERVAL: Duration = Duration::from_secs(3600);
/// Records that are read and written out at once.
const PAGE: i64 = 1_000;

pub(super) struct Keeper {
    audit: Audit,
    retention: Retention,
    /// The last record that was written out; `None` while the database has not said where to begin.
    emitted: Option<i64>,
    /// What the database knows of that.
    marked: i64,
    /// Whether reading failed last time: told once.
    is_blind: bool,
}

impl Keeper {
    pub(super) fn new(audit: Audit, retention: Retention) -> Self {
        Self { audit, retention, emitted: None, marked: 0, is_blind: false }
    }

    pub(super) async fn keep(mut self, stop: CancellationToken) {
        let (mut beats, mut prunes) = (interval(BEAT), interval(PRUNE_INTERVAL));
        for ticks in [&mut beats, &mut prunes] {
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        let database = self.audit.database.clone();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = database.audit_appended() => self.emit().await,
                _ = beats.tick() => self.beat(UnixMillis::now()).await,
                _ = prunes.tick() => self.prune(UnixMillis::now()).await,
            }
        }
        self.beat(UnixMillis(i64::MAX)).await;
    }

    async fn beat(&mut self, now: UnixMillis) {
        self.audit.flush(now).await;
        self.emit().await;
        self.mark().await;
    }

    /// Writes out the records that are new, this process's and others', in their order and each once.
    async fn emit(&mut self) {
        match self.try_emit().await {
            Ok(()) => self.is_blind = false,
            Err(error) if !self.is_blind => {
                self.is_blind = true;
                tracing::error!(%error, "The audit log cannot be read, so its records are not written out; trying again");
            }
            Err(_) => {}
        }
    }

    async fn try_emit(&mut self) -> Result<(), crate::database::QueryError> {
        let database = &self.audit.database;
        let mut last = match self.emitted {
            Some(seq) => seq,
            None => {
                self.marked = database.audit_emitted().await?;
                self.marked
            }
        };
        loop {
            let records = database.audit_after(last, PAGE).await?;
            for record in &records {
                log(record);
                last = record.seq;
                self.emitted = Some(last);
            }
            if records.len() < PAGE as usize {
                self.emitted = Some(last);
                return Ok(());
            }
        }
    }

    /// Notes how far it came, for the next run. Once a second at most: after a crash, the last lines come twice.
    async fn mark(&mut self) {
        if let Some(through) = self.emitted.filter(|seq| *seq > self.marked)
            && self.audit.database.mark_audit_emitted(through).await.is_ok()
        {
            self.marked = through;
        }
    }

    async fn prune(&self, now: UnixMillis) {
        let kept_ms = self.retention.days.saturating_mul(86_400_000);
        let before = UnixMillis(now.0.saturating_sub_unsigned(kept_ms));
        if let Err(error) = self.audit.database.prune_audit(before).await {
            tracing::warn!(%error, "Old audit records could not be deleted; trying again later");
        }
        match self.audit.database.audit_bytes().await {
            Ok(bytes) => self.audit.measured(bytes, self.retention.bytes_max),
            Err(error) => tracing::warn!(%error, "The audit log could not be measured; trying again later"),
        }
    }
}
