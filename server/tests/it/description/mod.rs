//! `/api/openapi.json` and `/api/asyncapi.json` against the running server: nothing is missing in them, nothing is in them that is
//! not there, and everything that is said is as they say, without a field more.

mod answers;
mod redis;
mod routes;
mod socket;

use crate::util::Client;
use jsonschema::Validator;
use serde_json::{Value, json};

/// One of the two documents.
struct Document(Value);

impl Document {
    async fn openapi(admin: &Client) -> Self {
        Self(admin.get_json("/api/openapi.json", 200).await)
    }

    async fn asyncapi(admin: &Client) -> Self {
        Self(admin.get_json("/api/asyncapi.json", 200).await)
    }

    /// What checks a value against one of its schemas, and refuses fields that are not in it.
    fn validator(&self, schema: &Value) -> Validator {
        let mut whole = schema.clone();
        whole["components"] = self.0["components"].clone();
        close(&mut whole);
        jsonschema::options().should_validate_formats(true).build(&whole).expect("a schema")
    }

    /// Holds a value against a schema.
    fn check(&self, what: &str, schema: &Value, value: &Value) {
        hold(what, &self.validator(schema), value);
    }
}

/// Holds a value against a schema that many are held against.
fn hold(what: &str, validator: &Validator, value: &Value) {
    let errors: Vec<_> =
        validator.iter_errors(value).map(|error| format!("{} at {}", error, error.instance_path())).collect();
    assert!(
        errors.is_empty(),
        "{what} is not as described; derive `JsonSchema` on the type that is sent, and name that type in \
             server/src/routes/description/:\n{}\n{value}",
        errors.join("\n")
    );
}

/// Fields that are not described are refused, in this schema and in those within it.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.values_mut().for_each(close);
            if fields.get("properties").is_some_and(Value::is_object) && fields.get("type") == Some(&json!("object")) {
                fields.entry("additionalProperties").or_insert(json!(false));
            }
        }
        Value::Array(values) => values.iter_mut().for_each(close),
        _ => {}
    }
}

#[test]
fn a_field_more_or_one_less_or_of_another_kind_is_refused() {
    let schemas = json!({"schemas": {
        "Inner": {"type": "object", "properties": {"at": {"type": "string", "format": "date-time"}}, "required": ["at"]},
    }});
    let document = Document(json!({"components": schemas}));
    let schema = json!({
        "type": "object",
        "properties": {"inner": {"anyOf": [{"$ref": "#/components/schemas/Inner"}, {"type": "null"}]}},
        "required": ["inner"],
    });
    let validator = document.validator(&schema);
    for good in [json!({"inner": null}), json!({"inner": {"at": "2026-01-21T12:34:56.789Z"}})] {
        assert!(validator.is_valid(&good), "{good}");
    }
    for bad in [
        json!({}),
        json!({"inner": null, "more": 1}),
        json!({"inner": {"at": "2026-01-21T12:34:56.789Z", "more": 1}}),
        json!({"inner": {"at": "yesterday"}}),
        json!({"inner": {"at": 1}}),
    ] {
        assert!(!validator.is_valid(&bad), "{bad}");
    }
}
