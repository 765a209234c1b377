//! What several nodes see of one stream.

use futures_util::future::join_all;
use serde_json::json;

use super::{Fleet, Node, hears, said};
use crate::harness::{HOOK_SECRET, Outrigger, Socket, post_event};

#[tokio::test]
async fn all_nodes_hand_out_the_same_events_in_the_same_order() {
    let fleet = Fleet::new().await;
    let nodes = [fleet.node().await, fleet.node().await];
    let mut sockets = [nodes[0].open("a").await, nodes[1].open("a").await];
    let senders = nodes.iter().enumerate().map(|(which, node)| async move {
        for n in 0..50 {
            node.say("a", 100 * which as u64 + n).await;
        }
    });
    join_all(senders).await;
    let mut heard = [Vec::new(), Vec::new()];
    for (socket, heard) in sockets.iter_mut().zip(&mut heard) {
        for _ in 0..100 {
            heard.push(socket.text().await.parse::<u64>().unwrap());
        }
    }
    assert_eq!(heard[0], heard[1]);
    for which in 0..2 {
        let own: Vec<_> = heard[0].iter().filter(|n| *n / 100 == which).collect();
        assert!(own.is_sorted() && own.len() == 50, "{own:?}");
    }
}

#[tokio::test]
async fn an_id_is_taken_once_whichever_node_gets_it() {
    let fleet = Fleet::new().await;
    let nodes = [fleet.node().await, fleet.node().await];
    let mut socket = nodes[0].open("a").await;
    let first = nodes[0].say("a", 1).await;
    let again = nodes[1].say("a", 1).await;
    assert_eq!(first["result"], "accepted");
    assert_eq!(again["result"], "duplicate");
    assert_eq!(first["position"], again["position"]);
    nodes[1].say("a", 2).await;
    hears(&mut socket, [1, 2]).await;
}

#[tokio::test]
async fn what_is_posted_to_one_node_moves_the_sessions_of_another() {
    let fleet = Fleet::new().await;
    let nodes = [fleet.node().await, fleet.node().await];
    let mut socket = nodes[1].open("a").await;
    let order = |kind: &str, data| json!({"type": kind, "users": [7], "data": data});
    for (id, body) in [
        (
            "1",
            order(
                "outrigger.join",
                json!({"topics": ["b"], "endpoint": "chat"}),
            ),
        ),
        ("2", said("b", 1)),
        (
            "3",
            order(
                "outrigger.leave",
                json!({"topics": ["b"], "endpoint": "chat"}),
            ),
        ),
        ("4", said("b", 2)),
        ("5", said("a", 3)),
        (
            "6",
            order(
                "outrigger.disconnect",
                json!({"endpoint": "chat", "code": 4003}),
            ),
        ),
    ] {
        let answer = post_event(nodes[0].0.addr(), HOOK_SECRET, id, &body).await;
        assert_eq!(answer.status(), 202, "{}", answer.text());
    }
    hears(&mut socket, [1, 3]).await;
    assert_eq!(socket.closed().await.code, 4003);
}

#[tokio::test]
async fn a_new_node_knows_what_was_there_before() {
    let fleet = Fleet::new().await;
    let old = fleet.node().await;
    old.say("a", 1).await;
    drop(old);
    let new = fleet.node().await;
    let mut socket = new.open("a").await;
    assert_eq!(new.say("a", 1).await["result"], "duplicate");
    new.say("a", 2).await;
    hears(&mut socket, [2]).await;
    assert!(new.0.metric("outrigger_feed_events").await >= 2.0);
}

#[tokio::test]
async fn without_redis_it_starts_and_says_what_is_wrong() {
    let mut fleet = Fleet::new().await;
    fleet.redis.stop().await;
    let node = Node(Outrigger::start(&fleet.config("")).await);
    let (status, why) = node.0.admin("/ready").await;
    assert_eq!(status, 503);
    assert!(why.contains("feed") && why.contains("reached"), "{why}");
    let answer = node.post(&said("a", 1)).await;
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.header("retry-after").as_deref(), Some("1"));
    let refused = Socket::connect(node.0.addr(), "/ws/a", &[]).await;
    let Err(refused) = refused else {
        panic!("let in");
    };
    assert_eq!(refused.status(), 503);
    assert!(refused.header("retry-after").is_some());
    fleet.redis.start_again().await;
    node.is_ready().await;
    let mut socket = node.open("a").await;
    node.say("a", 1).await;
    hears(&mut socket, [1]).await;
    let failures = "outrigger_feed_write_failures_total{result=\"not_reached_yet\"}";
    assert!(node.0.metric(failures).await >= 1.0);
}

#[tokio::test]
async fn what_is_no_event_in_the_stream_is_counted_and_skipped() {
    let fleet = Fleet::new().await;
    let node = fleet.node().await;
    let mut socket = node.open("a").await;
    node.say("a", 1).await;
    for value in ["{}", "not JSON", "{\"id\":1}"] {
        fleet
            .redis
            .cli(&["XADD", "{outrigger}:stream", "*", "e", value])
            .await;
    }
    fleet
        .redis
        .cli(&[
            "XADD",
            "{outrigger}:stream",
            "*",
            "other",
            "field",
            "and",
            "more",
        ])
        .await;
    node.say("a", 2).await;
    hears(&mut socket, [1, 2]).await;
    node.0
        .metric_becomes("outrigger_feed_undecodable_total", 4.0)
        .await;
    // Also by who reads them at its start.
    let other = fleet.node().await;
    other
        .0
        .metric_becomes("outrigger_feed_undecodable_total", 4.0)
        .await;
}
