//! A real redis-server on a free port, which can be killed and started again.

use super::{PATIENCE, eventually};
use futures_util::StreamExt;
use redis::{AsyncCommands, AsyncConnectionConfig, Client, aio::MultiplexedConnection};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;
use tokio_util::task::AbortOnDropHandle;

pub(crate) struct RedisServer {
    pub(crate) url: String,
    pub(crate) port: u16,
    process: Option<Child>,
    folder: TempDir,
}

impl RedisServer {
    pub(crate) async fn start() -> Self {
        let port = super::free_port();
        let folder = tempfile::tempdir().unwrap();
        let mut server = Self { url: format!("redis://127.0.0.1:{port}"), port, process: None, folder };
        server.restart().await;
        // There was a collector once: where there was none, a server that starts waits a little whether one comes back.
        server.set("tickstock:{collector}:epoch", "1").await;
        server
    }

    /// One that is a Sentinel.
    pub(crate) async fn start_sentinel() -> Self {
        let port = super::free_port();
        let folder = tempfile::tempdir().unwrap();
        let mut server = Self { url: format!("redis://127.0.0.1:{port}"), port, process: None, folder };
        let file = server.folder.path().join("sentinel.conf");
        std::fs::write(&file, format!("port {port}\nbind 127.0.0.1\n")).unwrap();
        server.run(&[file.to_str().unwrap(), "--sentinel"]).await;
        server
    }

    /// Starts it again on the same port.
    pub(crate) async fn restart(&mut self) {
        let port = self.port.to_string();
        let data = self.data();
        std::fs::create_dir_all(&data).unwrap();
        let data = data.to_str().unwrap();
        // Replicas get what there is at once, and not after the five seconds in which others might come.
        let options = ["--save", "", "--appendonly", "no", "--bind", "127.0.0.1", "--repl-diskless-sync-delay", "0"];
        self.run(&[&["--port", &port, "--dir", data], &options[..]].concat()).await;
    }

    fn data(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    async fn run(&mut self, arguments: &[&str]) {
        let process = Command::new("redis-server")
            .args(arguments)
            .current_dir(self.folder.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        self.process = Some(process);
        eventually("redis-server answers", || async { self.client().get_multiplexed_async_connection().await.ok() })
            .await;
    }

    /// As a power cut would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// It is there and answers nothing.
    pub(crate) fn hang(&self) {
        self.signal("-STOP");
    }

    /// After hanging.
    pub(crate) fn go_on(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let id = self.process.as_ref().expect("it runs").id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    pub(crate) fn client(&self) -> Client {
        Client::open(self.url.as_str()).unwrap()
    }

    /// On which an answer may take its time: the machine may have much to do, and this server may stand still.
    async fn connection(&self) -> MultiplexedConnection {
        let config = AsyncConnectionConfig::new().set_connection_timeout(Some(PATIENCE));
        let config = config.set_response_timeout(Some(PATIENCE));
        self.client().get_multiplexed_async_connection_with_config(&config).await.unwrap()
    }

    /// Its address for a user of its own.
    pub(crate) fn url_of(&self, user: &str, password: &str) -> String {
        self.url.replace("redis://", &format!("redis://{user}:{password}@"))
    }

    /// Any command, its words separated by blanks.
    pub(crate) async fn command(&self, words: &str) -> redis::RedisResult<redis::Value> {
        let mut connection = self.connection().await;
        let mut words = words.split(' ');
        let mut command = redis::cmd(words.next().unwrap());
        for word in words {
            command.arg(word);
        }
        command.query_async(&mut connection).await
    }

    /// Its disk is gone: it refuses to write, and to be pinged, and says MISCONF.
    pub(crate) async fn lose_the_disk(&self) {
        std::fs::remove_dir(self.data()).unwrap();
        let mut connection = self.connection().await;
        let _: () = redis::cmd("CONFIG").arg("SET").arg("save").arg("1 1").query_async(&mut connection).await.unwrap();
        self.command("SET something 1").await.unwrap();
        self.command("BGSAVE").await.unwrap();
        eventually("Redis notices", || async { self.command("SET something 2").await.err() }).await;
    }

    pub(crate) async fn publish(&self, channel: &str, message: &str) -> usize {
        let mut connection = self.connection().await;
        connection.publish(channel, message).await.unwrap()
    }

    pub(crate) async fn get(&self, key: &str) -> Option<String> {
        let mut connection = self.connection().await;
        connection.get(key).await.unwrap()
    }

    /// Adds members to a set.
    pub(crate) async fn add(&self, key: &str, members: &[&str]) {
        let mut connection = self.connection().await;
        let _: () = connection.sadd(key, members).await.unwrap();
    }

    /// Adds members that are no text to a set.
    pub(crate) async fn add_bytes(&self, key: &str, members: &[&[u8]]) {
        let mut connection = self.connection().await;
        let _: () = connection.sadd(key, members).await.unwrap();
    }

    /// Puts a text under a key.
    pub(crate) async fn set(&self, key: &str, text: &str) {
        let mut connection = self.connection().await;
        let _: () = connection.set(key, text).await.unwrap();
    }

    /// Everything that is published on a channel from now on.
    pub(crate) async fn listen(&self, channel: &str) -> Listener {
        let mut pubsub = self.client().get_async_pubsub().await.unwrap();
        pubsub.subscribe(channel).await.unwrap();
        let (sender, messages) = tokio::sync::mpsc::channel(100_000);
        let task = tokio::spawn(async move {
            let mut stream = pubsub.into_on_message();
            while let Some(message) = stream.next().await {
                if sender.send(String::from_utf8(message.get_payload_bytes().to_vec()).unwrap()).await.is_err() {
                    return;
                }
            }
        });
        Listener { messages, _task: AbortOnDropHandle::new(task) }
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(crate) struct Listener {
    messages: tokio::sync::mpsc::Receiver<String>,
    _task: AbortOnDropHandle<()>,
}

impl Listener {
    pub(crate) async fn next(&mut self) -> String {
        tokio::time::timeout(PATIENCE, self.messages.recv()).await.expect("a message in time").expect("a message")
    }
}
