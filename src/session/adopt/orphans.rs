//! The places of sessions that died: for a time, and not more than so many.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use tokio::time::Instant;

use super::Key;
use crate::{
    event::{Offset, Position},
    hub::Subscriber,
};

/// Orphans kept at most: as many as there are connections by default.
const MAX: usize = 20_000;
/// Rules kept of an orphan whose adopters died again and again.
const MAX_PAST: usize = 16;

/// By whose rules the entries are read that came before the one who adopts.
#[derive(Clone, Debug, Default)]
pub(in crate::session) struct Past {
    /// Oldest first, and up to where in the feed each holds.
    pub(in crate::session) rules: VecDeque<(Offset, Arc<Subscriber>)>,
    /// The table of the last of them.
    pub(in crate::session) generation: u64,
}

impl Past {
    /// Rules, those of a session that ends here last.
    pub(in crate::session) fn until(
        mut rules: VecDeque<(Offset, Arc<Subscriber>)>,
        here: Offset,
        last: Arc<Subscriber>,
        generation: u64,
    ) -> Self {
        while rules.len() >= MAX_PAST {
            rules.pop_front();
        }
        rules.push_back((here, last));
        Self { rules, generation }
    }
}

/// What a session leaves that died.
#[derive(Debug)]
pub(super) struct Orphan {
    /// Its client has everything up to here.
    pub(super) at: Position,
    past: Past,
    end: End,
}

impl Orphan {
    pub(super) fn past(&self) -> Past {
        self.past.clone()
    }
}

/// When an orphan's window is over; no two are alike.
type End = (Instant, u64);

/// All of them.
#[derive(Debug)]
pub(super) struct Orphans {
    by_key: HashMap<Key, Vec<Orphan>>,
    ends: BTreeMap<End, Key>,
    next: u64,
    max: usize,
}

impl Default for Orphans {
    fn default() -> Self {
        Self {
            by_key: HashMap::new(),
            ends: BTreeMap::new(),
            next: 0,
            max: MAX,
        }
    }
}

impl Orphans {
    /// Adds one. Where there are too many, the one whose window ends first has to go.
    pub(super) fn add(
        &mut self,
        key: &Key,
        (at, past): (Position, Past),
        until: Instant,
    ) -> Option<Key> {
        self.next += 1;
        let end = (until, self.next);
        self.ends.insert(end, key.clone());
        let orphans = self.by_key.entry(key.clone()).or_default();
        orphans.push(Orphan { at, past, end });
        let (first, _) = self
            .ends
            .first_key_value()
            .filter(|_| self.ends.len() > self.max)?;
        self.remove(*first)
    }

    /// Those of a key.
    pub(super) fn of(&self, key: &Key) -> &[Orphan] {
        self.by_key.get(key).map_or(&[], |orphans| orphans)
    }

    /// Takes one of a key away.
    pub(super) fn take(&mut self, key: &Key, index: usize) {
        if let Some(orphan) = self.of(key).get(index) {
            self.remove(orphan.end);
        }
    }

    /// Forgets those whose window is over; says whose they were.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<Key> {
        let mut expired = Vec::new();
        while let Some((end, _)) = self.ends.first_key_value().filter(|(end, _)| end.0 <= now) {
            expired.extend(self.remove(*end));
        }
        expired
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    fn remove(&mut self, end: End) -> Option<Key> {
        let key = self.ends.remove(&end)?;
        if let Some(orphans) = self.by_key.get_mut(&key) {
            orphans.retain(|orphan| orphan.end != end);
            if orphans.is_empty() {
                self.by_key.remove(&key);
            }
        }
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Duration;

    use super::*;

    fn key(user: &str) -> Key {
        Key {
            endpoint: "news".into(),
            params: "[]".into(),
            user: user.into(),
        }
    }

    fn left() -> (Position, Past) {
        let offset = Offset::ZERO;
        (Position { epoch: 1, offset }, Past::default())
    }

    #[tokio::test(start_paused = true)]
    async fn an_orphan_lasts_for_its_window() {
        let (mut orphans, now) = (Orphans::default(), Instant::now());
        orphans.add(&key("1"), left(), now + Duration::from_secs(2));
        orphans.add(&key("2"), left(), now + Duration::from_secs(1));
        assert_eq!(orphans.expire(now), []);
        assert_eq!(orphans.expire(now + Duration::from_secs(1)), [key("2")]);
        assert_eq!((orphans.of(&key("1")).len(), orphans.len()), (1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn where_there_are_too_many_the_oldest_goes() {
        let mut orphans = Orphans {
            max: 2,
            ..Orphans::default()
        };
        let until = Instant::now();
        let dropped: Vec<_> = ["1", "2", "3", "4"]
            .map(|user| orphans.add(&key(user), left(), until))
            .into();
        assert_eq!(dropped, [None, None, Some(key("1")), Some(key("2"))]);
        orphans.take(&key("4"), 0);
        assert_eq!((orphans.of(&key("4")).len(), orphans.len()), (0, 1));
    }
}
