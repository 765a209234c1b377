//! One client, on a WebSocket or an event stream, from handshake to close.
//!
//! The service hands over a handshake on an endpoint's path; [`Sessions::open`]
//! decides who it is and on which leg it stands. On the app leg the socket is
//! relayed. On the feed leg `live` runs the triangle: subscribe, catch up, live.

mod adopt;
mod ask;
mod beats;
mod caller;
mod close;
mod deadlines;
mod desk;
pub mod events;
mod evidence;
mod fleet;
mod gather;
mod handshake;
mod identify;
mod live;
mod messages;
mod moments;
mod open;
mod origin;
mod outgoing;
mod past;
mod permit;
mod pings;
pub mod preview;
mod progress;
mod refuse;
mod registry;
mod resume;
mod seat;
mod socket;
mod way;

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt;
use tokio::{
    sync::Semaphore,
    time::{interval, sleep},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::error;

use crate::{
    event::SessionId,
    feed::Feed,
    hub::Hub,
    metrics::Metrics,
    presence::{Presence, Shown},
    routes::Tables,
    source::channel_layer,
};

pub use close::CloseReason;
pub use evidence::{Evidence, State, Trail};
pub use fleet::Room as Fleet;
pub use identify::Who;
pub use open::{Held, Opened};
pub use progress::Progress;
pub use registry::{Listed, Registry};

/// How often it is looked who may still come back.
const TEND: Duration = Duration::from_secs(1);

/// Calls to the app on behalf of clients at the same time.
const MAX_CALLS: usize = 128;

/// A number that no other has.
fn random() -> u128 {
    let mut bytes = [0; 16];
    // Without randomness the process could not have started: TLS and JWT need it.
    aws_lc_rs::rand::fill(&mut bytes).unwrap_or_default();
    u128::from_be_bytes(bytes)
}

/// What all sessions share.
#[derive(Debug)]
pub struct Sessions {
    hub: Arc<Hub>,
    feed: Arc<Feed>,
    metrics: Arc<Metrics>,
    tables: Tables,
    layer: channel_layer::Current,
    registry: Arc<Registry>,
    past: past::Past,
    asks: ask::Asks,
    adoptions: Arc<adopt::Adoptions>,
    presence: Presence<seat::Party>,
    /// Takes its place where other nodes share the feed.
    fleet: Option<fleet::Room>,
    /// Turns for calls to the app on behalf of clients.
    calls: Semaphore,
    tracker: TaskTracker,
    /// Counts what was relayed, to scatter its end.
    relays: AtomicU64,
    /// Everybody goes home.
    stop: CancellationToken,
}

impl Sessions {
    /// Nobody is here yet. Sessions run on `tracker` until they end or are sent home
    /// by `stop`.
    pub fn new(
        (hub, feed): (Arc<Hub>, Arc<Feed>),
        (tables, layer): (Tables, channel_layer::Current),
        metrics: Arc<Metrics>,
        tracker: TaskTracker,
        stop: CancellationToken,
    ) -> Arc<Self> {
        let registry = Registry::new(metrics.clone());
        let asks = ask::Asks::default();
        let adoptions = adopt::Adoptions::new(hub.clone(), feed.clone(), metrics.clone());
        let fleet = feed.is_shared().then(fleet::Room::new);
        Arc::new(Self {
            hub,
            feed,
            metrics,
            tables,
            layer,
            registry,
            past: past::Past::default(),
            asks,
            adoptions,
            presence: Presence::default(),
            fleet,
            calls: Semaphore::new(MAX_CALLS),
            tracker,
            relays: AtomicU64::new(0),
            stop,
        })
    }

    /// The app's channel layer, if one is configured: for who sends to groups.
    pub fn channel_layer(&self) -> Option<Arc<channel_layer::ChannelLayer>> {
        self.layer.borrow().clone()
    }

    /// The list of who is here.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// What they are sent.
    pub fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }

    /// Who of them hears what.
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// Forgets now and then whose window to come back is over.
    pub async fn tend(self: Arc<Self>, stop: CancellationToken) {
        let mut tick = interval(TEND);
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            self.adoptions.sweep();
        }
    }

    /// Keeps other nodes informed where sessions are whose clients cannot say it, until it
    /// is told to stop.
    pub async fn run_places(self: Arc<Self>, stop: CancellationToken) {
        self.adoptions.run(stop).await;
    }

    /// Who is online: how many keys there are, and the first of them with at most so
    /// many users.
    pub fn online(&self, limit: usize) -> (usize, Vec<Shown>) {
        self.presence.show(limit)
    }

    /// The nodes that share the feed, if any can.
    pub fn fleet(&self) -> Option<&Fleet> {
        self.fleet.as_ref()
    }

    /// Runs something to its end, counted among what a stop waits for.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tracker.spawn(task);
    }

    /// The same for what must not be left half done: after a panic it begins again.
    pub fn spawn_to_the_end<F>(&self, task: impl Fn() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tracker.spawn(to_the_end(task));
    }

    /// Waits until a relayed socket has to go home, another moment for each.
    pub fn home(self: &Arc<Self>) -> impl Future<Output = ()> + Send + use<> {
        let sessions = self.clone();
        let number = SessionId(self.relays.fetch_add(1, Ordering::Relaxed));
        async move {
            sessions.stop.cancelled().await;
            let spread = sessions.tables.borrow().spread;
            sleep(scattered(number, spread)).await;
        }
    }
}

async fn to_the_end<F: Future<Output = ()>>(task: impl Fn() -> F) {
    while AssertUnwindSafe(task()).catch_unwind().await.is_err() {
        error!("A task has panicked and begins again");
    }
}

/// A moment within `spread`, another for each session, so that not all come back
/// at the same time.
fn scattered(session: SessionId, spread: Duration) -> Duration {
    // Fibonacci hashing: neighbours land far apart, any run of ids fills the time.
    let hash = session.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    spread.mul_f64(hash as f64 / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_panics_begins_again() {
        let rounds = AtomicU64::new(0);
        to_the_end(|| async {
            assert!(
                rounds.fetch_add(1, Ordering::Relaxed) > 0,
                "the first round panics"
            );
        })
        .await;
        assert_eq!(rounds.into_inner(), 2);
    }
}
