//! Server functions of the history: a stretch of it, and who has seen a gap.

use super::{
    ApiError,
    packed::{self, Packed},
};
use crate::model::history::{Reliability, view::HistoryView};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

/// What the page of the full metrics starts from, and what it asks for again while it is open.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HistoryAnswer {
    /// The history.
    #[serde(with = "packed")]
    pub view: HistoryView,
    /// Who is signed in.
    pub email: String,
    /// May they change something?
    pub may_act: bool,
    /// Is there a recording to lead to?
    pub recording: bool,
}

/// History as the parameters of an address ask for it. With `since`, in Unix milliseconds, buckets from then on alone.
///
/// # Errors
/// [`ApiError::NotAllowed`] without a viewer, [`ApiError::Refused`] for a range that is none, [`ApiError::Unavailable`] when
/// history cannot be read.
#[server(prefix = "/api/admin/fn", endpoint = "history")]
pub async fn load_history(
    /// The parameters of an address, as `Selection::query` writes them.
    query: String,
    /// From when on, in Unix milliseconds.
    since: Option<i64>,
) -> Result<HistoryAnswer, ApiError> {
    use super::{Backend, CurrentViewer};
    use crate::model::{history::selection::Selection, time::UnixMillis};
    use std::sync::Arc;

    let viewer = use_context::<CurrentViewer>().ok_or(ApiError::NotAllowed)?;
    let backend = use_context::<Arc<dyn Backend>>().ok_or(ApiError::Unavailable)?;
    if let Some(why) = Selection::refusal_of(&query) {
        return Err(ApiError::Refused(why));
    }
    let selection = Selection::of_query(&query);
    let view = backend.history(selection, since.map(UnixMillis)).await.ok_or(ApiError::Unavailable)?;
    let recording = backend.is_recording();
    Ok(HistoryAnswer { view, email: viewer.email, may_act: viewer.may_act, recording })
}

/// Last outage and availability of each connection, for the dashboard to ask for now and then.
///
/// # Errors
/// [`ApiError::NotAllowed`] without a viewer, [`ApiError::Unavailable`] without a backend.
#[server(prefix = "/api/admin/fn", endpoint = "reliability", output = Packed)]
pub async fn load_reliability() -> Result<Vec<Reliability>, ApiError> {
    use super::{Backend, CurrentViewer};
    use std::sync::Arc;

    use_context::<CurrentViewer>().ok_or(ApiError::NotAllowed)?;
    let backend = use_context::<Arc<dyn Backend>>().ok_or(ApiError::Unavailable)?;
    Ok(backend.reliability().await)
}

/// Notes that the administrator has seen a gap, and what became of it; or what is to be added to that. On record in the
/// audit log.
///
/// # Errors
/// [`ApiError::Refused`] and [`ApiError::NotNow`] say why not.
#[server(prefix = "/api/admin/fn", endpoint = "acknowledge_gap")]
pub async fn acknowledge_gap(
    /// The gap's number in the database.
    id: i64,
    /// What became of it.
    note: String,
    /// Was it acknowledged before, so that this is a further note?
    #[server(default)]
    further: bool,
) -> Result<(), ApiError> {
    use super::{Backend, CurrentViewer};
    use std::sync::Arc;

    use_context::<CurrentViewer>().filter(|viewer| viewer.may_act).ok_or(ApiError::NotAllowed)?;
    let backend = use_context::<Arc<dyn Backend>>().ok_or(ApiError::Unavailable)?;
    backend.note_gap(id, note, further).await
}
