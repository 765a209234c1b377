//! Sessions whose topics change while they are open.

mod choosing;
mod shadow;

use serde_json::{Value, json};

use crate::harness::{App, Message, Socket, Stage, answer, as_user, ok, token};

const INBOX: &str = r#"
[[endpoint]]
name = "inbox"
path = "/ws/inbox"
topics = ["user_{user.id}"]
frames = { chat = { n = "{data.n}" } }
[[endpoint]]
name = "news"
path = "/ws/news"
topics = ["news"]
frames = { "*" = { news = "{data}" } }
"#;

fn chat(topic: &str, n: u64) -> Value {
    json!({"type": "chat", "topics": [topic], "data": {"n": n}})
}

fn order(name: &str, users: &[u64], data: &Value) -> Value {
    json!({"type": format!("outrigger.{name}"), "users": users, "data": data})
}

async fn expect(socket: &mut Socket, n: u64) {
    assert_eq!(socket.json().await, json!({ "n": n }));
}

#[tokio::test]
async fn a_conversation_made_after_connect_is_heard_at_once() {
    let stage = Stage::new(INBOX).await;
    let mut anna = stage.open("/ws/inbox", 1).await;
    let mut bert = stage.open("/ws/inbox", 2).await;
    let join = order("join", &[1], &json!({"topics": ["chat_5"]}));
    let batch = [
        chat("chat_5", 1),
        join,
        chat("chat_5", 2),
        chat("user_2", 3),
    ];
    stage.publish(&json!({ "events": batch })).await;
    expect(&mut anna, 2).await;
    expect(&mut bert, 3).await;
    let joins = "outrigger_memberships_total{change=\"join\",cause=\"event\",endpoint=\"inbox\"}";
    assert_eq!(stage.outrigger.metric(joins).await, 1.0);
}

#[tokio::test]
async fn who_leaves_hears_nothing_more_from_there_on() {
    let stage = Stage::new(INBOX).await;
    let mut anna = stage.open("/ws/inbox", 1).await;
    let leave = |topic: &str| order("leave", &[1], &json!({"topics": [topic]}));
    let join = order("join", &[1], &json!({"topics": ["chat_5", "chat_6"]}));
    let batch = [join, chat("chat_5", 1), leave("chat_5"), chat("chat_5", 2)];
    stage.publish(&json!({ "events": batch })).await;
    // What the endpoint itself gives can be taken, too.
    let batch = [
        chat("user_1", 3),
        leave("user_1"),
        chat("user_1", 4),
        chat("chat_6", 5),
    ];
    stage.publish(&json!({ "events": batch })).await;
    for n in [1, 3, 5] {
        expect(&mut anna, n).await;
    }
}

#[tokio::test]
async fn an_order_may_be_for_one_endpoint() {
    let stage = Stage::new(INBOX).await;
    let mut inbox = stage.open("/ws/inbox", 1).await;
    let mut news = stage.open("/ws/news", 1).await;
    let join = order(
        "join",
        &[1],
        &json!({"topics": ["chat_5"], "endpoint": "inbox"}),
    );
    let batch = [join, chat("chat_5", 1), chat("news", 2)];
    stage.publish(&json!({ "events": batch })).await;
    expect(&mut inbox, 1).await;
    assert_eq!(news.json().await, json!({"news": {"n": 2}}));
}

#[tokio::test]
async fn a_logout_closes_the_sockets_of_the_user_after_what_came_before() {
    let stage = Stage::new(INBOX).await;
    let mut tabs = [
        stage.open("/ws/inbox", 1).await,
        stage.open("/ws/inbox", 1).await,
    ];
    let mut other = stage.open("/ws/inbox", 2).await;
    let out = order(
        "disconnect",
        &[1],
        &json!({"code": 4010, "reason": "logged out"}),
    );
    let batch = [chat("user_1", 1), out, chat("user_1", 2), chat("user_2", 3)];
    stage.publish(&json!({ "events": batch })).await;
    for tab in &mut tabs {
        expect(tab, 1).await;
        let closed = tab.closed().await;
        assert_eq!((closed.code, &*closed.reason), (4010, "logged out"));
    }
    expect(&mut other, 3).await;
    stage
        .outrigger
        .metric_becomes(
            "outrigger_sessions_closed_total{reason=\"disconnected\"}",
            2.0,
        )
        .await;
    let again = stage.open("/ws/inbox", 1).await;
    drop(again);
}

