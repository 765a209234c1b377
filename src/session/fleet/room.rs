//! This node among the others: what it knows, for whoever asks.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use tokio::{sync::watch, time::Instant};

use super::super::{random, seat::Party};
use crate::presence::{
    Member, Seat,
    fleet::{Fleet, Info, KeyShown, MemberShown, NodeShown, Place, Who},
};

/// This node among the others.
#[derive(Debug)]
pub struct Room {
    fleet: Mutex<Fleet<Party>>,
    /// Whether it knows what the others know.
    pub(super) synced: watch::Sender<bool>,
    /// Sockets are told apart by it.
    process: u64,
}

impl Room {
    pub(in crate::session) fn new() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let info = Info {
            name: name(),
            version: env!("CARGO_PKG_VERSION").into(),
            since: since.unwrap_or_default().as_secs(),
        };
        // Half of the number is as good as random.
        let process = (random() >> 64) as u64;
        Self {
            fleet: Mutex::new(Fleet::new(process, info)),
            synced: watch::Sender::new(false),
            process,
        }
    }

    pub(in crate::session) fn lock(&self) -> MutexGuard<'_, Fleet<Party>> {
        self.fleet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The nodes, in the order in which they came.
    pub fn nodes(&self) -> Vec<NodeShown> {
        self.lock().nodes(Instant::now())
    }

    /// How many keys there are, and the first of them with at most so many users.
    pub fn online(&self, limit: usize) -> (usize, Vec<KeyShown>) {
        self.lock().show(limit)
    }

    /// Where a user is online.
    pub fn of_user(&self, user: &str, limit: usize) -> Vec<MemberShown> {
        self.lock().show_user(user, limit)
    }

    /// Who is online under a key.
    pub fn of_key(&self, key: &str, limit: usize) -> Vec<MemberShown> {
        self.lock().show_key(&key.into(), limit)
    }

    /// Whether it knows what the others know.
    pub fn is_synced(&self) -> bool {
        *self.synced.borrow()
    }

    pub(super) fn place(&self, seat: &Seat) -> Place {
        let who = match &seat.member {
            Member::User(user) => Who::User(user.as_str().into()),
            Member::Socket(session) => Who::Socket(self.process, session.0),
        };
        Place {
            key: seat.key.clone(),
            who,
        }
    }
}

/// What people call this process: its host, in Kubernetes the pod, and its number there.
fn name() -> Arc<str> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let (host, process) = (host.trim(), std::process::id());
    format!("{host}:{process}").into()
}
