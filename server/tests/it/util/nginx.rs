//! A real nginx in front of a server, with a configuration of the test's.

use super::{eventually, free_port};
use std::{
    net::SocketAddr,
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;
use tokio::net::TcpStream;

pub(crate) struct Nginx {
    port: u16,
    process: Child,
    _folder: TempDir,
}

impl Nginx {
    /// Hands everything on to `server`; `location` is what stands beside `proxy_pass`.
    pub(crate) async fn in_front_of(server: SocketAddr, location: &str) -> Self {
        let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
        let path = folder.path().display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {path}/{name};\n"))
            .concat();
        let config = format!(
            "daemon off;\npid {path}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{temporary}\
             server {{\nlisten 127.0.0.1:{port};\nlocation / {{\nproxy_pass http://{server};\n{location}\n}}\n}}\n}}\n"
        );
        let file = folder.path().join("nginx.conf");
        std::fs::write(&file, config).unwrap();
        // Where distributions put it, which is not on everybody's PATH.
        let process = Command::new("nginx")
            .env("PATH", "/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/bin")
            .arg("-c")
            .arg(&file)
            .arg("-e")
            .arg("stderr")
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx is installed");
        eventually("nginx listens", || async { TcpStream::connect(("127.0.0.1", port)).await.ok() }).await;
        Self { port, process, _folder: folder }
    }

    /// What a browser has in its address bar.
    pub(crate) fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its workers end with it when it is asked to end, not when it is killed.
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
    }
}
