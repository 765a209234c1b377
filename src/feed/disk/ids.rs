//! Which ids are in the log, and where: of all that is kept, not of the window alone.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
};

use crate::event::{EventId, Offset};

/// By 128 keyed bits of the id: of a million ids, two are taken for one with a
/// probability of 10^-27.
#[derive(Debug, Default)]
pub(super) struct Ids {
    keys: [RandomState; 2],
    places: HashMap<u128, Offset>,
}

impl Ids {
    pub(super) fn key(&self, id: &str) -> u128 {
        let [high, low] = &self.keys;
        u128::from(high.hash_one(id)) << 64 | u128::from(low.hash_one(id))
    }

    pub(super) fn put(&mut self, id: &str, offset: Offset) {
        self.places.insert(self.key(id), offset);
    }

    pub(super) fn place(&self, id: &EventId) -> Option<Offset> {
        self.places.get(&self.key(id.as_str())).copied()
    }

    /// Forgets what stands up to a place.
    pub(super) fn trim(&mut self, floor: Offset) {
        self.places.retain(|_, offset| *offset > floor);
    }
}
