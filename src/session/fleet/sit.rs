//! A session of this node that comes in and leaves.

use tokio::time::{Duration, timeout};
use tracing::{debug, warn};

use super::{
    super::{Sessions, seat::Party},
    Room,
};
use crate::{
    metrics::Because,
    presence::{
        Seat,
        fleet::{About, Came},
    },
    routes::Endpoint,
};

/// A handshake waits so long for what the others know.
const KNOWN: Duration = Duration::from_secs(1);

impl Sessions {
    /// Waits until what the others know is known here, but not long.
    pub(in crate::session) async fn know_the_others(&self, endpoint: &Endpoint) {
        let Some(room) = self.fleet.as_ref().filter(|_| endpoint.presence.is_some()) else {
            return;
        };
        let mut synced = room.synced.subscribe();
        if timeout(KNOWN, synced.wait_for(|synced| *synced))
            .await
            .is_err()
        {
            debug!(endpoint = %endpoint.name, "Who is online on other nodes is not known yet");
        }
    }

    /// A session takes its seat. Whether it is counted.
    pub(in crate::session) fn sit_among_nodes(
        &self,
        room: &Room,
        seat: &Seat,
        desk: Party,
    ) -> bool {
        let (endpoint, client) = (desk.endpoint.clone(), desk.client.clone());
        let grace = endpoint.presence.as_ref().map(|presence| presence.grace);
        let about = About {
            endpoint: endpoint.name.clone(),
            user: client.user_value.clone(),
            params: client.params.clone(),
            grace: u64::try_from(grace.unwrap_or_default().as_millis()).unwrap_or(u64::MAX),
        };
        let came = room.lock().enter(&room.place(seat), &about, desk);
        match came {
            Came::First | Came::Back => self.gauge(&endpoint.name, 1),
            Came::Also => {}
            Came::Full => {
                warn!(endpoint = %endpoint.name, "A session is not counted: too many have left and are not done with, or its key and user are too long");
                Because::count(&self.metrics.presence, &endpoint.name, "not_counted");
            }
        }
        if came == Came::Back {
            Because::count(&self.metrics.presence, &endpoint.name, "back");
        }
        came != Came::Full
    }

    /// A session that is counted leaves its seat.
    pub(in crate::session) fn rise_among_nodes(
        &self,
        room: &Room,
        seat: &Seat,
        desk: Party,
        grace: Duration,
    ) {
        let left = room.lock().leave(&room.place(seat), desk, grace);
        if let Some(endpoint) = left {
            self.gauge(&endpoint, -1);
        }
    }
}
