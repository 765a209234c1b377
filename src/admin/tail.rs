//! `/tail`: events as they come, a line of JSON each. A tail reads the feed's memory at
//! its own pace and is in nobody's way: one that does not keep up skips, and says so.

use std::{collections::HashSet, convert::Infallible, future::poll_fn, sync::Arc, time::Duration};

use http::{HeaderValue, Response, StatusCode, Uri, header::CONTENT_TYPE};
use serde_json::{Value, json};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::consume_budget,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{query::Query, trace};
use crate::{
    event::{Entry, Offset, Position, UserId},
    feed::{Feed, Page},
    hub::Hub,
    metrics::{Ended, Metrics},
    order::Order,
    reply::{self, Body, Gone, Writer, pipe},
    routes::Tables,
};

/// Tails at the same time.
pub(super) const MAX_TAILS: usize = 8;
/// Who is so many events behind skips.
const MAX_LAG: u64 = 4096;
/// And goes on so many before the newest.
const KEPT: u64 = 64;
/// Events read at a time.
const PAGE: usize = 64;
/// How often a quiet tail says how far it has come.
const QUIET: Duration = Duration::from_secs(5);
/// Who takes nothing for so long is gone.
const STALLED: Duration = Duration::from_secs(60);

/// What a tail shows.
#[derive(Debug, Default)]
pub(super) struct Filter {
    kinds: HashSet<String>,
    topics: HashSet<String>,
    users: HashSet<UserId>,
    endpoints: HashSet<String>,
    data: bool,
    since: Option<Position>,
}

/// What a tail looks at.
pub(super) struct Source {
    pub(super) feed: Arc<Feed>,
    pub(super) hub: Arc<Hub>,
    pub(super) tables: Tables,
    pub(super) metrics: Arc<Metrics>,
}

/// One tail.
struct Tail {
    source: Source,
    filter: Filter,
    writer: Writer,
    /// Others may have it as soon as this one ends.
    _turn: OwnedSemaphorePermit,
}

impl Filter {
    /// Reads `?type=..&topic=..&user=..&endpoint=..&data=1&since=POSITION`.
    fn read(uri: &Uri) -> Result<Self, String> {
        let known = ["type", "topic", "user", "endpoint", "data", "since"];
        let query = Query::read(uri, &known)?;
        let all = |key: &str| query.all(key).map(str::to_owned).collect();
        let since = query.get("since").map(str::parse::<Position>);
        Ok(Self {
            kinds: all("type"),
            topics: all("topic"),
            users: query.all("user").map(UserId::from).collect(),
            endpoints: all("endpoint"),
            data: query.get("data").is_some_and(|data| data != "0"),
            since: since
                .transpose()
                .map_err(|error| format!("since: {error}\n"))?,
        })
    }

    /// Whether an event is shown: of each word that is said one value fits.
    fn shows(&self, entry: &Entry, source: &Source) -> bool {
        let event = &entry.event;
        let (kind, mut topics) = (event.kind.as_str(), event.topics.iter());
        // What nodes tell each other is shown to who asks for it.
        let any = self.kinds.is_empty() && !Order::is_between_nodes(event);
        (any || self.kinds.contains(kind))
            && (self.topics.is_empty() || topics.any(|topic| self.topics.contains(topic.as_str())))
            && (self.users.is_empty() || self.users.iter().any(|user| is_for(entry, user, source)))
            && (self.endpoints.is_empty() || self.has_frame(entry, source))
    }

    fn has_frame(&self, entry: &Entry, source: &Source) -> bool {
        let table = source.tables.borrow();
        let mut endpoints = self
            .endpoints
            .iter()
            .filter_map(|name| table.endpoint(name));
        endpoints.any(|endpoint| endpoint.frames.get(&entry.event.kind).is_some())
    }
}

/// Whether an event names a user, or is for one of the user's open sessions.
fn is_for(entry: &Entry, user: &UserId, source: &Source) -> bool {
    let mut sessions = source.hub.sessions_of(user).into_iter();
    entry.event.users.contains(user) || sessions.any(|session| session.template(entry).is_ok())
}

/// Answers a request for a tail, and whatever has to run for that.
pub(super) fn answer(
    uri: &Uri,
    source: Source,
    turns: &Arc<Semaphore>,
    stop: CancellationToken,
) -> (Response<Body>, Option<impl Future<Output = ()> + use<>>) {
    let filter = match Filter::read(uri) {
        Ok(filter) => filter,
        Err(problem) => return (reply::text(StatusCode::BAD_REQUEST, problem), None),
    };
    let Ok(turn) = turns.clone().try_acquire_owned() else {
        count(&source.metrics, "refused");
        let full = format!("{MAX_TAILS} tails are running; end one of them.\n");
        return (reply::text(StatusCode::SERVICE_UNAVAILABLE, full), None);
    };
    count(&source.metrics, "begun");
    let (writer, piped) = pipe();
    let mut response = Response::new(Body::Piped(piped));
    let kind = HeaderValue::from_static("application/x-ndjson");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    let tail = Tail {
        source,
        filter,
        writer,
        _turn: turn,
    };
    (response, Some(tail.run(stop)))
}

