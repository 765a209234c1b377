//! Events out of HTTP exchanges that pass: what becomes an event, what does not and
//! says so, and that the exchange itself stays as it is without any rule.

mod becoming;
mod passing;
mod workers;

use crate::harness::{App, Message, Socket, Stage, as_user, token};

/// One endpoint that shows every event of the rules here.
const ENDPOINT: &str = r#"
[[endpoint]]
name = "chat"
path = "/ws/chat/{chat_id}"
topics = ["chat_{chat_id}", "all"]
[endpoint.frames]
message = { type = "message", data = "{data}" }
"#;

/// A rule and its event, as most tests have it.
const RULE: &str = r#"
[[source.exchange]]
on = { path = "/chats/{chat_id}/messages" }
event = { type = "message", topics = ["chat_{chat_id}"], data = "{response}" }
"#;

/// An app that answers everything with this, behind the rules.
async fn stage(answer: Vec<u8>, rules: &str) -> Stage {
    let app = App::answering(move |_| answer.clone()).await;
    Stage::with(app, rules, ENDPOINT).await
}

/// A request with a body.
fn request(method: &str, target: &str, head: &str, body: &str) -> String {
    let length = body.len();
    format!("{method} {target} HTTP/1.1\r\nHost: a\r\n{head}Content-Length: {length}\r\n\r\n{body}")
}

/// A message by HTTP.
fn message(chat: &str, body: &str) -> String {
    let head = "Content-Type: application/json\r\n";
    request("POST", &format!("/chats/{chat}/messages"), head, body)
}

/// With a user's token in the query, where this tests' apps do not look.
fn message_of(user: u64, chat: &str, body: &str) -> String {
    let target = as_user(&format!("/chats/{chat}/messages"), user);
    request("POST", &target, "Content-Type: application/json\r\n", body)
}

async fn listen(stage: &Stage) -> Socket {
    stage.open("/ws/chat/1", 1).await
}

/// Sends a request and reads its answer.
async fn exchange(stage: &Stage, request: &str) -> Message {
    stage.outrigger.connect().await.exchange(request).await
}

/// Waits until the exchange was skipped for this reason.
async fn skipped(stage: &Stage, reason: &str) {
    let metric = format!("outrigger_exchanges_total{{result=\"{reason}\"}}");
    stage.outrigger.metric_becomes(&metric, 1.0).await;
    let line = stage
        .outrigger
        .logs()
        .message("An exchange became no event")
        .await;
    assert_eq!(line["fields"]["reason"], reason, "{line}");
}

/// A bearer header of a user.
fn bearer(user: u64) -> String {
    format!("Authorization: Bearer {}\r\n", token(user))
}
