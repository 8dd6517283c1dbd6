//! The floor of taking ticks in: the provider's frames, read from real sockets by a bare WebSocket client and dropped, plain and
//! through TLS.
//!
//! ```text
//!  provider ──[TLS front]──▶ three sockets of a bare client, one thread ──▶ dropped
//! ```

use crate::{
    pace::pace,
    provider::Provider,
    scenario::{CONNECTIONS, Scenario, connection_of, symbol},
    tls::Front,
    usage,
};
use anyhow::{Context, ensure};
use app::model::{connection::Channel, symbol::Symbol};
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};
use tokio::{net::TcpStream, runtime::Builder, sync::oneshot};
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config,
    tungstenite::{Message, protocol::WebSocketConfig},
};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// As the server asks for it.
const READ_BYTES: usize = 16 << 10;
/// What was sent is read by then.
const REST: Duration = Duration::from_millis(200);

/// CPU nanoseconds a tick of the thread that reads the scenario's.
pub(crate) fn read_and_drop(scenario: &Scenario, through_tls: bool) -> anyhow::Result<f64> {
    let provider = Provider::start()?;
    let front = through_tls.then(|| Front::start(provider.address)).transpose()?;
    let url = front.as_ref().map_or_else(|| provider.url(), Front::url);
    let connector = front.as_ref().map(Front::connector).transpose()?;
    let (done, ended) = oneshot::channel();
    let symbols = scenario.symbols;
    let reader = thread::spawn(move || read(&url, connector, symbols, ended));
    let mut load = provider.load(scenario)?;
    let ticks = pace(scenario.ticks_per_second, scenario.spacing, scenario.length(), &mut load)?;
    thread::sleep(REST);
    let _ = done.send(());
    let (frames, seconds) = reader.join().map_err(|_| anyhow::anyhow!("the reader panicked"))??;
    ensure!(frames == load.frames_sent(), "{frames} of {} frames came", load.frames_sent());
    Ok(seconds * 1e9 / ticks as f64)
}

/// Frames that were read until `ended`, and the CPU seconds that this took once everything was subscribed to.
fn read(
    url: &str,
    connector: Option<Connector>,
    symbols: u64,
    ended: oneshot::Receiver<()>,
) -> anyhow::Result<(u64, f64)> {
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        let mut sockets = Vec::new();
        for id in 1..=CONNECTIONS {
            let symbols = (0..symbols).filter(|place| u64::from(connection_of(*place, CONNECTIONS)) == id).map(symbol);
            sockets.push(subscribe(url, connector.clone(), symbols).await?);
        }
        let before = usage::own_thread_seconds();
        let frames = Arc::new(AtomicU64::new(0));
        for socket in sockets {
            tokio::spawn(count(socket, Arc::clone(&frames)));
        }
        let _ = ended.await;
        Ok((frames.load(Relaxed), usage::own_thread_seconds() - before))
    })
}

async fn count(mut socket: Socket, frames: Arc<AtomicU64>) {
    while let Some(Ok(message)) = socket.next().await {
        frames.fetch_add(u64::from(message.is_text()), Relaxed);
    }
}

/// A socket that trades of these symbols will come from.
async fn subscribe(
    url: &str,
    connector: Option<Connector>,
    symbols: impl Iterator<Item = Symbol>,
) -> anyhow::Result<Socket> {
    let config = WebSocketConfig::default().read_buffer_size(READ_BYTES);
    let (mut socket, _) = connect_async_tls_with_config(url, Some(config), true, connector).await?;
    let params: Vec<_> = symbols.map(|symbol| format!("{}.{symbol}", Channel::Trades)).collect();
    let requests =
        [json!({"action": "auth", "params": "any"}), json!({"action": "subscribe", "params": params.join(",")})];
    socket.next().await.context("no greeting")??;
    for request in requests {
        socket.send(Message::text(request.to_string())).await?;
        socket.next().await.context("no answer")??;
    }
    Ok(socket)
}
