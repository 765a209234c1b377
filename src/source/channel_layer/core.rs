//! `RedisChannelLayer`: our channel in the groups that are in demand.
//!
//! One queue for the process, and in it one channel for each group, so that a
//! `group_send` leaves one message for us that says which group it is of. Groups are
//! joined with the first listener, left some time after the last, refreshed before
//! they expire, and joined again as soon as the server has forgotten them.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    ops::Bound,
    sync::Arc,
    time::Duration,
};

use ::redis::{RedisResult, Value, cmd, pipe};
use aws_lc_rs::rand;
use tokio::{
    select,
    sync::{Notify, mpsc, watch},
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::warn;

use super::{
    ChannelLayer, Previous,
    health::Alarm,
    intake::{Arrived, Channels, Intake, WAITING},
    mailbox::{Mailbox, WAKE},
    names,
    send::now,
};
use crate::{
    demand::Follower,
    event::Topic,
    redis::{Failure, Redis},
};

/// How often it is looked whether the server still knows us.
const TICK: Duration = Duration::from_secs(1);

/// Groups that are looked at then. All are, in turn; a flush is seen at the first.
const LOOKED_AT: usize = 100;

/// A page that is loaded anew is back before this.
pub(super) const LINGER: Duration = Duration::from_secs(5);

/// Groups in one round trip.
pub(super) const AT_ONCE: usize = 500;

/// For all that is done on the way out.
const LAST_MOMENT: Duration = Duration::from_millis(700);

/// Joins, hears and leaves, until `stop`. The previous reader goes when this one has
/// joined what is in demand.
pub(super) async fn run(
    layer: Arc<ChannelLayer>,
    (stop, previous): (CancellationToken, Option<Previous>),
    tracker: &TaskTracker,
) {
    let queue = layer.new_queue();
    let Some(host) = layer.hosts.first().cloned() else {
        return;
    };
    let (batches, arrived) = mpsc::channel::<Vec<Arrived>>(WAITING);
    let channels = Arc::new(Channels::default());
    let intake = Intake::new(layer.clone(), channels.clone());
    let intake = tracker.spawn(intake.run(arrived));
    let anew = Arc::new(Notify::new());
    let mailbox = Mailbox {
        layer: layer.clone(),
        host: host.clone(),
        key: format!("{}{queue}", layer.settings.prefix),
        anew: anew.clone(),
        batches,
    };
    let key = mailbox.key.clone();
    let cut = CancellationToken::new();
    let token = cut.clone();
    let mailbox =
        tracker.spawn(async move { token.run_until_cancelled(mailbox.run()).await.is_some() });
    let mut members = Members::new(layer, (queue, key.clone()), channels);
    stop.run_until_cancelled(async {
        members.take();
        members.join().await;
        drop(previous);
        members.follow(&anew).await;
    })
    .await;
    // What was sent before we left is in the queue: it is taken, then the rest ends.
    let wake = async {
        members.leave_all().await;
        let mut wake = cmd("ZADD");
        wake.arg(&key).arg(0).arg(WAKE);
        let woken = host.command::<i64>(&wake).await;
        woken.is_ok() && mailbox.await.is_ok()
    };
    if !timeout(LAST_MOMENT, wake).await.unwrap_or(false) {
        cut.cancel();
    }
    if timeout(LAST_MOMENT, intake).await.is_err() {
        warn!("The last messages of the channel layer did not get onto the feed");
    }
}

/// Which groups we are in.
struct Members {
    layer: Arc<ChannelLayer>,
    follower: Follower,
    changes: watch::Receiver<()>,
    queue: String,
    key: String,
    channels: Arc<Channels>,
    /// Our channel in each group.
    groups: BTreeMap<Topic, String>,
    /// Of these, the ones that Redis does not know yet.
    pending: HashSet<Topic>,
    /// Nobody listens, since then.
    leaving: VecDeque<(Instant, Topic)>,
    count: u64,
    refreshed: Instant,
    /// The group that was looked at last.
    looked_at: Option<Topic>,
    alarm: Alarm,
}

impl Members {
    fn new(
        layer: Arc<ChannelLayer>,
        (queue, key): (String, String),
        channels: Arc<Channels>,
    ) -> Self {
        let follower = layer.demand.follow();
        Self {
            layer,
            changes: follower.changes(),
            follower,
            queue,
            key,
            channels,
            groups: BTreeMap::new(),
            pending: HashSet::new(),
            leaving: VecDeque::new(),
            count: 0,
            refreshed: Instant::now(),
            looked_at: None,
            alarm: Alarm::default(),
        }
    }

    async fn follow(&mut self, anew: &Notify) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            select! {
                _ = self.changes.changed() => self.take(),
                () = anew.notified() => self.join_again(),
                _ = tick.tick() => self.tend().await,
            }
            self.join().await;
        }
    }

    /// Takes what has changed in the demand.
    fn take(&mut self) {
        for (topic, wanted) in self.follower.take() {
            if !wanted {
                self.leaving.push_back((Instant::now() + LINGER, topic));
            } else if !self.layer.is_joinable(&topic) {
                self.follower.joined([topic]);
            } else if !self.groups.contains_key(&topic) {
                self.count += 1;
                let channel = format!("{}g{}", self.queue, self.count);
                self.channels.insert(channel.clone(), topic.clone());
                self.groups.insert(topic.clone(), channel);
                self.pending.insert(topic);
            }
        }
    }

    /// Joins what is pending; what fails stays so.
    async fn join(&mut self) {
        for host in 0..self.layer.hosts.len() {
            let hosts = self.layer.hosts.len();
            let here = |topic: &&Topic| names::host(topic.as_str(), hosts) == host;
            let here: Vec<_> = self.pending.iter().filter(here).cloned().collect();
            for topics in here.chunks(AT_ONCE) {
                let answers = match self.join_at(host, topics).await {
                    Ok(answers) => answers,
                    Err(failure) => {
                        self.layer.count_joins("failed", topics.len());
                        self.layer.complain(&failure);
                        break;
                    }
                };
                self.joined(host, topics.iter().zip(answers));
            }
        }
        self.layer
            .count_groups(self.groups.len() - self.pending.len());
    }

    /// A key that Redis will not change for us holds up nobody else.
    fn joined<'t>(
        &mut self,
        host: usize,
        answers: impl Iterator<Item = (&'t Topic, RedisResult<Value>)>,
    ) {
        let mut joined = Vec::new();
        for (topic, answer) in answers {
            match answer {
                Ok(_) => {
                    self.pending.remove(topic);
                    joined.push(topic.clone());
                }
                Err(error) => {
                    self.layer.count_joins("failed", 1);
                    self.layer.complain(&self.host(host).failure(&error));
                }
            }
        }
        self.layer.count_joins("joined", joined.len());
        self.follower.joined(joined);
    }

    /// Asks for all, and gives the answer to each.
    async fn join_at(
        &self,
        host: usize,
        topics: &[Topic],
    ) -> Result<Vec<RedisResult<Value>>, Failure> {
        let settings = &self.layer.settings;
        let (mut pipeline, now) = (pipe(), now());
        pipeline.ignore_errors();
        for topic in topics {
            let key = names::group_key(&settings.prefix, topic.as_str());
            let channel = self.groups.get(topic);
            let add = pipeline.cmd("ZADD").arg(&key).arg(now);
            add.arg(channel);
            let expire = pipeline.cmd("EXPIRE").arg(&key);
            expire.arg(settings.group_expiry.as_secs()).ignore();
        }
        self.host(host).pipeline(&pipeline).await
    }

    /// There is always one.
    fn host(&self, host: usize) -> &Arc<Redis> {
        let first = &self.layer.hosts[0];
        self.layer.hosts.get(host).unwrap_or(first)
    }

    /// The server may have lost all it knew.
    fn join_again(&mut self) {
        let again = self.groups.len() - self.pending.len();
        self.layer.count_joins("rejoined", again);
        self.follower.lost(self.groups.keys());
        self.pending.extend(self.groups.keys().cloned());
    }

    /// What has to be done from time to time.
    async fn tend(&mut self) {
        let due = |(at, _): &(Instant, Topic)| *at <= Instant::now();
        let mut left = Vec::new();
        while self.leaving.front().is_some_and(due) {
            let Some((_, topic)) = self.leaving.pop_front() else {
                break;
            };
            // From now on a new listener joins anew, and waits for that.
            if self.follower.leave(&topic) {
                left.push(topic);
            }
        }
        self.leave(left).await;
        if self.refreshed.elapsed() >= self.layer.settings.group_expiry / 3 {
            self.refreshed = Instant::now();
            self.pending.extend(self.groups.keys().cloned());
        }
        if let Err(failure) = self.look().await {
            self.layer.complain(&failure);
        }
    }

    /// Whether the server still knows us, and how full our queue is.
    async fn look(&mut self) -> Result<(), Failure> {
        let hosts = self.layer.hosts.len();
        let mut depth = cmd("ZCARD");
        depth.arg(&self.key);
        let depth = self.host(0).command(&depth).await?;
        self.layer.depth(depth, &mut self.alarm);
        let looked_at = self.next_to_look_at();
        for host in 0..hosts {
            let mut pipeline = pipe();
            let mut asked = false;
            for (topic, channel) in &looked_at {
                if names::host(topic.as_str(), hosts) == host && !self.pending.contains(topic) {
                    let key = names::group_key(&self.layer.settings.prefix, topic.as_str());
                    pipeline.cmd("ZSCORE").arg(key).arg(channel);
                    asked = true;
                }
            }
            if !asked {
                continue;
            }
            let scores: Vec<Option<f64>> = self.host(host).pipeline(&pipeline).await?;
            if scores.contains(&None) {
                warn!(
                    "Redis has forgotten that we are in groups of the channel layer; joining them again"
                );
                self.join_again();
                return Ok(());
            }
        }
        Ok(())
    }

    /// The next groups after those that were looked at the last time.
    fn next_to_look_at(&mut self) -> Vec<(Topic, String)> {
        let after = self.looked_at.take();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let next = self.groups.range((from, Bound::Unbounded)).take(LOOKED_AT);
        let next: Vec<_> = next
            .map(|(topic, name)| (topic.clone(), name.clone()))
            .collect();
        self.looked_at = next.last().map(|(topic, _)| topic.clone());
        next
    }

    /// Leaves groups; what cannot be left now is left when its membership expires.
    async fn leave(&mut self, topics: Vec<Topic>) {
        let mut left = Vec::new();
        for topic in topics {
            self.pending.remove(&topic);
            if let Some(channel) = self.groups.remove(&topic) {
                self.channels.remove(&channel);
                left.push((topic, channel));
            }
        }
        self.remove(&left).await;
        self.layer
            .count_groups(self.groups.len() - self.pending.len());
    }

    async fn leave_all(&mut self) {
        let all: Vec<_> = std::mem::take(&mut self.groups).into_iter().collect();
        self.remove(&all).await;
        self.layer.count_groups(0);
    }

    async fn remove(&self, groups: &[(Topic, String)]) {
        let hosts = self.layer.hosts.len();
        for host in 0..hosts {
            let here = |(topic, _): &&(Topic, String)| names::host(topic.as_str(), hosts) == host;
            let here: Vec<_> = groups.iter().filter(here).collect();
            for chunk in here.chunks(AT_ONCE) {
                let mut pipeline = pipe();
                for (topic, channel) in chunk {
                    let key = names::group_key(&self.layer.settings.prefix, topic.as_str());
                    pipeline.cmd("ZREM").arg(key).arg(channel).ignore();
                }
                match self.host(host).pipeline::<()>(&pipeline).await {
                    Ok(()) => self.layer.count_joins("left", chunk.len()),
                    // They expire there; other hosts may answer.
                    Err(failure) => {
                        self.layer.complain(&failure);
                        break;
                    }
                }
            }
        }
    }
}

impl ChannelLayer {
    /// A name for our queue, in which people recognise us. It lies on the first host, so that all Outriggers read the
    /// same score of one sending.
    fn new_queue(&self) -> String {
        loop {
            let mut random = [0; 16];
            // Without randomness the process would not have come so far.
            rand::fill(&mut random).unwrap_or_default();
            let queue = format!("specific.outrigger{:032x}!", u128::from_be_bytes(random));
            if names::host(&queue, self.hosts.len()) == 0 {
                return queue;
            }
        }
    }

    /// Whether a topic can be a group; one that cannot is named in the log.
    pub(super) fn is_joinable(&self, topic: &Topic) -> bool {
        if names::is_group(topic.as_str()) {
            return true;
        }
        self.count_joins("not_a_group", 1);
        if self.state().refuse(topic) {
            warn!(%topic, "This topic cannot be the name of a group (letters, digits, `-`, `_` and `.`, fewer than 100): it hears nothing from the channel layer");
        }
        false
    }
}
