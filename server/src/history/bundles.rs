//! What a view does not list: older gaps and events than the newest ones.

use crate::database::{Database, QueryError, history::GapKey};
use app::model::{
    connection::ConnectionId,
    history::{
        EventKind,
        gap::BUS,
        selection::Selection,
        series::floor_to,
        view::{EventBundle, HistoryView},
    },
    time::UnixMillis,
};
use std::{collections::BTreeMap, ops::Range};

/// Adds what a view of `range` does not list, in bundles; nothing where it lists everything.
///
/// # Errors
/// When the database does not answer.
pub(super) async fn add(
    view: &mut HistoryView,
    database: &Database,
    range: Range<UnixMillis>,
    selection: &Selection,
) -> Result<(), QueryError> {
    let (bucket_seconds, connections) = (view.bucket_seconds, selection.connections);
    let is_chosen = |id| connections.is_empty() || connections.contains(id);
    if let Some(oldest) = view.gaps.last().filter(|_| view.gaps_total > view.gaps.len() as u64) {
        let before = GapKey { started_at: oldest.started_at, id: oldest.id };
        view.older_gaps = database.gap_bundles(range.clone(), before, bucket_seconds).await?;
        view.older_gaps.retain(|bundle| bundle.connection_id == BUS || is_chosen(bundle.connection_id));
    }
    if view.events_total > view.events.len() as u64 {
        let is_kind = |of| selection.kind.is_none_or(|kind| kind == of);
        let is_wanted = |of: EventKind, id: Option<ConnectionId>| is_kind(of) && id.is_none_or(is_chosen);
        let from = range.start;
        let mut bundles = database.event_bundles(range.clone(), bucket_seconds, is_wanted).await?;
        if is_kind(EventKind::Alert) {
            bundles.extend(database.alert_step_bundles(range, connections, bucket_seconds).await?);
        }
        let mut counts: BTreeMap<UnixMillis, u64> = BTreeMap::new();
        for bundle in bundles {
            *counts.entry(bundle.at).or_default() += bundle.count;
        }
        for event in &view.events {
            let since = floor_to(UnixMillis(event.at.0 - from.0), bucket_seconds);
            if let Some(count) = counts.get_mut(&UnixMillis(from.0 + since.0)) {
                *count = count.saturating_sub(1);
            }
        }
        counts.retain(|_, count| *count > 0);
        view.older_events = counts.into_iter().map(|(at, count)| EventBundle { at, count }).collect();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        auth::testing,
        database::history::{Batch, NewEvent, Retention},
        history::query,
    };
    use app::model::{
        history::{gap::Gap, selection::Range},
        status::StatusReport,
    };
    use std::time::Duration;

    const NOW: i64 = 1_768_998_896_789;
    const DAY_MS: i64 = 86_400_000;

    /// A gap and an event every eight hours of ninety days, of three connections in turn, and a storm of both in one hour.
    fn ninety_days() -> Batch {
        let begin = NOW - 90 * DAY_MS;
        let regular = (1..270).map(|n| begin + n * DAY_MS / 3);
        let storm = (0..100).map(|n| begin + 10 * DAY_MS + n * 30_000);
        let mut batch = Batch::default();
        for (n, at) in (0_u32..).zip(regular.chain(storm)) {
            let (connection_id, number) = ((n % 3) as ConnectionId + 1, n / 3 + 1);
            let ended_at = Some(UnixMillis(at + 20_000));
            batch.gaps.push(Gap { ended_at, ..Gap::blank(connection_id, number, UnixMillis(at)) });
            let (kind, text) = (EventKind::State, "lost".to_owned());
            batch.events.push(NewEvent {
                at: UnixMillis(at),
                connection_id: Some(connection_id),
                kind,
                state: None,
                text,
            });
        }
        batch
    }

    #[tokio::test]
    async fn ninety_days_hold_every_gap_and_event_though_only_the_newest_are_listed() {
        let folder = tempfile::tempdir().unwrap();
        let database = testing::open(&folder).await;
        let batch = ninety_days();
        database.write_history(&batch).await.unwrap();
        let days = |days: u64| Duration::from_secs(days * 86_400);
        let retention = Retention { seconds: days(1), ten_seconds: days(1), rest: days(90), bytes_max: u64::MAX };
        let report = StatusReport::default();
        let view = async |selection: &Selection| {
            query::view(&database, &retention, &report, selection, None, UnixMillis(NOW)).await.unwrap()
        };
        let all = Selection { range: Range::Last(7_776_000), ..Selection::default() };
        let of = |view: &HistoryView| {
            let gaps: u64 = view.gap_spans().map(|gap| gap.count).sum();
            let events: u64 = view.event_spans().map(|event| event.count).sum();
            (gaps, events)
        };
        let whole = view(&all).await;
        assert_eq!((whole.gaps.len(), whole.gaps_total, of(&whole)), (200, 369, (369, 369)));
        assert!(whole.older_gaps.len() < 169 && whole.older_events.len() < 169, "bundled");
        for gap in &batch.gaps {
            let ended = gap.ended_at.unwrap();
            let is_drawn = whole
                .gap_spans()
                .any(|span| span.connection_id == gap.connection_id && span.from <= gap.started_at && ended <= span.to);
            assert!(is_drawn, "{}", gap.name());
        }
        let one = view(&Selection { connections: Some(2).into(), kind: Some(EventKind::Error), ..all }).await;
        assert_eq!(of(&one), (123, 0));
        let day = view(&Selection { range: Range::Last(86_400), ..all }).await;
        assert_eq!((day.older_gaps, day.older_events), (vec![], vec![]), "all are listed");
    }
}
