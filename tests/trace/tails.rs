//! Reading along on the admin port.

use serde_json::{Value, json};

use super::{endpoints, publish};
use crate::harness::{App, Client, Stage, ok};

/// An open tail.
struct Tail(Client);

impl Tail {
    async fn open(stage: &Stage, query: &str) -> Self {
        let mut tail = Self(Client::connect(stage.outrigger.admin_addr()).await);
        tail.0
            .send(format!("GET /tail?{query} HTTP/1.1\r\nHost: x\r\n\r\n"))
            .await;
        let head = tail.0.response_head().await;
        assert_eq!(head.status(), 200, "{}", head.line);
        assert_eq!(
            head.header("content-type").as_deref(),
            Some("application/x-ndjson")
        );
        tail
    }

    /// The next line that is no sign of life.
    async fn line(&mut self) -> Value {
        loop {
            // Sizes of chunks stand between.
            let line = self.0.read_until(b"\n").await;
            match serde_json::from_slice::<Value>(&line) {
                Ok(told) if told.is_object() && told["reached"].is_null() => return told,
                _ => {}
            }
        }
    }

    async fn id(&mut self) -> String {
        let line = self.line().await;
        line["id"]
            .as_str()
            .unwrap_or_else(|| panic!("{line}"))
            .to_owned()
    }
}

#[tokio::test]
async fn a_tail_shows_what_its_filters_let_through() {
    let stage = Stage::new(&endpoints("")).await;
    let _socket = stage.open("/ws/news", 7).await;
    let mut all = Tail::open(&stage, "").await;
    let mut typed = Tail::open(&stage, "type=other&type=third").await;
    let mut topic = Tail::open(&stage, "topic=user_7").await;
    let mut user = Tail::open(&stage, "user=7").await;
    let mut endpoint = Tail::open(&stage, "endpoint=deaf&data=1").await;
    publish(&stage, "a", &json!({"topics": ["user_7"]})).await;
    publish(
        &stage,
        "b",
        &json!({"type": "other", "topics": ["news", "else"]}),
    )
    .await;
    publish(
        &stage,
        "c",
        &json!({"topics": ["user_8"], "users": [7], "ephemeral": true}),
    )
    .await;
    let first = all.line().await;
    assert_eq!(
        (&first["id"], &first["subscribed"], &first["topics"]),
        (&json!("a"), &json!(1), &json!(["user_7"]))
    );
    assert_eq!(first.get("data"), None, "payloads are private");
    assert_eq!((all.id().await, all.id().await), ("b".into(), "c".into()));
    assert_eq!(typed.id().await, "b");
    assert_eq!(topic.id().await, "a");
    assert_eq!((user.id().await, user.id().await), ("a".into(), "c".into()));
    assert_eq!(endpoint.line().await["data"], json!({"n": "b"}));
    // Where one ends another goes on.
    let since = format!("since={}", first["position"].as_str().unwrap());
    let mut later = Tail::open(&stage, &since).await;
    assert_eq!(
        (later.id().await, later.id().await),
        ("b".into(), "c".into())
    );
}

#[tokio::test]
async fn there_are_few_tails_and_they_end_with_the_process() {
    let stage = Stage::new(&endpoints("")).await;
    let mut tails = Vec::new();
    for _ in 0..8 {
        tails.push(Tail::open(&stage, "").await);
    }
    let (status, said) = stage.outrigger.admin("/tail").await;
    assert_eq!(
        (status, said.as_str()),
        (503, "8 tails are running; end one of them.\n")
    );
    stage
        .outrigger
        .metric_becomes("outrigger_tails_total{result=\"refused\"}", 1.0)
        .await;
    // One that leaves makes room.
    drop(tails.pop());
    super::until("there is room again", || async {
        let mut client = Client::connect(stage.outrigger.admin_addr()).await;
        client.send("GET /tail HTTP/1.1\r\nHost: x\r\n\r\n").await;
        client.response_head().await.status() == 200
    })
    .await;
    stage.outrigger.signal("TERM").await;
    assert_eq!(tails[0].line().await["end"], "Outrigger stops");
}

#[tokio::test]
async fn a_tail_that_does_not_keep_up_skips_and_says_how_many() {
    let memory = "[feed.memory]\nmax_events = 20\n";
    let stage = Stage::with(App::answering(|_| ok("{}")).await, memory, &endpoints("")).await;
    let mut client = Client::connect_narrow(stage.outrigger.admin_addr()).await;
    client
        .send("GET /tail?data=1 HTTP/1.1\r\nHost: x\r\n\r\n")
        .await;
    assert_eq!(client.response_head().await.status(), 200);
    // It has begun: it says so.
    client.read_until(b"reached").await;
    let mut tail = Tail(client);
    let filling = "x".repeat(60_000);
    for n in 0..200 {
        publish(&stage, &format!("e{n}"), &json!({"data": filling})).await;
    }
    let (mut shown, mut skipped) = (0, 0);
    while shown + skipped < 200 {
        let line = tail.line().await;
        match line["skipped"].as_u64() {
            Some(count) => skipped += count,
            None => {
                assert_eq!(line["id"], format!("e{}", shown + skipped));
                shown += 1;
            }
        }
    }
    assert!(
        skipped > 0 && shown > 20,
        "{shown} shown, {skipped} skipped"
    );
    let counted = stage.outrigger.metric("outrigger_tail_skipped_total").await;
    assert!((counted - skipped as f64).abs() < 0.5);
}