impl Tail {
    async fn run(self, stop: CancellationToken) {
        match stop.run_until_cancelled(self.follow()).await {
            Some(Ok(never)) => match never {},
            Some(Err(Gone)) => {}
            None => self.put(&json!({ "end": "Outrigger stops" })),
        }
    }

    /// Until nobody reads it any more.
    async fn follow(&self) -> Result<Infallible, Gone> {
        let next = self.begin().await?;
        self.live(next).await
    }

    /// Shows what came after the place where another tail has ended. Then the number of
    /// the first entry that is not shown yet.
    async fn begin(&self) -> Result<u64, Gone> {
        let feed = &self.source.feed;
        let Some(since) = self.filter.since else {
            let head = feed.head();
            self.say(&reached(head)).await?;
            return Ok(feed.number_after(head.offset));
        };
        let Some(mut cursor) = feed.place(since) else {
            let missed = "the feed has begun anew: what was not shown before that is gone";
            self.say(&json!({ "missed": missed })).await?;
            return Ok(0);
        };
        while !holds(feed, cursor) {
            match feed.after(cursor, PAGE).await {
                Page::Entries { entries, reached } => {
                    self.show(&entries).await?;
                    cursor = reached;
                }
                Page::Lost { oldest } => {
                    let missed = "some events are forgotten: they were older than the feed keeps";
                    self.say(&json!({ "missed": missed })).await?;
                    cursor = cursor.max(oldest);
                }
            }
        }
        Ok(feed.number_after(cursor))
    }

    /// Reads along in memory, from a number on.
    async fn live(&self, mut next: u64) -> Result<Infallible, Gone> {
        let feed = &self.source.feed;
        let mut heads = feed.watch();
        loop {
            heads.mark_unchanged();
            let newest = feed.stretch(next, 0).next;
            let late = newest.saturating_sub(next) > MAX_LAG;
            let from = if late { newest - KEPT } else { next };
            let stretch = feed.stretch(from, PAGE);
            self.skipped(stretch.first.saturating_sub(next)).await?;
            next = stretch.first + stretch.entries.len() as u64;
            self.show(&stretch.entries).await?;
            if next == stretch.next {
                self.wait(&mut heads).await?;
            }
        }
    }

    /// Waits for the next event. If there is none for a while, says how far it has come.
    async fn wait(&self, heads: &mut watch::Receiver<Offset>) -> Result<(), Gone> {
        tokio::select! {
            () = poll_fn(|cx| self.writer.poll_gone(cx)) => Err(Gone),
            changed = timeout(QUIET, heads.changed()) => match changed {
                Ok(Ok(())) => Ok(()),
                Ok(Err(_)) => Err(Gone),
                Err(_) => self.say(&reached(self.source.feed.head())).await,
            },
        }
    }

    async fn skipped(&self, count: u64) -> Result<(), Gone> {
        if count == 0 {
            return Ok(());
        }
        self.source.metrics.tail_skipped.inc_by(count);
        self.say(&json!({ "skipped": count })).await
    }

    async fn show(&self, entries: &[Arc<Entry>]) -> Result<(), Gone> {
        for entry in entries {
            if self.filter.shows(entry, &self.source) {
                self.say(&self.line(entry)).await?;
            }
            consume_budget().await;
        }
        Ok(())
    }

    fn line(&self, entry: &Entry) -> Value {
        let mut line = trace::event(entry);
        line["subscribed"] = self.source.hub.audience(&entry.event).into();
        if self.filter.data {
            line["data"] = serde_json::from_str(entry.event.data.get()).unwrap_or_default();
        }
        line
    }

    /// Writes a line as soon as there is room for it.
    async fn say(&self, line: &Value) -> Result<(), Gone> {
        let ready = poll_fn(|cx| self.writer.poll_ready(cx));
        let Ok(ready) = timeout(STALLED, ready).await else {
            count(&self.source.metrics, "stalled");
            return Err(Gone);
        };
        ready?;
        self.put(line);
        Ok(())
    }

    fn put(&self, line: &Value) {
        self.writer.write(format!("{line}\n").as_bytes());
    }
}

/// Whether memory holds what stands after a place.
fn holds(feed: &Feed, cursor: Offset) -> bool {
    matches!(feed.recent(cursor, 0), Some(Page::Entries { .. }))
}

fn reached(position: Position) -> Value {
    json!({ "reached": position.to_string() })
}

fn count(metrics: &Metrics, result: &'static str) {
    metrics.tails.get_or_create(&Ended { result }).inc();
}
