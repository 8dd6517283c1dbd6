//! The live socket and Redis as AsyncAPI 3.

use super::{
    channels::{Channel, FRAMES, Key, Payload, Said, channels, keys},
    schemas::{for_asyncapi, in_plain_words, taken},
};
use crate::hub::Event;
use app::model::{
    protocol::{CloseReason, Command, SUBPROTOCOL_BINARY, SUBPROTOCOL_JSON},
    replay::ReplayCommand,
};
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

/// The document.
pub(super) fn document() -> Value {
    let mut generator = for_asyncapi();
    let mut document = json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "TickStock Monitor",
            "description": "The live socket, and what is said over Redis. Times in JSON are RFC 3339 in UTC with milliseconds, those of MarketTick aside. Ignore what you do not know: new events and fields may come.",
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "monitor": {
                "host": "127.0.0.1:3000",
                "protocol": "ws",
                "description": "The dashboard's server; `wss` over TLS. Sign in first, or send a token of the scope `read` as `Authorization: Bearer`.",
            },
            "redis": {
                "host": "127.0.0.1:6379",
                "protocol": "redis",
                "description": "That of REDIS_URL. The keys on it are in `x-keys`.",
                "x-keys": keys().iter().map(|key| described_key(key, &mut generator)).collect::<Vec<_>>(),
            },
        },
        "channels": {},
        "operations": {},
    });

    let (of_the_past, events): (Vec<_>, Vec<_>) =
        variants::<Event<'_>>(&mut generator).into_iter().partition(|event| event["name"] == "replay");
    let commands = variants::<Command>(&mut generator);
    let replay_commands = variants::<ReplayCommand>(&mut generator);
    let socket = |address: &str, subprotocol: &str, messages: &[Value]| {
        let header = json!({"type": "object", "properties": {"Sec-WebSocket-Protocol": {"const": subprotocol}}});
        json!({
            "address": address,
            "title": format!("{}, subprotocol {subprotocol}", if address == "/admin-ws" { "The live socket" } else { "The socket of the past" }),
            "description": "How it opens, goes on and ends is in docs/protocol.md; the close codes are in `x-close-codes`.",
            "servers": [{"$ref": "#/servers/monitor"}],
            "bindings": {"ws": {"method": "GET", "headers": header}},
            "messages": by_name(messages),
            "x-close-codes": CloseReason::ALL.map(|reason| json!({"code": reason.code(), "reason": reason.phrase()})),
        })
    };
    let frames: Vec<_> = FRAMES.iter().enumerate().map(|(number, (name, about))| frame(number, name, about)).collect();
    let is_error = |event: &&Value| event["name"] == "error";
    let on_binary: Vec<_> = frames.iter().chain(events.iter().filter(is_error)).cloned().collect();
    let is_for_binary_alone = |command: &&Value| command["name"] == "set_tape";
    let on_json: Vec<_> = commands.iter().filter(|command| !is_for_binary_alone(command)).cloned().collect();
    let [past_events, past_frames] = [&events, &on_binary].map(|told| [&told[..], &of_the_past[..]].concat());
    let (live, past) = ("/admin-ws", "/admin-ws/replay");
    for (id, address, subprotocol, sent, received) in [
        ("socketJson", live, SUBPROTOCOL_JSON, &events, &on_json),
        ("socketBinary", live, SUBPROTOCOL_BINARY, &on_binary, &commands),
        ("replayJson", past, SUBPROTOCOL_JSON, &past_events, &replay_commands),
        ("replayBinary", past, SUBPROTOCOL_BINARY, &past_frames, &replay_commands),
    ] {
        document["channels"][id] = socket(address, subprotocol, &[&sent[..], received].concat());
        add_operation(&mut document, id, "send", sent);
        add_operation(&mut document, id, "receive", received);
    }
    for channel in channels() {
        let messages: Vec<_> = channel.said.iter().map(|said| described(said, &mut generator)).collect();
        document["channels"][channel.id] = redis(&channel, &messages);
        for action in channel.actions {
            add_operation(&mut document, channel.id, action, &messages);
        }
    }
    document["components"] = json!({"schemas": generator.take_definitions(true)});
    in_plain_words(&mut document);
    document
}

