//! What came from Redis, onto the feed: read, given an id, appended in order.
//!
//! While the feed takes nothing, what came waits here within a bound, and behind it in
//! Redis. What cannot be read is counted and logged.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use aws_lc_rs::digest::{Context, SHA256};
use smallvec::smallvec;
use tokio::{sync::mpsc, time::Instant, time::sleep};
use tracing::{debug, warn};

use super::{ChannelLayer, Message};
use crate::{
    event::{Event, EventId, Except, Topic},
    feed::Appended,
    metrics::{Ended, Taken},
    source::wire,
};

/// Batches that may wait for the feed.
pub(super) const WAITING: usize = 64;

/// Messages whose like may come again with the same score.
const REMEMBERED: usize = 4096;

/// Somebody reads it: not more often than this.
pub(super) const SAY_AGAIN: Duration = Duration::from_secs(10);

/// A message as it came.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) bytes: Vec<u8>,
    pub(super) way: Way,
}

/// How it came.
#[derive(Debug)]
pub(super) enum Way {
    /// Out of our queue, with its score: the moment of sending, equal in all queues.
    Queue(f64),
    /// Over the channel of this group.
    Channel(Topic),
}

/// Our own channels, and the groups they are in.
#[derive(Debug, Default)]
pub(super) struct Channels(Mutex<HashMap<String, Topic>>);

impl Channels {
    pub(super) fn insert(&self, channel: String, topic: Topic) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(channel, topic);
    }

    pub(super) fn remove(&self, channel: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(channel);
    }

    fn topic(&self, channel: &str) -> Option<Topic> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(channel).cloned()
    }
}

/// Puts messages on the feed.
pub(super) struct Intake {
    layer: Arc<ChannelLayer>,
    channels: Arc<Channels>,
    ordinals: Ordinals,
    said: Option<Instant>,
}

impl Intake {
    pub(super) fn new(layer: Arc<ChannelLayer>, channels: Arc<Channels>) -> Self {
        Self {
            layer,
            channels,
            ordinals: Ordinals::default(),
            said: None,
        }
    }

    /// Takes until nothing more can come.
    pub(super) async fn run(mut self, mut arrived: mpsc::Receiver<Vec<Arrived>>) {
        while let Some(batch) = arrived.recv().await {
            let events: Vec<_> = batch.iter().flat_map(|one| self.events(one)).collect();
            for chunk in events.chunks(self.layer.feed.max_batch()) {
                self.append(chunk).await;
            }
        }
    }

    async fn append(&self, events: &[Event]) {
        loop {
            match self.layer.feed.append(events.to_vec()).await {
                Ok(appended) => {
                    for one in appended {
                        self.layer.count_event(match one {
                            Appended::Accepted(_) => "accepted",
                            Appended::Duplicate(_) => "duplicate",
                        });
                    }
                    return;
                }
                Err(unavailable) => {
                    self.layer.count_event("unavailable");
                    warn!(source = "channel_layer", error = %unavailable, "Events wait for the feed");
                    sleep(unavailable.retry_after).await;
                }
            }
        }
    }

    fn events(&mut self, arrived: &Arrived) -> Vec<Event> {
        let message = match self.layer.codec.read(&arrived.bytes, SystemTime::now()) {
            Ok(message) => message,
            Err(reason) => {
                self.refuse(reason.word(), &reason.to_string());
                return Vec::new();
            }
        };
        self.layer.heard(&message);
        let kind = match wire::checked("type", message.kind.clone()) {
            Ok(kind) => kind,
            Err(reason) => {
                self.refuse("bad_type", &reason.to_string());
                return Vec::new();
            }
        };
        let topics = self.topics(&message, &arrived.way);
        let event = |topic: Topic| Event {
            id: self.id(&topic, &message, arrived),
            kind: kind.as_str().into(),
            topics: smallvec![topic],
            users: smallvec![],
            except: Except::default(),
            data: message.data.clone(),
            ephemeral: false,
        };
        topics.into_iter().map(event).collect()
    }

    /// The groups a message was sent to.
    fn topics(&self, message: &Message, way: &Way) -> Vec<Topic> {
        if let Way::Channel(topic) = way {
            return vec![topic.clone()];
        }
        let mut topics = Vec::new();
        for channel in &message.to {
            match self.channels.topic(channel) {
                Some(topic) => topics.push(topic),
                // The last listener went while it was on its way.
                None => self.layer.count_event("left"),
            }
        }
        if message.to.is_empty() {
            self.layer.count_event("left");
        }
        topics
    }

    /// Equal for all who hear the same sending, where the layer lets them know.
    fn id(&mut self, topic: &Topic, message: &Message, arrived: &Arrived) -> EventId {
        let mut hash = Context::new(&SHA256);
        let mut add = |bytes: &[u8]| {
            hash.update(&bytes.len().to_be_bytes());
            hash.update(bytes);
        };
        add(topic.as_str().as_bytes());
        match &arrived.way {
            Way::Queue(score) => {
                add(message.kind.as_bytes());
                add(message.data.get().as_bytes());
                add(&score.to_bits().to_be_bytes());
            }
            Way::Channel(_) if self.layer.codec.is_unique() => add(&arrived.bytes),
            // Two equal messages look the same: better twice than once for both.
            Way::Channel(_) => return self.layer.unnamed_id(),
        }
        let hash = hash.finish();
        let half = hash.as_ref().first_chunk().copied().unwrap_or_default();
        let half = u128::from_be_bytes(half);
        match self.ordinals.next(half) {
            0 => format!("layer-{half:032x}").into(),
            ordinal => format!("layer-{half:032x}.{ordinal}").into(),
        }
    }

    fn refuse(&mut self, word: &'static str, reason: &str) {
        self.layer.count_event("unreadable");
        let labels = Ended { result: word };
        let unreadable = &self.layer.metrics.channel_layer_unreadable;
        unreadable.get_or_create(&labels).inc();
        self.layer
            .note(format!("a message cannot be read: {reason}"));
        if self.said.is_none_or(|said| said.elapsed() >= SAY_AGAIN) {
            self.said = Some(Instant::now());
            warn!(
                reason,
                "A message of the channel layer cannot be read and is skipped"
            );
        } else {
            debug!(
                reason,
                "A message of the channel layer cannot be read and is skipped"
            );
        }
    }
}

impl ChannelLayer {
    pub(super) fn count_event(&self, result: &'static str) {
        let source = "channel_layer";
        let labels = Taken { source, result };
        self.metrics.events.get_or_create(&labels).inc();
    }

    fn heard(&self, message: &Message) {
        let replaced = message.replaced;
        for (result, count) in [
            ("nan", replaced.nan),
            ("bytes", replaced.bytes),
            ("ext", replaced.ext),
        ] {
            if count > 0 {
                let family = &self.metrics.channel_layer_replaced;
                family.get_or_create(&Ended { result }).inc_by(count);
                debug!(
                    result,
                    count,
                    kind = message.kind,
                    "Values that JSON cannot spell were replaced"
                );
            }
        }
        self.state().last_message = Some(SystemTime::now());
    }
}

/// Counts equal messages with an equal score: they were sent so often.
#[derive(Default)]
struct Ordinals {
    counts: HashMap<u128, u32>,
    order: VecDeque<u128>,
}

impl Ordinals {
    fn next(&mut self, hash: u128) -> u32 {
        if let Some(count) = self.counts.get_mut(&hash) {
            *count += 1;
            return *count;
        }
        if self.order.len() == REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.counts.remove(&oldest);
        }
        self.order.push_back(hash);
        self.counts.insert(hash, 0);
        0
    }
}
