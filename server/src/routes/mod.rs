//! Who may call what. The guards are here, the handlers know no roles.

mod account;
mod admin_ws;
mod alerts;
mod audit;
mod backend;
mod config;
mod connections;
pub(crate) mod csv;
mod description;
pub(crate) mod destination;
mod elsewhere;
mod failure;
mod files;
mod functions;
pub mod guard;
mod history;
pub(crate) mod login;
mod machines;
pub(crate) mod orders;
mod plain_page;
pub(crate) mod query;
mod recording;
mod request;
mod screen;
mod servers;
mod status;
mod symbol;

use crate::{
    alerts::Alerts,
    auth::{Accounts, Admin, Owner, Reader, Viewer, with_sessions},
    bus::OrdersOnRedis,
    collector::{Connections, Keeper},
    config::Config,
    database::Database,
    hub::Hub,
    limits::Wait,
    recording::Recording,
    refresh::Refresher,
    servers::Servers,
    upstream::Manager,
};
use app::{
    address,
    api::{ACKNOWLEDGE_GAP, Backend},
    pages::login::SingleSignOn,
};
use axum::{
    Extension, Json, Router,
    extract::{FromRef, Request, State},
    http::{StatusCode, header::RETRY_AFTER},
    middleware::{self, Next},
    response::{IntoResponse, Redirect, Response},
    routing::{any, get, post},
};
use backend::Behind;
use guard::{Access, api_for, pages_for, provide_current_viewer};
use leptos::{
    config::LeptosOptions,
    prelude::{AnyView, IntoAny, provide_context},
};
use leptos_axum::render_app_async_with_context;
use schemars::JsonSchema;
use serde::Serialize;
use std::sync::Arc;
use tokio::task::JoinError;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower_http::{CompressionLevel, compression::CompressionLayer};
use tracing::Instrument;

/// Where the live socket is.
const SOCKET: &str = "/admin-ws";
/// Where the socket of the past is.
const REPLAY: &str = "/admin-ws/replay";
/// What a screen on a wall does not show to everybody who passes.
const FOR_READERS: [&str; 2] = [address::AUDIT, address::ACCOUNT];
/// Where machines ask whether the server is ready.
const READINESS: &str = "/readyz";

/// What handlers are given.
#[derive(Clone)]
pub(crate) struct AppState {
    pub(crate) access: Access,
    pub(crate) alerts: Alerts,
    pub(crate) config: Arc<Config>,
    pub(crate) database: Database,
    pub(crate) hub: Hub,
    pub(crate) collecting: Collecting,
    pub(crate) recording: Recording,
    pub(crate) refresher: Refresher,
    pub(crate) servers: Servers,
    pub(crate) leptos: LeptosOptions,
    pub(crate) sockets: TaskTracker,
    pub(crate) shutdown: CancellationToken,
}

/// What this server has to do with collecting.
#[derive(Clone)]
pub(crate) struct Collecting {
    /// `None` where others always collect.
    pub(crate) connections: Option<Connections>,
    /// Among several servers.
    pub(crate) keeper: Option<Keeper>,
    /// The way to the others.
    pub(crate) orders: Option<OrdersOnRedis>,
}

impl AppState {
    /// The connection manager, while this server collects.
    fn manager(&self) -> Option<Manager> {
        self.collecting.connections.as_ref()?.manager()
    }
}

impl FromRef<AppState> for LeptosOptions {
    fn from_ref(state: &AppState) -> Self {
        state.leptos.clone()
    }
}

/// Every route.
pub(crate) fn router(state: AppState) -> Router {
    // Already set where this is not the process's first router, as in tests.
    let _ = any_spawner::Executor::init_tokio();
    let accounts = Accounts::new(state.database.clone());
    let access = state.access.clone();
    let dashboard = if state.config.dashboard.enabled { for_viewers(&state, &access) } else { for_nobody() };
    let for_people =
        with_sessions(for_everybody(&state, &access).merge(dashboard).merge(readiness()), &accounts, access.sessions);
    let files_and_errors = Router::new()
        .fallback_service(leptos_axum::ErrorHandler::new(app::shell, state.leptos.clone()))
        .layer(middleware::from_fn_with_state(state.sockets.clone(), to_the_end))
        .layer(middleware::from_fn_with_state((state.config.dashboard.site, state.leptos.clone()), files::files));
    let all = failure::answered(for_people.merge(for_machines()).fallback_service(files_and_errors));
    guard::around(all, &access).with_state(state)
}

