//! What one node does for all: the lease on it is taken by whoever comes first, renewed
//! as long as that node lives, and given back when it stops.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, timeout},
};
use tracing::{info, warn};

use super::{lock, scripts::Scripts};

/// How long a lease lasts that is not renewed.
const TTL: Duration = Duration::from_secs(6);
/// How often it is.
const RENEW: Duration = Duration::from_secs(1);
/// To give leases back at the end.
const GOODBYE: Duration = Duration::from_millis(500);

/// Whether something is this node's to do. Given back when all its clones are dropped.
#[derive(Clone, Debug)]
pub struct Lease(Option<Arc<watch::Sender<bool>>>);

impl Lease {
    /// Of a feed that is not shared: always held.
    pub(in crate::feed) fn always() -> Self {
        Self(None)
    }

    /// Whether it is held now.
    pub fn is_held(&self) -> bool {
        self.0.as_ref().is_none_or(|held| *held.borrow())
    }

    /// Waits until it is held.
    pub async fn held(&self) {
        self.becomes(true).await;
    }

    /// Waits until it is not held any more: whoever did something by it has to stop.
    pub async fn lost(&self) {
        self.becomes(false).await;
    }

    async fn becomes(&self, wanted: bool) {
        match &self.0 {
            Some(held) => {
                let mut held = held.subscribe();
                // The sender is ours: it does not go away.
                held.wait_for(|held| *held == wanted).await.ok();
            }
            None if wanted => {}
            None => std::future::pending().await,
        }
    }
}

/// The leases that this node wants.
#[derive(Debug)]
pub(super) struct Leases {
    node: Arc<str>,
    wanted: Mutex<HashMap<String, Wanted>>,
    changed: Notify,
}

#[derive(Clone, Debug)]
struct Wanted {
    held: Weak<watch::Sender<bool>>,
    /// Until when it is surely this node's.
    until: Option<Instant>,
}

impl Leases {
    pub(super) fn new(node: Arc<str>) -> Self {
        Self {
            node,
            wanted: Mutex::default(),
            changed: Notify::new(),
        }
    }

    pub(super) fn want(&self, key: String) -> Lease {
        let mut wanted = lock(&self.wanted);
        if let Some(held) = wanted.get(&key).and_then(|wanted| wanted.held.upgrade()) {
            return Lease(Some(held));
        }
        let held = Arc::new(watch::Sender::new(false));
        let one = Wanted {
            held: Arc::downgrade(&held),
            until: None,
        };
        wanted.insert(key, one);
        self.changed.notify_one();
        Lease(Some(held))
    }

    /// Takes and renews what is wanted.
    pub(super) async fn keep(&self, scripts: &Scripts) {
        loop {
            let all: Vec<_> = lock(&self.wanted).clone().into_iter().collect();
            for (key, one) in all {
                match one.held.upgrade() {
                    Some(held) => self.renew(scripts, &key, &held, one.until).await,
                    None => self.forget(scripts, &key).await,
                }
            }
            tokio::select! {
                () = sleep(RENEW) => {}
                () = self.changed.notified() => {}
            }
        }
    }

    /// Gives back what is held.
    pub(super) async fn give_back(&self, scripts: &Scripts) {
        let keys: Vec<_> = lock(&self.wanted).drain().collect();
        let all = async {
            for (key, one) in keys {
                if let Some(held) = one.held.upgrade() {
                    held.send_replace(false);
                }
                scripts.release(&key, &self.node).await.ok();
            }
        };
        timeout(GOODBYE, all).await.ok();
    }

    async fn renew(
        &self,
        scripts: &Scripts,
        key: &str,
        held: &watch::Sender<bool>,
        until: Option<Instant>,
    ) {
        let asked = Instant::now();
        // It must end before others may think so.
        let left = until.map_or(TTL, |until| until.saturating_duration_since(asked));
        let answer = timeout(left.max(RENEW), scripts.lease(key, &self.node, TTL)).await;
        let until = match answer {
            Ok(Ok(true)) => Some(asked + TTL),
            Ok(Ok(false)) => None,
            Ok(Err(_)) | Err(_) => until.filter(|until| Instant::now() + RENEW < *until),
        };
        if held.send_replace(until.is_some()) != until.is_some() {
            match until {
                Some(_) => info!(lease = key, "This node does it for all"),
                None => warn!(lease = key, "Another node does it from now on"),
            }
        }
        if let Some(one) = lock(&self.wanted).get_mut(key) {
            one.until = until;
        }
    }

    async fn forget(&self, scripts: &Scripts, key: &str) {
        // Unless somebody has asked for it again.
        let is_unwanted = |wanted: &HashMap<String, Wanted>| {
            wanted
                .get(key)
                .is_some_and(|one| one.held.strong_count() == 0)
        };
        {
            let mut wanted = lock(&self.wanted);
            if !is_unwanted(&wanted) {
                return;
            }
            wanted.remove(key);
        }
        scripts.release(key, &self.node).await.ok();
    }
}
