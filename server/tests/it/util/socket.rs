//! A client of `/admin-ws`.

use super::PATIENCE;
use app::model::protocol::Frame;
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest, http::HeaderValue},
};

pub(crate) struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    pub(crate) async fn open(
        url: &str,
        subprotocol: Option<&str>,
        origin: &str,
        credentials: &[(&'static str, &str)],
    ) -> Result<Self, u16> {
        match Self::attempt(url, subprotocol, origin, credentials).await {
            Ok(socket) => Ok(socket),
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(other) => panic!("{other}"),
        }
    }

    /// The same where nobody may be there to answer.
    pub(crate) async fn attempt(
        url: &str,
        subprotocol: Option<&str>,
        origin: &str,
        credentials: &[(&'static str, &str)],
    ) -> Result<Self, Error> {
        let mut request = url.into_client_request().unwrap();
        let headers = request.headers_mut();
        headers.insert("origin", HeaderValue::from_str(origin).unwrap());
        for (name, value) in credentials {
            headers.insert(*name, HeaderValue::from_str(value).unwrap());
        }
        if let Some(subprotocol) = subprotocol {
            headers.insert("sec-websocket-protocol", HeaderValue::from_str(subprotocol).unwrap());
        }
        connect_async(request).await.map(|(socket, _)| Self(socket))
    }

    pub(crate) async fn say(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    /// Sends a frame as it is; the network's error where the server has hung up.
    pub(crate) async fn send(&mut self, message: Message) -> Result<(), Error> {
        self.0.send(message).await
    }

    /// The next message that is no ping.
    async fn next(&mut self) -> Message {
        loop {
            let message = timeout(PATIENCE, self.0.next()).await.expect("a message in time");
            match message.expect("the socket is open").expect("a message") {
                Message::Ping(_) | Message::Pong(_) => {}
                message => return message,
            }
        }
    }

    /// The next message of any kind.
    pub(crate) async fn message(&mut self) -> Message {
        self.next().await
    }

    pub(crate) async fn frame(&mut self) -> Frame {
        match self.next().await {
            Message::Binary(bytes) => Frame::decode(&bytes).expect("a frame"),
            other => panic!("a binary message, not {other:?}"),
        }
    }

    /// The next frame, or the code with which the socket closed: 1006 when it just ended.
    pub(crate) async fn frame_or_close(&mut self) -> Result<Frame, u16> {
        loop {
            match timeout(PATIENCE, self.0.next()).await.expect("a message in time") {
                Some(Ok(Message::Binary(bytes))) => return Ok(Frame::decode(&bytes).expect("a frame")),
                Some(Ok(Message::Close(frame))) => return Err(frame.map_or(1005, |frame| frame.code.into())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(1006),
            }
        }
    }

    /// The next JSON event: its name and its data.
    pub(crate) async fn event(&mut self) -> (String, Value) {
        match self.next().await {
            Message::Text(text) => {
                let mut event: Value = serde_json::from_str(&text).expect("JSON");
                (event["event"].as_str().expect("a name").to_owned(), event["data"].take())
            }
            other => panic!("a text message, not {other:?}"),
        }
    }

    /// The data of the next JSON event of this name.
    pub(crate) async fn event_named(&mut self, name: &str) -> Value {
        loop {
            let (event, data) = self.event().await;
            if event == name {
                return data;
            }
        }
    }

    /// The close code, after whatever comes before it.
    pub(crate) async fn close_code(&mut self) -> u16 {
        loop {
            if let Message::Close(frame) = self.next().await {
                return frame.map_or(1005, |frame| frame.code.into());
            }
        }
    }
}
