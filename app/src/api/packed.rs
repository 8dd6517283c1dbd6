//! A snapshot inside of JSON: postcard, which the browser reads anyway, in base64. Reading the model as JSON too would cost
//! the browser a tenth of all that it downloads.

use crate::model::protocol::Snapshot;
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use serde::{Deserialize, Deserializer, Serializer, de::Error as _, ser::Error as _};

pub(super) fn serialize<S: Serializer>(snapshot: &Snapshot, serializer: S) -> Result<S::Ok, S::Error> {
    let bytes = postcard::to_stdvec(snapshot).map_err(S::Error::custom)?;
    serializer.serialize_str(&STANDARD_NO_PAD.encode(bytes))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Snapshot, D::Error> {
    let bytes = STANDARD_NO_PAD.decode(String::deserialize(deserializer)?).map_err(D::Error::custom)?;
    postcard::from_bytes(&bytes).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use crate::{
        api::FirstView,
        model::{
            protocol::{Row, Snapshot},
            symbol::Symbol,
        },
    };

    #[test]
    fn the_browser_reads_what_the_server_wrote() {
        let row = Row { price: Some(0.1 + 0.2), ..Row::empty(3, Symbol::parse("BRK.B").expect("a symbol")) };
        let snapshot = Snapshot { rows: vec![row; 5], ..Snapshot::default() };
        let first = FirstView { snapshot, email: "ann@example.com".into(), ..FirstView::default() };
        let json = serde_json::to_string(&first).expect("serialises");
        assert_eq!(serde_json::from_str::<FirstView>(&json).expect("parses"), first);
        assert!(serde_json::from_str::<FirstView>(r#"{"snapshot":"AA","email":""}"#).is_err(), "cut off");
    }
}
