//! Keeps a key set equal to the document at a JWKS URL.

use std::time::Duration;

use crate::{auth::KeySet, upstream::Address};

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
