//! History: what happened while nobody looked.
//!
//! ```text
//!  hub ──watch: status report──▶ Recorder ──▶ Backlog ──one transaction a second──▶ database
//!                                (samples,   (bounded)                                 │
//!                                 events,                 ◀──── failed: put back ──────┘
//!                                 Ledger: gaps)
//!      ◀──watch: news───────────────────────── not kept since …, and why; the ledger changed at …
//!  bus ──until when all is published──▶ last sign of life of the run, where the next one's gap begins
//! ```
//!
//! One task beside the way of a tick. It reads reports from a watch channel, so the hub never waits for it, and it never
//! waits for the database: a write runs beside it while it goes on observing. A second's samples are in the database a
//! second later, or wait in a bounded backlog; what that has to drop is counted and on record when the database is back.
//! Two changes of state between two reports are seen as one.

mod backlog;
mod bundles;
mod ledger;
mod neighbours;
mod opening;
pub mod query;
mod recorder;
mod succession;
#[cfg(test)]
mod tests;
mod turn;

pub use opening::Opening;
pub use succession::Succession;

use crate::{
    bus::TickBus,
    database::{
        Database, QueryError,
        history::{Batch, Past, Retention, Run},
    },
    tasks::ended,
};
use app::model::{
    connection::ConnectionId,
    history::{EventKind, HistoryNews, HistoryTrouble, gap::GapCause},
    status::{Feed, StatusReport},
    time::UnixMillis,
};
use ledger::Ledger;
use recorder::Recorder;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

const WRITE_INTERVAL: Duration = Duration::from_secs(1);
/// Every so many writes, what is too old goes.
const PRUNE_EVERY: u64 = 60;
/// Something that is not written for so long is history that is not being kept, in milliseconds.
const TROUBLE_AFTER_MS: i64 = 5_000;
/// The time that the last write gets at the end.
const FAREWELL: Duration = Duration::from_secs(2);

/// Keeps history until it is told to stop.
pub struct Keeper {
    database: Database,
    retention: Retention,
    recorder: Recorder,
    run: Run,
    news: watch::Sender<HistoryNews>,
    /// What others want to have on record as an event.
    notes: watch::Receiver<String>,
    /// Of each connection the newest gap that the database was given: what the dashboard says of its last outage.
    last_gaps: BTreeMap<ConnectionId, LastGap>,
    /// Is one of them news that is being written?
    ledger_changes: bool,
    writing: Option<JoinHandle<Written>>,
    /// The ledger changed since the write under way began.
    is_urgent: bool,
    writes: u64,
    /// Among several servers: under which epoch this one writes.
    epoch: Option<Epoch>,
    /// Where what is collected goes.
    bus: Option<Arc<dyn TickBus>>,
    /// Another server writes by now, and this one does not any more.
    is_over: bool,
    /// When the oldest thing that is not written yet was handed to the database.
    behind_since: Option<UnixMillis>,
    last_error: Option<String>,
}

/// The epoch by now; it may rise while one server collects.
type Epoch = Box<dyn Fn() -> u64 + Send + Sync>;

/// A gap's number, its end and its cause.
type LastGap = (u32, Option<UnixMillis>, GapCause);

/// A write that is over: how, and what it was if it has to be done again.
type Written = Result<Option<UnixMillis>, Box<(Batch, QueryError)>>;

impl Keeper {
    /// Reads what earlier runs left, and starts a new one. Whoever wants to know whether history is being kept watches
    /// [`Keeper::news`].
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn open(database: Database, retention: Retention, feed: Feed) -> Result<Self, QueryError> {
        let past = database.history_past(None).await?;
        Ok(Self::start(database, retention, feed, past, UnixMillis::now(), None, None))
    }

