//! The app's own event stream (`text/event-stream`) as a source.
//!
//! One task reads one stream for as long as the process runs, and connects again
//! from where it was. The cursor moves only with what stood before it: a durable feed
//! keeps both in one step. While the feed takes nothing, nothing is read.

pub mod parser;
mod reading;
mod stream;

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use crate::{
    event::Event,
    feed::{Batch, Feed},
    upstream::{self, Address, AppBody, RequestBody, SendError, Upstream},
};
use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Request, Response, StatusCode,
    header::{ACCEPT, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HOST},
};
use http_body::Body;
use http_body_util::BodyExt;
use parser::{Parser, Said};
use reading::Reading;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

pub use stream::{Current, Status, Stream};

/// The pause after the first failure is at most so long; it doubles with each more.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// After a 204 an EventSource never comes back. We do, in case the app was mistaken.
const PAUSE_AFTER_STOP: Duration = Duration::from_secs(300);

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Which stream is read, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The server.
    pub address: Address,
    /// The path with its query.
    pub path: String,
    /// Headers to send, such as an API key. Values are marked sensitive.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// So long without a byte and the stream counts as hung.
    pub silence: Duration,
    /// The longest pause between two attempts.
    pub max_backoff: Duration,
}

impl Settings {
    /// Whether both read the same stream, so that the one may go on where the other was.
    pub fn same_stream(&self, other: &Self) -> bool {
        self.url() == other.url()
    }

    /// The stream's address and path. Its query may hold secrets, and say how much of
    /// the stream is wanted; the ids in it are the same.
    fn url(&self) -> String {
        let path = self.path.split('?').next().unwrap_or_default();
        format!("{}{path}", self.address)
    }

    /// The connection this stream wants: one, and as patient as `silence`. A server
    /// may send the head of its response only with the first event.
    pub fn upstream(&self) -> upstream::Settings {
        upstream::Settings {
            address: self.address.clone(),
            connect_timeout: upstream::CONNECT_TIMEOUT,
            response_timeout: self.silence,
            // Not the first to notice: silence is told by its own name.
            idle_timeout: self.silence * 2,
            keep_alive: Duration::ZERO,
            max_connections: 1,
        }
    }
}

/// Why a stream cannot be read, or no further.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Unreachable(#[from] SendError),
    #[error("the server answered {0}")]
    Refused(StatusCode),
    #[error("the answer is no text/event-stream, but {0}")]
    NotAStream(String),
    #[error("the server wants no reader (204)")]
    Stopped,
    #[error("the stream broke off: {0}")]
    Broken(String),
    #[error("not a byte for {0:?}; send a comment from time to time")]
    Silent(Duration),
}

/// The reader of one stream.
#[derive(Debug)]
pub struct Source {
    settings: Settings,
    stream: Arc<Stream>,
    upstream: Arc<Upstream>,
    feed: Arc<Feed>,
    reading: Reading,
    /// What the server asked to wait before connecting again.
    retry: Duration,
    /// Failures in a row.
    failures: u32,
}

impl Source {
    /// A reader of a stream; nothing is connected yet. The upstream is made from
    /// [`Settings::upstream`].
    pub fn new(
        settings: Settings,
        stream: Arc<Stream>,
        upstream: Arc<Upstream>,
        feed: Arc<Feed>,
    ) -> Self {
        Self {
            settings,
            stream,
            upstream,
            feed,
            reading: Reading::new(),
            retry: Duration::ZERO,
            failures: 0,
        }
    }

    /// Reads, and connects again whenever the stream ends, until `cancel`.
    pub async fn run(mut self, cancel: CancellationToken) {
        // Nothing is lost when it is cut off: the app still has what comes behind
        // the cursor.
        cancel.run_until_cancelled(self.read_forever()).await;
        self.stream.left();
    }

    /// Of the nodes that share a feed one reads.
    async fn read_forever(&mut self) {
        let lease = self.feed.lease(self.stream.name());
        loop {
            lease.held().await;
            tokio::select! {
                () = self.read_once() => {}
                () = lease.lost() => self.stream.left(),
            }
        }
    }

    /// Connects and reads until the stream ends, and pauses.
    async fn read_once(&mut self) {
        self.find_place().await;
        let failure = match self.connect().await {
            Ok(response) => {
                self.stream.opened();
                self.read(response.into_body()).await
            }
            Err(failure) => failure,
        };
        let pause = self.pause(&failure);
        self.stream.ended(&failure, pause);
        sleep(pause).await;
    }

    /// Begins where the feed says that the stream was read to, by this process or
    /// another; else where this one was.
    async fn find_place(&mut self) {
        if let Some(kept) = self.feed.cursor(self.stream.name()).await {
            self.stream.reached((*kept).to_owned());
        }
        self.reading.begin(&self.stream.cursor());
    }

