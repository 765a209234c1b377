//! The end of a session: what is remembered of it, and in which order it leaves.

use std::{pin::pin, time::SystemTime};

use tokio::time::{Duration, timeout};
use tracing::debug;

use super::{
    super::{
        Listed, adopt::Stand, outgoing::Outgoing, past::Ended, progress::Track, socket::Socket,
    },
    CloseReason, Live,
    goodbye::say_goodbye,
};
use crate::event::Offset;

/// How long what a client has said may hold back that it has left.
const IN_ORDER: Duration = Duration::from_millis(900);

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

    /// Says goodbye, and meanwhile does what the client has asked for before.
    pub(super) async fn end(mut self, mut socket: Socket, reason: &CloseReason) {
        self.count_written();
        self.prepare_to_leave(&mut socket, reason).await;
        let mut left = 0;
        match reason.takes_along() {
            true => self.take_along(&mut socket).await,
            false => left += self.outgoing.let_go(),
        }
        self.count_written();
        let (stand, track) = (self.stand.take(), self.track.clone());
        let last = std::mem::replace(&mut self.outgoing, Outgoing::new(Offset::ZERO));
        left += self.subscription.subscriber.outbox.len();
        if left > 0 {
            debug!(left, "Frames were not written before the session ended");
        }
        let (work, beats, desk) = (
            std::mem::take(&mut self.work),
            std::mem::take(&mut self.beats),
            self.desk(),
        );
        let finish = async {
            if reason.hears_out() {
                work.finish(desk).await;
            }
        };
        let finish = async { tokio::join!(finish, beats.finish()) };
        let here = self.subscription.departure();
        drop(self);
        // First what the client said, then that it has left; but nobody waits long for that.
        let leave = async {
            let mut finish = pin!(finish);
            let done = timeout(IN_ORDER, finish.as_mut()).await.is_ok();
            drop(here);
            if !done {
                finish.await;
            }
        };
        let farewell = farewell(socket, last, reason, (stand, track));
        tokio::join!(farewell, leave);
    }
}

/// The goodbye. The stand is left with the last word, however long the rest takes.
async fn farewell(
    socket: Socket,
    mut last: Outgoing,
    reason: &CloseReason,
    (stand, track): (Option<Stand>, Track),
) {
    // At once: the client may be back while the goodbye is still being said.
    let confirm = |confirmed, number| {
        track.confirm(confirmed);
        if let Some(stand) = &stand {
            stand.confirm(confirmed, number);
        }
    };
    let answered = say_goodbye(socket, &mut last, reason, confirm).await;
    track.give(last.given());
    if answered {
        // Before the close frame it has read all that was given.
        confirm(last.given(), 0);
    }
}