/// Though it is handed out later: there is much before it, and many hear that.
#[tokio::test]
async fn a_logout_is_not_for_who_connects_after_it() {
    let stage = Stage::new(INBOX).await;
    let mut crowd = Vec::new();
    for user in 2..40 {
        crowd.push(stage.open("/ws/news", user).await);
    }
    let news = json!({"type": "news", "topics": ["news"], "data": 1});
    let mut batch = vec![news; 500];
    batch.push(order("disconnect", &[1], &json!({})));
    stage.publish(&json!({ "events": batch })).await;
    let mut anna = stage.open("/ws/inbox", 1).await;
    stage.publish(&chat("user_1", 1)).await;
    expect(&mut anna, 1).await;
}

#[tokio::test]
async fn all_on_a_topic_can_be_disconnected() {
    let stage = Stage::new(INBOX).await;
    let mut anna = stage.open("/ws/inbox", 1).await;
    let mut bert = stage.open("/ws/inbox", 2).await;
    let join = order("join", &[1, 2], &json!({"topics": ["chat_5"]}));
    let out =
        json!({"type": "outrigger.disconnect", "topics": ["chat_5"], "except": {"users": [2]}});
    stage
        .publish(&json!({"events": [join, out, chat("user_2", 1)]}))
        .await;
    assert_eq!(anna.closed().await.code, 4003);
    expect(&mut bert, 1).await;
}

#[tokio::test]
async fn a_badly_formed_order_is_refused_with_its_reason() {
    let stage = Stage::new(INBOX).await;
    let join = order("join", &[1], &json!({"topics": []}));
    let nudge = order("nudge", &[1], &Value::Null);
    let answer = stage.post(&json!({"events": [join, nudge]})).await;
    let text = answer.text();
    assert!(text.contains("`data.topics` is missing"), "{text}");
    assert!(text.contains("known are outrigger.join"), "{text}");
}

#[tokio::test]
async fn a_reload_keeps_what_was_joined_and_what_was_left() {
    let stage = Stage::new(INBOX).await;
    let mut anna = stage.open("/ws/inbox", 1).await;
    let join = order("join", &[1], &json!({"topics": ["chat_5"]}));
    let leave = order("leave", &[1], &json!({"topics": ["user_1"]}));
    stage.publish(&json!({"events": [join, leave]})).await;
    let changed = INBOX.replace("{ n = \"{data.n}\" }", "{ m = \"{data.n}\" }");
    stage.reload(&changed).await;
    stage
        .publish(&json!({"events": [chat("user_1", 1), chat("chat_5", 2)]}))
        .await;
    assert_eq!(anna.json().await, json!({"m": 2}));
}

#[tokio::test]
async fn too_many_topics_are_not_joined_and_that_is_counted() {
    let stage =
        Stage::new(&INBOX.replacen("frames", "limits = { max_topics = 2 }\nframes", 1)).await;
    let mut anna = stage.open("/ws/inbox", 1).await;
    let join = |topics: &[&str]| order("join", &[1], &json!({ "topics": topics }));
    let batch = [
        join(&["a", "b"]),
        join(&["c"]),
        join(&["a"]),
        chat("c", 1),
        chat("b", 2),
    ];
    stage.publish(&json!({ "events": batch })).await;
    expect(&mut anna, 2).await;
    let refused = "outrigger_memberships_refused_total{reason=\"max_topics\"}";
    assert_eq!(stage.outrigger.metric(refused).await, 1.0);
}

