//! Who subscribes to which topic, and handing each entry out.
//!
//! One task tails the feed. For each entry it finds the sessions it is for,
//! renders each frame in use once (personal ones once per session), and puts it
//! into their outboxes. It never waits for a session.

mod form;
mod heard;
mod joined;
mod missed;
mod moves;
mod outbox;
mod subscriber;
mod verdict;

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use smallvec::SmallVec;
use tokio::{task::consume_budget, time::interval};
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::{
    demand::Demand,
    event::{Entry, Event, Offset, SessionId, Topic, UserId},
    feed::{Feed, Page},
    frame::Template,
    metrics::{Ended, Metrics},
    order::Order,
    routes::{Exclusion, LeftOut},
};

pub use form::Form;
pub use heard::Heard;
pub use missed::Missed;
pub use moves::{Question, TooManyTopics};
pub use outbox::{Due, End, Hold, Offered, Outbox, Outgoing};
pub use subscriber::Subscriber;
pub use verdict::{Listener, NotFor};

use joined::Joined;

/// So that joins seldom wait for the dispatcher.
const SHARDS: usize = 16;
/// Entries read from the feed at a time.
const PAGE: usize = 256;
/// How often the feed is asked to forget what is too old.
const TRIM: Duration = Duration::from_secs(5);

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

    /// Hands out the feed's entries until it is told to stop.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut heads = self.feed.watch();
        let mut trim = interval(TRIM);
        heads.mark_unchanged();
        let Some(opened) = stop.run_until_cancelled(self.feed.opened()).await else {
            return;
        };
        let mut cursor = opened.max(self.handed_out());
        *self.lock() = cursor;
        loop {
            let handed_out = self.hand_out_after(cursor);
            cursor = match stop.run_until_cancelled(handed_out).await {
                Some(cursor) => cursor,
                None => return,
            };
            tokio::select! {
                () = stop.cancelled() => return,
                _ = trim.tick() => self.feed.trim(),
                changed = heads.changed() => if changed.is_err() { return },
            }
        }
    }

    async fn hand_out_after(&self, mut cursor: Offset) -> Offset {
        loop {
            match self.feed.after(cursor, PAGE).await {
                Page::Entries { entries, .. } if entries.is_empty() => return cursor,
                Page::Entries { entries, reached } => {
                    for entry in &entries {
                        let place = self.place.lock().await;
                        self.hand_out(entry);
                        *self.lock() = entry.position.offset;
                        drop(place);
                        consume_budget().await;
                    }
                    cursor = reached;
                    self.feed.handed_out(cursor);
                }
                Page::Lost { oldest } => {
                    error!(%cursor, %oldest, "The feed forgot entries before they were handed out");
                    self.unheard("forgotten");
                    // Each session finds out for itself whether it missed something.
                    let behind =
                        |one: &Subscriber| one.missed(one.outbox.fall_behind(), &self.metrics);
                    self.topics.all(behind);
                    self.users.all(behind);
                    cursor = oldest;
                }
            }
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

    fn hand_out(&self, entry: &Entry) {
        if Order::is_between_nodes(&entry.event) {
            return;
        }
        let heard = match Order::of(&entry.event) {
            Ok(None) => self.offer_to_all(entry),
            Ok(Some(order)) => self.obey(entry, &order),
            Err(malformed) => {
                warn!(id = %entry.event.id, kind = %entry.event.kind, reason = %malformed, "A reserved event says nothing");
                self.unheard("malformed");
                true
            }
        };
        if !heard {
            self.unheard("nobody_subscribed");
        }
        self.metrics
            .dispatch_seconds
            .observe(entry.accepted.elapsed().as_secs_f64());
    }

    fn offer_to_all(&self, entry: &Entry) -> bool {
        let event = &entry.event;
        let mut rendered = Rendered::default();
        let mut heard = false;
        let mut offer = |subscriber: &Arc<Subscriber>| {
            heard |= self.offer(entry, subscriber, &mut rendered);
        };
        for topic in &event.topics {
            self.topics.each(topic, &mut offer);
        }
        if event.topics.is_empty() {
            for user in &event.users {
                self.users.each(user, &mut offer);
            }
        }
        heard
    }

    fn offer(&self, entry: &Entry, subscriber: &Arc<Subscriber>, rendered: &mut Rendered) -> bool {
        let listener = subscriber.listener();
        let leaves_out = |rule: &Exclusion| rendered.leaves_out(rule, &entry.event, listener);
        let Ok(template) = listener.frame(&entry.event, leaves_out) else {
            return false;
        };
        let frame = Outgoing {
            offset: entry.position.offset,
            text: rendered.text(template, entry, subscriber),
            ephemeral: entry.event.ephemeral,
        };
        let offered = subscriber.outbox.offer(frame);
        if offered == Offered::Behind && entry.event.ephemeral {
            subscriber.missed(entry.position.offset.into(), &self.metrics);
        }
        true
    }

    fn unheard(&self, result: &'static str) {
        self.metrics
            .events_unheard
            .get_or_create(&Ended { result })
            .inc();
    }
}

/// The frames of one entry, by template: each shared one is rendered once. And whom
/// the entry leaves out, by rule.
#[derive(Default)]
struct Rendered {
    frames: SmallVec<[(*const Template, Form, Utf8Bytes); 4]>,
    left_out: SmallVec<[(*const Exclusion, LeftOut); 1]>,
}

impl Rendered {
    /// Whether the event leaves out this very client, by its endpoint's rule.
    fn leaves_out(&mut self, rule: &Exclusion, event: &Event, listener: Listener<'_>) -> bool {
        let key = std::ptr::from_ref(rule);
        let known = self.left_out.iter().position(|(other, _)| *other == key);
        let at = known.unwrap_or_else(|| {
            self.left_out.push((key, rule.of(event)));
            self.left_out.len() - 1
        });
        self.left_out[at].1.has(listener.user, listener.name)
    }

    fn text(
        &mut self,
        template: &Arc<Template>,
        entry: &Entry,
        subscriber: &Subscriber,
    ) -> Utf8Bytes {
        let form = subscriber.form;
        if let Some(text) = self.known(template, form) {
            return text;
        }
        // Rendered once, in however many forms it is sent.
        let bare = self.known(template, Form::Bare);
        let frame = bare.unwrap_or_else(|| {
            let frame = subscriber.render_with(template, &entry.event);
            self.note(template, Form::Bare, &frame);
            frame
        });
        let text = form.event(frame, entry.position);
        if form != Form::Bare {
            self.note(template, form, &text);
        }
        text
    }

    fn known(&self, template: &Arc<Template>, form: Form) -> Option<Utf8Bytes> {
        let key = (Arc::as_ptr(template), form);
        let mut frames = self.frames.iter();
        let known = frames.find(|(template, form, _)| (*template, *form) == key);
        known.map(|(.., text)| text.clone())
    }

    fn note(&mut self, template: &Arc<Template>, form: Form, text: &Utf8Bytes) {
        if !template.is_personal() {
            let key = Arc::as_ptr(template);
            self.frames.push((key, form, text.clone()));
        }
    }
}

/// Subscribers under a name, each once, in the order of their sessions' ids.
#[derive(Debug)]
struct Index<K> {
    shards: [Mutex<HashMap<K, Vec<Arc<Subscriber>>>>; SHARDS],
    hasher: RandomState,
}

impl<K> Default for Index<K> {
    fn default() -> Self {
        Self {
            shards: Default::default(),
            hasher: RandomState::new(),
        }
    }
}

impl<K: Clone + Eq + std::hash::Hash> Index<K> {
    /// Whether it is the first under the name.
    fn put(&self, key: &K, subscriber: &Arc<Subscriber>) -> bool {
        let mut shard = self.shard(key);
        let there = shard
            .entry(key.clone())
            .or_insert_with(|| Vec::with_capacity(1));
        let first = there.is_empty();
        match there.binary_search_by_key(&subscriber.session, |other| other.session) {
            Ok(at) => there[at] = subscriber.clone(),
            Err(at) => there.insert(at, subscriber.clone()),
        }
        first
    }

    /// Whether it was the last under the name.
    fn remove(&self, key: &K, session: SessionId) -> bool {
        let mut shard = self.shard(key);
        let Some(there) = shard.get_mut(key) else {
            return false;
        };
        if let Ok(at) = there.binary_search_by_key(&session, |other| other.session) {
            there.remove(at);
        }
        let last = there.is_empty();
        if last {
            shard.remove(key);
        }
        last
    }

    fn each(&self, key: &K, visit: &mut impl FnMut(&Arc<Subscriber>)) {
        if let Some(there) = self.shard(key).get(key) {
            there.iter().for_each(visit);
        }
    }

    fn count(&self, key: &K) -> usize {
        self.shard(key).get(key).map_or(0, Vec::len)
    }

    fn all(&self, visit: impl Fn(&Subscriber)) {
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.values().flatten().for_each(|one| visit(one));
        }
    }

    fn shard(&self, key: &K) -> MutexGuard<'_, HashMap<K, Vec<Arc<Subscriber>>>> {
        let hash = self.hasher.hash_one(key);
        let at = usize::try_from(hash % SHARDS as u64).unwrap_or_default();
        self.shards[at]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
