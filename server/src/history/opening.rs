//! History that begins as soon as the database answers: a server starts without it.

use super::{Keeper, WRITE_INTERVAL, succession::Succession};
use crate::database::{
    Database,
    history::{Past, Retention},
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
    notes: watch::Receiver<String>,
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
        Self { database, retention, feed, started_at: UnixMillis::now(), news, succession: None, notes }
    }

    /// The same, with events of what others note.
    #[must_use]
    pub fn noting(self, notes: watch::Receiver<String>) -> Self {
        Self { notes, ..self }
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
    pub async fn keep(self, mut reports: watch::Receiver<Arc<StatusReport>>, stop: CancellationToken) {
        let mut unkept = Unkept::default();
        let Some(Some(past)) = stop.run_until_cancelled(self.past(&mut reports, &mut unkept)).await else { return };
        let mut keeper =
            Keeper::start(self.database, self.retention, self.feed, past, self.started_at, self.succession);
        keeper.news = self.news;
        keeper.notes = self.notes;
        if let Some(reason) = unkept.reason {
            let now = UnixMillis::now();
            for (at, report) in unkept.first {
                keeper.recorder.observe(&report, at);
            }
            keeper.recorder.pass_over();
            let text = format!("Not kept from {} to {now}, the start of the server on: {reason}", self.started_at);
            keeper.recorder.tell(now, None, EventKind::History, None, &text);
            info!("History is being kept from now on");
        }
        keeper.keep(reports, stop).await;
    }

    /// What earlier runs left, as soon as the database tells; `None` when there is nothing more to keep.
    async fn past(&self, reports: &mut watch::Receiver<Arc<StatusReport>>, unkept: &mut Unkept) -> Option<Past> {
        let mut attempts = interval(WRITE_INTERVAL);
        attempts.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = attempts.tick() => match self.database.history_past().await {
                    Ok(past) => return Some(past),
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
