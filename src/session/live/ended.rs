//! What is remembered of a session that ends.

use std::time::SystemTime;

use super::{
    super::{Listed, past::Ended},
    CloseReason, Live,
};

impl Live {
    /// Remembers it for those who ask later what became of an event. Before it leaves
    /// the hub: then nothing is known of its topics any more. How far it comes while its
    /// goodbye is said is seen, too.
    pub(super) fn remember(&self, listed: &Listed, reason: &CloseReason) {
        let subscriber = &self.subscription.subscriber;
        let sessions = &self.subscription.sessions;
        let Some(track) = listed.track() else {
            return;
        };
        let ended = Ended {
            session: subscriber.session,
            name: subscriber.client.session,
            user: subscriber.client.user.clone(),
            address: listed.address,
            endpoint: subscriber.endpoint.clone(),
            heard: subscriber.outbox.heard(),
            opened: listed.since,
            track,
            reason: reason.metric(),
            at: SystemTime::now(),
            head: sessions.hub.handed_out(),
        };
        sessions.past.add(ended, sessions.feed.settings().keep);
    }
}