/// Half a millisecond more than the default takes makes a dashboard an eighth smaller with Brotli.
fn page_compression() -> CompressionLayer {
    CompressionLayer::new().quality(CompressionLevel::Precise(6))
}

/// Signing in and out.
fn for_everybody(state: &AppState, access: &Access) -> Router<AppState> {
    let single_sign_on = SingleSignOn(access.oidc.is_some());
    let context = move || provide_context(single_sign_on);
    login::routes(access)
        .merge(screen::routes())
        .merge(pages(state, |path| !path.starts_with("/admin"), context))
        .layer(page_compression())
}

/// The dashboard: page, API, socket. Absent when `ADMIN_WEBSOCKET_DASHBOARD_ENABLED=false`.
fn for_viewers(state: &AppState, access: &Access) -> Router<AppState> {
    let context = {
        let backend: Arc<dyn Backend> = Arc::new(Behind { state: state.clone() });
        move || {
            provide_context(Arc::clone(&backend));
            provide_current_viewer();
        }
    };
    let for_readers = account::routes()
        .merge(pages(state, |path| FOR_READERS.contains(&path), context.clone()))
        .layer(middleware::from_fn_with_state(state.sockets.clone(), to_the_end))
        .layer(middleware::from_fn_with_state(access.clone(), pages_for::<Reader>))
        .layer(page_compression());
    let pages = Router::new()
        // The fallback would render the page outside its guard, where nobody is anybody.
        .route("/admin/websockets/", get(|| async { Redirect::permanent(destination::DASHBOARD) }))
        .merge(pages(state, |path| path.starts_with("/admin") && !FOR_READERS.contains(&path), context.clone()))
        .layer(middleware::from_fn_with_state(state.sockets.clone(), to_the_end))
        .layer(middleware::from_fn_with_state(access.clone(), pages_for::<Viewer>))
        .layer(page_compression());
    let audit = Router::new()
        .route("/api/admin/audit", get(audit::audit))
        .merge(description::routes())
        .layer(CompressionLayer::new())
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(access.clone(), api_for::<Reader>));
    let account_acts = account::acts()
        .merge(alerts::forms())
        .layer(middleware::from_fn_with_state(access.clone(), pages_for::<Admin>));
    let owners = account::of_owners().layer(middleware::from_fn_with_state(access.clone(), pages_for::<Owner>));
    let server_functions = move |request| functions::call(context.clone(), request);
    // Whatever changes something stands here, and takes an `Admin`.
    let acts = Router::new()
        .route("/api/admin/config/refresh", post(config::refresh))
        .route("/api/admin/connections/{id}/retry", post(connections::retry))
        .route(ACKNOWLEDGE_GAP, post(server_functions.clone()))
        .merge(history::acts())
        .merge(recording::acts())
        .layer(CompressionLayer::new())
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(access.clone(), api_for::<Admin>));
    let api = Router::new()
        .route("/api/admin/websocket-status", get(status::websocket_status))
        .route("/api/admin/servers", get(servers::servers))
        .route("/api/admin/symbol", get(symbol::symbol))
        .route("/api/admin/fn/{*name}", post(server_functions))
        .merge(history::routes())
        .merge(recording::routes())
        .route("/api/admin", any(no_such_route))
        .route("/api/admin/", any(no_such_route))
        .route("/api/admin/{*rest}", any(no_such_route))
        .layer(CompressionLayer::new())
        .merge(recording::files())
        .route(SOCKET, get(admin_ws::admin_ws))
        .route(REPLAY, get(admin_ws::replay))
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(access.clone(), api_for::<Viewer>));
    pages
        .merge(for_readers)
        .merge(audit)
        .merge(account_acts)
        .merge(owners)
        .merge(acts)
        .merge(alerts::routes(access))
        .merge(api)
}

