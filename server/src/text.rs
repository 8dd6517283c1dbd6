//! Words that somebody else chose: a provider's status message, the reason of a close frame, an error of Redis, the name of a
//! browser, an administrator's note. They are shown on the page, written to the log, and exported.
//!
//! All of them pass [`tidy`] (or `tidy_json`) where they come in, so that nothing behind has to think of it again. [`OneLine`]
//! is the second line of defence: whatever a library writes, one event of the log is one line.

use serde_json::Value;
use std::fmt::{self, Write as _};
use tracing_subscriber::{
    field::RecordFields,
    fmt::{
        FormatFields,
        format::{DefaultFields, Writer},
    },
};

/// The longest text that is kept of somebody else's words, in bytes.
pub(crate) const BYTES_MAX: usize = 512;

/// Bytes as they are shown, such as those of a hash.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The text in one line and as it reads: what cannot be seen or changes how the rest is shown stands there by its number
/// (`\u{1b}`, `\u{202e}`). Nothing of it begins a line, moves a cursor or reverses what comes after. At most `bytes_max` bytes
/// long; what is beyond is cut off.
#[must_use]
pub fn tidy(text: &str, bytes_max: usize) -> String {
    let mut tidied = String::with_capacity(text.len().min(bytes_max));
    for c in text.chars() {
        let before = tidied.len();
        push(&mut tidied, c);
        if tidied.len() > bytes_max {
            tidied.truncate(before);
            break;
        }
    }
    tidied
}

/// Tidies every text within a JSON value, to [`BYTES_MAX`] bytes each. The names of fields are left alone.
pub(crate) fn tidy_json(value: &mut Value) {
    match value {
        Value::String(text) if text.len() > BYTES_MAX || text.chars().any(is_unseen) => *text = tidy(text, BYTES_MAX),
        Value::Array(values) => values.iter_mut().for_each(tidy_json),
        Value::Object(fields) => fields.values_mut().for_each(tidy_json),
        _ => {}
    }
}

fn push(text: &mut String, c: char) {
    if is_unseen(c) {
        let _ = write!(text, "{}", c.escape_unicode());
    } else {
        text.push(c);
    }
}

/// Control characters, line breaks, and what Unicode has to join, hide or turn around other characters.
pub(crate) fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180e}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// How the log's text format writes the message and the fields of an event: in one line, whatever they hold.
///
/// `tracing-subscriber` escapes what steers a terminal by itself, but neither line breaks nor what turns text around.
#[derive(Clone, Copy, Debug, Default)]
pub struct OneLine;

impl<'writer> FormatFields<'writer> for OneLine {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut text = String::new();
        DefaultFields::new().format_fields(Writer::new(&mut text), fields)?;
        if text.chars().any(is_unseen) {
            text = tidy(&text, usize::MAX);
        }
        writer.write_str(&text)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::{Arc, Mutex, PoisonError};
    use tracing_subscriber::fmt::MakeWriter;

    #[test]
    fn what_cannot_be_seen_stands_there_by_its_number() {
        for (text, expected) in [
            ("plain, with Ünïcode and 你好 🎉", "plain, with Ünïcode and 你好 🎉"),
            ("a\r\nb\tc", r"a\u{d}\u{a}b\u{9}c"),
            ("\u{1b}[2J\0\u{7f}\u{9b}31m", r"\u{1b}[2J\u{0}\u{7f}\u{9b}31m"),
            ("user\u{202e}nimda", r"user\u{202e}nimda"),
            ("\u{2066}x\u{2069}\u{200b}\u{feff}\u{ad}", r"\u{2066}x\u{2069}\u{200b}\u{feff}\u{ad}"),
            ("a\u{2028}b\u{2029}c\u{85}d", r"a\u{2028}b\u{2029}c\u{85}d"),
            ("tag\u{e0041}", r"tag\u{e0041}"),
        ] {
            assert_eq!(tidy(text, 512), expected);
            assert_eq!(tidy(&tidy(text, 512), 512), expected, "once more changes nothing");
        }
    }

    #[test]
    fn a_text_has_a_length_and_no_half_of_a_character() {
        assert_eq!(tidy(&"é".repeat(600), 512).len(), 512);
        assert_eq!(tidy(&"é".repeat(600), 511).len(), 510);
        assert_eq!(tidy("ab\u{1b}", 7), "ab");
        assert_eq!(tidy(&"\0".repeat(1_000_000), 12), r"\u{0}\u{0}");
    }

    #[test]
    fn json_is_tidied_wherever_a_text_is() {
        let mut value = json!({"a": "x\ny", "b": [{"c": "\u{202e}"}, "z".repeat(600)], "d": 1});
        tidy_json(&mut value);
        assert_eq!(value, json!({"a": r"x\u{a}y", "b": [{"c": r"\u{202e}"}, "z".repeat(512)], "d": 1}));
    }

    /// What a subscriber writes, kept.
    #[derive(Clone, Default)]
    pub(crate) struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Lines {
        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Lines {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    #[test]
    fn an_event_of_the_log_is_one_line_whatever_it_says() {
        let written = Lines::default();
        let subscriber =
            tracing_subscriber::fmt().fmt_fields(OneLine).with_ansi(false).with_writer(written.clone()).finish();
        let forged = "hello\n{\"target\":\"audit\",\"action\":\"sign_in\"}\u{1b}[2J\u{202e}";
        tracing::subscriber::with_default(subscriber, || {
            let _span = tracing::info_span!("request", path = %forged).entered();
            tracing::warn!(reason = %forged, words = ?forged, forged, "The provider says: {forged}");
        });
        let text = written.text();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.ends_with('\n') && !text.contains(['\u{1b}', '\u{202e}']), "{text:?}");
        assert!(text.contains(r"The provider says: hello\u{a}{"), "{text}");
    }
}
