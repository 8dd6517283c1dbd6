//! The monitor as a process of its own: it can be signalled, stood still, killed and started again, in another time.

use super::{Client, PATIENCE, eventually, free_port, server::plain_client};
use serde_json::Value;
use server::database::Database;
use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    path::PathBuf,
    process::{Child, ChildStderr, Command, ExitStatus, Output, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// A monitor that runs until it is dropped; its simulated market listens on a port of its own.
pub(crate) struct Monitor {
    pub(crate) child: Child,
    pub(crate) folder: TempDir,
    pub(crate) port: u16,
    pub(crate) simulator: u16,
    variables: Vec<(String, String)>,
}

impl Monitor {
    pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_tickstock-monitor");
    /// Of its administrator, `admin@localhost`.
    pub(crate) const PASSWORD: &str = "seven purple lanterns drift";

    pub(crate) fn start(variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(Self::BINARY);
        command.stdout(Stdio::null());
        Self::start_in(tempfile::tempdir().unwrap(), command, variables)
    }

    /// One that logs into a file of its folder: nobody has to read what it says, however long it runs.
    pub(crate) fn start_silent(variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::File::create(folder.path().join("log")).unwrap();
        let mut command = Command::new(Self::BINARY);
        command.stdout(Stdio::null());
        Self::start_in(folder, command, variables)
    }

    /// The end of what it logged into its file.
    pub(crate) fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }

    pub(crate) fn start_in(folder: TempDir, mut command: Command, variables: &[(&str, &str)]) -> Self {
        let (port, simulator) = (free_port(), free_port());
        let own = [
            ("LEPTOS_SITE_ADDR", format!("127.0.0.1:{port}").as_str()),
            ("SIMULATOR_LISTEN", &format!("127.0.0.1:{simulator}")),
            ("METRICS_INTERVAL_MS", "200"),
            ("ADMIN_PASSWORD", Self::PASSWORD),
            ("RECORDING", "false"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let given = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let variables: Vec<_> = own.into_iter().chain(given).collect();
        let child = spawn(&mut command, &folder, &variables);
        Self { child, folder, port, simulator, variables }
    }

    /// Starts it once more after its end, over the same files and at the same address.
    pub(crate) fn start_again(&mut self) {
        let mut command = Command::new(Self::BINARY);
        self.child = spawn(command.stdout(Stdio::null()), &self.folder, &self.variables);
    }

    /// As a power cut would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) async fn admin(&self) -> Client {
        Client::at(format!("http://127.0.0.1:{}", self.port)).signed_in("admin@localhost", Self::PASSWORD).await
    }

    pub(crate) async fn get(&self, path: &str) -> Option<String> {
        let client = plain_client().timeout(PATIENCE).build().unwrap();
        let answer = client.get(format!("http://127.0.0.1:{}{path}", self.port)).send().await.ok()?;
        answer.text().await.ok()
    }

    pub(crate) async fn ready(&self) -> Value {
        self.get("/readyz").await.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
    }

    pub(crate) async fn until_ready(&self) {
        eventually("the monitor is ready", || async { (self.ready().await["ready"] == true).then_some(()) }).await;
    }

    /// The ticks that each connection has received so far.
    pub(crate) async fn ticks(&self) -> Vec<u64> {
        let text = self.get("/metrics").await.unwrap_or_default();
        let lines = text.lines().filter(|line| line.starts_with("tickstock_connection_ticks_total{"));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect()
    }

    pub(crate) async fn until_ticks_come(&self) {
        let before = self.ticks().await;
        eventually("ticks come on every connection", || async {
            let now = self.ticks().await;
            // Before it answers for the first time it had none.
            let came = |(at, ticks): (usize, &u64)| before.get(at).unwrap_or(&0) < ticks;
            (now.len() == 3 && now.iter().enumerate().all(came)).then_some(())
        })
        .await;
    }

    /// The sessions that are open in its simulated market.
    pub(crate) async fn sessions(&self) -> usize {
        let answer = reqwest::get(format!("http://127.0.0.1:{}/control", self.simulator)).await;
        let Ok(answer) = answer else { return 0 };
        answer.json::<Value>().await.unwrap()["connections"].as_array().map_or(0, Vec::len)
    }

    pub(crate) fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    pub(crate) async fn end(&mut self) -> ExitStatus {
        let since = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(since.elapsed() < PATIENCE, "it does not end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Reads what it logs until a line has these words; answers that line.
    pub(crate) fn log_until(log: &mut BufReader<ChildStderr>, words: &str) -> String {
        let mut read = String::new();
        loop {
            let mut line = String::new();
            assert!(log.read_line(&mut line).unwrap() > 0, "no {words:?} in {read}");
            if line.contains(words) {
                return line;
            }
            read.push_str(&line);
        }
    }

    pub(crate) fn log(&mut self) -> BufReader<ChildStderr> {
        BufReader::new(self.child.stderr.take().unwrap())
    }

    /// A request whose body never comes, and which is waiting for it.
    pub(crate) fn stuck_request(&self) -> TcpStream {
        let mut socket = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let head = format!(
            "POST /login HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: 8000\r\nExpect: 100-continue\r\n\r\n",
            self.port
        );
        socket.write_all(head.as_bytes()).unwrap();
        let mut line = String::new();
        BufReader::new(&socket).read_line(&mut line).unwrap();
        assert_eq!(line, "HTTP/1.1 100 Continue\r\n");
        socket
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(Self::BINARY);
        let database = self.variables.iter().filter(|(name, _)| name == "DATABASE_URL").cloned();
        command.args(arguments).env_clear().envs(database).current_dir(self.folder.path()).output().unwrap()
    }

    pub(crate) async fn database(&self) -> Database {
        Database::open(&self.database_url()).await.unwrap()
    }

    pub(crate) fn database_url(&self) -> String {
        format!("sqlite://{}", self.database_file("").display())
    }

    /// One of the database's three files, by what its name ends with.
    pub(crate) fn database_file(&self, suffix: &str) -> PathBuf {
        self.folder.path().join(format!("data/monitor.db{suffix}"))
    }
}

fn spawn(command: &mut Command, folder: &TempDir, variables: &[(String, String)]) -> Child {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let command = command.env_clear().env("PATH", path).envs(variables.iter().cloned());
    // Where there is a file for it.
    let file = std::fs::OpenOptions::new().append(true).open(folder.path().join("log"));
    let stderr = file.map_or_else(|_| Stdio::piped(), Stdio::from);
    command.current_dir(folder.path()).stderr(stderr).spawn().unwrap()
}

impl Drop for Monitor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
