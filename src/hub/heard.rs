//! What a session heard, as little as is needed to say that when it has ended.

use super::{Outbox, missed::Remembered};
use crate::event::{Offset, Topic};

/// What a session heard.
#[derive(Debug)]
pub struct Heard {
    /// At its end.
    topics: Box<[Topic]>,
    /// The same, for entries after this.
    since: Offset,
    /// What comes after this was not for it: the app had ended it.
    end: Option<Offset>,
    missed: Option<Box<Remembered>>,
}

impl Heard {
    /// Whether it heard one of the topics at a place of the feed; `None` if that is
    /// forgotten.
    pub fn hears_any(&self, topics: &[Topic], place: Offset) -> Option<bool> {
        let hears = |topic| self.topics.contains(topic);
        (place > self.since).then(|| topics.iter().any(hears))
    }

    /// Whether the app had ended it before a place of the feed.
    pub fn ended_before(&self, place: Offset) -> bool {
        self.end.is_some_and(|end| end < place)
    }

    /// Whether the ephemeral entry at a place was lost; `None` if that is forgotten.
    pub fn has_missed(&self, place: Offset) -> Option<bool> {
        let missed = self.missed.as_ref();
        missed.map_or(Some(false), |missed| missed.has(place))
    }
}

impl Outbox {
    /// What the session hears. Empty once it has left.
    pub fn heard(&self) -> Heard {
        let (topics, _) = self.topics(usize::MAX);
        Heard {
            topics: topics.into(),
            since: self.joined().last_change(),
            end: self.end_at(),
            missed: self.missed(),
        }
    }
}
