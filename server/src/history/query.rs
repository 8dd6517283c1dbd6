//! What the page of the full metrics asks: a stretch of history in as many buckets as a chart can show.

use super::bundles;
use crate::database::{
    Database, QueryError,
    history::{EventFilter, RESOLUTIONS_SECONDS, Retention},
};
use app::model::{
    alert::Alert,
    connection::{ConnectionId, ConnectionSet},
    history::{
        EventKind, HistoryEvent, Reliability,
        gap::Gap,
        selection::Selection,
        series::{Bucket, Series, bucket_seconds, floor_to},
        view::{GapAlert, HistoryView, VIEW_EVENTS_MAX, VIEW_GAPS_MAX},
    },
    market::{Calendar, new_york_midnight},
    status::StatusReport,
    time::UnixMillis,
};
use std::{collections::BTreeMap, ops::Range};

/// The most alerts of a range to which its gaps and events lead, the newest ones.
const VIEW_ALERTS_MAX: u32 = 500;
const WEEK_MS: i64 = 7 * 86_400_000;

/// Puts a view together; with `since`, its buckets from then on alone.
///
/// # Errors
/// When the database does not answer.
pub async fn view(
    database: &Database,
    retention: &Retention,
    report: &StatusReport,
    selection: &Selection,
    since: Option<UnixMillis>,
    now: UnixMillis,
) -> Result<HistoryView, QueryError> {
    // A row of fifteen minutes begins before what is in it, and the first run may be older than what is kept.
    let began = database.history_begin().await?.max(database.first_run().await?);
    let (from, to) = selection.range.fitted(began, now).bounds(now);
    let (resolution_seconds, bucket_seconds) = grain(from, to, retention, now);
    let from = floor_to(from, bucket_seconds);
    let first = since.map_or(from, |since| floor_to(since, bucket_seconds).clamp(from, to));
    let wanted = selection.connections;
    let rows = database.history_buckets(resolution_seconds, bucket_seconds, first..to, wanted).await?;
    let market = Calendar::of(report.head.feed).session_at(now);
    let mut view = HistoryView { at: now, from: first, to, bucket_seconds, began, market, ..HistoryView::default() };
    view.series = series(&view, report, wanted, rows);
    let chosen = |id| wanted.is_empty() || wanted.contains(id);
    view.connections = view.series.iter().map(|series| (series.connection_id, series.name.clone())).collect();
    view.series.retain(|series| chosen(series.connection_id));
    view.gaps = database.history_gaps(from..to, wanted, None, VIEW_GAPS_MAX as u32).await?;
    view.gaps_total = database.history_gap_count(from..to, wanted).await?;
    (view.events, view.events_total) = events(database, from..to, selection, bucket_seconds).await?;
    bundles::add(&mut view, database, from..to, selection).await?;
    let alerts = database.alerts_during(from..to, VIEW_ALERTS_MAX).await?;
    lead_to_alerts(&mut view, &alerts);
    view.trouble = report.head.history_trouble.clone();
    Ok(view)
}

/// The resolution to read and the length of a bucket, both in seconds: the coarsest rows that make up a bucket, or coarser
/// ones where finer ones are not kept for so long.
#[must_use]
pub fn grain(from: UnixMillis, to: UnixMillis, retention: &Retention, now: UnixMillis) -> (u32, u32) {
    let bucket = bucket_seconds(to.millis_since(from));
    let kept = |resolution: u32| from.0 >= now.0 - retention.of(resolution) || resolution >= 60;
    let fits = |resolution: &&u32| bucket.is_multiple_of(**resolution) && kept(**resolution);
    match RESOLUTIONS_SECONDS.iter().rev().find(fits) {
        Some(resolution) => (*resolution, bucket),
        None => RESOLUTIONS_SECONDS.into_iter().find(|r| kept(*r)).map_or((60, 60), |r| (r, r.max(bucket))),
    }
}

/// One series for each connection that is configured, or was in that time, or is asked for.
fn series(
    view: &HistoryView,
    report: &StatusReport,
    wanted: ConnectionSet,
    rows: Vec<(ConnectionId, UnixMillis, Bucket)>,
) -> Vec<Series> {
    let (length, bucket_ms) = (view.length(), view.bucket_ms() as i64);
    let empty = |connection_id, name: String| Series { connection_id, name, buckets: vec![Bucket::default(); length] };
    let configured = report.connections.iter().map(|connection| &connection.live);
    let mut series: BTreeMap<ConnectionId, Series> =
        configured.map(|live| (live.id, empty(live.id, live.name.clone()))).collect();
    for id in wanted.iter() {
        series.entry(id).or_insert_with(|| empty(id, format!("connection {id}")));
    }
    for (id, at, bucket) in rows {
        let place = at.millis_since(view.from) / bucket_ms;
        let series = series.entry(id).or_insert_with(|| empty(id, format!("connection {id}")));
        if let Some(slot) = usize::try_from(place).ok().and_then(|place| series.buckets.get_mut(place)) {
            *slot = bucket;
        }
    }
    series.into_values().collect()
}