    fn start(
        database: Database,
        retention: Retention,
        feed: Feed,
        past: Past,
        now: UnixMillis,
        succession: Option<Succession>,
        turn: Option<(String, u64)>,
    ) -> Self {
        let after = match &past.last_run {
            None => "; history begins".to_owned(),
            Some(Run { stopped_at: Some(at), .. }) => format!("; stopped since {} UTC", at.day_and_clock()),
            Some(Run { last_seen_at, .. }) => {
                format!("; ended unexpectedly after {} UTC", last_seen_at.day_and_clock())
            }
        };
        let text = match &succession {
            None => format!("Started: version {}, feed {}{after}", env!("CARGO_PKG_VERSION"), feed.label()),
            Some(succession) => succession.text(past.last_run.as_ref(), now),
        };
        let mut recorder = Recorder::new(Ledger::resume(past, feed, now, succession.as_ref()));
        recorder.tell(now, None, EventKind::Server, None, &text);
        let (server, epoch): (String, Option<Epoch>) = match (succession, turn) {
            (Some(succession), _) => (succession.server, Some(succession.epoch)),
            (None, Some((server, epoch))) => (server, Some(Box::new(move || epoch))),
            (None, None) => Default::default(),
        };
        Self {
            database,
            retention,
            recorder,
            epoch,
            bus: None,
            is_over: false,
            run: Run { started_at: now, last_seen_at: now, server, ..Run::default() },
            news: watch::Sender::default(),
            notes: watch::channel(String::new()).1,
            last_gaps: BTreeMap::new(),
            ledger_changes: false,
            writing: None,
            is_urgent: false,
            writes: 0,
            behind_since: None,
            last_error: None,
        }
    }

    /// Whether history is being kept, and when the ledger changed.
    #[must_use]
    pub fn news(&self) -> watch::Receiver<HistoryNews> {
        self.news.subscribe()
    }

    /// Records reports until `stop`, then that the server stopped in good order; or until another server writes history.
    pub async fn keep(mut self, mut reports: watch::Receiver<Arc<StatusReport>>, stop: CancellationToken) {
        let mut beats = interval(WRITE_INTERVAL);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        reports.mark_changed();
        while !self.is_over {
            tokio::select! {
                () = stop.cancelled() => break,
                Ok(()) = reports.changed() => {
                    let report = Arc::clone(&reports.borrow_and_update());
                    // A full second goes at once: a crash loses what came since, and nothing that waited. So does the ledger: a
                    // crash must not lose that ticks were missed before those that were published last.
                    let is_full = self.recorder.observe(&report, UnixMillis::now());
                    self.is_urgent |= self.recorder.take_gap_news();
                    self.tell_gaps();
                    if is_full || self.is_urgent {
                        self.beat(UnixMillis::now());
                        beats.reset();
                    }
                }
                written = ended(&mut self.writing) => {
                    self.settle(written);
                    if self.is_urgent {
                        self.beat(UnixMillis::now());
                    }
                }
                Ok(()) = self.notes.changed() => {
                    let note = self.notes.borrow_and_update().clone();
                    self.recorder.tell(UnixMillis::now(), None, EventKind::History, None, &note);
                }
                _ = beats.tick() => self.beat(UnixMillis::now()),
            }
        }
        let report = Arc::clone(&reports.borrow());
        // Among several servers, what nobody publishes until the next one does is a gap of the connections.
        self.recorder.look_last(&report.head.bus, self.epoch.is_some(), UnixMillis::now());
        self.say_goodbye().await;
    }

    fn beat(&mut self, now: UnixMillis) {
        if self.writing.is_none() {
            self.write(now);
        }
        self.tell_trouble(now);
    }

    /// Hands the next transaction to the database. There is always one: it says that this run lives.
    fn write(&mut self, now: UnixMillis) {
        self.is_urgent = false;
        self.behind_since.get_or_insert(now);
        self.run.last_seen_at = self.run.last_seen_at.max(self.accounted_until(now));
        self.run.connection_ids = self.recorder.enabled();
        let mut batch = self.recorder.backlog.take(self.run.clone());
        batch.epoch = self.epoch.as_ref().map(|epoch| epoch());
        for gap in &batch.gaps {
            let newest = (gap.number, gap.ended_at, gap.cause);
            self.ledger_changes |= self.last_gaps.insert(gap.connection_id, newest) != Some(newest);
        }
        let prunes = self.writes.is_multiple_of(PRUNE_EVERY).then_some(self.retention);
        self.writes += 1;
        let database = self.database.clone();
        self.writing = Some(tokio::spawn(async move {
            match database.write_history(&batch).await {
                Ok(()) => Ok(prune(&database, prunes, now).await),
                Err(error) => Err(Box::new((batch, error))),
            }
        }));
    }

