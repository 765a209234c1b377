//! Sessions that come to hear topics, and cease to, while they live.
//!
//! What happens at a place of the feed happens between two entries: whoever changes
//! what a session hears holds the `place`, which the hub's task holds while it hands
//! out an entry. A question to the app about a session's topics is older than its
//! answer: what the feed said about a topic meanwhile counts, not the answer.

use std::sync::Arc;

use tracing::warn;

use super::{End, Hub, Outbox, Subscriber};
use crate::{
    event::{Entry, Offset, Topic},
    metrics::{Because, Moved, Shared},
    order::{Act, Order},
};

/// A session has as many topics as its endpoint allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more than {0} topics (limits.max_topics)")]
pub struct TooManyTopics(pub usize);

/// A question to the app about a session's topics that is being asked.
#[derive(Debug)]
pub struct Question {
    outbox: Arc<Outbox>,
    since: Offset,
}

impl Drop for Question {
    fn drop(&mut self) {
        self.outbox.joined().asking -= 1;
    }
}

/// A topic of a session comes or goes, at a place.
struct Step<'a> {
    topics: &'a [Topic],
    member: bool,
    at: Offset,
    cause: &'static str,
}

impl Hub {
    /// Marks that the app is asked for topics of a session, before it is.
    pub fn ask(&self, outbox: &Arc<Outbox>) -> Question {
        outbox.joined().asking += 1;
        Question {
            outbox: outbox.clone(),
            since: self.handed_out(),
        }
    }

    /// The session hears these topics from here on, but for those about which the
    /// feed has said something since the question.
    ///
    /// # Errors
    /// They would be too many; none is heard.
    pub async fn grant(
        &self,
        question: &Question,
        mut topics: Vec<Topic>,
        cause: &'static str,
    ) -> Result<(), TooManyTopics> {
        let _place = self.place.lock().await;
        let joined = question.outbox.joined();
        topics.retain(|topic| !joined.changed_after(topic, question.since));
        drop(joined);
        let step = Step {
            topics: &topics,
            member: true,
            at: self.handed_out(),
            cause,
        };
        self.step(&question.outbox, &step)
    }

    /// The same for a session that is about to begin: it hears them from the place on
    /// where it begins, which the client may have reached long ago. Topics about which
    /// the feed has said something since it is in the hub stay as they are.
    ///
    /// # Errors
    /// They would be too many; none is heard.
    pub async fn grant_since(
        &self,
        question: &Question,
        mut topics: Vec<Topic>,
        since: Offset,
    ) -> Result<(), TooManyTopics> {
        let _place = self.place.lock().await;
        let joined = question.outbox.joined();
        topics.retain(|topic| joined.now(topic).is_none());
        drop(joined);
        let step = Step {
            topics: &topics,
            member: true,
            at: since,
            cause: "connect",
        };
        self.step(&question.outbox, &step)
    }

    /// The session hears these topics no more.
    pub async fn withdraw(&self, outbox: &Outbox, topics: &[Topic], cause: &'static str) {
        let _place = self.place.lock().await;
        let step = Step {
            topics,
            member: false,
            at: self.handed_out(),
            cause,
        };
        // Only who comes can be one too many.
        self.step(outbox, &step).unwrap_or_default();
    }

    /// Does at the place of an entry what it says. Tells whether that concerned anybody.
    pub(super) fn obey(&self, entry: &Entry, order: &Order) -> bool {
        let sessions = self.meant(entry, order);
        for subscriber in &sessions {
            match &order.act {
                Act::Join(topics) => self.follow(entry, subscriber, topics, true),
                Act::Leave(topics) => self.follow(entry, subscriber, topics, false),
                Act::Disconnect(farewell) => {
                    let end = End::Asked(farewell.clone());
                    if subscriber.outbox.end(entry.position.offset, end) {
                        self.count_moved(subscriber, "disconnect", "event", 1);
                    }
                }
            }
        }
        !sessions.is_empty()
    }

    /// The sessions an order is for, each once. Who came after it is not meant, though it
    /// may be here when the order is handed out: the app let it in knowing better.
    fn meant(&self, entry: &Entry, order: &Order) -> Vec<Arc<Subscriber>> {
        let event = &entry.event;
        let mut found: Vec<Arc<Subscriber>> = Vec::new();
        let mut note = |subscriber: &Arc<Subscriber>| {
            let endpoint = &subscriber.endpoint.name;
            let fits = order.endpoint.as_ref().is_none_or(|only| only == endpoint);
            let newer = subscriber.outbox.is_newer_than(entry.position.offset);
            if fits && !newer && subscriber.hears(event) {
                found.push(subscriber.clone());
            }
        };
        for topic in &event.topics {
            self.topics.each(topic, &mut note);
        }
        if event.topics.is_empty() {
            for user in &event.users {
                self.users.each(user, &mut note);
            }
        }
        found.sort_unstable_by_key(|subscriber| subscriber.session);
        found.dedup_by_key(|subscriber| subscriber.session);
        found
    }

    fn follow(&self, entry: &Entry, subscriber: &Subscriber, topics: &[Topic], member: bool) {
        let step = Step {
            topics,
            member,
            at: entry.position.offset,
            cause: "event",
        };
        if let Err(too_many) = self.step(&subscriber.outbox, &step) {
            let endpoint = &subscriber.endpoint.name;
            Because::count(&self.metrics.memberships_refused, endpoint, "max_topics");
            warn!(%endpoint, session = %subscriber.session, reason = %too_many, "A session cannot join what it was told to");
        }
    }

    /// Changes what a session hears. One that has ended hears nothing.
    fn step(&self, outbox: &Outbox, step: &Step<'_>) -> Result<(), TooManyTopics> {
        let mut joined = outbox.joined();
        let Some(current) = joined.current.upgrade() else {
            return Ok(());
        };
        let max = current.endpoint.limits.max_topics;
        if step.member && joined.members_with(step.topics.iter()) > max {
            return Err(TooManyTopics(max));
        }
        let mut moved = Vec::new();
        for topic in step.topics {
            let now = joined.now(topic);
            let heard = now.unwrap_or_else(|| current.topics.contains(topic));
            // While the app is asked, its answer must not bring back what has left.
            if heard != step.member {
                moved.push(topic);
            } else if joined.asking == 0 {
                continue;
            }
            joined.record(topic, step.at, step.member);
        }
        let by = moved.len();
        match step.member {
            true => self.subscribe(moved.into_iter(), &current),
            false => self.unsubscribe(moved.into_iter(), current.session),
        }
        let overfull = joined.is_overfull();
        let past = joined.has_past();
        drop(joined);
        if past {
            outbox.nudge();
        }
        if overfull {
            outbox.end(step.at, End::TooManyChanges);
        }
        let change = if step.member { "join" } else { "leave" };
        self.count_moved(&current, change, step.cause, by);
        Ok(())
    }

    fn count_moved(
        &self,
        subscriber: &Subscriber,
        change: &'static str,
        cause: &'static str,
        by: usize,
    ) {
        let endpoint = Shared(subscriber.endpoint.name.clone());
        let labels = Moved {
            endpoint,
            change,
            cause,
        };
        self.metrics
            .memberships
            .get_or_create(&labels)
            .inc_by(by as u64);
    }
}
