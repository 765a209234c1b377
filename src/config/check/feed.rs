//! `[feed.memory]`, `[feed.disk]` and `[feed.redis]`: how much is remembered, and where.

use std::{ops::Range, time::Duration};

use toml::Spanned;

use super::{
    super::{raw, value::Count},
    Check,
    redis::of_feed,
};
use crate::feed::{Disk, Kept, Redis, Settings};

/// For how long, where nothing is said.
const KEEP: Duration = Duration::from_secs(600);
/// Bytes in memory, where nothing is said.
const MEMORY: usize = 64 << 20;

pub(super) fn feed(check: &mut Check<'_>, raw: &raw::Feed) -> Settings {
    one_place(check, raw);
    let bounds = match (&raw.disk, &raw.redis) {
        (Some(disk), _) => on_disk(check, disk),
        (_, Some(redis)) => on_redis(check, redis),
        _ => None,
    };
    bounds.unwrap_or_else(|| in_memory(raw.memory.as_ref().map(Spanned::get_ref)))
}

fn one_place(check: &mut Check<'_>, raw: &raw::Feed) {
    let places = [
        raw.memory.as_ref().map(Spanned::span),
        raw.disk.as_ref().map(Spanned::span),
        raw.redis.as_ref().map(Spanned::span),
    ];
    let places: Vec<Range<usize>> = places.into_iter().flatten().collect();
    if let [_, other, ..] = &places[..] {
        let help = "leave one of [feed.memory], [feed.disk] and [feed.redis]";
        check.error(other.clone(), "the feed is kept in one place only", help);
    }
}

fn in_memory(raw: Option<&raw::Memory>) -> Settings {
    let bytes = raw.and_then(|raw| raw.max_bytes);
    Settings::memory(
        raw.and_then(|raw| raw.keep).map_or(KEEP, |wait| wait.0),
        raw.and_then(|raw| raw.max_events)
            .map_or(100_000, Count::get),
        bytes.map_or(MEMORY, |size| size.0),
    )
}

fn on_disk(check: &mut Check<'_>, raw: &Spanned<raw::DiskFeed>) -> Option<Settings> {
    let (span, raw) = (raw.span(), raw.get_ref());
    let Some(path) = &raw.path else {
        let help = "add path = \"outrigger.feed\", a folder that it may make";
        check.error(span, "the feed on disk has no path", help);
        return None;
    };
    Some(Settings {
        keep: raw.keep.map_or(KEEP, |wait| wait.0),
        max_events: raw.max_events.map_or(1_000_000, Count::get),
        max_bytes: raw.max_bytes.map_or(1 << 30, |size| size.0),
        memory: raw.memory.map_or(MEMORY, |size| size.0),
        kept: Kept::Disk(Disk {
            path: check.absolute(path.get_ref()),
        }),
    })
}

fn on_redis(check: &mut Check<'_>, redis: &Spanned<raw::RedisFeed>) -> Option<Settings> {
    let server = of_feed(check, redis)?;
    let raw = redis.get_ref();
    let prefix = raw.prefix.as_ref();
    Some(Settings {
        keep: raw.keep.map_or(KEEP, |wait| wait.0),
        max_events: raw.max_events.map_or(1_000_000, Count::get),
        max_bytes: usize::MAX,
        memory: raw.memory.map_or(MEMORY, |size| size.0),
        kept: Kept::Redis(Redis {
            server,
            prefix: prefix
                .map_or("outrigger", |prefix| prefix.get_ref())
                .to_owned(),
        }),
    })
}
