//! A real proxy in front of several servers, with the configuration that docs/operations.md shows.

use super::eventually;
use std::{
    net::SocketAddr,
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;
use tokio::net::TcpStream;

const DOCUMENTED: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operations.md"));
/// Where distributions put servers, which is not on everybody's PATH.
const PATH: &str = "/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/bin";

pub(crate) struct Front {
    port: u16,
    process: Child,
    _folder: TempDir,
}

impl Front {
    pub(crate) async fn nginx(port: u16, servers: Vec<SocketAddr>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {path}/{name};\n"))
            .concat();
        let sites = documented("nginx", &servers).replace("listen 80;", &format!("listen 127.0.0.1:{port};"));
        let config = format!(
            "daemon off;\npid {path}/pid;\nerror_log stderr;\nevents {{ worker_connections 4096; }}\nhttp {{\naccess_log off;\n{temporary}{sites}}}\n"
        );
        Self::start(folder, port, &config, "nginx", &["-e", "stderr", "-c"]).await
    }

    pub(crate) async fn haproxy(port: u16, servers: Vec<SocketAddr>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = documented("haproxy", &servers).replace("bind :80", &format!("bind 127.0.0.1:{port}"));
        Self::start(folder, port, &config, "haproxy", &["-db", "-f"]).await
    }

    async fn start(folder: TempDir, port: u16, config: &str, program: &str, arguments: &[&str]) -> Self {
        let file = folder.path().join("config");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new(program);
        command.env("PATH", PATH).args(arguments).arg(&file).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().unwrap_or_else(|_| panic!("{program} is installed"));
        eventually("the proxy listens", || async { TcpStream::connect(("127.0.0.1", port)).await.ok() }).await;
        Self { port, process, _folder: folder }
    }

    /// What a browser has in its address bar.
    pub(crate) fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

/// The example in that language, in front of these servers: the line of the second one is there once for each further one.
fn documented(language: &str, servers: &[SocketAddr]) -> String {
    let (_, example) = DOCUMENTED.split_once(&format!("```{language}\n")).expect("an example");
    let (example, _) = example.split_once("```").expect("its end");
    let (first, others) = servers.split_first().expect("a server");
    let mut lines = String::new();
    for line in example.split_inclusive('\n') {
        if !line.contains("10.0.0.2:3000") {
            lines.push_str(&line.replace("10.0.0.1:3000", &first.to_string()));
            continue;
        }
        for (number, other) in others.iter().enumerate() {
            let named = line.replace("server b ", &format!("server b{number} "));
            lines.push_str(&named.replace("10.0.0.2:3000", &other.to_string()));
        }
    }
    assert!(servers.iter().all(|server| lines.contains(&server.to_string())), "{example}");
    lines
}

impl Drop for Front {
    fn drop(&mut self) {
        // Its workers end with it when it is asked to end, not when it is killed.
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
    }
}
