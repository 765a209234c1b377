//! `RedisPubSubChannelLayer` on a feed that many nodes share. Two nodes that hear the
//! same message cannot know that it is the same, so one node hears all groups for all.
//!
//! When that node ends, another takes over: at once after a stop in good order, within
//! the time of a lease after a crash. What is sent meanwhile is lost, as always here.

use std::sync::Arc;

use ::redis::aio::{PubSubSink, PubSubStream};
use futures_util::StreamExt;
use tokio::{
    select,
    sync::mpsc,
    time::{interval, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use super::{
    ChannelLayer,
    intake::{Arrived, Channels, Intake, WAITING, Way},
    names,
    pubsub::{ANSWER, MOST, PING},
};
use crate::{
    event::Topic,
    feed::Lease,
    redis::{Failure, Redis, pause},
};

/// Hears all groups while it is this node's to do, until `stop`.
pub(super) async fn run(layer: Arc<ChannelLayer>, stop: CancellationToken, tracker: &TaskTracker) {
    let (batches, arrived) = mpsc::channel(WAITING);
    let intake = Intake::new(layer.clone(), Arc::new(Channels::default()));
    tracker.spawn(intake.run(arrived));
    let name = format!("pubsub:{}", layer.settings.prefix);
    for host in &layer.hosts {
        let ear = Ear {
            layer: layer.clone(),
            host: host.clone(),
            lease: layer.feed.lease(&name),
            batches: batches.clone(),
        };
        let stop = stop.clone();
        tracker.spawn(async move { stop.run_until_cancelled(ear.run()).await });
    }
    drop(batches);
    stop.run_until_cancelled(nobody_waits(&layer)).await;
}

/// All groups are heard, by this node or by another.
async fn nobody_waits(layer: &ChannelLayer) {
    let follower = layer.demand.follow();
    let mut changes = follower.changes();
    loop {
        let wanted = follower.take().into_iter();
        follower.joined(wanted.filter_map(|(topic, wanted)| wanted.then_some(topic)));
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// What hears one host.
struct Ear {
    layer: Arc<ChannelLayer>,
    host: Arc<Redis>,
    lease: Lease,
    batches: mpsc::Sender<Vec<Arrived>>,
}

impl Ear {
    async fn run(self) {
        let mut failures = 0;
        loop {
            self.lease.held().await;
            let failure = match self.host.subscriber().await {
                Ok(connection) => {
                    let (sink, stream) = connection.split();
                    failures = 0;
                    self.layer.connected(&self.host);
                    let heard = select! {
                        failure = self.listen(sink, stream) => Some(failure),
                        () = self.lease.lost() => None,
                    };
                    let Some(failure) = heard else {
                        let over = self.host.ended();
                        self.layer.disconnected(&self.host, &over, "lost");
                        info!(redis = %self.host.name(), "Another node hears the channel layer from now on");
                        continue;
                    };
                    self.layer.disconnected(&self.host, &failure, "lost");
                    failure
                }
                Err(failure) => {
                    self.layer.disconnected(&self.host, &failure, "failed");
                    failure
                }
            };
            warn!(redis = %self.host.name(), error = %failure, "What the app sends until we are subscribed again is lost: Redis keeps nothing for the pub/sub layer");
            sleep(pause(failures)).await;
            failures = failures.saturating_add(1);
        }
    }

    /// Listens until the connection is of no use, and says why.
    async fn listen(&self, mut sink: PubSubSink, stream: PubSubStream) -> Failure {
        let pattern = names::all_groups(&self.layer.settings.prefix);
        match timeout(ANSWER, sink.psubscribe(pattern)).await {
            Ok(Ok(())) => self.layer.count_joins("joined", 1),
            Ok(Err(error)) => return self.host.failure(&error),
            Err(_) => return self.host.too_slow(ANSWER),
        }
        let mut messages = stream.ready_chunks(MOST);
        let mut ping = interval(PING);
        loop {
            select! {
                some = messages.next() => match some {
                    Some(messages) => self.hand_on(&messages),
                    None => return self.host.ended(),
                },
                _ = ping.tick() => match timeout(ANSWER, sink.ping::<::redis::Value>()).await {
                    Ok(Ok(_)) => {}
                    Ok(Err(error)) => return self.host.failure(&error),
                    Err(_) => return self.host.too_slow(ANSWER),
                },
            }
        }
    }

    fn hand_on(&self, messages: &[::redis::Msg]) {
        let prefix = &self.layer.settings.prefix;
        let arrived = messages.iter().filter_map(|message| {
            let group = names::group(prefix, message.get_channel_name())?;
            Some(Arrived {
                bytes: message.get_payload_bytes().to_vec(),
                way: Way::Channel(Topic::from(group)),
            })
        });
        self.layer.hand_on(&self.batches, arrived.collect());
    }
}
