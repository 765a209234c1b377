//! Which topics somebody listens to, and which of them a source has joined.
//!
//! The hub counts listeners in and out; a source that has to join what it is to hear
//! attaches and follows. A session waits, within a limit, until its topics are joined.
//! Nothing here knows how a topic is joined, or whether anybody does it.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, time::timeout};
use tracing::warn;

use crate::{
    event::Topic,
    metrics::{Ended, Metrics},
};

/// A handshake waits for its topics at most so long: a feed without one source is better
/// than no socket.
const PATIENCE: Duration = Duration::from_secs(1);

/// Listeners by topic.
#[derive(Debug)]
pub struct Demand {
    state: Mutex<State>,
    /// Somebody began or ceased to listen.
    changes: watch::Sender<()>,
    /// Something was joined, or the source has changed.
    joins: watch::Sender<()>,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct State {
    listeners: HashMap<Topic, usize>,
    /// What began or ceased since the source has looked.
    changed: HashSet<Topic>,
    /// Counts the sources that have followed; one at a time.
    source: u64,
    attached: bool,
    joined: HashSet<Topic>,
}

/// A source that follows the demand, until the next one does or it is dropped.
#[derive(Debug)]
pub struct Follower {
    demand: Arc<Demand>,
    source: u64,
}

impl Demand {
    /// Nobody listens.
    pub fn new(metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            changes: watch::Sender::default(),
            joins: watch::Sender::default(),
            metrics,
        })
    }

    /// One more listens to each of these.
    pub fn add<'a>(&self, topics: impl IntoIterator<Item = &'a Topic>) {
        let mut state = self.lock();
        let mut new = false;
        for topic in topics {
            let count = state.listeners.entry(topic.clone()).or_default();
            *count += 1;
            if *count == 1 {
                new |= state.change(topic);
            }
        }
        drop(state);
        if new {
            self.changes.send_replace(());
        }
    }

    /// One less listens to each of these.
    pub fn remove<'a>(&self, topics: impl IntoIterator<Item = &'a Topic>) {
        let mut state = self.lock();
        let mut ended = false;
        for topic in topics {
            let Some(count) = state.listeners.get_mut(topic) else {
                continue;
            };
            *count -= 1;
            if *count == 0 {
                state.listeners.remove(topic);
                ended |= state.change(topic);
            }
        }
        drop(state);
        if ended {
            self.changes.send_replace(());
        }
    }

    /// Waits until the source, if there is one, has joined all of these; not for long.
    pub async fn joined(&self, topics: &[Topic]) {
        let mut joins = self.joins.subscribe();
        let all = async {
            while !self.lock().has_joined(topics) {
                if joins.changed().await.is_err() {
                    return;
                }
            }
        };
        if timeout(PATIENCE, all).await.is_err() {
            let labels = Ended { result: "late" };
            self.metrics
                .channel_layer_joins
                .get_or_create(&labels)
                .inc();
            warn!(?topics, waited = ?PATIENCE, "A session opens before its groups are joined; until then it hears nothing from the channel layer");
        }
    }

    /// A source is about to follow: who comes before it does waits for it already.
    pub fn expect_source(&self) {
        self.lock().attached = true;
    }

    /// A source follows from now on, in place of the one that did. All topics are
    /// new to it.
    pub fn follow(self: &Arc<Self>) -> Follower {
        let mut state = self.lock();
        state.source += 1;
        state.attached = true;
        state.joined.clear();
        state.changed = state.listeners.keys().cloned().collect();
        let source = state.source;
        drop(state);
        Follower {
            demand: self.clone(),
            source,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Notes a change for the source, if there is one.
    fn change(&mut self, topic: &Topic) -> bool {
        self.attached && self.changed.insert(topic.clone())
    }

    fn has_joined(&self, topics: &[Topic]) -> bool {
        // What nobody listens to any more is not joined either.
        let has =
            |topic: &Topic| self.joined.contains(topic) || !self.listeners.contains_key(topic);
        !self.attached || topics.iter().all(has)
    }
}

impl Follower {
    /// Tells when there is something to take; at once for the first time.
    pub fn changes(&self) -> watch::Receiver<()> {
        let mut changes = self.demand.changes.subscribe();
        changes.mark_changed();
        changes
    }

    /// What began (`true`) or ceased to be wanted since the last time.
    pub fn take(&self) -> Vec<(Topic, bool)> {
        let mut state = self.demand.lock();
        if state.source != self.source {
            return Vec::new();
        }
        let changed = std::mem::take(&mut state.changed);
        let wanted = |topic: Topic| {
            let wanted = state.listeners.contains_key(&topic);
            (topic, wanted)
        };
        changed.into_iter().map(wanted).collect()
    }

    /// These are joined, or there is no waiting for them.
    pub fn joined(&self, topics: impl IntoIterator<Item = Topic>) {
        let mut state = self.demand.lock();
        if state.source == self.source {
            state.joined.extend(topics);
            drop(state);
            self.demand.joins.send_replace(());
        }
    }

    /// Nobody listens to this one, so it is joined no more: whoever comes from now on
    /// waits. `false` if somebody listens again.
    pub fn leave(&self, topic: &Topic) -> bool {
        let mut state = self.demand.lock();
        if state.listeners.contains_key(topic) {
            return false;
        }
        if state.source == self.source {
            state.joined.remove(topic);
        }
        true
    }

    /// These are not joined any more: the server has lost them.
    pub fn lost<'a>(&self, topics: impl IntoIterator<Item = &'a Topic>) {
        let mut state = self.demand.lock();
        if state.source == self.source {
            for topic in topics {
                state.joined.remove(topic);
            }
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let mut state = self.demand.lock();
        if state.source == self.source {
            state.attached = false;
            state.joined.clear();
            state.changed.clear();
            drop(state);
            self.demand.joins.send_replace(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics(names: &[&str]) -> Vec<Topic> {
        names.iter().map(|name| Topic::from(*name)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_source_nobody_waits() {
        let demand = Demand::new(Metrics::new());
        let began = tokio::time::Instant::now();
        demand.joined(&topics(&["a"])).await;
        assert_eq!(began.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_is_expected_is_waited_for() {
        let demand = Demand::new(Metrics::new());
        demand.expect_source();
        let early = topics(&["early"]);
        demand.add(&early);
        let began = tokio::time::Instant::now();
        let source = async { demand.follow().joined(early.clone()) };
        tokio::join!(demand.joined(&early), source);
        assert_eq!(began.elapsed(), Duration::ZERO);
        assert!(!demand.lock().attached, "it has gone");
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_waits_for_all_its_topics_and_not_for_long() {
        let demand = Demand::new(Metrics::new());
        demand.add(&topics(&["a", "b"]));
        let follower = demand.follow();
        follower.joined(topics(&["a"]));
        let began = tokio::time::Instant::now();
        demand.joined(&topics(&["a", "nobody's"])).await;
        assert_eq!(began.elapsed(), Duration::ZERO);
        demand.joined(&topics(&["a", "b"])).await;
        assert_eq!(began.elapsed(), PATIENCE);
        let both = topics(&["a", "b"]);
        let join = async { follower.joined(topics(&["b"])) };
        tokio::join!(demand.joined(&both), join);
        assert_eq!(began.elapsed(), PATIENCE);
    }

    #[tokio::test]
    async fn the_first_and_the_last_listener_are_changes() {
        let demand = Demand::new(Metrics::new());
        demand.add(&topics(&["early"]));
        let follower = demand.follow();
        let mut changes = follower.changes();
        changes.changed().await.unwrap();
        assert_eq!(follower.take(), [("early".into(), true)]);
        demand.add(&topics(&["a"]));
        demand.add(&topics(&["a"]));
        changes.changed().await.unwrap();
        assert_eq!(follower.take(), [("a".into(), true)]);
        demand.remove(&topics(&["a"]));
        assert_eq!(follower.take(), []);
        demand.remove(&topics(&["a"]));
        changes.changed().await.unwrap();
        assert_eq!(follower.take(), [("a".into(), false)]);
    }

    #[tokio::test]
    async fn a_topic_is_left_only_while_nobody_listens() {
        let demand = Demand::new(Metrics::new());
        let follower = demand.follow();
        demand.add(&topics(&["a"]));
        follower.joined(topics(&["a", "b"]));
        assert!(!follower.leave(&"a".into()));
        assert!(demand.lock().has_joined(&topics(&["a"])));
        demand.remove(&topics(&["a"]));
        assert!(follower.leave(&"a".into()) && follower.leave(&"b".into()));
        assert!(demand.lock().joined.is_empty());
    }

    #[tokio::test]
    async fn topics_that_come_and_go_leave_nothing_behind() {
        let demand = Demand::new(Metrics::new());
        let follower = demand.follow();
        for n in 0..1000 {
            let one = [Topic::from(n.to_string())];
            demand.add(&one);
            follower.take();
            follower.joined(one.clone());
            demand.remove(&one);
            for (topic, _) in follower.take() {
                follower.leave(&topic);
            }
        }
        let state = demand.lock();
        let sizes = (
            state.listeners.len(),
            state.changed.len(),
            state.joined.len(),
        );
        assert_eq!(sizes, (0, 0, 0));
    }

    #[tokio::test]
    async fn the_next_source_takes_over() {
        let demand = Demand::new(Metrics::new());
        demand.add(&topics(&["a"]));
        let first = demand.follow();
        first.joined(topics(&["a"]));
        let second = demand.follow();
        assert!(!demand.lock().has_joined(&topics(&["a"])));
        first.joined(topics(&["a"]));
        drop(first);
        assert!(!demand.lock().has_joined(&topics(&["a"])));
        assert_eq!(second.take(), [("a".into(), true)]);
    }
}
