//! The ordered, bounded, replayable log of events. Sources append, the hub
//! tails, sessions that fell behind read again. It never waits for a reader.

mod memory;

use std::{sync::Arc, time::Duration};

use crate::event::{Entry, Offset, Position};

pub use memory::Feed;

/// How much the feed remembers. Whatever is reached first trims the oldest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// For how long.
    pub keep: Duration,
    /// How many events.
    pub max_events: usize,
    /// How many bytes of payload.
    pub max_bytes: usize,
}

/// What became of an appended event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// It is in the feed, here.
    Accepted(Position),
    /// Its id is in the feed already, here; nothing was added.
    Duplicate(Position),
}

/// The feed takes nothing at the moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the feed takes no events now: {reason}; try again in {retry_after:?}")]
pub struct Unavailable {
    /// Why.
    pub reason: &'static str,
    /// When to try again.
    pub retry_after: Duration,
}

/// A stretch of the feed.
#[derive(Clone, Debug)]
pub enum Page {
    /// What stands after the cursor, in order.
    Entries {
        /// The entries; none if the cursor is at the head.
        entries: Vec<Arc<Entry>>,
        /// Where to read on: the last entry's offset, or the cursor.
        reached: Offset,
    },
    /// Something after the cursor is no longer remembered.
    Lost {
        /// The first cursor from which the rest can be read.
        oldest: Offset,
    },
}
