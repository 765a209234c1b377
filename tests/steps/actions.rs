//! Which messages an action is for, what they must hold, and several steps.

use serde_json::json;

use super::{app, calls, endpoint};
use crate::harness::Stage;

#[tokio::test]
async fn conditions_look_into_the_message_and_the_first_that_fits_is_taken() {
    let actions = r#"
[[endpoint.actions]]
when = { "data.kind" = "typing", id = { present = false } }
reply = { did = "typing" }
[[endpoint.actions]]
when = { data = { kind = ["text", 7] } }
reply = { did = "text" }
[[endpoint.actions]]
when = { id = { present = true } }
reply = { did = "with id" }
"#;
    let stage = Stage::new(&endpoint(actions)).await;
    let mut socket = stage.open("/ws/chat", 1).await;
    for (message, did) in [
        (json!({"data": {"kind": "typing", "more": 1}}), "typing"),
        (json!({"data": {"kind": "typing"}, "id": null}), "typing"),
        (json!({"data": {"kind": "text"}}), "text"),
        (json!({"data": {"kind": 7}}), "text"),
        (json!({"data": {"kind": "typing"}, "id": 1}), "with id"),
        (json!({"data": "typing", "id": 0}), "with id"),
    ] {
        socket.send(&message.to_string()).await;
        assert_eq!(socket.json().await["did"], did, "{message}");
    }
    socket.send(r#"{"data": {"kind": "7"}}"#).await;
    let name = "outrigger_messages_dropped_total{reason=\"no_action\"}";
    stage.outrigger.metric_becomes(name, 1.0).await;
}

#[tokio::test]
async fn a_message_that_lacks_a_field_is_answered_and_goes_no_further() {
    let actions = r#"
[[endpoint.actions]]
when = { type = "send" }
require = { content = "text", "to.id" = "integer", "reply_to?" = "integer" }
on_invalid = { reply = { error = "{problem}", of = "{message.n}" } }
call = { path = "/api/send/", reply = { sent = "{answer.id}" } }
"#;
    let stage = Stage::with(app().await, "", &endpoint(actions)).await;
    let mut socket = stage.open("/ws/chat", 1).await;
    for (message, error) in [
        (json!({"n": 1}), "content is required"),
        (
            json!({"content": "\n", "n": 1}),
            "content must be a text that is not empty",
        ),
        (json!({"content": "x", "n": 1}), "to.id is required"),
        (
            json!({"content": "x", "to": {"id": "7"}, "n": 1}),
            "to.id must be a whole number",
        ),
        (
            json!({"content": "x", "to": {"id": 7}, "reply_to": [], "n": 1}),
            "reply_to must be a whole number",
        ),
    ] {
        let mut message = message;
        message["type"] = json!("send");
        socket.send(&message.to_string()).await;
        assert_eq!(socket.json().await, json!({"error": error, "of": 1}));
    }
    let good = json!({"type": "send", "content": "x", "to": {"id": 7}, "reply_to": null});
    socket.send(&good.to_string()).await;
    assert_eq!(socket.text().await, r#"{"sent":7}"#);
    calls(&stage, &["/api/send/"]).await;
    let name = "outrigger_messages_dropped_total{reason=\"invalid\"}";
    assert_eq!(stage.outrigger.metric(name).await, 5.0);
}

#[tokio::test]
async fn the_next_step_speaks_of_the_answer_and_is_not_done_after_a_refusal() {
    let actions = r#"
[[endpoint.actions]]
call = { path = "{message.path}", on_status = { 404 = { reply = { error = "gone", said = "{answer.detail}" } } }, on_failure = { reply_text = "failed" } }
publish = { type = "said", topics = ["chat"], data = { by = "{user.id}", id = "{answer.id}" } }
reply = { did = "{answer.path}" }
"#;
    // A path of the client's own choice is percent-encoded as a whole.
    let actions = actions.replace("\"{message.path}\"", "\"/no/{message.status}\"");
    let stage = Stage::with(app().await, "", &endpoint(&actions)).await;
    let mut socket = stage.open("/ws/chat", 1).await;
    let mut other = stage.open("/ws/chat", 2).await;
    for (status, reply) in [
        (json!(404), r#"{"error":"gone","said":"no"}"#),
        (json!(409), "failed"),
        (json!(500), "failed"),
        (json!(null), "failed"),
    ] {
        socket.send(&json!({ "status": status }).to_string()).await;
        assert_eq!(socket.text().await, reply, "{status}");
    }
    socket.send(r#"{"status": "yes"}"#).await;
    let mut both = [socket.text().await, socket.text().await];
    both.sort();
    assert_eq!(both, [r#"{"by":1,"id":7}"#, r#"{"did":"/no/yes"}"#]);
    assert_eq!(other.text().await, r#"{"by":1,"id":7}"#);
    assert!(other.is_silent().await, "nothing but what the app took");
    calls(&stage, &["/no/404", "/no/409", "/no/500", "/no/yes"]).await;
}
