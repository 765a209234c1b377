//! Tokens and signatures, made without the code under test.

use std::{
    net::SocketAddr,
    time::{SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::hmac;
use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};

use super::{Client, Message};

/// A JWT of these claims, HS256. `exp` is an hour from now unless it is named;
/// `"exp": null` leaves it out.
pub fn jwt(secret: &str, claims: &Value) -> String {
    let mut claims = claims.clone();
    let object = claims.as_object_mut().unwrap();
    object.entry("exp").or_insert_with(|| json!(now() + 3600));
    object.retain(|name, value| name != "exp" || !value.is_null());
    jwt_with_header(secret, &json!({"alg": "HS256", "typ": "JWT"}), &claims)
}

/// A JWT of exactly this header and these claims, signed by HMAC-SHA-256
/// whatever the header says.
pub fn jwt_with_header(secret: &str, header: &Value, claims: &Value) -> String {
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(header), part(claims));
    let tag = mac(secret.as_bytes(), signed.as_bytes());
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(tag))
}

/// The value of `webhook-signature` (Standard Webhooks). A secret that begins
/// with `whsec_` is base64, any other its own bytes.
pub fn webhook_signature(secret: &str, id: &str, timestamp: u64, body: &[u8]) -> String {
    let key = match secret.strip_prefix("whsec_") {
        Some(text) => BASE64_STANDARD.decode(text).unwrap(),
        None => secret.as_bytes().to_vec(),
    };
    let signed = [format!("{id}.{timestamp}.").as_bytes(), body].concat();
    format!("v1,{}", BASE64_STANDARD.encode(mac(&key, &signed)))
}

/// The three headers of a webhook signed now, each with its line end.
pub fn webhook_headers(secret: &str, id: &str, body: &[u8]) -> String {
    let timestamp = now();
    let signature = webhook_signature(secret, id, timestamp, body);
    format!(
        "webhook-id: {id}\r\nwebhook-timestamp: {timestamp}\r\nwebhook-signature: {signature}\r\n"
    )
}

/// Posts a body to the webhook, signed now.
pub async fn post_event(addr: SocketAddr, secret: &str, id: &str, body: &Value) -> Message {
    post_text(addr, secret, id, &body.to_string()).await
}

/// Posts a body as it is, signed now.
pub async fn post_text(addr: SocketAddr, secret: &str, id: &str, body: &str) -> Message {
    let headers = webhook_headers(secret, id, body.as_bytes());
    let mut client = Client::connect(addr).await;
    let length = body.len();
    let head = format!(
        "POST /outrigger/events HTTP/1.1\r\nHost: outrigger\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n{headers}\r\n"
    );
    client.send(head).await;
    client.send(body).await;
    client.response("POST").await
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

fn mac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, message).as_ref().to_vec()
}
