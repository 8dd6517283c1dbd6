//! What a client sends, counted where it comes in: frames and reads, of which a socket has so many in ten seconds.
//!
//! The WebSocket library takes pongs and empty parts of a message by itself and says nothing of them, for as long as there are
//! any. So frames are counted by their heads, before the library sees them.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

/// Frames that a client may send within [`INTERVAL`], of whatever kind.
const FRAMES_MAX: u32 = 50;
/// Reads that bring something within [`INTERVAL`]: each wakes the hub's thread. So many frames of the largest size come in
/// half of that, cut up as networks do; one byte at a time they do not.
const READS_MAX: u32 = 1_000;
const INTERVAL: Duration = Duration::from_secs(10);

/// A socket of which no more is read once its client has sent too much. Writing goes on, so that it can be told why.
#[derive(Debug)]
pub struct Metered<S> {
    socket: S,
    frames: Frames,
    allowance: Allowance,
    is_over: bool,
}

impl<S> Metered<S> {
    pub(super) fn new(socket: S) -> Self {
        Self { socket, frames: Frames::default(), allowance: Allowance::new(Instant::now()), is_over: false }
    }

    /// How many of the bytes the client was allowed to send.
    fn count(&mut self, bytes: &[u8], now: Instant) -> usize {
        if !bytes.is_empty() && !self.allowance.read(now) {
            return 0;
        }
        self.frames.count(bytes, || self.allowance.frame())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.is_over {
            let before = buffer.filled().len();
            ready!(Pin::new(&mut this.socket).poll_read(cx, buffer))?;
            let read = buffer.filled().len() - before;
            let allowed = this.count(&buffer.filled()[before..], Instant::now());
            this.is_over = allowed < read;
            buffer.set_filled(before + allowed);
            if allowed > 0 || !this.is_over {
                return Poll::Ready(Ok(()));
            }
        }
        Poll::Ready(Err(io::Error::other("the client sends too much")))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}

/// Where a stream of frames stands (RFC 6455, 5.2).
#[derive(Debug, Default)]
struct Frames {
    /// What is there of the head that is being read.
    head: Vec<u8>,
    /// What is still to come of the payload.
    payload: u64,
}

impl Frames {
    /// Goes through the bytes and asks for each frame that begins in them. Answers how many of them may pass: all, or those in
    /// front of the first frame that is not allowed.
    fn count(&mut self, bytes: &[u8], mut allow: impl FnMut() -> bool) -> usize {
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            if self.payload > 0 {
                let step = self.payload.min((bytes.len() - at) as u64);
                self.payload -= step;
                at += step as usize;
                continue;
            }
            if self.head.is_empty() && !allow() {
                return at;
            }
            self.head.push(*byte);
            at += 1;
            if let Some(payload) = payload_of(&self.head) {
                self.payload = payload;
                self.head.clear();
            }
        }
        at
    }
}

