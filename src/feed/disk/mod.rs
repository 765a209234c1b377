//! The feed on this machine's disk: a folder of segments, written by one thread.
//!
//! A batch is answered when it is synced. What has gathered meanwhile is written and
//! synced together, so one sync serves many senders. Offsets are `(start, n)`: `start`
//! counts the openings of the log, so that what was never written (ephemeral events,
//! what a crash cut off) cannot give its offset to another entry later.

mod cold;
mod fault;
mod group;
mod ids;
mod meta;
mod open;
mod progress;
mod record;
mod segment;
#[cfg(test)]
mod tests;
mod writer;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, SystemTime},
};

use tokio::{
    sync::{Semaphore, mpsc, oneshot, watch},
    task::spawn_blocking,
    time::{sleep, timeout},
};
use tracing::warn;

use super::{Appended, Batch, OpenError, Page, Status, Unavailable, codec, recent::Recent};
use crate::{
    event::{Event, Offset},
    metrics::Ended,
};
use cold::Found;
use group::{Incoming, Request};
use segment::{Limits, Shared};
use writer::{Ask, Writer};

/// Batches that may wait for the thread; further ones wait before that.
const WAITING: usize = 1024;
/// Reads before the window at a time: they are rare, and the disk is one.
const READERS: usize = 2;
/// A disk that has not answered by then hangs. What was asked may still be done.
const PATIENCE: Duration = Duration::from_secs(10);
/// Until a read that failed is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// Where on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// A folder of its own.
    pub path: PathBuf,
}

use Settings as Place;

/// An open log on the disk.
#[derive(Debug)]
pub(super) struct Disk {
    /// Nothing, once it is closed.
    asks: Mutex<Option<mpsc::Sender<Ask>>>,
    recent: Arc<Recent>,
    shared: Arc<Shared>,
    readers: Arc<Semaphore>,
    /// Ends with the thread.
    done: watch::Receiver<()>,
}

impl Disk {
    /// Takes the folder, reads it, fills the window.
    pub(super) fn open(
        place: &Place,
        settings: &super::Settings,
        recent: Arc<Recent>,
    ) -> Result<Self, OpenError> {
        let opened = open::open(place, settings, &recent)?;
        let shared = opened.shared.clone();
        let (ended, done) = watch::channel(());
        let (asks, asked) = mpsc::channel(WAITING);
        let own = (place.path.clone(), Limits::new(settings));
        let writer = Writer::new(opened, own, recent.clone(), ended);
        let spawned = thread::Builder::new()
            .name("feed-disk".into())
            .spawn(move || writer.run(asked));
        spawned.map_err(|error| OpenError(format!("cannot start its thread: {error}")))?;
        Ok(Self {
            asks: Mutex::new(Some(asks)),
            recent,
            shared,
            readers: Arc::new(Semaphore::new(READERS)),
            done,
        })
    }

    pub(super) async fn append(&self, batch: Batch) -> Result<Vec<Appended>, Unavailable> {
        let (answer, answered) = oneshot::channel();
        let events = batch.events.into_iter().map(incoming).collect();
        let cursor = batch.cursor;
        let request = Request {
            events,
            cursor,
            answer,
        };
        let asks = self
            .asks()
            .ok_or(fault::unavailable("the feed is closed"))?;
        let answer = timeout(PATIENCE, async {
            asks.send(Ask::Append(request)).await.ok()?;
            answered.await.ok()
        });
        match answer.await {
            Ok(Some(answer)) => answer,
            Ok(None) => Err(fault::unavailable("the feed's thread has ended")),
            Err(_) => Err(fault::unavailable("the disk does not answer")),
        }
    }

    /// At most `limit` entries after a cursor; fewer only if there are no more.
    pub(super) async fn after(&self, mut cursor: Offset, limit: usize) -> Page {
        let mut entries = Vec::new();
        loop {
            let wanted = limit - entries.len();
            let oldest = match self.recent.after(cursor, wanted) {
                Page::Entries {
                    entries: newest,
                    reached,
                } => {
                    entries.extend(newest);
                    return Page::Entries { entries, reached };
                }
                Page::Lost { oldest } => oldest,
            };
            match self.cold(cursor, wanted).await {
                Found::Lost(oldest) => return Page::Lost { oldest },
                // Everything that was safe up to the window's floor has been looked at.
                Found::Entries(found) if found.is_empty() => cursor = oldest,
                Found::Entries(found) => {
                    cursor = found.last().map_or(cursor, |entry| entry.position.offset);
                    entries.extend(found);
                }
            }
            if entries.len() >= limit {
                let reached = cursor;
                return Page::Entries { entries, reached };
            }
        }
    }

    /// From the files, however long that takes.
    async fn cold(&self, cursor: Offset, limit: usize) -> Found {
        loop {
            let error = match self.read(cursor, limit).await {
                Ok(found) => {
                    let result = match &found {
                        Found::Entries(_) => "ok",
                        Found::Lost(_) => "lost",
                    };
                    self.count(result);
                    return found;
                }
                Err(error) => error,
            };
            self.count("failed");
            warn!(%error, %cursor, "The feed's disk cannot be read; trying again");
            sleep(AGAIN).await;
        }
    }

    async fn read(&self, cursor: Offset, limit: usize) -> std::io::Result<Found> {
        let turn = self.readers.clone().acquire_owned().await;
        let (shared, epoch) = (self.shared.clone(), self.recent.position(cursor).epoch);
        let read = spawn_blocking(move || {
            let _turn = turn;
            cold::read(&shared, epoch, cursor, limit)
        });
        read.await.map_err(std::io::Error::other)?
    }

    fn count(&self, result: &'static str) {
        let reads = &self.recent.metrics.feed_reads;
        reads.get_or_create(&Ended { result }).inc();
    }

    pub(super) fn cursor(&self, source: &str) -> Option<Arc<str>> {
        self.shared.lock().cursors.get(source).cloned()
    }

    pub(super) fn describe(&self, status: &mut Status) {
        status.store = "disk";
        self.shared.lock().describe(status);
    }

    /// Has the thread remove what is too old. If it has so much to do that this finds no
    /// place, the next time will.
    pub(super) fn trim(&self) {
        if let Some(asks) = self.asks() {
            asks.try_send(Ask::Trim).unwrap_or_default();
        }
    }

    /// What was asked is still done, and then the thread ends.
    pub(super) fn close(&self) {
        *self.asks.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Waits for that.
    pub(super) async fn ended(&self) {
        // Nothing is ever sent: it is over when the sender is gone.
        self.done.clone().changed().await.unwrap_or_default();
    }

    fn asks(&self) -> Option<mpsc::Sender<Ask>> {
        self.asks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// The text is made here, where others do the same at the same time.
fn incoming(event: Event) -> Incoming {
    let at = SystemTime::now();
    let text = match event.ephemeral {
        true => String::new(),
        false => codec::encode(&event, at),
    };
    Incoming { event, at, text }
}
