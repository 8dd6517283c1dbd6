//! The table as OpenAPI 3.1.

use super::{
    super::ErrorAnswer,
    operation::{Answer, Body, Content, Operation, Who},
    schemas::{for_openapi, in_plain_words, taken},
    table::groups,
};
use crate::alerts::AlertTold;
use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};

/// The document.
pub(super) fn document() -> Value {
    let mut generator = for_openapi();
    let (mut paths, mut tags) = (Map::new(), Vec::new());
    for (tag, about, operations) in groups() {
        tags.push(json!({"name": tag, "description": about}));
        for operation in operations {
            let path = paths.entry(operation.path).or_insert_with(|| json!({}));
            path[operation.method] = described(&operation, tag, &mut generator);
        }
    }
    let hook = generator.subschema_for::<AlertTold<'_>>();
    generator.subschema_for::<ErrorAnswer<'_>>();
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "TickStock Monitor",
            "summary": "The connections that carry market data, and what flows through them",
            "description": ABOUT,
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": tags,
        "paths": paths,
        "webhooks": {"alert": {"post": {
            "operationId": "alertTold",
            "tags": ["Alerts"],
            "summary": "What `ALERT_WEBHOOK_URL` is told, signed as Standard Webhooks 1.0 has it",
            "security": [],
            "requestBody": {"required": true, "content": {"application/json": {"schema": hook}}},
            "responses": {
                "2XX": {"description": "Taken"},
                "410": {"description": "Gone: it is told nothing more"},
            },
        }}},
        "components": {
            "securitySchemes": {
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "tickstock_session_3000",
                    "description": "The cookie of POST /login. The number is the port that browsers ask for; over TLS the name begins with `__Host-`.",
                },
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "`tickstock-monitor token add NAME --scope read|operate --days N` makes one. One that reads changes nothing; one that operates reads nothing.",
                },
            },
            "responses": {"Failed": {
                "description": "Why there is no answer: 400 what would be accepted, 401 sign in, 403 not allowed, 404 there is none, 405 another method, 409 it cannot be done as things are, 429 and 503 try again after `Retry-After`",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
            }},
            "schemas": generator.take_definitions(true),
        },
    });
    in_plain_words(&mut document);
    document
}

const ABOUT: &str = "Times are RFC 3339 in UTC with milliseconds. What is not known is null, not absent. Ignore fields \
                     that you do not know: new ones may come.";

fn described(operation: &Operation, tag: &str, generator: &mut SchemaGenerator) -> Value {
    let (in_path, names) = (json!({"type": "string"}), in_braces(operation.path));
    let in_path = names.map(|name| {
        let about = operation.path_about;
        json!({"name": name, "in": "path", "required": true, "description": about, "schema": in_path})
    });
    let in_query = operation.query.iter().map(|parameter| {
        json!({
            "name": parameter.name,
            "in": "query",
            "required": parameter.is_required,
            "description": parameter.about,
            "schema": {"type": "string"},
        })
    });
    let mut said = json!({
        "operationId": id(operation),
        "tags": [tag],
        "summary": operation.summary,
        "security": security(operation.who),
        "responses": responses(operation, generator),
    });
    let parameters: Vec<_> = in_path.chain(in_query).collect();
    if !parameters.is_empty() {
        said["parameters"] = parameters.into();
    }
    if let Some(body) = &operation.body {
        said["requestBody"] = match body {
            Body::Json { schema, is_required } => {
                json!({"required": is_required, "content": {"application/json": {"schema": taken(*schema)}}})
            }
            Body::Form(schema) => {
                let fields = schema.map_or_else(|| json!({"type": "object"}), taken);
                json!({"content": {"application/x-www-form-urlencoded": {"schema": fields}}})
            }
        };
    }
    said
}

/// `postSilences` and `deleteSilencesId`, for those who make clients of it.
fn id(operation: &Operation) -> String {
    let path = operation.path.trim_start_matches("/api/admin").trim_start_matches("/api");
    let words = path.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let mut id = operation.method.to_owned();
    for word in words {
        let (first, rest) = word.split_at(1);
        id.extend([first.to_uppercase().as_str(), rest]);
    }
    id
}

fn in_braces(path: &str) -> impl Iterator<Item = &str> {
    path.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0))
}

fn security(who: Who) -> Value {
    match who {
        Who::Anybody => json!([]),
        Who::Readers => json!([{"session": []}, {"token": ["read"]}]),
        Who::Operators => json!([{"session": ["admin"]}, {"token": ["operate"]}]),
        Who::People => json!([{"session": []}]),
    }
}

fn responses(operation: &Operation, generator: &mut SchemaGenerator) -> Value {
    let mut responses = Map::new();
    for Answer { status, about, content } in &operation.answers {
        let mut answer = json!({"description": about});
        for content in content {
            let (kind, schema) = match content {
                Content::Json(schema) => ("application/json", schema(generator).into()),
                Content::Text(kind) => (*kind, json!({"type": "string"})),
                Content::Bytes(kind) => (*kind, json!({})),
            };
            answer["content"][kind] = json!({"schema": schema});
        }
        responses.insert(status.to_string(), answer);
    }
    let is_api = operation.path.starts_with("/api/") || operation.path == "/admin-ws" || operation.path == "/metrics";
    if is_api {
        responses.insert("4XX".to_owned(), json!({"$ref": "#/components/responses/Failed"}));
        responses.insert("5XX".to_owned(), json!({"$ref": "#/components/responses/Failed"}));
    } else {
        responses.insert("4XX".to_owned(), json!({"description": "Not possible; a page or a line says why"}));
    }
    responses.into()
}
