//! The feed in a Redis Stream that several nodes share.
//!
//! All nodes append by a script that knows the ids that were there; all nodes read the
//! stream, their own events too, so that every node sees the same order. An offset is a
//! stream id. What a node has in memory is filled by its [`tail`] alone.

mod lease;
mod raw;
mod scripts;
mod tail;
mod writer;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use tokio::{
    sync::{Notify, mpsc, watch},
    time::{interval, sleep},
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{Appended, Batch, Page, Status, Unavailable, recent::Recent};
use crate::{
    event::Offset,
    metrics::Ended,
    redis::{Failure, Redis, Server, pause},
};

pub use lease::Lease;

use lease::Leases;
use scripts::Scripts;
use writer::Waiting;

/// Entries that are forgotten in one call.
const TRIM: usize = 256;
/// At most so many at a time are read from the stream.
const PAGE: usize = 512;

/// Which stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Where the Redis is.
    pub server: Server,
    /// What its keys begin with. Nodes with the same one share a feed.
    pub prefix: String,
}

/// What the nodes of a feed have in common.
#[derive(Debug)]
pub struct Shared {
    /// The Redis of the feed.
    pub redis: Arc<Redis>,
    tag: String,
}

impl Shared {
    fn new(settings: &Settings) -> Self {
        let tag = tag(&settings.prefix);
        let server = settings.server.clone().for_key(&tag);
        Self {
            redis: Redis::new(server),
            tag,
        }
    }

    /// A key beside those of the feed, in the same slot of a Cluster.
    pub fn key(&self, name: &str) -> String {
        format!("{}:{name}", self.tag)
    }
}

/// The prefix in braces: by what stands in them a Cluster chooses the slot.
fn tag(prefix: &str) -> String {
    match prefix.contains('{') {
        true => prefix.to_owned(),
        false => format!("{{{prefix}}}"),
    }
}

/// A stream that is read all the time.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) shared: Arc<Shared>,
    scripts: Scripts,
    recent: Arc<Recent>,
    keep: Duration,
    max_events: usize,
    waiting: mpsc::Sender<Waiting>,
    /// Taken by whoever runs the stream.
    queue: Mutex<Option<mpsc::Receiver<Waiting>>>,
    /// The newest place that was seen, read or answered.
    seen: Mutex<Offset>,
    /// Where the tail begins, as soon as the stream was reached once.
    opened: watch::Sender<Option<Offset>>,
    connected: AtomicBool,
    /// Why not.
    trouble: Mutex<Option<(String, SystemTime)>>,
    /// The stream is to be met anew.
    doubt: Notify,
    trim: Notify,
    leases: Leases,
}

impl Stream {
    pub(super) fn open(
        of: &super::Settings,
        settings: &Settings,
        node: &Arc<str>,
        recent: Arc<Recent>,
    ) -> Self {
        let shared = Arc::new(Shared::new(settings));
        let (waiting, queue) = mpsc::channel(writer::QUEUE);
        Self {
            scripts: Scripts::new(shared.clone()),
            leases: Leases::new(node.clone()),
            shared,
            recent,
            keep: of.keep,
            max_events: of.max_events,
            waiting,
            queue: Mutex::new(Some(queue)),
            seen: Mutex::new(Offset::ZERO),
            opened: watch::Sender::new(None),
            connected: AtomicBool::new(false),
            trouble: Mutex::new(Some((
                "Redis has not been reached yet".to_owned(),
                SystemTime::now(),
            ))),
            doubt: Notify::new(),
            trim: Notify::new(),
        }
    }

    /// Reads and writes until it is told to stop.
    pub(super) async fn run(&self, stop: CancellationToken) {
        let Some(queue) = lock(&self.queue).take() else {
            return;
        };
        let all = async {
            tokio::join!(
                self.write(queue),
                self.tail(),
                self.keep_trimmed(),
                self.leases.keep(&self.scripts)
            )
        };
        stop.run_until_cancelled(all).await;
        self.leases.give_back(&self.scripts).await;
    }

    pub(super) async fn append(&self, batch: Batch) -> Result<Vec<Appended>, Unavailable> {
        let appended = self.hand_in(batch).await;
        appended.map_err(|failed| {
            let result = failed.metric();
            let failures = &self.recent.metrics.feed_write_failures;
            failures.get_or_create(&Ended { result }).inc();
            failed.into()
        })
    }

