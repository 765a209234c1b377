//! What several nodes on one feed promise: in a small `world`, told as stories here, and
//! for whatever may happen in `properties`.

mod properties;
mod world;

use serde_json::json;

use super::*;
use world::{GRACE, STEP, World, about, place};

use Turn::{Offline, Online};

/// Two nodes that know each other.
fn two() -> World {
    let mut world = World::new(1);
    world.pass(Duration::from_secs(2));
    world.add(1);
    world.pass(Duration::from_millis(300));
    for node in &world.nodes {
        assert!(node.fleet.as_ref().unwrap().is_synced());
    }
    world
}

#[test]
fn a_member_on_two_nodes_is_told_once_and_moves_without_being_told() {
    let mut world = two();
    world.enter(0, 1);
    assert_eq!(world.online(0), [1], "whoever comes is in its own list");
    world.enter(1, 1);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.turns(1), [Online]);
    assert_eq!((world.online(0), world.online(1)), (vec![1], vec![1]));
    world.leave(0, 1);
    world.pass(GRACE * 2);
    world.leave(1, 1);
    world.pass(GRACE / 2);
    world.enter(0, 1);
    world.pass(GRACE * 2);
    assert_eq!(world.turns(1), [Online]);
    world.leave(0, 1);
    world.pass(GRACE * 2);
    assert_eq!(world.turns(1), [Online, Offline]);
    assert_eq!((world.online(0), world.online(1)), (vec![], vec![]));
    for node in &world.nodes {
        let fleet = node.fleet.as_ref().unwrap();
        assert_eq!(fleet.ledger.records().count(), 0);
        assert!(fleet.is_done() && fleet.local.is_empty());
    }
}

#[test]
fn a_newcomer_knows_who_is_online_and_the_grace_of_who_left_goes_on() {
    let mut world = World::new(1);
    world.pass(Duration::from_secs(2));
    world.enter(0, 1);
    world.enter(0, 2);
    world.pass(Duration::from_secs(1));
    world.leave(0, 2);
    world.pass(GRACE / 2);
    world.add(1);
    world.pass(Duration::from_millis(300));
    assert_eq!(world.online(1), [1, 2]);
    world.enter(1, 2);
    world.pass(GRACE * 2);
    assert_eq!(world.turns(2), [Online]);
}

#[test]
fn a_node_that_dies_takes_its_members_offline_once_but_for_those_who_came_elsewhere() {
    let mut world = two();
    for user in 0..3 {
        world.enter(1, user);
    }
    world.enter(0, 0);
    world.pass(Duration::from_secs(1));
    world.kill(1);
    world.pass(DEAD / 2);
    world.enter(0, 1);
    world.pass(DEAD / 2 - STEP * 2);
    assert_eq!(world.online(0), [0, 1, 2]);
    world.pass(GRACE + Duration::from_secs(1));
    assert_eq!(world.online(0), [0, 1]);
    world.pass(DEAD * 2);
    assert_eq!(world.turns(0), [Online]);
    assert_eq!(world.turns(1), [Online]);
    assert_eq!(world.turns(2), [Online, Offline]);
}

#[test]
fn a_graceful_end_hands_over_at_once() {
    let mut world = two();
    world.enter(1, 1);
    world.enter(1, 2);
    world.pass(Duration::from_secs(1));
    world.stop(1);
    world.pass(GRACE / 2);
    world.enter(0, 1);
    world.pass(GRACE);
    assert_eq!(world.turns(1), [Online]);
    assert_eq!(world.turns(2), [Online, Offline]);
    assert_eq!(world.nodes[0].fleet.as_ref().unwrap().node_count(), 1);
}

#[test]
fn a_node_that_was_paused_comes_anew_with_all_who_are_still_there() {
    let mut world = two();
    world.enter(1, 1);
    world.pass(Duration::from_secs(1));
    world.nodes[1].frozen = 20 * 30;
    world.pass(Duration::from_secs(20));
    assert_eq!(
        (world.turns(1), world.online(0)),
        (vec![Online, Offline], vec![])
    );
    world.pass(Duration::from_secs(12));
    assert_eq!(world.turns(1), [Online, Offline, Online]);
    assert_eq!((world.online(0), world.online(1)), (vec![1], vec![1]));
    assert_eq!(world.nodes[1].fleet.as_ref().unwrap().me().1, 1);
    // A short pause is not noticed.
    world.nodes[1].frozen = 20 * 8;
    world.pass(Duration::from_secs(30));
    assert_eq!(world.turns(1), [Online, Offline, Online]);
}

