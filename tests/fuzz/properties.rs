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
ignore = true
"#;

fn endpoint() -> Endpoint {
    let origin = std::path::Path::new("fuzz");
    let loaded = config::parse(ACTIONS, origin, &Overrides::default(), &|_| None);
    let mut endpoints = loaded.expect("a good config").settings.endpoints;
    endpoints.pop().expect("an endpoint")
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
