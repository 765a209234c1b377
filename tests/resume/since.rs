//! Coming back within what the feed remembers.

use serde_json::json;

use super::{MODERN, Modern, endpoint};
use crate::harness::{App, Socket, Stage, as_user, ok, until};

async fn resumes(stage: &Stage, reason: &str) -> f64 {
    let name = format!("outrigger_resumes_total{{endpoint=\"news\",reason=\"{reason}\"}}");
    stage.outrigger.metric(&name).await
}

#[tokio::test]
async fn who_comes_back_gets_what_it_missed_once_and_in_order() {
    let stage = Stage::new(&endpoint("welcome = { hello = true }\n")).await;
    let welcome = json!({"frame": {"hello": true}});
    let mut client = Modern::new(&stage, 1).await;
    assert_eq!(client.message().await, welcome);
    stage.tell_many("user_1", "news", 0..3).await;
    client.hears(0..3).await;
    let since = client.cut();
    stage.tell_many("user_1", "news", 3..300).await;
    stage.tell_many("user_2", "news", 1000..1005).await;
    let mut client = Modern::at(&stage, 1, &since).await;
    assert_eq!(client.position, since);
    assert_eq!(client.message().await, welcome);
    client.hears(3..300).await;
    stage.tell_many("news", "news", 300..303).await;
    client.hears(300..303).await;
    assert_eq!(resumes(&stage, "resumed").await, 1.0);
    let since = client.cut();
    let mut client = Modern::at(&stage, 1, &since).await;
    assert_eq!(client.message().await, welcome);
    let at_head = async || resumes(&stage, "at_head").await == 1.0;
    until("the client to be at the head", at_head).await;
    stage.tell_many("news", "news", 303..304).await;
    client.hears(303..304).await;
}

