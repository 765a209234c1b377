//! An app, an Outrigger in front of it that knows tokens and a webhook, and the
//! clients and events of a test.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use super::{App, Closed, Events, Message, Outrigger, Socket, jwt, post_event};

/// What tokens are signed with.
pub const TOKEN_SECRET: &str = "the-tests-own-token-secret-of-a-good-length";
/// What webhooks are signed with.
pub const HOOK_SECRET: &str = "the-tests-own-webhook-secret-of-a-good-length";

/// Everything up and running.
pub struct Stage {
    /// The app.
    pub app: App,
    /// What stands in front of it.
    pub outrigger: Outrigger,
    rest: String,
    posted: AtomicU64,
}

impl Stage {
    /// An app that answers everything with 200 and `{}`, behind the endpoints of a
    /// config.
    pub async fn new(endpoints: &str) -> Self {
        Self::with(App::answering(|_| ok("{}")).await, "", endpoints).await
    }

    /// This app, behind these top tables and endpoints.
    pub async fn with(app: App, tables: &str, endpoints: &str) -> Self {
        let rest = format!("{}\n{}", preamble(&app), tables);
        let outrigger = Outrigger::start(&format!("{rest}\n{endpoints}")).await;
        Self {
            app,
            outrigger,
            rest,
            posted: AtomicU64::new(0),
        }
    }

    /// The config with other endpoints.
    pub fn config(&self, endpoints: &str) -> String {
        format!("{}\n{endpoints}", self.rest)
    }

    /// Opens a socket as a user, the token in the query.
    ///
    /// # Panics
    /// It is refused.
    pub async fn open(&self, path: &str, user: u64) -> Socket {
        Socket::open(self.outrigger.addr(), &as_user(path, user)).await
    }

    /// Opens an event stream as a user, the token in the query.
    ///
    /// # Panics
    /// It is refused.
    pub async fn events(&self, path: &str, user: u64) -> Events {
        Events::open(self.outrigger.addr(), &as_user(path, user), &[]).await
    }

    /// Asks for a socket.
    ///
    /// # Errors
    /// The refusal.
    pub async fn connect(&self, target: &str, headers: &[(&str, &str)]) -> Result<Socket, Message> {
        Socket::connect(self.outrigger.addr(), target, headers).await
    }

    /// The status with which a socket is refused.
    pub async fn refused(&self, target: &str, headers: &[(&str, &str)]) -> u16 {
        match self.connect(target, headers).await {
            Err(refusal) => refusal.status(),
            Ok(_) => panic!("{target} was let in"),
        }
    }

    /// How a socket ends that is accepted only to be closed.
    pub async fn turned_away(&self, target: &str, headers: &[(&str, &str)]) -> Closed {
        let opened = self.connect(target, headers).await;
        opened
            .unwrap_or_else(|no| panic!("{}", no.line))
            .closed()
            .await
    }

    /// Puts other endpoints in the file, and waits until they are in force.
    pub async fn reload(&self, endpoints: &str) {
        let generation = "outrigger_config_generation";
        let next = self.outrigger.metric(generation).await + 1.0;
        self.outrigger.rewrite(&self.config(endpoints));
        self.outrigger.metric_becomes(generation, next).await;
    }

    /// Posts one event; it is in the feed when this returns.
    ///
    /// # Panics
    /// It was not accepted.
    pub async fn publish(&self, event: &Value) {
        let answer = self.post(event).await;
        assert_eq!(answer.status(), 202, "{}", answer.text());
        let answer: Value = serde_json::from_slice(&answer.body).unwrap();
        for result in answer["results"].as_array().unwrap() {
            assert_eq!(result["result"], "accepted", "{answer}");
        }
    }

    /// Posts an event of a type to a topic.
    pub async fn tell(&self, topic: &str, kind: &str, data: &Value) {
        self.publish(&json!({"type": kind, "topics": [topic], "data": data}))
            .await;
    }

    /// Posts events numbered by `n` to a topic, in one batch.
    pub async fn tell_many(&self, topic: &str, kind: &str, numbers: std::ops::Range<u64>) {
        let event = |n| json!({"type": kind, "topics": [topic], "data": {"n": n}});
        let events: Vec<_> = numbers.map(event).collect();
        self.publish(&json!({ "events": events })).await;
    }

    /// Posts a body, signed now.
    pub async fn post(&self, body: &Value) -> Message {
        let number = self.posted.fetch_add(1, Ordering::Relaxed);
        let id = format!("stage-{number}");
        post_event(self.outrigger.addr(), HOOK_SECRET, &id, body).await
    }
}

/// The tables that every config here begins with.
pub fn preamble(app: &App) -> String {
    format!(
        "[auth]\ntoken = [\"query:token\", \"cookie:session\", \"header:authorization\", \"subprotocol:bearer\"]\n\
         [auth.jwt]\nalgorithms = [\"HS256\"]\nsecret = \"{TOKEN_SECRET}\"\nuser_claim = \"user_id\"\n\
         [source.webhook]\nsecret = \"{HOOK_SECRET}\"\n{}",
        app.config()
    )
}

/// A token of a user that lasts an hour.
pub fn token(user: u64) -> String {
    token_of(&json!({ "user_id": user }))
}

/// A token of these claims.
pub fn token_of(claims: &Value) -> String {
    jwt(TOKEN_SECRET, claims)
}

/// A target with a user's token in its query.
pub fn as_user(path: &str, user: u64) -> String {
    format!("{path}?token={}", token(user))
}

/// A response with a JSON body.
pub fn ok(body: &str) -> Vec<u8> {
    answer(200, body)
}

/// A response of a status with a JSON body.
pub fn answer(status: u16, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}

/// An app that says which target it was asked for: an answer to another request is seen.
pub fn echo(request: &Message) -> Vec<u8> {
    let target = request.target();
    let length = target.len();
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{target}").into_bytes()
}
