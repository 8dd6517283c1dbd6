//! What others run beside the monitor asks for what it really has.

use crate::util::{TestServer, eventually};
use std::{collections::BTreeSet, fs, path::PathBuf};

fn repository() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Every name of a metric in the text.
fn names(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let starts = text.match_indices("tickstock_").map(|(at, _)| at).filter(|at| !text[..*at].ends_with(is_part));
    starts.map(|at| text[at..].chars().take_while(|c| is_part(*c)).collect()).collect()
}

/// Some metrics are there only while there is something to tell, so the code is asked; a running server proves that it names all.
#[tokio::test(flavor = "multi_thread")]
async fn dashboard_and_rules_use_the_metrics_that_the_server_has() {
    let code = fs::read_to_string(repository().join("server/src/routes/machines.rs")).unwrap();
    let told = names(&code);
    let server = TestServer::start([]).await;
    let running = eventually("metrics of connections", || async {
        let text = reqwest::get(server.url("/metrics")).await.unwrap().text().await.unwrap();
        Some(names(&text)).filter(|names| names.contains("tickstock_connection_up"))
    })
    .await;
    assert_eq!(running.difference(&told).collect::<Vec<_>>(), Vec::<&String>::new(), "named elsewhere in the code");
    for file in ["grafana/tickstock-monitor.json", "prometheus/tickstock-monitor.rules.yml"] {
        let used = names(&fs::read_to_string(repository().join("deploy").join(file)).unwrap());
        assert!(used.len() > 8, "{file}: {used:?}");
        assert_eq!(used.difference(&told).collect::<Vec<_>>(), Vec::<&String>::new(), "{file} uses what there is not");
    }
    let dashboard = fs::read_to_string(repository().join("deploy/grafana/tickstock-monitor.json")).unwrap();
    serde_json::from_str::<serde_json::Value>(&dashboard).expect("JSON");
}

/// Servers that record into folders of their own show different pasts.
#[test]
fn the_servers_of_the_compose_file_share_the_recording() {
    let compose = fs::read_to_string(repository().join("deploy/compose/compose.yml")).unwrap();
    let volumes: Vec<_> = compose.lines().filter(|line| line.contains(":/var/lib/tickstock-monitor'")).collect();
    assert_eq!(
        volumes,
        ["  volumes: ['recording:/var/lib/tickstock-monitor']"],
        "one, in what the servers have in common"
    );
    assert_eq!(compose.matches("    <<: *monitor\n").count(), 2, "servers");
}

/// Documents for people who come name files; a file that moved takes its name with it.
#[test]
fn files_that_the_documents_name_exist() {
    for document in ["CONTRIBUTING.md", "docs/style.md", "docs/install.md"] {
        let text = fs::read_to_string(repository().join(document)).unwrap();
        let named: BTreeSet<_> = text.split('`').skip(1).step_by(2).filter(|name| is_file_name(name)).collect();
        for name in &named {
            assert!(repository().join(name).exists(), "{document} names {name}");
        }
        assert!(document == "docs/install.md" || named.len() >= 5, "{document}: {named:?}");
    }
}

/// A path from the repository's root, such as `server/src/hub/mod.rs` or `deploy/compose/`.
fn is_file_name(code: &str) -> bool {
    let first = code.split('/').next().unwrap_or_default();
    let is_path = code.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
    let folders = [
        "app",
        "bench",
        "deploy",
        "docs",
        "end2end",
        "frontend",
        "fuzz",
        "public",
        "scripts",
        "server",
        "simulator",
        "style",
    ];
    is_path && code.contains('/') && (folders.contains(&first) || first == ".ci")
}
