//! The file changed: check it, then swap the table whole or keep the old one.
//!
//! What did not change is carried over as it is, so that nobody notices: the app's
//! pool, endpoints (and with them their sessions), key sets, the event stream.

mod door;
mod running;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{sync::watch, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, info, warn};

use crate::{
    config::{self, Overrides, Report, Settings, Stop},
    demand::Demand,
    feed::Feed,
    jwks::{self, Jwks},
    listen::{self, Door},
    metrics::{Ended, Metrics},
    redis::{Redis, Server},
    routes::{Auth, FileStatus, Method, RouteTable, Swap, Tables},
    source::{
        channel_layer::{self, ChannelLayer},
        sse::{self, Stream},
    },
    upstream::Upstream,
    wire::Watchdog,
};

pub use door::timeouts;

use door::door;
use running::Running;

/// A session that has not looked for so many tables starts with the oldest of them.
const MAX_SWAPS: usize = 32;

/// Makes tables out of settings and hands them out.
#[derive(Debug)]
pub struct Reloader {
    path: Option<PathBuf>,
    overrides: Overrides,
    tables: watch::Sender<Arc<RouteTable>>,
    door: watch::Sender<Door>,
    channel_layer: watch::Sender<Option<Arc<ChannelLayer>>>,
    event_stream: watch::Sender<Option<Arc<Stream>>>,
    status: watch::Sender<FileStatus>,
    rooms: Rooms,
    state: Mutex<State>,
}

/// What tables are made with, and where their tasks run.
#[derive(Clone, Debug)]
pub struct Rooms {
    /// The feed that sources fill.
    pub feed: Arc<Feed>,
    /// Which topics have listeners.
    pub demand: Arc<Demand>,
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// Where tasks run.
    pub tracker: TaskTracker,
    /// Where tasks run that fetch events.
    pub readers: TaskTracker,
    /// Ends those.
    pub hush: CancellationToken,
    /// Ends all others.
    pub stop: CancellationToken,
}

#[derive(Debug)]
struct State {
    /// As at the start of the process, for what needs a restart.
    started: Arc<Settings>,
    jwks: Option<Running<jwks::Settings, Arc<Jwks>>>,
    sse: Option<Running<sse::Settings, Arc<Stream>>>,
    channel_layer: Option<Running<channel_layer::Settings, Arc<ChannelLayer>>>,
    /// Where steps put keys, if that is not the channel layer's.
    redis: Option<(Server, Arc<Redis>)>,
    stop: Stop,
}

impl Reloader {
    /// Makes the first table.
    ///
    /// # Errors
    /// The certificate cannot be used.
    pub fn new(
        settings: Settings,
        (path, overrides): (Option<PathBuf>, Overrides),
        rooms: Rooms,
    ) -> Result<Arc<Self>, listen::TlsError> {
        let door = door(&settings)?;
        let started = Arc::new(settings);
        let status = FileStatus::in_force(path.as_deref());
        let mut state = State {
            started: started.clone(),
            jwks: None,
            sse: None,
            channel_layer: None,
            redis: None,
            stop: started.stop.clone(),
        };
        let table = rooms.table(&started, None, &mut state);
        let layer = state.channel_layer.as_ref();
        let layer = layer.map(|running| running.handle.clone());
        let stream = state.sse.as_ref();
        let stream = stream.map(|running| running.handle.clone());
        rooms.metrics.config_generation.set(1);
        Ok(Arc::new(Self {
            path,
            overrides,
            tables: watch::Sender::new(Arc::new(table)),
            door: watch::Sender::new(door),
            channel_layer: watch::Sender::new(layer),
            event_stream: watch::Sender::new(stream),
            status: watch::Sender::new(status),
            rooms,
            state: Mutex::new(state),
        }))
    }

    /// The table of the moment.
    pub fn tables(&self) -> Tables {
        self.tables.subscribe()
    }

