//! What is done for a client when it connects, and once it has left, however that
//! came about: exactly once for each that got past its `on_connect`.

use std::sync::Arc;

use tokio::time::{Duration, timeout};
use tracing::warn;

use super::{
    Sessions,
    caller::Caller,
    desk::{Desk, Failed},
    permit::Denied,
};
use crate::{frame::Client, hub::Subscriber, presence::Seat};

/// How long everything may take that is done for a client that has left.
const LEAVING: Duration = Duration::from_secs(60);

/// A client that got past its `on_connect`. Dropped, it has left.
#[derive(Debug, Default)]
pub(super) struct Here(Option<Box<Desk>>, Option<Arc<Seat>>);

impl Here {
    /// A client in the hub.
    pub(super) fn of(
        sessions: &Arc<Sessions>,
        subscriber: &Subscriber,
        caller: Option<&Arc<Caller>>,
        seat: Option<Arc<Seat>>,
    ) -> Self {
        let endpoint = &subscriber.endpoint;
        let desk = || Desk {
            sessions: sessions.clone(),
            table: Arc::clone(&sessions.tables.borrow()),
            endpoint: endpoint.clone(),
            client: subscriber.client.clone(),
            session: subscriber.session,
            caller: caller.cloned(),
            outbox: None,
        };
        let something = seat.is_some() || !endpoint.moments.on_disconnect.is_empty();
        Self(something.then(|| Box::new(desk())), seat)
    }

    /// Its session sees to it from now on.
    pub(super) fn hand_over(mut self) {
        self.0 = None;
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        let Some(desk) = self.0.take() else { return };
        if let Some(seat) = self.1.take() {
            desk.sessions.rise(&seat, desk.clone());
        }
        leave(*desk);
    }
}

impl Sessions {
    /// Does what the endpoint wants done before a client is told that it is connected,
    /// and puts the answers that have a name into the client.
    pub(super) async fn connect(
        self: &Arc<Self>,
        desk: Desk,
    ) -> Result<(Arc<Client>, Here), Denied> {
        if desk.endpoint.moments.on_connect.is_empty() {
            return Ok((desk.client, Here::default()));
        }
        // The client may go away meanwhile. What has begun is done to its end, so that it
        // is known whether it has to be undone.
        match self.tracker.spawn(connect(desk)).await {
            Ok(connected) => connected,
            Err(error) => Err(Denied::Unknown(error.to_string())),
        }
    }
}

async fn connect(mut desk: Desk) -> Result<(Arc<Client>, Here), Denied> {
    let endpoint = desk.endpoint.clone();
    let mut here = Here::default();
    for one in &endpoint.moments.on_connect {
        let done = desk.at("on_connect", &one.steps).await;
        if let Some(failed) = done.failed {
            return Err(denied(&failed));
        }
        if let (Some(name), Some(answer)) = (&one.name, done.answer) {
            let client = Arc::make_mut(&mut desk.client);
            client.lookups.insert(name.to_string(), answer);
        }
        here.hand_over();
        here = Here(Some(Box::new(desk.clone())), None);
    }
    Ok((desk.client, here))
}

fn denied(failed: &Failed) -> Denied {
    let why = failed.to_string();
    match failed {
        Failed::Refused(status) => Denied::by(*status).unwrap_or(Denied::Unknown(why)),
        Failed::Missing(_) | Failed::Unusable(_) | Failed::NotPermitted(_) | Failed::Full(_) => {
            Denied::NotPermitted(why)
        }
        Failed::Unanswered(_) | Failed::Unavailable(_) => Denied::Unknown(why),
    }
}

/// Begins at once; a stop of the process waits for it until its deadline.
fn leave(desk: Desk) {
    if desk.endpoint.moments.on_disconnect.is_empty() {
        return;
    }
    let sessions = desk.sessions.clone();
    sessions.tracker.spawn(async move {
        let all = async {
            for steps in &desk.endpoint.moments.on_disconnect {
                desk.at("on_disconnect", steps).await;
            }
        };
        if timeout(LEAVING, all).await.is_err() {
            desk.count("on_disconnect", "too_slow");
            warn!(endpoint = %desk.endpoint.name, session = %desk.session, "Steps for a client that has left were not done in time");
        }
    });
}