/// A message for each variant of an enum whose tag is `event`.
fn variants<T: JsonSchema>(generator: &mut SchemaGenerator) -> Vec<Value> {
    let mut whole: Value = T::json_schema(generator).into();
    let variants = whole["oneOf"].as_array_mut().map(std::mem::take).unwrap_or_default();
    let message = |mut variant: Value| {
        let name = variant["properties"]["event"]["const"].clone();
        let about = variant.as_object_mut().and_then(|variant| variant.remove("description")).unwrap_or_default();
        json!({"name": name, "summary": about, "payload": variant})
    };
    variants.into_iter().map(message).collect()
}

fn frame(number: usize, name: &str, about: &str) -> Value {
    json!({
        "name": name,
        "summary": about,
        "description": "In postcard's encoding: the number of the frame, then what it holds, field by field as in docs/protocol.md.",
        "contentType": "application/octet-stream",
        "payload": binary(),
        "x-frame": number,
    })
}

fn binary() -> Value {
    json!({"type": "string", "format": "binary"})
}

fn payload(payload: Payload, generator: &mut SchemaGenerator) -> Value {
    match payload {
        Payload::Json(schema) => schema(generator).into(),
        Payload::TheirJson(schema) => taken(schema),
        Payload::Text(pattern) => json!({"type": "string", "pattern": pattern}),
        Payload::Binary => binary(),
        Payload::Nothing => json!({"type": "string"}),
    }
}

fn content_type(payload: Payload) -> &'static str {
    match payload {
        Payload::Json(_) | Payload::TheirJson(_) => "application/json",
        Payload::Text(_) | Payload::Nothing => "text/plain",
        Payload::Binary => "application/octet-stream",
    }
}

fn described(said: &Said, generator: &mut SchemaGenerator) -> Value {
    let (kind, payload) = (content_type(said.payload), payload(said.payload, generator));
    json!({"name": said.name, "summary": said.about, "contentType": kind, "payload": payload})
}

fn described_key(key: &Key, generator: &mut SchemaGenerator) -> Value {
    json!({
        "key": key.key,
        "type": key.kind,
        "expires_seconds": key.expires_seconds,
        "description": key.about,
        "contentType": content_type(key.payload),
        "payload": payload(key.payload, generator),
    })
}

fn by_name(messages: &[Value]) -> Map<String, Value> {
    messages.iter().filter_map(|message| Some((message["name"].as_str()?.to_owned(), message.clone()))).collect()
}

fn redis(channel: &Channel, messages: &[Value]) -> Value {
    let mut parameters = json!({"prefix": {"description": "REDIS_KEY_PREFIX", "default": "tickstock:"}});
    if channel.address.contains("{collector}") {
        let about = "The word with its braces, which are part of the name: a cluster keeps all of it in one place";
        parameters["collector"] = json!({"description": about, "enum": ["{collector}"], "default": "{collector}"});
    }
    json!({
        "address": channel.address,
        "description": channel.about,
        "servers": [{"$ref": "#/servers/redis"}],
        "parameters": parameters,
        "messages": by_name(messages),
    })
}

fn add_operation(document: &mut Value, channel: &str, action: &str, messages: &[Value]) {
    let names = messages.iter().filter_map(|message| message["name"].as_str());
    let messages: Vec<_> = names.map(|name| json!({"$ref": format!("#/channels/{channel}/messages/{name}")})).collect();
    document["operations"][format!("{action}On{}{}", channel[..1].to_uppercase(), &channel[1..])] = json!({
        "action": action,
        "channel": {"$ref": format!("#/channels/{channel}")},
        "messages": messages,
    });
}
