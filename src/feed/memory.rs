//! The feed in memory: a ring of entries and the ids that are in it.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::{sync::watch, time::Instant};

use super::{Appended, Page, Settings, Unavailable};
use crate::{
    event::{Entry, Event, EventId, Offset, Position},
    metrics::Metrics,
};

/// What an entry costs besides its payload, roughly: the struct, its topics, its id.
const ENTRY_COST: usize = 400;

/// The log of events of this process.
#[derive(Debug)]
pub struct Feed {
    settings: Settings,
    epoch: u64,
    log: Mutex<Log>,
    head: watch::Sender<Offset>,
    closed: AtomicBool,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct Log {
    entries: VecDeque<Arc<Entry>>,
    ids: HashMap<EventId, Offset>,
    /// The last offset given out.
    head: Offset,
    bytes: usize,
    /// Up to here entries have been handed out, and how many bytes have not.
    handed_out: Offset,
    waiting: usize,
}

impl Feed {
    /// An empty feed. Its epoch is the moment it was made, so that no position
    /// of an earlier life is taken for one of this.
    pub fn new(settings: Settings, metrics: Arc<Metrics>) -> Arc<Self> {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Arc::new(Self {
            settings,
            epoch: u64::try_from(since.as_micros()).unwrap_or_default(),
            log: Mutex::default(),
            head: watch::Sender::new(Offset::ZERO),
            closed: AtomicBool::new(false),
            metrics,
        })
    }

