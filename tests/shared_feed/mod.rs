//! The feed in a Redis Stream that several nodes share: whatever happens to Redis, each
//! session hears each event once and in order, or is told.

mod durability;
mod layer;
mod losses;
mod nodes;
mod places;
mod trimming;

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::harness::{
    App, HOOK_SECRET, Message, Outrigger, Redis, Socket, as_user, ok, post_event, preamble, until,
};

const ENDPOINT: &str = "[[endpoint]]\nname = \"chat\"\npath = \"/ws/{room}\"\nanonymous = true\n\
    topics = [\"{room}\"]\nframes = { said = \"{data.n}\" }\n";

const EPOCHS: &str = "outrigger_feed_epoch_changes_total";

/// An app and a Redis, for any number of nodes.
struct Fleet {
    app: App,
    redis: Redis,
}

/// How many events are in the stream, besides what nodes tell each other: each counts once,
/// whatever a killed Redis has brought back.
async fn events_in(redis: &Redis) -> u64 {
    let entries = redis.cli(&["XRANGE", "{outrigger}:stream", "-", "+"]).await;
    let events = entries.lines().filter(|line| line.starts_with("{\"id\":"));
    let events = events.filter(|line| !line.contains("outrigger.node."));
    let id = |event| serde_json::from_str::<Value>(event).unwrap()["id"].to_string();
    events.map(id).collect::<HashSet<_>>().len() as u64
}

impl Fleet {
    async fn new() -> Self {
        Self {
            app: App::answering(|_| ok("{}")).await,
            redis: Redis::start().await,
        }
    }

    /// A config whose feed has further lines.
    fn config(&self, lines: &str) -> String {
        config(
            &self.app,
            &format!("url = \"{}\"\n{lines}", self.redis.url()),
        )
    }

    async fn node(&self) -> Node {
        self.node_with("").await
    }

    async fn node_with(&self, lines: &str) -> Node {
        Node::start(&self.config(lines)).await
    }
}

fn config(app: &App, feed: &str) -> String {
    format!(
        "{}\n[feed.redis]\n{feed}\n[stop]\nnotice = \"0s\"\nspread = \"0s\"\n{ENDPOINT}",
        preamble(app)
    )
}

/// One of the nodes.
struct Node(Outrigger);

impl Node {
    /// Runs one, and waits until it has reached its Redis.
    async fn start(config: &str) -> Self {
        let node = Self(Outrigger::start(config).await);
        node.is_ready().await;
        node
    }

    async fn is_ready(&self) {
        until("/ready", async || self.0.admin("/ready").await.0 == 200).await;
    }

    async fn open(&self, room: &str) -> Socket {
        Socket::open(self.0.addr(), &as_user(&format!("/ws/{room}"), 7)).await
    }

    /// Opens a socket that begins where the client was.
    async fn open_since(&self, room: &str, since: &Value) -> Socket {
        let since = since.as_str().unwrap();
        let target = format!("{}&since={since}", as_user(&format!("/ws/{room}"), 7));
        Socket::open(self.0.addr(), &target).await
    }

    async fn post(&self, body: &Value) -> Message {
        post_event(self.0.addr(), HOOK_SECRET, "in the body", body).await
    }

    /// Posts an event with an id of its own, and gives what became of it.
    async fn say(&self, room: &str, n: u64) -> Value {
        let answer = self.post(&said(room, n)).await;
        assert_eq!(answer.status(), 202, "{}", answer.text());
        let answer: Value = serde_json::from_slice(&answer.body).unwrap();
        answer["results"][0].clone()
    }

    /// Posts until it is taken, as a sender does.
    async fn say_at_last(&self, room: &str, n: u64) -> Value {
        until("the event to be taken", async || {
            self.post(&said(room, n)).await.status() == 202
        })
        .await;
        // What a sender is told who did not hear the first answer.
        let again = self.say(room, n).await;
        assert_eq!(again["result"], "duplicate");
        again
    }
}

fn said(room: &str, n: u64) -> Value {
    json!({"id": format!("{room}-{n}"), "type": "said", "topics": [room], "data": {"n": n}})
}

/// No history was lost on any of them.
async fn kept_their_epoch(nodes: &[Node]) {
    for node in nodes {
        assert!(node.0.metric(EPOCHS).await.abs() < 0.5);
    }
}

/// The next frames are these numbers.
async fn hears(socket: &mut Socket, numbers: impl IntoIterator<Item = u64>) {
    for n in numbers {
        assert_eq!(socket.text().await, n.to_string());
    }
}
