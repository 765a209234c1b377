//! `outrigger run`: stand in front of an app until a signal says stop.

use std::{io, net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::Args;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
};

use super::{
    file::{self, ConfigArg},
    output::{render, say},
};
use crate::{
    app::App,
    config::{Loaded, Overrides},
    logs,
    upstream::Address,
};

/// A config that cannot be used (sysexits: EX_CONFIG).
const BAD_CONFIG: u8 = 78;

/// Stand in front of an app
///
/// Without a config this is a plain reverse proxy; with one (outrigger.toml in this
/// folder is taken by itself) it serves the endpoints named there and follows every
/// change of the file. SIGHUP reads it again, SIGTERM stops in good order.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment, after_help = EXAMPLES)]
pub(super) struct RunArgs {
    #[command(flatten)]
    config: ConfigArg,
    #[command(flatten)]
    overrides: OverrideArgs,
}

const EXAMPLES: &str = "\
Examples:
  outrigger run --app http://127.0.0.1:8000
  outrigger run --config outrigger.toml --listen 0.0.0.0:8080

Exit codes: 0 stopped in good order, 1 failed, 78 the config cannot be used.";

#[derive(Args, Clone, Debug)]
struct OverrideArgs {
    /// Where the app is: http://127.0.0.1:8000 or unix:/run/app.sock
    #[arg(long, value_name = "ADDRESS")]
    app: Option<Address>,
    /// Where clients connect [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Where operators look in [default: 127.0.0.1:9464]
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
}

impl From<OverrideArgs> for Overrides {
    fn from(args: OverrideArgs) -> Self {
        Self {
            app: args.app,
            listen: args.listen,
            admin: args.admin,
        }
    }
}

pub(super) fn run(args: RunArgs) -> ExitCode {
    let overrides = Overrides::from(args.overrides);
    let path = file::find(args.config.config);
    match file::load(path.as_deref(), &overrides) {
        Ok(loaded) => serve(loaded, path, overrides),
        Err(report) => {
            say(&render(&report));
            ExitCode::from(BAD_CONFIG)
        }
    }
}

fn serve(loaded: Loaded, path: Option<PathBuf>, overrides: Overrides) -> ExitCode {
    if let Err(error) = logs::start(&loaded.settings.log) {
        say(&format!("log.level cannot be read: {error}"));
        return ExitCode::from(BAD_CONFIG);
    }
    match start(loaded, path, overrides) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("outrigger: {error}"));
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn start(
    loaded: Loaded,
    path: Option<PathBuf>,
    overrides: Overrides,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let app = App::build(loaded, path, overrides)?;
    let mut signals = Signals::new()?;
    let (first, again) = oneshot::channel();
    let running = app.run(async { again.await.unwrap_or_default() });
    let asked = async move {
        signals.next().await;
        // Whoever asks a second time does not want to wait for the phases.
        first.send(()).unwrap_or_default();
        signals.next().await;
    };
    tokio::select! {
        ended = running => Ok(ended?),
        () = asked => Err("stopped at once by a second signal".into()),
    }
}

/// SIGTERM, and SIGINT from a keyboard.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
