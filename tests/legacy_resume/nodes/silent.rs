//! Sockets that died without a word, while their node still takes them for open.

use super::*;

#[tokio::test]
async fn who_is_silent_at_one_node_goes_on_at_another() {
    let fleet = Fleet::new(&endpoint("", "heartbeat = \"300s\"")).await;
    let silent = open_at(&fleet.a).await;
    fleet.tell(1).await;
    let mut again = open_at(&fleet.b).await;
    hears(&mut again, [1]).await;
    fleet.tell(2).await;
    hears(&mut again, [2]).await;
    // Its place is used up.
    dies_at(&fleet.a, silent).await;
    let again = reader(again);
    begins_with_what_comes(&fleet, &fleet.a, 3).await;
    again.abort();
}

#[tokio::test]
async fn a_second_tab_at_another_node_gets_nothing_twice() {
    let fleet = Fleet::new(&endpoint("", "heartbeat = \"300s\"")).await;
    let mut first = open_at(&fleet.a).await;
    fleet.tell(1).await;
    hears(&mut first, [1]).await;
    let first = reader(first);
    let mut second = open_at(&fleet.b).await;
    fleet.tell(2).await;
    hears(&mut second, [2]).await;
    assert_eq!(adoptions_at(&fleet.b, "second_tab").await, 1.0);
    first.abort();
}

#[tokio::test]
async fn a_slow_tab_that_answers_late_stands_for_itself_again() {
    let fleet = Fleet::new(&endpoint("", "heartbeat = \"300s\"")).await;
    let mut slow = open_at(&fleet.a).await;
    fleet.tell(1).await;
    let mut second = open_at(&fleet.b).await;
    hears(&mut second, [1]).await;
    // It reads again, and with that the ping.
    hears(&mut slow, [1]).await;
    proven_at(&fleet.a, &mut slow).await;
    fleet.tell(2).await;
    hears(&mut slow, [2]).await;
    hears(&mut second, [2]).await;
    let second = reader(second);
    dies_at(&fleet.a, slow).await;
    let mut again = open_at(&fleet.b).await;
    hears(&mut again, [2]).await;
    second.abort();
}

#[tokio::test]
async fn who_had_nothing_to_prove_and_never_answers_leaves_nothing() {
    let fleet = Fleet::new(&eager("heartbeat = \"300s\"")).await;
    let silent = open_at(&fleet.a).await;
    let mut again = open_at(&fleet.b).await;
    fleet.tell(1).await;
    hears(&mut again, [1]).await;
    proven_at(&fleet.b, &mut again).await;
    dies_at(&fleet.a, silent).await;
    dies_at(&fleet.b, again).await;
    fleet.tell(2).await;
    let mut third = open_at(&fleet.a).await;
    hears(&mut third, [2]).await;
}

#[tokio::test]
async fn a_tab_that_had_nothing_to_prove_and_answers_leaves_its_place() {
    let fleet = Fleet::new(&eager("heartbeat = \"300s\"")).await;
    let mut first = open_at(&fleet.a).await;
    let second = reader(open_at(&fleet.b).await);
    // With that it answers that it is there.
    assert!(first.is_silent().await);
    fleet.tell(1).await;
    hears(&mut first, [1]).await;
    proven_at(&fleet.a, &mut first).await;
    dies_at(&fleet.a, first).await;
    fleet.tell(2).await;
    let mut again = open_at(&fleet.a).await;
    hears(&mut again, [2]).await;
    second.abort();
}

/// It answered its own node, which could not say so any more.
#[tokio::test]
async fn who_takes_the_place_of_one_that_has_come_further_misses_nothing() {
    let fleet = Fleet::new(&eager("heartbeat = \"300s\"")).await;
    let _first = open_at(&fleet.a).await;
    fleet.a.signal("STOP").await;
    let mut second = open_at(&fleet.b).await;
    let waits = async || fleet.places().await.contains(" -1 ");
    until("it to wait", waits).await;
    let body = json!({"type": "news", "topics": ["news"], "data": {"n": 1}});
    let secret = crate::harness::HOOK_SECRET;
    let answer = crate::harness::post_event(fleet.b.addr(), secret, "e1", &body).await;
    let told: Value = serde_json::from_slice(&answer.body).unwrap();
    let further = told["results"][0]["position"].as_str().unwrap();
    let script = "for _, key in ipairs(redis.call('KEYS', '*:places:*')) do \
                  local all = redis.call('HGETALL', key) for n = 1, #all, 2 do \
                  if string.find(all[n + 1], ' 0 %S+$') then redis.call('HSET', key, all[n], \
                  (string.gsub(all[n + 1], '^(%S+) %S+', '%1 ' .. ARGV[1]))) end end end";
    fleet.redis.cli(&["EVAL", script, "0", further]).await;
    hears(&mut second, [1]).await;
    fleet.a.signal("CONT").await;
}
