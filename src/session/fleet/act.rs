//! What this node has to do because of what was said: mostly to tell who came and went.

use std::sync::Arc;

use tracing::{error, info};

use super::super::{
    Sessions,
    desk::Desk,
    seat::{Party, tell},
};
use crate::{
    event::SessionId,
    frame::Client,
    metrics::{Because, Ended},
    presence::fleet::{About, Effect, Place, Turn},
};

impl Sessions {
    pub(super) fn act(self: &Arc<Self>, effect: Effect<Party>) {
        match effect {
            Effect::Tell {
                place,
                turn,
                party,
                about,
            } => {
                let party = party.or_else(|| self.stand_in(&about, &place));
                self.tell_of(place, turn, party);
            }
            Effect::Gone { name, bye, heir } => {
                if heir && !bye {
                    self.metrics.nodes_lost.inc();
                }
                let why = if bye { "ended" } else { "silent" };
                info!(node = %name, why, heir, "A node is gone");
            }
            Effect::Anew(why) => {
                let result = why;
                self.metrics
                    .node_rejoins
                    .get_or_create(&Ended { result })
                    .inc();
                info!(why, "Begins anew among the nodes");
            }
        }
    }

    /// Does the steps, and then says that it has.
    fn tell_of(self: &Arc<Self>, place: Place, turn: Turn, party: Option<Party>) {
        let sessions = self.clone();
        let Some(desk) = party else {
            return self.told(&place, turn);
        };
        let stopping = self.stop.is_cancelled() && self.fleet_is_alone();
        let endpoint = desk.endpoint.clone();
        let moment = match turn {
            Turn::Online => "online",
            Turn::Offline => "offline",
        };
        Because::count(&self.metrics.presence, &endpoint.name, moment);
        let told = self.tracker.spawn(async move {
            let presence = endpoint.presence.as_ref();
            let steps = presence.map(|presence| match turn {
                Turn::Online => presence.online.as_slice().into(),
                Turn::Offline => presence.offline_steps(stopping),
            });
            tell(desk, moment, &steps.unwrap_or_default()).await;
        });
        self.tracker.spawn(async move {
            if told.await.is_err() {
                error!("Steps of presence have panicked");
            }
            sessions.told(&place, turn);
        });
    }

    fn told(&self, place: &Place, turn: Turn) {
        if let Some(room) = &self.fleet {
            room.lock().told(place, turn);
        }
    }

    fn fleet_is_alone(&self) -> bool {
        self.fleet
            .as_ref()
            .is_none_or(|room| room.lock().is_alone())
    }

    /// With whom a member of another node is told: what is known of it, and no credentials.
    fn stand_in(self: &Arc<Self>, about: &About, place: &Place) -> Option<Party> {
        let table = Arc::clone(&self.tables.borrow());
        let endpoint = table.endpoint(&about.endpoint)?.clone();
        let client = Client {
            user: place.who.user(),
            user_value: about.user.clone(),
            params: about.params.clone(),
            ..Client::default()
        };
        Some(Box::new(Desk {
            sessions: self.clone(),
            table,
            endpoint,
            client: Arc::new(client),
            session: SessionId(0),
            caller: None,
            outbox: None,
        }))
    }
}
