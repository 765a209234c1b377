//! `RedisPubSubChannelLayer`: subscribed to the channels of the groups in demand, each
//! on the host where the library puts it.
//!
//! Redis keeps nothing here: what is sent while we are not connected is lost to us as
//! it is to the app's own processes. That is counted and said.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ::redis::aio::{PubSubSink, PubSubStream};
use futures_util::StreamExt;
use tokio::{
    select,
    sync::{Notify, mpsc},
    time::{Instant, interval, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::warn;

use super::{
    ChannelLayer,
    core::{AT_ONCE, LINGER},
    intake::{Arrived, Channels, Intake, WAITING, Way},
    names,
};
use crate::{
    demand::Follower,
    event::Topic,
    redis::{Failure, Redis},
};

/// A connection that says nothing is asked whether it lives, so often.
const PING: Duration = Duration::from_secs(10);

/// For the answer to a subscription or a ping.
const ANSWER: Duration = Duration::from_secs(5);

/// Messages taken at a time.
const MOST: usize = 256;

/// Subscribes, hears and unsubscribes, until `stop`.
pub(super) async fn run(layer: Arc<ChannelLayer>, stop: CancellationToken, tracker: &TaskTracker) {
    let (batches, arrived) = mpsc::channel(WAITING);
    let intake = Intake::new(layer.clone(), Arc::new(Channels::default()));
    tracker.spawn(intake.run(arrived));
    let follower = Arc::new(layer.demand.follow());
    let shards = layer.hosts.iter().map(|host| {
        Arc::new(Shard {
            layer: layer.clone(),
            host: host.clone(),
            follower: follower.clone(),
            wanted: Mutex::default(),
            changed: Notify::new(),
            batches: batches.clone(),
        })
    });
    let shards: Vec<_> = shards.collect();
    drop(batches);
    for shard in &shards {
        let (shard, stop) = (shard.clone(), stop.clone());
        tracker.spawn(async move { stop.run_until_cancelled(shard.run()).await });
    }
    stop.run_until_cancelled(follow(&layer, &follower, &shards))
        .await;
    layer.count_groups(0);
}

async fn follow(layer: &ChannelLayer, follower: &Follower, shards: &[Arc<Shard>]) {
    let mut leaving: VecDeque<(Instant, Topic)> = VecDeque::new();
    let mut tick = interval(Duration::from_secs(1));
    let mut changes = follower.changes();
    let shard = |topic: &Topic| {
        let channel = layer.channel(topic);
        shards.get(names::host(&channel, shards.len()))
    };
    loop {
        select! {
            _ = changes.changed() => {}
            _ = tick.tick() => {}
        }
        for (topic, wanted) in follower.take() {
            match (wanted, layer.is_joinable_or_unwanted(&topic, wanted)) {
                (false, _) => leaving.push_back((Instant::now() + LINGER, topic)),
                (true, false) => follower.joined([topic]),
                (true, true) => {
                    if let Some(shard) = shard(&topic) {
                        shard.want(topic);
                    }
                }
            }
        }
        let due = |(at, _): &(Instant, Topic)| *at <= Instant::now();
        while leaving.front().is_some_and(due) {
            let Some((_, topic)) = leaving.pop_front() else {
                break;
            };
            if let Some(shard) = shard(&topic) {
                shard.leave(&topic);
            }
        }
        layer.count_groups(shards.iter().map(|shard| shard.lock().len()).sum());
    }
}

/// One host with the subscriptions there.
struct Shard {
    layer: Arc<ChannelLayer>,
    host: Arc<Redis>,
    follower: Arc<Follower>,
    wanted: Mutex<HashSet<Topic>>,
    changed: Notify,
    batches: mpsc::Sender<Vec<Arrived>>,
}

impl Shard {
    fn want(&self, topic: Topic) {
        self.lock().insert(topic);
        self.changed.notify_one();
    }

    /// Leaves what nobody listens to any more.
    fn leave(&self, topic: &Topic) {
        let mut wanted = self.lock();
        if self.follower.leaves(topic) && wanted.remove(topic) {
            self.changed.notify_one();
        }
    }

    /// These are subscribed: who listens need not wait, unless they are to be left.
    fn subscribed<'a>(&self, topics: impl Iterator<Item = &'a Topic>) {
        let wanted = self.lock();
        let topics = topics.filter(|topic| wanted.contains(*topic));
        self.follower.joined(topics.cloned());
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<Topic>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run(self: Arc<Self>) {
        loop {
            match self.host.subscriber().await {
                Ok(connection) => {
                    self.layer.connected(&self.host);
                    let (sink, stream) = connection.split();
                    let mut heard = Heard {
                        shard: &self,
                        sink,
                        topics: HashMap::new(),
                    };
                    let failure = heard.listen(stream).await;
                    self.layer.disconnected(&self.host, &failure, "lost");
                    warn!(redis = %self.host.name(), "What the app sends until we are subscribed again is lost: Redis keeps nothing for the pub/sub layer");
                    for topic in heard.topics.values() {
                        self.follower.left(topic);
                    }
                }
                Err(failure) => self.layer.disconnected(&self.host, &failure, "failed"),
            }
            sleep(self.host.pause()).await;
        }
    }

    /// Hands on what came, or counts what there is no room for.
    fn hand_on(&self, arrived: Vec<Arrived>) {
        let count = arrived.len();
        if !arrived.is_empty() && self.batches.try_send(arrived).is_err() {
            for _ in 0..count {
                self.layer.count_event("overflow");
            }
            warn!(
                count,
                "Messages of the channel layer are dropped: the feed does not take them fast enough"
            );
        }
    }
}

/// A connection and what it is subscribed to, by channel.
struct Heard<'s> {
    shard: &'s Shard,
    sink: PubSubSink,
    topics: HashMap<String, Topic>,
}

impl Heard<'_> {
    /// Listens until the connection is of no use, and says why.
    async fn listen(&mut self, stream: PubSubStream) -> Failure {
        let host = &self.shard.host;
        let mut messages = stream.ready_chunks(MOST);
        let mut ping = interval(PING);
        self.shard.changed.notify_one();
        loop {
            select! {
                some = messages.next() => match some {
                    Some(messages) => {
                        let messages = messages.into_iter();
                        self.shard.hand_on(messages.filter_map(|one| self.arrived(&one)).collect());
                    }
                    None => return host.ended(),
                },
                () = self.shard.changed.notified() => {
                    if let Err(failure) = self.reconcile().await {
                        return failure;
                    }
                }
                _ = ping.tick() => {
                    let pong = timeout(ANSWER, self.sink.ping::<::redis::Value>());
                    match pong.await {
                        Ok(Ok(_)) => {}
                        Ok(Err(error)) => return host.failure(&error),
                        Err(_) => return host.too_slow(ANSWER),
                    }
                }
            }
        }
    }

    fn arrived(&self, message: &::redis::Msg) -> Option<Arrived> {
        let topic = self.topics.get(message.get_channel_name())?.clone();
        Some(Arrived {
            bytes: message.get_payload_bytes().to_vec(),
            way: Way::Channel(topic),
        })
    }

    /// Makes the subscriptions what is wanted.
    async fn reconcile(&mut self) -> Result<(), Failure> {
        let wanted = self.shard.lock().clone();
        // Of these some were to be left, and are wanted again.
        self.shard.subscribed(self.topics.values());
        let here: HashSet<_> = self.topics.values().cloned().collect();
        let added: Vec<_> = wanted.difference(&here).cloned().collect();
        let removed: Vec<_> = here.difference(&wanted).cloned().collect();
        for topics in added.chunks(AT_ONCE) {
            let channels = topics.iter().map(|topic| self.shard.layer.channel(topic));
            let channels: Vec<_> = channels.collect();
            let pairs = channels.iter().cloned().zip(topics.iter().cloned());
            self.topics.extend(pairs);
            let asked = timeout(ANSWER, self.sink.subscribe(channels)).await;
            self.answer(asked)?;
            self.shard.layer.count_joins("joined", topics.len());
            self.shard.subscribed(topics.iter());
        }
        for topics in removed.chunks(AT_ONCE) {
            let channels = topics.iter().map(|topic| self.shard.layer.channel(topic));
            let channels: Vec<_> = channels.collect();
            for (topic, channel) in topics.iter().zip(&channels) {
                self.shard.follower.left(topic);
                self.topics.remove(channel);
            }
            let asked = timeout(ANSWER, self.sink.unsubscribe(channels)).await;
            self.answer(asked)?;
            self.shard.layer.count_joins("left", topics.len());
        }
        Ok(())
    }

    fn answer(
        &self,
        asked: Result<Result<(), ::redis::RedisError>, tokio::time::error::Elapsed>,
    ) -> Result<(), Failure> {
        let host = &self.shard.host;
        match asked {
            Ok(answer) => answer.map_err(|error| host.failure(&error)),
            Err(_) => Err(host.too_slow(ANSWER)),
        }
    }
}

impl ChannelLayer {
    fn channel(&self, topic: &Topic) -> String {
        names::group_channel(&self.settings.prefix, topic.as_str())
    }

    fn is_joinable_or_unwanted(&self, topic: &Topic, wanted: bool) -> bool {
        !wanted || self.is_joinable(topic)
    }
}
