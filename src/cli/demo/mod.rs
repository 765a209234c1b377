//! `outrigger demo`: a small app of its own, a real Outrigger in front of it,
//! and a page to look at both. This room starts them, says where they are, and
//! stops them; nothing in it is a short cut around the product.

mod app;
mod folder;
mod people;
mod publish;
mod python;
mod sockets;
mod switch;
mod world;

use std::{
    error::Error,
    io::{self, Write},
    net::{Ipv4Addr, SocketAddr},
    process::{Command, ExitCode, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    app::DemoApp,
    folder::Folder,
    publish::{Delivery, publisher},
    switch::Switch,
    world::World,
};
use super::output::say;
use crate::{
    app::App,
    config::{self, Overrides},
    logs,
    metrics::Metrics,
    upstream::{self, Address, Upstream},
};

/// How long the app's own sockets may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(2);
/// For everything on loopback that should take no time at all.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whatever is in the way of a start.
type Failure = Box<dyn Error + Send + Sync>;

/// Starts a small app with Outrigger in front of it and shows both in a browser: two
/// users, their sockets and frames, and a switch that edits the live config file.
#[derive(Debug, clap::Args)]
pub(super) struct DemoArgs {
    /// Port of Outrigger, where the page is; another one is taken if it is in use
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Port of the demo's app; 0 takes any
    #[arg(long, default_value_t = 0)]
    app_port: u16,
    /// Port of Outrigger's admin pages; 0 takes any
    #[arg(long, default_value_t = 0)]
    admin_port: u16,
    /// Open the page in a browser (with xdg-open)
    #[arg(long)]
    open: bool,
}

/// Where everything is.
struct Places {
    page: SocketAddr,
    admin: SocketAddr,
    app: SocketAddr,
}

/// The app's side of the demo, listening.
struct Legacy {
    folder: Folder,
    app: Arc<DemoApp>,
    delivery: Delivery,
    listener: TcpListener,
}

/// Runs the demo until a signal says stop.
pub(super) fn run(args: &DemoArgs) -> ExitCode {
    match start(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("the demo cannot run: {error}"));
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn start(args: &DemoArgs) -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let legacy = Legacy::bind(args.app_port).await?;
    let outrigger = legacy.put_outrigger_in_front(args)?;
    let places = Places {
        page: outrigger.listen_addr()?,
        admin: outrigger
            .admin_addr()?
            .ok_or("the config has no admin port")?,
        app: legacy.listener.local_addr()?,
    };
    announce(&places, &legacy)?;
    if args.open {
        open_browser(places.page);
    }
    let (app, folder) = legacy.serve(&places);
    let signals = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        // Both stop at once: relayed sockets are the app's to close.
        app.stop.cancel();
    };
    outrigger.run(signals).await?;
    app.tasks.close();
    timeout(GOODBYE, app.tasks.wait()).await.unwrap_or_default();
    drop(folder);
    Ok(())
}

impl Legacy {
    async fn bind(port: u16) -> io::Result<Self> {
        let folder = Folder::new()?;
        let secret = folder.write_secret("jwt.secret", "")?;
        let (publisher, delivery) = publisher(folder.write_secret("webhook.secret", "whsec_")?);
        let listener = TcpListener::bind(loopback(port)).await?;
        let app = Arc::new(DemoApp {
            secret,
            world: Mutex::new(World::new(publisher)),
            switch: Switch::new(folder.config()),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        Ok(Self {
            folder,
            app,
            delivery,
            listener,
        })
    }

    /// Writes the config file and builds an Outrigger by it, as `outrigger run` does.
    fn put_outrigger_in_front(&self, args: &DemoArgs) -> Result<App, Failure> {
        self.folder.write_config(
            &loopback(free_port(args.port)?).to_string(),
            &self.listener.local_addr()?.to_string(),
            &loopback(args.admin_port).to_string(),
        )?;
        let (path, overrides) = (self.folder.config(), Overrides::default());
        let loaded = config::load(&path, &overrides).map_err(|report| report.render(false))?;
        logs::start(&loaded.settings.log)?;
        Ok(App::build(loaded, Some(path), overrides)?)
    }

    /// Lets the app answer and tell Outrigger what happens.
    fn serve(self, places: &Places) -> (Arc<DemoApp>, Folder) {
        let metrics = Metrics::new();
        let (app, front) = (self.app, neighbour(places.page, &metrics));
        app.switch.watch(neighbour(places.admin, &metrics));
        app.tasks.spawn(app.clone().serve(self.listener));
        app.tasks.spawn(self.delivery.run(front, app.stop.clone()));
        (app, self.folder)
    }
}

fn announce(places: &Places, legacy: &Legacy) -> io::Result<()> {
    let config = legacy.folder.config();
    writeln!(
        io::stdout().lock(),
        "Outrigger stands in front of a small app. Both run here, on loopback only.\n\n  \
         page     http://{}/\n  \
         config   {}\n  \
         admin    http://{}/routes  /sessions  /metrics\n  \
         app      http://{}/  (behind Outrigger; it needs no visitors)\n\n\
         Try this on the page:\n  \
         1. Let Ada and Zo\u{eb} notify each other: their frames come from the app's own sockets.\n  \
         2. Turn the switch to Realtime: the config file is edited and reloaded, no socket\n     \
         drops, and each user's three sockets become one.\n  \
         3. Tick `old frontend`: the three old paths, served by Outrigger, the same bytes.\n  \
         4. Edit the config file in an editor, with a mistake too, and save it.\n\n\
         Ctrl-C stops it.",
        places.page,
        config.display(),
        places.admin,
        places.app,
    )
}

/// The port that was asked for; 0, and a word about it, if somebody else has it.
fn free_port(port: u16) -> io::Result<u16> {
    match std::net::TcpListener::bind(loopback(port)) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let text = format!("Port {port} is in use; another one is taken.");
            writeln!(io::stdout().lock(), "{text}")?;
            Ok(0)
        }
        other => other.map(|_| port),
    }
}

/// Opens the page; whoever has no xdg-open has the address in front of them.
fn open_browser(page: SocketAddr) {
    let mut command = Command::new("xdg-open");
    command.arg(format!("http://{page}/")).stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    if let Err(error) = command.spawn() {
        tracing::warn!(%error, "No browser opened");
    }
}

/// A server of our own on loopback, to be called.
fn neighbour(address: SocketAddr, metrics: &Arc<Metrics>) -> Arc<Upstream> {
    let address = Address::Tcp {
        host: address.ip().to_string(),
        port: address.port(),
    };
    let settings = upstream::Settings {
        address,
        connect_timeout: PATIENCE,
        response_timeout: PATIENCE,
        idle_timeout: PATIENCE,
        keep_alive: PATIENCE,
        max_connections: 8,
    };
    Upstream::new(settings, metrics.clone())
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}
