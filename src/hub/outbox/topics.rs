//! The topics that the session of an outbox hears, and heard before.

use std::sync::{Arc, MutexGuard, PoisonError};

use super::{
    super::{Subscriber, joined::Joined},
    Outbox,
};
use crate::event::{Offset, Topic};

impl Outbox {
    /// Whether all is known of the topics that were heard at a place of the feed.
    pub fn remembers_topics(&self, place: Offset) -> bool {
        self.joined().is_known(place)
    }

    /// The subscription in force.
    pub fn subscriber(&self) -> Option<Arc<Subscriber>> {
        self.joined().current.upgrade()
    }

    /// Whether one of the topics was heard at a place of the feed, `own` being what
    /// is heard where nothing changed.
    pub(in crate::hub) fn hears_any(&self, topics: &[Topic], place: Offset, own: &[Topic]) -> bool {
        let joined = self.joined();
        topics.iter().any(|topic| {
            let changed = joined.at(topic, place);
            changed.unwrap_or_else(|| own.contains(topic))
        })
    }

    /// Whether there are changes of topics to be settled.
    pub fn has_past(&self) -> bool {
        self.joined().has_past()
    }

    /// Nothing up to a place of the feed will be read again.
    pub fn settle(&self, until: Offset, own: &[Topic]) {
        self.joined().settle(until, own);
    }

    /// The topics the session hears now, at most so many, and how many there are.
    pub fn topics(&self, limit: usize) -> (Vec<Topic>, usize) {
        let joined = self.joined();
        let Some(current) = joined.current.upgrade() else {
            return (Vec::new(), 0);
        };
        let own = current.topics.iter();
        let own = own.filter(|topic| joined.now(topic) != Some(false));
        let more = joined.members();
        let more = more.filter(|topic| !current.topics.contains(topic));
        let all: Vec<_> = own.chain(more).collect();
        (
            all.iter().take(limit).copied().cloned().collect(),
            all.len(),
        )
    }

    /// The app named these topics at connect: they are heard from an earlier place on.
    pub fn backdate(&self, topics: &[Topic], place: Offset) {
        self.joined().backdate(topics, place);
    }

    pub(in crate::hub) fn joined(&self) -> MutexGuard<'_, Joined> {
        self.joined.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
