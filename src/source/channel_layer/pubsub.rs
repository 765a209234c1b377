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
    redis::{Failure, Redis, pause},
};

/// A connection that says nothing is asked whether it lives, so often.
pub(super) const PING: Duration = Duration::from_secs(10);

/// For the answer to a subscription or a ping.
pub(super) const ANSWER: Duration = Duration::from_secs(5);

/// Messages taken at a time.
pub(super) const MOST: usize = 256;

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
                shard.leave(topic);
            }
        }
        layer.count_groups(shards.iter().map(|shard| shard.lock().topics.len()).sum());
    }
}

/// One host with the subscriptions there.
struct Shard {
    layer: Arc<ChannelLayer>,
    host: Arc<Redis>,
    follower: Arc<Follower>,
    wanted: Mutex<Wanted>,
    changed: Notify,
    batches: mpsc::Sender<Vec<Arrived>>,
}

/// What is to be subscribed to.
#[derive(Default)]
struct Wanted {
    topics: HashSet<Topic>,
    /// Where something has changed since the connection has looked.
    changed: HashSet<Topic>,
}

impl Shard {
    fn want(&self, topic: Topic) {
        let mut wanted = self.lock();
        wanted.topics.insert(topic.clone());
        wanted.changed.insert(topic);
        drop(wanted);
        self.changed.notify_one();
    }

    /// Leaves what nobody listens to any more.
    fn leave(&self, topic: Topic) {
        let mut wanted = self.lock();
        if self.follower.leave(&topic) && wanted.topics.remove(&topic) {
            wanted.changed.insert(topic);
            drop(wanted);
            self.changed.notify_one();
        }
    }

    /// These are subscribed: who listens need not wait, unless they are to be left.
    fn subscribed(&self, topics: &[Topic]) {
        let wanted = self.lock();
        let topics = topics.iter().filter(|topic| wanted.topics.contains(*topic));
        self.follower.joined(topics.cloned());
    }

    /// A new connection begins with all.
    fn want_all_again(&self) {
        let mut state = self.lock();
        state.changed = state.topics.clone();
        drop(state);
        self.changed.notify_one();
    }

    /// What has changed, and whether it is wanted now.
    fn take(&self) -> (Vec<Topic>, Vec<Topic>) {
        let mut state = self.lock();
        let changed = std::mem::take(&mut state.changed).into_iter();
        changed.partition(|topic| state.topics.contains(topic))
    }

    fn lock(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run(self: Arc<Self>) {
        let mut failures = 0;
        loop {
            match self.host.subscriber().await {
                Ok(connection) => {
                    self.layer.connected(&self.host);
                    let (sink, stream) = connection.split();
                    let mut heard = Heard {
                        shard: &self,
                        sink,
                        topics: HashMap::new(),
                        answered: false,
                    };
                    let failure = heard.listen(stream).await;
                    self.layer.disconnected(&self.host, &failure, "lost");
                    warn!(redis = %self.host.name(), "What the app sends until we are subscribed again is lost: Redis keeps nothing for the pub/sub layer");
                    self.follower.lost(heard.topics.values());
                    failures = if heard.answered { 0 } else { failures };
                }
                Err(failure) => self.layer.disconnected(&self.host, &failure, "failed"),
            }
            sleep(pause(failures)).await;
            failures = failures.saturating_add(1);
        }
    }
}

/// A connection and what it is subscribed to, by channel.
struct Heard<'s> {
    shard: &'s Shard,
    sink: PubSubSink,
    topics: HashMap<String, Topic>,
    /// The server did what it was asked.
    answered: bool,
}

impl Heard<'_> {
    /// Listens until the connection is of no use, and says why.
    async fn listen(&mut self, stream: PubSubStream) -> Failure {
        let host = &self.shard.host;
        let mut messages = stream.ready_chunks(MOST);
        let mut ping = interval(PING);
        self.shard.want_all_again();
        loop {
            select! {
                some = messages.next() => match some {
                    Some(messages) => {
                        let messages = messages.into_iter();
                        let arrived = messages.filter_map(|one| self.arrived(&one)).collect();
                        self.shard.layer.hand_on(&self.shard.batches, arrived);
                    }
                    None => return host.ended(),
                },
                () = self.shard.changed.notified() => {
                    if let Err(failure) = self.reconcile().await {
                        return failure;
                    }
                    self.answered = true;
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
        let (added, removed) = self.shard.take();
        for topics in added.chunks(AT_ONCE) {
            self.subscribe(topics).await?;
            // Also what is subscribed to still: it was about to be left.
            self.shard.subscribed(topics);
        }
        for topics in removed.chunks(AT_ONCE) {
            self.unsubscribe(topics).await?;
        }
        Ok(())
    }

    async fn subscribe(&mut self, topics: &[Topic]) -> Result<(), Failure> {
        let pair = |topic: &Topic| (self.shard.layer.channel(topic), topic.clone());
        let new = |(channel, _): &(String, _)| !self.topics.contains_key(channel);
        let pairs: Vec<_> = topics.iter().map(pair).filter(new).collect();
        if pairs.is_empty() {
            return Ok(());
        }
        let channels: Vec<_> = pairs.iter().map(|(channel, _)| channel.clone()).collect();
        // Before the answer: a message may come with it.
        self.topics.extend(pairs);
        let count = channels.len();
        let asked = timeout(ANSWER, self.sink.subscribe(channels)).await;
        self.answer(asked)?;
        self.shard.layer.count_joins("joined", count);
        Ok(())
    }

    async fn unsubscribe(&mut self, topics: &[Topic]) -> Result<(), Failure> {
        let channels = topics.iter().map(|topic| self.shard.layer.channel(topic));
        let mut channels: Vec<_> = channels.collect();
        channels.retain(|channel| self.topics.remove(channel).is_some());
        if channels.is_empty() {
            return Ok(());
        }
        let count = channels.len();
        let asked = timeout(ANSWER, self.sink.unsubscribe(channels)).await;
        self.answer(asked)?;
        self.shard.layer.count_joins("left", count);
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
    /// Hands on what came, or counts what there is no room for.
    pub(super) fn hand_on(&self, batches: &mpsc::Sender<Vec<Arrived>>, arrived: Vec<Arrived>) {
        let count = arrived.len();
        if !arrived.is_empty() && batches.try_send(arrived).is_err() {
            for _ in 0..count {
                self.count_event("overflow");
            }
            warn!(
                count,
                "Messages of the channel layer are dropped: the feed does not take them fast enough"
            );
        }
    }

    fn channel(&self, topic: &Topic) -> String {
        names::group_channel(&self.settings.prefix, topic.as_str())
    }

    fn is_joinable_or_unwanted(&self, topic: &Topic, wanted: bool) -> bool {
        !wanted || self.is_joinable(topic)
    }
}
