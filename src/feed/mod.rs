//! The ordered, bounded, replayable log of events. Sources append, the hub
//! tails, sessions that fell behind read again. It never waits for a reader.
//!
//! A `window` in memory holds the newest entries; behind it a `store` may hold
//! more, on this machine's disk or in a Redis that several nodes share. Whoever reads
//! asks the window first.

mod codec;
mod disk;
mod log;
mod marks;
pub mod places;
mod recent;
mod redis;
mod search;
mod store;
mod window;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use crate::event::{Entry, Event, Offset, Position};

pub use disk::Settings as Disk;
pub use log::Feed;
pub use marks::{Mark, Marks};
pub use redis::{Lease, Settings as Redis, Shared};
pub use search::{Sought, Stretch};

/// How much the feed remembers, and where. Whatever is reached first trims the oldest.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// For how long.
    pub keep: Duration,
    /// How many events.
    pub max_events: usize,
    /// How many bytes of payload.
    pub max_bytes: usize,
    /// How many bytes of them are held in memory, where there is a store besides.
    pub memory: usize,
    /// Where they are.
    pub kept: Kept,
}

/// Where the feed is kept.
#[derive(Clone, Debug, PartialEq)]
pub enum Kept {
    /// In memory: gone with the process.
    Memory,
    /// On this machine's disk.
    Disk(Disk),
    /// In a Redis Stream that several nodes share.
    Redis(Redis),
}

impl Settings {
    /// A feed in memory with these bounds.
    pub fn memory(keep: Duration, max_events: usize, max_bytes: usize) -> Self {
        Self {
            keep,
            max_events,
            max_bytes,
            memory: max_bytes,
            kept: Kept::Memory,
        }
    }
}

/// Why a feed cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("the feed cannot be opened: {0}")]
pub struct OpenError(pub String);

/// Events that are appended together, all of them or none.
#[derive(Clone, Debug)]
pub struct Batch {
    /// In their order.
    pub events: Vec<Event>,
    /// How far a source has come with them: its name, and its own word for that. It is
    /// kept with the feed, by a durable one in the same step as the events.
    pub cursor: Option<(Arc<str>, Arc<str>)>,
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

/// How a feed is, for whoever looks in.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// `memory`, `disk` or `redis`.
    pub store: &'static str,
    /// Which life of the feed.
    pub epoch: u64,
    /// Where the newest entry stands.
    pub head: Offset,
    /// What stands after this can be read.
    pub floor: Offset,
    /// How many events are kept, as far as that is known.
    pub events: u64,
    /// How many bytes they take.
    pub bytes: u64,
    /// In how many files they are, on disk.
    pub segments: usize,
    /// Whether the store can be reached.
    pub connected: bool,
    /// What the store could not do last, and when; gone as soon as it could again.
    pub last_error: Option<(String, SystemTime)>,
    /// When events were last made safe.
    pub last_sync: Option<SystemTime>,
}
