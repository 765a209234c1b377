//! The one list of what exists: rooms built, sockets bound, run, stopped in phases.
//!
//! [`App::build`] binds everything and runs nothing, so that port 0 can be asked
//! for its number; [`App::run`] runs until the shutdown future is ready and then
//! goes through the phases of a stop.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{interval, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, info, warn};

use crate::{
    admin::{Admin, Phase, Readiness},
    config::{Loaded, Overrides, Stop},
    feed::Feed,
    hub::Hub,
    listen::{Listener, TlsError},
    metrics::Metrics,
    reload::{self, Reloader, Rooms},
    service::Service,
    session::Sessions,
    watch::FileWatch,
    wire::Watchdog,
};

/// How often idle connections to the app are looked through.
const POOL_TICK: Duration = Duration::from_millis(500);

/// An Outrigger with its sockets bound.
#[derive(Debug)]
pub struct App {
    listener: Listener,
    admin: Option<Listener>,
    service: Arc<Service>,
    sessions: Arc<Sessions>,
    feed: Arc<Feed>,
    hub: Arc<Hub>,
    metrics: Arc<Metrics>,
    reloader: Arc<Reloader>,
    readiness: Arc<Readiness>,
    changes: Option<Changes>,
    stop: Stop,
    ends: Ends,
}

/// What may change the routing while it runs.
#[derive(Debug)]
struct Changes {
    file: FileWatch,
    hangup: Signal,
}

/// The tokens and trackers of the phases of a stop.
#[derive(Clone, Debug, Default)]
struct Ends {
    /// No more connections.
    door: CancellationToken,
    /// Sessions go home.
    home: CancellationToken,
    /// Whatever is left is cut.
    cut: CancellationToken,
    connections: TaskTracker,
    sessions: TaskTracker,
    background: TaskTracker,
}

/// Why it does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A socket cannot be opened.
    #[error(transparent)]
    Listen(#[from] io::Error),
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl App {
    /// Builds the rooms and binds the sockets. `path` is the file that is watched.
    ///
    /// # Errors
    /// What cannot be opened.
    pub fn build(
        loaded: Loaded,
        path: Option<PathBuf>,
        overrides: Overrides,
    ) -> Result<Self, StartError> {
        reload::warn_of(&loaded.warnings);
        let changes = path.as_ref().and_then(|path| Changes::watch(path, &loaded));
        let settings = loaded.settings;
        let listener = Listener::bind(settings.listen.address)?;
        let admin = settings
            .admin
            .as_ref()
            .map(|admin| Listener::bind(admin.address))
            .transpose()?;
        let (metrics, ends) = (Metrics::new(), Ends::default());
        let feed = Feed::new(settings.feed.clone(), metrics.clone());
        let hub = Hub::new(feed.clone(), metrics.clone());
        let (stop, access_log) = (settings.stop.clone(), settings.log.access);
        let rooms = Rooms {
            feed: feed.clone(),
            metrics: metrics.clone(),
            tracker: ends.background.clone(),
            stop: ends.cut.clone(),
        };
        let reloader = Reloader::new(settings, (path, overrides), rooms)?;
        let sessions = Sessions::new(
            (hub.clone(), feed.clone()),
            reloader.tables(),
            metrics.clone(),
            ends.sessions.clone(),
            ends.home.clone(),
        );
        let watchdog = Watchdog::new(reload::timeouts(&reloader.door().borrow()));
        let service = Service::new(
            reloader.tables(),
            sessions.clone(),
            feed.clone(),
            metrics.clone(),
            (watchdog, access_log),
        );
        let readiness = Readiness::new(metrics.clone());
        Ok(Self {
            listener,
            admin,
            service,
            sessions,
            feed,
            hub,
            metrics,
            reloader,
            readiness,
            changes,
            stop,
            ends,
        })
    }

    /// Where clients connect.
    ///
    /// # Errors
    /// What the system says.
    pub fn listen_addr(&self) -> io::Result<SocketAddr> {
        self.listener.address()
    }

    /// Where operators look in, if anywhere.
    ///
    /// # Errors
    /// What the system says.
    pub fn admin_addr(&self) -> io::Result<Option<SocketAddr>> {
        self.admin.as_ref().map(Listener::address).transpose()
    }

    /// Runs until `shutdown` is ready, then stops in phases.
    ///
    /// # Errors
    /// The bound addresses cannot be told.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let listen = self.listen_addr()?;
        let admin = self.admin_addr()?.map(|address| address.to_string());
        let (feed, metrics, stop, ends, readiness) = (
            self.feed.clone(),
            self.metrics.clone(),
            self.stop.clone(),
            self.ends.clone(),
            self.readiness.clone(),
        );
        self.start();
        readiness.enter(Phase::Running);
        info!(%listen, admin = admin.as_deref().unwrap_or("off"), "Ready");
        shutdown.await;
        stop_in_phases(&feed, &readiness, &stop, &ends).await;
        drop(metrics);
        Ok(())
    }

    fn start(self) {
        let Self {
            listener,
            admin,
            service,
            sessions,
            hub,
            metrics,
            reloader,
            readiness,
            changes,
            ends,
            ..
        } = self;
        let Ends {
            door,
            cut,
            connections,
            background,
            ..
        } = ends;
        background.spawn(hub.run(cut.clone()));
        if let Some(changes) = changes {
            background.spawn(changes.follow(reloader.clone(), service.clone(), cut.clone()));
        }
        background.spawn(tend_pool(reloader.clone(), cut.clone()));
        let watched = service.clone();
        let token = cut.clone();
        background.spawn(async move { watched.watchdog().run(token).await });
        if let Some(listener) = admin {
            let admin = Admin::new(
                metrics,
                (reloader.tables(), reloader.status()),
                sessions,
                readiness,
            );
            background.spawn(admin.run(listener, cut.clone(), background.clone()));
        }
        background.spawn(listener.run(service, reloader.door(), door, connections));
    }
}

