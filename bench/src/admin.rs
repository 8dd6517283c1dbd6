//! An admin: reads and decodes every frame, counts every tick.

use app::model::protocol::{Frame, SUBPROTOCOL_BINARY};
use futures_util::StreamExt;
use hdrhistogram::Histogram;
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};
use tokio::{net::TcpStream, sync::watch, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest, http::HeaderValue},
};

/// An admin that hears nothing new for this long will hear nothing more.
const PATIENCE: Duration = Duration::from_secs(3);

pub(crate) struct Seen {
    pub(crate) ticks: u64,
    pub(crate) latency_us: Histogram<u64>,
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub(crate) async fn connect(address: SocketAddr) -> anyhow::Result<Socket> {
    let mut request = format!("ws://{address}/admin-ws").into_client_request()?;
    request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL_BINARY));
    Ok(connect_async(request).await?.0)
}

/// Reads until as many ticks were counted as `expected` says in the end, or until patience runs out after that.
pub(crate) async fn watch(
    mut socket: Socket,
    started: Instant,
    mut expected: watch::Receiver<Option<u64>>,
) -> anyhow::Result<Seen> {
    let mut seen = Seen { ticks: 0, latency_us: Histogram::new(3)? };
    let mut last_tick = Instant::now();
    loop {
        let goal = *expected.borrow_and_update();
        if goal.is_some_and(|goal| seen.ticks >= goal || last_tick.elapsed() > PATIENCE) {
            return Ok(seen);
        }
        let message = tokio::select! {
            message = timeout(PATIENCE, socket.next()) => message,
            _ = expected.changed() => continue,
        };
        let Ok(Some(Ok(Message::Binary(bytes)))) = message else { continue };
        match Frame::decode(&bytes)? {
            Frame::Ticks(ticks) => {
                last_tick = Instant::now();
                let now = started.elapsed().as_micros() as u64;
                for entry in &ticks.entries {
                    seen.ticks += u64::from(entry.ticks);
                    seen.latency_us.record(now.saturating_sub(entry.volume).max(1))?;
                }
            }
            // First of all, or after a lag: the counts of the rows are the truth.
            Frame::Snapshot(snapshot) => seen.ticks = snapshot.rows.iter().map(|row| row.ticks_total).sum(),
            Frame::Rows(_) | Frame::Live(_) | Frame::Metrics(_) | Frame::Tape(_) => {}
        }
    }
}
