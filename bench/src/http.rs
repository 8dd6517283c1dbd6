//! As much HTTP/1.1 as it takes to time a request: one connection kept open, a body with a length.

use anyhow::{Context, ensure};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

pub(crate) struct Connection {
    address: SocketAddr,
    stream: TcpStream,
    buffer: Vec<u8>,
}

pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self { address, stream, buffer: Vec::new() })
    }

    pub(crate) fn get(&mut self, path: &str, headers: &str) -> anyhow::Result<Response> {
        self.request("GET", path, headers, "")
    }

    /// `headers` are lines of their own, each ended by CR LF.
    pub(crate) fn request(&mut self, method: &str, path: &str, headers: &str, body: &str) -> anyhow::Result<Response> {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n{body}", self.address);
        self.stream.write_all(request.as_bytes())?;
        self.buffer.clear();
        let head_end = loop {
            if let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            self.fill()?;
        };
        let head = String::from_utf8_lossy(&self.buffer[..head_end]).into_owned();
        let status = head.split_whitespace().nth(1).and_then(|status| status.parse().ok()).context("no status")?;
        let end = head_end + 4 + Response::length_of(&head);
        while self.buffer.len() < end {
            self.fill()?;
        }
        Ok(Response { status, head, body: self.buffer[head_end + 4..end].to_vec() })
    }

    fn fill(&mut self) -> anyhow::Result<()> {
        let mut bytes = [0; 16_384];
        let read = self.stream.read(&mut bytes)?;
        ensure!(read > 0, "the server hung up");
        self.buffer.extend_from_slice(&bytes[..read]);
        Ok(())
    }
}
