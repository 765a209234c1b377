//! The places of sessions that died: for a time, and not more than so many.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use tokio::time::{Duration, Instant};

use super::Key;
use crate::{
    event::{Offset, Position, SessionName},
    feed::Mark,
    hub::Subscriber,
};

/// Orphans kept at most: as many as there are connections by default.
const MAX: usize = 20_000;
/// A window that was read from a file is not longer than this.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// Rules kept of an orphan whose adopters died again and again.
const MAX_PAST: usize = 16;

/// Oldest first, and up to where in the feed each holds.
pub(in crate::session) type Rules = VecDeque<(Offset, Arc<Subscriber>)>;

/// By whose rules the entries are read that came before the one who adopts.
#[derive(Clone, Debug, Default)]
pub(in crate::session) struct Past {
    pub(in crate::session) rules: Rules,
    /// The table of the last of them.
    pub(in crate::session) generation: u64,
}

impl Past {
    /// Rules, those of a session that ends here last.
    pub(in crate::session) fn until(
        mut rules: Rules,
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

/// Whether the client of an orphan may have come back already, to a process that was
/// killed before it knew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    None,
    /// It may; nobody has begun there since.
    Raised,
    /// Somebody has begun there since. It is left for who comes while all others of its
    /// key say that they are there.
    Passed,
}

/// What a session leaves that died.
#[derive(Debug)]
pub(super) struct Left {
    /// Of which session.
    pub(super) name: SessionName,
    /// Its client has everything up to here.
    pub(super) at: Position,
    pub(super) past: Past,
    pub(super) doubt: Doubt,
}

/// When an orphan's window is over; no two are alike.
pub(super) type End = (Instant, u64);

/// All of them.
#[derive(Debug)]
pub(super) struct Orphans {
    by_key: HashMap<Key, Vec<(End, Left)>>,
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
        left: Left,
        until: Instant,
    ) -> Option<(Key, SessionName)> {
        self.next += 1;
        let end = (until, self.next);
        self.ends.insert(end, key.clone());
        let orphans = self.by_key.entry(key.clone()).or_default();
        orphans.push((end, left));
        let too_many = self.ends.len() > self.max;
        let (first, _) = self.ends.first_key_value().filter(|_| too_many)?;
        self.remove(*first)
    }

    /// Sessions of an earlier process: their clients have the whole window from now on.
    /// Gives those that are elsewhere now, or nowhere.
    pub(super) fn restore(
        &mut self,
        found: Vec<(SessionName, Mark)>,
    ) -> Vec<(SessionName, Option<Position>)> {
        let is_undecided = |(_, mark): &(_, Mark)| mark.undecided;
        let (undecided, decided): (Vec<_>, Vec<_>) = found.into_iter().partition(is_undecided);
        let mut changed = Vec::new();
        for (name, mark) in decided.into_iter().chain(undecided) {
            let window = mark.window.min(LONGEST);
            let is_undecided = mark.undecided;
            let (key, mut left) = found_as(name, mark);
            if is_undecided {
                let gone = self.settle(&key, &mut left);
                changed.extend(gone.into_iter().map(|name| (name, None)));
                changed.push((name, Some(left.at)));
            }
            let gone = self.add(&key, left, Instant::now() + window);
            changed.extend(gone.map(|(_, name)| (name, None)));
        }
        changed
    }

    /// Takes the place that a session would have taken whose process ended before it knew.
    /// Says whose places are gone by that.
    fn settle(&mut self, key: &Key, newcomer: &mut Left) -> Vec<SessionName> {
        let orphans = self.of(key).iter().enumerate();
        let orphans = orphans.map(|(index, (_, left))| (left.at, left.doubt, index));
        let lowest = orphans.clone().map(|(at, ..)| at);
        let lowest = lowest.chain([newcomer.at]).min_by_key(|at| at.offset);
        newcomer.at = lowest.unwrap_or(newcomer.at);
        let sure = orphans.filter(|(_, doubt, _)| *doubt == Doubt::None);
        let highest = sure.max_by_key(|(at, ..)| at.offset);
        let used_up = highest.and_then(|(.., index)| self.take(key, index));
        let mut gone = self.pass(key);
        gone.extend(used_up);
        gone
    }

