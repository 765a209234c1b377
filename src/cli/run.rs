//! `outrigger run`: stand in front of an app until a signal says stop.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use tokio::signal::unix::{SignalKind, signal};

use super::RunArgs;
use crate::{
    app::App,
    config::{self, Loaded, Overrides, Report},
    logs,
};

/// A config that cannot be used (sysexits: EX_CONFIG).
pub(super) const BAD_CONFIG: u8 = 78;

/// The file that is taken where none is named.
const DEFAULT_FILE: &str = "outrigger.toml";

pub(super) fn run(args: RunArgs) -> ExitCode {
    let overrides = Overrides::from(args.overrides);
    let (path, loaded) = load(args.config, &overrides);
    match loaded {
        Ok(loaded) => serve(loaded, path, overrides),
        Err(report) => {
            say(&report.render(false));
            ExitCode::from(BAD_CONFIG)
        }
    }
}

/// The named file, else the one of this folder, else none.
pub(super) fn load(
    named: Option<PathBuf>,
    overrides: &Overrides,
) -> (Option<PathBuf>, Result<Loaded, Report>) {
    let path = named.or_else(|| {
        Path::new(DEFAULT_FILE)
            .exists()
            .then(|| DEFAULT_FILE.into())
    });
    let loaded = match &path {
        Some(path) => config::load(path, overrides),
        None => config::without_file(overrides),
    };
    (path, loaded)
}

fn serve(loaded: Loaded, path: Option<PathBuf>, overrides: Overrides) -> ExitCode {
    if let Err(error) = logs::start(&loaded.settings.log) {
        say(&format!("log.level cannot be read: {error}"));
        return ExitCode::from(BAD_CONFIG);
    }
    match start(loaded, path, overrides) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("outrigger cannot start: {error}"));
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
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    app.run(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
    .await?;
    Ok(())
}

/// Writes a line for people to standard error; where that is closed nobody reads.
pub(super) fn say(text: &str) {
    writeln!(std::io::stderr(), "{text}").unwrap_or_default();
}
