//! Which exchanges become which events.

use flate2::{Compression, write::GzEncoder};
use serde_json::json;
use std::io::Write;

use super::{RULE, bearer, exchange, listen, message, message_of, request, skipped, stage};
use crate::harness::{answer, ok};

#[tokio::test]
async fn an_answer_becomes_an_event_after_the_client_has_it() {
    let stage = stage(answer(201, r#"{"id": 7, "content": "hello"}"#), RULE).await;
    let mut socket = listen(&stage).await;
    let answered = exchange(&stage, &message("1", r#"{"content": "hello"}"#)).await;
    assert_eq!(answered.status(), 201);
    assert_eq!(answered.text(), r#"{"id": 7, "content": "hello"}"#);
    let wanted = json!({"type": "message", "data": {"id": 7, "content": "hello"}});
    assert_eq!(socket.json().await, wanted);
    let name = "outrigger_exchanges_total{rule=\"POST /chats/{chat_id}/messages: message\"}";
    let admin = stage.outrigger.admin("/routes").await.1;
    assert!(admin.contains(r#""accepted": 1"#), "{admin}");
    let text = stage.outrigger.admin("/metrics").await.1;
    assert!(text.contains(name.split_once('}').unwrap().0), "{text}");
}

#[tokio::test]
async fn request_path_query_status_and_claims_are_in_reach() {
    let rule = r#"
[[source.exchange]]
on = { method = ["POST", "PUT"], path = "/chats/{chat_id:int}/messages", status = [200, "4xx"] }
event = { type = "message", topics = ["chat_{chat_id}"], data = { a = "{request.a}", b = "{query.b}", c = "{status}", d = "{user.id}", e = "{claims.user_id}", f = "{chat_id}", g = "{response}" } }
"#;
    let stage = stage(answer(418, r#"{"x": [1.50, null]}"#), rule).await;
    let mut socket = listen(&stage).await;
    let head = format!("Content-Type: application/json\r\n{}", bearer(9));
    let asked = request(
        "PUT",
        "/chats/1/messages/?b=c%20d",
        &head,
        r#"{"a": 12345678901234567890.10}"#,
    );
    exchange(&stage, &asked).await;
    assert_eq!(
        socket.text().await,
        r#"{"type":"message","data":{"a":12345678901234567890.10,"b":"c d","c":418,"d":9,"e":9,"f":1,"g":{"x":[1.50,null]}}}"#
    );
}

#[tokio::test]
async fn a_form_is_read_like_json() {
    let rule = &RULE.replace(r#""{response}""#, r#""{request}""#);
    let stage = stage(answer(204, ""), rule).await;
    let mut socket = listen(&stage).await;
    let head = "Content-Type: application/x-www-form-urlencoded; charset=utf-8\r\n";
    let form = "content=hello+w%C3%B6rld&tag=a&tag=b";
    exchange(&stage, &request("POST", "/chats/1/messages", head, form)).await;
    let wanted = json!({"content": "hello wörld", "tag": ["a", "b"]});
    assert_eq!(socket.json().await["data"], wanted);
}

#[tokio::test]
async fn users_may_come_as_a_list_and_the_caller_may_be_left_out() {
    let rule = r#"
[[source.exchange]]
on = { path = "/chats/{chat_id}/messages" }
event = { type = "message", users = ["{response.members}", "{request.also}"], except = "user", data = { n = 1 } }
"#;
    let stage = stage(ok(r#"{"members": [1, "2"]}"#), rule).await;
    let mut sockets = Vec::new();
    for user in 1..=4 {
        sockets.push(stage.open("/ws/chat/1", user).await);
    }
    exchange(&stage, &message_of(1, "1", r#"{"also": 3}"#)).await;
    let accepted = "outrigger_exchanges_total{result=\"accepted\"}";
    stage.outrigger.metric_becomes(accepted, 1.0).await;
    stage.tell("all", "message", &json!({"n": 2})).await;
    for (socket, wanted) in sockets
        .iter_mut()
        .zip([vec![2], vec![1, 2], vec![1, 2], vec![2]])
    {
        for n in wanted {
            assert_eq!(socket.json().await["data"], json!({"n": n}));
        }
    }
}

#[tokio::test]
async fn one_answer_may_be_several_events() {
    let rule = r#"
[[source.exchange]]
on = { path = "/chats/{chat_id}/messages" }
each = "/items/*"
event = { type = "message", topics = ["chat_{each.chat}"], data = { n = "{each.n}", all = "{response.all}" } }
"#;
    let stage = stage(
        ok(r#"{"items": [{"chat": 1, "n": 1}, {"n": 2}, {"chat": 1, "n": 3}], "all": 3}"#),
        rule,
    )
    .await;
    let mut socket = listen(&stage).await;
    exchange(&stage, &message("1", "{}")).await;
    for n in [1, 3] {
        assert_eq!(socket.json().await["data"], json!({"n": n, "all": 3}));
    }
    skipped(&stage, "missing").await;
}

#[tokio::test]
async fn an_id_of_the_app_makes_a_second_exchange_a_duplicate() {
    let rule = RULE.replace("type = ", r#"id = "{response.id}", type = "#);
    let stage = stage(ok(r#"{"id": 7}"#), &rule).await;
    exchange(&stage, &message("1", "{}")).await;
    exchange(&stage, &message("1", "{}")).await;
    let duplicates = "outrigger_events_total{source=\"exchange\",result=\"duplicate\"}";
    stage.outrigger.metric_becomes(duplicates, 1.0).await;
    let accepted = "outrigger_events_total{source=\"exchange\",result=\"accepted\"}";
    assert!((stage.outrigger.metric(accepted).await - 1.0).abs() < 1e-9);
}

#[tokio::test]
async fn what_is_for_no_rule_is_no_event_and_is_not_counted() {
    let rule = RULE.replace(
        "event =",
        "when = { request.kind = \"chat\", \"response.ok\" = true }\nevent =",
    );
    let app = crate::harness::App::answering(|request| match request.text().contains("refuse") {
        true => answer(422, r#"{"ok": true}"#),
        false => ok(r#"{"ok": true, "n": 1}"#),
    })
    .await;
    let stage = crate::harness::Stage::with(app, &rule, super::ENDPOINT).await;
    let mut socket = listen(&stage).await;
    let fits = r#"{"kind": "chat"}"#;
    exchange(&stage, &message("1", r#"{"kind": "chat", "do": "refuse"}"#)).await;
    exchange(&stage, &message("1", r#"{"kind": "note"}"#)).await;
    exchange(&stage, &message("1/x", fits)).await;
    exchange(&stage, &request("PUT", "/chats/1/messages", "", fits)).await;
    exchange(&stage, &message("1", fits)).await;
    assert_eq!(socket.json().await["data"]["n"], 1);
    assert!(socket.is_silent().await);
    let all = stage.outrigger.metric("outrigger_exchanges_total").await;
    assert!((all - 1.0).abs() < 1e-9);
}

#[tokio::test]
async fn what_cannot_be_an_event_is_skipped_with_its_reason() {
    let small = RULE.replace("event =", "max_body = 10\nevent =");
    let about_request = RULE.replace(r#""{response}""#, r#""{request}""#);
    let about_user = RULE.replace(r#""{response}""#, r#""{user.id}""#);
    let topic = RULE.replace("chat_{chat_id}\"", "chat_{response.none}\"");
    let users = RULE.replace("data =", "users = [\"{response.nobody}\"], data =");
    let gzip = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nxx";
    for (reason, answer, rule) in [
        ("response_not_json", ok("<p>hello</p>"), RULE),
        ("response_empty", answer(204, ""), RULE),
        (
            "response_too_large",
            ok(r#"{"long": "very long"}"#),
            &*small,
        ),
        ("response_compressed", gzip.into(), RULE),
        ("request_not_json", ok("{}"), &*about_request),
        ("missing", ok("{}"), &*topic),
        ("rejected", ok(r#"{"nobody": []}"#), &*users),
        ("no_user", ok("{}"), &*about_user),
    ] {
        let stage = stage(answer, rule).await;
        let answered = exchange(&stage, &message("1", "--multipart")).await;
        assert!(answered.status() < 300);
        skipped(&stage, reason).await;
        assert!(stage.outrigger.admin("/routes").await.1.contains(reason));
    }
}

#[tokio::test]
async fn a_compressed_answer_is_read_where_that_is_asked_for() {
    let rule = RULE.replace("event =", "decompress = true\nevent =");
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(br#"{"n": 1}"#).unwrap();
    let body = gzip.finish().unwrap();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let stage = stage([head.as_bytes(), &body].concat(), &rule).await;
    let mut socket = listen(&stage).await;
    let answered = exchange(&stage, &message("1", "{}")).await;
    assert_eq!(answered.body, body, "the client gets it as it came");
    assert_eq!(socket.json().await["data"]["n"], 1);
}

#[tokio::test]
async fn a_bomb_is_not_unpacked() {
    let rule = RULE.replace("event =", "decompress = true\nevent =");
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    for _ in 0..50 {
        gzip.write_all(&[b' '; 1 << 20]).unwrap();
    }
    let body = gzip.finish().unwrap();
    assert!(body.len() < 64 << 10);
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let stage = stage([head.as_bytes(), &body].concat(), &rule).await;
    exchange(&stage, &message("1", "{}")).await;
    skipped(&stage, "response_too_large").await;
}

#[tokio::test]
async fn a_token_that_does_not_verify_names_nobody() {
    let rule = RULE.replace(r#""{response}""#, r#""{user.id}""#);
    let stage = stage(ok("{}"), &rule).await;
    let forged = crate::harness::jwt("another secret of a good length", &json!({"user_id": 1}));
    let head = format!("Authorization: Bearer {forged}\r\n");
    exchange(&stage, &request("POST", "/chats/1/messages", &head, "{}")).await;
    skipped(&stage, "no_user").await;
}

#[tokio::test]
async fn rules_change_with_the_file() {
    let stage = stage(ok(r#"{"n": 1}"#), RULE).await;
    let mut socket = listen(&stage).await;
    exchange(&stage, &message("1", "{}")).await;
    assert_eq!(socket.json().await["data"], json!({"n": 1}));
    let config = stage.config(super::ENDPOINT);
    let changed = config.replace(r#"data = "{response}""#, r#"data = "changed""#);
    stage.outrigger.rewrite(&changed);
    stage.outrigger.logs().message("Reloaded").await;
    exchange(&stage, &message("1", "{}")).await;
    assert_eq!(socket.json().await["data"], json!("changed"));
}
