//! The model in postcard, which the browser reads anyway; in base64 where it stands in text. Reading it as JSON too would cost the
//! dashboard a tenth of all that it downloads, and so would reading any answer as JSON there: the reader of that stays with
//! the full metrics.

use leptos::server_fn::{Bytes, ContentType, Decodes, Encodes, Format, FormatType, codec::Post};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned, de::Error as _, ser::Error as _};

/// How server functions answer.
pub type Packed = Post<Postcard>;

/// How the answer is encoded, and every error.
#[derive(Debug)]
pub struct Postcard;

impl ContentType for Postcard {
    const CONTENT_TYPE: &'static str = "application/x-postcard";
}

impl FormatType for Postcard {
    const FORMAT_TYPE: Format = Format::Binary;
}

impl<T: Serialize> Encodes<T> for Postcard {
    type Error = postcard::Error;

    fn encode(value: &T) -> Result<Bytes, postcard::Error> {
        postcard::to_stdvec(value).map(Bytes::from)
    }
}

impl<T: DeserializeOwned> Decodes<T> for Postcard {
    type Error = postcard::Error;

    fn decode(bytes: Bytes) -> Result<T, postcard::Error> {
        postcard::from_bytes(&bytes)
    }
}

/// A value as text.
pub(crate) fn to_text<T: Serialize>(value: &T) -> Result<String, postcard::Error> {
    Postcard::encode(value).map(Postcard::into_encoded_string)
}

/// What [`to_text`] made; `None` for anything else.
pub(crate) fn of_text<T: DeserializeOwned>(text: &str) -> Option<T> {
    Postcard::decode(Postcard::from_encoded_string(text).ok()?).ok()
}

/// What the server made a page from, as it wrote it into the page's element.
#[cfg(feature = "hydrate")]
pub(crate) fn start_of<T: DeserializeOwned>(root: &leptos::web_sys::Element) -> Option<T> {
    const START: &str = "data-start";

    let start = of_text(&root.get_attribute(START)?)?;
    // Of no use to anybody any more.
    let _ = root.remove_attribute(START);
    Some(start)
}

/// For `#[serde(with = "packed")]`: a part of a value that is JSON otherwise.
pub(super) fn serialize<T: Serialize, S: Serializer>(part: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&to_text(part).map_err(S::Error::custom)?)
}

pub(super) fn deserialize<'de, T: DeserializeOwned, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    of_text(&String::deserialize(deserializer)?).ok_or_else(|| D::Error::custom("cut off, or of another version"))
}

#[cfg(test)]
mod tests {
    use super::{of_text, to_text};
    use crate::{
        api::{FirstView, history::HistoryAnswer},
        model::{
            connection::ConnectionState,
            history::{
                EventKind, HistoryEvent, LastOutage, Reliability,
                gap::Gap,
                series::{Bucket, Series},
                view::HistoryView,
            },
            protocol::{Row, Snapshot},
            symbol::Symbol,
            time::UnixMillis,
        },
    };

    #[test]
    fn the_browser_reads_what_the_server_wrote() {
        let row = Row { price: Some(0.1 + 0.2), ..Row::empty(3, Symbol::parse("BRK.B").expect("a symbol")) };
        let snapshot = Snapshot { rows: vec![row; 5], ..Snapshot::default() };
        let last = LastOutage { number: 3, cause: "dropped".into(), ..LastOutage::default() };
        let reliability = vec![Reliability { connection_id: 1, last: Some(last), ..Reliability::default() }];
        let first = FirstView {
            snapshot,
            reliability,
            email: "ann@example.com".into(),
            may_act: true,
            warnings: vec!["one".into()],
        };
        let text = to_text(&first).expect("serialises");
        assert_eq!(of_text(&text), Some(first));
        assert_eq!((of_text::<FirstView>(&text[..text.len() / 2]), of_text::<FirstView>("<html>")), (None, None));
    }

    #[test]
    fn a_history_is_read_back_whole() {
        let buckets =
            vec![Bucket { covered_ms: 1_000, ticks: 7, p50_us: Some(90), ..Bucket::default() }, Bucket::default()];
        let gap = Gap { ticks_per_second_before: Some(0.1), ..Gap::blank(2, 1, UnixMillis(1_768_998_896_789)) };
        let event = HistoryEvent {
            id: 1,
            at: UnixMillis(1),
            connection_id: Some(2),
            kind: EventKind::State,
            state: Some(ConnectionState::Mute),
            text: "silent".into(),
            alert: None,
        };
        let view = HistoryView {
            series: vec![Series { connection_id: 1, name: "primary".into(), buckets }],
            gaps: vec![gap],
            events: vec![event],
            ..HistoryView::default()
        };
        let answer = HistoryAnswer { view, email: "ann@example.com".into(), may_act: true, recording: true };
        let json = serde_json::to_string(&answer).expect("serialises");
        assert_eq!(serde_json::from_str::<HistoryAnswer>(&json).expect("parses"), answer);
    }
}
