//! What holds for any bytes, wherever bytes of strangers are read. Each function is
//! given bytes and panics if its property does not hold. The fuzz targets and the
//! ordinary tests run the same ones.

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::{HeaderMap, HeaderValue};
use outrigger::{
    config::{self, Overrides},
    event::{Event, SessionName},
    frame::{Client, JsonStyle, Online, Scope, Template, Text, Vocabulary},
    routes::Endpoint,
    secret::Secret,
    source::{
        body,
        channel_layer::{self, Serializer},
        exchange::{Finished, Payload},
        signature::{self, WebhookId},
        sse::parser::Parser,
    },
};
use serde_json::{Value, json, value::RawValue};

/// A tree, and in the lines after it data: an error, or valid JSON in its style.
pub(crate) fn templates(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (tree, data) = text.split_once('\n').unwrap_or((&text, "{}"));
    plain_text(tree);
    let tree = serde_json::from_str(tree).unwrap_or_else(|_| Value::from(tree));
    let Ok(data) = serde_json::from_str::<Box<RawValue>>(data) else {
        return;
    };
    let (event, client) = (event(data), client());
    let message = json!({"text": "hello"});
    for style in [JsonStyle::Compact, JsonStyle::Python] {
        let Ok(template) = Template::compile(&tree, style, &everything()) else {
            continue;
        };
        let scope = Scope {
            event: Some(&event),
            client: Some(&client),
            message: Some(&message),
            ..Scope::default()
        };
        let out = template.render(&scope);
        let read: Result<&RawValue, _> = serde_json::from_str(&out);
        assert!(read.is_ok(), "{tree} became {out}");
        let mut again = String::new();
        style.write_raw(&out, &mut again);
        assert_eq!(out, again, "{tree} is not in its style");
    }
}

fn plain_text(text: &str) {
    match Text::compile(text, &everything()) {
        Ok(compiled) => drop(compiled.render_path(&Scope::default())),
        Err(fault) => {
            let at = fault.at.expect("a place in the text");
            assert!(text.get(at.clone()).is_some(), "{text} has no {at:?}");
        }
    }
}

/// A client's message: at most one action takes it, and only an object.
pub(crate) fn actions(bytes: &[u8]) {
    static ENDPOINT: OnceLock<Endpoint> = OnceLock::new();
    let endpoint = ENDPOINT.get_or_init(endpoint);
    let Ok(message) = serde_json::from_slice::<Value>(bytes) else {
        return;
    };
    let fits = |action: &&outrigger::routes::Action| action.fits(&message);
    let Some(action) = endpoint.actions.iter().find(fits) else {
        return;
    };
    assert!(message.is_object(), "{message} fits {action:?}");
    if !action.require.is_empty() && action.problem(&message).is_none() {
        assert_eq!(message["type"]["kind"], "send");
        assert!(message["content"].is_string() && message["data"]["id"].is_number());
    }
}

/// A message of the channel layer: an error, or an object that others can read, not
/// much longer than what came.
pub(crate) fn layer(bytes: &[u8]) {
    for serializer in [Serializer::Msgpack, Serializer::Json] {
        let Ok(message) = channel_layer::decode(bytes, serializer) else {
            continue;
        };
        assert!(!message.kind.is_empty());
        let data = message.data.get();
        // Not as a value: half a character in an escape is for whoever reads it.
        let read: Result<&RawValue, _> = serde_json::from_str(data);
        assert!(read.is_ok() && data.starts_with('{'), "{data}: {read:?}");
        assert!(data.len() <= bytes.len() * 7 + 2, "{data}");
        let mut frame = String::new();
        JsonStyle::Python.write_raw(data, &mut frame);
        assert!(serde_json::from_str::<&RawValue>(&frame).is_ok(), "{frame}");
    }
}

/// Both bodies of an exchange, whatever their headers say: no event, or events that can
/// be kept, in bounds.
pub(crate) fn exchange(bytes: &[u8]) {
    static RULES: OnceLock<Vec<outrigger::routes::Exchange>> = OnceLock::new();
    let rules = RULES.get_or_init(|| settings(EXCHANGES).exchanges);
    let (first, bodies) = bytes.split_first().unwrap_or((&0, &[]));
    let cut = bodies.iter().position(|byte| *byte == b'\n');
    let (request, response) = bodies.split_at(cut.unwrap_or(bodies.len()));
    let mut headers = HeaderMap::new();
    let media_type = ["application/json", "application/x-www-form-urlencoded"];
    let media_type = media_type[usize::from(first & 1)];
    headers.insert("content-type", HeaderValue::from_static(media_type));
    let coding = ["identity", "gzip", "deflate", "br"][usize::from(first >> 1 & 3)];
    headers.insert("content-encoding", HeaderValue::from_static(coding));
    let seen = Finished {
        status: http::StatusCode::CREATED,
        query: Some(String::from_utf8_lossy(request).into_owned()),
        request: Payload::of(&headers).with(Ok(request.to_vec().into())),
        response: Payload::of(&headers).with(Ok(response.to_vec().into())),
    };
    for rule in rules {
        let params = vec![("chat_id".into(), json!(7))];
        let events = outrigger::source::exchange::events(rule, params, &seen, None);
        assert!(events.len() <= 1000);
        for event in events.into_iter().flatten() {
            let read: Result<&RawValue, _> = serde_json::from_str(event.data.get());
            assert!(read.is_ok(), "{event:?}");
            assert!(!event.topics.is_empty());
        }
    }
}

