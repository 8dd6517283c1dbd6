//! Receivers that others wrote take what is sent to them: Debian's Alertmanager and its mail server aiosmtpd.

use super::{all_connected, hurry, mend, refuse_key};
use crate::util::{TestServer, eventually, free_port};
use serde_json::{Value, json};
use std::{path::Path, process::Stdio};
use tokio::{
    net::TcpStream,
    process::{Child, Command},
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
