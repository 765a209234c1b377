//! What a stream says.

use serde_json::json;

use super::{endpoint, open};
use crate::{
    harness::{App, Client, Events, HOOK_SECRET, Stage, as_user, ok, post_text},
    sessions::slow::burst,
};

/// Events of 60 kB, more than a connection holds on its way.
const BURST: u64 = 120;

#[tokio::test]
async fn a_stream_has_the_frames_of_a_socket_each_with_its_position() {
    let stage = Stage::new(&endpoint("welcome = { hello = \"{user.id}\" }")).await;
    let mut stream = stage.events("/ws/news", 1).await;
    let mut socket = stage.open("/ws/news", 1).await;
    let hello = stream.data().await;
    assert_eq!(
        (hello.as_str(), socket.text().await.as_str()),
        (r#"{"hello":1}"#, hello.as_str())
    );
    let mut last = stream.last_id.clone();
    assert!(!last.is_empty(), "the place where it begins");
    for (topic, n) in [("user_1", 1), ("user_2", 2), ("news", 3), ("user_1", 4)] {
        stage.tell(topic, "news", &json!({ "n": n })).await;
        if topic != "user_2" {
            let said = stream.next().await.unwrap();
            assert_eq!(said.data, socket.text().await);
            assert_ne!(said.id, last, "an id of its own");
            last = said.id;
        }
    }
    let head = &stream.head;
    assert_eq!(
        head.header("content-type").as_deref(),
        Some("text/event-stream")
    );
    assert_eq!(head.header("cache-control").as_deref(), Some("no-store"));
    assert_eq!(head.header("x-accel-buffering").as_deref(), Some("no"));
    assert!(
        stream
            .retry
            .is_some_and(|pause| (1000..=3000).contains(&pause))
    );
}

#[tokio::test]
async fn line_ends_in_the_data_do_not_end_the_event() {
    let whole = "[[endpoint]]\nname = \"all\"\npath = \"/ws/all\"\ntopics = [\"all\"]\nframes = { any = \"{data}\" }\n";
    let stage = Stage::new(whole).await;
    let mut stream = stage.events("/ws/all", 1).await;
    let data = "{\"a\":\n [1,\r\n 2]}";
    let body = format!("{{\"type\":\"any\",\"topics\":[\"all\"],\"data\":{data}}}");
    let posted = post_text(stage.outrigger.addr(), HOOK_SECRET, "raw", &body).await;
    assert_eq!(posted.status(), 202);
    assert_eq!(stream.json().await, json!({"a": [1, 2]}));
}

#[tokio::test]
async fn a_quiet_stream_stays_near_the_head() {
    let stage = Stage::new(&endpoint("heartbeat = \"200ms\"")).await;
    let mut stream = stage.events("/ws/news", 1).await;
    let first = stream.quiet_id().await;
    stage.tell("user_2", "news", &json!({"n": 1})).await;
    assert_ne!(stream.quiet_id().await, first);
    stage.tell("user_1", "news", &json!({"n": 2})).await;
    assert_eq!(stream.json().await["n"], 2, "and needs no pong to live");
}

#[tokio::test]
async fn a_slow_reader_falls_behind_and_is_caught_up() {
    let stage = Stage::new(&endpoint("[endpoint.limits]\noutbox_frames = 4\n")).await;
    let narrow = Client::connect_narrow(stage.outrigger.addr()).await;
    let slow = Events::over(narrow, &as_user("/ws/news", 1), &[]).await;
    let mut slow = slow.ok().unwrap();
    let mut quick = stage.open("/ws/news", 2).await;
    burst(&stage, &mut quick, BURST).await;
    for n in 0..BURST {
        assert_eq!(slow.json().await["n"]["at"], n);
    }
    assert!(stage.outrigger.metric("outrigger_catch_ups_total").await >= 1.0);
    stage
        .tell("user_1", "news", &json!({"n": "still here"}))
        .await;
    assert_eq!(slow.json().await["n"], "still here");
}

#[tokio::test]
async fn who_does_not_read_at_all_is_too_slow() {
    let limits = "[endpoint.limits]\noutbox_frames = 4\nwrite_timeout = \"1s\"\n";
    let stage = Stage::new(&endpoint(limits)).await;
    let narrow = Client::connect_narrow(stage.outrigger.addr()).await;
    let _slow = Events::over(narrow, &as_user("/ws/news", 1), &[]).await;
    let mut quick = stage.open("/ws/news", 2).await;
    burst(&stage, &mut quick, BURST).await;
    let closed = "outrigger_sessions_closed_total{reason=\"too_slow\"}";
    stage.outrigger.metric_becomes(closed, 1.0).await;
}

#[tokio::test]
async fn who_falls_out_of_the_memory_is_told() {
    let app = App::answering(|_| ok("{}")).await;
    let memory = "[feed.memory]\nmax_events = 20\n";
    let endpoint = endpoint("[endpoint.limits]\noutbox_frames = 4\n");
    let stage = Stage::with(app, memory, &endpoint).await;
    let narrow = Client::connect_narrow(stage.outrigger.addr()).await;
    let slow = Events::over(narrow, &as_user("/ws/news", 1), &[]).await;
    let mut slow = slow.ok().unwrap();
    let mut quick = stage.open("/ws/news", 2).await;
    burst(&stage, &mut quick, BURST).await;
    let mut next = 0;
    let lost = loop {
        let said = slow.next().await.unwrap();
        match said.kind.as_str() {
            "message" => next += 1,
            _ => break said,
        }
    };
    assert!(next < BURST);
    assert_eq!(
        (lost.kind.as_str(), lost.data.as_str()),
        ("history_lost", "{}")
    );
    stage.tell("user_1", "news", &json!({"n": "goes on"})).await;
    assert_eq!(slow.json().await["n"], "goes on");
}

#[tokio::test]
async fn a_client_that_goes_away_is_noticed() {
    let stage = Stage::new(&endpoint("")).await;
    let stream = open(&stage, 1, &[]).await;
    stage
        .outrigger
        .metric_becomes("outrigger_sessions", 1.0)
        .await;
    drop(stream);
    stage
        .outrigger
        .metric_becomes("outrigger_sessions", 0.0)
        .await;
    let closed = "outrigger_sessions_closed_total{reason=\"client_gone\"}";
    stage.outrigger.metric_becomes(closed, 1.0).await;
}
