//! How a stream ends, and through what it goes on.

use std::time::Duration;

use serde_json::json;

use super::{endpoint, open};
use crate::harness::{Events, Stage, now, token_of};

#[tokio::test]
async fn a_stop_sends_streams_home() {
    let stop = "[stop]\nspread = \"100ms\"\nnotice = \"0s\"\n";
    let mut stage = Stage::new(&format!("{stop}{}", endpoint(""))).await;
    let mut stream = open(&stage, 1, &[]).await;
    stage.tell("news", "news", &json!({"n": 1})).await;
    assert_eq!(stream.json().await["n"], 1);
    stage.outrigger.signal("TERM").await;
    assert_eq!(stream.closed().await, (1012, "service restart".into()));
    assert!(stage.outrigger.exit().await.success());
}

#[tokio::test]
async fn a_stream_follows_its_endpoint_through_a_reload() {
    let stage = Stage::new(&endpoint("")).await;
    let mut stream = open(&stage, 1, &[]).await;
    let changed = endpoint("").replace("{data.n}", "new {data.n}");
    stage.reload(&changed).await;
    stage.tell("news", "news", &json!({"n": 1})).await;
    assert_eq!(stream.json().await["n"], "new 1");
    stage.outrigger.rewrite(&stage.config(&format!(
        "[stop]\nspread = \"10ms\"\n{}",
        endpoint("").replace("/ws/news", "/ws/moved")
    )));
    assert_eq!(stream.closed().await, (1012, "service restart".into()));
}

#[tokio::test]
async fn a_token_that_runs_out_ends_the_stream() {
    let stage = Stage::new(&endpoint("expiry = { close = 4001 }")).await;
    let token = token_of(&json!({"user_id": 1, "exp": now() + 2}));
    let addr = stage.outrigger.addr();
    let mut stream = Events::open(addr, &format!("/ws/news?token={token}"), &[]).await;
    let closed = tokio::time::timeout(Duration::from_secs(10), stream.closed()).await;
    assert_eq!(closed.unwrap(), (4001, "token expired".into()));
}

#[tokio::test]
async fn the_app_can_end_a_stream() {
    let stage = Stage::new(&endpoint("")).await;
    let mut stream = open(&stage, 1, &[]).await;
    stage
        .publish(&json!({"type": "outrigger.disconnect", "users": ["1"], "data": {"code": 4003, "reason": "bye"}}))
        .await;
    assert_eq!(stream.closed().await, (4003, "bye".into()));
}
