//! Nodes ask each other whether a client is there who seems to be: each hears a channel
//! of Redis of its own. What is lost on the way counts as no answer.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ::redis::{
    aio::{PubSubSink, PubSubStream},
    cmd,
};
use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::{
    sync::mpsc,
    time::{Instant, interval, sleep, timeout, timeout_at},
};
use tracing::warn;

use super::words::{Answer, Ask, Silent, Word};
use crate::{
    event::SessionName,
    feed::Shared,
    redis::{Failure, pause},
};

/// Who was asked has so long for its answer: a second for the client's pong, and what it
/// takes to say so.
const PATIENCE: Duration = Duration::from_millis(1250);
/// For Redis to take a word.
const WORD: Duration = Duration::from_secs(3);
/// How often it is seen to that Redis is still there, and how long it may take to say so.
const PING: Duration = Duration::from_secs(1);
/// Questions of others that wait for their answer.
const MOST: usize = 20_000;

/// This node among those that talk.
#[derive(Debug)]
pub(super) struct Talk {
    shared: Arc<Shared>,
    node: Arc<str>,
    /// Who waits for answers.
    waiting: Mutex<HashMap<String, mpsc::Sender<Answer>>>,
}

/// Somebody waits for answers until this is dropped.
struct Wait<'a> {
    talk: &'a Talk,
    newcomer: String,
}

impl Talk {
    pub(super) fn new(shared: Arc<Shared>, node: Arc<str>) -> Self {
        Self {
            shared,
            node,
            waiting: Mutex::default(),
        }
    }

    /// Asks each of the other nodes for its sessions, and waits for all of them.
    pub(super) async fn ask(
        &self,
        ask: &Ask,
        of: &[(SessionName, Arc<str>)],
    ) -> Result<Answer, Failure> {
        let mut by_node: HashMap<&Arc<str>, Vec<String>> = HashMap::new();
        for (session, node) in of {
            by_node.entry(node).or_default().push(session.to_string());
        }
        let (_wait, heard) = self.wait(&ask.newcomer, by_node.len());
        for (node, of) in &by_node {
            let (of, ask) = (of.clone(), ask.clone());
            self.say(node, &Word::Ask(Ask { of, ..ask })).await?;
        }
        Ok(gather(by_node, heard).await)
    }

    fn wait(&self, newcomer: &str, nodes: usize) -> (Wait<'_>, mpsc::Receiver<Answer>) {
        let (said, heard) = mpsc::channel(nodes.max(1));
        self.lock().insert(newcomer.to_owned(), said);
        let newcomer = newcomer.to_owned();
        let talk = self;
        (Wait { talk, newcomer }, heard)
    }

    async fn say(&self, node: &str, word: &Word) -> Result<(), Failure> {
        let mut say = cmd("PUBLISH");
        // Texts alone: nothing can fail.
        let text = serde_json::to_string(word).unwrap_or_default();
        say.arg(self.channel(node)).arg(text);
        let said = timeout(WORD, self.shared.redis.command::<i64>(&say)).await;
        said.map_err(|_| self.shared.redis.too_slow(WORD))?
            .map(drop)
    }

    /// Hears what other nodes say, through all failures.
    pub(super) async fn listen(&self, answer: impl Fn(Ask) -> BoxFuture<'static, Answer>) {
        let mut failures = 0;
        loop {
            let failure = match self.shared.redis.subscriber().await {
                Ok(connection) => {
                    failures = 0;
                    let (sink, stream) = connection.split();
                    self.hear(sink, stream, &answer).await
                }
                Err(failure) => failure,
            };
            warn!(error = %failure, "Other nodes cannot ask who is here; trying again");
            sleep(pause(failures)).await;
            failures = failures.saturating_add(1);
        }
    }

    /// Hears until the connection is of no use, and says why.
    async fn hear(
        &self,
        mut sink: PubSubSink,
        mut stream: PubSubStream,
        answer: &impl Fn(Ask) -> BoxFuture<'static, Answer>,
    ) -> Failure {
        let redis = &self.shared.redis;
        match timeout(WORD, sink.subscribe(self.channel(&self.node))).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return redis.failure(&error),
            Err(_) => return redis.too_slow(WORD),
        }
        let mut answers = FuturesUnordered::new();
        let mut ping = interval(PING);
        loop {
            tokio::select! {
                message = stream.next() => match message {
                    Some(message) => match self.take(message.get_payload_bytes()) {
                        Some(ask) if answers.len() < MOST => answers.push(self.answer(ask, answer)),
                        Some(ask) => warn!(newcomer = ask.newcomer, "Too many ask who is here: no answer"),
                        None => {}
                    },
                    None => return redis.ended(),
                },
                Some(()) = answers.next() => {}
                _ = ping.tick() => match timeout(WORD, sink.ping::<::redis::Value>()).await {
                    Ok(Ok(_)) => {}
                    Ok(Err(error)) => return redis.failure(&error),
                    Err(_) => return redis.too_slow(WORD),
                },
            }
        }
    }

    /// A question; an answer goes to who waits for it.
    fn take(&self, bytes: &[u8]) -> Option<Ask> {
        match serde_json::from_slice(bytes) {
            Ok(Word::Ask(ask)) => Some(ask),
            Ok(Word::Answer(answer)) => {
                let waiting = self.lock().get(&answer.newcomer).cloned();
                // Nobody waits any more, or this was said twice.
                waiting.map(|waiting| waiting.try_send(answer).ok());
                None
            }
            Err(error) => {
                warn!(%error, "What another node says cannot be read; is it another version?");
                None
            }
        }
    }

    async fn answer(&self, ask: Ask, answer: &impl Fn(Ask) -> BoxFuture<'static, Answer>) {
        let node = ask.node.clone();
        let answer = answer(ask).await;
        if let Err(error) = self.say(&node, &Word::Answer(answer)).await {
            warn!(%error, "Another node is not told who is here: it takes silence for no");
        }
    }

    fn channel(&self, node: &str) -> String {
        self.shared.key(&format!("node:{node}"))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, mpsc::Sender<Answer>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.talk.lock().remove(&self.newcomer);
    }
}

/// Waits for an answer of each node; the sessions of one that says nothing are silent.
async fn gather(
    mut asked: HashMap<&Arc<str>, Vec<String>>,
    mut heard: mpsc::Receiver<Answer>,
) -> Answer {
    let (mut answer, until) = (Answer::default(), Instant::now() + PATIENCE);
    while !asked.is_empty() {
        let Ok(Some(other)) = timeout_at(until, heard.recv()).await else {
            break;
        };
        asked.remove(&other.node);
        answer.add(other);
    }
    for (node, sessions) in asked {
        answer.unanswered.push(node.clone());
        answer
            .silent
            .extend(sessions.into_iter().map(Silent::unheard));
    }
    answer
}
