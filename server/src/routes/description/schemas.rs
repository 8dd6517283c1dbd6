//! JSON Schemas of our types, as the two kinds of document want them.

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::Value;

/// Where both documents keep the schemas that others refer to.
const PLACE: &str = "/components/schemas";

/// The schema of a type, where it is known only when a document is made.
pub(super) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// The schema of `T`.
pub(super) fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// Schemas of what the server says: for OpenAPI 3.1.
pub(super) fn for_openapi() -> SchemaGenerator {
    placed(SchemaSettings::draft2020_12().for_serialize()).into_generator()
}

/// The same for AsyncAPI 3, whose schemas are those of an earlier draft.
pub(super) fn for_asyncapi() -> SchemaGenerator {
    placed(SchemaSettings::draft07().for_serialize()).into_generator()
}

/// The schema of what the server takes, all in one piece: what it may leave out differs from what the server says.
pub(super) fn taken(schema: SchemaOf) -> Value {
    let settings = SchemaSettings::draft07().for_deserialize().with(|settings| settings.inline_subschemas = true);
    schema(&mut settings.into_generator()).into()
}

fn placed(settings: SchemaSettings) -> SchemaSettings {
    settings.with(|settings| {
        settings.definitions_path = PLACE.into();
        settings.meta_schema = None;
    })
}

/// Comments in the code are for those who read the code: links lead nowhere here, and nothing is called null in JSON.
pub(super) fn in_plain_words(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if name == "description" => *text = plain(text),
                    value => in_plain_words(value),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(in_plain_words),
        _ => {}
    }
}

/// Without the targets of links and their brackets, and with JSON's word for nothing.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, link)) = rest.split_once("[`") {
        plain.push_str(before);
        let Some((name, after)) = link.split_once("`]") else {
            rest = link;
            break;
        };
        plain.extend(["`", name.rsplit("::").next().unwrap_or(name), "`"]);
        let target = after.strip_prefix('(').and_then(|target| target.split_once(')'));
        rest = target.map_or(after, |(_, after)| after);
    }
    plain.push_str(rest);
    plain.replace("`None`", "null")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_the_code_become_words() {
        let text = "Some, the first [`NAMES_MAX`](super::health::NAMES_MAX), or [`Row::price`]; `None` without.";
        assert_eq!(plain(text), "Some, the first `NAMES_MAX`, or `price`; null without.");
        assert_eq!(plain("a list [1, 2]"), "a list [1, 2]");
    }
}
