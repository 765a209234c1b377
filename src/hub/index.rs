//! Subscribers by what they hear: found for each entry, changed with each session.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::Subscriber;
use crate::event::SessionId;

/// So that joins seldom wait for the dispatcher.
const SHARDS: usize = 16;

/// Subscribers under a name, each once, in the order of their sessions' ids.
#[derive(Debug)]
pub(super) struct Index<K> {
    shards: [Mutex<HashMap<K, Vec<Arc<Subscriber>>>>; SHARDS],
    hasher: RandomState,
}

impl<K> Default for Index<K> {
    fn default() -> Self {
        Self {
            shards: Default::default(),
            hasher: RandomState::new(),
        }
    }
}

impl<K: Clone + Eq + std::hash::Hash> Index<K> {
    /// Whether it is the first under the name.
    pub(super) fn put(&self, key: &K, subscriber: &Arc<Subscriber>) -> bool {
        let mut shard = self.shard(key);
        let there = shard
            .entry(key.clone())
            .or_insert_with(|| Vec::with_capacity(1));
        let first = there.is_empty();
        match there.binary_search_by_key(&subscriber.session, |other| other.session) {
            Ok(at) => there[at] = subscriber.clone(),
            Err(at) => there.insert(at, subscriber.clone()),
        }
        first
    }

    /// Whether it was the last under the name.
    pub(super) fn remove(&self, key: &K, session: SessionId) -> bool {
        let mut shard = self.shard(key);
        let Some(there) = shard.get_mut(key) else {
            return false;
        };
        if let Ok(at) = there.binary_search_by_key(&session, |other| other.session) {
            there.remove(at);
        }
        let last = there.is_empty();
        if last {
            shard.remove(key);
        }
        last
    }

    pub(super) fn each(&self, key: &K, visit: &mut impl FnMut(&Arc<Subscriber>)) {
        if let Some(there) = self.shard(key).get(key) {
            there.iter().for_each(visit);
        }
    }

    pub(super) fn count(&self, key: &K) -> usize {
        self.shard(key).get(key).map_or(0, Vec::len)
    }

    pub(super) fn all(&self, visit: impl Fn(&Subscriber)) {
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.values().flatten().for_each(|one| visit(one));
        }
    }

    fn shard(&self, key: &K) -> MutexGuard<'_, HashMap<K, Vec<Arc<Subscriber>>>> {
        let hash = self.hasher.hash_one(key);
        let at = usize::try_from(hash % SHARDS as u64).unwrap_or_default();
        self.shards[at]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
