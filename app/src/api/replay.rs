//! What a replay starts from, and what it asks for later. The frames come by a socket of their own.

use super::{ApiError, packed::Packed};
use crate::model::{past::ReplayView, protocol::Snapshot, time::UnixMillis};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

/// What the page of the past starts from: the same on the server and in the browser.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FirstReplay {
    /// The bar.
    pub view: ReplayView,
    /// The moment that is shown.
    pub at: UnixMillis,
    /// The board then, with its first rows; empty where nothing of it is recorded.
    pub snapshot: Snapshot,
    /// Why there is no board.
    pub missing: Option<String>,
    /// Who is signed in.
    pub email: String,
    /// May they keep something?
    pub may_act: bool,
}

/// The page of a moment, without one of the end of the recording, with a bar of so many seconds; `None` where nothing is ever recorded.
///
/// # Errors
/// [`ApiError::NotAllowed`] without a viewer, [`ApiError::Unavailable`] without a backend.
#[cfg(feature = "ssr")]
pub(crate) async fn first_replay(at: Option<UnixMillis>, window_seconds: u32) -> Result<Option<FirstReplay>, ApiError> {
    use super::{Backend, CurrentViewer};
    use std::sync::Arc;

    /// Without a moment in the address, so long before the end of the recording.
    const BEFORE_END_MS: i64 = 10_000;

    let viewer = use_context::<CurrentViewer>().ok_or(ApiError::NotAllowed)?;
    let backend = use_context::<Arc<dyn Backend>>().ok_or(ApiError::Unavailable)?;
    let Some(recorded) = backend.recorded().await else { return Ok(None) };
    let last = recorded.bounds().map(|(first, last)| UnixMillis(last.0 - BEFORE_END_MS).max(first));
    let at = at.or(last).unwrap_or_else(UnixMillis::now);
    let (snapshot, missing) = match backend.board_at(at, false).await {
        Ok(snapshot) => (snapshot, None),
        Err(why) => (Snapshot::default(), Some(why)),
    };
    let view = view_of(&*backend, recorded, at, window_seconds).await;
    Ok(Some(FirstReplay { view, at, snapshot, missing, email: viewer.email, may_act: viewer.may_act }))
}

/// The bar around a moment, and everything that there is to step to.
#[cfg(feature = "ssr")]
async fn view_of(
    backend: &dyn super::Backend,
    recorded: crate::model::past::Recorded,
    at: UnixMillis,
    window_seconds: u32,
) -> ReplayView {
    use crate::model::{
        history::{
            selection::{Range, Selection},
            series,
            view::HistoryView,
        },
        past::Step,
    };

    let selection = |from, to| Selection { range: Range::Between(from, to), ..Selection::default() };
    let (from, to) = recorded.bar(at, window_seconds);
    // Without a history the bar has no lines, and works all the same.
    let blank = || HistoryView {
        at: to,
        from,
        to,
        bucket_seconds: series::bucket_seconds(to.millis_since(from)),
        ..HistoryView::default()
    };
    let mut bar = backend.history(selection(from, to), None).await.unwrap_or_else(blank);
    let whole = match recorded.bounds() {
        Some((first, last)) if first < last => backend.history(selection(first, last), None).await,
        _ => None,
    };
    let mut steps = Vec::new();
    for view in whole.iter().chain([&bar]) {
        steps.extend(view.gaps.iter().map(|gap| Step {
            at: gap.started_at,
            is_gap: true,
            text: [&gap.name(), ", ", gap.cause.label()].concat(),
        }));
        steps.extend(view.events.iter().map(|event| {
            let whose = event.connection_id.map(|id| ["Connection ", &id.to_string(), ": "].concat());
            let what = event.state.map_or(event.kind.name(), |state| state.label());
            let text = if event.text == what { String::new() } else { [", ", &event.text].concat() };
            Step { at: event.at, is_gap: false, text: [&whose.unwrap_or_default(), what, &text].concat() }
        }));
    }
    steps.sort_by(|one, other| (one.at, one.is_gap, &one.text).cmp(&(other.at, other.is_gap, &other.text)));
    steps.dedup();
    // What the bar does not say.
    bar.gaps.iter_mut().for_each(|gap| {
        (gap.symbols, gap.causes, gap.notes, gap.acknowledged) = Default::default();
    });
    ReplayView { recorded, bar, steps }
}

/// The bar around a moment, in Unix milliseconds.
///
/// # Errors
/// [`ApiError::NotAllowed`] without a viewer, [`ApiError::Unavailable`] without a backend or a recording.
#[server(prefix = "/api/admin/fn", endpoint = "replay", output = Packed)]
pub async fn load_replay(
    /// The moment.
    at: i64,
    /// How much of the time around it, in seconds.
    window_seconds: u32,
) -> Result<ReplayView, ApiError> {
    use super::{Backend, CurrentViewer};
    use std::sync::Arc;

    const DAY_SECONDS: u32 = 86_400;

    use_context::<CurrentViewer>().ok_or(ApiError::NotAllowed)?;
    let backend = use_context::<Arc<dyn Backend>>().ok_or(ApiError::Unavailable)?;
    let recorded = backend.recorded().await.ok_or(ApiError::Unavailable)?;
    Ok(view_of(&*backend, recorded, UnixMillis(at), window_seconds.clamp(1, DAY_SECONDS)).await)
}

/// How a moment, in Unix milliseconds, differs from the present.
///
/// # Errors
/// [`ApiError::NotAllowed`] without a viewer, [`ApiError::Unavailable`] without a backend, [`ApiError::Refused`] where the moment is
/// not recorded.
#[server(prefix = "/api/admin/fn", endpoint = "differences", output = Packed)]
pub async fn load_differences(
    /// The moment.
    at: i64,
) -> Result<Vec<String>, ApiError> {
    use super::{Backend, CurrentViewer};
    use crate::model::past::differences;
    use std::sync::Arc;

    use_context::<CurrentViewer>().ok_or(ApiError::NotAllowed)?;
    let backend = use_context::<Arc<dyn Backend>>().ok_or(ApiError::Unavailable)?;
    let then = backend.board_at(UnixMillis(at), true).await.map_err(ApiError::Refused)?;
    let now = backend.board_now().await.ok_or(ApiError::Unavailable)?;
    Ok(differences(&then, &now))
}
