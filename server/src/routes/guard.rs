//! Middleware between the network and the handlers.
//!
//! ```text
//! everything ─ span ─ headers ─ host ─ body ─ identify ─ same origin ─┬─ sessions ─┬─ pages_for::<Viewer> ─ pages
//!                                                                     │            ├─ api_for::<Viewer> ── what shows something: API, socket
//!                                                                     │            ├─ api_for::<Admin> ─── what changes something
//!                                                                     │            └─ /login, /logout
//!                                                                     └─ /healthz, /pkg, …
//! ```
//!
//! Whom a guard lets through, and whom it does not, is on record before the handler is called.

mod bearer;
mod bodies;
mod client;
mod headers;
mod hosts;
mod origin;

use bearer::Bearer;
pub(super) use client::is_proxied;
pub use client::{Client, TrustedProxies};
pub use headers::security_headers;
pub use hosts::AllowedHosts;
pub use origin::same_origin;

use super::{
    destination,
    plain_page::plain_page,
    query,
    request::{self, RequestId},
};
use crate::{
    audit::{Action, Actor, Audit, AuditAct, NotRecorded},
    auth::{
        Admin, AuthSession, Caller, Denied, Provider, Reader, Revocations, Right, RoleRules, SessionRules, Viewer,
        screen_of,
    },
    database::Database,
    limits::{self, Limits, Rate},
    network::network,
};
use app::{address::SECOND_FACTOR, api::CurrentViewer, model::time::UnixMillis};
use axum::{
    Router,
    extract::{MatchedPath, Request, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{HOST, REFRESH},
        request::Parts,
        uri::PathAndQuery,
    },
    middleware::{self, Next},
    response::{IntoResponse, Redirect, Response},
};
use leptos::{
    prelude::{provide_context, use_context},
    server_fn::axum::server_fn_paths,
};
use tower_http::limit::RequestBodyLimitLayer;

/// The largest body of any request; forms have limits of their own below it.
const BODY_BYTES_MAX: usize = 64 << 10;

const FORBIDDEN: &str = r#"<p>You are signed in, but the dashboard is for administrators only. Ask an administrator to give this account
the role, or sign out and use another account.</p>
<form method="post" action="/logout"><button type="submit" class="button button-primary">Sign out</button></form>"#;

const SCREEN: &str = r#"<p>This screen shows the dashboard and the metrics alone. Sign in with an account to see more.</p>
<p><a class="button button-primary" href="/admin/websockets">Back to the dashboard</a> <a class="button" href="/login">Sign in</a></p>"#;

const READ_ONLY: &str = r#"<p>This account may look at everything and change nothing. Ask an administrator.</p>
<p><a class="button button-primary" href="/admin/websockets">Back to the dashboard</a></p>"#;

const NOT_RECORDED: &str = r#"<p>Everything that is done here is recorded in the audit log, which cannot be written right now: the database does not
answer, or its disk is full. Until it can, nobody can sign in. Open dashboards and ingest are not affected.</p>
<p><a class="button button-primary" href="/admin/websockets">Try again</a></p>"#;

/// What the guards need.
#[derive(Clone, Debug)]
pub struct Access {
    /// Where it is put on record who got in and who did not.
    pub audit: Audit,
    /// Where tokens are known.
    pub database: Database,
    /// Where people sign in beside; `None` where there is no identity provider.
    pub oidc: Option<Provider>,
    /// How people reach the monitor, where `PUBLIC_URL` says.
    pub public_url: Option<String>,
    /// How often somebody may come.
    pub limits: Limits,
    /// Tells open sockets that a session ended.
    pub revocations: Revocations,
    /// How sessions are kept.
    pub sessions: SessionRules,
    /// Which roles see the dashboard, and which operate it.
    pub roles: RoleRules,
    /// Whose word on addresses is believed.
    pub proxies: TrustedProxies,
    /// Which names the server answers to.
    pub hosts: AllowedHosts,
}

impl Access {
    /// How browsers come here: as `PUBLIC_URL` says, or as this one did, whose `Host` is one of ours.
    pub(super) fn origin(&self, headers: &HeaderMap) -> String {
        let scheme = if self.sessions.secure { "https" } else { "http" };
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
        self.public_url.clone().unwrap_or_else(|| format!("{scheme}://{host}"))
    }
}

/// What stands around every route, whoever may call it.
pub fn around<S>(routes: Router<S>, access: &Access) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    routes
        .layer(RequestBodyLimitLayer::new(BODY_BYTES_MAX))
        .layer(middleware::from_fn(bodies::too_large))
        .layer(middleware::from_fn(query::each_once))
        .layer(middleware::from_fn_with_state(access.clone(), same_origin))
        .layer(middleware::from_fn(bearer::taken_out))
        .layer(middleware::from_fn_with_state(access.clone(), bearer::not_in_address))
        .layer(middleware::from_fn_with_state(access.proxies.clone(), client::identify))
        .layer(middleware::from_fn_with_state(bodies::TIMEOUT, bodies::in_time))
        .layer(middleware::from_fn_with_state(access.hosts.clone(), hosts::allowed_host))
        .layer(middleware::from_fn_with_state(access.sessions.secure, security_headers))
        .layer(middleware::from_fn(request::traced))
}

