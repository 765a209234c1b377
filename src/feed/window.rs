//! The newest entries, in memory: all that stands after a floor.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::{Page, Stretch, Unavailable};
use crate::event::{Entry, Event, EventId, Offset};

/// What an entry costs besides its payload, roughly: the struct, its topics, its id.
pub(super) const ENTRY_COST: usize = 400;

/// Entries in the order of their offsets, and the ids that are among them.
#[derive(Debug, Default)]
pub(super) struct Window {
    entries: VecDeque<Arc<Entry>>,
    ids: HashMap<EventId, Offset>,
    /// Everything that stands after this and up to the head is here.
    floor: Offset,
    head: Offset,
    bytes: usize,
    /// How many were here and are gone.
    gone: u64,
    /// Up to here entries have been handed out, and how much has not.
    handed_out: Offset,
    pub(super) waiting: Amount,
}

/// So many entries of so many bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) events: usize,
    pub(super) bytes: usize,
}

/// What a window may hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) keep: Duration,
    pub(super) events: usize,
    pub(super) bytes: usize,
}

impl Window {
    /// Puts an entry at the end. Its offset is beyond the head.
    pub(super) fn push(&mut self, entry: Arc<Entry>) {
        self.head = entry.position.offset;
        self.ids.insert(entry.event.id.clone(), self.head);
        self.bytes += cost(&entry.event);
        self.waiting.events += 1;
        self.waiting.bytes += cost(&entry.event);
        self.entries.push_back(entry);
    }

    /// Begins at a place: nothing before it is here, or waits to be handed out.
    pub(super) fn begin(&mut self, at: Offset) {
        *self = Self {
            floor: at,
            head: at,
            gone: self.gone + self.entries.len() as u64,
            handed_out: at,
            ..Self::default()
        };
    }

    /// Up to here everything is known, and nothing more is here.
    pub(super) fn reach(&mut self, head: Offset) {
        self.head = self.head.max(head);
    }

    pub(super) fn head(&self) -> Offset {
        self.head
    }

    /// How many entries are here.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// What is here: after which place, how many entries, how many bytes.
    pub(super) fn extent(&self) -> (Offset, u64, u64) {
        (self.floor, self.entries.len() as u64, self.bytes as u64)
    }

    /// Where the entry of an id stands.
    pub(super) fn place(&self, id: &EventId) -> Option<Offset> {
        self.ids.get(id).copied()
    }

    /// The entry of an id.
    pub(super) fn find(&self, id: &EventId) -> Option<Arc<Entry>> {
        let offset = self.place(id)?;
        let at = self.index_after(offset).checked_sub(1)?;
        self.entries.get(at).cloned()
    }

    /// What stands after a cursor, if all of that is here.
    pub(super) fn after(&self, cursor: Offset, limit: usize) -> Page {
        if cursor < self.floor {
            return Page::Lost { oldest: self.floor };
        }
        let skip = self.index_after(cursor);
        let entries: Vec<_> = self
            .entries
            .iter()
            .skip(skip)
            .take(limit)
            .cloned()
            .collect();
        let reached = entries.last().map_or(cursor, |entry| entry.position.offset);
        Page::Entries { entries, reached }
    }

    /// Refuses what would push out entries that have not been handed out.
    pub(super) fn check_room(&self, bounds: Bounds, more: Amount) -> Result<(), Unavailable> {
        let waiting = self.waiting;
        let fits = waiting.events + more.events <= bounds.events
            && (waiting.bytes == 0 || waiting.bytes + more.bytes <= bounds.bytes);
        fits.then_some(()).ok_or(Unavailable {
            reason: "more comes in than can be handed out",
            retry_after: Duration::from_secs(1),
        })
    }

    /// Up to here entries have been handed out.
    pub(super) fn handed_out(&self) -> Offset {
        self.handed_out
    }

    /// Everything here has been handed out, and what comes stands after this.
    pub(super) fn skip_to(&mut self, begin: Offset) {
        self.hand_out(begin);
        self.head = self.head.max(begin);
    }

    /// The number of the first entry after a cursor: they are counted as they come.
    pub(super) fn number_after(&self, cursor: Offset) -> u64 {
        self.gone + self.index_after(cursor) as u64
    }

    /// At most so many entries from a number on.
    pub(super) fn stretch(&self, from: u64, limit: usize) -> Stretch {
        let next = self.gone + self.entries.len() as u64;
        let first = from.clamp(self.gone, next);
        let skip = usize::try_from(first - self.gone).unwrap_or(usize::MAX);
        let entries = self.entries.iter().skip(skip).take(limit);
        Stretch {
            first,
            entries: entries.cloned().collect(),
            next,
        }
    }

    /// The newest entry.
    pub(super) fn newest(&self) -> Option<&Arc<Entry>> {
        self.entries.back()
    }

    pub(super) fn hand_out(&mut self, offset: Offset) {
        let from = self.index_after(self.handed_out);
        let until = self.index_after(offset).max(from);
        for entry in self.entries.range(from..until) {
            self.waiting.events -= 1;
            self.waiting.bytes -= cost(&entry.event);
        }
        self.handed_out = self.handed_out.max(offset);
    }

    /// Forgets the oldest of what has been handed out, as far as the bounds ask for it.
    pub(super) fn trim(&mut self, bounds: Bounds, now: Instant) {
        while let Some(oldest) = self.entries.front() {
            if oldest.position.offset > self.handed_out {
                break;
            }
            let fits = self.entries.len() <= bounds.events && self.bytes <= bounds.bytes;
            if fits && now.duration_since(oldest.accepted) <= bounds.keep {
                break;
            }
            self.bytes -= cost(&oldest.event);
            self.floor = oldest.position.offset;
            self.ids.remove(&oldest.event.id);
            self.gone += 1;
            self.entries.pop_front();
        }
    }

    fn index_after(&self, cursor: Offset) -> usize {
        let stands = |entry: &Arc<Entry>| entry.position.offset <= cursor;
        self.entries.partition_point(stands)
    }
}

pub(super) fn cost(event: &Event) -> usize {
    ENTRY_COST + event.data.get().len()
}
