//! The front door: takes connections, speaks TLS where it is configured, and hands requests to the routes.
//!
//! ```text
//!  socket ──▶ place (so many, and so many for a network) ──▶ TLS handshake, in time ──▶ HTTP/1.1, heads in time ──▶ routes
//! ```
//!
//! Ours instead of `axum::serve`, which gives a client all the time in the world to send its first line: a few thousand
//! that never do would be all there is.

mod descriptors;
mod places;
mod tls;
mod watched;

pub use descriptors::raise_descriptor_limit;
pub use places::Places;
pub use tls::{TlsConfig, TlsError, TlsKeys, certificate_end};

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
use places::{Seat, TakenPlace};
use socket2::SockRef;
use std::{convert::Infallible, net::SocketAddr, pin::pin, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::{Service, ServiceExt, service_fn};
use watched::Watched;

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// From the end of one request, or the start of the connection, to the end of the next request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(20);
/// Our own cookie is 60 bytes; a head that does not fit is answered with 431.
const HEAD_BYTES_MAX: usize = 32 << 10;
/// What the system holds of what a client does not read, half of what it then takes in truth. A slow admin reads through it
/// before it comes to the present, so it is kept to seconds of a slow line; what the system would take by itself grows to
/// megabytes. Less would hold up frames of many thousand symbols, which have 60 kB and more.
const SEND_BUFFER_BYTES: usize = 64 << 10;
/// Connections that wait to be accepted, as far as the system allows so many. Who finds no room is not answered, and its system asks
/// again after a second: with the usual 128 a crowd that comes at once made everybody wait that long.
const QUEUE: i32 = 4_096;
/// After the system would give us no more sockets.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);
/// A connection on which no byte moves for this long is hung up on, whoever should have sent one.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// How often the log says that places run out, while they do.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// What every connection is served with.
#[derive(Clone)]
struct Door {
    tls: Option<TlsKeys>,
    routes: Router,
    shutdown: CancellationToken,
    stall_timeout: Duration,
}

/// Serves until `shutdown`; then takes no more connections, lets the requests under way end, and ends with the last.
pub async fn serve(
    listener: TcpListener,
    tls: Option<TlsKeys>,
    routes: Router,
    places: Places,
    shutdown: CancellationToken,
) {
    // Sockets inherit it. Without it they work, only slow readers are further behind.
    let _ = SockRef::from(&listener).set_send_buffer_size(SEND_BUFFER_BYTES);
    // It listens already; this makes the queue longer.
    let _ = SockRef::from(&listener).listen(QUEUE);
    let connections = TaskTracker::new();
    let mut reports = interval(REPORT_INTERVAL);
    reports.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let door = Door { tls, routes, shutdown: shutdown.clone(), stall_timeout: STALL_TIMEOUT };
    loop {
        let (socket, peer) = tokio::select! {
            () = shutdown.cancelled() => break,
            _ = reports.tick() => {
                places.report();
                continue;
            }
            accepted = accept(&listener) => accepted,
        };
        // Without a place it is hung up on at once. In the system's line nobody could tell strangers from a health check.
        if let Some(place) = places.take(peer.ip()) {
            connections.spawn(door.clone().serve(socket, peer, place));
            places.caught_up().await;
        }
    }
    // Who comes now is refused, and does not wait for what is left to end.
    drop(listener);
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

impl Door {
    /// One connection to its end, or to where it becomes a WebSocket.
    async fn serve(self, socket: TcpStream, peer: SocketAddr, place: TakenPlace) {
        let seat = Arc::clone(place.seat());
        let stall_timeout = self.stall_timeout;
        tokio::select! {
            () = self.talk(Watched::new(socket, place), peer, Arc::clone(&seat)) => {}
            () = seat.over(stall_timeout) => {}
        }
    }

    async fn talk(self, socket: Watched, peer: SocketAddr, seat: Arc<Seat>) {
        match &self.tls {
            None => self.talk_http(socket, peer, seat).await,
            // A scanner that speaks no TLS is no event.
            Some(keys) => {
                if let Ok(Ok(socket)) = timeout(HANDSHAKE_TIMEOUT, keys.acceptor().accept(socket)).await {
                    self.talk_http(socket, peer, seat).await;
                }
            }
        }
    }

    async fn talk_http<S>(&self, socket: S, peer: SocketAddr, seat: Arc<Seat>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let routes = self.routes.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let mut request = request.map(axum::body::Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            answer(routes.clone(), Arc::clone(&seat), request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_header_size(HEAD_BYTES_MAX)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(socket), TowerToHyperService::new(service))
            .with_upgrades();
        let mut connection = pin!(connection);
        // Whatever ends it, a reset, a head that never came, is the client's affair.
        tokio::select! {
            _ = connection.as_mut() => {}
            () = self.shutdown.cancelled() => {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
            }
        }
    }
}

async fn answer(mut routes: Router, seat: Arc<Seat>, request: Request) -> Result<Response, Infallible> {
    // `CONNECT` names a host and no path. We are no proxy, and the page renderer takes a path for granted.
    if request.uri().path_and_query().is_none() {
        return Ok(StatusCode::BAD_REQUEST.into_response());
    }
    let response = ServiceExt::<Request>::ready(&mut routes).await?.call(request).await?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        seat.becomes_socket();
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{body::Body, routing::get};
    use futures_util::stream;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// A connection to a door with an answer that has no end, on which the answer was asked for.
    async fn endless_answer(stall_timeout: Duration) -> TcpStream {
        let endless = || async { Body::from_stream(stream::repeat_with(|| Ok::<_, Infallible>("x".repeat(10_000)))) };
        let routes = Router::new().route("/", get(endless));
        let door = Door { tls: None, routes, shutdown: CancellationToken::new(), stall_timeout };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (socket, peer) = listener.accept().await.unwrap();
        let place = Places::new(10_000, Default::default()).take(peer.ip()).unwrap();
        tokio::spawn(door.serve(socket, peer, place));
        client.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        client
    }

    #[tokio::test]
    async fn an_answer_that_nobody_reads_is_let_go_and_one_that_is_read_slowly_is_not() {
        const STALL: Duration = Duration::from_millis(200);
        let (unread, slow) = (endless_answer(STALL).await, endless_answer(STALL).await);
        let mut bytes = vec![0; 1 << 20];
        let mut slow = slow;
        for _ in 0..10 {
            slow.read_exact(&mut bytes).await.unwrap();
            sleep(STALL / 4).await;
        }
        // The rest of the buffers, and then an end, or a reset.
        let mut unread = unread;
        let rest = async { while unread.read(&mut bytes).await.is_ok_and(|count| count > 0) {} };
        timeout(Duration::from_secs(10), rest).await.expect("let go");
        slow.read_exact(&mut bytes).await.unwrap();
    }
}
