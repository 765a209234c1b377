//! Redis away, messages nobody can read.

use super::{Stage, config};
use crate::harness::{App, Outrigger, Redis, Socket, ok, until};

#[tokio::test]
async fn after_a_restart_of_redis_the_groups_are_joined_again_by_themselves() {
    for (lines, python) in [super::LAYERS[0], super::LAYERS[4]] {
        let mut stage = Stage::with(lines, python).await;
        let opened = "outrigger_channel_layer_connects_total{result=\"opened\"}";
        stage.outrigger.metric_becomes(opened, 1.0).await;
        // It is answered when its group is joined, for the first time.
        let mut socket = stage.open("chat_1").await;
        stage.redis.restart().await;
        let joined = "outrigger_channel_layer_joins_total{result=\"joined\"}";
        until("the group to be joined again", async || {
            stage.outrigger.metric(joined).await >= 2.0
        })
        .await;
        stage.send("chat_1", r#"{"type": "other", "n": 1}"#).await;
        assert_eq!(socket.text().await, r#"{"n":1}"#);
        let lost = "outrigger_channel_layer_connects_total{result=\"lost\"}";
        assert!(stage.outrigger.metric(lost).await >= 1.0);
    }
}

#[tokio::test]
async fn a_socket_opens_although_redis_is_away_and_hears_when_it_comes_back() {
    let app = App::answering(|_| ok("{}")).await;
    let mut redis = Redis::start().await;
    redis.stop().await;
    let url = format!("\"{}\"", redis.url());
    let outrigger = Outrigger::start(&config(&app, &url, "")).await;
    let mut socket = Socket::open(outrigger.addr(), "/ws/chat_1").await;
    let late = "outrigger_channel_layer_joins_total{result=\"late\"}";
    outrigger.metric_becomes(late, 1.0).await;
    redis.restart().await;
    until("the group to be joined", async || {
        redis.cli(&["EXISTS", "asgi:group:chat_1"]).await == "1"
    })
    .await;
    let layer = format!("RedisChannelLayer(hosts=[{url}])");
    let code = "await layer.group_send('chat_1', {'type': 'other', 'n': 1})";
    crate::harness::redis::channels(&layer, code).await;
    assert_eq!(socket.text().await, r#"{"n":1}"#);
}

#[tokio::test]
async fn what_cannot_be_read_is_counted_and_named_and_the_next_is_heard() {
    let stage = Stage::new().await;
    let mut socket = stage.open("chat_1").await;
    let member = stage
        .redis
        .cli(&["ZRANGE", "asgi:group:chat_1", "0", "-1"])
        .await;
    let queue = format!("asgi{}!", member.split_once('!').unwrap().0);
    for bytes in ["", "short", "123456789012not msgpack", "123456789012\u{1}"] {
        stage.redis.cli(&["ZADD", &queue, "1", bytes]).await;
    }
    let other = "RedisChannelLayer(hosts=[URL], symmetric_encryption_keys=['a key'])";
    let other = other.replace("URL", &format!("'{}'", stage.redis.url()));
    let code = "await layer.group_send('chat_1', {'type': 'other', 'n': 1})";
    crate::harness::redis::channels(&other, code).await;
    stage.send("chat_1", r#"{"no": "type"}"#).await;
    stage.send("chat_1", r#"{"type": "other", "n": 2}"#).await;
    assert_eq!(socket.text().await, r#"{"n":2}"#);
    let unreadable = "outrigger_channel_layer_unreadable_total";
    assert!(stage.outrigger.metric(unreadable).await >= 5.0);
    assert!(
        stage
            .outrigger
            .logs()
            .text()
            .contains("compare `serializer`")
    );
}

#[tokio::test]
async fn two_outriggers_disturb_neither_each_other_nor_the_app() {
    let stage = Stage::new().await;
    let url = format!("\"{}\"", stage.redis.url());
    let second = Outrigger::start(&config(&stage.app, &url, "")).await;
    let mut sockets = [
        stage.open("chat_1").await,
        Socket::open(second.addr(), "/ws/chat_1").await,
    ];
    for n in 0..3 {
        stage
            .send("chat_1", &format!("{{'type': 'other', 'n': {n}}}"))
            .await;
    }
    for socket in &mut sockets {
        for n in 0..3 {
            assert_eq!(socket.text().await, format!(r#"{{"n":{n}}}"#));
        }
    }
}
