//! The whole server as an operator runs it (manager, bus, hub, accounts, database, router), in a process of its own
//! that also says how many tasks it has.

use crate::{
    child::Process,
    http::{Connection, Response},
    scenario::{CONNECTIONS, connection_of, symbol},
};
use anyhow::{Context, ensure};
use server::{
    auth,
    config::{Config, Variables},
    database::Database,
};
use std::{io::BufRead, net::SocketAddr, thread};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

const EMAIL: &str = "bench@localhost";
const PASSWORD: &str = "a password for one run";

/// A running product and the session of its administrator.
pub(crate) struct Product {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    /// `Cookie` and `Origin`, as lines of a request.
    pub(crate) session: String,
    _folder: TempDir,
}

impl Product {
    /// Starts it with ticks from `provider`, on `symbols` symbols, and signs in.
    pub(crate) fn start(provider: SocketAddr, symbols: u64) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let database = format!("sqlite://{}/monitor.db", folder.path().display());
        let provider = format!("ws://{provider}/stocks");
        let mut process = Process::own(&["product", &database, &provider, &symbols.to_string()])?;
        let address = process.listening()?;
        let mut product = Self { process, address, session: String::new(), _folder: folder };
        product.session = product.sign_in()?;
        Ok(product)
    }

    fn sign_in(&self) -> anyhow::Result<String> {
        let form = format!("email={}&password={}", EMAIL.replace('@', "%40"), PASSWORD.replace(' ', "+"));
        let headers = format!(
            "Origin: http://{}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n",
            self.address,
            form.len()
        );
        let answer = Connection::open(self.address)?.request("POST", "/login", &headers, &form)?;
        ensure!(answer.status == 303, "signing in answers {}", answer.status);
        let cookie = answer.header("set-cookie").and_then(|cookie| cookie.split(';').next()).context("no cookie")?;
        Ok(format!("Cookie: {cookie}\r\nOrigin: http://{}\r\n", self.address))
    }

    /// Asks the status as an API client does.
    pub(crate) fn status(&self) -> anyhow::Result<serde_json::Value> {
        let answer = Connection::open(self.address)?.get("/api/admin/websocket-status", &self.session)?;
        ensure!(answer.status == 200, "the status answers {}", answer.status);
        Ok(serde_json::from_slice(&answer.body)?)
    }

    /// Tasks that are alive.
    pub(crate) fn tasks(&mut self) -> anyhow::Result<usize> {
        self.process.tell("tasks")?;
        self.process.answer()
    }
}

/// Runs the product until standard input ends.
pub(crate) fn run(database: &str, provider: &str, symbols: u64) -> anyhow::Result<()> {
    let workers = thread::available_parallelism().map_or(4, |cores| cores.get().max(4));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build()?;
    let shutdown = CancellationToken::new();
    let serving = runtime.block_on(start(database, provider, symbols, shutdown.clone()))?;
    for line in std::io::stdin().lock().lines() {
        if line? == "tasks" {
            println!("{}", runtime.metrics().num_alive_tasks());
        }
    }
    shutdown.cancel();
    runtime.block_on(serving)?
}

async fn start(
    database: &str,
    provider: &str,
    symbols: u64,
    shutdown: CancellationToken,
) -> anyhow::Result<tokio::task::JoinHandle<anyhow::Result<()>>> {
    let config = configure(database, provider, symbols)?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let database = Database::open(&config.accounts.database_url).await?;
    auth::first_account(&database, EMAIL.parse().ok(), config.accounts.admin_password.clone(), &config.accounts.names)
        .await?;
    let serving = tokio::spawn(server::run(config, database, listener, shutdown));
    println!("{address}");
    Ok(serving)
}

fn configure(database: &str, provider: &str, symbols: u64) -> anyhow::Result<Config> {
    let mut variables: Vec<(String, String)> = [
        ("MARKET_FEED", "massive"),
        ("MASSIVE_API_KEY", "any"),
        ("MASSIVE_WEBSOCKET_URL", provider),
        ("DATABASE_URL", database),
        ("ADMIN_PASSWORD", PASSWORD),
        ("RECORDING", "false"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    variables.extend(connections(symbols, CONNECTIONS));
    Config::read(&variables.into_iter().collect::<Variables>()).map_err(|problems| anyhow::anyhow!("{problems:?}"))
}

/// The variables that deal `symbols` symbols out to `count` connections.
pub(crate) fn connections(symbols: u64, count: u64) -> Vec<(String, String)> {
    let mut variables = vec![("USE_MULTI_CONNECTION".to_owned(), "true".to_owned())];
    for id in 1..=count as u8 {
        let names: Vec<_> = (0..symbols)
            .filter(|place| connection_of(*place, count) == id)
            .map(|place| symbol(place).to_string())
            .collect();
        variables.push((format!("WEBSOCKET_CONNECTION_{id}_ENABLED"), "true".to_owned()));
        variables.push((format!("WEBSOCKET_CONNECTION_{id}_CHANNELS"), "T".to_owned()));
        variables.push((format!("WEBSOCKET_CONNECTION_{id}_SYMBOLS"), names.join(",")));
    }
    variables
}

impl Response {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// How many bytes the body has.
    pub(crate) fn length_of(head: &str) -> usize {
        let response = Self { status: 0, head: head.to_owned(), body: Vec::new() };
        response.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0)
    }
}
