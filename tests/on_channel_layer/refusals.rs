//! A Redis that is there and does not do what it is asked: each says why, and heals.

use serde_json::Value;
use tokio::net::TcpListener;

use super::{Stage, config};
use crate::harness::{App, Outrigger, Redis, Socket, ok, until, within};

/// Waits until the admin port gives a reason with this word in it.
async fn says(outrigger: &Outrigger, word: &str) {
    until(word, async || {
        let (_, text) = outrigger.admin("/channel_layer").await;
        let view: Value = serde_json::from_str(&text).unwrap();
        view["last_error"].to_string().contains(word)
    })
    .await;
}

const FAILED: &str = "outrigger_channel_layer_connects_total{result=\"failed\"}";

#[tokio::test]
async fn a_password_that_is_missing_is_said() {
    let redis = Redis::start_with(&["--requirepass", "hidden"]).await;
    for lines in ["", "layer = \"pubsub\""] {
        let app = App::answering(|_| ok("{}")).await;
        let url = format!("\"{}\"", redis.url());
        let outrigger = Outrigger::start(&config(&app, &url, lines)).await;
        says(&outrigger, "Authentication required").await;
        until("failures to be counted", async || {
            outrigger.metric(FAILED).await >= 2.0
        })
        .await;
        let opened = "outrigger_channel_layer_connects_total{result=\"opened\"}";
        assert_eq!(outrigger.metric(opened).await, 0.0);
        let changed = url.replace("redis://", "redis://:hidden@");
        outrigger.rewrite(&config(&app, &changed, lines));
        outrigger.metric_becomes(opened, 1.0).await;
    }
}

#[tokio::test]
async fn a_server_that_never_answers_holds_nobody_up() {
    let deaf = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("\"redis://{}\"", deaf.local_addr().unwrap());
    let app = App::answering(|_| ok("{}")).await;
    let mut outrigger = Outrigger::start(&config(&app, &url, "")).await;
    let _socket = Socket::open(outrigger.addr(), "/ws/chat_1").await;
    says(&outrigger, "timed out").await;
    until("failures to be counted", async || {
        outrigger.metric(FAILED).await >= 1.0
    })
    .await;
    outrigger.signal("TERM").await;
    assert!(within("the exit", outrigger.exit()).await.success());
}

#[tokio::test]
async fn a_replica_is_named_and_used_as_soon_as_it_is_the_master() {
    let master = Redis::start_with(&["--repl-diskless-sync-delay", "0"]).await;
    let mut stage = Stage::new().await;
    let port = master.port().to_string();
    stage.redis.cli(&["REPLICAOF", "127.0.0.1", &port]).await;
    until("a replica", async || {
        stage.redis.cli(&["ROLE"]).await.contains("connected")
    })
    .await;
    stage.outrigger.signal("TERM").await;
    stage.outrigger.exit().await;
    let url = format!("\"{}\"", stage.redis.url());
    stage.outrigger = Outrigger::start(&config(&stage.app, &url, "")).await;
    let mut socket = stage.open("chat_1").await;
    says(&stage.outrigger, "ReadOnly").await;
    let failed = "outrigger_channel_layer_joins_total{result=\"failed\"}";
    assert!(stage.outrigger.metric(failed).await >= 1.0);
    stage.redis.cli(&["REPLICAOF", "NO", "ONE"]).await;
    until("the group to be joined", async || {
        stage.redis.cli(&["EXISTS", "asgi:group:chat_1"]).await == "1"
    })
    .await;
    stage.send("chat_1", r#"{"type": "other", "n": 1}"#).await;
    assert_eq!(socket.text().await, r#"{"n":1}"#);
}

#[tokio::test]
async fn a_key_of_another_kind_harms_no_other_group() {
    let stage = Stage::new().await;
    stage.redis.cli(&["SET", "asgi:group:chat_1", "x"]).await;
    let mut bad = stage.open("chat_1").await;
    let mut good = stage.open("chat_2").await;
    says(&stage.outrigger, "WRONGTYPE").await;
    stage.send("chat_2", r#"{"type": "other", "n": 2}"#).await;
    assert_eq!(good.text().await, r#"{"n":2}"#);
    let groups = "outrigger_channel_layer_groups";
    stage.outrigger.metric_becomes(groups, 1.0).await;
    stage.redis.cli(&["DEL", "asgi:group:chat_1"]).await;
    stage.outrigger.metric_becomes(groups, 2.0).await;
    stage.send("chat_1", r#"{"type": "other", "n": 1}"#).await;
    assert_eq!(bad.text().await, r#"{"n":1}"#);
}
