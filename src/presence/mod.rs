//! Who is online under which key, and whom that has to be told.
//!
//! Sessions enter and leave; the first socket of a member and the leaving of the last
//! are its transitions. For each member with something to tell there is one who asks
//! [`Presence::next`] until it is [`Next::Done`]: so a member's transitions are told one after
//! the other and each once, however slow the telling is, and an offline never overtakes the
//! online that follows it. This room does no I/O and starts no task; the session room tells.

pub mod fleet;
mod roll;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::time::Instant;

use crate::event::{SessionId, UserId};

use roll::Roll;

/// Who counts once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Member {
    /// A user, on however many sockets.
    User(UserId),
    /// One socket.
    Socket(SessionId),
}

/// A member under a key: what a session takes when it comes in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Seat {
    /// The key, as `online` or `chat_7`.
    pub key: Arc<str>,
    /// Who.
    pub member: Member,
}

/// What a socket's coming in means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entered {
    /// The member is online from now on: somebody has to see to it.
    First,
    /// The same, and whoever sees to the member's last leaving will see to it.
    Waits,
    /// The member had left, and is back before that was told.
    Back,
    /// It has other sockets.
    Also,
    /// Too many have left and are not done with: it is not counted.
    Full,
}

/// A socket that comes in.
#[derive(Clone, Debug)]
pub struct Arrival<'a, P> {
    /// Its user, as the app writes it, if it is anybody.
    pub user: Option<&'a Value>,
    /// Where it comes in.
    pub endpoint: &'a Arc<str>,
    /// With whom it is told, if it is the first.
    pub party: P,
}

/// What is to be done for a member.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<P> {
    /// Tell that it is online.
    Online(P),
    /// Tell that it is offline.
    Offline {
        /// With whom: its last socket.
        party: P,
        /// Where it had come online.
        endpoint: Arc<str>,
    },
    /// Ask again at that time.
    Wait(Instant),
    /// Nothing, until somebody is called for again.
    Done,
}

/// Who is online under a key.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// The users, as the app writes them, in the order of arrival.
    pub users: Vec<Value>,
    /// Whether these are all.
    pub is_whole: bool,
}

/// A key, as operators see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// The key.
    pub key: Arc<str>,
    /// How many are online.
    pub online: usize,
    /// How many have no socket any more: in grace, or their steps are not done.
    pub leaving: usize,
    /// The first users of them.
    pub users: Vec<Value>,
}

/// The roll that all sessions share. `P` is with whom a transition is told.
#[derive(Debug)]
pub struct Presence<P>(Mutex<Roll<P>>);

impl<P> Default for Presence<P> {
    fn default() -> Self {
        Self(Mutex::new(Roll::new()))
    }
}

impl<P> Presence<P> {
    /// A socket of a member comes in.
    pub fn enter(&self, seat: &Seat, arrival: Arrival<'_, P>) -> Entered {
        self.lock().enter(seat, arrival)
    }

    /// A socket that had come in leaves, and the member may be back until then. Says
    /// whether somebody has to see to it.
    pub fn leave(&self, seat: &Seat, party: P, until: Instant) -> bool {
        self.lock().leave(seat, party, until)
    }

    /// What is to be done for a member next; with `hurry` nobody is waited for.
    pub fn next(&self, seat: &Seat, hurry: bool) -> Next<P> {
        self.lock().next(seat, Instant::now(), hurry)
    }

    /// How many are online under a key.
    pub fn count(&self, key: &str) -> usize {
        self.lock().count(key)
    }

    /// The users who are online under a key, each once.
    pub fn list(&self, key: &str) -> Listed {
        self.lock().list(key)
    }

    /// How many keys there are, and the first of them with at most so many users in all.
    pub fn show(&self, limit: usize) -> (usize, Vec<Shown>) {
        let roll = self.lock();
        (roll.keys(), roll.show(limit))
    }

    fn lock(&self) -> MutexGuard<'_, Roll<P>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
