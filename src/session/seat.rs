//! A session's seat on the roll of who is online, and telling of it.
//!
//! One task sees to a member from something to tell until there is nothing. It does the
//! steps of an endpoint's `presence`, one list after the other, and sleeps through the grace.

use std::sync::Arc;

use serde_json::Value;
use tokio::time::{Duration, Instant, sleep_until, timeout};
use tracing::{debug, warn};

use super::{Sessions, desk::Desk};
use crate::{
    event::SessionId,
    frame::{Client, Online, Roster, Scope},
    metrics::{Because, OnEndpoint, Shared},
    presence::{Arrival, Entered, Member, Next, Seat},
    routes::{Endpoint, Per, Presence, Step},
};

/// How long the steps of one transition may take.
const TELLING: Duration = Duration::from_secs(60);

/// With whom a transition is told.
pub(super) type Party = Box<Desk>;

/// Where a session sits on an endpoint: nowhere, if the endpoint does not count, or
/// counts users and this is none.
pub(super) fn seat(endpoint: &Endpoint, client: &Client, session: SessionId) -> Option<Arc<Seat>> {
    let presence = endpoint.presence.as_ref()?;
    let member = match (presence.per, &client.user) {
        (Per::User, Some(user)) => Member::User(user.clone()),
        (Per::User, None) => return None,
        (Per::Socket, _) => Member::Socket(session),
    };
    let key = key(presence, client)?;
    Some(Arc::new(Seat { key, member }))
}

fn key(presence: &Presence, client: &Client) -> Option<Arc<str>> {
    let scope = Scope {
        client: Some(client),
        ..Scope::default()
    };
    let key = presence.key.render(&scope);
    key.map(Arc::from)
        .inspect_err(|missing| debug!(%missing, "A session is not counted"))
        .ok()
}

impl Sessions {
    /// How a client's templates learn who is online under its key.
    pub(super) fn roster(self: &Arc<Self>, endpoint: &Endpoint, client: &Client) -> Option<Online> {
        let key = key(endpoint.presence.as_ref()?, client)?;
        let (sessions, name) = (Arc::downgrade(self), endpoint.name.clone());
        Some(Online::new(move |what| {
            let Some(sessions) = sessions.upgrade() else {
                return Value::Null;
            };
            match what {
                Roster::Count => sessions.count(&key).into(),
                Roster::List => sessions.listed(&key, &name),
            }
        }))
    }

    fn count(&self, key: &Arc<str>) -> usize {
        match &self.fleet {
            Some(fleet) => fleet.lock().count(key),
            None => self.presence.count(key),
        }
    }

    fn listed(&self, key: &Arc<str>, endpoint: &Arc<str>) -> Value {
        let listed = match &self.fleet {
            Some(fleet) => fleet.lock().list(key),
            None => self.presence.list(key),
        };
        if !listed.is_whole {
            warn!(%endpoint, "More users are online than a list names");
            Because::count(&self.metrics.presence, endpoint, "list_cut");
        }
        Value::Array(listed.users)
    }

    /// A session takes its seat. Whether it is counted.
    pub(super) fn sit(self: &Arc<Self>, seat: &Arc<Seat>, desk: Desk) -> bool {
        if let Some(fleet) = &self.fleet {
            return self.sit_among_nodes(fleet, seat, Box::new(desk));
        }
        let (endpoint, client) = (desk.endpoint.name.clone(), desk.client.clone());
        let arrival = Arrival {
            user: client.user_value.as_ref(),
            endpoint: &endpoint,
            party: Box::new(desk),
        };
        let entered = self.presence.enter(seat, arrival);
        let word = match entered {
            Entered::First | Entered::Waits => {
                self.gauge(&endpoint, 1);
                "online"
            }
            Entered::Back => "back",
            Entered::Also => return true,
            Entered::Full => {
                warn!(%endpoint, "A session is not counted: too many have left and are not done with");
                "not_counted"
            }
        };
        Because::count(&self.metrics.presence, &endpoint, word);
        if entered == Entered::First {
            self.see_to(seat);
        }
        entered != Entered::Full
    }

    /// A session that is counted leaves its seat.
    pub(super) fn rise(self: &Arc<Self>, seat: &Arc<Seat>, desk: Party) {
        let presence = desk.endpoint.presence.as_ref();
        let grace = presence.map_or(Duration::ZERO, |presence| presence.grace);
        if let Some(fleet) = &self.fleet {
            return self.rise_among_nodes(fleet, seat, desk, grace);
        }
        let until = Instant::now() + grace;
        if self.presence.leave(seat, desk, until) {
            self.see_to(seat);
        }
    }

    fn see_to(self: &Arc<Self>, seat: &Arc<Seat>) {
        let (sessions, seat) = (self.clone(), seat.clone());
        self.spawn_to_the_end(move || see_to(sessions.clone(), seat.clone()));
    }

    pub(super) fn gauge(&self, endpoint: &Arc<str>, by: i64) {
        let endpoint = Shared(endpoint.clone());
        let online = &self.metrics.presence_online;
        online.get_or_create(&OnEndpoint { endpoint }).inc_by(by);
    }
}

/// Sees to a member until there is nothing to do.
async fn see_to(sessions: Arc<Sessions>, seat: Arc<Seat>) {
    loop {
        let stopping = sessions.stop.is_cancelled();
        match sessions.presence.next(&seat, stopping) {
            Next::Online(desk) => {
                let endpoint = desk.endpoint.clone();
                let presence = endpoint.presence.as_ref();
                tell(desk, "online", presence.map_or(&[], |one| &one.online)).await;
            }
            Next::Offline { party, endpoint } => {
                Because::count(&sessions.metrics.presence, &endpoint, "offline");
                sessions.gauge(&endpoint, -1);
                let endpoint = party.endpoint.clone();
                let steps = endpoint.presence.as_ref();
                let steps = steps.map(|one| one.offline_steps(stopping));
                tell(party, "offline", &steps.unwrap_or_default()).await;
            }
            Next::Wait(until) => {
                let grace = sleep_until(until);
                sessions.stop.run_until_cancelled(grace).await;
            }
            Next::Done => return,
        }
    }
}

/// Does the steps with the rules of the endpoint, on the app of the moment.
pub(super) async fn tell(mut desk: Party, moment: &'static str, steps: &[Step]) {
    if steps.is_empty() {
        return;
    }
    desk.table = Arc::clone(&desk.sessions.tables.borrow());
    let told = Box::pin(desk.at(moment, steps));
    if timeout(TELLING, told).await.is_err() {
        desk.count(moment, "too_slow");
        warn!(endpoint = %desk.endpoint.name, session = %desk.session, moment, "Steps of presence were not done in time");
    }
}
