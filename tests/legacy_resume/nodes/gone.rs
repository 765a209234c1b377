//! Nodes that are killed.

use super::*;

/// A node is killed.
async fn kill(node: &mut Outrigger) {
    node.signal("KILL").await;
    node.exit().await;
}

#[tokio::test]
async fn a_killed_node_loses_nothing_for_its_clients() {
    let mut fleet = Fleet::new(&eager("")).await;
    let mut socket = open_at(&fleet.a).await;
    fleet.tell(1).await;
    hears(&mut socket, [1]).await;
    kill(&mut fleet.a).await;
    fleet.tell(2).await;
    let mut again = open_at(&fleet.b).await;
    // The pong may not have been noted yet.
    let first = again.json().await;
    if first == json!({ "n": 1 }) {
        hears(&mut again, [2]).await;
    } else {
        assert_eq!(first, json!({ "n": 2 }));
    }
}

#[tokio::test]
async fn who_had_nothing_to_prove_at_a_killed_node_leaves_nothing() {
    let mut fleet = Fleet::new(&eager("heartbeat = \"300s\"")).await;
    let _silent = open_at(&fleet.a).await;
    let mut again = open_at(&fleet.b).await;
    fleet.tell(1).await;
    hears(&mut again, [1]).await;
    proven_at(&fleet.b, &mut again).await;
    kill(&mut fleet.a).await;
    dies_at(&fleet.b, again).await;
    fleet.tell(2).await;
    let mut third = open_at(&fleet.b).await;
    hears(&mut third, [2]).await;
}

#[tokio::test]
async fn who_waited_for_a_silent_one_when_its_node_was_killed_leaves_one_place() {
    let mut fleet = Fleet::new(&eager("heartbeat = \"300s\"")).await;
    let silent = open_at(&fleet.a).await;
    fleet.tell(1).await;
    let _waiting = open_at(&fleet.b).await;
    let waits = async || fleet.places().await.contains(" -1 ");
    until("it to wait", waits).await;
    kill(&mut fleet.b).await;
    let mut third = open_at(&fleet.a).await;
    hears(&mut third, [1]).await;
    proven_at(&fleet.a, &mut third).await;
    dies_at(&fleet.a, silent).await;
    dies_at(&fleet.a, third).await;
    fleet.tell_by(&fleet.a, 2).await;
    let mut fourth = open_at(&fleet.a).await;
    hears(&mut fourth, [2]).await;
}

#[tokio::test]
async fn who_waited_at_a_killed_node_for_one_that_had_all_stands_in_its_place() {
    let mut fleet = Fleet::new(&eager("heartbeat = \"300s\"")).await;
    let silent = open_at(&fleet.a).await;
    fleet.a.signal("STOP").await;
    let _waiting = open_at(&fleet.b).await;
    let waits = async || fleet.places().await.contains(" -1 ");
    until("it to wait", waits).await;
    kill(&mut fleet.b).await;
    fleet.a.signal("CONT").await;
    let mut third = open_at(&fleet.a).await;
    fleet.tell_by(&fleet.a, 1).await;
    hears(&mut third, [1]).await;
    proven_at(&fleet.a, &mut third).await;
    dies_at(&fleet.a, silent).await;
    dies_at(&fleet.a, third).await;
    fleet.tell_by(&fleet.a, 2).await;
    let mut fourth = open_at(&fleet.a).await;
    hears(&mut fourth, [2]).await;
}
