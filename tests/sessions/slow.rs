//! Readers that do not keep up.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use super::endpoint;
use crate::harness::{App, Client, Stage, as_user, handshake, ok};

/// A client whose kernel takes little and who reads only when told.
pub(crate) async fn slow_reader(stage: &Stage, user: u64) -> Client {
    let mut client = Client::connect_narrow(stage.outrigger.addr()).await;
    client
        .send(handshake(&as_user("/ws/news", user), &[]))
        .await;
    assert_eq!(client.response("GET").await.status(), 101);
    client
}

/// The next frame from the server that is no ping: its first byte and its payload.
pub(crate) async fn frame(client: &mut Client) -> (u8, Vec<u8>) {
    loop {
        // A heartbeat comes whenever the machine has been slow enough.
        let (first, payload) = any_frame(client).await;
        if first != 0x89 {
            return (first, payload);
        }
    }
}

async fn any_frame(client: &mut Client) -> (u8, Vec<u8>) {
    let head = client.read(2).await;
    let length = match head[1] {
        126 => {
            let length = client.read(2).await;
            usize::from(u16::from_be_bytes([length[0], length[1]]))
        }
        127 => {
            let length = client.read(8).await;
            usize::try_from(u64::from_be_bytes(length.try_into().unwrap())).unwrap()
        }
        short => usize::from(short),
    };
    (head[0], client.read(length).await)
}

/// Posts events with large payloads, a few at a time, and waits until a reader that
/// keeps up has them.
pub(crate) async fn burst(stage: &Stage, reader: &mut crate::harness::Socket, count: u64) {
    let filling = "x".repeat(60_000);
    for first in (0..count).step_by(10) {
        let event = |n| json!({"type": "news", "topics": ["news"], "data": {"n": {"at": n, "filling": filling}}});
        let events: Vec<_> = (first..first + 10).map(event).collect();
        stage.publish(&json!({ "events": events })).await;
        for n in first..first + 10 {
            assert_eq!(reader.json().await["n"]["at"], n);
        }
    }
}

/// Posts events of 60 kB.
async fn tell_large(stage: &Stage, count: u64) {
    let filling = "x".repeat(60_000);
    for n in 0..count {
        let n = json!({"n": {"at": n, "filling": filling}});
        stage.tell("news", "news", &n).await;
    }
}

#[tokio::test]
async fn a_slow_reader_falls_behind_and_is_caught_up() {
    let limits = "[endpoint.limits]\noutbox_frames = 4\n";
    let stage = Stage::new(&endpoint(limits)).await;
    let mut slow = slow_reader(&stage, 1).await;
    let mut quick = stage.open("/ws/news", 2).await;
    burst(&stage, &mut quick, 200).await;
    for n in 0..200 {
        let (first, payload) = frame(&mut slow).await;
        assert_eq!(first, 0x81);
        let frame: Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(frame["n"]["at"], n);
    }
    super::at_least(&stage, "outrigger_catch_ups_total", 1.0).await;
    stage
        .tell("user_1", "news", &json!({"n": "still here"}))
        .await;
    assert!(
        String::from_utf8(frame(&mut slow).await.1)
            .unwrap()
            .contains("still here")
    );
    assert_eq!(
        stage
            .outrigger
            .metric("outrigger_deliveries_dropped_total")
            .await,
        0.0
    );
}

/// What it has not been given lies with us and not in the kernel, or else it would be
/// asked for a pong to a ping that it cannot have seen yet.
#[tokio::test]
async fn who_has_not_come_to_the_ping_yet_is_not_closed_for_silence() {
    let rules = "heartbeat = \"1s\"\n[endpoint.limits]\nwrite_timeout = \"10m\"\n";
    let stage = Stage::new(&endpoint(rules)).await;
    let mut slow = slow_reader(&stage, 1).await;
    tell_large(&stage, 10).await;
    sleep(Duration::from_secs(3)).await;
    stage.tell("news", "news", &json!({"n": {"at": 10}})).await;
    for n in 0..=10 {
        let (first, payload) = frame(&mut slow).await;
        assert_eq!(first, 0x81, "{}", String::from_utf8_lossy(&payload));
        let frame: Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(frame["n"]["at"], n);
    }
}

