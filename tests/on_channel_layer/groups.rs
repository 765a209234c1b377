//! Joining, leaving, and what is written to Redis for it.

use serde_json::Value;

use super::{Stage, config};
use crate::harness::{Socket, until};

#[tokio::test]
async fn a_group_is_joined_before_the_socket_opens_and_only_once_for_all() {
    let stage = Stage::new().await;
    let _sockets = [stage.open("chat_1").await, stage.open("chat_1").await];
    let members = stage
        .redis
        .cli(&["ZRANGE", "asgi:group:chat_1", "0", "-1"])
        .await;
    assert!(
        members.starts_with("specific.") && members.ends_with("!g1"),
        "{members}"
    );
    assert_eq!(members.lines().count(), 1);
    let ttl = stage.redis.cli(&["TTL", "asgi:group:chat_1"]).await;
    assert!(
        (86_390..=86_400).contains(&ttl.parse::<i64>().unwrap()),
        "{ttl}"
    );
}

#[tokio::test]
async fn a_group_is_left_some_time_after_its_last_socket() {
    let stage = Stage::new().await;
    let socket = stage.open("chat_1").await;
    let _other = stage.open("chat_2").await;
    socket.close().await;
    until("the group to be left", async || {
        stage.redis.cli(&["EXISTS", "asgi:group:chat_1"]).await == "0"
    })
    .await;
    assert_eq!(
        stage.redis.cli(&["KEYS", "asgi*"]).await,
        "asgi:group:chat_2"
    );
    stage
        .outrigger
        .metric_becomes("outrigger_channel_layer_groups", 1.0)
        .await;
}

#[tokio::test]
async fn a_stop_leaves_nothing_behind() {
    for (lines, python) in super::LAYERS {
        let mut stage = Stage::with(lines, python).await;
        let _sockets = [stage.open("chat_1").await, stage.open("chat_2").await];
        stage.outrigger.signal("TERM").await;
        assert!(stage.outrigger.exit().await.success());
        assert_eq!(stage.redis.cli(&["KEYS", "*"]).await, "", "{lines}");
        assert_eq!(stage.redis.cli(&["PUBSUB", "CHANNELS"]).await, "");
    }
}

#[tokio::test]
async fn a_flush_is_noticed_and_groups_are_joined_again() {
    let stage = Stage::new().await;
    let mut socket = stage.open("chat_1").await;
    stage.redis.cli(&["FLUSHALL"]).await;
    let again = "outrigger_channel_layer_joins_total{result=\"rejoined\"}";
    until("the group to be joined again", async || {
        stage.redis.cli(&["EXISTS", "asgi:group:chat_1"]).await == "1"
    })
    .await;
    assert!(stage.outrigger.metric(again).await >= 1.0);
    stage.send("chat_1", r#"{"type": "other", "n": 1}"#).await;
    assert_eq!(socket.text().await, r#"{"n":1}"#);
}

#[tokio::test]
async fn a_topic_that_is_no_group_is_named_and_harms_nobody() {
    let stage = Stage::new().await;
    let _odd = stage.open("chat:1").await;
    let mut socket = stage.open("chat_1").await;
    stage.send("chat_1", r#"{"type": "other", "n": 1}"#).await;
    assert_eq!(socket.text().await, r#"{"n":1}"#);
    let refused = "outrigger_channel_layer_joins_total{result=\"not_a_group\"}";
    assert!(stage.outrigger.metric(refused).await >= 1.0);
    assert!(stage.outrigger.logs().text().contains("chat:1"));
    assert_eq!(stage.redis.cli(&["KEYS", "*"]).await, "asgi:group:chat_1");
}

#[tokio::test]
async fn operators_see_how_the_layer_is() {
    let stage = Stage::new().await;
    let mut socket = stage.open("chat_1").await;
    stage.send("chat_1", r#"{"type": "other", "n": 1}"#).await;
    socket.text().await;
    let (_, text) = stage.outrigger.admin("/channel_layer").await;
    let view: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(view["layer"], "core", "{text}");
    assert_eq!(view["groups"], 1);
    assert_eq!(view["connected"], 1);
    assert_eq!(
        view["hosts"][0],
        format!("127.0.0.1:{}/0", stage.redis.port())
    );
    assert!(view["last_message"].is_u64(), "{text}");
}

#[tokio::test]
async fn another_prefix_takes_effect_without_a_restart() {
    let stage = Stage::new().await;
    let mut socket = stage.open("chat_1").await;
    let url = format!("\"{}\"", stage.redis.url());
    let changed = config(&stage.app, &url, "prefix = \"other\"");
    stage.outrigger.rewrite(&changed);
    until("the move to the other prefix", async || {
        stage.redis.cli(&["KEYS", "*"]).await == "other:group:chat_1"
    })
    .await;
    let layer = format!("RedisChannelLayer(hosts=[{url}], prefix='other')");
    let code = "await layer.group_send('chat_1', {'type': 'other', 'n': 1})";
    crate::harness::redis::channels(&layer, code).await;
    assert_eq!(socket.text().await, r#"{"n":1}"#);
    let _new = Socket::open(stage.outrigger.addr(), "/ws/chat_9").await;
    assert_eq!(
        stage.redis.cli(&["EXISTS", "other:group:chat_9"]).await,
        "1"
    );
}
