//! A Redis that is away, slow, or has lost what it held.

use super::{EPOCHS, Fleet, hears, kept_their_epoch, said};
use crate::harness::{App, Redis, ok};

#[tokio::test]
async fn sessions_stay_while_redis_is_away_and_hear_all_when_it_is_back() {
    let mut fleet = Fleet::new().await;
    let nodes = [fleet.node().await, fleet.node().await];
    let mut sockets = [nodes[0].open("a").await, nodes[1].open("a").await];
    nodes[0].say("a", 1).await;
    fleet.redis.stop_keeping_its_data().await;
    let answer = nodes[0].post(&said("a", 2)).await;
    assert_eq!(answer.status(), 503, "{}", answer.text());
    assert!(answer.header("retry-after").is_some());
    fleet.redis.start_again().await;
    nodes[0].say_at_last("a", 2).await;
    nodes[1].say_at_last("a", 3).await;
    for socket in &mut sockets {
        hears(socket, [1, 2, 3]).await;
    }
    kept_their_epoch(&nodes).await;
}

#[tokio::test]
async fn a_redis_that_comes_back_empty_begins_a_new_epoch_and_closes_no_session() {
    let mut fleet = Fleet::new().await;
    let nodes = [fleet.node().await, fleet.node().await];
    let mut sockets = [nodes[0].open("a").await, nodes[1].open("a").await];
    let before = nodes[0].say("a", 1).await;
    for socket in &mut sockets {
        hears(socket, [1]).await;
    }
    fleet.redis.restart().await;
    nodes[1].say_at_last("a", 2).await;
    let after = nodes[0].say_at_last("a", 3).await;
    for socket in &mut sockets {
        hears(socket, [2, 3]).await;
    }
    let epoch = |result: &serde_json::Value| {
        let position = result["position"].as_str().unwrap();
        position.split('.').next().unwrap().to_owned()
    };
    assert_ne!(epoch(&before), epoch(&after));
    for node in &nodes {
        node.0.metric_becomes(EPOCHS, 1.0).await;
    }
}

#[tokio::test]
async fn what_was_deleted_by_hand_is_noticed_without_a_reconnect() {
    for command in [
        &["FLUSHALL"][..],
        &["DEL", "{outrigger}:stream"],
        &["DEL", "{outrigger}:meta"],
    ] {
        let fleet = Fleet::new().await;
        let node = fleet.node().await;
        let mut socket = node.open("a").await;
        node.say("a", 1).await;
        hears(&mut socket, [1]).await;
        fleet.redis.cli(command).await;
        node.0.metric_becomes(EPOCHS, 1.0).await;
        node.say_at_last("a", 2).await;
        hears(&mut socket, [2]).await;
    }
}

#[tokio::test]
async fn a_redis_with_old_data_begins_a_new_epoch() {
    let mut fleet = Fleet::new().await;
    let node = fleet.node().await;
    let mut socket = node.open("a").await;
    node.say("a", 1).await;
    fleet.redis.cli(&["SAVE"]).await;
    node.say("a", 2).await;
    hears(&mut socket, [1, 2]).await;
    fleet.redis.stop_losing_what_is_not_saved().await;
    fleet.redis.start_again().await;
    node.0.metric_becomes(EPOCHS, 1.0).await;
    // Its id went with the data: the sender may send it again.
    node.say_at_last("a", 3).await;
    hears(&mut socket, [3]).await;
}

#[tokio::test]
async fn a_redis_that_hangs_costs_neither_sessions_nor_events() {
    let fleet = Fleet::new().await;
    let node = fleet.node().await;
    let mut socket = node.open("a").await;
    node.say("a", 1).await;
    fleet.redis.signal("STOP").await;
    let answer = node.post(&said("a", 2)).await;
    fleet.redis.signal("CONT").await;
    assert_eq!(answer.status(), 503, "{}", answer.text());
    node.say_at_last("a", 2).await;
    node.say_at_last("a", 3).await;
    hears(&mut socket, [1, 2, 3]).await;
}

/// Redis cuts its log off inside the transaction, and does the rest of it when it is started
/// once more.
#[tokio::test]
async fn what_redis_brings_back_after_a_kill_is_heard_by_nobody() {
    let mut fleet = Fleet {
        app: App::answering(|_| ok("{}")).await,
        redis: Redis::start_with(&["--appendonly", "yes", "--appendfsync", "always"]).await,
    };
    let first = fleet.node().await;
    let since = first.say("a", 1).await["position"].clone();
    first.say("a", 2).await;
    first.0.signal("KILL").await;
    fleet.redis.stop_losing_what_is_not_saved().await;
    fleet.redis.cut_transaction_of("\"a-2\"");
    fleet.redis.start_again().await;
    let second = fleet.node().await;
    assert_eq!(second.say("a", 2).await["result"], "accepted");
    second.say("a", 3).await;
    fleet.redis.stop_losing_what_is_not_saved().await;
    fleet.redis.start_again().await;
    let third = fleet.node().await;
    let mut socket = third.open_since("a", &since).await;
    hears(&mut socket, [2, 3]).await;
    let skipped = "outrigger_feed_undecodable_total";
    assert!(third.0.metric(skipped).await > 0.5);
}