    /// Until when all ticks are published, or in a gap of the bus: if this server is killed, what came since is in the gap of that.
    fn accounted_until(&self, now: UnixMillis) -> UnixMillis {
        let bus = self.bus.as_ref().filter(|_| !self.recorder.has_open_bus_gap());
        bus.map_or(now, |bus| bus.published_until(now))
    }

    fn settle(&mut self, written: Written) {
        let now = UnixMillis::now();
        match written {
            Ok(pruned) => {
                if let Some(end) = pruned {
                    let text = format!("History reached its size limit: what was before {end} is deleted");
                    self.recorder.tell(now, None, EventKind::History, None, &text);
                }
                if std::mem::take(&mut self.ledger_changes) {
                    self.news.send_modify(|news| news.ledger_changed_at = now);
                }
                let since = self.behind_since.take();
                if let (Some(reason), Some(since)) = (self.last_error.take(), since) {
                    info!("History is being kept again");
                    self.recorder.backlog.settle(since, now, &reason);
                }
            }
            Err(unwritten) if unwritten.1.is_fenced() => {
                (self.is_over, self.behind_since) = (true, None);
                warn!("History is not written any more: {}", unwritten.1.reason());
            }
            Err(unwritten) => {
                let (batch, error) = *unwritten;
                self.recorder.backlog.put_back(batch);
                let reason = error.reason();
                if self.last_error.as_ref() != Some(&reason) {
                    warn!("History is not being written: {reason}");
                }
                self.last_error = Some(reason);
            }
        }
        self.tell_trouble(now);
    }

    fn tell_gaps(&self) {
        let open = self.recorder.open_gaps();
        self.news.send_if_modified(|news| (news.open_gaps != open).then(|| news.open_gaps = open).is_some());
    }

    fn tell_trouble(&mut self, now: UnixMillis) {
        let behind = self.behind_since.filter(|since| now.millis_since(*since) >= TROUBLE_AFTER_MS);
        let trouble = behind.map(|since| {
            let reason = self.last_error.get_or_insert_with(|| "the database is slow".to_owned()).clone();
            HistoryTrouble { since, reason }
        });
        self.news.send_if_modified(|news| (news.trouble != trouble).then(|| news.trouble = trouble).is_some());
    }

    async fn say_goodbye(mut self) {
        let now = UnixMillis::now();
        let goodbye = async {
            if self.writing.is_some() {
                let written = ended(&mut self.writing).await;
                self.settle(written);
            }
            if self.is_over {
                return true;
            }
            self.recorder.sample(now);
            self.recorder.tell(now, None, EventKind::Server, None, "Stopped in good order");
            self.run.stopped_at = Some(now);
            // After a time without a database more waits than one transaction takes.
            loop {
                self.write(now);
                if ended(&mut self.writing).await.is_err() {
                    return false;
                }
                if self.recorder.backlog.is_empty() {
                    return true;
                }
            }
        };
        if !matches!(timeout(FAREWELL, goodbye).await, Ok(true)) {
            warn!("The last second of history could not be written");
        }
    }
}

/// Forgets what is too old or too much. A failure is told and tried again: what was written stays written.
async fn prune(database: &Database, retention: Option<Retention>, now: UnixMillis) -> Option<UnixMillis> {
    let retention = retention?;
    let pruned = async {
        database.prune_history(&retention, now).await?;
        database.prune_by_size(retention.bytes_max, now).await
    };
    pruned.await.unwrap_or_else(|error| {
        warn!("Old history could not be deleted: {}", error.reason());
        None
    })
}
