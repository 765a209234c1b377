//! Endpoints on the feed leg and on the app leg, as clients see them.

mod actions;
mod callers;
mod closing;
mod doors;
mod except;
mod identity;
mod keys;
mod leaving;
mod legs;
mod rules;
pub(crate) mod slow;
mod turns;

use serde_json::json;

use crate::harness::{Closed, Stage, as_user, until};

/// An endpoint of the user's own topic, with more lines of its own.
fn endpoint(more: &str) -> String {
    format!(
        "[[endpoint]]\nname = \"news\"\npath = \"/ws/news/\"\ntopics = [\"news\", \"user_{{user.id}}\"]\n\
         frames = {{ news = {{ type = \"news\", n = \"{{data.n}}\" }} }}\n{more}\n"
    )
}

fn closed(code: u16, reason: &str) -> Closed {
    Closed {
        code,
        reason: reason.into(),
    }
}

/// Waits until a metric has come to a value.
async fn at_least(stage: &Stage, name: &str, value: f64) {
    let is = || async { stage.outrigger.metric(name).await >= value };
    until(&format!("{name} >= {value}"), is).await;
}

#[tokio::test]
async fn both_tabs_of_a_user_get_every_frame_and_others_theirs() {
    let stage = Stage::new(&endpoint("")).await;
    let mut tabs = [
        stage.open("/ws/news/", 1).await,
        stage.open("/ws/news", 1).await,
    ];
    let mut other = stage.open("/ws/news/", 2).await;
    stage.tell("user_1", "news", &json!({"n": 1})).await;
    stage.tell("news", "unknown_kind", &json!({"n": 2})).await;
    stage.tell("news", "news", &json!({"n": 3})).await;
    for tab in &mut tabs {
        assert_eq!(tab.text().await, r#"{"type":"news","n":1}"#);
        assert_eq!(tab.text().await, r#"{"type":"news","n":3}"#);
    }
    assert_eq!(other.text().await, r#"{"type":"news","n":3}"#);
}

#[tokio::test]
async fn an_endpoint_that_includes_others_carries_all_of_theirs() {
    let parts = r#"
[[endpoint]]
name = "a"
path = "/ws/a"
topics = ["a_{user.id}"]
frames = { happened = { type = "a", n = "{data.n}" } }
[[endpoint.actions]]
when = { do = "a" }
reply = { did = "a" }
[[endpoint]]
name = "b"
path = "/ws/b"
topics = ["b_{user.id}"]
frames = { other = { type = "b", n = "{data.n}" } }
[[endpoint.actions]]
when = { do = "b" }
reply = { did = "b" }
[[endpoint]]
name = "all"
path = "/ws/all"
include = ["a", "b"]
"#;
    let stage = Stage::new(parts).await;
    let mut one = stage.open("/ws/a", 7).await;
    let mut all = stage.open("/ws/all", 7).await;
    stage.tell("b_7", "other", &json!({"n": 1})).await;
    stage.tell("a_7", "happened", &json!({"n": 2})).await;
    assert_eq!(all.text().await, r#"{"type":"b","n":1}"#);
    assert_eq!(all.text().await, r#"{"type":"a","n":2}"#);
    assert_eq!(one.text().await, r#"{"type":"a","n":2}"#);
    for action in ["a", "b"] {
        all.send(&json!({ "do": action }).to_string()).await;
        assert_eq!(all.json().await["did"], action);
    }
}

#[tokio::test]
async fn as_many_sessions_are_let_in_as_the_limits_say() {
    let limits = "[endpoint.limits]\nmax_sessions = 3\nmax_sessions_per_user = 2\n";
    let stage = Stage::new(&endpoint(limits)).await;
    let first = stage.open("/ws/news", 1).await;
    let _second = stage.open("/ws/news", 1).await;
    let refused = stage
        .connect(&as_user("/ws/news", 1), &[])
        .await
        .err()
        .unwrap();
    assert_eq!(
        (refused.status(), refused.header("retry-after").is_some()),
        (503, true)
    );
    let _third = stage.open("/ws/news", 2).await;
    assert_eq!(stage.refused(&as_user("/ws/news", 3), &[]).await, 503);
    let reasons = [("max_sessions", 1.0), ("max_sessions_per_user", 1.0)];
    for (reason, count) in reasons {
        let name = format!("outrigger_sessions_refused_total{{reason=\"{reason}\"}}");
        assert_eq!(stage.outrigger.metric(&name).await, count, "{reason}");
    }
    first.close().await;
    stage
        .outrigger
        .metric_becomes("outrigger_sessions", 2.0)
        .await;
    stage.open("/ws/news", 1).await;
}
