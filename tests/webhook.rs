//! The webhook through the front door: what is accepted reaches sockets, what is
//! not is told why.

use serde_json::{Value, json};

use crate::harness::{
    App, HOOK_SECRET, Message, Outrigger, Socket, Stage, now, ok, webhook_headers,
    webhook_signature,
};

const ENDPOINTS: &str = r#"
[[endpoint]]
name = "a"
path = "/ws/a"
topics = ["shared", "user_{user.id}"]
frames = { "*" = { type = "{event.type}", id = "{event.id}", data = "{data}" } }
"#;

async fn stage() -> Stage {
    Stage::new(ENDPOINTS).await
}

/// Posts a body of a media type, signed now.
async fn post(outrigger: &Outrigger, id: &str, kind: &str, body: &[u8]) -> Message {
    post_with(
        outrigger,
        kind,
        body,
        &webhook_headers(HOOK_SECRET, id, body),
    )
    .await
}

async fn post_with(outrigger: &Outrigger, kind: &str, body: &[u8], headers: &str) -> Message {
    let length = body.len();
    let head = format!(
        "POST /outrigger/events HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{headers}\r\n"
    );
    let mut client = outrigger.connect().await;
    client.exchange([head.as_bytes(), body].concat()).await
}

fn results(answer: &Message) -> Vec<(String, String)> {
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    let pair = |result: &Value| {
        let text = |key: &str| result[key].as_str().unwrap_or_default().to_owned();
        (text("id"), text("result"))
    };
    body["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(pair)
        .collect()
}

fn all(result: &str, ids: &[&str]) -> Vec<(String, String)> {
    ids.iter()
        .map(|id| ((*id).to_owned(), result.to_owned()))
        .collect()
}

async fn hears(socket: &mut Socket, kind: &str, id: &str, data: Value) {
    let frame = socket.json().await;
    assert_eq!(frame, json!({"type": kind, "id": id, "data": data}));
}

#[tokio::test]
async fn every_form_of_a_message_reaches_the_socket() {
    let stage = stage().await;
    let outrigger = &stage.outrigger;
    let mut socket = stage.open("/ws/a", 1).await;
    let json = "application/json";
    let one = br#"{"type": "x", "topics": ["shared"], "data": {"deep": [1.0, "\u00e9"]}}"#;
    let answer = post(outrigger, "m1", json, one).await;
    assert_eq!(
        (answer.status(), results(&answer)),
        (202, all("accepted", &["m1"]))
    );
    assert_eq!(
        socket.text().await,
        r#"{"type":"x","id":"m1","data":{"deep":[1.0,"é"]}}"#
    );
    let batch = br#"{"events": [{"type": "x", "topics": ["shared"]}, {"id": "own", "type": "y", "topics": ["shared"]}]}"#;
    let answer = post(outrigger, "m2", json, batch).await;
    let ids: Vec<_> = results(&answer).into_iter().map(|(id, _)| id).collect();
    assert_eq!((ids.len(), &*ids[1]), (2, "own"));
    hears(&mut socket, "x", &ids[0], Value::Null).await;
    hears(&mut socket, "y", "own", Value::Null).await;
    let lines = b"{\"id\": \"l1\", \"type\": \"x\", \"topics\": [\"shared\"]}\n{\"id\": \"l2\", \"type\": \"x\", \"topics\": [\"shared\"]}\n";
    let answer = post(outrigger, "m3", "application/x-ndjson", lines).await;
    assert_eq!(results(&answer), all("accepted", &["l1", "l2"]));
    hears(&mut socket, "x", "l1", Value::Null).await;
    hears(&mut socket, "x", "l2", Value::Null).await;
    let cloud = br#"{"specversion": "1.0", "id": "c1", "source": "/app", "type": "x", "subject": "shared", "data": 5}"#;
    let answer = post(outrigger, "m4", "application/cloudevents+json", cloud).await;
    assert_eq!(results(&answer), all("accepted", &["c1"]));
    hears(&mut socket, "x", "c1", json!(5)).await;
    let clouds = [b"[", &cloud[..], b"]"].concat();
    let kind = "application/cloudevents-batch+json; charset=utf-8";
    let answer = post(outrigger, "m5", kind, &clouds).await;
    assert_eq!(
        (answer.status(), results(&answer)),
        (202, all("duplicate", &["c1"]))
    );
}

#[tokio::test]
async fn the_same_id_is_delivered_once() {
    let stage = stage().await;
    let mut socket = stage.open("/ws/a", 1).await;
    let event = |id: &str| json!({"id": id, "type": "x", "topics": ["shared"]}).to_string();
    let post = async |message: &str, id: &str| {
        let body = event(id);
        let answer = post(
            &stage.outrigger,
            message,
            "application/json",
            body.as_bytes(),
        )
        .await;
        results(&answer)
    };
    assert_eq!(post("m1", "e1").await, all("accepted", &["e1"]));
    assert_eq!(post("m2", "e1").await, all("duplicate", &["e1"]));
    assert_eq!(post("m1", "e2").await, all("accepted", &["e2"]));
    hears(&mut socket, "x", "e1", Value::Null).await;
    hears(&mut socket, "x", "e2", Value::Null).await;
    let name = "outrigger_events_total{source=\"webhook\",result=\"duplicate\"}";
    assert_eq!(stage.outrigger.metric(name).await, 1.0);
}

#[tokio::test]
async fn an_event_is_for_whom_it_says() {
    let stage = stage().await;
    let mut sockets = Vec::new();
    for user in [1, 2, 3] {
        sockets.push(stage.open("/ws/a", user).await);
    }
    let events = [
        (json!({"users": [1, "2"]}), vec![1, 2]),
        (json!({"topics": ["shared"], "users": [2, 3]}), vec![2, 3]),
        (
            json!({"topics": ["shared"], "except": {"users": [1]}}),
            vec![2, 3],
        ),
        (
            json!({"topics": ["shared", "user_1"], "ephemeral": true}),
            vec![1, 2, 3],
        ),
        (json!({"topics": ["nobody"]}), vec![]),
        (json!({"topics": ["shared"]}), vec![1, 2, 3]),
    ];
    for (n, (event, _)) in events.iter().enumerate() {
        let mut event = event.clone();
        event["type"] = json!("x");
        event["data"] = json!(n);
        stage.publish(&event).await;
    }
    for (user, socket) in (1..).zip(&mut sockets) {
        for (n, (_, users)) in events.iter().enumerate() {
            if users.contains(&user) {
                assert_eq!(socket.json().await["data"], n, "user {user}");
            }
        }
    }
    let unheard = "outrigger_events_unheard_total{result=\"nobody_subscribed\"}";
    assert_eq!(stage.outrigger.metric(unheard).await, 1.0);
}

#[tokio::test]
async fn what_is_not_signed_as_it_should_be_reaches_nobody() {
    let stage = stage().await;
    let outrigger = &stage.outrigger;
    let mut socket = stage.open("/ws/a", 1).await;
    let body = br#"{"type": "x", "topics": ["shared"]}"#;
    let json = "application/json";
    let signed = |secret: &str, at: u64| {
        let signature = webhook_signature(secret, "m", at, body);
        format!("webhook-id: m\r\nwebhook-timestamp: {at}\r\nwebhook-signature: {signature}\r\n")
    };
    let bad = signed("another-secret-of-quite-a-good-length", now());
    let (old, new) = (
        signed(HOOK_SECRET, now() - 600),
        signed(HOOK_SECRET, now() + 600),
    );
    for (headers, word) in [
        (&*bad, "bad_signature"),
        ("", "unsigned"),
        (&old, "too_old"),
        (&new, "too_new"),
    ] {
        let answer = post_with(outrigger, json, body, headers).await;
        assert_eq!(answer.status(), 401, "{word}");
        let name = format!("outrigger_events_total{{result=\"{word}\"}}");
        assert_eq!(outrigger.metric(&name).await, 1.0, "{word}");
    }
    stage.tell("shared", "good", &Value::Null).await;
    assert_eq!(socket.json().await["type"], "good", "nothing came before");
}

#[tokio::test]
async fn a_body_that_cannot_be_used_is_refused_with_its_fault() {
    let stage = stage().await;
    let outrigger = &stage.outrigger;
    let mut socket = stage.open("/ws/a", 1).await;
    let json = "application/json";
    let answer = post(outrigger, "m", json, b"{\"type\": \"x\",\n  oops}").await;
    assert_eq!(answer.status(), 400);
    assert!(
        answer.text().contains("line 2 column 3"),
        "{}",
        answer.text()
    );
    let answer = post(
        outrigger,
        "m",
        json,
        br#"{"events": [{"type": "x"}, {"typ": "x"}]}"#,
    )
    .await;
    assert_eq!(answer.status(), 422, "{}", answer.text());
    assert!(
        answer.text().contains("for nobody") && answer.text().contains("`typ`"),
        "{}",
        answer.text()
    );
    let large = vec![b' '; 1024 * 1024 + 1];
    let mut client = outrigger.connect().await;
    let head = format!(
        "POST /outrigger/events HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
        large.len()
    );
    assert_eq!(client.exchange(head).await.status(), 413);
    let mut client = outrigger.connect().await;
    client
        .send("POST /outrigger/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    let chunk = [
        format!("{:x}\r\n", large.len()).as_bytes(),
        &large,
        b"\r\n0\r\n\r\n",
    ]
    .concat();
    client.try_send(chunk).await.ok();
    assert_eq!(client.response("POST").await.status(), 413);
    assert_eq!(
        outrigger
            .connect()
            .await
            .get("/outrigger/events")
            .await
            .status(),
        405
    );
    stage.tell("shared", "good", &Value::Null).await;
    assert_eq!(socket.json().await["type"], "good", "nothing came before");
}

#[tokio::test]
async fn both_secrets_hold_while_one_is_exchanged() {
    let app = App::answering(|_| ok("{}")).await;
    let config = format!(
        "{}[source.webhook]\nsecrets_env = [\"NEW\", \"OLD\"]\n",
        app.config()
    );
    let secrets = [
        "a-new-secret-of-quite-a-good-length!",
        "an-old-secret-of-quite-a-good-length",
    ];
    let env = [("NEW", secrets[0]), ("OLD", secrets[1])];
    let outrigger = Outrigger::start_with(&config, &env, &[]).await;
    let body = br#"{"type": "x", "topics": ["shared"]}"#;
    for (secret, status) in [(secrets[0], 202), (secrets[1], 202), (HOOK_SECRET, 401)] {
        let headers = webhook_headers(secret, &status.to_string(), body);
        let answer = post_with(&outrigger, "application/json", body, &headers).await;
        assert_eq!(answer.status(), status);
    }
}

/// A message that was under way when the stop began is taken, and reaches those who
/// are still here; one whose head comes after that is told to come back.
#[tokio::test]
async fn a_process_that_stops_takes_what_was_under_way_and_no_more() {
    let stop = "[stop]\nnotice = \"0s\"\nspread = \"3s\"\ndeadline = \"8s\"\n";
    let app = App::answering(|_| ok("{}")).await;
    let mut stage = Stage::with(app, stop, ENDPOINTS).await;
    let mut sockets = Vec::new();
    for user in 0..10 {
        sockets.push(stage.open("/ws/a", user).await);
    }
    let body = br#"{"type": "x", "topics": ["shared"]}"#;
    let head = |id: &str| {
        let headers = webhook_headers(HOOK_SECRET, id, body);
        let length = body.len();
        format!(
            "POST /outrigger/events HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n{headers}"
        )
    };
    let (mut early, mut late) = (
        stage.outrigger.connect().await,
        stage.outrigger.connect().await,
    );
    early.send(head("early") + "\r\n").await;
    late.send(head("late")).await;
    let in_flight = "outrigger_requests_in_flight";
    stage.outrigger.metric_becomes(in_flight, 1.0).await;
    stage.outrigger.signal("TERM").await;
    stage
        .outrigger
        .metric_becomes("outrigger_stop_phase", 3.0)
        .await;
    early.send(body).await;
    assert_eq!(early.response("POST").await.status(), 202);
    late.try_send([b"\r\n", &body[..]].concat()).await.ok();
    if let Some(answer) = late.next_response("POST").await {
        assert_eq!(
            (answer.status(), answer.header("retry-after").is_some()),
            (503, true)
        );
    }
    let mut heard = 0;
    for socket in &mut sockets {
        heard += usize::from(matches!(socket.frame().await, Some(frame) if frame.is_text()));
    }
    assert!(heard > 0, "nobody was left to hear it");
    drop((sockets, early, late));
    assert!(stage.outrigger.exit().await.success());
}