/// Each phase is logged and visible on `/ready`: told, door closed, sessions home,
/// the rest cut.
async fn stop_in_phases(feed: &Feed, readiness: &Readiness, stop: &Stop, ends: &Ends) {
    readiness.enter(Phase::Draining);
    info!(notice = ?stop.notice, "Stopping: telling balancers that we are");
    sleep(stop.notice).await;
    readiness.enter(Phase::DoorClosed);
    info!("Stopping: no more connections, no more events");
    ends.door.cancel();
    feed.close();
    readiness.enter(Phase::GoingHome);
    info!(spread = ?stop.spread, "Stopping: sending sessions home");
    ends.home.cancel();
    ends.connections.close();
    ends.sessions.close();
    let all = async {
        ends.connections.wait().await;
        ends.sessions.wait().await;
    };
    if timeout(stop.deadline, all).await.is_err() {
        let (connections, sessions) = (ends.connections.len(), ends.sessions.len());
        warn!(
            connections,
            sessions, "Stopping: cutting what is left at the deadline"
        );
    }
    ends.cut.cancel();
    ends.background.close();
    timeout(Duration::from_secs(1), ends.background.wait())
        .await
        .unwrap_or_default();
    readiness.enter(Phase::Stopped);
    info!("Stopped");
}

impl Changes {
    /// Begins before the process says that it is ready: from then on no change is
    /// missed and SIGHUP does not end it.
    fn watch(path: &Path, loaded: &Loaded) -> Option<Self> {
        let seen = loaded.text.expose().as_bytes().to_vec();
        match (FileWatch::new(path, seen), signal(SignalKind::hangup())) {
            (Ok(file), Ok(hangup)) => Some(Self { file, hangup }),
            (Err(error), _) | (_, Err(error)) => {
                error!(%error, "The config is not watched; changes need a restart");
                None
            }
        }
    }

    /// Follows the file, and SIGHUP.
    async fn follow(
        mut self,
        reloader: Arc<Reloader>,
        service: Arc<Service>,
        stop: CancellationToken,
    ) {
        loop {
            let bytes = tokio::select! {
                () = stop.cancelled() => return,
                bytes = self.file.changed() => Ok(bytes),
                _ = self.hangup.recv() => self.file.read(),
            };
            match bytes {
                Ok(bytes) => reloader.reload(&String::from_utf8_lossy(&bytes), service.watchdog()),
                Err(error) => reloader.unreadable(&error),
            }
        }
    }
}

async fn tend_pool(reloader: Arc<Reloader>, stop: CancellationToken) {
    let tables = reloader.tables();
    let mut tick = interval(POOL_TICK);
    while stop.run_until_cancelled(tick.tick()).await.is_some() {
        let app = tables.borrow().app.clone();
        app.close_idle();
    }
}
