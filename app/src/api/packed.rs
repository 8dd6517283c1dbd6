//! A part of the model inside of JSON: postcard, which the browser reads anyway, in base64. Reading the model as JSON too
//! would cost the browser a tenth of all that it downloads.

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned, de::Error as _, ser::Error as _};

pub(super) fn serialize<T: Serialize, S: Serializer>(part: &T, serializer: S) -> Result<S::Ok, S::Error> {
    let bytes = postcard::to_stdvec(part).map_err(S::Error::custom)?;
    serializer.serialize_str(&STANDARD_NO_PAD.encode(bytes))
}

pub(super) fn deserialize<'de, T: DeserializeOwned, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    let bytes = STANDARD_NO_PAD.decode(String::deserialize(deserializer)?).map_err(D::Error::custom)?;
    postcard::from_bytes(&bytes).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
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
        let first = FirstView { snapshot, reliability, email: "ann@example.com".into(), warnings: vec!["one".into()] };
        let json = serde_json::to_string(&first).expect("serialises");
        assert_eq!(serde_json::from_str::<FirstView>(&json).expect("parses"), first);
        assert!(serde_json::from_str::<FirstView>(r#"{"snapshot":"AA","email":""}"#).is_err(), "cut off");
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
        };
        let view = HistoryView {
            series: vec![Series { connection_id: 1, name: "primary".into(), buckets }],
            gaps: vec![gap],
            events: vec![event],
            ..HistoryView::default()
        };
        let answer = HistoryAnswer { view, email: "ann@example.com".into() };
        let json = serde_json::to_string(&answer).expect("serialises");
        assert_eq!(serde_json::from_str::<HistoryAnswer>(&json).expect("parses"), answer);
    }
}
