//! Which sessions are open, for the limits and for those who look in.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use super::progress::{Progress, Track};
use crate::{
    event::{SessionId, Topic, UserId},
    hub::{Form, Outbox},
    metrics::{Metrics, OnLeg, Shared},
    rollout::Leg,
    routes::Limits,
};

/// All open sessions of this process.
#[derive(Debug)]
pub struct Registry {
    next: AtomicU64,
    open: Mutex<Open>,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct Open {
    sessions: HashMap<SessionId, Arc<Listed>>,
    by_endpoint: HashMap<Arc<str>, usize>,
    by_user: HashMap<(Arc<str>, UserId), usize>,
}

/// One open session.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its id.
    pub session: SessionId,
    /// The endpoint's name.
    pub endpoint: Arc<str>,
    /// Whose it is.
    pub user: Option<UserId>,
    /// How it is served.
    pub leg: Leg,
    /// Where it comes from.
    pub address: SocketAddr,
    /// Since when.
    pub since: SystemTime,
    /// On the feed leg what it hears, once it is in the hub.
    hears: OnceLock<Arc<Outbox>>,
    /// And how far it has come with that.
    track: OnceLock<Track>,
}

/// A place on the list, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    listed: Arc<Listed>,
    registry: Arc<Registry>,
}

impl Registry {
    /// An empty list.
    pub fn new(metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            next: AtomicU64::new(1),
            open: Mutex::default(),
            metrics,
        })
    }

    /// Puts a session on the list, or names the limit that is reached.
    pub(super) fn admit(
        self: &Arc<Self>,
        endpoint: &Arc<str>,
        user: Option<&UserId>,
        (leg, address): (Leg, SocketAddr),
        limits: &Limits,
    ) -> Result<Place, &'static str> {
        let mut open = self.lock();
        let on_endpoint = open.by_endpoint.get(endpoint).copied().unwrap_or(0);
        if on_endpoint >= limits.max_sessions {
            return Err("max_sessions");
        }
        let of_user = user.map(|user| (endpoint.clone(), user.clone()));
        let of_user_open = of_user
            .as_ref()
            .and_then(|key| open.by_user.get(key))
            .copied();
        if of_user_open.unwrap_or(0) >= limits.max_sessions_per_user {
            return Err("max_sessions_per_user");
        }
        let listed = Arc::new(Listed {
            session: SessionId(self.next.fetch_add(1, Ordering::Relaxed)),
            endpoint: endpoint.clone(),
            user: user.cloned(),
            leg,
            address,
            since: SystemTime::now(),
            hears: OnceLock::new(),
            track: OnceLock::new(),
        });
        *open.by_endpoint.entry(endpoint.clone()).or_default() += 1;
        if let Some(key) = of_user {
            *open.by_user.entry(key).or_default() += 1;
        }
        open.sessions.insert(listed.session, listed.clone());
        let labels = listed.labels();
        self.metrics.sessions.get_or_create(&labels).inc();
        Ok(Place {
            listed,
            registry: self.clone(),
        })
    }

    /// The open sessions, oldest first, at most so many.
    pub fn list(&self, limit: usize) -> Vec<Arc<Listed>> {
        let mut all: Vec<_> = self.lock().sessions.values().cloned().collect();
        all.sort_unstable_by_key(|listed| listed.session);
        all.truncate(limit);
        all
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.lock().sessions.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listed {
    /// The topics it hears now, at most so many, and how many there are.
    pub fn topics(&self, limit: usize) -> (Vec<Topic>, usize) {
        let outbox = self.hears.get();
        outbox.map_or_else(Default::default, |outbox| outbox.topics(limit))
    }

    /// How it is spoken to; nothing on the app leg, nor once it leaves.
    pub fn form(&self) -> Option<Form> {
        let subscriber = self.hears.get()?.subscriber()?;
        Some(subscriber.form)
    }

    /// What waits to be written to it; nothing on the app leg.
    pub fn outbox(&self) -> Option<&Arc<Outbox>> {
        self.hears.get()
    }

    /// How far it has come in the feed; nothing on the app leg.
    pub fn progress(&self) -> Option<Progress> {
        self.track.get().map(Track::get)
    }

    /// The same, as it goes on.
    pub(super) fn track(&self) -> Option<Track> {
        self.track.get().cloned()
    }

    fn labels(&self) -> OnLeg {
        OnLeg {
            endpoint: Shared(self.endpoint.clone()),
            leg: self.leg,
        }
    }
}

impl Place {
    /// Its session is open: nothing can refuse it any more.
    pub(super) fn opened(&self) {
        let opened = &self.registry.metrics.sessions_opened;
        opened.get_or_create(&self.listed.labels()).inc();
    }

    /// Whose place it is.
    pub(super) fn listed(&self) -> &Listed {
        &self.listed
    }

    /// Where what the session hears, and how far it has come, can be looked up.
    pub(super) fn hears(&self, outbox: &Arc<Outbox>, track: Track) {
        // Once for each place.
        self.listed.hears.set(outbox.clone()).unwrap_or_default();
        self.listed.track.set(track).unwrap_or_default();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.registry.lock();
        open.sessions.remove(&self.listed.session);
        if let Some(count) = open.by_endpoint.get_mut(&self.listed.endpoint) {
            *count -= 1;
        }
        if let Some(user) = &self.listed.user {
            let key = (self.listed.endpoint.clone(), user.clone());
            if let Some(count) = open.by_user.get_mut(&key) {
                *count -= 1;
                if *count == 0 {
                    open.by_user.remove(&key);
                }
            }
        }
        self.registry
            .metrics
            .sessions
            .get_or_create(&self.listed.labels())
            .dec();
    }
}
