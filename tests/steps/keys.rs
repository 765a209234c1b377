//! Keys in Redis.

use super::{app, endpoint};
use crate::harness::{Redis, Stage, until};

const KEYS: &str = r#"
on_connect = [{ set_key = { key = "online:{user.id}", value = "{session.id}", ttl = "60s" } }]
on_disconnect = [{ delete_key = { key = "online:{user.id}" } }]
[[endpoint.actions]]
when = { do = "seen" }
require = { id = "integer" }
set_key = { key = "seen:{user.id}", value = "{message.id}" }
reply = { seen = "{message.id}" }
"#;

#[tokio::test]
async fn a_key_stands_as_long_as_its_client_is_here() {
    let redis = Redis::start().await;
    let tables = format!("[redis]\nurl = \"{}\"\n", redis.url());
    let stage = Stage::with(app().await, &tables, &endpoint(KEYS)).await;
    let mut socket = stage.open("/ws/chat", 1).await;
    let ttl: u64 = redis.cli(&["TTL", "online:1"]).await.parse().unwrap();
    assert!((1..=60).contains(&ttl), "{ttl}");
    socket.send(r#"{"do": "seen", "id": 42}"#).await;
    assert_eq!(socket.json().await["seen"], 42);
    assert_eq!(redis.cli(&["GET", "seen:1"]).await, "42");
    assert_eq!(redis.cli(&["TTL", "seen:1"]).await, "-1");
    socket.close().await;
    let gone = || async { redis.cli(&["EXISTS", "online:1"]).await == "0" };
    until("the key to be gone", gone).await;
}

#[tokio::test]
async fn without_its_redis_nobody_is_let_in_and_that_is_counted() {
    let mut redis = Redis::start().await;
    let tables = format!("[redis]\nurl = \"{}\"\n", redis.url());
    let stage = Stage::with(app().await, &tables, &endpoint(KEYS)).await;
    let mut here = stage.open("/ws/chat", 1).await;
    redis.stop().await;
    let target = crate::harness::as_user("/ws/chat", 2);
    assert_eq!(stage.refused(&target, &[]).await, 503);
    here.send(r#"{"do": "seen", "id": 1}"#).await;
    let dropped = "outrigger_messages_dropped_total{reason=\"unavailable\"}";
    stage.outrigger.metric_becomes(dropped, 1.0).await;
    let refused = "outrigger_moments_total{moment=\"on_connect\",result=\"unavailable\"}";
    assert_eq!(stage.outrigger.metric(refused).await, 1.0);
    redis.restart().await;
    let back = || async { stage.connect(&target, &[]).await.is_ok() };
    until("the key to be set again", back).await;
}

#[tokio::test]
async fn a_key_of_presence_stands_from_the_first_socket_of_a_user_to_the_last() {
    let presence = r#"
[endpoint.presence]
grace = "0s"
online = { set_key = { key = "here:{user.id}", value = "{online.count}" } }
offline = { delete_key = { key = "here:{user.id}" } }
"#;
    let redis = Redis::start().await;
    let tables = format!("[redis]\nurl = \"{}\"\n", redis.url());
    let stage = Stage::with(app().await, &tables, &endpoint(presence)).await;
    let first = stage.open("/ws/chat", 1).await;
    let there = || async { redis.cli(&["GET", "here:1"]).await == "1" };
    until("the key to be there", there).await;
    let second = stage.open("/ws/chat", 1).await;
    first.close().await;
    let left = "outrigger_sessions{endpoint=\"chat\",leg=\"feed\"}";
    stage.outrigger.metric_becomes(left, 1.0).await;
    assert_eq!(redis.cli(&["GET", "here:1"]).await, "1");
    second.close().await;
    let gone = || async { redis.cli(&["EXISTS", "here:1"]).await == "0" };
    until("the key to be gone", gone).await;
}
