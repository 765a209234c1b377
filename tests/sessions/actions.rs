//! What clients' messages cause.

use std::time::Duration;

use serde_json::json;

use super::endpoint;
use crate::harness::{App, Connection, Stage, answer, ok, token};

#[tokio::test]
async fn a_message_calls_the_app_as_the_client() {
    let app = App::answering(|request| match request.target() {
        "/api/read/7%2F..%3F/" => answer(201, r#"{"done": true}"#),
        _ => answer(409, "{}"),
    })
    .await;
    let actions = r#"
[[endpoint.actions]]
when = { action = "read" }
[endpoint.actions.call]
method = "PUT"
path = "/api/read/{message.id}/"
headers = { x-source = "socket-{user.id}" }
body = { user = "{user.id}", at = "{message.at}" }
reply = { type = "marked", id = "{message.id}" }
on_failure = { reply = { type = "error", id = "{message.id}" } }
[[endpoint.actions]]
when = { action = "quiet" }
call = { path = "/api/quiet/" }
"#;
    let stage = Stage::with(app, "", &endpoint(actions)).await;
    let mut socket = stage.open("/ws/news", 3).await;
    socket
        .send(r#"{"action": "read", "id": "7/..?", "at": {"y": 1.50}}"#)
        .await;
    assert_eq!(socket.text().await, r#"{"type":"marked","id":"7/..?"}"#);
    let seen = stage.app.take_seen();
    let request = &seen[0];
    assert_eq!(request.line, "PUT /api/read/7%2F..%3F/ HTTP/1.1");
    assert_eq!(request.text(), r#"{"user":3,"at":{"y":1.50}}"#);
    assert_eq!(
        request.header("content-type").as_deref(),
        Some("application/json")
    );
    assert_eq!(request.header("x-source").as_deref(), Some("socket-3"));
    let bearer = format!("Bearer {}", token(3));
    assert_eq!(request.header("authorization").as_deref(), Some(&*bearer));
    socket.send(r#"{"action": "quiet"}"#).await;
    socket.send(r#"{"action": "read", "id": 8}"#).await;
    assert_eq!(socket.text().await, r#"{"type":"error","id":8}"#);
    assert_eq!(stage.app.seen()[0].line, "POST /api/quiet/ HTTP/1.1");
    for (result, count) in [("ok", 1.0), ("refused", 2.0)] {
        let name = format!("outrigger_calls_total{{reason=\"{result}\"}}");
        stage.outrigger.metric_becomes(&name, count).await;
    }
}

const SLOW: &str = r#"
[[endpoint.actions]]
when = { do = "call" }
call = { path = "/api/{message.n}/", timeout = "10s", reply = { did = "{message.n}" } }
[[endpoint.actions]]
when = { do = "call_briefly" }
call = { path = "/api/brief/", timeout = "200ms", on_failure = { reply_text = "too slow" } }
[[endpoint.actions]]
when = { do = "reply" }
reply = { did = "reply" }
"#;

async fn answer_one(connection: &mut Connection, path: &str) {
    assert_eq!(connection.request().await.target(), path);
    connection.send(ok("{}")).await;
}

#[tokio::test]
async fn messages_keep_their_order_and_a_slow_call_holds_no_frame_back() {
    let stage = Stage::with(App::start().await, "", &endpoint(SLOW)).await;
    let mut socket = stage.open("/ws/news", 1).await;
    socket.send(r#"{"do": "call", "n": 1}"#).await;
    socket.send(r#"{"do": "call", "n": 2}"#).await;
    socket.send(r#"{"do": "reply"}"#).await;
    let mut connection = stage.app.accept().await;
    stage.tell("news", "news", &json!({"n": 1})).await;
    assert_eq!(socket.json().await["type"], "news");
    answer_one(&mut connection, "/api/1/").await;
    assert_eq!(socket.json().await["did"], 1);
    answer_one(&mut connection, "/api/2/").await;
    assert_eq!(socket.json().await["did"], 2);
    assert_eq!(socket.json().await["did"], "reply");
}

#[tokio::test]
async fn a_call_has_a_time_limit() {
    let stage = Stage::with(App::start().await, "", &endpoint(SLOW)).await;
    let mut socket = stage.open("/ws/news", 1).await;
    socket.send(r#"{"do": "call_briefly"}"#).await;
    let _held = stage.app.accept().await;
    assert_eq!(socket.text().await, "too slow");
    let name = "outrigger_calls_total{reason=\"failed\"}";
    stage.outrigger.metric_becomes(name, 1.0).await;
}

#[tokio::test]
async fn what_a_client_said_is_done_though_it_left() {
    let stage = Stage::with(App::start().await, "", &endpoint(SLOW)).await;
    let mut socket = stage.open("/ws/news", 1).await;
    socket.send(r#"{"do": "call", "n": 1}"#).await;
    socket.send(r#"{"do": "call", "n": 2}"#).await;
    socket.close().await;
    let mut connection = stage.app.accept().await;
    answer_one(&mut connection, "/api/1/").await;
    answer_one(&mut connection, "/api/2/").await;
    stage
        .outrigger
        .metric_becomes("outrigger_calls_total{reason=\"ok\"}", 2.0)
        .await;
}

/// More than may wait: reading stops, and the client is not blamed for silence.
#[tokio::test]
async fn who_has_to_wait_for_the_app_is_not_closed_for_it() {
    let more = format!("heartbeat = \"200ms\"\n{SLOW}");
    let stage = Stage::with(App::start().await, "", &endpoint(&more)).await;
    let mut socket = stage.open("/ws/news", 1).await;
    for n in 0..30 {
        socket
            .send(&json!({"do": "call", "n": n}).to_string())
            .await;
    }
    let mut connection = stage.app.accept().await;
    tokio::time::sleep(Duration::from_millis(1000)).await;
    for n in 0..30 {
        answer_one(&mut connection, &format!("/api/{n}/")).await;
        assert_eq!(socket.json().await["did"], n);
    }
}

#[tokio::test]
async fn typing_reaches_all_but_the_typist() {
    let publish = |name: &str, except: &str| {
        format!(
            "[[endpoint.actions]]\nwhen = {{ type = \"{name}\" }}\n[endpoint.actions.publish]\ntype = \"news\"\n\
             topics = [\"news\"]\nephemeral = true\n{except}\ndata = {{ n = \"{{message.n}}\" }}\n"
        )
    };
    let actions = [
        publish("to_all", ""),
        publish("but_self", "except = \"self\""),
        publish("but_user", "except = \"user\""),
    ];
    let stage = Stage::new(&endpoint(&actions.concat())).await;
    let mut typist = stage.open("/ws/news", 1).await;
    let mut tab = stage.open("/ws/news", 1).await;
    let mut other = stage.open("/ws/news", 2).await;
    for (n, kind) in ["but_self", "but_user", "to_all"].into_iter().enumerate() {
        typist
            .send(&json!({"type": kind, "n": n}).to_string())
            .await;
    }
    for (socket, numbers) in [
        (&mut typist, &[2][..]),
        (&mut tab, &[0, 2]),
        (&mut other, &[0, 1, 2]),
    ] {
        for n in numbers {
            assert_eq!(socket.json().await["n"], *n);
        }
    }
    let name = "outrigger_events_total{source=\"action\",result=\"accepted\"}";
    assert_eq!(stage.outrigger.metric(name).await, 3.0);
}

#[tokio::test]
async fn replies_texts_and_silence() {
    let actions = r#"
on_invalid_json = { reply_text = '{"error": "Invalid JSON"}' }
[[endpoint.actions]]
when = { type = "ping" }
reply = { type = "pong", to = "{user.id}", deep = ["{message.a}", "got {message.a}"] }
[[endpoint.actions]]
when = { type = "version" }
reply_text = '{"version":  1}'
[[endpoint.actions]]
when = { type = "heartbeat" }
ignore = true
"#;
    let stage = Stage::new(&endpoint(actions)).await;
    let mut socket = stage.open("/ws/news", 1).await;
    for text in [
        r#"{"type": "heartbeat"}"#,
        r#"{"type": "unheard of"}"#,
        "[1]",
        "{nonsense",
    ] {
        socket.send(text).await;
    }
    assert_eq!(socket.text().await, r#"{"error": "Invalid JSON"}"#);
    socket.send(r#"{"type": "ping", "a": 1.50}"#).await;
    assert_eq!(
        socket.text().await,
        r#"{"type":"pong","to":1,"deep":[1.50,"got 1.50"]}"#
    );
    socket.send(r#"{"type": "version"}"#).await;
    assert_eq!(socket.text().await, r#"{"version":  1}"#);
    for (reason, count) in [("ignored", 1.0), ("no_action", 2.0), ("invalid_json", 1.0)] {
        let name = format!("outrigger_messages_dropped_total{{reason=\"{reason}\"}}");
        assert_eq!(stage.outrigger.metric(&name).await, count, "{reason}");
    }
    assert_eq!(
        stage
            .outrigger
            .metric("outrigger_messages_received_total")
            .await,
        6.0
    );
}