#[tokio::test]
async fn what_a_client_does_not_read_does_not_fill_the_kernel() {
    let target = as_user("/ws/news", 1);
    let events = format!("GET {target} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n");
    for request in [handshake(&target, &[]), events] {
        let stage = Stage::new(&endpoint("")).await;
        let mut client = Client::connect_narrow(stage.outrigger.addr()).await;
        client.send(request).await;
        client.read("HTTP/1.1 ".len()).await;
        tell_large(&stage, 20).await;
        sleep(Duration::from_millis(500)).await;
        let sent = stage.outrigger.metric("outrigger_frames_sent_total").await;
        assert!(sent < 10.0, "the kernel took {sent} of 20");
    }
}

#[tokio::test]
async fn what_memory_has_forgotten_a_slow_reader_gets_from_the_disk() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("feed").display().to_string();
    let disk = format!("[feed.disk]\npath = {path:?}\nmemory = \"2MiB\"\n");
    let app = App::answering(|_| ok("{}")).await;
    let limits = "[endpoint.limits]\noutbox_frames = 4\n";
    let stage = Stage::with(app, &disk, &endpoint(limits)).await;
    let mut slow = slow_reader(&stage, 1).await;
    let mut quick = stage.open("/ws/news", 2).await;
    burst(&stage, &mut quick, 300).await;
    for n in 0..300 {
        let (_, payload) = frame(&mut slow).await;
        let frame: Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(frame["n"]["at"], n);
    }
    super::at_least(&stage, "outrigger_feed_reads_total{result=\"ok\"}", 1.0).await;
}

async fn forgetful(events: u32) -> Stage {
    let app = App::answering(|_| ok("{}")).await;
    let memory = format!("[feed.memory]\nmax_events = {events}\n");
    Stage::with(
        app,
        &memory,
        &endpoint("[endpoint.limits]\noutbox_frames = 4\n"),
    )
    .await
}

#[tokio::test]
async fn who_falls_out_of_the_memory_is_told_and_counted() {
    let stage = forgetful(20).await;
    let mut slow = slow_reader(&stage, 1).await;
    let mut quick = stage.open("/ws/news", 2).await;
    burst(&stage, &mut quick, 200).await;
    let mut next = 0;
    let close = loop {
        match frame(&mut slow).await {
            (0x81, payload) => {
                let frame: Value = serde_json::from_slice(&payload).unwrap();
                assert_eq!(frame["n"]["at"], next);
                next += 1;
            }
            (_, payload) => break payload,
        }
    };
    assert!(next < 200);
    assert_eq!(
        close,
        [&1012_u16.to_be_bytes()[..], b"history lost"].concat()
    );
    let dropped = "outrigger_deliveries_dropped_total{reason=\"history_lost\"}";
    stage.outrigger.metric_becomes(dropped, 1.0).await;
    drop(slow);
    let closed = "outrigger_sessions_closed_total{reason=\"history_lost\"}";
    stage.outrigger.metric_becomes(closed, 1.0).await;
    stage.tell("news", "news", &json!({"n": 1})).await;
    assert_eq!(quick.json().await["n"], 1);
}

/// What nobody has seen yet is not pushed out of the memory: such a batch is refused.
#[tokio::test]
async fn nothing_is_skipped_in_silence_where_a_batch_is_larger_than_the_memory() {
    let stage = forgetful(20).await;
    let mut socket = stage.open("/ws/news", 1).await;
    let events: Vec<_> = (0..50)
        .map(|n| json!({"type": "news", "topics": ["news"], "data": {"n": n}}))
        .collect();
    let refused = stage.post(&json!({ "events": events })).await;
    assert_eq!(refused.status(), 413);
    assert!(refused.text().contains("20 events"), "{}", refused.text());
    stage.tell_many("news", "news", 50..70).await;
    for n in 50..70 {
        assert_eq!(socket.json().await["n"], n);
    }
}