/// What answers where the dashboard is switched off: nothing. The fallback would render its pages, which the app
/// knows whether they are served or not.
fn for_nobody() -> Router<AppState> {
    let nothing = || async {
        plain_page::plain_page(StatusCode::NOT_FOUND, "Page not found", "<p>There is no page at this address.</p>")
    };
    Router::new().route("/admin/{*rest}", any(nothing)).route("/api/admin/{*rest}", any(no_such_route))
}

/// Health and metrics, for machines that have no session.
fn for_machines() -> Router<AppState> {
    Router::new().route("/healthz", get(|| async { "alive\n" })).route("/metrics", get(machines::metrics))
}

/// For machines too, which are told the less; administrators are told why.
fn readiness() -> Router<AppState> {
    Router::new().route(READINESS, get(machines::readyz)).layer(Extension(machines::LastAnswer::default()))
}

/// Middleware: renders a page to its end, also for who has left meanwhile. Leptos waits for a page's data in a task beside the
/// request's; with the request gone, that task finds its signals disposed and panics.
async fn to_the_end(State(tasks): State<TaskTracker>, request: Request, next: Next) -> Response {
    match tasks.spawn(next.run(request).in_current_span()).await.map_err(JoinError::try_into_panic) {
        Ok(response) => response,
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        Err(Err(_)) => plain_page::plain_page(
            StatusCode::SERVICE_UNAVAILABLE,
            "Temporarily unavailable",
            "<p>The server is shutting down.</p>",
        ),
    }
}

fn shell_of(state: &AppState) -> impl Fn() -> AnyView + Clone + Send + Sync + 'static + use<> {
    let options = state.leptos.clone();
    move || app::shell(options.clone()).into_any()
}

/// Routes to those of the app's pages whose path is `wanted`: all of one is in the HTML, so that it reads without JavaScript. Not
/// `leptos_routes`, which puts every server function on every router that has pages, outside the guard too.
fn pages(
    state: &AppState,
    wanted: impl Fn(&str) -> bool,
    context: impl Fn() + Clone + Send + Sync + 'static,
) -> Router<AppState> {
    address::PATHS.into_iter().filter(|path| wanted(path)).fold(Router::new(), |router, path| {
        router.route(path, get(render_app_async_with_context(context.clone(), shell_of(state))))
    })
}

/// Is it one of the sockets?
fn is_socket(path: &str) -> bool {
    path == SOCKET || path == REPLAY
}

/// Is it answered in the API's form?
fn is_api(path: &str) -> bool {
    path.starts_with("/api/") || is_socket(path)
}

/// An error of the API, in the form that all of them have.
pub(crate) fn api_error(status: StatusCode, code: &str, message: &str) -> Response {
    (status, Json(ErrorAnswer { error: ErrorSaid { code, message } })).into_response()
}

/// Why there is no answer.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Error")]
struct ErrorAnswer<'a> {
    error: ErrorSaid<'a>,
}

#[derive(Serialize, JsonSchema)]
struct ErrorSaid<'a> {
    /// For programs, such as `forbidden`.
    code: &'a str,
    /// For people: what is wrong, and what would be accepted.
    message: &'a str,
}

/// 429 in the API's form, with the time to come back.
pub(crate) fn too_many_requests(wait: Wait) -> Response {
    with_retry(wait.seconds(), api_error(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", &wait.to_string()))
}

fn with_retry(seconds: u64, mut response: Response) -> Response {
    response.headers_mut().insert(RETRY_AFTER, seconds.into());
    response
}

async fn wrong_method() -> Response {
    api_error(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "method not allowed on this route")
}

async fn no_such_route() -> Response {
    api_error(StatusCode::NOT_FOUND, "not_found", "no such route")
}