    /// Puts events at the end, all of them or none, each id once.
    ///
    /// # Errors
    /// The feed is closed.
    #[expect(
        clippy::unused_async,
        reason = "a durable feed answers when the disk has"
    )]
    pub async fn append(&self, events: Vec<Event>) -> Result<Vec<Appended>, Unavailable> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Unavailable {
                reason: "Outrigger is stopping",
                retry_after: Duration::from_secs(5),
            });
        }
        let now = Instant::now();
        let mut log = self.lock();
        log.check_room(&self.settings, &events)?;
        let appended = events
            .into_iter()
            .map(|event| log.append(self.epoch, now, event))
            .collect();
        log.trim(&self.settings, now);
        self.show(&log);
        // Under the lock, so that the head never runs backwards.
        self.head.send_replace(log.head);
        Ok(appended)
    }

    /// The most events that can ever be appended at once.
    pub fn max_batch(&self) -> usize {
        self.settings.max_events
    }

    /// Takes nothing from now on.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Forgets what is older than the feed keeps.
    pub fn trim(&self) {
        let mut log = self.lock();
        log.trim(&self.settings, Instant::now());
        self.show(&log);
    }

    /// Everything up to here has been handed out. What has not is never forgotten:
    /// rather than that, the feed takes nothing more.
    pub fn handed_out(&self, offset: Offset) {
        self.lock().hand_out(offset);
    }

    /// Where the newest entry stands.
    pub fn head(&self) -> Position {
        Position {
            epoch: self.epoch,
            offset: *self.head.borrow(),
        }
    }

    /// Tells of every new head.
    pub fn watch(&self) -> watch::Receiver<Offset> {
        self.head.subscribe()
    }

    /// At most `limit` entries that stand after `cursor`.
    pub fn after(&self, cursor: Offset, limit: usize) -> Page {
        let log = self.lock();
        let first = log.head.1 - log.entries.len() as u64 + 1;
        if cursor.1 + 1 < first {
            return Page::Lost {
                oldest: Offset(0, first - 1),
            };
        }
        let skip = usize::try_from(cursor.1 + 1 - first).unwrap_or(usize::MAX);
        let entries: Vec<_> = log.entries.iter().skip(skip).take(limit).cloned().collect();
        let reached = entries.last().map_or(cursor, |entry| entry.position.offset);
        Page::Entries { entries, reached }
    }

    fn show(&self, log: &Log) {
        let events = i64::try_from(log.entries.len()).unwrap_or(i64::MAX);
        self.metrics.feed_events.set(events);
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log {
    fn append(&mut self, epoch: u64, accepted: Instant, event: Event) -> Appended {
        if let Some(&offset) = self.ids.get(&event.id) {
            return Appended::Duplicate(Position { epoch, offset });
        }
        self.head = self.head.next();
        let position = Position {
            epoch,
            offset: self.head,
        };
        self.ids.insert(event.id.clone(), self.head);
        self.bytes += cost(&event);
        self.waiting += cost(&event);
        self.entries.push_back(Arc::new(Entry {
            position,
            accepted,
            event,
        }));
        Appended::Accepted(position)
    }

    /// Refuses what would push out entries that nobody has seen yet.
    fn check_room(&self, settings: &Settings, events: &[Event]) -> Result<(), Unavailable> {
        let waiting = usize::try_from(self.head.1 - self.handed_out.1).unwrap_or(usize::MAX);
        let bytes: usize = events.iter().map(cost).sum();
        let fits = waiting + events.len() <= settings.max_events
            && (self.waiting == 0 || self.waiting + bytes <= settings.max_bytes);
        fits.then_some(()).ok_or(Unavailable {
            reason: "more comes in than can be handed out",
            retry_after: Duration::from_secs(1),
        })
    }

    fn hand_out(&mut self, offset: Offset) {
        let first = self.head.1 + 1 - self.entries.len() as u64;
        let skip = usize::try_from((self.handed_out.1 + 1).saturating_sub(first)).unwrap_or(0);
        let count = usize::try_from(offset.1.saturating_sub(self.handed_out.1)).unwrap_or(0);
        let costs = self
            .entries
            .iter()
            .skip(skip)
            .take(count)
            .map(|entry| cost(&entry.event));
        self.waiting -= costs.sum::<usize>().min(self.waiting);
        self.handed_out = self.handed_out.max(offset);
    }

    fn trim(&mut self, settings: &Settings, now: Instant) {
        while let Some(oldest) = self.entries.front() {
            if oldest.position.offset > self.handed_out {
                break;
            }
            let fits =
                self.entries.len() <= settings.max_events && self.bytes <= settings.max_bytes;
            if fits && now.duration_since(oldest.accepted) <= settings.keep {
                break;
            }
            self.bytes -= cost(&oldest.event);
            self.ids.remove(&oldest.event.id);
            self.entries.pop_front();
        }
    }
}

fn cost(event: &Event) -> usize {
    ENTRY_COST + event.data.get().len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::value::RawValue;

    fn feed(keep: u64, max_events: usize) -> Arc<Feed> {
        let settings = Settings {
            keep: Duration::from_secs(keep),
            max_events,
            max_bytes: 10 * (ENTRY_COST + 100),
        };
        Feed::new(settings, Metrics::new())
    }

    fn event(id: &str, data: &str) -> Event {
        Event {
            id: id.into(),
            kind: "k".into(),
            topics: Default::default(),
            users: Default::default(),
            except: Default::default(),
            data: RawValue::from_string(format!("{data:?}")).unwrap(),
            ephemeral: false,
        }
    }

    fn ids(page: Page) -> Vec<String> {
        match page {
            Page::Entries { entries, .. } => entries
                .iter()
                .map(|entry| entry.event.id.to_string())
                .collect(),
            Page::Lost { oldest } => vec![format!("lost until {oldest}")],
        }
    }

    #[tokio::test]
    async fn each_id_is_taken_once_and_in_order() {
        let feed = feed(60, 10);
        let events = ["a", "b", "a"].map(|id| event(id, "")).to_vec();
        let appended = feed.append(events).await.unwrap();
        assert!(
            matches!(appended[..], [Appended::Accepted(a), Appended::Accepted(_), Appended::Duplicate(b)] if a == b)
        );
        assert_eq!(ids(feed.after(Offset::ZERO, 10)), ["a", "b"]);
        assert_eq!(ids(feed.after(Offset(0, 1), 10)), ["b"]);
        assert_eq!(ids(feed.after(Offset(0, 2), 10)), Vec::<String>::new());
        assert_eq!(feed.head().offset, Offset(0, 2));
    }

    #[tokio::test]
    async fn what_is_forgotten_is_said_to_be_lost() {
        let feed = feed(60, 3);
        for id in ["a", "b", "c", "d", "e"] {
            feed.append(vec![event(id, "")]).await.unwrap();
            feed.handed_out(feed.head().offset);
        }
        assert_eq!(ids(feed.after(Offset(0, 1), 10)), ["lost until 0-2"]);
        assert_eq!(ids(feed.after(Offset(0, 2), 2)), ["c", "d"]);
        assert!(matches!(
            feed.append(vec![event("a", "")]).await.unwrap()[..],
            [Appended::Accepted(_)]
        ));
    }

    #[tokio::test(start_paused = true)]
    async fn age_and_bytes_are_bounded_too() {
        let feed = feed(60, 1000);
        feed.append(vec![event("old", "")]).await.unwrap();
        feed.handed_out(feed.head().offset);
        tokio::time::advance(Duration::from_secs(61)).await;
        feed.trim();
        assert_eq!(ids(feed.after(Offset::ZERO, 10)), ["lost until 0-1"]);
        for n in 0..50 {
            feed.append(vec![event(&n.to_string(), &"x".repeat(98))])
                .await
                .unwrap();
            feed.handed_out(feed.head().offset);
        }
        assert_eq!(ids(feed.after(feed.head().offset, 10)).len(), 0);
        assert_eq!(ids(feed.after(Offset(0, 41), 100)).len(), 10);
    }

    #[tokio::test]
    async fn what_has_not_been_handed_out_is_not_pushed_out() {
        let feed = feed(0, 3);
        let events = |ids: &[&str]| ids.iter().map(|id| event(id, "")).collect();
        feed.append(events(&["a", "b"])).await.unwrap();
        feed.append(events(&["c", "d"])).await.unwrap_err();
        feed.trim();
        assert_eq!(ids(feed.after(Offset::ZERO, 10)), ["a", "b"]);
        feed.handed_out(Offset(0, 1));
        feed.append(events(&["c", "d"])).await.unwrap();
        assert_eq!(ids(feed.after(Offset(0, 1), 10)), ["b", "c", "d"]);
    }

    #[tokio::test]
    async fn a_closed_feed_says_when_to_come_back() {
        let feed = feed(60, 3);
        feed.close();
        let refused = feed.append(vec![event("a", "")]).await.unwrap_err();
        assert_eq!(refused.retry_after, Duration::from_secs(5));
    }
}
