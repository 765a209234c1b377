//! The master is whichever the Sentinel names, also after it has named another.

use super::ENDPOINT;
use crate::harness::{
    App, Outrigger, Redis, Socket, ok,
    redis::{Sentinel, channels},
    until,
};

#[tokio::test]
async fn after_a_failover_the_new_master_is_joined() {
    let (master, replica) = Redis::start_replicated().await;
    let sentinel = Sentinel::of(&master).await;
    let app = App::answering(|_| ok("{}")).await;
    let config = format!(
        "[app]\naddress = \"http://{}\"\n[source.channel_layer]\n\
         sentinel = {{ nodes = [\"127.0.0.1:{}\"], master = \"main\", db = 1 }}\n{ENDPOINT}",
        app.addr(),
        sentinel.port()
    );
    let outrigger = Outrigger::start(&config).await;
    let mut socket = Socket::open(outrigger.addr(), "/ws/chat_1").await;
    let layer = format!(
        "RedisChannelLayer(hosts=[{{'sentinels': [('127.0.0.1', {})], 'master_name': 'main', 'db': 1}}])",
        sentinel.port()
    );
    let send = |n| format!("await layer.group_send('chat_1', {{'type': 'other', 'n': {n}}})");
    channels(&layer, &send(1)).await;
    assert_eq!(socket.text().await, r#"{"n":1}"#);
    let opened = "outrigger_channel_layer_connects_total{result=\"opened\"}";
    let before = outrigger.metric(opened).await;
    let joined = "outrigger_channel_layer_joins_total{result=\"joined\"}";
    let groups = outrigger.metric(joined).await;
    sentinel.ask(&["SENTINEL", "FAILOVER", "main"]).await;
    until("the replica to be the master", async || {
        replica.cli(&["ROLE"]).await.starts_with("master")
    })
    .await;
    until("the new master to be joined", async || {
        outrigger.metric(opened).await > before && outrigger.metric(joined).await > groups
    })
    .await;
    let layer = format!("RedisChannelLayer(hosts=['{}/1'])", replica.url());
    channels(&layer, &send(2)).await;
    assert_eq!(socket.text().await, r#"{"n":2}"#);
}
