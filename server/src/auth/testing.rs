//! What the tests of sign-in share: a database in a folder of its own, accounts in it, and the routes around it.

use super::{
    Accounts, Admin, Email, PasswordHash, Revocations, Role, RoleRules, SessionRules, Viewer, hash_password,
    with_sessions,
};
use crate::{
    audit::Audit,
    database::{Database, NewAccount},
    limits::Limits,
    routes::{destination::DASHBOARD, guard, login},
};
use axum::{
    Extension, Router,
    body::{self, Body},
    http::{Request, Response, StatusCode, header},
    middleware,
    routing::{get, post},
};
use tempfile::TempDir;
use tower::ServiceExt;

#[path = "../../tests/it/util/ports.rs"]
mod ports;
#[path = "../../tests/it/util/postgres.rs"]
mod postgres_server;
pub(crate) use postgres_server::{Postgres, TestDatabase};

/// Every test account's password.
pub(crate) const PASSWORD: &str = "correct horse battery";

/// A new database of SQLite's; it is gone when the folder is dropped.
pub(crate) async fn database() -> (TempDir, Database) {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder).await;
    (folder, database)
}

/// The database of a folder, opened again.
pub(crate) async fn open(folder: &TempDir) -> Database {
    Database::open(&format!("sqlite://{}/monitor.db", folder.path().display())).await.unwrap()
}

/// Where a database is, so that it can be opened again; it is gone when this is dropped.
pub(crate) enum Home {
    Folder(TempDir),
    Postgres(TestDatabase),
}

impl Home {
    /// The database, opened as another process does.
    pub(crate) async fn open(&self) -> Database {
        match self {
            Self::Folder(folder) => open(folder).await,
            Self::Postgres(database) => Database::open(&database.url).await.unwrap(),
        }
    }

    /// The name of a database of PostgreSQL's.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Folder(_) => panic!("a file"),
            Self::Postgres(database) => database.name.clone(),
        }
    }
}

/// A place for a new database of each kind.
pub(crate) async fn homes() -> [Home; 2] {
    [Home::Folder(tempfile::tempdir().unwrap()), postgres().await.0]
}

/// A new database of each kind, for tests of what has to be the same on both.
pub(crate) async fn databases() -> [(Home, Database); 2] {
    let (folder, sqlite) = database().await;
    let (home, database) = postgres().await;
    [(Home::Folder(folder), sqlite), (home, database)]
}

/// A new database of PostgreSQL's.
pub(crate) async fn postgres() -> (Home, Database) {
    let home = Home::Postgres(Postgres::shared().database("monitor_as_made").await);
    let database = home.open().await;
    (home, database)
}

/// For databases that are copied from this one.
async fn make_tables(url: &str) {
    Database::open(url).await.unwrap().close().await;
}

/// Makes an account with [`PASSWORD`] and answers its id.
pub(crate) async fn account(database: &Database, email: &str, role: Role) -> i64 {
    let password_hash = hash_password(PASSWORD.into()).await.unwrap();
    database.add_account(&NewAccount { email: email.parse().unwrap(), role, password_hash }).await.unwrap()
}

/// Another role for an account, as the `user` command gives it; answers whether there is such an account.
pub(crate) async fn set_role(database: &Database, email: &Email, role: Role) -> bool {
    let mut change = database.change().await.unwrap();
    let known = change.set_role(email, role).await.unwrap();
    change.commit().await.unwrap();
    known
}

/// The same for disabling and enabling.
pub(crate) async fn set_disabled(database: &Database, email: &Email, disabled: bool) -> bool {
    let mut change = database.change().await.unwrap();
    let known = change.set_disabled(email, disabled).await.unwrap();
    change.commit().await.unwrap();
    known
}

/// The same for another password.
pub(crate) async fn set_password_hash(database: &Database, email: &Email, hash: &PasswordHash) -> bool {
    let mut change = database.change().await.unwrap();
    let known = change.set_password_hash(email, hash).await.unwrap();
    change.commit().await.unwrap();
    known
}