#[test]
fn nobody_is_gone_because_the_feed_stood_still() {
    let mut world = two();
    world.enter(1, 1);
    world.pass(Duration::from_secs(1));
    for away in [100, 300, 1000] {
        world.away = away;
        world.pass(STEP * away + Duration::from_secs(15));
        assert_eq!(world.turns(1), [Online]);
        assert_eq!(world.nodes[0].fleet.as_ref().unwrap().node_count(), 2);
    }
}

#[test]
fn a_feed_that_lost_everything_tells_nothing_twice() {
    let mut world = two();
    world.enter(0, 0);
    world.enter(1, 1);
    world.enter(1, 2);
    world.pass(Duration::from_secs(1));
    world.leave(1, 2);
    world.pass(GRACE / 2);
    for node in &mut world.nodes {
        node.fleet.as_mut().unwrap().lost("another epoch");
        node.unsent.clear();
        node.cursor = world.log.len();
    }
    assert_eq!(
        world.online(0),
        [0, 1, 2],
        "what was known is shown meanwhile"
    );
    world.pass(Duration::from_secs(10));
    assert_eq!((world.online(0), world.online(1)), (vec![0, 1], vec![0, 1]));
    assert_eq!(
        (world.turns(0), world.turns(1)),
        (vec![Online], vec![Online])
    );
    assert_eq!(world.turns(2), [Online, Offline]);
}

#[test]
fn who_missed_that_it_was_declared_gone_believes_the_others() {
    let mut world = two();
    world.enter(1, 1);
    world.pass(Duration::from_secs(1));
    world.nodes[1].fleet.as_mut().unwrap().lost("a gap");
    world.nodes[1].frozen = 20 * 20;
    world.pass(Duration::from_secs(15));
    assert_eq!(world.turns(1), [Online, Offline]);
    world.nodes[1].cursor = world.log.len();
    world.pass(Duration::from_secs(15));
    assert_eq!(world.turns(1), [Online, Offline, Online]);
}

#[test]
fn a_storm_of_reconnects_is_a_few_facts_of_bounded_length() {
    let mut world = two();
    let before = world.log.len();
    let fleet = world.nodes[0].fleet.as_mut().unwrap();
    for user in 0..2000 {
        fleet.enter(&place(user), &about(user), 0);
        fleet.leave(&place(user), 0, GRACE);
        fleet.enter(&place(user), &about(user), 0);
    }
    world.step();
    let facts = &world.log[before..];
    assert!(
        (2000 / MAX_CHANGES..30).contains(&facts.len()),
        "{}",
        facts.len()
    );
    for fact in facts {
        assert!(fact.event().data.get().len() < 64 * 1024);
    }
    let huge = About {
        user: Some(json!("x".repeat(5000))),
        ..about(1)
    };
    let fleet = world.nodes[0].fleet.as_mut().unwrap();
    assert_eq!(fleet.enter(&place(9999), &huge, 0), Came::Full);
}

#[test]
fn a_large_roll_travels_in_parts() {
    let mut world = World::new(1);
    world.pass(Duration::from_secs(2));
    let fleet = world.nodes[0].fleet.as_mut().unwrap();
    for user in 0..3000 {
        fleet.enter(&place(user), &about(user), 0);
    }
    world.pass(Duration::from_secs(1));
    let fleet = world.nodes[0].fleet.as_ref().unwrap();
    let answer = Answer {
        from: fleet.me,
        to: NodeId(9, 0),
        at: Offset(0, 7),
        ledger: fleet.ledger.clone(),
    };
    let facts = answer.facts();
    assert!(facts.len() > 3);
    let mut parts = snapshot::Parts::default();
    let mut whole = None;
    for said in &facts {
        assert!(said.event().data.get().len() < 64 * 1024);
        let said = Said::of(&said.event()).unwrap().unwrap();
        let Fact::Roll(roll) = &said.fact else {
            panic!()
        };
        assert!(whole.is_none());
        whole = parts.take(said.node, roll);
    }
    assert_eq!(whole, Some((Offset(0, 7), answer.ledger)));
}
