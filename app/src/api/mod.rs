//! What a page starts from, and the server functions, which it asks for more later. Live data never comes this way, it comes
//! by socket.

pub mod history;
pub mod packed;
pub mod replay;
pub mod symbol;

#[cfg(feature = "ssr")]
use crate::model::{
    account::{AccountSession, ApiToken},
    alert::page::{AlertsAsked, AlertsPage},
    audit::{AuditForm, AuditPage},
    connection::ConnectionId,
    history::{selection::Selection, view::HistoryView},
    past::Recorded,
    symbol::Symbol,
    symbol_detail::SymbolDetail,
    time::UnixMillis,
};
use crate::model::{history::Reliability, protocol::Snapshot};
use leptos::prelude::*;
use packed::Postcard;
use serde::{Deserialize, Serialize};

/// The most rows of a connection that are rendered on the server; the socket's snapshot brings the rest.
pub const FIRST_ROWS_MAX: usize = 28;

/// Where the one server function is that changes something.
pub const ACKNOWLEDGE_GAP: &str = "/api/admin/fn/acknowledge_gap";

/// Where an open page asks by itself whether it still may: the status, in so many words not as somebody's use of a session.
pub const STATUS_UNASKED: &str = "/api/admin/websocket-status?unasked";

/// What the dashboard starts from: the same on the server and in the browser, so that hydration finds what was rendered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FirstView {
    /// The status that the server knows, and the first [`FIRST_ROWS_MAX`] rows of each connection.
    pub snapshot: Snapshot,
    /// How reliable each connection was so far.
    pub reliability: Vec<Reliability>,
    /// Who is signed in.
    pub email: String,
    /// May they change something?
    pub may_act: bool,
    /// What is wrong with how the server is set up, a sentence or two each.
    pub warnings: Vec<String>,
}

/// Why a server function did not answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum ApiError {
    /// Nobody is signed in, or somebody who may not.
    #[error("sign in as an administrator")]
    NotAllowed,
    /// The server is not set up to answer.
    #[error("the server is not available right now")]
    Unavailable,
    /// What was asked for is not possible, and why.
    #[error("{0}")]
    Refused(String),
    /// What was asked for cannot be done at the moment, and why.
    #[error("{0}")]
    NotNow(String),
    /// The request did not arrive, or not whole.
    #[error("{0}")]
    Transport(ServerFnErrorErr),
}

impl FromServerFnError for ApiError {
    type Encoder = Postcard;

    fn from_server_fn_error(error: ServerFnErrorErr) -> Self {
        Self::Transport(error)
    }
}

/// What the pages need of the server. Provided to every request as `Arc<dyn Backend>`.
#[cfg(feature = "ssr")]
pub trait Backend: Send + Sync {
    /// The present, with at most [`FIRST_ROWS_MAX`] rows a connection; `None` while the server is going away.
    fn first_view(&self) -> Answer<'_, Option<Snapshot>>;

    /// What is wrong with how the server is set up, as far as it shows.
    fn warnings(&self) -> Vec<String>;

    /// A page of the audit log, or what is wrong with the question.
    fn audit_page(&self, form: AuditForm) -> Answer<'_, Result<AuditPage, String>>;

    /// The page of the alerts, or why there is none.
    fn alerts_page(&self, asked: AlertsAsked) -> Answer<'_, Result<AlertsPage, String>>;

    /// The live sessions of whoever is signed in; `None` when they cannot be told.
    fn own_sessions(&self) -> Answer<'_, Option<Vec<AccountSession>>>;

    /// Every API token, for those who may make and end them; `None` when they cannot be told.
    fn tokens(&self) -> Answer<'_, Option<Vec<ApiToken>>>;

    /// A stretch of history; with `since`, its buckets from then on alone. `None` when it cannot be read.
    fn history(&self, selection: Selection, since: Option<UnixMillis>) -> Answer<'_, Option<HistoryView>>;

    /// Is what comes being recorded, so that there is a past to lead to?
    fn is_recording(&self) -> bool;

    /// What is recorded; `None` where nothing ever is.
    fn recorded(&self) -> Answer<'_, Option<Recorded>>;

    /// The board as it was, with at most [`FIRST_ROWS_MAX`] rows a connection or all of them; or why it cannot be had.
    fn board_at(&self, at: UnixMillis, all_rows: bool) -> Answer<'_, Result<Snapshot, String>>;

    /// The board as it is, with all rows; `None` while the server is going away.
    fn board_now(&self) -> Answer<'_, Option<Snapshot>>;

    /// How reliable each connection was; nothing when that cannot be read.
    fn reliability(&self) -> Answer<'_, Vec<Reliability>>;

    /// What is known of a symbol of a connection, which is recorded from now on for some minutes; `None` when the connection
    /// has no such symbol.
    fn symbol(&self, connection_id: ConnectionId, symbol: Symbol) -> Answer<'_, Option<SymbolDetail>>;

    /// Notes that the administrator of the current request has seen a gap, or has `further` to say of it.
    ///
    /// # Errors
    /// Why not.
    fn note_gap(&self, id: i64, note: String, further: bool) -> Answer<'_, Result<(), ApiError>>;
}

/// An answer that is on its way: what an `async fn` of an object-safe trait returns.
#[cfg(feature = "ssr")]
pub type Answer<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Who sends the current request; provided only after it was checked that they may see the dashboard.
#[cfg(feature = "ssr")]
#[derive(Clone, Debug)]
pub struct CurrentViewer {
    /// The account's email.
    pub email: String,
    /// The account's role.
    pub role: &'static str,
    /// May they change something?
    pub may_act: bool,
    /// Have they a second factor, so that forms ask for a code?
    pub second_factor: bool,
    /// Do they sign in at an identity provider, so that there is no password here?
    pub is_from_provider: bool,
}

/// May who sees the page change something? What they may not do is not shown. In the context of the pages that show it.
#[derive(Clone, Copy, Debug)]
pub struct MayAct(pub bool);

impl MayAct {
    /// That of the page.
    #[must_use]
    pub fn here() -> bool {
        use_context::<Self>().is_some_and(|may| may.0)
    }
}

/// Is there a recording that gaps, events, alerts and records can lead to? In the context of the pages that show them.
#[derive(Clone, Copy, Debug)]
pub struct IsRecording(pub bool);

impl IsRecording {
    /// That of the page.
    #[must_use]
    pub fn here() -> bool {
        use_context::<Self>().is_some_and(|is| is.0)
    }
}

/// Is the page of the past? What is shown of it can neither be changed nor advised about. In the context of that page.
#[derive(Clone, Copy, Debug)]
pub struct Past;

impl Past {
    /// Is it that of the page?
    #[must_use]
    pub fn is_here() -> bool {
        use_context::<Self>().is_some()
    }
}

/// The dashboard's first view. The route is guarded; this checks again for itself.
///
/// # Errors
/// [`ApiError::NotAllowed`] without a viewer, [`ApiError::Unavailable`] without a backend.
#[cfg(feature = "ssr")]
pub(crate) async fn first_view() -> Result<FirstView, ApiError> {
    use std::sync::Arc;

    let viewer = use_context::<CurrentViewer>().ok_or(ApiError::NotAllowed)?;
    let backend = use_context::<Arc<dyn Backend>>().ok_or(ApiError::Unavailable)?;
    let snapshot = backend.first_view().await.ok_or(ApiError::Unavailable)?;
    let reliability = backend.reliability().await;
    Ok(FirstView { snapshot, reliability, email: viewer.email, may_act: viewer.may_act, warnings: backend.warnings() })
}