    /// What stands after a cursor, up to where this node has come. Waits while Redis is
    /// away.
    pub(super) async fn after(&self, mut cursor: Offset, limit: usize) -> Page {
        let mut failures = 0;
        loop {
            let head = self.recent.head();
            let (floor, found) = match self.scripts.page(cursor, head, limit.min(PAGE)).await {
                Ok(found) => found,
                Err(failure) => {
                    self.count_read("failed");
                    warn!(error = %failure, "The feed's stream cannot be read; trying again");
                    sleep(pause(failures)).await;
                    failures = failures.saturating_add(1);
                    continue;
                }
            };
            if cursor < floor {
                self.count_read("lost");
                return Page::Lost { oldest: floor };
            }
            self.count_read("ok");
            let Some(reached) = found.last().map(|raw| raw.place) else {
                let entries = Vec::new();
                return Page::Entries {
                    entries,
                    reached: cursor,
                };
            };
            let entries = self.decode(&found);
            if !entries.is_empty() {
                return Page::Entries { entries, reached };
            }
            cursor = reached;
        }
    }

    pub(super) async fn cursor(&self, source: &str) -> Option<Arc<str>> {
        let mut failures = 0;
        loop {
            match self.scripts.cursor(source).await {
                Ok(cursor) => return cursor.map(Into::into),
                Err(failure) => {
                    warn!(error = %failure, source, "How far a source had come cannot be read; trying again");
                    sleep(pause(failures)).await;
                    failures = failures.saturating_add(1);
                }
            }
        }
    }

    pub(super) fn trim(&self) {
        self.trim.notify_one();
    }

    #[expect(clippy::unused_self, reason = "the feed itself takes nothing any more")]
    pub(super) fn close(&self) {}

    /// Waits until the stream was reached once: from where on its entries are handed out.
    pub(super) async fn opened(&self) -> Offset {
        let mut opened = self.opened.subscribe();
        match opened.wait_for(Option::is_some).await {
            Ok(offset) => offset.unwrap_or_default(),
            Err(_) => Offset::ZERO,
        }
    }

    /// Why nobody can be served yet.
    pub(super) fn unopened(&self) -> Option<String> {
        if self.opened.borrow().is_some() {
            return None;
        }
        lock(&self.trouble).as_ref().map(|(why, _)| why.clone())
    }

    pub(super) fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Acquire)
    }

    pub(super) fn describe(&self, status: &mut Status) {
        status.store = "redis";
        status.connected = self.is_connected();
        status.last_error = lock(&self.trouble).clone();
    }

    pub(super) fn lease(&self, name: &str) -> Lease {
        self.leases.want(self.shared.key(&format!("lease:{name}")))
    }

    /// Forgets what is too old as often as it is asked to, a little in each call.
    async fn keep_trimmed(&self) {
        // Nobody else asks where there is no hub.
        let mut tick = interval(Duration::from_secs(5));
        loop {
            tokio::select! {
                () = self.trim.notified() => {}
                _ = tick.tick() => {}
            }
            while self.is_connected() {
                match self.scripts.trim(self.keep, self.max_events, TRIM).await {
                    Ok(TRIM) => tokio::task::yield_now().await,
                    Ok(_) => break,
                    Err(failure) => {
                        warn!(error = %failure, "The feed's stream is not trimmed");
                        break;
                    }
                }
            }
        }
    }

    fn count_read(&self, result: &'static str) {
        let reads = &self.recent.metrics.feed_reads;
        reads.get_or_create(&Ended { result }).inc();
    }

    /// The newest place that was seen, read or answered.
    pub(super) fn seen(&self) -> Offset {
        *lock(&self.seen)
    }

    fn note_seen(&self, offset: Offset) {
        let mut seen = lock(&self.seen);
        *seen = offset.max(*seen);
    }

    fn away(&self, failure: &Failure) {
        self.connected.store(false, Ordering::Release);
        *lock(&self.trouble) = Some((failure.to_string(), SystemTime::now()));
    }

    fn is_here(&self) {
        self.connected.store(true, Ordering::Release);
        *lock(&self.trouble) = None;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
