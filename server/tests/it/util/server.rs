//! The whole server in this process, on a free port, with a database of its own.

use super::{Postgres, Socket, eventually};
use app::model::time::UnixMillis;
use reqwest::{Response, StatusCode, header, redirect::Policy};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use server::{
    audit::Actor,
    auth::{Role, Scope, generate_token, hash_password},
    config::{Config, Variables},
    database::{Database, NewAccount, NewToken},
};
use std::net::SocketAddr;
use tempfile::TempDir;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

pub(crate) const PASSWORD: &str = "correct horse battery";

pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    pub(crate) database: Database,
    pub(crate) database_url: String,
    control: String,
    shutdown: CancellationToken,
    running: JoinHandle<anyhow::Result<()>>,
    folder: TempDir,
}

impl TestServer {
    /// Starts with these variables over a database, accounts and a simulator port of the test's own.
    ///
    /// With TEST_DATABASE=postgres in the environment the database is PostgreSQL's.
    pub(crate) async fn start<const N: usize>(pairs: [(&str, &str); N]) -> Self {
        if std::env::var("TEST_DATABASE").is_ok_and(|kind| kind == "postgres") {
            let url = Postgres::shared().database("monitor_with_accounts").await.url;
            return Self::start_on(&url, pairs).await;
        }
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/monitor.db", folder.path().display());
        make_accounts(&Database::open(&url).await.unwrap()).await;
        Self::start_in(folder, &url, pairs).await
    }

