//! Clients that say where they were: by `?since=` or `Last-Event-ID`, with and without
//! the subprotocol that tells them.

mod example;
mod leaving;
mod lost;
mod model;
mod since;
mod wire;

use serde_json::{Value, json};

use crate::harness::{Socket, Stage, as_user};

/// What a modern client offers.
const MODERN: (&str, &str) = ("Sec-WebSocket-Protocol", "outrigger.v1");

/// An endpoint of the user's own topic and of one for all.
fn endpoint(more: &str) -> String {
    format!(
        "[[endpoint]]\nname = \"news\"\npath = \"/ws/news/\"\ntopics = [\"news\", \"user_{{user.id}}\"]\n\
         frames = {{ news = {{ type = \"news\", n = \"{{data.n}}\" }} }}\n{more}\n"
    )
}

/// A client that speaks `outrigger.v1`.
struct Modern {
    socket: Socket,
    position: String,
}

impl Modern {
    /// Comes for the first time.
    async fn new(stage: &Stage, user: u64) -> Self {
        Self::at(stage, user, "").await
    }

    /// Comes back; the first message is a position, and nothing is lost.
    async fn at(stage: &Stage, user: u64, since: &str) -> Self {
        let (modern, first) = Self::open(stage, user, since).await;
        assert_eq!(first, json!({"position": modern.position}));
        modern
    }

    /// Comes and gives the first message.
    async fn open(stage: &Stage, user: u64, since: &str) -> (Self, Value) {
        let target = format!("{}&since={since}", as_user("/ws/news", user));
        let socket = Socket::open_with(stage.outrigger.addr(), &target, &[MODERN]).await;
        assert_eq!(
            socket.response.header("sec-websocket-protocol").as_deref(),
            Some("outrigger.v1")
        );
        let position = String::new();
        let mut modern = Self { socket, position };
        let first = modern.message().await;
        (modern, first)
    }

    /// The next message; its position is kept.
    async fn message(&mut self) -> Value {
        let message = self.socket.json().await;
        if let Some(position) = message["position"].as_str() {
            self.position = position.to_owned();
        }
        message
    }

    /// The next messages are these events.
    async fn hears(&mut self, numbers: impl IntoIterator<Item = u64>) {
        for n in numbers {
            let message = self.message().await;
            assert_eq!(
                message,
                json!({"position": self.position, "frame": {"type": "news", "n": n}})
            );
        }
    }

    /// Is gone without a word, and was here.
    fn cut(self) -> String {
        drop(self.socket.into_stream());
        self.position
    }
}
