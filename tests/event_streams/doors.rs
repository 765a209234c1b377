//! Who gets a stream, and what all others get.

use serde_json::json;

use super::{endpoint, open, refused};
use crate::harness::{Client, Events, Stage, as_user, token};

#[tokio::test]
async fn a_token_is_found_where_a_socket_has_it() {
    let stage = Stage::new(&endpoint("")).await;
    let (cookie, bearer) = (
        format!("session={}", token(1)),
        format!("Bearer {}", token(2)),
    );
    for header in [("Cookie", &*cookie), ("Authorization", &*bearer)] {
        let addr = stage.outrigger.addr();
        let mut stream = Events::open(addr, "/ws/news/", &[header]).await;
        stage.tell("news", "news", &json!({"n": 1})).await;
        assert_eq!(stream.json().await["n"], 1, "{header:?}");
    }
}

#[tokio::test]
async fn a_refusal_is_a_status_and_a_reason() {
    let codes = "[endpoint.refuse]\nno_token = { close = 4001, reason = \"log in\" }\n\
                 bad_token = { http = 418 }\nnot_permitted = { close = 4003, reason = \"not yours\" }\n";
    let own = "[[endpoint]]\nname = \"own\"\npath = \"/ws/own/{id}\"\ntopics = []\npermit = { own = \"id\" }\n";
    let stage = Stage::new(&format!("{}{own}{codes}", endpoint(""))).await;
    let no_token = refused(&stage, "/ws/own/1", &[]).await;
    assert_eq!(
        (no_token.status(), no_token.text().as_str()),
        (401, "log in\n")
    );
    assert_eq!(
        refused(&stage, "/ws/own/1?token=x", &[]).await.status(),
        418
    );
    let other = refused(&stage, &as_user("/ws/own/1", 2), &[]).await;
    assert_eq!(
        (other.status(), other.text().as_str()),
        (403, "not yours\n")
    );
}

#[tokio::test]
async fn who_is_turned_away_for_the_moment_is_told_when_to_come_back() {
    let stage = Stage::new(&endpoint("[endpoint.limits]\nmax_sessions = 1\n")).await;
    let _first = open(&stage, 1, &[]).await;
    let second = refused(&stage, &as_user("/ws/news", 1), &[]).await;
    assert_eq!(second.status(), 200, "a browser gives up at any other");
    assert_eq!(
        second.header("content-type").as_deref(),
        Some("text/event-stream")
    );
    let close = r#"{"code":1013,"reason":"try again later"}"#;
    assert_eq!(
        second.text(),
        format!("retry: 5000\nevent: close\ndata: {close}\n\n")
    );
    let reason = "outrigger_sessions_refused_total{reason=\"max_sessions\"}";
    assert_eq!(stage.outrigger.metric(reason).await, 1.0);
    assert_eq!(stage.refused(&as_user("/ws/news", 2), &[]).await, 503);
}

#[tokio::test]
async fn a_page_that_may_connect_may_read() {
    let stage = Stage::new(&endpoint("origins = [\"https://front.example\"]")).await;
    let from = |origin| [("Origin", origin)];
    let stream = open(&stage, 1, &from("https://front.example")).await;
    let allowed = |name: &str| stream.head.header(name);
    assert_eq!(
        allowed("access-control-allow-origin").as_deref(),
        Some("https://front.example")
    );
    assert_eq!(
        allowed("access-control-allow-credentials").as_deref(),
        Some("true")
    );
    assert_eq!(allowed("vary").as_deref(), Some("origin"));
    let target = as_user("/ws/news", 1);
    let foreign = refused(&stage, &target, &from("https://evil.example")).await;
    assert_eq!(foreign.status(), 403);
    assert_eq!(foreign.header("access-control-allow-origin"), None);
    let hidden = refused(&stage, &target, &[("Sec-Fetch-Site", "cross-site")]).await;
    assert_eq!(hidden.status(), 403, "a foreign page that does not say so");
    open(&stage, 1, &[("Sec-Fetch-Site", "same-origin")]).await;
}

#[tokio::test]
async fn all_other_requests_are_the_apps() {
    let off = "[[endpoint]]\nname = \"off\"\npath = \"/ws/off\"\ntopics = []\nrollout = \"off\"\n";
    let stage = Stage::new(&format!("{}{off}", endpoint(""))).await;
    let target = as_user("/ws/news", 1);
    for (method, target, accept) in [
        ("HEAD", &*target, "text/event-stream"),
        ("GET", &target, "*/*"),
        ("GET", &as_user("/ws/off", 1), "text/event-stream"),
        ("GET", "/elsewhere", "text/event-stream"),
    ] {
        let mut client = Client::connect(stage.outrigger.addr()).await;
        let asked = format!(
            "{method} {target} HTTP/1.1\r\nHost: outrigger.test\r\nAccept: {accept}\r\n\r\n"
        );
        assert_eq!(client.exchange(asked).await.status(), 200);
        let seen = stage.app.take_seen();
        assert_eq!(
            (seen.len(), seen[0].method(), seen[0].target()),
            (1, method, target)
        );
    }
    assert_eq!(
        stage
            .outrigger
            .metric("outrigger_sessions_opened_total")
            .await,
        0.0
    );
}

/// HTTP/1.0 has no chunks: the end of the connection is the end of the stream.
#[tokio::test]
async fn an_old_client_gets_a_stream_too() {
    let stage = Stage::new(&endpoint("")).await;
    let mut client = Client::connect(stage.outrigger.addr()).await;
    let target = as_user("/ws/news", 1);
    client
        .send(format!(
            "GET {target} HTTP/1.0\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n"
        ))
        .await;
    let head = client.response_head().await;
    assert_eq!(
        (head.status(), head.header("transfer-encoding")),
        (200, None)
    );
    client.read_until(b"\n\n").await;
    stage.tell("news", "news", &json!({"n": 1})).await;
    client
        .read_until(b"data: {\"type\":\"news\",\"n\":1}\n\n")
        .await;
}
