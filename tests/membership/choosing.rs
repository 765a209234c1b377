//! Clients that choose what they hear.

use serde_json::{Value, json};

use super::{chat, expect, order};
use crate::harness::{App, Message, Socket, Stage, answer, ok, token, token_of};

const CHATS: &str = r#"
[[endpoint]]
name = "chats"
path = "/ws/chats"
topics = ["user_{user.id}"]
frames = { chat = { n = "{data.n}" } }
limits = { max_topics = 3 }
[[endpoint.actions]]
when = { action = "subscribe", id = { present = true } }
subscribe = { topics = ["chat_{message.id}"], permit = { ask_app = "/api/chats/{message.id}/" }, on_failure = { reply = { no = "{message.id}" } } }
reply = { subscribed = "{message.id}" }
[[endpoint.actions]]
when = { action = "subscribe" }
reply = { subscribed = "{message.ids}" }
[endpoint.actions.subscribe]
topics = ["chat_{each}", "typing_{each}"]
each = "message.ids"
permit = { ask_app = "/api/chats/{each}/" }
on_failure = { reply = { no = "{message.ids}" } }
[[endpoint.actions]]
when = { action = "unsubscribe" }
unsubscribe = { topics = ["chat_{message.id}"] }
reply = { unsubscribed = "{message.id}" }
[[endpoint.actions]]
when = { action = "own" }
unsubscribe = { topics = ["user_{user.id}"] }
reply = { own = false }
[[endpoint.actions]]
when = { action = "any" }
subscribe = { topics = ["{message.topic}"], permit = "anyone" }
reply = { any = "{message.topic}" }
[[endpoint.actions]]
when = { action = "claimed" }
subscribe = { topics = ["chat_{message.id}"], permit = { claim = "chats", value = "{message.id}" }, on_failure = { reply_text = "no claim" } }
reply = { claimed = "{message.id}" }
"#;

/// An app that lets users hear the chats below 100.
fn permits(request: &Message) -> Vec<u8> {
    let id = request.target().trim_start_matches("/api/chats/");
    match id.trim_end_matches('/').parse::<u32>() {
        Ok(0..100) => ok("{}"),
        Ok(500) => answer(500, "{}"),
        _ => answer(404, "{}"),
    }
}

async fn stage() -> Stage {
    Stage::with(App::answering(permits).await, "", CHATS).await
}

async fn ask(socket: &mut Socket, message: Value) -> Value {
    socket.send(&message.to_string()).await;
    socket.json().await
}

fn refused(reason: &str) -> String {
    format!("outrigger_memberships_refused_total{{reason=\"{reason}\"}}")
}

#[tokio::test]
async fn a_client_hears_what_the_app_permits_from_its_answer_on() {
    let stage = stage().await;
    let token = token(1);
    let path = format!("/ws/chats?token={token}");
    let mut anna = Socket::open(stage.outrigger.addr(), &path).await;
    stage.publish(&chat("chat_7", 1)).await;
    let unheard = "outrigger_events_unheard_total{result=\"nobody_subscribed\"}";
    stage.outrigger.metric_becomes(unheard, 1.0).await;
    let said = ask(&mut anna, json!({"action": "subscribe", "id": 7})).await;
    assert_eq!(said, json!({"subscribed": 7}));
    let asked = stage.app.take_seen();
    let [asked] = &asked[..] else {
        panic!("{asked:?}")
    };
    assert_eq!(asked.target(), "/api/chats/7/");
    let bearer = format!("Bearer {token}");
    assert_eq!(asked.header("authorization").as_deref(), Some(&*bearer));
    stage.publish(&chat("chat_7", 2)).await;
    expect(&mut anna, 2).await;
    let joins = "outrigger_memberships_total{change=\"join\",cause=\"client\",endpoint=\"chats\"}";
    assert_eq!(stage.outrigger.metric(joins).await, 1.0);
}

