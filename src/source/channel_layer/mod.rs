//! The app's Channels layer in Redis, joined as one more channel: every `group_send`
//! of the app is an event, with no change to the app.
//!
//! Two layers of `channels_redis` are spoken, each in a file of its own. Keys of others
//! are never touched: we write our own name into groups, and empty our own queue.

mod codec;
mod fernet;
mod msgpack;
mod names;

use std::{sync::Arc, time::Duration};

use serde_json::value::RawValue;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    demand::Demand,
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

/// The app's channel layer.
#[derive(Debug)]
#[allow(dead_code, reason = "the reader comes next")]
pub struct ChannelLayer {
    settings: Settings,
    hosts: Vec<Arc<Redis>>,
    feed: Arc<Feed>,
    demand: Arc<Demand>,
    metrics: Arc<Metrics>,
}

impl ChannelLayer {
    /// Nothing is connected before [`ChannelLayer::run`] or the first message.
    pub fn new(
        settings: Settings,
        (feed, demand): (Arc<Feed>, Arc<Demand>),
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        let hosts = settings.hosts.iter().cloned().map(Redis::new).collect();
        Arc::new(Self {
            settings,
            hosts,
            feed,
            demand,
            metrics,
        })
    }

    /// Joins what is in demand and puts what is heard on the feed, until `stop`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        stop.cancelled().await;
    }

    /// What the app's `group_send(group, message)` does: all members of the group hear
    /// the message, a JSON object with a `type`.
    ///
    /// # Errors
    /// It was not sent, or not to all hosts.
    #[expect(clippy::unused_async, reason = "the sender is not there yet")]
    pub async fn group_send(&self, group: &str, message: &RawValue) -> Result<(), SendError> {
        let _ = message;
        Err(SendError::NotAGroup(group.into()))
    }

    /// The first of its servers, for commands of others.
    pub fn redis(&self) -> Option<&Arc<Redis>> {
        self.hosts.first()
    }
}

/// Whether a text can be the prefix of all keys.
pub fn is_prefix(text: &str) -> bool {
    !text.is_empty() && text.len() < 100 && !text.contains(char::is_whitespace)
}
