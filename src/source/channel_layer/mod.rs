//! The app's Channels layer in Redis, joined as one more channel: every `group_send`
//! of the app is an event, with no change to the app.
//!
//! Two layers of `channels_redis` are spoken, each in a file of its own. Keys of others
//! are never touched: we write our own name into groups, and empty our own queue.

mod codec;
mod core;
mod fernet;
mod health;
mod intake;
mod mailbox;
mod msgpack;
mod names;
mod probe;
mod pubsub;
mod send;
mod shared;

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use tokio::{
    sync::watch,
    time::{Instant, timeout},
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};
use tracing::warn;

use crate::{
    demand::Demand,
    event::{EventId, Topic},
    feed::Feed,
    metrics::Metrics,
    redis::{Failure, Redis, Server},
    secret::Secret,
};

pub use codec::{Message, Replaced, Unreadable, decode};

/// How the app's `CHANNEL_LAYERS` are set; nothing here may differ from there.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The `hosts`, in their order.
    pub hosts: Vec<Server>,
    /// The `BACKEND`.
    pub layer: Layer,
    /// The `prefix` of all keys.
    pub prefix: String,
    /// The `serializer_format`.
    pub serializer: Serializer,
    /// The `symmetric_encryption_keys`; the first one encrypts.
    pub keys: Vec<Secret>,
    /// The `expiry` of messages.
    pub expiry: Duration,
    /// The `group_expiry` of memberships.
    pub group_expiry: Duration,
    /// The `capacity` of a queue.
    pub capacity: u32,
}

/// The classes of `channels_redis`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// `channels_redis.core.RedisChannelLayer`
    Core,
    /// `channels_redis.pubsub.RedisPubSubChannelLayer`
    PubSub,
}

/// How messages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serializer {
    /// The default.
    Msgpack,
    /// `serializer_format = "json"`
    Json,
}

/// Why a message was not sent to a group.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The name is none that Channels takes.
    #[error("`{0}` is not the name of a group: letters, digits, `-`, `_` and `.`, fewer than 100")]
    NotAGroup(String),
    /// The message is none.
    #[error("the message {0}")]
    NotAMessage(&'static str),
    /// Redis did not take it.
    #[error(transparent)]
    Redis(#[from] Failure),
}

/// The layer of the moment, if one is configured.
pub type Current = watch::Receiver<Option<Arc<ChannelLayer>>>;

/// The reader that was there before: it goes when the next one is ready.
#[derive(Debug)]
pub struct Previous {
    /// The reader.
    pub layer: Arc<ChannelLayer>,
    /// Ends it when dropped.
    pub stop: DropGuard,
}

/// How long a new reader waits for the end of the old one.
const HANDOVER: Duration = Duration::from_secs(2);

/// So many topics that are no groups are named in the log.
const NAMED: usize = 100;

/// The app's channel layer.
#[derive(Debug)]
pub struct ChannelLayer {
    settings: Settings,
    codec: codec::Codec,
    hosts: Vec<Arc<Redis>>,
    feed: Arc<Feed>,
    demand: Arc<Demand>,
    metrics: Arc<Metrics>,
    state: Mutex<Status>,
    /// Makes ids for messages that have none, different in each process.
    unnamed: (u64, AtomicU64),
    /// It is over.
    done: CancellationToken,
}

/// How it is with the layer, for operators.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// Connections that hear.
    pub connected: usize,
    /// Groups that are joined.
    pub groups: usize,
    /// The most messages that ever lay in our queue.
    pub deepest: usize,
    /// What went wrong last, and when.
    pub last_error: Option<(SystemTime, String)>,
    /// When the last message came.
    pub last_message: Option<SystemTime>,
    /// Topics that are no groups.
    refused: HashSet<Topic>,
    /// When the log last heard of a command that failed.
    complained: Option<Instant>,
}

impl ChannelLayer {
    /// Nothing is connected before [`ChannelLayer::run`] or the first message, but
    /// sessions wait for their groups from now on.
    pub fn new(
        settings: Settings,
        (feed, demand): (Arc<Feed>, Arc<Demand>),
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        let hosts = settings.hosts.iter().cloned().map(Redis::new).collect();
        demand.expect_source();
        Arc::new(Self {
            codec: codec::Codec::new(&settings),
            settings,
            hosts,
            feed,
            demand,
            metrics,
            state: Mutex::default(),
            unnamed: (RandomState::new().hash_one(0), AtomicU64::new(0)),
            done: CancellationToken::new(),
        })
    }

    /// Joins what is in demand and puts what is heard on the feed, until `stop`. Its
    /// tasks run on `tracker`. What both this and the previous reader hear, the feed
    /// takes once where the layer allows it.
    pub async fn run(
        self: Arc<Self>,
        stop: CancellationToken,
        tracker: TaskTracker,
        previous: Option<Previous>,
    ) {
        let probed = stop.run_until_cancelled(self.probe());
        probed.await;
        let core = self.settings.layer == Layer::Core;
        match (core, previous) {
            // Both hear for a moment: one sending has one id.
            (true, Some(old)) if old.layer.settings.layer == Layer::Core => {
                Box::pin(core::run(self.clone(), (stop, Some(old)), &tracker)).await;
            }
            (_, previous) => {
                if let Some(Previous { layer, stop }) = previous {
                    drop(stop);
                    if timeout(HANDOVER, layer.done.cancelled()).await.is_err() {
                        warn!(waited = ?HANDOVER, "The old reader of the channel layer has not ended yet");
                    }
                }
                match core {
                    true => Box::pin(core::run(self.clone(), (stop, None), &tracker)).await,
                    false if self.feed.is_shared() => {
                        Box::pin(shared::run(self.clone(), stop, &tracker)).await;
                    }
                    false => Box::pin(pubsub::run(self.clone(), stop, &tracker)).await,
                }
            }
        }
        self.done.cancel();
    }

    /// The first of its servers, for commands of others.
    pub fn redis(&self) -> Option<&Arc<Redis>> {
        self.hosts.first()
    }

    /// How the app's layer is set.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How it is.
    pub fn status(&self) -> Status {
        self.state().clone()
    }

    /// The host on which a name lies. There is always one.
    fn host(&self, name: &str) -> &Arc<Redis> {
        &self.hosts[names::host(name, self.hosts.len())]
    }

    fn unnamed_id(&self) -> EventId {
        let count = self.unnamed.1.fetch_add(1, Ordering::Relaxed);
        format!("layer-{:x}.{count}", self.unnamed.0).into()
    }

    fn note(&self, error: String) {
        self.state().last_error = Some((SystemTime::now(), error));
    }

    fn state(&self) -> MutexGuard<'_, Status> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Status {
    /// Whether a topic that is no group is new here, and worth a line.
    fn refuse(&mut self, topic: &Topic) -> bool {
        self.refused.len() < NAMED && self.refused.insert(topic.clone())
    }
}

/// Whether a text can be the prefix of all keys.
pub fn is_prefix(text: &str) -> bool {
    !text.is_empty() && text.len() < 100 && !text.contains(char::is_whitespace)
}
