//! An example app on Redis with Outrigger in front of it, on which the items of a
//! list are played one after the other: an app takes long to start.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

use serde_json::Value;
use tokio_tungstenite::tungstenite::Message;

use crate::{
    harness::{
        Outrigger,
        apps::{Example, Layer, Server},
        plain::{self, Handshake, Socket},
        redis::Redis,
        until,
    },
    parity::{Cast, Stage, Way, masked},
};

pub(super) type Item = fn(&mut Play);

/// Declares the items of a list: played once, in this order, with one test for each.
macro_rules! checklist {
    ($example:expr => $($name:ident)*) => {
        static PLAYED: std::sync::LazyLock<super::play::Played> = std::sync::LazyLock::new(|| {
            super::play::Played::new($example, &[$((stringify!($name), $name)),*])
        });

        mod items {
            $(#[test]
            fn $name() {
                super::PLAYED.assert_passed(stringify!($name));
            })*
        }
    };
}
pub(super) use checklist;

/// What became of each item: what it said when it failed.
pub(super) struct Played(HashMap<&'static str, Option<String>>);

impl Played {
    pub(super) fn new(example: Example, items: &[(&'static str, Item)]) -> Self {
        let mut play = Play::new(example);
        let played = items.iter().map(|(name, item)| {
            let done = catch_unwind(AssertUnwindSafe(|| item(&mut play)));
            (*name, done.err().map(|panic| said(&*panic)))
        });
        Self(played.collect())
    }

    pub(super) fn assert_passed(&self, name: &str) {
        assert_eq!(self.0[name], None);
    }
}

fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or(panic.downcast_ref::<&str>().map(|text| (*text).into()));
    text.unwrap_or_default()
}

/// The stage, and what can be done there.
pub(super) struct Play(pub(super) Stage);

/// One socket of a page.
pub(super) struct Page(Box<Socket>);

impl Play {
    fn new(example: Example) -> Self {
        let cast = Cast {
            example,
            server: Server::Uvicorn,
            layer: Some(Layer::Core),
        };
        Self(Stage::build(cast, Way::ChannelLayer))
    }

    /// A user's page opens a socket at Outrigger.
    pub(super) fn open(&self, who: &str, path: &str) -> Page {
        Page(self.0.open(who, path).socket)
    }

    /// ...at the app itself, where its own consumers serve it.
    pub(super) fn open_at_the_app(&self, who: &str, path: &str) -> Page {
        Page(self.0.open_at(&self.0.app.door(), who, path).socket)
    }

    /// The status of a handshake that is refused.
    pub(super) fn refused(&self, target: &str) -> u16 {
        let door = plain::Door::Tcp(self.front().addr());
        match plain::handshake(&door, target, &[]).expect("an answer") {
            Handshake::Refused(status) => status,
            Handshake::Open(..) => panic!("{target} is open"),
        }
    }

    pub(super) fn front(&self) -> &Outrigger {
        self.0.front.as_ref().expect("an Outrigger")
    }

    pub(super) fn redis(&self) -> &Redis {
        self.0.redis.as_ref().expect("a Redis")
    }

    /// So many sockets are open at Outrigger.
    pub(super) fn sessions(&self, count: u32) {
        let becomes = self
            .front()
            .metric_becomes("outrigger_sessions", f64::from(count));
        self.0.runtime.block_on(becomes);
    }

    /// So many have joined a group of the app: its consumers, and Outrigger as one.
    pub(super) fn members(&self, group: &str, count: u32) {
        let (key, count) = (format!("asgi:group:{group}"), count.to_string());
        let what = format!("{key} to have {count} members");
        let is = async || self.redis().cli(&["ZCARD", &key]).await == count;
        self.0.runtime.block_on(until(&what, is));
    }

    /// Somebody does something over HTTP; the answer's JSON.
    pub(super) fn post(&self, who: &str, path: &str, body: &Value) -> Value {
        let answer = self.0.post(who, path, body);
        assert!(answer.status < 300, "{path}: {answer:?}");
        answer.json()
    }

    /// What `/outrigger/flags` tells a user's page about an endpoint.
    pub(super) fn flag(&self, who: &str, endpoint: &str) -> Value {
        let path = format!("/outrigger/flags?token={}", self.0.token(who));
        let answer = self.0.ask(who, "GET", &path, None);
        answer.json()["endpoints"][endpoint]["realtime"].clone()
    }

    /// The config is saved with one piece exchanged, and taken up.
    pub(super) fn reconfigure(&self, from: &str, to: &str) {
        assert!(self.0.config.contains(from), "{from}");
        self.rewrite(&self.0.config.replacen(from, to, 1));
    }

    pub(super) fn rewrite(&self, config: &str) {
        let front = self.front();
        self.0.runtime.block_on(async {
            let name = "outrigger_reloads_total{result=\"applied\"}";
            let before = front.metric(name).await;
            front.rewrite(config);
            front.metric_becomes(name, before + 1.0).await;
        });
    }
}

impl Page {
    pub(super) fn says(&mut self, text: &str) {
        self.0.say(Message::text(text));
    }

    /// The next message is these very bytes, but for times.
    pub(super) fn hears(&mut self, text: &str) {
        assert_eq!(masked(&self.0.hear()), format!("text {text}"));
    }

    /// The next message.
    pub(super) fn hears_something(&mut self) -> Value {
        let heard = self.0.hear();
        let text = heard.strip_prefix("text ");
        let text = text.unwrap_or_else(|| panic!("a message was expected: {heard}"));
        serde_json::from_str(text).expect("JSON")
    }

    /// The server closes with this code.
    pub(super) fn is_closed(&mut self, code: u16) {
        let heard = self.0.hear();
        let begin = format!("close {code} ");
        assert!(heard.starts_with(&begin), "{heard}");
    }

    /// The page closes its socket, and the server agrees.
    pub(super) fn closes(mut self) {
        self.0.close(1000, "");
        assert_eq!(self.0.hear(), "close 1000 \"\"");
    }

    /// The network goes: no close frame, nothing.
    pub(super) fn breaks(self) {
        drop(self);
    }
}
