//! Nodes that die, stop, sleep and come back, and a Redis that does.

use serde_json::json;
use tokio::time::{Duration, Instant};

use super::{Fleet, Node, hears, leave};

#[tokio::test]
async fn a_node_that_is_killed_takes_its_users_offline_once_but_for_who_came_elsewhere() {
    let fleet = Fleet::new().await;
    let [one, two] = fleet.two().await;
    let three = fleet.node().await;
    let mut watcher = one.online(9).await;
    hears(&mut watcher, &["+9"]).await;
    let _lost = [
        two.online(1).await,
        two.online(2).await,
        two.open("/ws/room/a", 3).await,
    ];
    for node in [&one, &three] {
        node.shows("all", &[1, 2, 9]).await;
    }
    one.has_told().await;
    let killed = Instant::now();
    two.0.signal("KILL").await;
    let _moved = three.online(1).await;
    one.shows("all", &[1, 9]).await;
    let took = killed.elapsed();
    println!("a killed node's users were offline after {took:.1?}");
    assert!(took > Duration::from_secs(10), "{took:?}");
    for node in [&one, &three] {
        node.shows("all", &[1, 9]).await;
        node.shows("room_a", &[]).await;
        node.0.metric_becomes("outrigger_nodes", 2.0).await;
    }
    fleet.is_told(1, &["online"]).await;
    fleet.is_told(2, &["online", "offline"]).await;
    let lost = one.0.metric("outrigger_nodes_lost_total").await
        + three.0.metric("outrigger_nodes_lost_total").await;
    assert!((lost - 1.0).abs() < 0.1, "{lost}");
}

#[tokio::test]
async fn a_node_that_only_slept_comes_back_with_all_who_are_still_there() {
    let fleet = Fleet::new().await;
    let [one, two] = fleet.two().await;
    let mut watcher = one.online(9).await;
    hears(&mut watcher, &["+9"]).await;
    let _sleeper = two.online(1).await;
    hears(&mut watcher, &["+1"]).await;
    // For a short while: nobody notices.
    two.0.signal("STOP").await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    two.0.signal("CONT").await;
    two.shows("all", &[1, 9]).await;
    assert!(watcher.is_silent().await);
    // For long: it was gone, and is there again.
    two.0.signal("STOP").await;
    hears(&mut watcher, &["-1"]).await;
    two.0.signal("CONT").await;
    hears(&mut watcher, &["+1"]).await;
    for node in [&one, &two] {
        node.shows("all", &[1, 9]).await;
        node.0.metric_becomes("outrigger_nodes", 2.0).await;
    }
    fleet.is_told(1, &["online", "offline", "online"]).await;
    let anew = "outrigger_node_rejoins_total{result=\"declared_gone\"}";
    assert_eq!(two.0.metric(anew).await, 1.0);
}

#[tokio::test]
async fn a_restart_is_not_noticed_by_whoever_comes_back_in_time() {
    let fleet = Fleet::new().await;
    let [one, mut two] = fleet.two().await;
    let mut watcher = one.online(9).await;
    hears(&mut watcher, &["+9"]).await;
    let (comes, goes) = (two.online(1).await, two.online(2).await);
    for node in [&one, &two] {
        node.shows("all", &[1, 2, 9]).await;
    }
    one.has_told().await;
    two.0.signal("TERM").await;
    let started = Instant::now();
    drop(comes);
    let _comes = one.online(1).await;
    assert!(two.0.exit().await.success());
    drop(goes);
    one.shows("all", &[1, 9]).await;
    // Not by silence.
    assert!(
        started.elapsed() < Duration::from_secs(8),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(one.0.metric("outrigger_nodes_lost_total").await, 0.0);
    fleet.is_told(2, &["online", "offline"]).await;
    fleet.is_told(1, &["online"]).await;
    let again = fleet.node().await;
    again.shows("all", &[1, 9]).await;
}

#[tokio::test]
async fn the_last_node_tells_the_app_that_all_have_gone() {
    let fleet = Fleet::new().await;
    let mut one = fleet.node().await;
    let socket = one.online(1).await;
    fleet.is_told(1, &["online"]).await;
    one.0.signal("TERM").await;
    drop(socket);
    assert!(one.0.exit().await.success());
    fleet.is_told(1, &["online", "offline"]).await;
}

#[tokio::test]
async fn while_redis_is_away_nobody_is_declared_gone() {
    let mut fleet = Fleet::new().await;
    let nodes = fleet.two().await;
    let mut watcher = nodes[0].online(9).await;
    hears(&mut watcher, &["+9"]).await;
    let _socket = nodes[1].online(1).await;
    hears(&mut watcher, &["+1"]).await;
    nodes[0].has_told().await;
    fleet.redis.stop_keeping_its_data().await;
    tokio::time::sleep(Duration::from_secs(13)).await;
    fleet.redis.start_again().await;
    is_well(&fleet, &nodes, 2).await;
    hears(&mut watcher, &["+2", "-2"]).await;
    assert!(watcher.is_silent().await);
}

#[tokio::test]
async fn a_redis_that_has_lost_everything_changes_nothing_for_those_who_are_there() {
    let mut fleet = Fleet::new().await;
    let nodes = fleet.two().await;
    let _sockets = [nodes[0].online(9).await, nodes[1].online(1).await];
    nodes[0].shows("all", &[1, 9]).await;
    nodes[0].has_told().await;
    fleet.redis.restart().await;
    is_well(&fleet, &nodes, 2).await;
    let anew = "outrigger_node_rejoins_total{result=\"lost_history\"}";
    assert!(nodes[0].0.metric(anew).await >= 1.0);
}

/// Somebody who comes is known to all, and nobody else was told of.
async fn is_well(fleet: &Fleet, nodes: &[Node; 2], newcomer: u64) {
    let came = nodes[1].online(newcomer).await;
    for node in nodes {
        node.shows("all", &[1, newcomer, 9]).await;
        let page = node.page("/nodes").await;
        assert_eq!(page["complete"], json!(true), "{page}");
    }
    fleet.is_told(newcomer, &["online"]).await;
    leave(came).await;
    fleet.is_told(newcomer, &["online", "offline"]).await;
    for user in [1, 9] {
        fleet.is_told(user, &["online"]).await;
    }
    for node in nodes {
        assert_eq!(node.0.metric("outrigger_nodes_lost_total").await, 0.0);
    }
}