#[tokio::test]
async fn what_the_app_does_not_permit_is_answered_and_not_heard() {
    let stage = stage().await;
    let mut anna = stage.open("/ws/chats", 1).await;
    for id in [json!(100), json!("1/../2"), json!(500), json!("..")] {
        let said = ask(&mut anna, json!({"action": "subscribe", "id": id})).await;
        assert_eq!(said, json!({ "no": id }));
    }
    let paths = stage.app.take_seen();
    let paths: Vec<_> = paths.iter().map(Message::target).collect();
    assert_eq!(
        paths,
        [
            "/api/chats/100/",
            "/api/chats/1%2F..%2F2/",
            "/api/chats/500/"
        ]
    );
    stage.publish(&chat("chat_100", 1)).await;
    stage.publish(&chat("user_1", 2)).await;
    expect(&mut anna, 2).await;
    for (reason, count) in [
        ("not_permitted", 2.0),
        ("failed", 1.0),
        ("missing_value", 1.0),
    ] {
        assert_eq!(
            stage.outrigger.metric(&refused(reason)).await,
            count,
            "{reason}"
        );
    }
}

#[tokio::test]
async fn nothing_that_comes_after_an_unsubscribe_is_heard() {
    let stage = stage().await;
    let mut anna = stage.open("/ws/chats", 1).await;
    ask(&mut anna, json!({"action": "subscribe", "id": 7})).await;
    stage.publish(&chat("chat_7", 1)).await;
    expect(&mut anna, 1).await;
    let said = ask(&mut anna, json!({"action": "unsubscribe", "id": 7})).await;
    assert_eq!(said, json!({"unsubscribed": 7}));
    stage.publish(&chat("chat_7", 2)).await;
    stage.publish(&chat("user_1", 3)).await;
    expect(&mut anna, 3).await;
    // What the endpoint itself gives can be taken, too.
    ask(&mut anna, json!({"action": "own"})).await;
    stage.publish(&chat("user_1", 4)).await;
    ask(&mut anna, json!({"action": "subscribe", "id": 8})).await;
    stage.publish(&chat("chat_8", 5)).await;
    expect(&mut anna, 5).await;
}

#[tokio::test]
async fn of_a_list_all_is_heard_or_nothing() {
    let stage = stage().await;
    let mut anna = stage.open("/ws/chats", 1).await;
    let many = stage.open("/ws/chats", 2).await;
    drop(many);
    for ids in [
        json!([1, 200]),
        json!([1, 2, 3, 4]),
        json!([[1]]),
        json!("1"),
    ] {
        let said = ask(&mut anna, json!({"action": "subscribe", "ids": ids})).await;
        assert_eq!(said, json!({ "no": ids }));
    }
    stage.publish(&chat("chat_1", 1)).await;
    let said = ask(&mut anna, json!({"action": "subscribe", "ids": [2, "2"]})).await;
    assert_eq!(said, json!({"subscribed": [2, "2"]}));
    let paths = stage.app.take_seen();
    let paths: Vec<_> = paths.iter().map(Message::target).collect();
    assert_eq!(paths, ["/api/chats/1/", "/api/chats/200/", "/api/chats/2/"]);
    for (topic, n) in [("chat_1", 2), ("chat_2", 3), ("typing_2", 4)] {
        stage.publish(&chat(topic, n)).await;
    }
    expect(&mut anna, 3).await;
    expect(&mut anna, 4).await;
    for (reason, count) in [
        ("not_permitted", 1.0),
        ("max_topics", 1.0),
        ("unusable_value", 2.0),
    ] {
        assert_eq!(
            stage.outrigger.metric(&refused(reason)).await,
            count,
            "{reason}"
        );
    }
}

#[tokio::test]
async fn who_has_all_the_topics_it_may_have_gets_no_more() {
    let stage = stage().await;
    let mut anna = stage.open("/ws/chats", 1).await;
    for id in [1, 2, 3, 3] {
        let said = ask(&mut anna, json!({"action": "subscribe", "id": id})).await;
        assert_eq!(said, json!({ "subscribed": id }));
    }
    let said = ask(&mut anna, json!({"action": "subscribe", "id": 4})).await;
    assert_eq!(said, json!({"no": 4}));
    ask(&mut anna, json!({"action": "unsubscribe", "id": 1})).await;
    let said = ask(&mut anna, json!({"action": "subscribe", "id": 4})).await;
    assert_eq!(said, json!({"subscribed": 4}));
    assert_eq!(stage.outrigger.metric(&refused("max_topics")).await, 1.0);
}

