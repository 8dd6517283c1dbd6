//! History that begins as soon as the database answers: a server starts without it.

use super::{Keeper, WRITE_INTERVAL, succession::Succession, turn::Patience};
use crate::{
    bus::TickBus,
    database::{
        Database, QueryError,
        history::{Past, Retention},
    },
};
use app::model::{
    connection::ConnectionId,
    history::{EventKind, HistoryNews, HistoryTrouble},
    status::{Feed, StatusReport},
    time::UnixMillis,
};
use std::sync::Arc;
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// A keeper of history that has not read yet what earlier runs left.
pub struct Opening {
    database: Database,
    retention: Retention,
    feed: Feed,
    started_at: UnixMillis,
    news: watch::Sender<HistoryNews>,
    succession: Option<Succession>,
    /// How this server is called, where it writes in turn with others.
    in_turn_as: Option<String>,
    notes: watch::Receiver<String>,
    bus: Option<Arc<dyn TickBus>>,
}

/// What was seen before history could begin.
#[derive(Default)]
struct Unkept {
    /// The first report, and for each connection the first in which it had ticked: the gap since the last run ended there.
    first: Vec<(UnixMillis, Arc<StatusReport>)>,
    ticking: Vec<ConnectionId>,
    reason: Option<String>,
}

impl Opening {
    /// From now on. Whoever wants to know whether history is being kept watches [`Opening::news`].
    #[must_use]
    pub fn new(database: Database, retention: Retention, feed: Feed) -> Self {
        let news = watch::Sender::default();
        let notes = watch::channel(String::new()).1;
        Self {
            database,
            retention,
            feed,
            started_at: UnixMillis::now(),
            news,
            succession: None,
            in_turn_as: None,
            notes,
            bus: None,
        }
    }

    /// The same of a server that collects for this bus.
    #[must_use]
    pub fn of(self, bus: Arc<dyn TickBus>) -> Self {
        Self { bus: Some(bus), ..self }
    }

    /// The same, with events of what others note.
    #[must_use]
    pub fn noting(self, notes: watch::Receiver<String>) -> Self {
        Self { notes, ..self }
    }

    /// The same for a server without a lease: where others may have the database too, one of them writes at a time.
    #[must_use]
    pub fn in_turn(self, server: String) -> Self {
        Self { in_turn_as: self.database.is_shared().then_some(server), ..self }
    }

    /// The same for a server among several that begins to collect; whether history is being kept is told through `news`.
    #[must_use]
    pub fn after(self, succession: Succession, news: watch::Sender<HistoryNews>) -> Self {
        Self { succession: Some(succession), news, ..self }
    }

    /// Whether history is being kept, and when the ledger changed.
    #[must_use]
    pub fn news(&self) -> watch::Receiver<HistoryNews> {
        self.news.subscribe()
    }

    /// What tells whether history is being kept, for those who keep it after this one.
    #[must_use]
    pub fn into_news(self) -> watch::Sender<HistoryNews> {
        self.news
    }

    /// Records reports until `stop`, see [`Keeper::keep`].
    pub async fn keep(mut self, mut reports: watch::Receiver<Arc<StatusReport>>, stop: CancellationToken) {
        loop {
            let mut unkept = Unkept::default();
            let begun = self.begin(&mut reports, &mut unkept);
            let Some(Some((past, turn))) = stop.run_until_cancelled(begun).await else { return };
            let succession = self.succession.take();
            let (database, started_at) = (self.database.clone(), self.started_at);
            let mut keeper = Keeper::start(database, self.retention, self.feed, past, started_at, succession, turn);
            keeper.news = self.news.clone();
            keeper.notes = self.notes.clone();
            keeper.bus = self.bus.clone();
            if let Some(reason) = unkept.reason {
                let now = UnixMillis::now();
                for (at, report) in unkept.first {
                    keeper.recorder.observe(&report, at);
                }
                keeper.recorder.pass_over();
                let text = format!("Not kept from {started_at} to {now}, the start of the server on: {reason}");
                keeper.recorder.tell(now, None, EventKind::History, None, &text);
                info!("History is being kept from now on");
            }
            keeper.keep(reports.clone(), stop.clone()).await;
            if stop.is_cancelled() || self.in_turn_as.is_none() {
                return;
            }
        }
    }

    /// What earlier runs left, as soon as the database tells and it is this server's turn; `None` when there is nothing more to
    /// keep.
    async fn begin(
        &mut self,
        reports: &mut watch::Receiver<Arc<StatusReport>>,
        unkept: &mut Unkept,
    ) -> Option<(Past, Option<(String, u64)>)> {
        let mut attempts = interval(WRITE_INTERVAL);
        attempts.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut patience = Patience::default();
        loop {
            tokio::select! {
                _ = attempts.tick() => match self.attempt(&mut patience).await {
                    Ok(Some(begun)) => return Some(begun),
                    // What this server does not write, another one does.
                    Ok(None) => {
                        (*unkept, self.started_at) = (Unkept::default(), UnixMillis::now());
                        self.news.send_if_modified(|news| {
                            let before = (news.trouble.take(), std::mem::take(&mut news.open_gaps));
                            before.0.is_some() || !before.1.is_empty()
                        });
                    }
                    Err(error) => self.note(unkept, error.reason()),
                },
                changed = reports.changed() => {
                    changed.ok()?;
                    let report = Arc::clone(&reports.borrow_and_update());
                    unkept.observe(report, UnixMillis::now());
                }
            }
        }
    }

    async fn attempt(&self, patience: &mut Patience) -> Result<Option<(Past, Option<(String, u64)>)>, QueryError> {
        let Some(server) = &self.in_turn_as else {
            let epoch = self.succession.as_ref().map(|succession| (succession.epoch)());
            return Ok(Some((self.database.history_past(epoch).await?, None)));
        };
        let Some(epoch) = patience.look(&self.database, server).await? else { return Ok(None) };
        Ok(Some((self.database.history_past(Some(epoch)).await?, Some((server.clone(), epoch)))))
    }

    fn note(&self, unkept: &mut Unkept, reason: String) {
        if unkept.reason.as_ref() != Some(&reason) {
            warn!("History cannot be kept: {reason}");
            let trouble = HistoryTrouble { since: self.started_at, reason: reason.clone() };
            self.news.send_modify(|news| news.trouble = Some(trouble));
            unkept.reason = Some(reason);
        }
    }
}

impl Unkept {
    fn observe(&mut self, report: Arc<StatusReport>, now: UnixMillis) {
        let ticks =
            |id: &ConnectionId| report.connections.iter().any(|c| c.live.id == *id && c.live.metrics.ticks_total > 0);
        let new: Vec<_> = report.connections.iter().map(|connection| connection.live.id).filter(ticks).collect();
        let new: Vec<_> = new.into_iter().filter(|id| !self.ticking.contains(id)).collect();
        if self.first.is_empty() || !new.is_empty() {
            self.ticking.extend(new);
            self.first.push((now, report));
        }
    }
}
