//! What became of events, as operators ask it: on the admin port and by commands.

mod commands;
mod evidence;
mod tails;

use serde_json::{Value, json};

use crate::harness::{Client, Stage, as_user, handshake, until};

/// Two endpoints that hear the same topic; one has no frame for what is sent.
fn endpoints(more: &str) -> String {
    format!(
        "[[endpoint]]\nname = \"news\"\npath = \"/ws/news\"\ntopics = [\"news\", \"user_{{user.id}}\"]\n\
         frames = {{ news = \"{{data}}\" }}\nexcept = {{ news = \"{{data.by}}\" }}\n{more}\n\
         [[endpoint]]\nname = \"deaf\"\npath = \"/ws/deaf\"\ntopics = [\"news\"]\nframes = {{ other = 1 }}\n"
    )
}

/// Asks the admin port, and says with which status it answered.
async fn ask(stage: &Stage, path: &str) -> (u16, Value) {
    let (status, body) = stage.outrigger.admin(path).await;
    (
        status,
        serde_json::from_str(&body).unwrap_or(Value::String(body)),
    )
}

/// What became of an event that is known.
async fn trace(stage: &Stage, event: &str) -> Value {
    let (status, told) = ask(stage, &format!("/trace?event={event}")).await;
    assert_eq!(status, 200, "{told}");
    told
}

/// The states of an event with the sessions of a user, oldest first.
async fn states(stage: &Stage, event: &str, user: u64) -> Vec<String> {
    let (status, told) = ask(stage, &format!("/trace?event={event}&user={user}")).await;
    assert_eq!(status, 200, "{told}");
    let shown = told["shown"].as_array().unwrap().iter();
    shown
        .map(|one| one["state"].as_str().unwrap().to_owned())
        .collect()
}

async fn becomes(stage: &Stage, event: &str, user: u64, state: &str) {
    let what = format!("{event} is {state} with user {user}");
    until(&what, || async {
        states(stage, event, user).await == [state]
    })
    .await;
}

/// Posts an event to everybody, with more of its own.
async fn publish(stage: &Stage, id: &str, more: &Value) {
    let mut event = json!({"id": id, "type": "news", "topics": ["news"], "data": {"n": id}});
    for (key, value) in more.as_object().into_iter().flatten() {
        event[key] = value.clone();
    }
    stage.publish(&event).await;
}

/// A client that reads only when told; of a narrow one the kernel takes little.
async fn silent(stage: &Stage, user: u64, narrow: bool) -> Client {
    let addr = stage.outrigger.addr();
    let mut client = match narrow {
        true => Client::connect_narrow(addr).await,
        false => Client::connect(addr).await,
    };
    client
        .send(handshake(&as_user("/ws/news", user), &[]))
        .await;
    assert_eq!(client.response("GET").await.status(), 101);
    client
}
