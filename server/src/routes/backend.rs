//! What the pages' questions are answered from.

use super::{AppState, alerts, audit, history, symbol};
use crate::{
    audit::{Action, Actor},
    auth::{Admin, AuthSession, Reader},
    history::query,
    recording::{Contents, Doing},
};
use app::{
    api::{Answer, ApiError, Backend, FIRST_ROWS_MAX},
    model::{
        account::{AccountSession, ApiToken},
        alert::page::{AlertsAsked, AlertsPage},
        audit::{AuditForm, AuditPage},
        connection::{CONNECTIONS_MAX, ConnectionId},
        history::{Reliability, selection::Selection, view::HistoryView},
        past::{self, Recorded},
        protocol::{ReportParts, Snapshot},
        symbol::Symbol,
        symbol_detail::SymbolDetail,
        time::UnixMillis,
    },
};
use axum::http::request::Parts;
use leptos::prelude::use_context;
use std::time::Duration;
use tokio::time::timeout;

/// Records on one page of the audit log.
const AUDIT_PAGE: u32 = 50;
/// How long the dashboard waits for the past.
const RELIABILITY_WITHIN: Duration = Duration::from_millis(500);

/// The server, as the pages know it.
pub(super) struct Behind {
    pub(super) state: AppState,
}

impl Backend for Behind {
    fn first_view(&self) -> Answer<'_, Option<Snapshot>> {
        Box::pin(self.state.hub.first_view())
    }

    fn warnings(&self) -> Vec<String> {
        self.state.access.proxies.warning().into_iter().collect()
    }

    fn audit_page(&self, form: AuditForm) -> Answer<'_, Result<AuditPage, String>> {
        Box::pin(async move {
            let filter = audit::filter(&form, UnixMillis::now()).map_err(|bad| bad.to_string())?;
            let records = self.state.database.audit_records(&filter, AUDIT_PAGE + 1).await;
            let mut records = records.map_err(|error| {
                tracing::error!(%error, "The audit log could not be read");
                "The audit log is unavailable right now. Reload in a moment.".to_owned()
            })?;
            let is_last = records.len() <= AUDIT_PAGE as usize;
            records.truncate(AUDIT_PAGE as usize);
            let next_cursor = records.last().filter(|_| !is_last).map(|record| record.seq.to_string());
            let alarm = self.state.access.audit.size().alarm();
            Ok(AuditPage { records, next_cursor, alarm, actions: Action::ALL.map(Action::as_str).to_vec() })
        })
    }

    fn alerts_page(&self, asked: AlertsAsked) -> Answer<'_, Result<AlertsPage, String>> {
        Box::pin(async move { alerts::page(&self.state, asked).await.map_err(|refused| refused.to_string()) })
    }

    fn own_sessions(&self) -> Answer<'_, Option<Vec<AccountSession>>> {
        let asked = use_context::<Parts>().and_then(|parts| {
            let own = parts.extensions.get::<AuthSession>()?.session.id()?;
            Some((parts.extensions.get::<Reader>()?.account_id()?, own))
        });
        Box::pin(async move {
            let (account_id, own) = asked?;
            self.state.database.account_sessions(account_id, &own, UnixMillis::now()).await.ok()
        })
    }

    fn tokens(&self) -> Answer<'_, Option<Vec<ApiToken>>> {
        Box::pin(async { self.state.database.tokens().await.ok() })
    }

    fn history(&self, selection: Selection, since: Option<UnixMillis>) -> Answer<'_, Option<HistoryView>> {
        let AppState { database, config, hub, .. } = &self.state;
        Box::pin(async move {
            let report = hub.report();
            let view = query::view(database, &config.history, &report, &selection, since, UnixMillis::now());
            view.await.inspect_err(|error| tracing::warn!(%error, "History could not be read")).ok()
        })
    }

    fn is_recording(&self) -> bool {
        self.state.recording.records()
    }

    fn recorded(&self) -> Answer<'_, Option<Recorded>> {
        let recording = &self.state.recording;
        Box::pin(async move {
            let reads = recording.clone();
            let contents = recording.in_turn(move || reads.contents()).await?;
            let (contents, unreadable) = match contents {
                Ok(contents) => (contents, None),
                Err(error) => {
                    tracing::warn!(%error, "The recording cannot be read");
                    (Contents::default(), Some("The recording cannot be read right now.".to_owned()))
                }
            };
            let trouble = match &*recording.doing().borrow() {
                Doing::Trouble(trouble) => Some(trouble.reason.clone()),
                _ => None,
            };
            let kept = contents.kept.into_iter().map(|kept| past::Kept {
                id: kept.id,
                from: kept.from,
                to: kept.to,
                note: kept.note,
                by: kept.by,
            });
            let recorded = Recorded { spans: contents.spans, kept: kept.collect(), trouble: unreadable.or(trouble) };
            (recording.records() || !recorded.spans.is_empty()).then_some(recorded)
        })
    }

    fn board_at(&self, at: UnixMillis, all_rows: bool) -> Answer<'_, Result<Snapshot, String>> {
        let recording = &self.state.recording;
        Box::pin(async move {
            let reads = recording.clone();
            let past = recording.in_turn(move || reads.past(at)).await.ok_or("The server is shutting down.")?;
            let mut snapshot = past.map_err(|not_shown| not_shown.to_string())?.snapshot();
            if !all_rows {
                let mut counts = [0_usize; 1 + CONNECTIONS_MAX as usize];
                snapshot.rows.retain(|row| {
                    let count = &mut counts[usize::from(row.connection_id.min(CONNECTIONS_MAX))];
                    *count += 1;
                    *count <= FIRST_ROWS_MAX
                });
                snapshot.rows_total = snapshot.rows.len() as u32;
                // Known by places that rows do not have any more.
                snapshot.stale.clear();
            }
            Ok(snapshot)
        })
    }

    fn board_now(&self) -> Answer<'_, Option<Snapshot>> {
        let AppState { recording, hub, .. } = &self.state;
        Box::pin(async move {
            let reads = recording.clone();
            let newest = recording.in_turn(move || {
                let last = reads.contents().ok()?.spans.last()?.1;
                Some(reads.past(last).ok()?.snapshot())
            });
            let mut snapshot = newest.await.flatten()?;
            // States are as they are this moment; prices are a second old.
            snapshot.report = ReportParts::from(&*hub.report());
            Some(snapshot)
        })
    }

    fn reliability(&self) -> Answer<'_, Vec<Reliability>> {
        Box::pin(async move {
            let report = self.state.hub.report();
            let known = query::reliability(&self.state.database, &report, UnixMillis::now());
            // The dashboard is not held up by a database that is slow or gone: then it says nothing of the past.
            timeout(RELIABILITY_WITHIN, known).await.ok().and_then(Result::ok).unwrap_or_default()
        })
    }

    fn symbol(&self, connection_id: ConnectionId, symbol: Symbol) -> Answer<'_, Option<SymbolDetail>> {
        Box::pin(symbol::detail(&self.state, connection_id, symbol))
    }

    fn note_gap(&self, id: i64, note: String, further: bool) -> Answer<'_, Result<(), ApiError>> {
        // Asked for here, as the context is gone once the answer is on its way.
        let parts = use_context::<Parts>();
        Box::pin(async move {
            let extensions = parts.as_ref().map(|parts| &parts.extensions);
            let admin = extensions.and_then(|extensions| extensions.get::<Admin>());
            let actor = extensions.and_then(|extensions| extensions.get::<Actor>());
            let (Some(admin), Some(actor)) = (admin, actor) else { return Err(ApiError::NotAllowed) };
            let done = history::note_gap(&self.state, admin, actor, id, &note, further).await;
            done.map(drop).map_err(ApiError::from)
        })
    }
}