/// The routes as the server puts them together, with a page, an API and a file that say who was let through.
pub(crate) fn site(database: &Database, secure: bool) -> Router {
    let who = |Extension(viewer): Extension<Viewer>| async move { format!("{} {}", viewer.name, viewer.role_name()) };
    let act = |Extension(admin): Extension<Admin>| async move { format!("{} {}", admin.name, admin.role_name()) };
    let access = access(database, secure);
    let pages = Router::new()
        .route("/admin/websockets", get(who))
        .layer(middleware::from_fn_with_state(access.clone(), guard::pages_for::<Viewer>));
    let api = Router::new()
        .route("/api/admin/websocket-status", get(who))
        .route("/admin-ws", get(who))
        .layer(middleware::from_fn_with_state(access.clone(), guard::api_for::<Viewer>));
    let acts = Router::new()
        .route("/api/admin/config/refresh", post(act))
        .layer(middleware::from_fn_with_state(access.clone(), guard::api_for::<Admin>));
    let accounts = Accounts::new(database.clone());
    let with_session =
        with_sessions(login::routes(&access).merge(pages).merge(api).merge(acts), &accounts, access.sessions);
    let files = Router::new()
        .route("/pkg/app.js", get(|| async { "js" }))
        .route("/icon.svg", get(|| async { ([(header::LAST_MODIFIED, "Wed, 21 Oct 2026 07:28:00 GMT")], "<svg/>") }));
    guard::around(with_session.merge(files), &access)
}

/// What guards need, over a database. Its limits are new, and its own.
pub(crate) fn access(database: &Database, secure: bool) -> guard::Access {
    let hours = |count: u64| std::time::Duration::from_secs(count * 3600);
    guard::Access {
        audit: Audit::new(database.clone()),
        database: database.clone(),
        oidc: None,
        public_url: None,
        limits: Limits::new(None),
        revocations: Revocations::default(),
        sessions: SessionRules { secure, port: 3000, idle: hours(12), lifetime: hours(24) },
        roles: RoleRules::default(),
        proxies: guard::TrustedProxies::default(),
        hosts: vec!["h".to_owned()].into(),
    }
}

/// A browser without JavaScript: it keeps one cookie.
pub(crate) struct Browser {
    pub(crate) site: Router,
    pub(crate) cookie: Option<String>,
}

impl Browser {
    pub(crate) fn new(database: &Database) -> Self {
        Self { site: site(database, false), cookie: None }
    }

    /// A browser that has signed in.
    pub(crate) async fn signed_in(database: &Database, email: &str) -> Self {
        let mut browser = Self::new(database);
        let answer = browser.sign_in(email, PASSWORD).await;
        assert_eq!(location(&answer), DASHBOARD);
        browser
    }

    /// Sends a request with the cookie, and keeps what `Set-Cookie` says.
    pub(crate) async fn send(&mut self, mut request: Request<Body>) -> Response<Body> {
        if let Some(cookie) = &self.cookie {
            request.headers_mut().insert(header::COOKIE, cookie.parse().unwrap());
        }
        let answer = self.site.clone().oneshot(request).await.unwrap();
        if let Some(set) = answer.headers().get_all(header::SET_COOKIE).iter().next_back() {
            let pair = set.to_str().unwrap().split(';').next().unwrap().to_owned();
            self.cookie = (!pair.ends_with('=')).then_some(pair);
        }
        answer
    }

    pub(crate) async fn get(&mut self, path: &str) -> Response<Body> {
        self.send(Request::get(path).header("host", "h").body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn post(&mut self, path: &str, form: &str) -> Response<Body> {
        let request =
            Request::post(path).header("host", "h").header("content-type", "application/x-www-form-urlencoded");
        self.send(request.body(Body::from(form.to_owned())).unwrap()).await
    }

    pub(crate) async fn sign_in(&mut self, email: &str, password: &str) -> Response<Body> {
        self.post("/login", &format!("email={email}&password={}", password.replace(' ', "+"))).await
    }

    /// What the API answers at the moment.
    pub(crate) async fn api_status(&mut self) -> StatusCode {
        self.get("/api/admin/websocket-status").await.status()
    }
}

/// Where a 303 leads.
pub(crate) fn location(answer: &Response<Body>) -> &str {
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    answer.headers()[header::LOCATION].to_str().unwrap()
}

/// The text of an answer.
pub(crate) async fn text(answer: Response<Body>) -> String {
    String::from_utf8(body::to_bytes(answer.into_body(), 1 << 20).await.unwrap().to_vec()).unwrap()
}
