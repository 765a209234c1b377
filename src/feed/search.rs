//! Finding one entry for who asks about it later, and reading along in the order in
//! which entries came. Neither is in the way of those who deliver.

use std::{sync::Arc, time::SystemTime};

use tokio::task::consume_budget;

use super::{Feed, Page};
use crate::event::{Entry, EventId, Offset, Position};

/// Entries read from the store at a time.
const PAGE: usize = 512;

/// What became of a search.
#[derive(Clone, Debug)]
pub enum Sought {
    /// Here it is.
    Found(Arc<Entry>),
    /// The feed remembers nothing that old: the oldest it remembers, and since when.
    Forgotten(Option<Arc<Entry>>),
    /// The feed has forgotten nothing, and this is not in it.
    NeverSeen,
    /// No such id among what is remembered. Before that, the oldest, nobody knows.
    NotSince(Arc<Entry>),
    /// The position is of another life of the feed.
    OtherLife,
}

/// Some entries in their order, as they are counted since the feed was opened.
#[derive(Debug)]
pub struct Stretch {
    /// The number of the first of them; greater than asked for if some are gone.
    pub first: u64,
    /// They.
    pub entries: Vec<Arc<Entry>>,
    /// The number of the next one that will be accepted.
    pub next: u64,
}

impl Feed {
    /// The entry of an id, or of a position's text, wherever it is kept. Waits as long
    /// as the store cannot tell.
    pub async fn search(&self, text: &str) -> Sought {
        let id = EventId::from(text);
        if let Some(entry) = self.find(&id) {
            return Sought::Found(entry);
        }
        match text.parse::<Position>() {
            Ok(position) => self.look_at(position).await,
            Err(_) => self.look_for(&id).await,
        }
    }

    async fn look_at(&self, position: Position) -> Sought {
        let Some(offset) = self.place(position) else {
            return Sought::OtherLife;
        };
        if offset > self.head().offset {
            return Sought::NeverSeen;
        }
        match self.after(before(offset), 1).await {
            Page::Entries { entries, .. } => match entries.into_iter().next() {
                Some(entry) if entry.position.offset == offset => Sought::Found(entry),
                Some(_) | None => Sought::NeverSeen,
            },
            Page::Lost { oldest } => Sought::Forgotten(self.first_after(oldest).await),
        }
    }

    /// Looks through all that is kept, oldest first.
    async fn look_for(&self, id: &EventId) -> Sought {
        let (mut cursor, mut oldest) = (Offset::ZERO, None);
        loop {
            match self.after(cursor, PAGE).await {
                Page::Entries { entries, .. } if entries.is_empty() => break,
                Page::Entries { entries, reached } => {
                    if let Some(entry) = entries.iter().find(|entry| entry.event.id == *id) {
                        return Sought::Found(entry.clone());
                    }
                    cursor = reached;
                }
                Page::Lost { oldest: floor } => {
                    oldest = Some(floor);
                    cursor = cursor.max(floor);
                }
            }
            consume_budget().await;
        }
        match oldest {
            None => Sought::NeverSeen,
            Some(floor) => match self.first_after(floor).await {
                Some(entry) => Sought::NotSince(entry),
                None => Sought::Forgotten(None),
            },
        }
    }

    async fn first_after(&self, cursor: Offset) -> Option<Arc<Entry>> {
        match self.after(cursor, 1).await {
            Page::Entries { entries, .. } => entries.into_iter().next(),
            Page::Lost { .. } => None,
        }
    }

    /// The number of the first entry after a place, among those that memory holds.
    pub fn number_after(&self, cursor: Offset) -> u64 {
        self.recent.lock().number_after(cursor)
    }

    /// At most `limit` of the entries in memory, from a number on.
    pub fn stretch(&self, from: u64, limit: usize) -> Stretch {
        self.recent.lock().stretch(from, limit)
    }

    /// When the newest entry in memory was accepted.
    pub fn last_accepted(&self) -> Option<SystemTime> {
        self.recent.lock().newest().map(|entry| entry.at)
    }

    /// How many entries in memory stand after a place, and when the first of them was
    /// accepted.
    pub fn backlog(&self, cursor: Offset) -> (u64, Option<SystemTime>) {
        let window = self.recent.lock();
        let Stretch {
            first,
            entries,
            next,
        } = window.stretch(window.number_after(cursor), 1);
        (next - first, entries.first().map(|entry| entry.at))
    }
}

/// The place just before another one.
fn before(Offset(major, minor): Offset) -> Offset {
    match minor.checked_sub(1) {
        Some(minor) => Offset(major, minor),
        None => Offset(major.saturating_sub(1), u64::MAX),
    }
}
