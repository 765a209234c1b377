//! What is in memory: the window of the newest entries, the epoch they stand in, and who is
//! told of a new head.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use tokio::{sync::watch, time::Instant};

use super::{
    Appended, Page, Settings, Unavailable,
    window::{Amount, Bounds, Window, cost},
};
use crate::{
    event::{Entry, Event, EventId, Offset, Position},
    metrics::Metrics,
};

/// Shared with the store that fills it.
#[derive(Debug)]
pub(super) struct Recent {
    epoch: AtomicU64,
    window: Mutex<Window>,
    head: watch::Sender<Offset>,
    bounds: Bounds,
    pub(super) metrics: Arc<Metrics>,
}

impl Recent {
    pub(super) fn new(settings: &Settings, metrics: Arc<Metrics>) -> Arc<Self> {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let epoch = u64::try_from(since.as_micros()).unwrap_or_default();
        Arc::new(Self {
            epoch: AtomicU64::new(epoch),
            window: Mutex::default(),
            head: watch::Sender::new(Offset::ZERO),
            bounds: Bounds {
                keep: settings.keep,
                events: settings.max_events,
                bytes: settings.memory.min(settings.max_bytes),
            },
            metrics,
        })
    }

    pub(super) fn append(&self, events: Vec<Event>) -> Result<Vec<Appended>, Unavailable> {
        let mut window = self.lock();
        let amount = Amount {
            events: events.len(),
            bytes: events.iter().map(cost).sum(),
        };
        window.check_room(self.bounds, amount)?;
        let accepted = Instant::now();
        let take = |event: Event| {
            if let Some(offset) = window.place(&event.id) {
                return Appended::Duplicate(self.position(offset));
            }
            let position = self.position(window.head().next());
            window.push(Arc::new(Entry {
                position,
                accepted,
                at: SystemTime::now(),
                event,
            }));
            Appended::Accepted(position)
        };
        let appended = events.into_iter().map(take).collect();
        self.show(&mut window);
        Ok(appended)
    }

    pub(super) fn head(&self) -> Offset {
        *self.head.borrow()
    }

    /// Tells of every new head.
    pub(super) fn watch(&self) -> watch::Receiver<Offset> {
        self.head.subscribe()
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    pub(super) fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Whether what waits to be handed out leaves room for more.
    pub(super) fn has_room(&self) -> bool {
        let waiting = self.lock().waiting;
        waiting.events < self.bounds.events && waiting.bytes < self.bounds.bytes
    }

    /// Goes on in another epoch: the offsets stand.
    pub(super) fn adopt(&self, epoch: u64) {
        self.epoch.store(epoch, Ordering::Release);
    }

    /// Takes what was there before this process: nobody waits for it. Gives the head.
    pub(super) fn load(&self, begin: Offset, entries: Vec<Arc<Entry>>) -> Offset {
        let mut window = self.lock();
        window.begin(begin);
        entries.into_iter().for_each(|entry| window.push(entry));
        let head = window.head();
        window.hand_out(head);
        self.show(&mut window);
        head
    }

    /// Puts entries that a store has taken at the end.
    pub(super) fn publish(&self, entries: Vec<Arc<Entry>>) {
        let mut window = self.lock();
        entries.into_iter().for_each(|entry| window.push(entry));
        self.show(&mut window);
    }

    /// The same, where entries that cannot be read stand up to a place.
    pub(super) fn publish_up_to(&self, entries: Vec<Arc<Entry>>, head: Offset) {
        let mut window = self.lock();
        entries.into_iter().for_each(|entry| window.push(entry));
        window.reach(head);
        self.show(&mut window);
    }

    /// Begins at a place of an epoch: what a store had before is not in memory.
    pub(super) fn begin(&self, at: Position) {
        let mut window = self.lock();
        window.begin(at.offset);
        self.epoch.store(at.epoch, Ordering::Release);
        self.head.send_replace(at.offset);
    }

    /// Begins with the newest of what a store had: these entries, which stand after a
    /// floor and were handed out in an earlier life. What follows stands after `begin`.
    pub(super) fn restore(&self, floor: Position, entries: Vec<Arc<Entry>>, begin: Offset) {
        let mut window = self.lock();
        window.begin(floor.offset);
        self.epoch.store(floor.epoch, Ordering::Release);
        entries.into_iter().for_each(|entry| window.push(entry));
        window.skip_to(begin);
        self.show(&mut window);
    }

    /// What stands after a cursor, if all of that is here.
    pub(super) fn after(&self, cursor: Offset, limit: usize) -> Page {
        self.lock().after(cursor, limit)
    }

    /// Where the entry of an id stands, if it is here.
    pub(super) fn place(&self, id: &EventId) -> Option<Offset> {
        self.lock().place(id)
    }

    /// Everything up to here has been handed out.
    pub(super) fn handed_out(&self) -> Offset {
        self.lock().handed_out()
    }

    /// Refuses what would push out entries that nobody has seen yet.
    pub(super) fn check_room(&self, amount: Amount) -> Result<(), Unavailable> {
        self.lock().check_room(self.bounds, amount)
    }

    /// Where an offset stands, in the epoch of now.
    pub(super) fn position(&self, offset: Offset) -> Position {
        Position {
            epoch: self.epoch(),
            offset,
        }
    }

    pub(super) fn trim(&self) {
        let mut window = self.lock();
        window.trim(self.bounds, Instant::now());
        self.count(&window);
    }

    /// Under the lock, so that the head never runs backwards.
    fn show(&self, window: &mut Window) {
        window.trim(self.bounds, Instant::now());
        self.count(window);
        self.head.send_replace(window.head());
    }

    fn count(&self, window: &Window) {
        let events = i64::try_from(window.len()).unwrap_or(i64::MAX);
        self.metrics.feed_events.set(events);
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
