//! A real PostgreSQL on a free port. One of them is shared by all tests of a process, each with a database of its own; it ends
//! with the process, however that ends. Those that tests break are theirs alone.

#![allow(dead_code, reason = "the unit tests have this file, too, and each uses a part of it")]

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

pub(crate) struct Postgres {
    pub(crate) port: u16,
    folder: PathBuf,
    process: Child,
    /// As long as it is open, the server runs: whoever holds it may end in any way.
    lifeline: Option<ChildStdin>,
}

/// A database of a test's own, until it is dropped.
pub(crate) struct TestDatabase {
    /// As its owner, who may do everything in it.
    pub(crate) url: String,
    pub(crate) name: String,
}

/// Runs the server until standard input ends, and takes the folder away with it. It ends at once, as nothing is kept. A line
/// starts it again after it has ended.
const RUN: &str = "\"$@\" & server=$!; while read -r _; do wait $server; \"$@\" & server=$!; done; \
                   kill -QUIT $server; wait $server; rm -rf \"$FOLDER\"";

/// Who owns the databases of tests, and whoever has to give a password.
const ROLES: &str = "CREATE ROLE monitor LOGIN; CREATE ROLE guarded LOGIN PASSWORD 'hunter 2%'";

impl Postgres {
    /// The one that all tests of this process share.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// One more.
    pub(crate) fn start() -> Self {
        Self::start_by(&[])
    }

    /// One more, with a disk of its own for [`Postgres::move_to_small_disk`] that nobody else sees and that is gone with it. `None` where
    /// nobody may mount one.
    pub(crate) fn with_small_disk() -> Option<Self> {
        const MOUNT: &str =
            "mkdir -p small && mount -t tmpfs -o size=24m,mode=700,uid=$(id -u nobody) tmpfs small && exec \"$@\"";
        let apart = ["unshare", "--mount", "sh", "-c", MOUNT, "sh"];
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(apart[0]);
        let command = command.args(&apart[1..]).arg("true").current_dir(folder.path()).stderr(Stdio::null());
        let can_mount = command.status().is_ok_and(|status| status.success());
        can_mount.then(|| Self::start_by(&apart))
    }

    /// Puts a database onto the small disk, on which it has room enough.
    pub(crate) async fn move_to_small_disk(&self, name: &str) {
        let place = self.folder.join("small");
        self.sql(&format!("CREATE TABLESPACE small LOCATION '{}'", place.display())).await;
        self.sql(&format!("ALTER DATABASE {name} SET TABLESPACE small")).await;
    }

    /// Fills the small disk to the last byte, or takes what filled it away again.
    pub(crate) async fn fill_small_disk(&self, is_full: bool) {
        // From where the disk is seen: the server's own programs.
        let file = self.folder.join("small/ballast").display().to_string();
        let act = if is_full { format!("head -c 100M /dev/zero > {file} 2>&1 || true") } else { format!("rm {file}") };
        self.sql(&format!("COPY (SELECT 1) TO PROGRAM '{act}'")).await;
    }