/// A stream is read the same, however it is cut into pieces.
pub(crate) fn stream(bytes: &[u8]) {
    let whole = Parser::default().push(bytes);
    let cut = usize::from(bytes.first().copied().unwrap_or(0)) % 7 + 1;
    let mut parser = Parser::default();
    let pieces: Vec<_> = bytes
        .chunks(cut)
        .flat_map(|piece| parser.push(piece))
        .collect();
    assert_eq!(pieces, whole, "in pieces of {cut}");
}

/// A webhook's body: an error, or events that can be kept and rendered.
pub(crate) fn webhook(bytes: &[u8]) {
    // The first byte chooses the media type.
    let (first, body) = bytes.split_first().unwrap_or((&0, &[]));
    let mut headers = HeaderMap::new();
    let media_type = match first % 4 {
        0 => "application/json",
        1 => "application/x-ndjson",
        2 => "application/cloudevents+json",
        _ => "application/cloudevents-batch+json",
    };
    headers.insert("content-type", HeaderValue::from_static(media_type));
    let Ok(items) = body::read(&headers, body, &webhook_id()) else {
        return;
    };
    for event in items.into_iter().filter_map(|item| item.event.ok()) {
        assert!(!event.id.as_str().is_empty() && !event.kind.as_str().is_empty());
        let read: Result<&RawValue, _> = serde_json::from_str(event.data.get());
        assert!(read.is_ok(), "{event:?}");
    }
}

fn everything() -> Vocabulary {
    Vocabulary {
        event: true,
        client: true,
        message: true,
        answer: true,
        problem: true,
        online: true,
        params: vec!["chat_id".into()],
        lookups: vec!["me".into()],
    }
}

fn event(data: Box<RawValue>) -> Event {
    Event {
        id: "1".into(),
        kind: "chat.message".into(),
        topics: Default::default(),
        users: Default::default(),
        except: Default::default(),
        data,
        ephemeral: false,
    }
}

fn client() -> Client {
    let table = |value: Value| value.as_object().cloned().unwrap_or_default();
    Client {
        session: Some(SessionName(1)),
        user: Some("42".into()),
        user_value: Some(json!(42)),
        claims: Some(Arc::new(table(json!({"role": "admin"})))),
        params: vec![("chat_id".into(), json!(7))],
        lookups: table(json!({"me": {"username": "Zoë"}})),
        online: Some(Online::new(|_| json!([42]))),
    }
}

const ACTIONS: &str = r#"
[[endpoint]]
name = "chat"
path = "/ws/chat"
anonymous = true
frames = { "*" = "{data}" }
[[endpoint.actions]]
when = { type = "ping", n = 1 }
reply = { type = "pong", n = "{message.n}" }
[[endpoint.actions]]
when = { type = "typing" }
publish = { type = "typing", topics = ["chat_{message.chat}"], data = "{message}" }
[[endpoint.actions]]
when = { "type.kind" = "send" }
require = { content = "text", "data.id" = "integer", "tags?" = "array" }
on_invalid = { reply = { type = "error", message = "{problem}" } }
reply = { type = "sent", id = "{message.data.id}" }
[[endpoint.actions]]
ignore = true
"#;

const EXCHANGES: &str = r#"
[[source.exchange]]
on = { path = "/chats/{chat_id}/messages" }
max_body = "64KiB"
decompress = true
event = { type = "message", topics = ["chat_{chat_id}"], data = "{response}" }
[[source.exchange]]
on = { path = "/chats/{chat_id}/read" }
when = { "request.done" = true }
each = "/results/*"
event = { id = "{each.id}", type = "read", topics = ["chat_{each.chat}"], data = { a = "{each}", b = "{query | default null}" } }
"#;

fn endpoint() -> Endpoint {
    let mut endpoints = settings(ACTIONS).endpoints;
    endpoints.pop().expect("an endpoint")
}

fn settings(text: &str) -> config::Settings {
    let origin = std::path::Path::new("fuzz");
    let loaded = config::parse(text, origin, &Overrides::default(), &|_| None);
    loaded.expect("a good config").settings
}

/// The id of a message that is signed as it must be.
fn webhook_id() -> WebhookId {
    static ID: OnceLock<WebhookId> = OnceLock::new();
    let id = || {
        let secret = Secret::new("a secret of the tests");
        let (now, body) = (SystemTime::now(), b"");
        let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let signed = signature::sign(&secret, "m", seconds, body).expect("a signature");
        let mut headers = HeaderMap::new();
        for (name, value) in [
            (signature::ID, "m"),
            (signature::TIMESTAMP, &seconds.to_string()),
            (signature::SIGNATURE, &signed),
        ] {
            headers.insert(name, HeaderValue::try_from(value).expect("a header"));
        }
        let rules = outrigger::routes::Webhook {
            secrets: vec![secret],
            tolerance: Duration::from_secs(300),
            max_body: 1 << 20,
        };
        signature::verify(&rules, &headers, body, now).expect("it is signed")
    };
    ID.get_or_init(id).clone()
}