    async fn connect(&self) -> Result<Response<AppBody>, Failure> {
        let response = self.upstream.send(self.request()?).await?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NO_CONTENT => return Err(Failure::Stopped),
            status => return Err(Failure::Refused(status)),
        }
        let headers = response.headers();
        if let Some(encoding) = headers.get(CONTENT_ENCODING) {
            return Err(Failure::NotAStream(format!("compressed ({encoding:?})")));
        }
        let media_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
        let media_type = String::from_utf8_lossy(media_type.unwrap_or_default());
        let essence = media_type.split(';').next().unwrap_or_default().trim();
        match essence.eq_ignore_ascii_case("text/event-stream") {
            true => Ok(response),
            false => Err(Failure::NotAStream(format!("`{essence}`"))),
        }
    }

    fn request(&self) -> Result<Request<RequestBody>, Failure> {
        let mut request = Request::get(&self.settings.path)
            .body(RequestBody::Empty)
            .map_err(|error| Failure::Broken(error.to_string()))?;
        let headers = request.headers_mut();
        let host = HeaderValue::try_from(self.settings.address.authority());
        headers.extend(host.ok().map(|host| (HOST, host)));
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        for (name, value) in &self.settings.headers {
            headers.insert(name, value.clone());
        }
        let cursor = self.stream.cursor();
        if !cursor.is_empty() {
            let cursor = HeaderValue::from_bytes(cursor.as_bytes());
            headers.extend(cursor.ok().map(|cursor| (LAST_EVENT_ID, cursor)));
        }
        Ok(request)
    }

    /// Reads a stream to its end and says how it ended.
    async fn read<B>(&mut self, body: B) -> Failure
    where
        B: Body<Data = Bytes, Error: fmt::Display>,
    {
        let mut body = std::pin::pin!(body);
        let mut parser = Parser::default();
        loop {
            let piece = match timeout(self.settings.silence, body.frame()).await {
                Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
                Ok(Some(Err(error))) => return Failure::Broken(error.to_string()),
                Ok(None) => return Failure::Broken("the server ended it".into()),
                Err(_) => return Failure::Silent(self.settings.silence),
            };
            self.take(parser.push(&piece)).await;
        }
    }

    /// Puts events on the feed, however long that takes, and moves the cursor with the
    /// last of them.
    async fn take(&mut self, said: Vec<Said>) {
        let (mut events, mut cursor) = (Vec::new(), None);
        for said in said {
            // The server works: the next failure is the first.
            self.failures = 0;
            match said {
                Said::Retry(pause) => self.retry = pause.min(self.settings.max_backoff),
                Said::Event(message) => {
                    cursor = message.id.clone().or(cursor);
                    match self.reading.read(message) {
                        Some(Ok(event)) => events.push(event),
                        Some(Err(why)) => self.stream.skipped(&why),
                        None => {}
                    }
                }
            }
        }
        if self.reading.has_no_ids() && !events.is_empty() {
            self.stream.has_no_ids();
        }
        self.append(events, cursor).await;
    }

    async fn append(&self, events: Vec<Event>, cursor: Option<String>) {
        let mut batches = events.chunks(self.feed.max_batch()).peekable();
        while let Some(batch) = batches.next() {
            let is_last = batches.peek().is_none();
            let cursor = cursor.as_deref().filter(|_| is_last);
            self.append_batch(batch.to_vec(), cursor).await;
        }
        if let Some(cursor) = cursor {
            if events.is_empty() {
                self.append_batch(events, Some(&cursor)).await;
            }
            self.stream.reached(cursor);
        }
    }

    async fn append_batch(&self, events: Vec<Event>, cursor: Option<&str>) {
        let cursor = cursor.map(|cursor| (self.stream.name().clone(), cursor.into()));
        let batch = Batch { events, cursor };
        loop {
            match self.feed.append_batch(batch.clone()).await {
                Ok(appended) => {
                    return appended.iter().for_each(|one| self.stream.took(one));
                }
                Err(unavailable) => {
                    self.stream.waits(&unavailable);
                    sleep(unavailable.retry_after).await;
                }
            }
        }
    }

    /// How long to wait before connecting again: what the server asked for, and a
    /// random time that may grow with each failure (full jitter).
    fn pause(&mut self, failure: &Failure) -> Duration {
        if matches!(failure, Failure::Stopped) {
            return PAUSE_AFTER_STOP.max(self.settings.max_backoff);
        }
        let most = FIRST_PAUSE.saturating_mul(1 << self.failures.min(16));
        let most = most.min(self.settings.max_backoff);
        self.failures += 1;
        // 53 bits, which an f64 holds exactly.
        let share = (random() >> 11) as f64 / (1_u64 << 53) as f64;
        self.retry + most.mul_f64(share)
    }
}

impl Failure {
    /// The word in the metric.
    fn word(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Refused(_) => "refused",
            Self::NotAStream(_) => "not_a_stream",
            Self::Stopped => "stopped",
            Self::Broken(_) => "broken",
            Self::Silent(_) => "silent",
        }
    }
}

/// Random enough to spread things and to tell processes apart.
fn random() -> u64 {
    RandomState::new().hash_one(0)
}

#[cfg(test)]
mod tests;
