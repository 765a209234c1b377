//! What is too old or too much goes, and nobody is told that something is lost who has
//! all of it.

use super::{Fleet, Node, events_in, hears, kept_their_epoch};
use crate::harness::until;

/// What is in the stream.
async fn length(fleet: &Fleet) -> u64 {
    let length = fleet.redis.cli(&["XLEN", "{outrigger}:stream"]).await;
    length.parse().unwrap()
}

#[tokio::test]
async fn what_is_too_much_goes_and_its_last_place_is_noted() {
    let fleet = Fleet::new().await;
    let node = fleet.node_with("max_events = 10\n").await;
    let mut trimmed = Vec::new();
    for n in 0..30 {
        let result = node.say("a", n).await;
        let position = result["position"].as_str().unwrap();
        trimmed.push(place(position.split_once('.').unwrap().1));
    }
    // What nodes tell each other stands in the stream, too.
    until("the stream to be trimmed", async || {
        length(&fleet).await <= 10
    })
    .await;
    let meta = ["HGET", "{outrigger}:meta", "floor"];
    let floor = place(&fleet.redis.cli(&meta).await);
    let oldest = ["XRANGE", "{outrigger}:stream", "-", "+", "COUNT", "1"];
    let oldest = fleet.redis.cli(&oldest).await;
    let oldest = place(oldest.lines().next().unwrap());
    assert!(
        trimmed[19] <= floor && floor < oldest,
        "{floor:?} {oldest:?}"
    );
    let kept = trimmed.iter().filter(|place| **place > floor).count();
    assert_eq!(events_in(&fleet.redis).await, kept as u64);
}

/// A place in the stream.
fn place(text: &str) -> (u64, u64) {
    let (ms, seq) = text.split_once('-').unwrap();
    (ms.parse().unwrap(), seq.parse().unwrap())
}

#[tokio::test]
async fn a_session_that_idles_while_all_is_trimmed_has_lost_nothing() {
    let fleet = Fleet::new().await;
    let nodes: [Node; 2] = [
        fleet.node_with("keep = \"1s\"\n").await,
        fleet.node_with("keep = \"1s\"\n").await,
    ];
    let mut sockets = [nodes[0].open("a").await, nodes[1].open("a").await];
    nodes[0].say("a", 1).await;
    until("the stream to be empty", async || length(&fleet).await == 0).await;
    nodes[1].say("a", 2).await;
    for socket in &mut sockets {
        hears(socket, [1, 2]).await;
    }
    for node in &nodes {
        assert!(node.0.metric("outrigger_feed_gaps_total").await.abs() < 0.5);
    }
    kept_their_epoch(&nodes).await;
}

#[tokio::test]
async fn a_node_that_slept_while_events_came_and_went_tells_its_sessions() {
    let fleet = Fleet::new().await;
    let awake = fleet.node_with("keep = \"1s\"\n").await;
    let asleep = fleet.node_with("keep = \"1s\"\n").await;
    let mut socket = asleep.open("a").await;
    awake.say("a", 1).await;
    hears(&mut socket, [1]).await;
    asleep.0.signal("STOP").await;
    awake.say("a", 2).await;
    until("the stream to be empty", async || length(&fleet).await == 0).await;
    asleep.0.signal("CONT").await;
    asleep
        .0
        .metric_becomes("outrigger_feed_gaps_total", 1.0)
        .await;
    assert_eq!(socket.closed().await.code, 1012);
    // Who comes now hears what comes now.
    let mut socket = asleep.open("a").await;
    awake.say("a", 3).await;
    hears(&mut socket, [3]).await;
}
