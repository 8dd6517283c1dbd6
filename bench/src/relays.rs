//! What others do, for comparison: a message a tick, to every socket. All three take ticks from the same provider over
//! the same protocol, and send the same event.

use crate::{child, scenario::Contestant, tls};
use axum::{
    Router,
    extract::ws::{Message, WebSocket, WebSocketUpgrade},
    routing::get,
    serve::ListenerExt,
};
use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use std::{path::Path, process::Command};
use tokio::{net::TcpListener, sync::broadcast};
use tokio_tungstenite::{connect_async_tls_with_config, tungstenite};

/// What starts a relay of the provider at this address.
pub(crate) fn command(contestant: Contestant, provider: &str) -> anyhow::Result<Command> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("relays");
    let script = |program: &Path, name: &str| {
        let mut command = Command::new(program);
        command.arg(folder.join(name)).arg(provider);
        command
    };
    Ok(match contestant {
        Contestant::Ours => anyhow::bail!("no relay"),
        Contestant::Axum => child::own(&["relay", provider])?,
        Contestant::Node => script(Path::new("node"), "ws.mjs"),
        Contestant::Bun => script(&folder.join("node_modules/.bin/bun"), "bun.mjs"),
    })
}

/// Can it be measured on this machine?
pub(crate) fn is_installed(contestant: Contestant) -> bool {
    let package = match contestant {
        Contestant::Ours | Contestant::Axum => return true,
        Contestant::Node => "ws",
        Contestant::Bun => "bun",
    };
    Path::new(env!("CARGO_MANIFEST_DIR")).join("relays/node_modules").join(package).exists()
}

#[derive(Deserialize)]
struct Trade<'a> {
    ev: &'a str,
    sym: Option<&'a str>,
    p: Option<f64>,
    s: Option<u64>,
    t: Option<u64>,
}

/// The plain axum broadcast.
#[tokio::main]
pub(crate) async fn run(provider: &str) -> anyhow::Result<()> {
    let messages = broadcast::Sender::new(1 << 16);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let listener = listener.tap_io(|socket| {
        let _ = socket.set_nodelay(true);
    });
    let sender = messages.clone();
    let upgrade = move |upgrade: WebSocketUpgrade| {
        let receiver = sender.subscribe();
        async move { upgrade.on_upgrade(move |socket| send(socket, receiver)) }
    };
    tokio::spawn(axum::serve(listener, Router::new().route("/", get(upgrade))).into_future());

    let (mut socket, _) = connect_async_tls_with_config(provider, None, true, tls::connector()?).await?;
    socket.send(tungstenite::Message::text(r#"{"action":"auth","params":"key"}"#)).await?;
    socket.send(tungstenite::Message::text(r#"{"action":"subscribe","params":"T.*"}"#)).await?;
    while let Some(message) = socket.next().await {
        let tungstenite::Message::Text(text) = message? else { continue };
        for trade in serde_json::from_str::<Vec<Trade<'_>>>(&text)?.iter().filter(|trade| trade.ev == "T") {
            let event = serde_json::json!({"event": "tick_update", "data": {
                "symbol": trade.sym, "price": trade.p, "volume": trade.s, "timestamp": trade.t,
            }});
            let _ = messages.send(Message::text(event.to_string()));
        }
    }
    Ok(())
}

async fn send(mut socket: WebSocket, mut messages: broadcast::Receiver<Message>) {
    while let Ok(message) = messages.recv().await {
        if socket.send(message).await.is_err() {
            return;
        }
    }
}
