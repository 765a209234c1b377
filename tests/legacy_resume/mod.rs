//! Clients that cannot say where they were: what they get when they come back, and what
//! they get twice.

mod deaths;
mod nodes;
mod pings;
mod restarts;
mod silent;
mod tabs;

use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::harness::{Socket, Stage, until};

/// An endpoint whose clients prove at once what has reached them, with more lines.
fn eager(more: &str) -> String {
    endpoint("resume = { confirm = \"eager\" }", more)
}

fn endpoint(resume: &str, more: &str) -> String {
    format!(
        "[[endpoint]]\nname = \"news\"\npath = \"/ws/news/\"\ntopics = [\"news\"]\n\
         frames = {{ news = {{ n = \"{{data.n}}\" }} }}\n{resume}\n{more}\n"
    )
}

/// Publishes a number.
async fn tell(stage: &Stage, n: u64) {
    stage.tell("news", "news", &json!({ "n": n })).await;
}

/// Publishes numbers, and waits until they are given to the oldest session. Each event's
/// number is its place in the feed.
async fn written(stage: &Stage, numbers: std::ops::Range<u64>) {
    let last = format!("0-{}", numbers.end - 1);
    stage.tell_many("news", "news", numbers).await;
    let is = || async { progress(stage).await["given"] == *last };
    until("what is given to the client", is).await;
}

/// The client reads exactly these, next.
async fn hears(socket: &mut Socket, numbers: impl IntoIterator<Item = u64>) {
    for n in numbers {
        assert_eq!(socket.json().await, json!({ "n": n }));
    }
}

/// What `/sessions` says of the oldest session.
async fn progress(stage: &Stage) -> Value {
    let (_, text) = stage.outrigger.admin("/sessions").await;
    let sessions: Value = serde_json::from_str(&text).unwrap();
    sessions["shown"][0]["feed"].clone()
}

/// Reads until the only session has nothing that is unconfirmed.
async fn proven(stage: &Stage, socket: &mut Socket) {
    loop {
        assert!(socket.is_silent().await);
        if progress(stage).await["unconfirmed_since"].is_null() {
            return;
        }
    }
}

/// The connection is reset.
fn reset(socket: Socket) {
    let stream = socket.into_stream();
    stream.set_zero_linger().unwrap();
}

/// So many sessions are open.
async fn open(stage: &Stage, count: f64) {
    stage
        .outrigger
        .metric_becomes("outrigger_sessions", count)
        .await;
}

async fn orphans(stage: &Stage, count: f64) {
    stage
        .outrigger
        .metric_becomes("outrigger_orphans", count)
        .await;
}

async fn adoptions(stage: &Stage, result: &str) -> f64 {
    let name = format!("outrigger_adoptions_total{{reason=\"{result}\"}}");
    stage.outrigger.metric(&name).await
}

/// A client that reads all the time, and the texts it got when it is asked for them.
fn reader(mut socket: Socket) -> JoinHandle<Vec<String>> {
    tokio::spawn(async move {
        let mut texts = Vec::new();
        let long = Duration::from_secs(60);
        while let Some(frame) = socket.frame_in_time(long).await {
            if let tokio_tungstenite::tungstenite::Message::Text(text) = frame {
                if text.contains("\"n\":999") {
                    break;
                }
                texts.push(text.to_string());
            }
        }
        texts
    })
}
