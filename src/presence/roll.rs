//! The roll of one process as a plain value: no lock, no clock, no task. Each call says
//! what happened; what is to be done about it is in the answer.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use serde_json::Value;
use tokio::time::Instant;

use super::{Arrival, Entered, Listed, Member, Next, Seat, Shown};

/// Members that have left and are not done with, at most: what a flood of short visits
/// may cost. Whoever comes in beyond that is not counted.
pub(super) const MAX_ABSENT: usize = 100_000;
/// Users that are named at most where somebody asks who is online.
pub(super) const MAX_LISTED: usize = 10_000;

/// Who is online, by key.
#[derive(Debug)]
pub(super) struct Roll<P> {
    keys: HashMap<Arc<str>, Key<P>>,
    /// Members without a socket: in grace, or their steps are still done.
    absent: usize,
    /// Numbers arrivals.
    next: u64,
}

#[derive(Debug)]
struct Key<P> {
    members: HashMap<Member, Attendance<P>>,
    /// Who is online, as the app writes it, in the order of arrival.
    online: BTreeMap<u64, Option<Value>>,
}

/// What is known of a member.
#[derive(Debug)]
struct Attendance<P> {
    /// Its place among those who are online.
    number: u64,
    /// Where it came online.
    endpoint: Arc<str>,
    sockets: usize,
    /// The last that was told of it is that it is online.
    told: bool,
    /// Somebody calls [`Roll::next`] until there is nothing to do.
    seen_to: bool,
    /// It came in, and that is not told: with whom to tell it.
    first: Option<P>,
    /// Its last socket has left: until when it may come back, and with whom to tell
    /// that it did not.
    last: Option<(Instant, P)>,
}

impl<P> Roll<P> {
    pub(super) fn new() -> Self {
        Self {
            keys: HashMap::new(),
            absent: 0,
            next: 0,
        }
    }

    /// A socket of a member comes in.
    pub(super) fn enter(&mut self, seat: &Seat, arrival: Arrival<'_, P>) -> Entered {
        let full = self.absent >= MAX_ABSENT;
        let key = self.keys.entry(seat.key.clone()).or_insert_with(Key::new);
        let there = key.members.get_mut(&seat.member);
        let member = match there {
            Some(member) => member,
            None if full => {
                self.forget_empty(seat);
                return Entered::Full;
            }
            None => key.members.entry(seat.member.clone()).or_default(),
        };
        // Whoever has no socket is seen to until it is forgotten.
        let was_absent = member.sockets == 0 && member.seen_to;
        self.absent -= usize::from(was_absent);
        member.sockets += 1;
        member.last = None;
        if member.is_online() {
            return match was_absent {
                true => Entered::Back,
                false => Entered::Also,
            };
        }
        member.first = Some(arrival.party);
        member.number = self.next;
        member.endpoint = arrival.endpoint.clone();
        key.online.insert(self.next, arrival.user.cloned());
        self.next += 1;
        match std::mem::replace(&mut member.seen_to, true) {
            true => Entered::Waits,
            false => Entered::First,
        }
    }

    /// A socket of a member leaves. Whether somebody has to see to it.
    pub(super) fn leave(&mut self, seat: &Seat, party: P, until: Instant) -> bool {
        let Some(member) = self.member(seat) else {
            return false;
        };
        member.sockets -= 1;
        if member.sockets > 0 {
            return false;
        }
        member.last = Some((until, party));
        let begins = !std::mem::replace(&mut member.seen_to, true);
        self.absent += 1;
        begins
    }

    /// What is to be done for a member next; with `hurry` nobody is waited for.
    pub(super) fn next(&mut self, seat: &Seat, now: Instant, hurry: bool) -> Next<P> {
        let Some(key) = self.keys.get_mut(&seat.key) else {
            return Next::Done;
        };
        let Some(member) = key.members.get_mut(&seat.member) else {
            return Next::Done;
        };
        if let Some(party) = member.first.take() {
            member.told = true;
            return Next::Online(party);
        }
        if member.sockets > 0 {
            member.seen_to = false;
            return Next::Done;
        }
        match member.last.take() {
            Some((until, party)) if until > now && !hurry => {
                member.last = Some((until, party));
                Next::Wait(until)
            }
            Some((_, party)) => {
                member.told = false;
                key.online.remove(&member.number);
                let endpoint = member.endpoint.clone();
                Next::Offline { party, endpoint }
            }
            None => {
                key.members.remove(&seat.member);
                self.absent -= 1;
                self.forget_empty(seat);
                Next::Done
            }
        }
    }

    /// How many are online under a key.
    pub(super) fn count(&self, key: &str) -> usize {
        self.keys.get(key).map_or(0, |key| key.online.len())
    }

    /// The users who are online under a key, each once, in the order of arrival.
    pub(super) fn list(&self, key: &str) -> Listed {
        let online = self.keys.get(key).into_iter().flat_map(|key| &key.online);
        let users = online.filter_map(|(_, user)| user.as_ref());
        let mut seen = HashSet::new();
        let mut distinct = users.filter(|user| seen.insert(*user));
        let users = distinct.by_ref().take(MAX_LISTED).cloned().collect();
        Listed {
            users,
            is_whole: distinct.next().is_none(),
        }
    }

    /// The keys in the order of their names, with at most so many users in all.
    pub(super) fn show(&self, limit: usize) -> Vec<Shown> {
        let mut keys: Vec<_> = self.keys.iter().collect();
        keys.sort_unstable_by_key(|(name, _)| *name);
        keys.truncate(limit);
        let mut left = limit;
        let shown = |(name, key): (&Arc<str>, &Key<P>)| {
            let users: Vec<_> = key.online.values().flatten().take(left).cloned().collect();
            left -= users.len();
            Shown {
                key: name.clone(),
                online: key.online.len(),
                leaving: key.members.values().filter(|one| one.sockets == 0).count(),
                users,
            }
        };
        keys.into_iter().map(shown).collect()
    }

    /// How many keys there are.
    pub(super) fn keys(&self) -> usize {
        self.keys.len()
    }

    fn member(&mut self, seat: &Seat) -> Option<&mut Attendance<P>> {
        self.keys.get_mut(&seat.key)?.members.get_mut(&seat.member)
    }

    fn forget_empty(&mut self, seat: &Seat) {
        if self
            .keys
            .get(&seat.key)
            .is_some_and(|key| key.members.is_empty())
        {
            self.keys.remove(&seat.key);
        }
    }
}

impl<P> Key<P> {
    fn new() -> Self {
        Self {
            members: HashMap::new(),
            online: BTreeMap::new(),
        }
    }
}

impl<P> Default for Attendance<P> {
    fn default() -> Self {
        Self {
            number: 0,
            endpoint: Arc::default(),
            sockets: 0,
            told: false,
            seen_to: false,
            first: None,
            last: None,
        }
    }
}

impl<P> Attendance<P> {
    fn is_online(&self) -> bool {
        self.told || self.first.is_some()
    }
}
