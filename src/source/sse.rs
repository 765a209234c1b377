//! The app's own event stream (`text/event-stream`) as a source.
//!
//! One task reads one stream for as long as the process runs, and connects again
//! from where it was. The cursor moves only after the feed has taken what stood
//! before it; while the feed takes nothing, nothing is read.

pub mod parser;

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Request, Response, StatusCode,
    header::{ACCEPT, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HOST},
};
use http_body::Body;
use http_body_util::BodyExt;
use serde_json::value::RawValue;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::wire::{self, Draft, Rejected};
use crate::{
    event::{Event, EventId},
    feed::{Appended, Feed},
    metrics::{Ended, Metrics, Taken},
    upstream::{self, Address, AppBody, RequestBody, SendError, Upstream},
};
use parser::{Message, Parser, Said};

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
        (&self.address, &self.path) == (&other.address, &other.path)
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

/// Why an event is skipped.
#[derive(Debug, thiserror::Error)]
enum Skipped {
    #[error("it is larger than {} bytes", parser::MAX_SIZE)]
    TooLarge,
    #[error("its data is not JSON: {0}")]
    NotJson(#[from] serde_json::Error),
    #[error(transparent)]
    Rejected(#[from] Rejected),
}

/// The id of the last event that the feed has taken; empty if there is none. Shared
/// with whoever reads the stream next.
#[derive(Clone, Debug, Default)]
pub struct Cursor(Arc<Mutex<String>>);

impl Cursor {
    fn get(&self) -> String {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set(&self, id: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = id;
    }
}

/// The reader of one stream.
#[derive(Debug)]
pub struct Source {
    settings: Settings,
    upstream: Arc<Upstream>,
    feed: Arc<Feed>,
    metrics: Arc<Metrics>,
    /// Where it is.
    cursor: Cursor,
    /// What the server asked to wait before connecting again.
    retry: Duration,
    /// Failures in a row.
    failures: u32,
    /// Makes ids for events that have none, different in each process.
    unnamed: (u64, u64),
}

impl Source {
    /// A reader from the cursor on; nothing is connected yet. The
    /// upstream is made from [`Settings::upstream`].
    pub fn new(
        settings: Settings,
        cursor: Cursor,
        upstream: Arc<Upstream>,
        feed: Arc<Feed>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            settings,
            upstream,
            feed,
            metrics,
            cursor,
            retry: Duration::ZERO,
            failures: 0,
            unnamed: (random(), 0),
        }
    }

    /// Reads, and connects again whenever the stream ends, until `cancel`.
    pub async fn run(mut self, cancel: CancellationToken) {
        // Nothing is lost when it is cut off: the app still has what comes behind
        // the cursor.
        cancel.run_until_cancelled(self.read_forever()).await;
    }

    async fn read_forever(&mut self) {
        loop {
            let failure = match self.connect().await {
                Ok(response) => {
                    info!(address = %self.settings.address, "Reading the app's event stream");
                    self.count_end("opened");
                    self.read(response.into_body()).await
                }
                Err(failure) => failure,
            };
            self.count_end(failure.word());
            let pause = self.pause(&failure);
            warn!(address = %self.settings.address, error = %failure, ?pause, "The app's event stream is not read; trying again after a pause");
            sleep(pause).await;
        }
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
        let cursor = self.cursor.get();
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

    /// Puts events on the feed, however long that takes, then moves the cursor.
    async fn take(&mut self, said: Vec<Said>) {
        let mut events = Vec::new();
        let mut cursor = None;
        for said in said {
            // The server works: the next failure is the first.
            self.failures = 0;
            match said {
                Said::Retry(pause) => self.retry = pause.min(self.settings.max_backoff),
                Said::Event(message) => {
                    cursor = message.id.clone().or(cursor);
                    events.extend(self.read_message(message));
                }
            }
        }
        for batch in events.chunks(self.feed.max_batch()) {
            self.append(batch).await;
        }
        if let Some(cursor) = cursor {
            self.cursor.set(cursor);
        }
    }

    async fn append(&self, events: &[Event]) {
        loop {
            match self.feed.append(events.to_vec()).await {
                Ok(appended) => {
                    return appended.iter().for_each(|appended| self.count(appended));
                }
                Err(unavailable) => {
                    self.count_event("unavailable");
                    warn!(source = "sse", error = %unavailable, "Events wait for the feed");
                    sleep(unavailable.retry_after).await;
                }
            }
        }
    }

    /// The event, unless there is none in it; what is wrong is counted and skipped.
    fn read_message(&mut self, message: Message) -> Option<Event> {
        if message.data.is_empty() && !message.too_large {
            return None;
        }
        match self.event(message) {
            Ok(event) => Some(event),
            Err(reason) => {
                self.count_event("rejected");
                debug!(source = "sse", %reason, "Event rejected");
                None
            }
        }
    }

    fn event(&mut self, message: Message) -> Result<Event, Skipped> {
        if message.too_large {
            return Err(Skipped::TooLarge);
        }
        let json: &RawValue = serde_json::from_str(&message.data)?;
        let (mut draft, result) = Draft::read(json);
        result?;
        if draft.kind.is_none() && !message.kind.is_empty() {
            draft.kind = Some(wire::checked("event", message.kind)?.into());
        }
        let own = message.id.filter(|id| !id.is_empty() && draft.id.is_none());
        let id = match own {
            Some(id) => wire::checked("id", id)?.into(),
            None => self.unnamed_id(),
        };
        Ok(draft.finish(id)?)
    }

    /// Nothing says that such an event was there before, so it is a new one.
    fn unnamed_id(&mut self) -> EventId {
        let (process, count) = &mut self.unnamed;
        *count += 1;
        format!("sse-{process:x}.{count}").into()
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

    fn count(&self, appended: &Appended) {
        self.count_event(match appended {
            Appended::Accepted(_) => "accepted",
            Appended::Duplicate(_) => "duplicate",
        });
    }

    fn count_event(&self, result: &'static str) {
        let source = "sse";
        let labels = Taken { source, result };
        self.metrics.events.get_or_create(&labels).inc();
    }

    fn count_end(&self, result: &'static str) {
        let labels = Ended { result };
        self.metrics.sse_connects.get_or_create(&labels).inc();
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
