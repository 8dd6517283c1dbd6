//! Receivers that others wrote take what is sent to them: Debian's Alertmanager and its mail server aiosmtpd, and the `standardwebhooks`
//! of PyPI and of npm in the receivers of the documentation.

use super::{SECRET, all_connected, hurry, mend, post, refuse_key};
use crate::util::{TestServer, eventually, free_port};
use serde_json::{Value, json};
use std::{path::Path, process::Stdio};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    net::TcpStream,
    process::{Child, ChildStdout, Command},
};

async fn start(program: &str, arguments: &[&str], port: u16) -> Child {
    let mut command = Command::new(program);
    command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let child = command.spawn().unwrap_or_else(|error| panic!("{program}: {error}; scripts/setup.sh test installs it"));
    eventually(program, || async { TcpStream::connect(("127.0.0.1", port)).await.ok() }).await;
    child
}

/// The messages that came, in no order.
fn mails(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder.join("new")).into_iter().flatten().flatten();
    files.filter_map(|file| std::fs::read_to_string(file.path()).ok()).collect()
}

fn header<'a>(mail: &'a str, name: &str) -> &'a str {
    let line = mail.lines().find(|line| line.to_lowercase().starts_with(&[name, ": "].concat()));
    line.map_or("", |line| &line[name.len() + 2..])
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alertmanager_and_a_mail_server_take_an_alert_and_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("config.yml"), "route:\n  receiver: nobody\nreceivers:\n  - name: nobody\n").unwrap();
    let (api_port, mail_port) = (free_port(), free_port());
    let (config, storage) =
        (format!("--config.file={}", path("config.yml")), format!("--storage.path={}", path("data")));
    let listen = format!("--web.listen-address=127.0.0.1:{api_port}");
    let arguments = [config.as_str(), &storage, &listen, "--cluster.listen-address="];
    let _alertmanager = start("prometheus-alertmanager", &arguments, api_port).await;
    let (address, mailbox) = (format!("127.0.0.1:{mail_port}"), path("mail"));
    let arguments = ["-n", "-l", &address, "-c", "aiosmtpd.handlers.Mailbox", &mailbox];
    let _mail_server = start("aiosmtpd", &arguments, mail_port).await;

    let (api, smtp) = (format!("http://127.0.0.1:{api_port}"), format!("smtp://{address}"));
    let server = TestServer::start([
        ("ALERT_ALERTMANAGER_URL", api.as_str()),
        ("ALERT_EMAIL_TO", "ops@example.com"),
        ("ALERT_EMAIL_FROM", "monitor@example.com"),
        ("SMTP_URL", &smtp),
        ("ALERT_ALLOWED_NETS", "127.0.0.1"),
    ])
    .await;
    let admin = server.admin().await;
    all_connected(&admin).await;
    hurry(&admin, &["key_refused"]).await;
    refuse_key(&server, 1).await;
    let active = || async {
        let answer = reqwest::get(format!("{api}/api/v2/alerts?active=true")).await.ok()?;
        answer.json::<Vec<Value>>().await.ok()
    };
    let taken = eventually("the Alertmanager has it", || async { active().await?.into_iter().next() }).await;
    let labels = &taken["labels"];
    assert_eq!((&labels["alertname"], &labels["severity"]), (&json!("TickStock_key_refused"), &json!("critical")));
    let mailbox = Path::new(&mailbox);
    let first = eventually("the mail is there", || async { mails(mailbox).pop() }).await;
    assert!(header(&first, "subject").contains("key refused"), "{first}");
    assert_eq!((header(&first, "to"), header(&first, "from")), ("ops@example.com", "monitor@example.com"));

    mend(&server, &admin, &[1]).await;
    eventually("the Alertmanager knows that it is over", || async { active().await?.is_empty().then_some(()) }).await;
    let second = eventually("and so does the mail", || async {
        mails(mailbox).into_iter().find(|mail| header(mail, "message-id") != header(&first, "message-id"))
    })
    .await;
    assert_eq!(header(&second, "references"), header(&first, "message-id"), "{second}");
}

/// A program of docs/alerts.md, as it stands there, in its language.
struct Documented {
    port: u16,
    lines: Lines<BufReader<ChildStdout>>,
    _child: Child,
}

impl Documented {
    async fn start(language: &str, program: &str, option: &str, secret: &str) -> Self {
        let text = include_str!("../../../../docs/alerts.md");
        let (_, rest) = text.split_once(&format!("```{language}\n")).expect(language);
        let (code, _) = rest.split_once("```").unwrap();
        let port = free_port();
        let modules = concat!(env!("CARGO_MANIFEST_DIR"), "/../end2end/node_modules");
        let cache = std::env::var("XDG_CACHE_HOME").unwrap_or_else(|_| std::env::var("HOME").unwrap() + "/.cache");
        let mut command = Command::new(program);
        command.args([option, code]).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        command.env("PORT", port.to_string()).env("ALERT_WEBHOOK_SECRET", secret);
        command.env("NODE_PATH", modules).env("PYTHONPATH", cache + "/tickstock-monitor/python");
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{program}: {error}"));
        let what = format!("{program} with standardwebhooks; scripts/setup.sh test installs it");
        eventually(&what, || async { TcpStream::connect(("127.0.0.1", port)).await.ok() }).await;
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { port, lines, _child: child }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_receivers_of_the_documentation_take_what_is_signed_with_their_secret_and_nothing_else() {
    const ANOTHER: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let receivers = [
        ("python", "python3", "-c", SECRET),
        ("js", "node", "-e", SECRET),
        ("python", "python3", "-c", ANOTHER),
        ("js", "node", "-e", ANOTHER),
    ];
    let mut started = Vec::new();
    for (language, program, option, secret) in receivers {
        started.push(Documented::start(language, program, option, secret).await);
    }
    let urls: Vec<_> = started.iter().map(Documented::url).collect();
    let server = TestServer::start([
        ("ALERT_WEBHOOK_URL", urls[0].as_str()),
        ("ALERT_WEBHOOK_SECRET", SECRET),
        ("ALERT_WEBHOOK_URL_2", &urls[1]),
        ("ALERT_WEBHOOK_SECRET_2", SECRET),
        ("ALERT_WEBHOOK_URL_3", &urls[2]),
        ("ALERT_WEBHOOK_SECRET_3", SECRET),
        ("ALERT_WEBHOOK_URL_4", &urls[3]),
        ("ALERT_WEBHOOK_SECRET_4", SECRET),
        ("ALERT_ALLOWED_NETS", "127.0.0.1"),
    ])
    .await;
    let admin = server.admin().await;
    for (place, receiver) in started.iter_mut().enumerate() {
        let name = if place == 0 { "webhook".to_owned() } else { format!("webhook_{}", place + 1) };
        let answer = post(&admin, &format!("/api/admin/alert-destinations/{name}/test"), json!({}), 200).await;
        assert_eq!(answer["taken"], place < 2, "{name}: {answer}");
        if place < 2 {
            assert_eq!(receiver.lines.next_line().await.unwrap().as_deref(), Some("alert.firing Test"));
        }
    }
}
