//! A real proxy in front of two servers, with the configuration that docs/operations.md shows.

use super::{eventually, free_port};
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
    pub(crate) async fn nginx(servers: [SocketAddr; 2]) -> Self {
        let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
        let path = folder.path().display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {path}/{name};\n"))
            .concat();
        let sites = documented("nginx", servers).replace("listen 80;", &format!("listen 127.0.0.1:{port};"));
        let config = format!(
            "daemon off;\npid {path}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{temporary}{sites}}}\n"
        );
        Self::start(folder, port, &config, "nginx", &["-e", "stderr", "-c"]).await
    }

    pub(crate) async fn haproxy(servers: [SocketAddr; 2]) -> Self {
        let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
        let config = documented("haproxy", servers).replace("bind :80", &format!("bind 127.0.0.1:{port}"));
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

/// The example in that language, in front of these servers.
fn documented(language: &str, servers: [SocketAddr; 2]) -> String {
    let (_, example) = DOCUMENTED.split_once(&format!("```{language}\n")).expect("an example");
    let (example, _) = example.split_once("```").expect("its end");
    let [first, second] = servers.map(|server| server.to_string());
    assert!(example.contains("10.0.0.1:3000") && example.contains("10.0.0.2:3000"), "{example}");
    example.replace("10.0.0.1:3000", &first).replace("10.0.0.2:3000", &second)
}

impl Drop for Front {
    fn drop(&mut self) {
        // Its workers end with it when it is asked to end, not when it is killed.
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
    }
}
