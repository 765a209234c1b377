//! The one list of what exists: rooms built, sockets bound, run, stopped in phases.
//!
//! [`App::build`] binds everything and runs nothing, so that port 0 can be asked
//! for its number; [`App::run`] runs until the shutdown future is ready and then
//! goes through the phases of a stop.

mod changes;
#[cfg(test)]
mod properties;
mod stop;

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use tokio::time::interval;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::{
    admin::{Admin, Phase, Readiness},
    config::{Loaded, Overrides},
    feed::{Feed, OpenError},
    hub::Hub,
    listen::{Listener, TlsError},
    metrics::Metrics,
    reload::{self, Reloader, Rooms},
    service::Service,
    session::Sessions,
    wire::Watchdog,
};

use changes::Changes;
use stop::Ends;

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
    ends: Ends,
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
    /// The feed cannot be used.
    #[error(transparent)]
    Feed(#[from] OpenError),
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
        let listener = open(settings.listen.address, "clients", "listen")?;
        let admin = settings
            .admin
            .as_ref()
            .map(|admin| open(admin.address, "operators", "admin"))
            .transpose()?;
        let (metrics, ends) = (Metrics::new(), Ends::default());
        let feed = Feed::open(settings.feed.clone(), metrics.clone())?;
        let hub = Hub::new(feed.clone(), metrics.clone());
        let access_log = settings.log.access;
        let rooms = Rooms {
            feed: feed.clone(),
            demand: hub.demand().clone(),
            metrics: metrics.clone(),
            tracker: ends.background.clone(),
            readers: ends.readers.clone(),
            hush: ends.hush.clone(),
            stop: ends.cut.clone(),
        };
        let reloader = Reloader::new(settings, (path, overrides), rooms)?;
        let sessions = Sessions::new(
            (hub.clone(), feed.clone()),
            (reloader.tables(), reloader.channel_layer()),
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
            (watchdog, ends.door.clone(), access_log),
        );
        let readiness = Readiness::new(feed.clone(), metrics.clone());
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
    /// The bound addresses cannot be told, or a room that must never end has ended.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let listen = self.listen_addr()?;
        let admin = self.admin_addr()?.map(|address| address.to_string());
        let (feed, reloader) = (self.feed.clone(), self.reloader.clone());
        let (ends, readiness) = (self.ends.clone(), self.readiness.clone());
        let ended = self.start();
        readiness.enter(Phase::Running);
        say_ready(listen, admin.as_deref(), &reloader);
        let room = tokio::select! {
            () = shutdown => None,
            room = ended => Some(room),
        };
        if let Some(room) = room {
            error!(room, "A room has ended that must not; stopping");
        }
        stop::in_phases(&reloader.stop(), &feed, &readiness, &ends).await;
        room.map_or(Ok(()), |room| {
            Err(io::Error::other(format!("the {room} ended by itself")))
        })
    }

    /// Starts all tasks, and waits for the end of those that must not end.
    fn start(self) -> impl Future<Output = &'static str> {
        let Self {
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
            ends,
            ..
        } = self;
        let Ends {
            door,
            cut,
            hush,
            readers,
            connections,
            background,
            ..
        } = ends;
        let (marked, token) = (feed.clone(), cut.clone());
        background.spawn(async move { marked.marks().run(token).await });
        background.spawn(sessions.clone().run_places(cut.clone()));
        background.spawn(feed.run(cut.clone()));
        let hub = background.spawn(hub.run(cut.clone()));
        readers.spawn(sessions.clone().run_fleet(hush));
        if let Some(changes) = changes {
            background.spawn(changes.follow(reloader.clone(), service.clone(), cut.clone()));
        }
        background.spawn(tend_pool(reloader.clone(), cut.clone()));
        background.spawn(sessions.clone().tend(cut.clone()));
        let watched = service.clone();
        let token = cut.clone();
        background.spawn(async move { watched.watchdog().run(token).await });
        if let Some(listener) = admin {
            let admin = Admin::new(
                metrics,
                (reloader.tables(), reloader.status()),
                (sessions, reloader.event_stream()),
                readiness,
                (cut.clone(), background.clone()),
            );
            background.spawn(admin.run(listener));
        }
        let door = background.spawn(listener.run(service, reloader.door(), door, connections));
        async move {
            tokio::select! {
                _ = hub => "hub",
                _ = door => "front door",
            }
        }
    }
}

fn say_ready(listen: SocketAddr, admin: Option<&str>, reloader: &Reloader) {
    let tables = reloader.tables();
    let table = tables.borrow();
    let path = reloader.path().map(|path| path.display().to_string());
    info!(
        %listen,
        admin = admin.unwrap_or("off"),
        app = %table.app.settings().address,
        config = path.as_deref().unwrap_or("none (plain proxy)"),
        endpoints = table.endpoints.len(),
        "Ready"
    );
}

/// Opens one of the two doors, `key` in the file and on the command line.
fn open(address: SocketAddr, whom: &str, key: &str) -> io::Result<Listener> {
    Listener::bind(address).map_err(|error| {
        let way_out = match error.kind() {
            io::ErrorKind::AddrInUse => {
                format!("; `ss -ltnp` says who has it; --{key} or [{key}] address takes another")
            }
            _ => String::new(),
        };
        let message = format!("cannot listen on {address} for {whom}: {error}{way_out}");
        io::Error::new(error.kind(), message)
    })
}

async fn tend_pool(reloader: Arc<Reloader>, stop: CancellationToken) {
    let tables = reloader.tables();
    let mut tick = interval(POOL_TICK);
    while stop.run_until_cancelled(tick.tick()).await.is_some() {
        let app = tables.borrow().app.clone();
        app.close_idle();
    }
}
