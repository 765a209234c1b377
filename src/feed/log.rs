//! The feed itself: what is in memory, and the store behind it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    Appended, Batch, Kept, Lease, OpenError, Page, Settings, Shared, Status, Unavailable,
    disk::Disk, marks::Marks, places::Places, recent::Recent, redis::Stream, store::Store,
};
use crate::{
    event::{Entry, Event, EventId, Offset, Position},
    metrics::Metrics,
};

/// The log of events, as this process knows it.
#[derive(Debug)]
pub struct Feed {
    settings: Settings,
    pub(super) recent: Arc<Recent>,
    store: Store,
    closed: AtomicBool,
    /// What this process is called among those that share the feed.
    node: Arc<str>,
    marks: Marks,
    /// The places of all nodes, where they share the feed.
    places: Option<Arc<Places>>,
}

impl Feed {
    /// An empty feed in memory. Its epoch is the moment it was made, so that no
    /// position of an earlier life is taken for one of this.
    pub fn new(settings: Settings, metrics: Arc<Metrics>) -> Arc<Self> {
        let recent = Recent::new(&settings, metrics);
        Self::with(settings, node(), recent, Store::None)
    }

    /// The feed of these settings, with what was in it.
    ///
    /// # Errors
    /// What is on the disk cannot be used.
    pub fn open(settings: Settings, metrics: Arc<Metrics>) -> Result<Arc<Self>, OpenError> {
        let (recent, node) = (Recent::new(&settings, metrics), node());
        let store = match &settings.kept {
            Kept::Memory => Store::None,
            Kept::Disk(place) => Store::Disk(Disk::open(place, &settings, recent.clone())?),
            Kept::Redis(redis) => {
                let stream = Stream::open(&settings, redis, &node, recent.clone());
                Store::Redis(Box::new(stream))
            }
        };
        Ok(Self::with(settings, node, recent, store))
    }

    fn with(settings: Settings, node: Arc<str>, recent: Arc<Recent>, store: Store) -> Arc<Self> {
        let marks = match &settings.kept {
            Kept::Disk(place) => Marks::in_folder(&place.path, recent.metrics.clone()),
            Kept::Memory | Kept::Redis(_) => Marks::none(),
        };
        let places = match &store {
            Store::None | Store::Disk(_) => None,
            Store::Redis(stream) => Some(Places::new(&stream.shared, node.clone())),
        };
        Arc::new(Self {
            marks,
            places,
            settings,
            recent,
            store,
            closed: AtomicBool::new(false),
            node,
        })
    }

