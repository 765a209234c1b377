//! Where a key set comes from, and when two follow the same document.

use std::time::Duration;

use super::FETCH_TIMEOUT;
use crate::{
    auth::KeySet,
    upstream::{self, Address},
};

/// Where the keys are published and how often they are looked at.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The server.
    pub address: Address,
    /// The path with its query.
    pub path: String,
    /// How long a document is believed.
    pub refresh: Duration,
    /// The least time between two fetches, however many unknown keys are asked for.
    pub cooldown: Duration,
    /// The set that is kept.
    pub keys: KeySet,
}

impl Settings {
    /// Whether both follow the same document.
    pub fn same_document(&self, other: &Self) -> bool {
        self.address == other.address && self.path == other.path
    }

    /// Whether both follow it in the same way, too.
    pub fn same_place(&self, other: &Self) -> bool {
        let pace = |settings: &Self| (settings.refresh, settings.cooldown);
        self.same_document(other) && pace(self) == pace(other)
    }

    /// The server, as one to connect to.
    pub fn upstream(&self) -> upstream::Settings {
        upstream::Settings {
            address: self.address.clone(),
            connect_timeout: FETCH_TIMEOUT,
            response_timeout: FETCH_TIMEOUT,
            idle_timeout: FETCH_TIMEOUT,
            keep_alive: Duration::ZERO,
            max_connections: 1,
        }
    }
}
