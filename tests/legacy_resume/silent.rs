//! Sockets that died without a word, while the server still takes them for open.

use super::*;

#[tokio::test]
async fn who_does_not_answer_is_taken_for_dead() {
    let stage = Stage::new(&endpoint("", "welcome = { hello = 1 }")).await;
    let mut old = stage.open("/ws/news/", 1).await;
    written(&stage, 1..3).await;
    // From here on nobody reads the old one.
    assert_eq!(old.json().await["hello"], 1);
    let mut again = stage.open("/ws/news/", 1).await;
    assert_eq!(again.json().await["hello"], 1);
    tell(&stage, 3).await;
    hears(&mut again, 1..4).await;
    tell(&stage, 4).await;
    hears(&mut again, [4]).await;
    assert_eq!(adoptions(&stage, "adopted").await, 1.0);
    // It is not closed, and its place is used up.
    open(&stage, 2.0).await;
    reset(old);
    open(&stage, 1.0).await;
    assert_eq!(stage.outrigger.metric("outrigger_orphans").await, 0.0);
}

#[tokio::test]
async fn a_dead_socket_with_nothing_to_give_costs_no_wait_and_leaves_nothing() {
    let more = "heartbeat = \"1s\"";
    let stage = Stage::new(&endpoint("", more)).await;
    let old = stage.open("/ws/news/", 1).await;
    let mut again = stage.open("/ws/news/", 1).await;
    tell(&stage, 1).await;
    hears(&mut again, [1]).await;
    // The heartbeat finds out; the newcomer stands in its place all the same.
    let reader = reader(again);
    open(&stage, 1.0).await;
    assert_eq!(stage.outrigger.metric("outrigger_orphans").await, 0.0);
    assert_eq!(
        stage.outrigger.metric("outrigger_adoptions_total").await,
        0.0
    );
    reader.abort();
    drop(old);
}

#[tokio::test]
async fn who_dies_while_it_is_decided_leaves_what_it_would_have_got() {
    let stage = Stage::new(&endpoint("", "")).await;
    let _old = stage.open("/ws/news/", 1).await;
    written(&stage, 1..3).await;
    let second = stage.open("/ws/news/", 1).await;
    reset(second);
    let mut third = stage.open("/ws/news/", 1).await;
    tell(&stage, 3).await;
    hears(&mut third, 1..4).await;
    assert!(third.is_silent().await);
}

#[tokio::test]
async fn a_slow_tab_that_answers_late_stands_for_itself_again() {
    let stage = Stage::new(&endpoint("", "heartbeat = \"300s\"")).await;
    let mut slow = stage.open("/ws/news/", 1).await;
    written(&stage, 1..2).await;
    let mut second = stage.open("/ws/news/", 1).await;
    hears(&mut second, [1]).await;
    // It reads again, and with that the ping.
    hears(&mut slow, [1]).await;
    proven(&stage, &mut slow).await;
    tell(&stage, 2).await;
    hears(&mut slow, [2]).await;
    hears(&mut second, [2]).await;
    reset(slow);
    orphans(&stage, 1.0).await;
}

#[tokio::test]
async fn what_a_silent_one_was_sent_before_a_reload_comes_by_the_rules_of_its_time() {
    let lines = endpoint("", "heartbeat = \"300s\"");
    let stage = Stage::new(&lines).await;
    let _old = stage.open("/ws/news/", 1).await;
    written(&stage, 1..2).await;
    let other = lines.replace("{ n = \"{data.n}\" }", "{ other = \"{data.n}\" }");
    stage.outrigger.rewrite(&stage.config(&other));
    stage
        .outrigger
        .metric_becomes("outrigger_config_generation", 2.0)
        .await;
    // It follows, and is still silent.
    written(&stage, 2..3).await;
    let mut again = stage.open("/ws/news/", 1).await;
    hears(&mut again, [1]).await;
    assert_eq!(again.json().await, json!({ "other": 2 }));
}
