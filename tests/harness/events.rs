//! A client of event streams that says all it reads.

use std::net::SocketAddr;

use serde_json::Value;

use super::{Client, Message};

/// An open event stream.
pub struct Events {
    client: Client,
    /// What has come and is not asked for yet.
    text: String,
    ended: bool,
    /// The head of the answer.
    pub head: Message,
    /// The last id that was said.
    pub last_id: String,
    /// The pause before it may come back, in milliseconds.
    pub retry: Option<u64>,
}

/// What was dispatched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Its type; `message` if it has none.
    pub kind: String,
    /// Its data.
    pub data: String,
    /// The last id when it came.
    pub id: String,
}

/// The request for a stream.
pub fn ask_events(target: &str, headers: &[(&str, &str)]) -> String {
    let headers: String = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    format!(
        "GET {target} HTTP/1.1\r\nHost: outrigger.test\r\nAccept: text/event-stream\r\n{headers}\r\n"
    )
}

impl Events {
    /// Opens a stream.
    ///
    /// # Panics
    /// It is refused.
    pub async fn open(addr: SocketAddr, target: &str, headers: &[(&str, &str)]) -> Self {
        let client = Client::connect(addr).await;
        let opened = Self::over(client, target, headers).await;
        opened.unwrap_or_else(|no| panic!("{target}: {} {}", no.line, no.text()))
    }

    /// Asks for a stream.
    ///
    /// # Errors
    /// The refusal.
    pub async fn over(
        mut client: Client,
        target: &str,
        headers: &[(&str, &str)],
    ) -> Result<Self, Message> {
        client.send(ask_events(target, headers)).await;
        let head = client.response_head().await;
        if head.status() != 200 || head.header("transfer-encoding").is_none() {
            return Err(client.body_of(head).await);
        }
        Ok(Self {
            client,
            text: String::new(),
            ended: false,
            head,
            last_id: String::new(),
            retry: None,
        })
    }

    /// The next event; `None` at the end of the stream.
    pub async fn next(&mut self) -> Option<Said> {
        loop {
            let block = self.block().await?;
            if let Some(said) = self.read(&block) {
                return Some(said);
            }
        }
    }

    /// The data of the next event, which has no type of its own.
    ///
    /// # Panics
    /// It has, or the stream ends.
    pub async fn data(&mut self) -> String {
        let said = self.next().await.expect("an event");
        assert_eq!(said.kind, "message", "{said:?}");
        said.data
    }

    /// The same as JSON.
    pub async fn json(&mut self) -> Value {
        serde_json::from_str(&self.data().await).unwrap()
    }

    /// Reads on until an id has come without an event.
    pub async fn quiet_id(&mut self) -> String {
        loop {
            let before = self.last_id.clone();
            let block = self.block().await.expect("the stream goes on");
            assert_eq!(self.read(&block), None, "nothing but ids");
            if self.last_id != before {
                return self.last_id.clone();
            }
        }
    }

    /// The code and the reason with which it ends.
    ///
    /// # Panics
    /// Something else comes.
    pub async fn closed(&mut self) -> (u64, String) {
        let said = self.next().await.expect("why it ends");
        assert_eq!(said.kind, "close", "{said:?}");
        assert_eq!(self.next().await, None, "the end behind it");
        let why: Value = serde_json::from_str(&said.data).unwrap();
        (
            why["code"].as_u64().unwrap(),
            why["reason"].as_str().unwrap().into(),
        )
    }

    /// Cuts it.
    pub fn reset(self) {
        self.client.reset();
    }

    fn read(&mut self, block: &str) -> Option<Said> {
        let (mut kind, mut data) = ("message".to_owned(), Vec::new());
        for line in block.lines() {
            let (name, value) = line.split_once(": ").unwrap_or((line, ""));
            match name {
                "id" => self.last_id = value.into(),
                "event" => kind = value.into(),
                "retry" => self.retry = value.parse().ok(),
                "data" => data.push(value),
                ":" => {}
                other => panic!("{other:?} in an event stream"),
            }
        }
        let id = self.last_id.clone();
        let data = (!data.is_empty()).then(|| data.join("\n"))?;
        Some(Said { kind, data, id })
    }

    /// What stands before the next empty line.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(block);
            }
            if self.ended {
                assert_eq!(self.text, "", "half an event");
                return None;
            }
            match self.client.chunk().await {
                Some(chunk) => self.text.push_str(&String::from_utf8(chunk).unwrap()),
                None => self.ended = true,
            }
        }
    }
}
