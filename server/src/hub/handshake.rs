//! From an HTTP request to a socket that the hub can serve.

use super::{Encoding, meter::Metered};
use axum::{
    body::Body,
    extract::Request,
    http::{
        StatusCode,
        header::{HeaderValue, SEC_WEBSOCKET_PROTOCOL},
    },
    response::Response,
};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error,
        error::ProtocolError,
        handshake::server::create_response_with_body,
        protocol::{Role, WebSocketConfig},
    },
};

/// The largest message from a client.
pub(super) const MESSAGE_BYTES_MAX: usize = 4 << 10;
/// Messages beyond this end the socket unread; smaller ones end it with a reason.
const MESSAGE_BYTES_READ: usize = 64 << 10;

/// An admin's socket, its client's frames counted.
pub type Socket = WebSocketStream<Metered<TokioIo<Upgraded>>>;

/// A request for a socket that is as it should be, and not answered yet.
#[derive(Debug)]
pub struct Handshake {
    answer: Response,
    encoding: Encoding,
    upgrade: OnUpgrade,
}

/// The request asks for no WebSocket, or not as RFC 6455 wants it.
#[derive(Debug, thiserror::Error)]
#[error("expected a WebSocket handshake, version 13: {0}")]
pub struct NoHandshake(Error);

impl NoHandshake {
    /// What it is answered with.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self.0 {
            Error::Protocol(
                ProtocolError::MissingConnectionUpgradeHeader
                | ProtocolError::MissingUpgradeWebSocketHeader
                | ProtocolError::MissingSecWebSocketVersionHeader,
            ) => StatusCode::UPGRADE_REQUIRED,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

impl Handshake {
    /// Reads what a request asks for.
    ///
    /// # Errors
    /// When it is no handshake.
    pub fn read(request: &mut Request) -> Result<Self, NoHandshake> {
        let mut answer = create_response_with_body(request, Body::empty).map_err(NoHandshake)?;
        let offered = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
        let offered: Vec<_> = offered.flat_map(|value| value.split(',')).map(str::trim).collect();
        let chosen = Encoding::SUBPROTOCOLS.into_iter().find(|known| offered.contains(known));
        if let Some(chosen) = chosen {
            answer.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(chosen));
        }
        Ok(Self { answer, encoding: Encoding::of(chosen), upgrade: hyper::upgrade::on(request) })
    }

    /// How the socket will be spoken to.
    #[must_use]
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The answer, and the socket that there is once it was sent; `None` when the client left before.
    ///
    /// Buffers are kept small: a socket is written a frame at a time, and an admin says little. What is free of the buffer for
    /// reading is zeroed before every read, so a large one costs more than the read.
    pub fn accept(self) -> (Response, impl Future<Output = Option<Socket>> + Send + 'static) {
        let config = WebSocketConfig::default()
            .read_buffer_size(MESSAGE_BYTES_MAX)
            .max_message_size(Some(MESSAGE_BYTES_READ))
            .max_frame_size(Some(MESSAGE_BYTES_READ));
        let upgrade = self.upgrade;
        let socket = async move {
            let upgraded = Metered::new(TokioIo::new(upgrade.await.ok()?));
            Some(WebSocketStream::from_raw_socket(upgraded, Role::Server, Some(config)).await)
        };
        (self.answer, socket)
    }
}
