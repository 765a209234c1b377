//! The lines a process wrote, as they come in.

use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    sync::Notify,
};

use super::within;

/// The lines so far; clones look at the same ones.
#[derive(Clone, Default)]
pub struct Log(Arc<Lines>);

#[derive(Default)]
struct Lines {
    lines: Mutex<State>,
    more: Notify,
}

#[derive(Default)]
struct State {
    lines: Vec<String>,
    ended: bool,
}

impl Log {
    /// Reads a stream to its end.
    pub fn read(stream: impl AsyncRead + Unpin + Send + 'static) -> Self {
        let log = Self::default();
        let writer = log.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(stream).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                writer.0.lines.lock().unwrap().lines.push(line);
                writer.0.more.notify_waiters();
            }
            writer.0.lines.lock().unwrap().ended = true;
            writer.0.more.notify_waiters();
        });
        log
    }

    /// The lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.0.lines.lock().unwrap().lines.clone()
    }

    /// The lines so far as one text.
    pub fn text(&self) -> String {
        self.lines().join("\n")
    }

    /// The lines so far that are JSON objects.
    pub fn entries(&self) -> Vec<Value> {
        let lines = self.lines();
        lines
            .iter()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// The first entry, old or new, that fits; `None` if the stream ended without one.
    ///
    /// # Panics
    /// None came in time.
    pub async fn find(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Option<Value> {
        let wait = async {
            loop {
                let more = self.0.more.notified();
                tokio::pin!(more);
                more.as_mut().enable();
                let ended = self.0.lines.lock().unwrap().ended;
                if let Some(entry) = self.entries().into_iter().find(&fits) {
                    return Some(entry);
                }
                if ended {
                    return None;
                }
                more.await;
            }
        };
        let found = tokio::time::timeout(super::DEADLINE, wait).await;
        found.unwrap_or_else(|_| panic!("no log line: {what}\n{}", self.text()))
    }

    /// The first entry with this message.
    ///
    /// # Panics
    /// None came in time.
    pub async fn message(&self, message: &str) -> Value {
        let found = self
            .find(message, |entry| entry["fields"]["message"] == message)
            .await;
        found.unwrap_or_else(|| panic!("no log line: {message}\n{}", self.text()))
    }

    /// Waits for the end of the stream.
    pub async fn ended(&self) {
        within("the end of the log", self.find("its end", |_| false)).await;
    }
}
