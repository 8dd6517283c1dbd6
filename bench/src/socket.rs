//! A WebSocket client that costs next to nothing: one read for many messages, no copy, no masking to speak of (the key
//! is zero). It reads what servers send here: whole frames without a mask.

use anyhow::{Context, bail, ensure};
use std::{net::SocketAddr, ops::Range};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

/// What a read asks for at most.
const READ_BYTES: usize = 64 << 10;

pub(crate) struct Socket {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// What of the buffer was read from the network and not yet handed out.
    unread: Range<usize>,
    read_bytes: usize,
}

/// A message, in the socket's buffer.
pub(crate) enum Message {
    Data(Range<usize>),
    Close(u16),
}

impl Socket {
    /// Opens `path` with a subprotocol. `headers` are lines of their own, each ended by CR LF.
    pub(crate) async fn open(address: SocketAddr, path: &str, headers: &str) -> anyhow::Result<Self> {
        Self::open_with(TcpSocket::new_v4()?, READ_BYTES, address, path, headers).await
    }

    /// One whose kernel buffer is small and that reads little at a time, as over a slow line.
    pub(crate) async fn open_slow(address: SocketAddr, path: &str, headers: &str) -> anyhow::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(4096)?;
        Self::open_with(socket, 1000, address, path, headers).await
    }

    async fn open_with(
        socket: TcpSocket,
        read_bytes: usize,
        address: SocketAddr,
        path: &str,
        headers: &str,
    ) -> anyhow::Result<Self> {
        let mut stream = socket.connect(address).await?;
        stream.set_nodelay(true)?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut socket = Self { stream, buffer: Vec::new(), unread: 0..0, read_bytes };
        loop {
            socket.fill().await?;
            let head = &socket.buffer[socket.unread.clone()];
            if let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") {
                ensure!(head.starts_with(b"HTTP/1.1 101"), "refused: {}", String::from_utf8_lossy(&head[..end]));
                socket.unread.start += end + 4;
                return Ok(socket);
            }
        }
    }

    /// The next message. Pings are answered. Safe to cancel.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Message> {
        loop {
            let Some((opcode, payload)) = self.whole_frame() else {
                self.fill().await?;
                continue;
            };
            self.unread.start = payload.end;
            match opcode {
                1 | 2 => return Ok(Message::Data(payload)),
                8 => {
                    let code = self.buffer[payload].first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
                    return Ok(Message::Close(code));
                }
                9 => {
                    let payload = self.buffer[payload].to_vec();
                    self.send(10, &payload).await?;
                }
                10 => {}
                other => bail!("a frame with opcode {other}"),
            }
        }
    }

    /// Something to read at once, without going to the network?
    pub(crate) fn has_message(&self) -> bool {
        self.whole_frame().is_some()
    }

    pub(crate) fn bytes(&self, message: Range<usize>) -> &[u8] {
        &self.buffer[message]
    }

    pub(crate) async fn say(&mut self, text: &str) -> anyhow::Result<()> {
        self.send(1, text.as_bytes()).await
    }

    /// Reads once from the network.
    pub(crate) async fn fill(&mut self) -> anyhow::Result<()> {
        if self.unread.start > 0 {
            self.buffer.copy_within(self.unread.clone(), 0);
            self.unread = 0..self.unread.len();
        }
        let end = self.unread.end + self.read_bytes;
        if self.buffer.len() < end {
            self.buffer.resize(end, 0);
        }
        let read = self.stream.read(&mut self.buffer[self.unread.end..end]).await.context("the socket broke")?;
        ensure!(read > 0, "the server left");
        self.unread.end += read;
        Ok(())
    }

    fn whole_frame(&self) -> Option<(u8, Range<usize>)> {
        let bytes = &self.buffer[self.unread.clone()];
        let (first, length) = (*bytes.first()?, *bytes.get(1)?);
        let (head, length) = match length {
            126 => (4, usize::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?))),
            127 => (10, u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?) as usize),
            length => (2, usize::from(length)),
        };
        let start = self.unread.start + head;
        (bytes.len() >= head + length).then_some((first & 0x0F, start..start + length))
    }

    async fn send(&mut self, opcode: u8, payload: &[u8]) -> anyhow::Result<()> {
        let length = u8::try_from(payload.len()).ok().filter(|length| *length < 126).context("too long to say")?;
        // A mask of zeros leaves the payload as it is (RFC 6455, 5.3).
        let mut frame = vec![0x80 | opcode, 0x80 | length, 0, 0, 0, 0];
        frame.extend_from_slice(payload);
        self.stream.write_all(&frame).await.context("the socket broke")
    }
}