/// What happened, what became of alerts and what administrators did, newest first, and how much of all there is.
async fn events(
    database: &Database,
    range: Range<UnixMillis>,
    selection: &Selection,
    bucket_seconds: u32,
) -> Result<(Vec<HistoryEvent>, u64), QueryError> {
    let (mut events, mut total) = (Vec::new(), 0);
    if selection.kind.is_none_or(EventKind::is_of_history) {
        let filter = EventFilter { range: range.clone(), connections: selection.connections, kind: selection.kind };
        events = database.history_events(&filter, None, VIEW_EVENTS_MAX as u32).await?;
        total = database.history_event_count(&filter).await?;
    }
    if selection.kind.is_none_or(|kind| kind == EventKind::Alert) {
        let connections = selection.connections;
        events.extend(database.alert_steps(range.clone(), connections, VIEW_EVENTS_MAX as u32).await?);
        let bundles = database.alert_step_bundles(range.clone(), connections, bucket_seconds).await?;
        total += bundles.iter().map(|bundle| bundle.count).sum::<u64>();
    }
    if selection.kind.is_none_or(|kind| kind == EventKind::Audit) {
        events.extend(database.audited_acts(range.clone(), VIEW_EVENTS_MAX as u32).await?);
        total += database.audited_act_count(range).await?;
    }
    events.sort_by_key(|event| std::cmp::Reverse((event.at, event.id)));
    events.truncate(VIEW_EVENTS_MAX);
    Ok((events, total))
}

/// From gaps and events to the alerts that told of them.
fn lead_to_alerts(view: &mut HistoryView, alerts: &[Alert]) {
    for event in view.events.iter_mut().filter(|event| event.alert.is_none()) {
        event.alert = alerts.iter().find(|alert| alert.is_of_event(event)).map(|alert| alert.id.clone());
    }
    let of_gap = |gap: &Gap| {
        let told = alerts.iter().filter(|alert| alert.is_of_gap(gap));
        told.map(|alert| GapAlert { gap: gap.id, alert: alert.id.clone(), title: alert.title.clone() })
            .collect::<Vec<_>>()
    };
    view.gap_alerts = view.gaps.iter().flat_map(of_gap).collect();
}

