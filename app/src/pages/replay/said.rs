//! What the replay's socket says beside frames: short JSON of our own server, of which a few values are wanted. A JSON reader
//! would be larger than the rest of the page.

use crate::model::{history::selection::parse_time, time::UnixMillis};

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// Where the replay stands.
    Stands {
        /// The moment shown.
        at: UnixMillis,
        /// Does it go on?
        playing: bool,
        /// It jumped over a quiet or unrecorded stretch from here.
        skipped_from: Option<UnixMillis>,
        /// Is there no more?
        ended: bool,
    },
    /// Why not.
    Refused(String),
}

impl Said {
    /// Reads a message; `None` for any other.
    pub(super) fn read(text: &str) -> Option<Self> {
        if text.contains(r#""event":"error""#) {
            return Some(Self::Refused(value(text, r#""message":""#)?));
        }
        let time = |key| value(text, key).and_then(|text| parse_time(&text));
        Some(Self::Stands {
            at: time(r#""at":""#)?,
            playing: text.contains(r#""playing":true"#),
            skipped_from: time(r#""skipped_from":""#),
            ended: text.contains(r#""at_end":true"#),
        })
    }
}

/// The text behind a key, up to its quotation mark.
fn value(text: &str, key: &str) -> Option<String> {
    let (_, rest) = text.split_once(key)?;
    let mut value = String::new();
    let mut letters = rest.chars();
    loop {
        match letters.next()? {
            '"' => return Some(value),
            '\\' => value.push(letters.next()?),
            letter => value.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_read_as_documented() {
        let at = UnixMillis(1_768_998_896_789);
        let text = r#"{"event":"replay","data":{"at":"2026-01-21T12:34:56.789Z","playing":true,"speed":1.0,"skipped_from":null,"at_end":false}}"#;
        let stands = Said::Stands { at, playing: true, skipped_from: None, ended: false };
        assert_eq!(Said::read(text), Some(stands));
        let text = r#"{"data":{"at_end":true,"skipped_from":"2026-01-21T12:34:50.000Z","speed":60.0,"playing":false,"at":"2026-01-21T12:34:56.789Z"},"event":"replay"}"#;
        let skipped_from = Some(UnixMillis(1_768_998_890_000));
        assert_eq!(Said::read(text), Some(Said::Stands { at, playing: false, skipped_from, ended: true }));
        let text = r#"{"event":"error","data":{"message":"nothing is recorded at \"10:42\""}}"#;
        assert_eq!(Said::read(text), Some(Said::Refused(r#"nothing is recorded at "10:42""#.into())));
        for nonsense in ["", "{}", r#"{"event":"replay"}"#, r#"{"event":"replay","data":{"at":"soon"}}"#] {
            assert_eq!(Said::read(nonsense), None, "{nonsense}");
        }
    }
}
