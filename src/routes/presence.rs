//! Who counts as online on an endpoint, and what is done when that changes.

use std::{borrow::Cow, time::Duration};

use super::Step;
use crate::frame::Text;

/// How an endpoint counts who is online.
#[derive(Clone, Debug, PartialEq)]
pub struct Presence {
    /// Endpoints with the same key count together.
    pub key: Text,
    /// What counts once.
    pub per: Per,
    /// Whoever is back within this time was never away.
    pub grace: Duration,
    /// Done when a member comes online.
    pub online: Vec<Step>,
    /// Done when it is offline.
    pub offline: Vec<Step>,
}

/// What counts once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Per {
    /// A user, on however many sockets.
    #[default]
    User,
    /// Each socket.
    Socket,
}

impl Presence {
    /// What is done when a member is offline. While the process stops everybody goes, and
    /// nobody who is still here is told of each of the others.
    pub fn offline_steps(&self, stopping: bool) -> Cow<'_, [Step]> {
        let publishes = |step: &Step| matches!(step, Step::Publish(_));
        if !stopping || !self.offline.iter().any(publishes) {
            return Cow::Borrowed(&self.offline);
        }
        let others = self.offline.iter().filter(|step| !publishes(step));
        others.cloned().collect()
    }
}
