//! A session's place in the hub, and what has to be done once its client has left. It
//! ends both however the session ends, also before there is one.

use std::sync::Arc;

use super::super::{Sessions, caller::Caller, moments::Here};
use crate::{hub::Subscriber, presence::Seat};

/// A subscription that ends with the session, however that ends.
pub(in crate::session) struct Subscription {
    pub(super) sessions: Arc<Sessions>,
    pub(super) subscriber: Arc<Subscriber>,
    /// Kept where the app is called for the client.
    pub(super) caller: Option<Arc<Caller>>,
    /// Nobody has been told yet that the client has left.
    here: bool,
    /// Where it is counted among those who are online.
    pub(super) seat: Option<Arc<Seat>>,
}

impl Subscription {
    /// Of a client that is in the hub.
    pub(in crate::session) fn new(
        sessions: Arc<Sessions>,
        subscriber: Arc<Subscriber>,
        caller: Option<Arc<Caller>>,
    ) -> Self {
        Self {
            sessions,
            subscriber,
            caller,
            here: true,
            seat: None,
        }
    }

    /// What has to be done once the client has left, to be dropped then.
    pub(super) fn departure(&mut self) -> Here {
        match std::mem::take(&mut self.here) {
            true => Here::of(
                &self.sessions,
                &self.subscriber,
                self.caller.as_ref(),
                self.seat.take(),
            ),
            false => Here::default(),
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.sessions.hub.leave(&self.subscriber);
        drop(self.departure());
    }
}