    /// Does what a shared feed does by itself, until it is told to stop.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        match &self.store {
            Store::None | Store::Disk(_) => stop.cancelled().await,
            Store::Redis(stream) => stream.run(stop).await,
        }
    }

    /// Waits until the feed was reached once: what stands up to here was there before,
    /// and is not handed out.
    pub async fn opened(&self) -> Offset {
        match &self.store {
            Store::None | Store::Disk(_) => Offset::ZERO,
            Store::Redis(stream) => stream.opened().await,
        }
    }

    /// Why nobody can be served yet, if the feed was never reached.
    pub fn unopened(&self) -> Option<String> {
        match &self.store {
            Store::None | Store::Disk(_) => None,
            Store::Redis(stream) => stream.unopened(),
        }
    }

    /// Puts events at the end, all of them or none, each id once. Done when they are as
    /// safe as the feed can make them.
    ///
    /// # Errors
    /// The feed is closed, full, or its store takes nothing.
    pub async fn append(&self, events: Vec<Event>) -> Result<Vec<Appended>, Unavailable> {
        let cursor = None;
        self.append_batch(Batch { events, cursor }).await
    }

    /// The same, and how far a source has come with that.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub async fn append_batch(&self, batch: Batch) -> Result<Vec<Appended>, Unavailable> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Unavailable {
                reason: "Outrigger is stopping",
                retry_after: Duration::from_secs(5),
            });
        }
        match &self.store {
            Store::None => self.recent.append(batch.events),
            store => store.append(batch).await,
        }
    }

    /// How far a source has come, by its own word, if the feed has kept that.
    pub async fn cursor(&self, source: &str) -> Option<Arc<str>> {
        self.store.cursor(source).await
    }

    /// The most events that can ever be appended at once.
    pub fn max_batch(&self) -> usize {
        self.settings.max_events
    }

    /// Takes nothing from now on.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.store.close();
    }

    /// Waits, once it is closed, until all that was taken is safe and its store is free
    /// for another process.
    pub async fn ended(&self) {
        self.store.ended().await;
    }

    /// Forgets what is older than the feed keeps.
    pub fn trim(&self) {
        self.recent.trim();
        self.store.trim();
    }

    /// Everything up to here has been handed out. What has not is never forgotten:
    /// rather than that, the feed takes nothing more.
    pub fn handed_out(&self, offset: Offset) {
        self.recent.lock().hand_out(offset);
    }

    /// Where the newest entry stands.
    pub fn head(&self) -> Position {
        self.recent.position(self.recent.head())
    }

    /// The newest entry that this process knows of: on a feed that nodes share it may have
    /// answered for more than it has read.
    pub fn known(&self) -> Offset {
        let head = self.recent.head();
        match &self.store {
            Store::None | Store::Disk(_) => head,
            Store::Redis(stream) => stream.seen().max(head),
        }
    }

    /// Tells of every new head.
    pub fn watch(&self) -> watch::Receiver<Offset> {
        self.recent.watch()
    }

    /// Where in the feed of now a position of a client stands; nowhere, if it is of
    /// another epoch.
    pub fn place(&self, position: Position) -> Option<Offset> {
        (position.epoch == self.recent.epoch()).then_some(position.offset)
    }

    /// At most `limit` entries that stand after `cursor`, if memory can tell: otherwise
    /// [`Self::after`] has to be waited for.
    pub fn recent(&self, cursor: Offset, limit: usize) -> Option<Page> {
        match self.recent.after(cursor, limit) {
            Page::Lost { .. } if self.store.is_some() => None,
            page => Some(page),
        }
    }

    /// At most `limit` entries that stand after `cursor`. Waits as long as the store
    /// cannot tell.
    pub async fn after(&self, cursor: Offset, limit: usize) -> Page {
        match self.recent(cursor, limit) {
            Some(page) => page,
            None => self.store.after(cursor, limit).await,
        }
    }

    /// The entry of an id, if it is in memory.
    pub fn find(&self, id: &EventId) -> Option<Arc<Entry>> {
        self.recent.lock().find(id)
    }

    /// How it is.
    pub fn status(&self) -> Status {
        let Position { epoch, offset } = self.head();
        let (floor, events, bytes) = self.recent.lock().extent();
        let mut status = Status {
            epoch,
            head: offset,
            floor,
            events,
            bytes,
            connected: true,
            ..Status::default()
        };
        self.store.describe(&mut status);
        status
    }

    /// Whether other nodes append to it as well.
    pub fn is_shared(&self) -> bool {
        matches!(self.store, Store::Redis(_))
    }

    /// What nodes that share the feed have in common besides.
    pub fn shared(&self) -> Option<&Arc<Shared>> {
        match &self.store {
            Store::None | Store::Disk(_) => None,
            Store::Redis(stream) => Some(&stream.shared),
        }
    }

    /// What this process is called among the nodes: never the same twice.
    pub fn node(&self) -> &Arc<str> {
        &self.node
    }

    /// The right to do something that one node does for all. Always held where the
    /// feed is not shared.
    pub fn lease(&self, name: &str) -> Lease {
        match &self.store {
            Store::None | Store::Disk(_) => Lease::always(),
            Store::Redis(stream) => stream.lease(name),
        }
    }

    /// Where sessions are whose clients cannot say it.
    pub fn marks(&self) -> &Marks {
        &self.marks
    }

    /// The same, where other nodes have to know it, too.
    pub fn places(&self) -> Option<&Arc<Places>> {
        self.places.as_ref()
    }

    /// Waits until it is written where sessions are, but not for long.
    pub async fn places_saved(&self) {
        self.marks.saved().await;
        if let Some(places) = &self.places {
            places.saved().await;
        }
    }

    /// By which settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}

/// A name that no other process has.
fn node() -> Arc<str> {
    use std::hash::{BuildHasher, RandomState};
    let half = || RandomState::new().hash_one(std::process::id());
    format!("{:016x}{:016x}", half(), half()).into()
}

#[cfg(test)]
mod tests;
