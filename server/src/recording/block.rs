//! A segment file is blocks one after another, each with a head that says how long it is, of when, and its checksum.
//!
//! ```text
//!  "TSB1" · kind · 24 bits of the CRC-32 of what follows up to `to` · length · ticks · from · to · CRC-32 of all of it but itself · payload
//! ```
//!
//! Heads have a checksum of their own, as an index is made of them alone.

use app::model::time::UnixMillis;
use std::io::{self, Read, Seek, SeekFrom};

const MAGIC: [u8; 4] = *b"TSB1";
/// Bytes of a block's head.
pub(super) const HEAD_BYTES: usize = 36;
/// No block is longer: what says so is broken.
const PAYLOAD_BYTES_MAX: usize = 256 << 20;

/// What a block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The whole board, where the recording begins, begins again, or gets other rows.
    Start,
    /// The whole board again, to begin reading at.
    Key,
    /// What was folded and told since.
    Data,
}

impl Kind {
    fn of(number: u8) -> Option<Self> {
        [Self::Start, Self::Key, Self::Data].into_iter().find(|kind| *kind as u8 == number)
    }

    /// Can reading begin here?
    pub(super) fn is_whole(self) -> bool {
        self != Self::Data
    }
}

/// A block's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: Kind,
    pub(super) length: usize,
    /// Ticks in it.
    pub(super) ticks: u32,
    /// The first and the last moment in it.
    pub(super) from: UnixMillis,
    pub(super) to: UnixMillis,
    checksum: u32,
}

/// Writes a block. `payload` fills in what follows the head.
pub(super) fn write(
    bytes: &mut Vec<u8>,
    (kind, ticks): (Kind, u32),
    (from, to): (UnixMillis, UnixMillis),
    payload: impl FnOnce(&mut Vec<u8>),
) {
    let start = bytes.len();
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&[kind as u8, 0, 0, 0]);
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&ticks.to_le_bytes());
    bytes.extend_from_slice(&from.0.to_le_bytes());
    bytes.extend_from_slice(&to.0.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    payload(bytes);
    let length = (bytes.len() - start - HEAD_BYTES) as u32;
    bytes[start + 8..start + 12].copy_from_slice(&length.to_le_bytes());
    let own = own_checksum(&bytes[start..start + HEAD_BYTES]);
    bytes[start + 5..start + 8].copy_from_slice(&own);
    let checksum = checksum(&bytes[start..start + HEAD_BYTES], &bytes[start + HEAD_BYTES..]);
    bytes[start + HEAD_BYTES - 4..start + HEAD_BYTES].copy_from_slice(&checksum.to_le_bytes());
}

fn own_checksum(head: &[u8]) -> [u8; 3] {
    let [a, b, c, _] = crc32fast::hash(&head[8..HEAD_BYTES - 4]).to_le_bytes();
    [a, b, c]
}

fn checksum(head: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&head[..HEAD_BYTES - 4]);
    hasher.update(payload);
    hasher.finalize()
}

impl Head {
    fn read(bytes: &[u8; HEAD_BYTES]) -> Option<Self> {
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let moment = |at: usize| UnixMillis((u64::from(word(at)) | u64::from(word(at + 4)) << 32) as i64);
        let head = Self {
            kind: Kind::of(bytes[4])?,
            length: word(8) as usize,
            ticks: word(12),
            from: moment(16),
            to: moment(24),
            checksum: word(32),
        };
        let is_ours = bytes[..4] == MAGIC && bytes[5..8] == own_checksum(bytes);
        (is_ours && head.length <= PAYLOAD_BYTES_MAX).then_some(head)
    }

    /// Bytes of the whole block.
    pub(super) fn bytes(&self) -> u64 {
        (HEAD_BYTES + self.length) as u64
    }
}

/// The head at the reader's place, and that it stands in front of; `None` where no whole block is.
pub(super) fn read_head(reader: &mut impl Read) -> io::Result<Option<Head>> {
    let mut bytes = [0; HEAD_BYTES];
    match reader.read_exact(&mut bytes) {
        Ok(()) => Ok(Head::read(&bytes)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// The whole block at the reader's place into `payload`; `None` where it ends before its time or is not what was written.
pub(super) fn read_block(reader: &mut impl Read, payload: &mut Vec<u8>) -> io::Result<Option<Head>> {
    let mut bytes = [0; HEAD_BYTES];
    if let Err(error) = reader.read_exact(&mut bytes) {
        return if error.kind() == io::ErrorKind::UnexpectedEof { Ok(None) } else { Err(error) };
    }
    let Some(head) = Head::read(&bytes) else { return Ok(None) };
    payload.clear();
    // Not more than there is, whatever the head says.
    reader.by_ref().take(head.length as u64).read_to_end(payload)?;
    let is_whole = payload.len() == head.length && checksum(&bytes, payload) == head.checksum;
    Ok(is_whole.then_some(head))
}

/// How many bytes of a file are whole blocks, checksums and all.
pub(super) fn whole_bytes(file: &mut (impl Read + Seek)) -> io::Result<u64> {
    file.seek(SeekFrom::Start(0))?;
    let mut reader = io::BufReader::with_capacity(1 << 16, file);
    let (mut payload, mut whole) = (Vec::new(), 0);
    while let Some(head) = read_block(&mut reader, &mut payload)? {
        whole += head.bytes();
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;

    fn file() -> (Vec<u8>, Vec<u64>) {
        let (mut bytes, mut ends) = (Vec::new(), vec![0]);
        for n in 0..5_u8 {
            let at = UnixMillis(1_000 * i64::from(n));
            write(&mut bytes, (Kind::Data, 7), (at, at), |bytes| bytes.extend(vec![n; 20 * usize::from(n)]));
            ends.push(bytes.len() as u64);
        }
        (bytes, ends)
    }

    #[test]
    fn a_block_says_what_it_is() {
        let mut bytes = Vec::new();
        write(&mut bytes, (Kind::Key, 9), (UnixMillis(-5), UnixMillis(1 << 40)), |bytes| bytes.extend(b"board"));
        let mut payload = Vec::new();
        let head = read_block(&mut Cursor::new(&bytes), &mut payload).expect("memory").expect("a block");
        assert_eq!((head.kind, head.ticks, head.from, head.to), (Kind::Key, 9, UnixMillis(-5), UnixMillis(1 << 40)));
        assert_eq!((payload.as_slice(), head.bytes()), (b"board".as_slice(), bytes.len() as u64));
    }

    proptest! {
        #[test]
        fn a_file_that_was_cut_anywhere_is_whole_up_to_the_block_before(cut in 0_usize..400) {
            let (mut bytes, ends) = file();
            bytes.truncate(cut);
            let whole = ends.iter().copied().filter(|end| *end <= bytes.len() as u64).max();
            prop_assert_eq!(whole_bytes(&mut Cursor::new(bytes)).expect("memory"), whole.expect("nothing at least"));
        }

        #[test]
        fn a_byte_that_changed_ends_what_is_whole(place in 0_usize..380, flip in 1_u8..) {
            let (mut bytes, ends) = file();
            prop_assume!(place < bytes.len());
            bytes[place] ^= flip;
            let whole = ends.iter().copied().filter(|end| *end <= place as u64).max();
            prop_assert_eq!(whole_bytes(&mut Cursor::new(bytes)).expect("memory"), whole.expect("nothing at least"));
        }
    }
}
