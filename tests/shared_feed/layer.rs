//! The pub/sub channel layer under several nodes: one hears it for all.

use super::{ENDPOINT, Fleet, Node};
use crate::harness::{Outrigger, preamble, redis::channels, until};

#[tokio::test]
async fn what_the_pubsub_layer_sends_comes_once_to_each_session_on_any_node() {
    let fleet = Fleet::new().await;
    let url = fleet.redis.url();
    let config = format!(
        "{}\n[feed.redis]\nurl = \"{url}\"\n[source.channel_layer]\nredis = \"{url}\"\nlayer = \"pubsub\"\n\
         [stop]\nnotice = \"0s\"\nspread = \"0s\"\n{ENDPOINT}",
        preamble(&fleet.app)
    );
    let mut nodes = vec![Node::start(&config).await, Node::start(&config).await];
    let joined = "outrigger_channel_layer_joins_total{result=\"joined\"}";
    let hearing = async |nodes: &[Node]| {
        let mut sum = 0.0;
        for node in nodes {
            sum += node.0.metric(joined).await;
        }
        sum
    };
    until("one to hear", async || hearing(&nodes).await > 0.5).await;
    let mut sockets = [nodes[0].open("a").await, nodes[1].open("a").await];
    let layer = format!("RedisPubSubChannelLayer(hosts=['{url}'])");
    let send = |n| format!("await layer.group_send('a', {{'type': 'said', 'n': {n}}})");
    channels(&layer, &send(1)).await;
    channels(&layer, &send(2)).await;
    for socket in &mut sockets {
        assert_eq!(socket.text().await, "1");
        assert_eq!(socket.text().await, "2");
    }
    assert!((hearing(&nodes).await - 1.0).abs() < 0.5);
    // Another takes over when the one that hears stops.
    let hears = match nodes[0].0.metric(joined).await > 0.5 {
        true => 0,
        false => 1,
    };
    let mut gone: Outrigger = nodes.remove(hears).0;
    gone.signal("TERM").await;
    gone.exit().await;
    until("the other to hear", async || hearing(&nodes).await > 0.5).await;
    channels(&layer, &send(3)).await;
    let [first, second] = &mut sockets;
    let stays = if hears == 0 { second } else { first };
    assert_eq!(stays.text().await, "3");
    assert!(stays.is_silent().await);
}
