//! Who subscribes to which topic, and handing each entry out.
//!
//! Sessions come, change and go here; one task hands out what the feed has (`dispatch`).

mod dispatch;
mod form;
mod heard;
mod index;
mod joined;
mod missed;
mod moves;
mod outbox;
mod rendered;
mod subscriber;
mod verdict;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use smallvec::SmallVec;

use crate::{
    demand::Demand,
    event::{Event, Offset, SessionId, Topic, UserId},
    feed::Feed,
    metrics::Metrics,
};

pub use form::Form;
pub use heard::Heard;
pub use missed::Missed;
pub use moves::{Question, TooManyTopics};
pub use outbox::{Due, End, Hold, Offered, Outbox, Outgoing};
pub use subscriber::Subscriber;
pub use verdict::{Listener, NotFor};

use index::Index;
use joined::Joined;

/// Subscribers by topic and by user.
#[derive(Debug)]
pub struct Hub {
    topics: Index<Topic>,
    users: Index<UserId>,
    /// Everything up to here has been offered to all it is for.
    handed_out: Mutex<Offset>,
    demand: Arc<Demand>,
    /// Held while an entry is handed out, and while what a session hears is changed:
    /// a change has a place between two entries. A fair lock: entries without end do
    /// not keep out who waits.
    place: tokio::sync::Mutex<()>,
    feed: Arc<Feed>,
    metrics: Arc<Metrics>,
}

impl Hub {
    /// An empty one.
    pub fn new(feed: Arc<Feed>, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            topics: Index::default(),
            users: Index::default(),
            handed_out: Mutex::new(feed.head().offset),
            place: tokio::sync::Mutex::default(),
            demand: Demand::new(metrics.clone()),
            feed,
            metrics,
        })
    }

    /// Which topics have listeners.
    pub fn demand(&self) -> &Arc<Demand> {
        &self.demand
    }

    /// Subscribes a session: entries that are appended from now on reach its outbox.
    pub fn join(&self, subscriber: &Arc<Subscriber>) {
        let mut joined = subscriber.outbox.joined();
        joined.current = Arc::downgrade(subscriber);
        self.put(subscriber, &joined);
    }

    /// Unsubscribes a session.
    pub fn leave(&self, subscriber: &Subscriber) {
        subscriber.outbox.leave();
        let mut joined = subscriber.outbox.joined();
        joined.current = Weak::new();
        let topics = subscriber.topics.iter().chain(joined.members());
        self.unsubscribe(topics, subscriber.session);
        if let Some(user) = &subscriber.client.user {
            self.users.remove(user, subscriber.session);
        }
    }

    /// Puts a session's new subscription in the place of its old one; what it joined
    /// and left stays so. A topic that is in both is at no moment without it. What is
    /// being handed out meanwhile may find neither: the session reads it from the feed.
    pub fn replace(&self, old: &Subscriber, new: &Arc<Subscriber>) {
        let mut joined = new.outbox.joined();
        joined.current = Arc::downgrade(new);
        self.put(new, &joined);
        let goes = |topic: &&Topic| {
            let heard = joined.now(topic);
            !heard.unwrap_or_else(|| new.topics.contains(topic))
        };
        self.unsubscribe(old.topics.iter().filter(goes), old.session);
    }

    fn put(&self, subscriber: &Arc<Subscriber>, joined: &Joined) {
        let own = subscriber.topics.iter();
        let own = own.filter(|topic| joined.now(topic) != Some(false));
        self.subscribe(own.chain(joined.members()), subscriber);
        if let Some(user) = &subscriber.client.user {
            self.users.put(user, subscriber);
        }
    }

    fn subscribe<'a>(&self, topics: impl Iterator<Item = &'a Topic>, subscriber: &Arc<Subscriber>) {
        let first = topics.filter(|topic| self.topics.put(topic, subscriber));
        // One after the other: a shard is held as long as an entry is handed out, and
        // the demand is one lock for all.
        let first: SmallVec<[_; 4]> = first.collect();
        if !first.is_empty() {
            self.demand.add(first);
        }
    }

    fn unsubscribe<'a>(&self, topics: impl Iterator<Item = &'a Topic>, session: SessionId) {
        let last = topics.filter(|topic| self.topics.remove(topic, session));
        let last: SmallVec<[_; 4]> = last.collect();
        if !last.is_empty() {
            self.demand.remove(last);
        }
    }

    /// The open sessions of a user.
    pub fn sessions_of(&self, user: &UserId) -> Vec<Arc<Subscriber>> {
        let mut found = Vec::new();
        self.users.each(user, &mut |one| found.push(one.clone()));
        found
    }

    /// How many sessions hear an event's topics, or belong to its users; one that hears
    /// two of its topics counts twice.
    pub fn audience(&self, event: &Event) -> usize {
        match &event.topics[..] {
            [] => event.users.iter().map(|user| self.users.count(user)).sum(),
            topics => topics.iter().map(|topic| self.topics.count(topic)).sum(),
        }
    }

    /// The last entry that has been offered to all it is for.
    pub fn handed_out(&self) -> Offset {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Offset> {
        self.handed_out
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
