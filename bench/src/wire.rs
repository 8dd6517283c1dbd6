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
    usage,
};
use anyhow::{Context, ensure};
use app::model::{connection::Channel, symbol::Symbol};
use futures_util::{SinkExt, StreamExt};
use rustls::{ClientConfig, RootCertStore, ServerConfig, pki_types::PrivatePkcs8KeyDer};
use serde_json::json;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    runtime::{Builder, Runtime},
    sync::oneshot,
};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config,
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
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let (address, tls) = if through_tls {
        let (address, trust) = front(&runtime, provider.address)?;
        (address, Some(trust))
    } else {
        (provider.address, None)
    };
    let (done, ended) = oneshot::channel();
    let symbols = scenario.symbols;
    let reader = thread::spawn(move || read(address, tls, symbols, ended));
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
    address: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
    symbols: u64,
    ended: oneshot::Receiver<()>,
) -> anyhow::Result<(u64, f64)> {
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        let mut sockets = Vec::new();
        for id in 1..=CONNECTIONS {
            let symbols = (0..symbols).filter(|place| u64::from(connection_of(*place)) == id).map(symbol);
            sockets.push(subscribe(address, tls.clone(), symbols).await?);
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
    address: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
    symbols: impl Iterator<Item = Symbol>,
) -> anyhow::Result<Socket> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let scheme = if tls.is_some() { "wss" } else { "ws" };
    let connector = tls.map_or(Connector::Plain, Connector::Rustls);
    let config = WebSocketConfig::default().read_buffer_size(READ_BYTES);
    let url = format!("{scheme}://localhost:{}/stocks", address.port());
    let (mut socket, _) = client_async_tls_with_config(url, stream, Some(config), Some(connector)).await?;
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

/// TLS 1.3 in front of the provider: its address, and what trusts it.
fn front(runtime: &Runtime, provider: SocketAddr) -> anyhow::Result<(SocketAddr, Arc<ClientConfig>)> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let certificate = made.cert.der().clone();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone())?;
    let ring = || Arc::new(rustls::crypto::ring::default_provider());
    let proof = ServerConfig::builder_with_provider(ring())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key.into())?;
    let trust = ClientConfig::builder_with_provider(ring())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    let acceptor = TlsAcceptor::from(Arc::new(proof));
    runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let _ = stream.set_nodelay(true);
                let mut client = acceptor.accept(stream).await?;
                let mut server = TcpStream::connect(provider).await?;
                server.set_nodelay(true)?;
                copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
    Ok((address, Arc::new(trust)))
}