    /// How the process ends, as the running table's file says.
    pub fn stop(&self) -> Stop {
        self.lock().stop.clone()
    }

    /// What new connections meet.
    pub fn door(&self) -> watch::Receiver<Door> {
        self.door.subscribe()
    }

    /// The app's event stream of the moment.
    pub fn event_stream(&self) -> sse::Current {
        self.event_stream.subscribe()
    }

    /// The app's channel layer of the moment.
    pub fn channel_layer(&self) -> channel_layer::Current {
        self.channel_layer.subscribe()
    }

    /// The file that is watched, if there is one.
    pub fn path(&self) -> Option<&PathBuf> {
        self.path.as_ref()
    }

    /// How the file and the running table stand to each other.
    pub fn status(&self) -> watch::Receiver<FileStatus> {
        self.status.subscribe()
    }

    /// Takes up a new text, or keeps the running table and says why.
    pub fn reload(&self, bytes: &[u8], watchdog: &Watchdog) {
        let Some(path) = &self.path else { return };
        let began = Instant::now();
        match self
            .parse(bytes, path)
            .and_then(|settings| self.apply(&settings, watchdog))
        {
            Ok(generation) => {
                let took = began.elapsed();
                info!(generation, ?took, "Reloaded");
            }
            Err(refused) => self.refuse(refused.to_string()),
        }
    }

    /// A file that became empty is a mishap, not the wish for a plain proxy.
    fn parse(&self, bytes: &[u8], path: &Path) -> Result<Settings, Refused> {
        let text = std::str::from_utf8(bytes).map_err(|_| Refused::NotUtf8)?;
        if text.trim().is_empty() {
            return Err(Refused::Empty);
        }
        let loaded = config::parse(text, path, &self.overrides, &config::environment);
        let loaded = loaded.map_err(|report| Refused::Report(Box::new(report)))?;
        warn_of(&loaded.warnings);
        Ok(loaded.settings)
    }

    /// The file cannot be read: nothing changes, and the status says why.
    pub fn unreadable(&self, error: &std::io::Error) {
        self.refuse(format!("the file cannot be read: {error}"));
    }

    fn apply(&self, settings: &Settings, watchdog: &Watchdog) -> Result<u64, Refused> {
        let door = door(settings)?;
        let mut state = self.lock();
        let needs_restart = config::needs_restart(&state.started, settings);
        for key in &needs_restart {
            warn!(key, "This change needs a restart; all others are in force");
        }
        let old = self.tables.borrow().clone();
        let mut table = self.rooms.table(settings, Some(&old), &mut state);
        let generation = table.generation;
        watchdog.set_limits(timeouts(&door));
        self.door.send_replace(door);
        table.swaps.push(Swap {
            since: self.rooms.feed.head().offset,
            endpoints: table.endpoints.clone(),
        });
        let layer = state.channel_layer.as_ref();
        let layer = layer.map(|running| running.handle.clone());
        self.channel_layer.send_replace(layer);
        let stream = state.sse.as_ref();
        let stream = stream.map(|running| running.handle.clone());
        self.event_stream.send_replace(stream);
        let moved = !Arc::ptr_eq(&old.app, &table.app);
        self.tables.send_replace(Arc::new(table));
        if moved {
            old.app.retire();
        }
        state.stop = settings.stop.clone();
        drop(state);
        let status = FileStatus::in_force(self.path.as_deref());
        self.status.send_replace(FileStatus {
            needs_restart,
            ..status
        });
        self.count("applied", 0);
        self.rooms
            .metrics
            .config_generation
            .set(i64::try_from(generation).unwrap_or(i64::MAX));
        Ok(generation)
    }

    fn refuse(&self, why: String) {
        error!("Reload refused; keeping the running table\n{why}");
        self.status.send_modify(|status| status.refused = Some(why));
        self.count("refused", 1);
    }

