//! The files of the log, oldest first, as the owner and the readers share them.

use std::{
    collections::{HashMap, VecDeque},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::time::Instant;

use super::super::{Settings, Status};
use crate::event::Offset;

/// Every so many bytes of a segment its index has a place from which it can be read.
const STRIDE: u64 = 64 << 10;
/// So many segments make up a full log.
const SHARE: usize = 16;
/// Even of a small log.
const LEAST: u64 = 1 << 20;
/// Even of a large one: this much is read at once when the log is opened.
const MOST: u64 = 64 << 20;

/// One file.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) path: PathBuf,
    /// The last event before it.
    pub(super) after: Offset,
    /// Its last event, or that before it.
    pub(super) last: Offset,
    /// Up to here it is good.
    pub(super) length: u64,
    pub(super) events: usize,
    pub(super) began: Instant,
    /// When its last event was accepted.
    pub(super) newest: Instant,
    index: Vec<(Offset, u64)>,
}

impl Segment {
    pub(super) fn new(path: PathBuf, after: Offset, began: Instant) -> Self {
        Self {
            path,
            after,
            last: after,
            length: 0,
            events: 0,
            began,
            newest: began,
            index: Vec::new(),
        }
    }

    /// Notes an event that stands at a place.
    pub(super) fn note(&mut self, offset: Offset, place: u64) {
        self.last = offset;
        self.events += 1;
        let due = self.index.last().map_or(0, |(_, last)| last + STRIDE);
        if place >= due {
            self.index.push((offset, place));
        }
    }

    /// From where on what stands after a cursor is read.
    pub(super) fn place(&self, cursor: Offset) -> u64 {
        let before = self.index.partition_point(|(offset, _)| *offset <= cursor);
        let at = before.checked_sub(1).and_then(|at| self.index.get(at));
        at.map_or(0, |(_, place)| *place)
    }
}

/// What a file is called whose first event has an offset.
pub(super) fn name(folder: &Path, first: Offset) -> PathBuf {
    folder.join(format!("{:010}-{:020}.log", first.0, first.1))
}

/// How much is kept, and how much of it a segment has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    keep: Duration,
    events: usize,
    bytes: u64,
}

impl Limits {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            keep: settings.keep,
            events: settings.max_events,
            bytes: settings.max_bytes as u64,
        }
    }

    /// Whether the next event belongs into a new segment.
    pub(super) fn is_full(&self, segment: &Segment, now: Instant) -> bool {
        let share = (self.bytes / SHARE as u64).clamp(LEAST, MOST);
        let events = (self.events / SHARE).max(64);
        let age = now.duration_since(segment.began);
        let is_old = age > (self.keep / 8).max(Duration::from_secs(1));
        segment.events > 0 && (segment.length >= share || segment.events >= events || is_old)
    }

    pub(super) fn is_over(&self, segment: &Segment, now: Instant) -> bool {
        now.duration_since(segment.newest) > self.keep
    }
}

/// What the owner writes and others look at.
#[derive(Debug)]
pub(super) struct Shared {
    log: Mutex<Log>,
}

/// The segments, and what is known of the log as a whole.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) segments: VecDeque<Segment>,
    /// What stands after this can be read.
    pub(super) floor: Offset,
    pub(super) cursors: HashMap<Arc<str>, Arc<str>>,
    pub(super) last_error: Option<(String, SystemTime)>,
    pub(super) last_sync: Option<SystemTime>,
}

impl Shared {
    pub(super) fn new(log: Log) -> Arc<Self> {
        Arc::new(Self {
            log: Mutex::new(log),
        })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log {
    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.length).sum()
    }

    pub(super) fn events(&self) -> usize {
        self.segments.iter().map(|segment| segment.events).sum()
    }

    /// Takes out the oldest segment if it is no longer wanted and has been handed out.
    /// The newest stays: it tells what has been there.
    pub(super) fn pop(
        &mut self,
        limits: &Limits,
        handed_out: Offset,
        now: Instant,
    ) -> Option<Segment> {
        let [events, bytes] = [self.events() as u64, self.bytes()];
        let oldest = self.segments.front()?;
        let is_over = limits.is_over(oldest, now)
            || events - oldest.events as u64 >= limits.events as u64
            || bytes - oldest.length >= limits.bytes;
        if !is_over || self.segments.len() < 2 || oldest.last > handed_out {
            return None;
        }
        self.floor = oldest.last;
        self.segments.pop_front()
    }

    pub(super) fn describe(&self, status: &mut Status) {
        status.floor = self.floor;
        status.events = self.events() as u64;
        status.bytes = self.bytes();
        status.segments = self.segments.len();
        status.last_error.clone_from(&self.last_error);
        status.last_sync = self.last_sync;
    }
}

/// A moment of the wall clock on this process's clock: at the latest now.
pub(super) fn instant(at: SystemTime) -> Instant {
    let now = Instant::now();
    let age = SystemTime::now().duration_since(at).unwrap_or_default();
    // A machine that was started after that moment cannot say it.
    now.checked_sub(age).unwrap_or(now)
}

/// Unix milliseconds as a moment.
pub(super) fn moment(at: u64) -> SystemTime {
    UNIX_EPOCH
        .checked_add(Duration::from_millis(at))
        .unwrap_or(UNIX_EPOCH)
}
