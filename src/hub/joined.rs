//! The topics a session came to have, or lost, since it was opened, and at which
//! place in the feed.
//!
//! Besides what is so now it remembers what was so as far back as the session may
//! still read the feed: each entry is heard by the membership of its own place. A
//! session without changes holds an empty list.

use std::sync::Weak;

use super::Subscriber;
use crate::event::{Offset, Topic};

/// Changes that one session may hold besides one for each topic it has.
const MAX_PAST: usize = 4096;

/// A topic came or went: this holds for entries after `at`.
#[derive(Clone, Debug)]
struct Change {
    topic: Topic,
    at: Offset,
    member: bool,
}

/// One session's own topics, besides those its endpoint gives it.
#[derive(Debug, Default)]
pub(super) struct Joined {
    /// The subscription in force; nobody's before it begins and after it ends.
    pub(super) current: Weak<Subscriber>,
    /// By topic, then by place.
    changes: Vec<Change>,
    /// How many topics it has now.
    members: usize,
    /// Whether some changes may be forgotten in time.
    past: bool,
    /// Up to here it may have heard what nothing is known of any more.
    forgotten: Offset,
    /// Questions to the app about its topics that are not answered.
    pub(super) asking: usize,
}

impl Joined {
    /// Whether entries at a place of the feed are heard by this topic; `None` if
    /// that never changed.
    pub(super) fn at(&self, topic: &Topic, place: Offset) -> Option<bool> {
        let before = self
            .changes
            .partition_point(|change| (&change.topic, change.at) < (topic, place));
        self.changes[..before]
            .last()
            .filter(|change| change.topic == *topic)
            .map(|change| change.member)
    }

    /// The last that happened to a topic, and where.
    fn last(&self, topic: &Topic) -> Option<&Change> {
        let end = self
            .changes
            .partition_point(|change| change.topic <= *topic);
        self.changes[..end]
            .last()
            .filter(|change| change.topic == *topic)
    }

    /// Whether the topic is heard now; `None` if that never changed.
    pub(super) fn now(&self, topic: &Topic) -> Option<bool> {
        self.last(topic).map(|change| change.member)
    }

    /// Whether anything happened to a topic after a place.
    pub(super) fn changed_after(&self, topic: &Topic, place: Offset) -> bool {
        self.last(topic).is_some_and(|change| change.at > place)
    }

    /// How many topics it would have with these.
    pub(super) fn members_with<'a>(&self, topics: impl Iterator<Item = &'a Topic>) -> usize {
        self.members + topics.filter(|topic| self.now(topic) != Some(true)).count()
    }

    /// Notes that a topic comes or goes. Places never run backwards.
    pub(super) fn record(&mut self, topic: &Topic, at: Offset, member: bool) {
        let was = self.now(topic) == Some(true);
        let end = self
            .changes
            .partition_point(|change| change.topic <= *topic);
        self.past |= !member;
        match end.checked_sub(1).map(|last| &mut self.changes[last]) {
            Some(last) if last.topic == *topic && last.at == at => last.member = member,
            last => {
                self.past |= last.is_some_and(|last| last.topic == *topic);
                let topic = topic.clone();
                self.changes.insert(end, Change { topic, at, member });
            }
        }
        match (was, member) {
            (false, true) => self.members += 1,
            (true, false) => self.members -= 1,
            _ => {}
        }
    }

    /// Topics that came when the session began came at an earlier place.
    pub(super) fn backdate(&mut self, topics: &[Topic], place: Offset) {
        for topic in topics {
            let first = self.changes.partition_point(|change| change.topic < *topic);
            let first = self.changes.get_mut(first);
            if let Some(change) = first.filter(|change| change.topic == *topic && change.member) {
                change.at = change.at.min(place);
            }
        }
    }

    /// Whether there is something that [`Self::settle`] may forget.
    pub(super) fn has_past(&self) -> bool {
        self.past
    }

    /// Whether it has to remember more than is good: the session does not keep up.
    pub(super) fn is_overfull(&self) -> bool {
        self.changes.len() > self.members + MAX_PAST
    }

    /// Forgets what mattered only for entries up to a place.
    pub(super) fn settle(&mut self, until: Offset, own: &[Topic]) {
        let asking = self.asking > 0;
        let (mut newer, mut past) = (None::<(Topic, Offset)>, false);
        let mut kept = Vec::with_capacity(self.members);
        for change in self.changes.drain(..).rev() {
            let newer = newer.replace((change.topic.clone(), change.at));
            let newer = newer.filter(|(topic, _)| *topic == change.topic);
            // Of what is read from now on, all stands after a newer change.
            let superseded = newer.as_ref().is_some_and(|(_, at)| *at <= until);
            // Without it the topic would not be heard either.
            let idle = newer.is_none()
                && !change.member
                && change.at <= until
                && !asking
                && !own.contains(&change.topic);
            if !superseded && !idle {
                past |= newer.is_some() || !change.member;
                kept.push(change);
            } else {
                let until = newer.map_or(change.at, |(_, at)| at);
                self.forgotten = self.forgotten.max(until);
            }
        }
        kept.reverse();
        self.changes = kept;
        self.past = past;
    }

    /// Whether all is known of what it heard at a place of the feed.
    pub(super) fn is_known(&self, place: Offset) -> bool {
        place > self.forgotten
    }

    /// What it hears now it heard after this place, too.
    pub(super) fn last_change(&self) -> Offset {
        let changes = self.changes.iter().map(|change| change.at);
        changes.fold(self.forgotten, Offset::max)
    }

    /// The topics it has now besides its own.
    pub(super) fn members(&self) -> impl Iterator<Item = &Topic> {
        self.now_by_topic()
            .filter(|change| change.member)
            .map(|change| &change.topic)
    }

    fn now_by_topic(&self) -> impl Iterator<Item = &Change> {
        let next = self.changes.iter().skip(1).map(Some);
        let pairs = self.changes.iter().zip(next.chain(std::iter::once(None)));
        pairs
            .filter(|(change, next)| next.is_none_or(|next| next.topic != change.topic))
            .map(|(change, _)| change)
    }
}