/// Lets who has a right through to pages; leads who is not signed in to the sign-in page, and tells the others that they may not.
/// What is behind it finds the proof, a [`Viewer`] or an [`Admin`], and the [`Actor`] in the request's extensions.
pub async fn pages_for<R: Right>(State(access): State<Access>, request: Request, next: Next) -> Response {
    let id = RequestId::of(&request);
    let caller = of_browser(&access, &request).await;
    let actor = actor(&request, caller.as_ref().ok());
    match caller.and_then(R::of) {
        Ok(right) => pass(&access, right, actor, Action::PageView, request, next).await.unwrap_or_else(|NotRecorded| {
            let rest = [NOT_RECORDED, &request::reference(id)].concat();
            plain_page(StatusCode::SERVICE_UNAVAILABLE, "Audit log unavailable", &rest)
        }),
        Err(denied) => {
            if denied == Denied::Unauthorized && origin::is_link_from_elsewhere(&request) {
                return ask_again(&request);
            }
            access.audit.record_refusal(refusal(&actor, Action::PageView, denied, &request)).await;
            match denied {
                Denied::Unauthorized => Redirect::to(&destination::leading_back_to(address(&request))).into_response(),
                Denied::Forbidden => plain_page(StatusCode::FORBIDDEN, "Not allowed", FORBIDDEN),
                Denied::Screen => plain_page(StatusCode::FORBIDDEN, "Not on this screen", SCREEN),
                Denied::ReadOnly => plain_page(StatusCode::FORBIDDEN, "Not allowed", READ_ONLY),
                Denied::MustEnrol => Redirect::to(SECOND_FACTOR).into_response(),
                denied => denied.into_response(),
            }
        }
    }
}

/// A browser leaves a strict cookie out of what another site began, such as a link in a chat. Asked for again by a page of
/// ours, the same address comes with the cookie, if there is one.
fn ask_again(request: &Request) -> Response {
    const PAGE: &str = r#"<p>One moment, please.</p><p><a class="button button-primary" href="">Open the page</a></p>"#;
    let mut response = plain_page(StatusCode::OK, "Opening", PAGE);
    if let Ok(refresh) = HeaderValue::try_from(format!("0; url={}", address(request))) {
        response.headers_mut().insert(REFRESH, refresh);
    }
    response
}

/// Path and query; of a request that is read again when somebody comes back from signing in, which only a GET can be.
fn address(request: &Request) -> &str {
    let asked = request.uri().path_and_query().filter(|_| request.method().is_safe());
    asked.map_or(destination::DASHBOARD, PathAndQuery::as_str)
}

/// Lets who has a right through to the API and the socket; the others get 401 or 403 as JSON. What is behind it finds the proof,
/// a [`Viewer`] or an [`Admin`], and the [`Actor`] in the request's extensions.
pub async fn api_for<R: Right>(State(access): State<Access>, request: Request, next: Next) -> Response {
    let caller = match request.extensions().get::<Bearer>().cloned() {
        Some(bearer) => of_token(&access, bearer).await,
        None => of_browser(&access, &request).await,
    };
    let actor = actor(&request, caller.as_ref().ok());
    let is_socket = super::is_socket(request.uri().path());
    let action = if is_socket { Action::SocketOpen } else { Action::ApiCall };
    let counted = counted(&caller, is_socket, request.extensions().get::<Client>());
    if let Some((rate, of)) = counted
        && let Err(wait) = access.limits.take(rate, &of).await
    {
        let act = act(actor.is_refused(action, "too many requests"), &request);
        access.audit.record_refusal(act).await;
        return super::too_many_requests(wait);
    }
    if let (Some(token), Some(client)) =
        (caller.as_ref().ok().and_then(Caller::token_id), request.extensions().get::<Client>())
    {
        let noted = access.database.note_token_use(token, client.address, UnixMillis::now());
        // To be seen in lists; the audit log has every use.
        let _ = noted.await.inspect_err(|error| tracing::warn!(%error, "The use of a token could not be noted"));
    }
    match caller.and_then(R::of) {
        Ok(right) => {
            pass(&access, right, actor, action, request, next).await.unwrap_or_else(IntoResponse::into_response)
        }
        Err(denied) => {
            access.audit.record_refusal(refusal(&actor, action, denied, &request)).await;
            denied.into_response()
        }
    }
}

/// By what requests count. By session and by token: nobody spends what belongs to somebody else, be it from the same network or without
/// being signed in. What is no token counts by network.
fn counted(caller: &Result<Caller, Denied>, is_socket: bool, client: Option<&Client>) -> Option<(Rate, String)> {
    match caller {
        Ok(caller) => {
            let rate = match (caller.token_id(), is_socket) {
                (None, false) => limits::API_CALLS,
                (None, true) => limits::SOCKET_CONNECTS,
                (Some(_), false) => limits::TOKEN_CALLS,
                (Some(_), true) => limits::TOKEN_SOCKET_CONNECTS,
            };
            Some((rate, caller.counted_as()))
        }
        Err(Denied::BadToken) => client.map(|client| (limits::BAD_TOKENS, network(client.address).to_string())),
        Err(_) => None,
    }
}