/// Last outage and share of the time without one, for each connection that is enabled.
///
/// # Errors
/// When the database does not answer.
pub async fn reliability(
    database: &Database,
    report: &StatusReport,
    now: UnixMillis,
) -> Result<Vec<Reliability>, QueryError> {
    let Some(begin) = database.first_run().await? else { return Ok(Vec::new()) };
    let mut last: BTreeMap<_, _> = database.last_outages().await?.into_iter().collect();
    let mut shares = Vec::new();
    let today = new_york_midnight(now);
    for start in [today, UnixMillis(now.0 - WEEK_MS)] {
        let start = start.max(begin);
        let spent = database.gap_ms(start..now).await?;
        shares.push((Calendar::of(report.head.feed).open_ms(start, now), spent));
    }
    let share = |place: usize, id: ConnectionId| {
        let (length_ms, spent) = &shares[place];
        let length_ms = Some(*length_ms).filter(|length| *length > 0)?;
        let spent_ms = spent.get(&id).copied().unwrap_or(0).min(length_ms);
        // Rounded down: all of it is said of nothing less.
        u32::try_from((length_ms - spent_ms) * 10_000 / length_ms).ok()
    };
    let enabled = report.connections.iter().filter(|connection| connection.live.enabled);
    let known = enabled.map(|connection| {
        let connection_id = connection.live.id;
        // What others carry is missed by nobody, and available it is not.
        let carries = !connection.config.is_carried_elsewhere();
        Reliability {
            connection_id,
            since: begin,
            last: last.remove(&connection_id),
            today_basis_points: share(0, connection_id).filter(|_| carries && begin < today),
            week_basis_points: share(1, connection_id).filter(|_| carries),
        }
    });
    Ok(known.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        auth::testing,
        database::history::{Batch, Run},
    };
    use app::model::{
        history::selection::parse_time,
        status::{ConnectionLive, ConnectionStatus},
    };
    use std::time::Duration;

    #[tokio::test]
    async fn availability_is_that_of_the_day_in_new_york_and_never_up_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let database = testing::open(&folder).await;
        let time = |text| parse_time(text).unwrap();
        // Nine in the evening in New York, and the next day in UTC.
        let now = time("2026-01-21T02:00:00Z");
        let began = time("2026-01-20T02:00:00Z");
        let hour =
            Gap { ended_at: Some(time("2026-01-20T15:00:00Z")), ..Gap::blank(1, 1, time("2026-01-20T14:00:00Z")) };
        let gaps = vec![hour, Gap::blank(2, 1, began)];
        let run = Run { started_at: began, last_seen_at: now, ..Run::default() };
        database.write_history(&Batch { run, gaps, ..Batch::default() }).await.unwrap();
        let connection = |id| {
            let live = ConnectionLive { id, enabled: true, ..ConnectionLive::default() };
            ConnectionStatus { live, ..ConnectionStatus::default() }
        };
        let mut report = StatusReport { connections: [1, 2, 3].map(connection).to_vec(), ..StatusReport::default() };
        report.connections[2].config.routing.duplicates_total = 5;
        let shares = async |now| {
            let known = reliability(&database, &report, now).await.unwrap();
            known.iter().map(|one| (one.today_basis_points, one.week_basis_points)).collect::<Vec<_>>()
        };
        // Twenty of 21 hours today, 23 of 24 in all.
        let expected = [(Some(9_523), Some(9_583)), (Some(0), Some(0)), (None, None)];
        assert_eq!(shares(now).await, expected);
        let before_midnight = time("2026-01-20T04:00:00Z");
        assert_eq!(shares(before_midnight).await[0], (None, Some(10_000)), "history began today");
    }

    #[tokio::test]
    async fn a_page_without_a_range_fits_history_and_offers_the_connections_that_are_not_chosen() {
        let folder = tempfile::tempdir().unwrap();
        let database = testing::open(&folder).await;
        let now = UnixMillis(1_768_998_896_789);
        let run = Run { started_at: UnixMillis(now.0 - 600_000), last_seen_at: now, ..Run::default() };
        database.write_history(&Batch { run, ..Batch::default() }).await.unwrap();
        let connection = |id| {
            let live = ConnectionLive { id, enabled: true, ..ConnectionLive::default() };
            ConnectionStatus { live, ..ConnectionStatus::default() }
        };
        let report = StatusReport { connections: [1, 2, 3].map(connection).to_vec(), ..StatusReport::default() };
        let chosen = Selection { connections: [1, 3].into_iter().collect(), ..Selection::default() };
        let hours = |hours: u64| Duration::from_secs(hours * 3_600);
        let retention = Retention { seconds: hours(1), ten_seconds: hours(24), rest: hours(24 * 90), bytes_max: 0 };
        let view = view(&database, &retention, &report, &chosen, None, now).await.unwrap();
        assert_eq!(view.to.millis_since(view.from) / 60_000, 15, "ten minutes of history");
        assert_eq!(view.series.iter().map(|series| series.connection_id).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(view.connections.len(), 3, "the other one can be added");
    }

    #[test]
    fn the_coarsest_rows_that_make_up_a_bucket_are_read() {
        let hours = |hours: u64| Duration::from_secs(hours * 3_600);
        let retention = Retention { seconds: hours(1), ten_seconds: hours(24), rest: hours(24 * 90), bytes_max: 0 };
        let now = UnixMillis(1_768_998_896_789);
        let last = |seconds: i64| grain(UnixMillis(now.0 - seconds * 1000), now, &retention, now);
        assert_eq!([300, 900, 3_600].map(last), [(1, 2), (1, 5), (10, 10)]);
        assert_eq!([21_600, 86_400, 604_800, 7_776_000].map(last), [(60, 60), (60, 300), (900, 1_800), (900, 21_600)]);
        let five_minutes = |ago: i64| {
            let from = now.0 - ago * 1000;
            grain(UnixMillis(from), UnixMillis(from + 300_000), &retention, now)
        };
        assert_eq!(five_minutes(7_200), (10, 10), "seconds are gone by then");
        assert_eq!(five_minutes(172_800), (60, 60));
        assert_eq!(five_minutes(86_400 * 300), (60, 60), "nothing is kept; nothing is found");
    }
}