#[tokio::test]
async fn the_header_counts_and_frames_need_no_envelope() {
    let stage = Stage::new(&endpoint("")).await;
    let mut client = Modern::new(&stage, 1).await;
    stage.tell_many("user_1", "news", 0..3).await;
    client.hears(0..1).await;
    let older = client.position.clone();
    client.hears(1..2).await;
    let newer = client.cut();
    let target = format!("{}&since={older}", as_user("/ws/news", 1));
    let header = [("Last-Event-ID", &*newer)];
    let mut legacy = Socket::open_with(stage.outrigger.addr(), &target, &header).await;
    assert_eq!(legacy.text().await, r#"{"type":"news","n":2}"#);
    let mut legacy = Socket::open(stage.outrigger.addr(), &target).await;
    assert_eq!(legacy.text().await, r#"{"type":"news","n":1}"#);
    assert_eq!(legacy.text().await, r#"{"type":"news","n":2}"#);
}

#[tokio::test]
async fn two_tabs_come_back_each_to_its_own_place() {
    let stage = Stage::new(&endpoint("")).await;
    let mut one = Modern::new(&stage, 1).await;
    let mut two = Modern::new(&stage, 1).await;
    stage.tell_many("user_1", "news", 0..4).await;
    one.hears(0..1).await;
    two.hears(0..3).await;
    let (one, two) = (one.cut(), two.cut());
    stage.tell_many("user_1", "news", 4..6).await;
    Modern::at(&stage, 1, &one).await.hears(1..6).await;
    Modern::at(&stage, 1, &two).await.hears(3..6).await;
}

#[tokio::test]
async fn what_is_ephemeral_is_not_replayed() {
    let stage = Stage::new(&endpoint("")).await;
    let since = Modern::new(&stage, 1).await.cut();
    let event = |n, ephemeral| json!({"type": "news", "topics": ["news"], "ephemeral": ephemeral, "data": {"n": n}});
    stage.publish(&event(1, true)).await;
    stage.publish(&event(2, false)).await;
    Modern::at(&stage, 1, &since).await.hears([2]).await;
}

/// For a client of old the parameter may be the app's own.
#[tokio::test]
async fn what_is_no_position_is_the_apps_business() {
    let stage = Stage::new(&endpoint("")).await;
    let target = format!("{}&since=2026-11-21T10:00", as_user("/ws/news", 1));
    let mut legacy = Socket::open(stage.outrigger.addr(), &target).await;
    stage.tell("news", "news", &json!({"n": 1})).await;
    assert_eq!(legacy.text().await, r#"{"type":"news","n":1}"#);
    assert_eq!(resumes(&stage, "not_a_position").await, 1.0);
    let (mut modern, first) = Modern::open(&stage, 1, "yesterday").await;
    assert_eq!(
        first,
        json!({"history_lost": true, "position": modern.position})
    );
    stage.tell("news", "news", &json!({"n": 2})).await;
    modern.hears([2]).await;
    assert_eq!(resumes(&stage, "not_a_position").await, 2.0);
}

/// The app is asked for the topics when the client is back; what it says holds from
/// the client's place on.
#[tokio::test]
async fn topics_that_the_app_names_are_heard_from_the_place_on() {
    let app = App::answering(|request| match request.target().contains("rooms") {
        true => ok(r#"[{"id": 5}, {"id": 6}]"#),
        false => ok("{}"),
    });
    let more =
        "topics_from = { ask_app = \"/api/rooms/\", each = \"/*/id\", topic = \"room_{value}\" }\n";
    let stage = Stage::with(app.await, "", &endpoint(more)).await;
    let mut client = Modern::new(&stage, 1).await;
    stage.tell("room_5", "news", &json!({"n": 1})).await;
    client.hears([1]).await;
    let since = client.cut();
    stage.tell("room_6", "news", &json!({"n": 2})).await;
    stage.tell("room_7", "news", &json!({"n": 3})).await;
    stage.tell("room_5", "news", &json!({"n": 4})).await;
    let mut client = Modern::at(&stage, 1, &since).await;
    stage.tell("room_5", "news", &json!({"n": 5})).await;
    client.hears([2, 4, 5]).await;
}

/// Orders act on open sessions. What the endpoint says now is newer than those that the
/// client has missed.
#[tokio::test]
async fn orders_that_were_given_meanwhile_are_not_done_again() {
    let stage = Stage::new(&endpoint("")).await;
    let since = Modern::new(&stage, 1).await.cut();
    let order = |kind, topics| json!({"type": kind, "users": [1], "data": {"topics": topics}});
    stage.tell("room", "news", &json!({"n": 1})).await;
    stage.publish(&order("outrigger.join", ["room"])).await;
    stage.tell("room", "news", &json!({"n": 2})).await;
    stage.publish(&order("outrigger.leave", ["news"])).await;
    stage.tell("news", "news", &json!({"n": 3})).await;
    let goodbye = json!({"type": "outrigger.disconnect", "users": [1], "data": {}});
    stage.publish(&goodbye).await;
    stage.tell("news", "news", &json!({"n": 4})).await;
    let mut client = Modern::at(&stage, 1, &since).await;
    client.hears([3, 4]).await;
    stage.publish(&order("outrigger.join", ["room"])).await;
    stage.tell("room", "news", &json!({"n": 5})).await;
    client.hears([5]).await;
}

#[tokio::test]
async fn what_was_missed_is_written_by_the_rules_of_now() {
    let stage = Stage::new(&endpoint("")).await;
    let mut client = Modern::new(&stage, 1).await;
    stage.tell_many("news", "news", 0..2).await;
    client.hears(0..2).await;
    let since = client.cut();
    stage.tell_many("news", "news", 2..4).await;
    let now = endpoint("").replace("type = \"news\"", "kind = \"now\"");
    stage.reload(&now).await;
    stage.tell_many("news", "news", 4..6).await;
    let target = format!("{}&since={since}", as_user("/ws/news", 1));
    let mut client = Socket::open_with(stage.outrigger.addr(), &target, &[MODERN]).await;
    assert_eq!(client.json().await, json!({"position": since}));
    for n in 2..6 {
        let frame = json!({"kind": "now", "n": n});
        assert_eq!(client.json().await["frame"], frame);
    }
}
