//! Tokens and signatures, as an app would make them.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};

pub(crate) const JWT_SECRET: &str = "a secret for measuring that is long enough";
pub(crate) const WEBHOOK_SECRET: &str = "another secret for measuring, long enough too";

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

/// A token of user `n`, good for an hour.
pub(crate) fn token(n: usize) -> String {
    let expires = now() + 3600;
    let claims = format!(r#"{{"sub":"user-{n}","exp":{expires}}}"#);
    let head = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let signed = format!("{head}.{}", URL_SAFE_NO_PAD.encode(claims));
    let key = Key::new(HMAC_SHA256, JWT_SECRET.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(sign(&key, signed.as_bytes()));
    format!("{signed}.{signature}")
}

/// A whole POST of event `n` to topic `news` with 128 bytes of payload.
pub(crate) fn webhook(n: usize) -> Vec<u8> {
    let text = "x".repeat(128);
    let body = format!(r#"{{"type":"news","topics":["news"],"data":{{"n":{n},"text":"{text}"}}}}"#);
    post(&format!("event-{n}"), &body)
}

/// A body of so many events of some 300 bytes, which get their ids from the webhook's.
pub(crate) fn events(count: usize) -> String {
    let text = "x".repeat(240);
    let event = format!(r#"{{"type":"news","topics":["news"],"data":{{"text":"{text}"}}}}"#);
    let events = vec![event; count].join(",");
    format!(r#"{{"events":[{events}]}}"#)
}

/// A whole POST of a body under an id.
pub(crate) fn post(id: &str, body: &str) -> Vec<u8> {
    let time = now();
    let key = Key::new(HMAC_SHA256, WEBHOOK_SECRET.as_bytes());
    let signature = STANDARD.encode(sign(&key, format!("{id}.{time}.{body}").as_bytes()));
    let length = body.len();
    format!(
        "POST /outrigger/events HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\nwebhook-id: {id}\r\nwebhook-timestamp: {time}\r\n\
         webhook-signature: v1,{signature}\r\n\r\n{body}"
    )
    .into_bytes()
}