/// An app with the conversations of each user in pages of two.
fn conversations(request: &Message) -> Vec<u8> {
    let target = request.target();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    match (path, query) {
        ("/api/conversations/", "") => ok(
            r#"{"next": "http://outrigger.test/api/conversations/?page=2", "results": [{"id": 1}, {"id": 2}]}"#,
        ),
        ("/api/conversations/", _) => ok(r#"{"next": null, "results": [{"id": 3}]}"#),
        ("/api/endless/", _) => ok(r#"{"next": "?page=2", "results": []}"#),
        ("/api/elsewhere/", _) => ok(r#"{"next": "http://evil.test/", "results": []}"#),
        ("/api/nothing/", _) => ok(r#"{"detail": "what?"}"#),
        ("/api/forbidden/", _) => answer(403, "{}"),
        _ => answer(500, "{}"),
    }
}

fn from_app(path: &str) -> String {
    INBOX.replacen(
        "frames",
        &format!(
            "topics_from = {{ ask_app = \"{path}\", each = \"/results/*/id\", topic = \"chat_{{value}}\", next = \"/next\" }}\nframes"
        ),
        1,
    )
}

#[tokio::test]
async fn the_app_names_the_topics_page_by_page() {
    let app = App::answering(conversations).await;
    let stage = Stage::with(app, "", &from_app("/api/conversations/")).await;
    let token = token(1);
    let path = format!("/ws/inbox?token={token}");
    let mut anna = Socket::open(stage.outrigger.addr(), &path).await;
    let bearer = format!("Bearer {token}");
    let seen = stage.app.take_seen();
    let paths: Vec<_> = seen.iter().map(Message::target).collect();
    assert_eq!(paths, ["/api/conversations/", "/api/conversations/?page=2"]);
    for request in &seen {
        assert_eq!(request.header("authorization").as_deref(), Some(&*bearer));
    }
    let leave = order("leave", &[1], &json!({"topics": ["chat_2"]}));
    let batch = [1, 4, 2, 3].map(|n| chat(&format!("chat_{n}"), n));
    stage.publish(&json!({ "events": batch })).await;
    stage
        .publish(&json!({"events": [leave, chat("chat_2", 5), chat("user_1", 6)]}))
        .await;
    for n in [1, 2, 3, 6] {
        expect(&mut anna, n).await;
    }
    let (_, sessions) = stage.outrigger.admin("/sessions").await;
    assert!(
        sessions.contains("chat_3") && !sessions.contains("chat_2"),
        "{sessions}"
    );
}

#[tokio::test]
async fn who_cannot_hear_everything_is_refused() {
    for (path, status, reason) in [
        ("/api/forbidden/", 403, "not_permitted"),
        ("/api/broken/", 503, "app_unavailable"),
        ("/api/nothing/", 503, "app_unavailable"),
        ("/api/endless/", 503, "app_unavailable"),
        ("/api/elsewhere/", 503, "app_unavailable"),
    ] {
        let app = App::answering(conversations).await;
        let stage = Stage::with(app, "", &from_app(path)).await;
        assert_eq!(
            stage.refused(&as_user("/ws/inbox", 1), &[]).await,
            status,
            "{path}"
        );
        let refused = format!("outrigger_sessions_refused_total{{reason=\"{reason}\"}}");
        assert_eq!(stage.outrigger.metric(&refused).await, 1.0, "{path}");
        assert_eq!(stage.outrigger.metric("outrigger_sessions").await, 0.0);
    }
    let app = App::answering(conversations).await;
    let few = from_app("/api/conversations/").replacen(
        "frames",
        "limits = { max_topics = 2 }\nframes",
        1,
    );
    let stage = Stage::with(app, "", &few).await;
    assert_eq!(stage.refused(&as_user("/ws/inbox", 1), &[]).await, 503);
    let refused = "outrigger_sessions_refused_total{reason=\"max_topics\"}";
    assert_eq!(stage.outrigger.metric(refused).await, 1.0);
}

#[tokio::test]
async fn a_conversation_made_while_the_app_is_asked_is_not_missed() {
    let stage = Stage::with(App::start().await, "", &from_app("/api/conversations/")).await;
    let opening = stage.open("/ws/inbox", 1);
    let meanwhile = async {
        let mut asked = stage.app.accept().await;
        asked.request().await;
        let join = order("join", &[1], &json!({"topics": ["chat_9"]}));
        let leave = order("leave", &[1], &json!({"topics": ["chat_2"]}));
        stage
            .publish(&json!({"events": [join, leave, chat("chat_9", 9)]}))
            .await;
        // The answer is of before.
        asked
            .send(ok(r#"{"results": [{"id": 1}, {"id": 2}]}"#))
            .await;
    };
    let (mut anna, ()) = tokio::join!(opening, meanwhile);
    expect(&mut anna, 9).await;
    let batch = [chat("chat_2", 2), chat("chat_1", 1)];
    stage.publish(&json!({ "events": batch })).await;
    expect(&mut anna, 1).await;
}