    fn count(&self, result: &'static str, stale: i64) {
        self.rooms
            .metrics
            .reloads
            .get_or_create(&Ended { result })
            .inc();
        self.rooms.metrics.config_stale.set(stale);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a text is not taken up.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("the file is empty; write a comment into it if that is meant")]
    Empty,
    #[error("the file is no UTF-8 text")]
    NotUtf8,
    #[error("{}", .0.render(false))]
    Report(Box<Report>),
    #[error(transparent)]
    Tls(#[from] listen::TlsError),
}

impl Rooms {
    /// A table out of settings and whatever of the old one has not changed.
    fn table(
        &self,
        settings: &Settings,
        old: Option<&RouteTable>,
        state: &mut State,
    ) -> RouteTable {
        let jwks = self.jwks(settings.jwks.as_ref(), &mut state.jwks);
        self.follow_stream(settings.sse.as_ref(), &mut state.sse);
        self.follow_layer(settings.channel_layer.as_ref(), &mut state.channel_layer);
        RouteTable {
            generation: old.map_or(1, |old| old.generation + 1),
            swaps: old.map(latest_swaps).unwrap_or_default(),
            app: self.app(settings, old),
            trusted: settings.trusted.clone(),
            auth: with_keys(&settings.auth, jwks.as_ref()),
            endpoints: settings
                .endpoints
                .iter()
                .map(|endpoint| kept(endpoint, old))
                .collect(),
            webhook: settings.webhook.clone(),
            exchanges: settings.exchanges.iter().cloned().map(Arc::new).collect(),
            flags: settings.flags.clone(),
            jwks,
            keys: keys(settings, state),
            spread: settings.stop.spread,
        }
    }

    fn app(&self, settings: &Settings, old: Option<&RouteTable>) -> Arc<Upstream> {
        match old
            .map(|old| &old.app)
            .filter(|app| *app.settings() == settings.app)
        {
            Some(app) => app.clone(),
            None => Upstream::new(settings.app.clone(), self.metrics.clone()),
        }
    }
}

/// Where steps put keys: a Redis of its own, which is kept while it is the same one, or
/// the channel layer's.
fn keys(settings: &Settings, state: &mut State) -> Option<Arc<Redis>> {
    let running = state.redis.take();
    state.redis = settings.redis.as_ref().map(|server| {
        let same = running.filter(|(running, _)| running == server);
        same.unwrap_or_else(|| (server.clone(), Redis::new(server.clone())))
    });
    let layer = state.channel_layer.as_ref();
    let layer = layer.and_then(|layer| layer.handle.redis().cloned());
    let own = state.redis.as_ref().map(|(_, redis)| redis.clone());
    own.or(layer)
}

/// What sessions that have not seen the latest tables yet have to know.
fn latest_swaps(old: &RouteTable) -> Vec<Swap> {
    let skip = (old.swaps.len() + 1).saturating_sub(MAX_SWAPS);
    old.swaps.iter().skip(skip).cloned().collect()
}

/// An endpoint that is as it was stays the very same one: its sessions see that
/// nothing concerns them.
fn kept(
    endpoint: &crate::routes::Endpoint,
    old: Option<&RouteTable>,
) -> Arc<crate::routes::Endpoint> {
    match old
        .and_then(|old| old.endpoint(&endpoint.name))
        .filter(|old| ***old == *endpoint)
    {
        Some(same) => same.clone(),
        None => Arc::new(endpoint.clone()),
    }
}

/// The rules of the file with the keys that are kept up to date.
fn with_keys(auth: &Auth, jwks: Option<&Arc<Jwks>>) -> Auth {
    let mut auth = auth.clone();
    if let (Method::Jwt(verifier), Some(jwks)) = (&mut auth.method, jwks) {
        Arc::make_mut(verifier).keys = jwks.keys().clone();
    }
    auth
}

/// Logs what somebody should look at.
pub fn warn_of(warnings: &Report) {
    if !warnings.is_empty() {
        warn!("The config can be used, but\n{}", warnings.render(false));
    }
}
