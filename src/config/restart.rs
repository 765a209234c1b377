//! What a running process cannot take up.

use super::Settings;
use crate::feed::{Kept, Settings as Feed};

/// The keys that differ and that only a restart brings into force. All others are live.
pub fn needs_restart(old: &Settings, new: &Settings) -> Vec<&'static str> {
    let admin = |settings: &Settings| settings.admin.as_ref().map(|admin| admin.address);
    let differs = [
        ("listen.address", old.listen.address != new.listen.address),
        ("admin.address", admin(old) != admin(new)),
        ("log.format", old.log.json != new.log.json),
        ("log.level", old.log.filter != new.log.filter),
        ("log.access", old.log.access != new.log.access),
    ];
    let differs = differs.into_iter().chain(feed(&old.feed, &new.feed));
    let differs = differs.filter(|(_, differs)| *differs);
    differs.map(|(key, _)| key).collect()
}

/// The same of the feed: another place, or other bounds in the same one.
fn feed(old: &Feed, new: &Feed) -> [(&'static str, bool); 5] {
    let [keep, events, bytes, memory] = match &new.kept {
        Kept::Memory => [
            "feed.memory.keep",
            "feed.memory.max_events",
            "feed.memory.max_bytes",
            "feed.memory",
        ],
        Kept::Disk(_) => [
            "feed.disk.keep",
            "feed.disk.max_events",
            "feed.disk.max_bytes",
            "feed.disk.memory",
        ],
        Kept::Redis(_) => [
            "feed.redis.keep",
            "feed.redis.max_events",
            "feed.redis",
            "feed.redis.memory",
        ],
    };
    let same_place = old.kept == new.kept;
    // In memory the bytes of the feed are the bytes in memory.
    let is_stored = new.kept != Kept::Memory;
    [
        ("feed", !same_place),
        (keep, same_place && old.keep != new.keep),
        (events, same_place && old.max_events != new.max_events),
        (bytes, same_place && old.max_bytes != new.max_bytes),
        (memory, same_place && is_stored && old.memory != new.memory),
    ]
}
