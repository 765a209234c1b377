//! Who is online under a client's key: asked only where a template speaks of it.

use std::{fmt, sync::Arc};

use serde_json::Value;

/// What of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Roster {
    /// `{online}`: the users.
    List,
    /// `{online.count}`: how many.
    Count,
}

/// Somebody to ask.
#[derive(Clone)]
pub struct Online(Arc<dyn Fn(Roster) -> Value + Send + Sync>);

impl Online {
    /// One who answers like this.
    pub fn new(answer: impl Fn(Roster) -> Value + Send + Sync + 'static) -> Self {
        Self(Arc::new(answer))
    }

    /// The answer of the moment.
    pub(super) fn ask(&self, what: Roster) -> Value {
        (self.0)(what)
    }
}

impl fmt::Debug for Online {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Online")
    }
}