/// The length of the payload after a head; `None` while the head is not whole.
fn payload_of(head: &[u8]) -> Option<u64> {
    let [_, second, rest @ ..] = head else { return None };
    let length = second & 0x7f;
    let length_bytes = match length {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let mask_bytes = if second & 0x80 == 0 { 0 } else { 4 };
    if rest.len() < length_bytes + mask_bytes {
        return None;
    }
    let long = rest[..length_bytes].iter().fold(0, |length, byte| length << 8 | u64::from(*byte));
    Some(if length_bytes == 0 { u64::from(length) } else { long })
}

/// How much a client may still send.
#[derive(Debug)]
struct Allowance {
    since: Instant,
    frames: u32,
    reads: u32,
}

impl Allowance {
    fn new(now: Instant) -> Self {
        Self { since: now, frames: FRAMES_MAX, reads: READS_MAX }
    }

    fn read(&mut self, now: Instant) -> bool {
        if now.saturating_duration_since(self.since) >= INTERVAL {
            *self = Self::new(now);
        }
        take(&mut self.reads)
    }

    fn frame(&mut self) -> bool {
        take(&mut self.frames)
    }
}

fn take(left: &mut u32) -> bool {
    let is_left = *left > 0;
    *left = left.saturating_sub(1);
    is_left
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let length = match payload.len() {
            length @ 0..126 => vec![0x80 | length as u8],
            length @ 126..0x1_0000 => [&[0x80 | 126][..], &(length as u16).to_be_bytes()].concat(),
            length => [&[0x80 | 127][..], &(length as u64).to_be_bytes()].concat(),
        };
        [&[first][..], &length, &[1, 2, 3, 4], payload].concat()
    }

    /// All that passes, until the end or too much.
    async fn passes(sent: &[u8], bytes_a_read: usize) -> (usize, bool) {
        let (mut client, server) = tokio::io::duplex(bytes_a_read);
        let sent = sent.to_vec();
        let sending = tokio::spawn(async move { client.write_all(&sent).await });
        let mut passed = Vec::new();
        let ended = Metered::new(server).read_to_end(&mut passed).await;
        sending.abort();
        (passed.len(), ended.is_ok())
    }

    #[tokio::test]
    async fn frames_of_every_kind_count_and_the_first_too_many_does_not_pass() {
        for first in [0x8a, 0x89, 0x81, 0x82, 0x00, 0x80, 0x88] {
            for payload in [0, 5, 125, 126, 4_000] {
                let one = frame(first, &vec![0; payload]);
                let many = one.repeat(60);
                let expected = (one.len() * 50, false);
                assert_eq!(passes(&many, 64 << 10).await, expected, "{first:x}, {payload} bytes");
                assert_eq!(passes(&many[..one.len() * 50], 64 << 10).await, (one.len() * 50, true));
            }
        }
    }

    #[tokio::test]
    async fn a_message_in_drops_is_too_much() {
        let (passed, whole) = passes(&frame(0x81, &[0; 4_000]), 1).await;
        assert_eq!((passed, whole), (1_000, false));
        assert_eq!(passes(&frame(0x81, &[0; 4_000]), 100).await, (4_008, true));
    }

    #[tokio::test]
    async fn what_was_spent_comes_back_with_time() {
        let (mut client, server) = tokio::io::duplex(1 << 20);
        let mut server = Metered::new(server);
        let mut buffer = [0; 4_096];
        let (start, pong) = (Instant::now(), frame(0x8a, &[]));
        server.allowance = Allowance::new(start);
        for round in 0..5 {
            let now = start + INTERVAL * round;
            assert_eq!(server.count(&pong.repeat(50), now), 300);
            assert_eq!(server.count(&pong, now + INTERVAL - Duration::from_millis(1)), 0, "not yet");
        }
        server.allowance = Allowance::new(Instant::now());
        client.write_all(&frame(0x8a, &[]).repeat(51)).await.unwrap();
        assert_eq!(server.read(&mut buffer).await.unwrap(), 300);
        assert!(server.read(&mut buffer).await.is_err());
        assert!(server.read(&mut buffer).await.is_err(), "it stays over");
        server.write_all(b"and is told why").await.unwrap();
    }

    proptest! {
        #[test]
        fn cut_up_anyhow_the_count_is_the_same(
            payloads in proptest::collection::vec(0_usize..300, 0..40),
            cuts in proptest::collection::vec(1_usize..50, 1..20),
        ) {
            let stream = payloads.iter().flat_map(|payload| frame(0x81, &vec![0xff; *payload])).collect::<Vec<_>>();
            let (mut frames, mut counted, mut rest) = (Frames::default(), 0, &stream[..]);
            for cut in cuts.iter().cycle() {
                let (now, later) = rest.split_at((*cut).min(rest.len()));
                let passed = frames.count(now, || { counted += 1; true });
                prop_assert_eq!(passed, now.len());
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(counted, payloads.len());
        }
    }
}