    /// Those of a key.
    pub(super) fn of(&self, key: &Key) -> &[(End, Left)] {
        self.by_key.get(key).map_or(&[], |orphans| orphans)
    }

    /// By whose rules one of a key was read.
    pub(super) fn past(&self, key: &Key, index: usize) -> Past {
        let orphan = self.of(key).get(index);
        orphan
            .map(|(_, left)| left.past.clone())
            .unwrap_or_default()
    }

    /// Whether one of a key is left for who comes while all others are there.
    pub(super) fn has_passed(&self, key: &Key) -> bool {
        let mut orphans = self.of(key).iter();
        orphans.any(|(_, left)| left.doubt == Doubt::Passed)
    }

    /// Somebody of a key has begun where the doubted ones were, or before. Says which
    /// these were.
    pub(super) fn pass(&mut self, key: &Key) -> Vec<SessionName> {
        let orphans = self.by_key.get_mut(key).into_iter().flatten();
        let raised = orphans.filter(|(_, left)| left.doubt == Doubt::Raised);
        raised
            .map(|(_, left)| {
                left.doubt = Doubt::Passed;
                left.name
            })
            .collect()
    }

    /// Takes one of a key away.
    pub(super) fn take(&mut self, key: &Key, index: usize) -> Option<SessionName> {
        let end = self.by_key.get(key)?.get(index)?.0;
        self.remove(end).map(|(_, name)| name)
    }

    /// Forgets those whose window is over; says whose they were.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<(Key, SessionName)> {
        let mut expired = Vec::new();
        while let Some((end, _)) = self.ends.first_key_value().filter(|(end, _)| end.0 <= now) {
            expired.extend(self.remove(*end));
        }
        expired
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    fn remove(&mut self, end: End) -> Option<(Key, SessionName)> {
        let key = self.ends.remove(&end)?;
        let orphans = self.by_key.get_mut(&key)?;
        let at = orphans.iter().position(|(other, _)| *other == end)?;
        let (_, left) = orphans.remove(at);
        if orphans.is_empty() {
            self.by_key.remove(&key);
        }
        Some((key, left.name))
    }
}

/// What a session of an earlier process has left.
fn found_as(name: SessionName, mark: Mark) -> (Key, Left) {
    let key = Key {
        endpoint: mark.endpoint,
        params: mark.params,
        user: mark.user,
    };
    let left = Left {
        name,
        at: mark.at,
        past: Past::default(),
        doubt: match mark.doubted {
            true => Doubt::Raised,
            false => Doubt::None,
        },
    };
    (key, left)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(user: &str) -> Key {
        Key {
            endpoint: "news".into(),
            params: "[]".into(),
            user: user.into(),
        }
    }

    fn left(n: u128) -> Left {
        let offset = Offset::ZERO;
        Left {
            name: SessionName(n),
            at: Position { epoch: 1, offset },
            past: Past::default(),
            doubt: Doubt::None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_orphan_lasts_for_its_window() {
        let (mut orphans, now) = (Orphans::default(), Instant::now());
        orphans.add(&key("1"), left(1), now + Duration::from_secs(2));
        orphans.add(&key("2"), left(2), now + Duration::from_secs(1));
        assert_eq!(orphans.expire(now), []);
        assert_eq!(
            orphans.expire(now + Duration::from_secs(1)),
            [(key("2"), SessionName(2))]
        );
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
            .map(|user| orphans.add(&key(user), left(0), until).map(|(key, _)| key))
            .into();
        assert_eq!(dropped, [None, None, Some(key("1")), Some(key("2"))]);
        orphans.take(&key("4"), 0);
        assert_eq!((orphans.of(&key("4")).len(), orphans.len()), (0, 1));
    }
}
