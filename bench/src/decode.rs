//! Frames and events into what an admin counts. The last few are remembered by their bytes.

use crate::scenario::Contestant;
use anyhow::Context;
use app::model::protocol::{Frame, TickEntry};
use std::{collections::VecDeque, rc::Rc};

/// Frames remembered: admins of a thread are a frame or two apart.
const REMEMBERED: usize = 16;

/// What a message says.
#[derive(Debug, Default)]
pub(crate) struct Decoded {
    /// Ticks behind it.
    pub(crate) ticks: u64,
    /// When the ticks that are in it were published.
    pub(crate) stamps_us: Vec<u64>,
    /// It has every tick on its own.
    pub(crate) is_tape: bool,
    /// The frame, of our own server.
    pub(crate) frame: Option<Frame>,
}

pub(crate) struct Decoder {
    server: Contestant,
    last: VecDeque<(Vec<u8>, Rc<Decoded>)>,
}

impl Decoder {
    pub(crate) fn new(server: Contestant) -> Self {
        Self { server, last: VecDeque::new() }
    }

    pub(crate) fn decode(&mut self, bytes: &[u8]) -> anyhow::Result<Rc<Decoded>> {
        if let Some((_, decoded)) = self.last.iter().find(|(known, _)| known == bytes) {
            return Ok(Rc::clone(decoded));
        }
        let decoded = Rc::new(match self.server {
            Contestant::Ours => frame(bytes)?,
            Contestant::Axum | Contestant::Node | Contestant::Bun => event(bytes)?,
        });
        let mut memory =
            if self.last.len() < REMEMBERED { Vec::new() } else { self.last.pop_back().unwrap_or_default().0 };
        memory.clear();
        memory.extend_from_slice(bytes);
        self.last.push_front((memory, Rc::clone(&decoded)));
        Ok(decoded)
    }
}

fn frame(bytes: &[u8]) -> anyhow::Result<Decoded> {
    let frame = Frame::decode(bytes).with_context(|| format!("not a frame: {}", bytes.escape_ascii()))?;
    let mut decoded = match &frame {
        Frame::Ticks(frame) => ticks(&frame.entries),
        Frame::Tape(tape) => Decoded { is_tape: true, ..ticks(&tape.entries) },
        Frame::Snapshot(_) | Frame::Rows(_) | Frame::Live(_) | Frame::Metrics(_) => Decoded::default(),
    };
    decoded.frame = Some(frame);
    Ok(decoded)
}

fn ticks(entries: &[TickEntry]) -> Decoded {
    Decoded {
        ticks: entries.iter().map(|entry| u64::from(entry.ticks)).sum(),
        stamps_us: entries.iter().map(|entry| entry.volume).collect(),
        ..Decoded::default()
    }
}

/// A relay's message: one tick, whose volume is the time of publishing.
fn event(bytes: &[u8]) -> anyhow::Result<Decoded> {
    const FIELD: &[u8] = b"\"volume\":";
    let field = bytes.windows(FIELD.len()).position(|part| part == FIELD).context("an event without a volume")?;
    let digits = bytes[field + FIELD.len()..].iter().take_while(|byte| byte.is_ascii_digit());
    let stamp = digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
    Ok(Decoded { ticks: 1, stamps_us: vec![stamp], ..Decoded::default() })
}