    /// The same over a database of PostgreSQL's with these accounts: any number of servers may share it.
    pub(crate) async fn start_on<const N: usize>(database_url: &str, pairs: [(&str, &str); N]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), database_url, pairs).await
    }

    async fn start_in<const N: usize>(folder: TempDir, url: &str, pairs: [(&str, &str); N]) -> Self {
        let database = Database::open(url).await.unwrap();
        let simulator = format!("127.0.0.1:{}", super::free_port());
        let recording = folder.path().join("recording").display().to_string();
        let own = [
            ("SIMULATOR_LISTEN", simulator.as_str()),
            ("METRICS_INTERVAL_MS", "200"),
            ("RECORDING", "false"),
            ("RECORDING_DIR", recording.as_str()),
        ];
        let environment = own.into_iter().chain(pairs).map(|(name, value)| (name.to_owned(), value.to_owned()));
        let variables = Variables::over(environment, &folder.path().join(".env")).unwrap();
        let config = Config::read(&variables).expect("a good configuration");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(server::run(config, database.clone(), listener, shutdown.clone()));
        let control = format!("http://{simulator}/control");
        let server = Self { address, database, database_url: url.to_owned(), control, shutdown, running, folder };
        // Whatever it speaks: that it takes connections is enough.
        eventually("the server answers", || async { TcpStream::connect(address).await.ok() }).await;
        server
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Somebody who is not signed in.
    pub(crate) fn stranger(&self) -> Client {
        Client::at(format!("http://{}", self.address))
    }

    pub(crate) async fn sign_in(&self, role: Role) -> Client {
        self.stranger().signed_in(&email_of(role), PASSWORD).await
    }

    /// A program with a new token, as the `token` command makes it.
    pub(crate) async fn program(&self, name: &str, scope: Scope) -> Client {
        let (token, hash) = generate_token();
        let name = name.parse().unwrap();
        let new = NewToken::lasting(30, UnixMillis::now(), name, scope, "cli:test".to_owned(), hash);
        let mut change = self.database.change().await.unwrap();
        change.add_token(&new, &Actor::command_line()).await.unwrap();
        change.commit().await.unwrap();
        Client::with_token(format!("http://{}", self.address), token.expose_secret())
    }

    /// The database as another process has it.
    pub(crate) async fn other_process(&self) -> Database {
        Database::open(&self.database_url).await.unwrap()
    }

    pub(crate) async fn admin(&self) -> Client {
        self.sign_in(Role::Admin).await
    }

    /// Writes the `.env` file that a refresh reads.
    pub(crate) fn write_env(&self, text: &str) {
        std::fs::write(self.folder.path().join(".env"), text).unwrap();
    }

    /// The file of its database.
    pub(crate) fn database_file(&self) -> std::path::PathBuf {
        self.folder.path().join("monitor.db")
    }

    /// Breaks the simulated market.
    pub(crate) async fn fault(&self, fault: Value) {
        let answer = reqwest::Client::new().post(&self.control).json(&fault).send().await.unwrap();
        assert!(answer.status().is_success(), "{fault}: {}", answer.text().await.unwrap());
    }

    /// Ends it as a signal would; its database is there until it is dropped.
    pub(crate) async fn stop(&mut self) {
        self.shutdown.cancel();
        (&mut self.running).await.unwrap().unwrap();
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// An account for each role.
pub(super) async fn make_accounts(database: &Database) {
    let password_hash = hash_password(PASSWORD.into()).await.unwrap();
    for role in [Role::User, Role::Moderator, Role::Admin, Role::Super] {
        let email = email_of(role).parse().unwrap();
        database.add_account(&NewAccount { email, role, password_hash: password_hash.clone() }).await.unwrap();
    }
}

pub(crate) fn email_of(role: Role) -> String {
    format!("{}@example.com", role.as_str())
}

/// For `http://`: the certificates of the system, whose reading takes 25 ms, are not looked at.
pub(super) fn plain_client() -> reqwest::ClientBuilder {
    reqwest::Client::builder().redirect(Policy::none()).tls_built_in_root_certs(false)
}

/// A browser, or what passes for one.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) http: reqwest::Client,
    pub(crate) base: String,
    pub(crate) cookie: Option<String>,
    /// What is sent as `Authorization`, instead of a cookie.
    pub(crate) token: Option<String>,
}

impl Client {
    /// Somebody who is not signed in, by what they have in their address bar.
    pub(crate) fn at(origin: String) -> Self {
        let http = plain_client().cookie_store(true).build().unwrap();
        Self { http, base: origin, cookie: None, token: None }
    }

    /// A program with an API token.
    pub(crate) fn with_token(origin: String, token: &str) -> Self {
        let token = format!("Bearer {token}");
        let headers = [(header::AUTHORIZATION, token.parse().unwrap())].into_iter().collect();
        let http = plain_client().default_headers(headers).build().unwrap();
        Self { http, base: origin, cookie: None, token: Some(token) }
    }

    pub(crate) async fn signed_in(mut self, email: &str, password: &str) -> Self {
        let answer = self.try_sign_in(email, password, &[]).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        self.keep_cookie(&answer);
        self
    }

    /// Posts a form.
    pub(crate) async fn form(&self, path: &str, form: &str, headers: &[(&str, &str)]) -> Response {
        let mut request = self.http.post(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        request.body(form.to_owned()).send().await.unwrap()
    }

    pub(crate) async fn try_sign_in(&self, email: &str, password: &str, headers: &[(&str, &str)]) -> Response {
        self.form("/login", &format!("email={email}&password={}", password.replace(' ', "+")), headers).await
    }

    /// For the socket, whose client keeps no cookies by itself.
    pub(crate) fn keep_cookie(&mut self, answer: &Response) {
        let cookie = answer.headers()[header::SET_COOKIE].to_str().unwrap();
        self.cookie = cookie.split(';').next().map(str::to_owned);
    }

    /// The body of a GET, whose status is part of the call.
    pub(crate) async fn get(&self, path: &str, status: u16) -> String {
        let answer = self.http.get(format!("{}{path}", self.base)).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "GET {path}");
        answer.text().await.unwrap()
    }

    pub(crate) async fn get_json(&self, path: &str, status: u16) -> Value {
        serde_json::from_str(&self.get(path, status).await).unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: &str, status: u16) -> String {
        let request = self.http.post(format!("{}{path}", self.base)).header(header::CONTENT_TYPE, "application/json");
        let answer = request.body(body.to_owned()).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "POST {path}");
        answer.text().await.unwrap()
    }

    /// Where a GET is redirected to.
    pub(crate) async fn redirect(&self, path: &str) -> String {
        let answer = self.http.get(format!("{}{path}", self.base)).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::SEE_OTHER, "GET {path}");
        answer.headers()[header::LOCATION].to_str().unwrap().to_owned()
    }

    pub(crate) async fn status(&self) -> Value {
        self.get_json("/api/admin/websocket-status", 200).await
    }

    /// The state of a connection, or JSON null.
    pub(crate) async fn state(&self, id: usize) -> String {
        self.status().await["connections"][id - 1]["state"].as_str().unwrap_or_default().to_owned()
    }

    /// Waits until a connection is in a state; answers the whole status.
    pub(crate) async fn wait_for_state(&self, id: usize, state: &str) -> Value {
        eventually(&format!("connection {id} is {state}"), || async {
            let status = self.status().await;
            (status["connections"][id - 1]["state"] == json!(state)).then_some(status)
        })
        .await
    }

    /// Opens the admin socket with a subprotocol, from the server's own origin.
    pub(crate) async fn socket(&self, subprotocol: Option<&str>) -> Socket {
        self.try_socket(subprotocol, &self.base).await.expect("the socket opens")
    }

    /// The same from any origin; the status of a refusal.
    pub(crate) async fn try_socket(&self, subprotocol: Option<&str>, origin: &str) -> Result<Socket, u16> {
        self.open("/admin-ws", subprotocol, origin).await
    }

    /// The socket of the past; the status of a refusal.
    pub(crate) async fn replay(&self, subprotocol: Option<&str>) -> Result<Socket, u16> {
        self.open("/admin-ws/replay", subprotocol, &self.base).await
    }

    async fn open(&self, path: &str, subprotocol: Option<&str>, origin: &str) -> Result<Socket, u16> {
        let url = format!("{}{path}", self.base.replace("http://", "ws://"));
        let cookie = self.cookie.iter().map(|cookie| ("cookie", cookie.as_str()));
        let token = self.token.iter().map(|token| ("authorization", token.as_str()));
        Socket::open(&url, subprotocol, origin, &cookie.chain(token).collect::<Vec<_>>()).await
    }
}
