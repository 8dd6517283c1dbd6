//! The front door: takes connections, speaks TLS where it is configured, and hands requests to the routes.
//!
//! ```text
//!  socket ──▶ place (one of so many) ──▶ TLS handshake, in time ──▶ HTTP/1.1, heads in time ──▶ routes
//! ```
//!
//! Ours instead of `axum::serve`, which gives a client all the time in the world to send its first line: a few thousand
//! that never do would be all there is.

mod tls;

pub use tls::{TlsError, TlsKeys};

use axum::{
    Router,
    extract::{ConnectInfo, Request},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use socket2::SockRef;
use std::{convert::Infallible, net::SocketAddr, pin::pin, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::{Service, ServiceExt, service_fn};

/// Connections at once; the next ones wait in the system's own line.
const CONNECTIONS_MAX: usize = 4_096;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// From the end of one request, or the start of the connection, to the end of the next request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(20);
/// Our own cookie is 60 bytes; a head that does not fit is answered with 431.
const HEAD_BYTES_MAX: usize = 32 << 10;
/// What the system holds of what a client does not read, half of what it then takes in truth. A slow admin reads through it
/// before it comes to the present, so it is kept to seconds of a slow line; what the system would take by itself grows to
/// megabytes. Less would hold up frames of many thousand symbols, which have 60 kB and more.
const SEND_BUFFER_BYTES: usize = 64 << 10;
/// After the system would give us no more sockets.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Serves until `shutdown`; then takes no more connections, lets the requests under way end, and ends with the last.
pub async fn serve(listener: TcpListener, tls: Option<TlsKeys>, routes: Router, shutdown: CancellationToken) {
    // Sockets inherit it. Without it they work, only slow readers are further behind.
    let _ = SockRef::from(&listener).set_send_buffer_size(SEND_BUFFER_BYTES);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let connections = TaskTracker::new();
    loop {
        let accepting = async {
            let place = places.clone().acquire_owned().await.ok()?;
            Some((place, accept(&listener).await))
        };
        let Some(Some((place, (socket, peer)))) = shutdown.run_until_cancelled(accepting).await else { break };
        let (tls, routes, shutdown) = (tls.clone(), routes.clone(), shutdown.clone());
        connections.spawn(async move {
            let _place = place;
            match tls {
                None => talk(socket, peer, routes, shutdown).await,
                // A scanner that speaks no TLS is no event.
                Some(keys) => {
                    if let Ok(Ok(socket)) = timeout(HANDSHAKE_TIMEOUT, keys.acceptor().accept(socket)).await {
                        talk(socket, peer, routes, shutdown).await;
                    }
                }
            }
        });
    }
    connections.close();
    connections.wait().await;
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((socket, peer)) => {
                // Frames are small and late ones are worthless: nothing waits for a fuller packet.
                let _ = socket.set_nodelay(true);
                return (socket, peer);
            }
            // Hung up before we were there.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::error!(%error, "No connection can be taken at the moment");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// One connection to its end, requests and a socket that one of them became.
async fn talk<S>(socket: S, peer: SocketAddr, routes: Router, shutdown: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        answer(routes.clone(), request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(socket), TowerToHyperService::new(service))
        .with_upgrades();
    let mut connection = pin!(connection);
    // Whatever ends it, a reset, a head that never came, is the client's affair.
    tokio::select! {
        _ = connection.as_mut() => {}
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

async fn answer(mut routes: Router, request: Request) -> Result<Response, Infallible> {
    // `CONNECT` names a host and no path. We are no proxy, and the page renderer takes a path for granted.
    if request.uri().path_and_query().is_none() {
        return Ok(StatusCode::BAD_REQUEST.into_response());
    }
    ServiceExt::<Request>::ready(&mut routes).await?.call(request).await
}
