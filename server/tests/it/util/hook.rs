//! Whoever is told of alerts: takes what is posted, and answers as it is told to.

use super::eventually;
use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::any,
};
use serde_json::Value;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, Ordering::Relaxed},
    },
    time::Instant,
};
use tokio::net::TcpListener;

/// A message as it came.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    /// When.
    pub(crate) at: Instant,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Told {
    /// What happened to which alert: `alert.firing not_connected:2`.
    pub(crate) fn what(&self) -> String {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        [text(&self.body["type"]).replace("alert.", ""), text(&self.body["data"]["fingerprint"])].join(" ")
    }

    pub(crate) fn id(&self) -> String {
        self.headers.get("webhook-id").map_or_else(String::new, |id| id.to_str().unwrap().to_owned())
    }
}

#[derive(Clone, Default)]
struct Kept {
    told: Arc<Mutex<Vec<Told>>>,
    status: Arc<AtomicU16>,
}

/// Listens on loopback until the test is over.
#[derive(Clone)]
pub(crate) struct Hook {
    pub(crate) url: String,
    kept: Kept,
}

impl Hook {
    pub(crate) async fn start() -> Self {
        let kept = Kept::default();
        kept.status.store(200, Relaxed);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(any(take)).with_state(kept.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, kept }
    }

    /// Answers with this status from now on.
    pub(crate) fn answers(&self, status: u16) {
        self.kept.status.store(status, Relaxed);
    }

    pub(crate) fn told(&self) -> Vec<Told> {
        self.kept.told.lock().unwrap().clone()
    }

    pub(crate) fn whats(&self) -> Vec<String> {
        self.told().iter().map(Told::what).collect()
    }

    /// Waits until somebody was told so.
    pub(crate) async fn until_told(&self, what: &str) -> Told {
        eventually(what, || async { self.told().into_iter().find(|told| told.what() == what) }).await
    }
}

async fn take(State(kept): State<Kept>, headers: HeaderMap, raw: String) -> StatusCode {
    let at = Instant::now();
    let body = serde_json::from_str(&raw).unwrap_or_default();
    let status = StatusCode::from_u16(kept.status.load(Relaxed)).unwrap();
    kept.told.lock().unwrap().push(Told { at, headers, body });
    status
}
