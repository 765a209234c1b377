//! Endpoints as event streams: the frames of a WebSocket for who asks with
//! `Accept: text/event-stream`.

mod browser;
mod doors;
mod frames;
mod resume;
mod stops;

use crate::harness::{Client, Events, Message, Stage, as_user};

/// An endpoint of the user's own topic, with more lines of its own.
fn endpoint(more: &str) -> String {
    format!(
        "[[endpoint]]\nname = \"news\"\npath = \"/ws/news/\"\ntopics = [\"news\", \"user_{{user.id}}\"]\n\
         frames = {{ news = {{ type = \"news\", n = \"{{data.n}}\" }} }}\n{more}\n"
    )
}

/// The answer to who is not let in.
async fn refused(stage: &Stage, target: &str, headers: &[(&str, &str)]) -> Message {
    let client = Client::connect(stage.outrigger.addr()).await;
    match Events::over(client, target, headers).await {
        Err(refusal) => refusal,
        Ok(_) => panic!("{target} was let in"),
    }
}

/// Opens a stream as a user, with more headers.
async fn open(stage: &Stage, user: u64, headers: &[(&str, &str)]) -> Events {
    Events::open(stage.outrigger.addr(), &as_user("/ws/news", user), headers).await
}
