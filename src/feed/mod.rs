//! The ordered, bounded, replayable log of events. Sources append, the hub
//! tails, sessions that fell behind read again. It never waits for a reader.

mod memory;

use std::time::Duration;

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