#[tokio::test]
async fn topics_for_anyone_and_by_claim_need_no_question() {
    let stage = stage().await;
    let claims = json!({"user_id": 1, "chats": [7, 9]});
    let path = format!("/ws/chats?token={}", token_of(&claims));
    let mut anna = Socket::open(stage.outrigger.addr(), &path).await;
    let said = ask(&mut anna, json!({"action": "claimed", "id": 9})).await;
    assert_eq!(said, json!({"claimed": 9}));
    anna.send(r#"{"action": "claimed", "id": 8}"#).await;
    assert_eq!(anna.text().await, "no claim");
    let said = ask(&mut anna, json!({"action": "any", "topic": "news"})).await;
    assert_eq!(said, json!({"any": "news"}));
    for topic in [json!("x".repeat(256)), json!(""), json!("a\nb")] {
        let message = json!({"action": "any", "topic": topic});
        anna.send(&message.to_string()).await;
    }
    for (topic, n) in [("chat_8", 1), ("chat_9", 2), ("news", 3)] {
        stage.publish(&chat(topic, n)).await;
    }
    expect(&mut anna, 2).await;
    expect(&mut anna, 3).await;
    stage
        .outrigger
        .metric_becomes(&refused("unusable_value"), 3.0)
        .await;
    assert!(stage.app.take_seen().is_empty());
}

#[tokio::test]
async fn the_answer_comes_before_everything_that_is_heard_by_it() {
    let stage = stage().await;
    let mut anna = stage.open("/ws/chats", 1).await;
    for id in 1..4 {
        let topic = format!("chat_{id}");
        anna.send(&json!({"action": "subscribe", "id": id}).to_string())
            .await;
        // Without a pause: some come before, some after.
        let publish = async {
            for n in 0..20 {
                stage.publish(&chat(&topic, n)).await;
            }
        };
        let hear = async {
            assert_eq!(anna.json().await, json!({ "subscribed": id }));
            let mut last = 0;
            while last < 19 {
                let n = anna.json().await["n"].as_u64().unwrap();
                assert!(last == 0 || n == last + 1, "{n} after {last}");
                last = n;
            }
        };
        tokio::join!(publish, hear);
    }
}

#[tokio::test]
async fn what_the_app_says_while_it_is_asked_is_newer_than_its_answer() {
    let stage = Stage::with(App::start().await, "", CHATS).await;
    let mut anna = stage.open("/ws/chats", 1).await;
    anna.send(r#"{"action": "subscribe", "id": 7}"#).await;
    let mut asked = stage.app.accept().await;
    asked.request().await;
    let leave = order("leave", &[1], &json!({"topics": ["chat_7"]}));
    // What is not about this topic is heard meanwhile.
    stage
        .publish(&json!({"events": [leave, chat("user_1", 1)]}))
        .await;
    expect(&mut anna, 1).await;
    asked.send(ok("{}")).await;
    assert_eq!(anna.json().await, json!({"subscribed": 7}));
    stage
        .publish(&json!({"events": [chat("chat_7", 2), chat("user_1", 3)]}))
        .await;
    expect(&mut anna, 3).await;
}

#[tokio::test]
async fn a_reload_keeps_what_clients_have_chosen() {
    let stage = stage().await;
    let mut anna = stage.open("/ws/chats", 1).await;
    ask(&mut anna, json!({"action": "subscribe", "id": 7})).await;
    ask(&mut anna, json!({"action": "own"})).await;
    let changed = CHATS.replace("{ n = \"{data.n}\" }", "{ m = \"{data.n}\" }");
    stage.reload(&changed).await;
    stage
        .publish(&json!({"events": [chat("user_1", 1), chat("chat_7", 2)]}))
        .await;
    assert_eq!(anna.json().await, json!({"m": 2}));
    ask(&mut anna, json!({"action": "unsubscribe", "id": 7})).await;
    stage.publish(&chat("chat_7", 3)).await;
    let said = ask(&mut anna, json!({"action": "subscribe", "id": 8})).await;
    assert_eq!(said, json!({"subscribed": 8}));
}
