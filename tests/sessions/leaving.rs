//! What a client said before it left, and what it is sent before it goes.

use std::time::Duration;

use serde_json::json;
use tokio_tungstenite::tungstenite::{Bytes, Message as Frame};

use super::endpoint;
use crate::harness::{App, Stage, TOKEN_SECRET, jwt, now, ok, until};

const CALL: &str = "[[endpoint.actions]]\nwhen = {}\ncall = { path = \"/api/{message.n}/\" }\n";

/// An app that takes a moment for each call.
async fn slow_app() -> App {
    App::answering(|_| {
        std::thread::sleep(Duration::from_millis(50));
        ok("{}")
    })
    .await
}

async fn heard(stage: &Stage, count: usize) {
    let is = || async { stage.app.seen().len() >= count };
    until(&format!("{count} calls"), is).await;
    let targets: Vec<_> = stage
        .app
        .seen()
        .iter()
        .map(|one| one.target().to_owned())
        .collect();
    let expected: Vec<_> = (0..count).map(|n| format!("/api/{n}/")).collect();
    assert_eq!(targets, expected);
}

#[tokio::test]
async fn what_a_client_says_before_it_leaves_is_heard() {
    let stage = Stage::with(slow_app().await, "", &endpoint(CALL)).await;
    let mut socket = stage.open("/ws/news", 1).await;
    for n in 0..5 {
        socket.send(&json!({ "n": n }).to_string()).await;
    }
    socket.close().await;
    heard(&stage, 5).await;
}

#[tokio::test]
async fn what_a_client_says_before_it_is_sent_home_is_heard() {
    let tables = "[stop]\nspread = \"0s\"\n";
    let mut stage = Stage::with(slow_app().await, tables, &endpoint(CALL)).await;
    let mut socket = stage.open("/ws/news", 1).await;
    for n in 0..5 {
        socket.send(&json!({ "n": n }).to_string()).await;
    }
    let received = "outrigger_messages_received_total";
    stage.outrigger.metric_becomes(received, 5.0).await;
    stage.outrigger.signal("TERM").await;
    assert_eq!(
        socket.closed().await,
        super::closed(1012, "service restart")
    );
    heard(&stage, 5).await;
    assert!(stage.outrigger.exit().await.success());
}

#[tokio::test]
async fn who_breaks_the_rules_or_may_no_longer_speak_is_not_heard_out() {
    // The app answers nothing: the first call is under way when the sessions end.
    let app = App::start().await;
    let stage = Stage::with(app, "", &endpoint(CALL)).await;
    let token = jwt(TOKEN_SECRET, &json!({"user_id": 2, "exp": now() + 2}));
    let mut breaks = stage.open("/ws/news", 1).await;
    let target = format!("/ws/news?token={token}");
    let mut expires = stage.connect(&target, &[]).await.ok().unwrap();
    let mut calls = Vec::new();
    for socket in [&mut breaks, &mut expires] {
        for n in 0..3 {
            socket.send(&json!({ "n": n }).to_string()).await;
        }
        let mut call = stage.app.accept().await;
        assert_eq!(call.request().await.target(), "/api/0/");
        calls.push(call);
    }
    let received = "outrigger_messages_received_total";
    stage.outrigger.metric_becomes(received, 6.0).await;
    breaks
        .send_frame(Frame::Binary(Bytes::from_static(b"no")))
        .await;
    assert_eq!(breaks.closed().await.code, 1003);
    assert_eq!(expires.closed().await.code, 4001);
    drop(calls);
    assert!(stage.app.accept_soon().await.is_none());
}
