//! The very texts that clients rely on, and how the subprotocol is agreed on.

use serde_json::json;

use super::{MODERN, Modern, endpoint};
use crate::harness::{Socket, Stage, as_user, token};

#[tokio::test]
async fn every_envelope_is_this_very_text() {
    let more = "json = \"python\"\nwelcome = { hello = \"{user.id}\", n = 1 }\n\
                on_invalid_json = { reply_text = \"that is \\\"no\\\" JSON\" }\n\
                actions = [{ when = { type = \"ping\" }, reply = { type = \"pong\" } }]\n";
    let stage = Stage::new(&endpoint(more)).await;
    let target = as_user("/ws/news", 7);
    let mut modern = Socket::open_with(stage.outrigger.addr(), &target, &[MODERN]).await;
    let mut legacy = stage.open("/ws/news", 7).await;
    let first = modern.text().await;
    let begins = first.strip_prefix("{\"position\":\"").unwrap();
    let begins = begins.strip_suffix(".0-0\"}").unwrap();
    assert!(u64::from_str_radix(begins, 16).is_ok(), "{first}");
    assert_eq!(legacy.text().await, r#"{"hello": 7, "n": 1}"#);
    assert_eq!(modern.text().await, r#"{"frame":{"hello": 7, "n": 1}}"#);
    stage.tell("news", "news", &json!({"n": "é"})).await;
    let frame = r#"{"type": "news", "n": "\u00e9"}"#;
    assert_eq!(legacy.text().await, frame);
    assert_eq!(
        modern.text().await,
        format!(r#"{{"position":"{begins}.0-1","frame":{frame}}}"#)
    );
    for socket in [&mut modern, &mut legacy] {
        socket.send(r#"{"type": "ping"}"#).await;
        socket.send("ping").await;
    }
    assert_eq!(legacy.text().await, r#"{"type": "pong"}"#);
    assert_eq!(legacy.text().await, r#"that is "no" JSON"#);
    assert_eq!(modern.text().await, r#"{"frame":{"type": "pong"}}"#);
    assert_eq!(modern.text().await, r#"{"text":"that is \"no\" JSON"}"#);
}

#[tokio::test]
async fn it_is_agreed_on_beside_other_subprotocols() {
    let stage = Stage::new(&endpoint("subprotocols = [\"chat.v2\"]\n")).await;
    let token = token(1);
    for (offer, answer) in [
        (format!("bearer, {token}, outrigger.v1"), "outrigger.v1"),
        (format!("outrigger.v1, bearer, {token}"), "outrigger.v1"),
        (
            format!("chat.v2, outrigger.v1, bearer, {token}"),
            "outrigger.v1",
        ),
        (format!("chat.v2, bearer, {token}"), "bearer"),
    ] {
        let offer = [("Sec-WebSocket-Protocol", &*offer)];
        let socket = stage.connect("/ws/news", &offer).await;
        let socket = socket.unwrap_or_else(|no| panic!("{}", no.line));
        let answered = socket.response.all("sec-websocket-protocol");
        assert_eq!(answered, [answer], "{offer:?}");
    }
    let target = as_user("/ws/news", 1);
    let offer = [("Sec-WebSocket-Protocol", "chat.v2, other")];
    let socket = Socket::open_with(stage.outrigger.addr(), &target, &offer).await;
    assert_eq!(socket.response.all("sec-websocket-protocol"), ["chat.v2"]);
}

/// A browser sees the code only if one of its offers was taken.
#[tokio::test]
async fn who_is_turned_away_by_a_close_code_sees_it() {
    let refuse = "refuse = { no_token = { close = 4001, reason = \"who?\" } }\n";
    let stage = Stage::new(&endpoint(refuse)).await;
    let mut socket = Socket::open_with(stage.outrigger.addr(), "/ws/news", &[MODERN]).await;
    assert_eq!(
        socket.response.all("sec-websocket-protocol"),
        ["outrigger.v1"]
    );
    assert_eq!(socket.closed().await.code, 4001);
}

#[tokio::test]
async fn a_quiet_client_learns_at_the_heartbeat_how_far_it_has_come() {
    let stage = Stage::new(&endpoint("heartbeat = \"1s\"\n")).await;
    let mut quiet = Modern::new(&stage, 1).await;
    let begins = quiet.position.clone();
    // For somebody else, as far as the quiet one is concerned.
    stage.tell_many("user_2", "news", 0..3).await;
    let message = quiet.message().await;
    let moved = begins.replace(".0-0", ".0-3");
    assert_eq!(message, json!({ "position": moved }));
    // Nothing moves: nothing is said.
    stage.tell("news", "news", &json!({"n": 4})).await;
    quiet.hears([4]).await;
    for _ in 0..2 {
        // Two heartbeats.
        while !matches!(
            quiet.socket.frame().await,
            Some(tokio_tungstenite::tungstenite::Message::Ping(_))
        ) {}
    }
    assert!(quiet.socket.is_silent().await);
}