/// Whose token the request came with.
async fn of_token(access: &Access, Bearer(hash): Bearer) -> Result<Caller, Denied> {
    let hash = hash.ok_or(Denied::BadToken)?;
    match access.database.token_by_hash(&hash, UnixMillis::now()).await {
        Ok(token) => token.as_ref().map(Caller::of_token).ok_or(Denied::BadToken),
        Err(error) => {
            tracing::warn!(%error, "A token could not be checked");
            Err(Denied::Unknown)
        }
    }
}

/// Whose session the request came with, or, of nobody who is signed in, which screen's cookie.
fn of_browser<'a>(
    access: &'a Access,
    request: &Request,
) -> impl Future<Output = Result<Caller, Denied>> + Send + use<'a> {
    let caller = of_session(access, request);
    let screen = screen_of(request.headers(), access.sessions);
    let address = request.extensions().get::<Client>().map(|client| client.address);
    async move {
        let (Err(Denied::Unauthorized), Some(hash)) = (&caller, screen) else { return caller };
        let now = UnixMillis::now();
        let screen = access.database.screen_by_hash(&hash, now).await.map_err(|error| {
            tracing::warn!(%error, "A screen could not be checked");
            Denied::Unknown
        })?;
        let Some(caller) = screen.as_ref().and_then(Caller::of_screen) else { return caller };
        if let (Some(id), Some(address)) = (caller.screen_id(), address) {
            let noted = access.database.note_screen_use(id, address, now).await;
            let _ = noted.inspect_err(|error| tracing::warn!(%error, "The use of a screen could not be noted"));
        }
        Ok(caller)
    }
}

/// Whose session the request came with.
fn of_session(access: &Access, request: &Request) -> Result<Caller, Denied> {
    let auth = request.extensions().get::<AuthSession>();
    if auth.is_none() {
        tracing::error!(path = request.uri().path(), "A guarded route is outside the session layer");
    }
    Caller::of_session(auth, access.roles)
}

async fn pass<R: Right>(
    access: &Access,
    right: R,
    actor: Actor,
    action: Action,
    mut request: Request,
    next: Next,
) -> Result<Response, NotRecorded> {
    if let Some(client) = request.extensions().get::<Client>() {
        access.proxies.met_by_administrator(client);
    }
    let act = act(actor.does(action), &request);
    access.audit.record_often(act.clone()).await?;
    request.extensions_mut().insert(right);
    request.extensions_mut().insert(actor);
    let response = next.run(request).await;
    let status = response.status();
    // Allowed, and not done after all. Who came too often is on record as refused where that was said.
    let is_failure = status.is_client_error() || status.is_server_error();
    if is_failure && status != StatusCode::TOO_MANY_REQUESTS {
        access.audit.record_outcome(act.failed(format!("answered {status}")));
    }
    Ok(response)
}

/// Whoever sends the request, as far as is known.
fn actor(request: &Request, caller: Option<&Caller>) -> Actor {
    let stranger = request.extensions().get::<Client>().map(Client::stranger).unwrap_or_default();
    match caller {
        Some(caller) => Actor { name: Some(caller.name.clone()), role: caller.role, ..stranger },
        None => stranger,
    }
}

fn refusal(actor: &Actor, action: Action, denied: Denied, request: &Request) -> AuditAct {
    act(actor.is_refused(action, denied.to_string()), request)
}

/// By the route, not by the address, and by the usual methods: a stranger can think of any number of others.
fn act(act: AuditAct, request: &Request) -> AuditAct {
    let route = request.extensions().get::<MatchedPath>().map_or("elsewhere", MatchedPath::as_str);
    // A server function is known by its own name.
    let function = server_fn_paths().map(|(path, _)| path).find(|path| *path == request.uri().path());
    act.to(format!("{} {}", request::method_name(request.method()), function.unwrap_or(route)))
}

/// Provides [`CurrentViewer`] to pages and server functions, when a guard let the request through.
/// To be called in the additional context that leptos is given.
pub fn provide_current_viewer() {
    let Some(parts) = use_context::<Parts>() else { return };
    let viewer = parts.extensions.get::<Viewer>().map(|viewer| &**viewer);
    let viewer = viewer.or_else(|| parts.extensions.get::<Reader>().map(|reader| &**reader));
    if let Some(caller) = viewer.or_else(|| parts.extensions.get::<Admin>().map(|admin| &**admin)) {
        let (email, role, may_act) = (caller.name.clone(), caller.role_name(), caller.may_act());
        provide_context(CurrentViewer {
            email,
            role,
            may_act,
            second_factor: caller.second_factor,
            is_from_provider: caller.is_from_provider,
        });
    }
}

#[cfg(test)]
mod tests;
