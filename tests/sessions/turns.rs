//! Everybody has a turn: a client that does not read holds nothing up but its own
//! frames.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    at_least, endpoint,
    slow::{burst, frame, slow_reader},
};
use crate::harness::{Client, Stage, TOKEN_SECRET, handshake, jwt, now, until};

/// A client that reads nothing after its handshake.
async fn deaf(stage: &Stage, token: &str) -> Client {
    let mut client = Client::connect_narrow(stage.outrigger.addr()).await;
    let target = format!("/ws/news?token={token}");
    client.send(handshake(&target, &[])).await;
    assert_eq!(client.response("GET").await.status(), 101);
    client
}

fn closed_as(reason: &str) -> String {
    format!("outrigger_sessions_closed_total{{reason=\"{reason}\"}}")
}

#[tokio::test]
async fn who_does_not_read_is_heard() {
    let call = "[[endpoint.actions]]\nwhen = {}\ncall = { path = \"/api/heard/\" }\n";
    let stage = Stage::new(&endpoint(call)).await;
    let mut client = deaf(&stage, &crate::harness::token(1)).await;
    let mut quick = stage.open("/ws/news", 2).await;
    burst(&stage, &mut quick, 150).await;
    // The text "{}", masked with zeros.
    client.send(b"\x81\x82\0\0\0\0{}").await;
    let heard = || async { !stage.app.seen().is_empty() };
    until("the message to be heard", heard).await;
    assert_eq!(stage.app.seen()[0].target(), "/api/heard/");
}

#[tokio::test]
async fn who_does_not_read_ends_with_its_token() {
    let stage = Stage::new(&endpoint("")).await;
    let exp = now() + 5;
    let token = jwt(TOKEN_SECRET, &json!({"user_id": 1, "exp": exp}));
    let _client = deaf(&stage, &token).await;
    let mut quick = stage.open("/ws/news", 2).await;
    burst(&stage, &mut quick, 150).await;
    stage
        .outrigger
        .metric_becomes(&closed_as("token_expired"), 1.0)
        .await;
    assert!(now() >= exp);
}

#[tokio::test]
async fn who_does_not_read_goes_home_with_the_others() {
    let stage = Stage::with(
        crate::harness::App::answering(|_| crate::harness::ok("{}")).await,
        "[stop]\nspread = \"0s\"\n",
        &endpoint(""),
    )
    .await;
    let _client = deaf(&stage, &crate::harness::token(1)).await;
    let mut quick = stage.open("/ws/news", 2).await;
    burst(&stage, &mut quick, 150).await;
    stage.outrigger.rewrite(&stage.config(""));
    assert_eq!(quick.closed().await, super::closed(1012, "service restart"));
    at_least(&stage, &closed_as("moved"), 1.0).await;
    drop(quick);
    stage
        .outrigger
        .metric_becomes(&closed_as("moved"), 2.0)
        .await;
}

#[tokio::test]
async fn who_reads_slowly_but_reads_stays() {
    let limits = "[endpoint.limits]\nwrite_timeout = \"3s\"\n";
    let stage = Stage::new(&endpoint(limits)).await;
    let slow = slow_reader(&stage, 1).await;
    let mut quick = stage.open("/ws/news", 2).await;
    tokio::join!(burst(&stage, &mut quick, 200), read_slowly(slow, 200));
}

/// Reads at the pace of a slow line: all of it takes longer than one write may, and
/// so does what is read from the feed at a time. Who is late does not wait as well: on a
/// busy machine it is as quick as it can be.
async fn read_slowly(mut client: Client, count: u32) {
    let began = tokio::time::Instant::now();
    for n in 0..count {
        tokio::time::sleep_until(began + Duration::from_millis(30) * n).await;
        let (first, payload) = frame(&mut client).await;
        assert_eq!(first, 0x81, "after {n}");
        let frame: Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(frame["n"]["at"], n);
    }
}

#[tokio::test]
async fn who_stops_reading_is_too_slow() {
    let limits = "[endpoint.limits]\nwrite_timeout = \"1s\"\n";
    let stage = Stage::new(&endpoint(limits)).await;
    let _slow = slow_reader(&stage, 1).await;
    let mut quick = stage.open("/ws/news", 2).await;
    burst(&stage, &mut quick, 200).await;
    stage
        .outrigger
        .metric_becomes(&closed_as("too_slow"), 1.0)
        .await;
    stage.tell("news", "news", &json!({"n": 1})).await;
    assert_eq!(quick.json().await["n"], 1);
}