    /// Its processes are started by a command that has theirs at its end.
    fn start_by(prefix: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap().keep();
        let data = folder.join("data");
        // It refuses to run as root.
        let is_root = run(Command::new("id").arg("-u")).trim() == "0";
        if is_root {
            run(Command::new("chown").arg("nobody").arg(&folder));
        }
        let as_somebody = |program: &Path| {
            let mut command = Command::new(if is_root { Path::new("setpriv") } else { program });
            if is_root {
                command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]).arg(program);
            }
            command.current_dir(&folder);
            command
        };
        let initdb = ["--username=postgres", "--auth=trust", "--no-locale", "--encoding=UTF8", "--no-sync", "-D"];
        run(as_somebody(&binary("initdb")).args(initdb).arg(&data));
        // A password takes its time; one role has to give one.
        let rules = "host all guarded 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n";
        fs::write(data.join("pg_hba.conf"), rules).unwrap();
        let port = super::ports::free_port();
        // As it is run for a living where times are measured: `TEST_POSTGRES_FSYNC=on`.
        let durable = std::env::var("TEST_POSTGRES_FSYNC").is_ok_and(|value| value == "on");
        let lax = if durable { "" } else { "fsync = off\nsynchronous_commit = off\nfull_page_writes = off\n" };
        let settings = format!(
            "{lax}listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = ''\nmax_connections = 300\n\
             autovacuum = off\nshared_buffers = 32MB\n"
        );
        fs::write(data.join("postgresql.auto.conf"), settings).unwrap();

        let server = as_somebody(&binary("postgres"));
        let mut command = Command::new("sh");
        command
            .current_dir(&folder)
            .args(["-c", RUN, "sh"])
            .args(prefix)
            .arg(server.get_program())
            .args(server.get_args())
            .arg("-D")
            .arg(&data);
        let log = fs::File::create(folder.join("log")).unwrap();
        let command = command.env("FOLDER", &folder).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log);
        let mut process = command.spawn().unwrap();
        let lifeline = process.stdin.take();
        let postgres = Self { port, folder, process, lifeline };
        postgres.wait();
        let psql = ["-q", "-h", "127.0.0.1", "-U", "postgres", "-p", &port.to_string(), "-c", ROLES];
        run(Command::new(binary("psql")).args(psql));
        postgres
    }

    fn wait(&self) {
        let since = Instant::now();
        while !self.is_ready() {
            let log = || fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(since.elapsed() < Duration::from_secs(30), "PostgreSQL does not answer: {}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn is_ready(&self) -> bool {
        let port = self.port.to_string();
        let mut command = Command::new(binary("pg_isready"));
        command.args(["-q", "-h", "127.0.0.1", "-p", &port]).status().unwrap().success()
    }

    /// A new database, made as a copy of one that has the tables already; that one is made when it is missing.
    pub(crate) async fn database(&self, template: &str) -> TestDatabase {
        static MADE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let _made = MADE.lock().await;
        let exists = format!("SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = '{template}')");
        let mut connection = self.superuser("postgres").await;
        if !sqlx::query_scalar::<_, bool>(AssertSqlSafe(exists)).fetch_one(&mut connection).await.unwrap() {
            self.sql(&format!("CREATE DATABASE {template} OWNER monitor")).await;
            super::make_tables(&self.url(template)).await;
        }
        let name = format!("test_{}", COUNT.fetch_add(1, Relaxed));
        self.sql(&format!("CREATE DATABASE {name} TEMPLATE {template} OWNER monitor")).await;
        TestDatabase { url: self.url(&name), name }
    }

    /// An empty one.
    pub(crate) async fn empty_database(&self) -> TestDatabase {
        self.database("template1").await
    }

    /// A database's address, for its owner.
    pub(crate) fn url(&self, name: &str) -> String {
        self.url_of("monitor", name)
    }

    /// The same for somebody else, perhaps with a password.
    pub(crate) fn url_of(&self, user: &str, name: &str) -> String {
        format!("postgres://{user}@127.0.0.1:{}/{name}", self.port)
    }

    async fn superuser(&self, name: &str) -> PgConnection {
        PgConnection::connect(&self.url_of("postgres", name)).await.unwrap()
    }

    /// Runs statements as the superuser, in the server's own database.
    pub(crate) async fn sql(&self, statements: &str) {
        self.sql_in("postgres", statements).await;
    }

    /// The same in any database.
    pub(crate) async fn sql_in(&self, name: &str, statements: &str) {
        let statements = AssertSqlSafe(statements.to_owned());
        sqlx::raw_sql(statements).execute(&mut self.superuser(name).await).await.unwrap();
    }

    fn id(&self) -> String {
        let file = fs::read_to_string(self.folder.join("data/postmaster.pid")).unwrap();
        file.lines().next().unwrap().to_owned()
    }

    /// Sends a signal to the server.
    pub(crate) fn signal(&self, signal: &str) {
        run(Command::new("kill").args([signal, &self.id()]));
    }

    /// And to the processes of all its connections: it stands still.
    pub(crate) fn signal_all(&self, signal: &str) {
        let id = self.id();
        let _ = Command::new("pkill").args([signal, "-P", &id]).status();
        self.signal(signal);
    }

    /// Ends it, so that it can be started again.
    pub(crate) fn shut_down(&self) {
        self.signal("-INT");
        while self.folder.join("data/postmaster.pid").exists() {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Starts it again, on the same port.
    pub(crate) fn start_again(&self) {
        std::io::Write::write_all(&mut self.lifeline.as_ref().unwrap(), b"again\n").unwrap();
        self.wait();
    }

    /// Ends it at once, with its data.
    pub(crate) fn stop(&mut self) {
        drop(self.lifeline.take());
        let _ = self.process.wait();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Debian keeps the programs of each version in a folder of its own.
fn binary(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let programs = versions.map(|version| version.path().join("bin").join(name)).filter(|path| path.exists());
    let number = |path: &PathBuf| path.iter().nth(4)?.to_str()?.parse::<u32>().ok();
    programs.max_by_key(number).unwrap_or_else(|| PathBuf::from(name))
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
