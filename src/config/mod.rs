//! Text becomes settings: TOML as written, checked as a whole, translated into
//! the settings that each room defines for itself. No room below knows that
//! TOML exists.
//!
//! `read` makes the raw file of the text, `check` makes [`Settings`] of the raw
//! file, and both note every [`Problem`] with its place. A [`Report`] shows them.

mod check;
mod mask;
mod named;
mod raw;
mod read;
mod report;
mod restart;
mod tree;
mod value;
mod words;

use std::{net::SocketAddr, path::Path, time::Duration};

use crate::{admin, feed, jwks, listen, logs, redis, routes, secret::Secret, source, upstream};

pub use report::{Problem, Report, Severity};
pub use restart::needs_restart;

/// Larger files are no configs.
const MOST_BYTES: u64 = 4 << 20;

/// Everything the file says, ready to be used.
#[derive(Debug)]
pub struct Settings {
    /// The front door.
    pub listen: listen::Settings,
    /// The second port, unless it is turned off.
    pub admin: Option<admin::Settings>,
    /// The app.
    pub app: upstream::Settings,
    /// Which neighbours are believed about `X-Forwarded-*`.
    pub trusted: routes::Trusted,
    /// How clients are told who they are.
    pub auth: routes::Auth,
    /// Where the verifier's keys are kept up to date from.
    pub jwks: Option<jwks::Settings>,
    /// The endpoints, in the order of the file, includes resolved.
    pub endpoints: Vec<routes::Endpoint>,
    /// The webhook.
    pub webhook: Option<routes::Webhook>,
    /// Which HTTP exchanges are events.
    pub exchanges: Vec<routes::Exchange>,
    /// Custom flags.
    pub flags: Vec<routes::Flag>,
    /// How much the feed remembers.
    pub feed: feed::Settings,
    /// The app's own event stream.
    pub sse: Option<source::sse::Settings>,
    /// The app's channel layer.
    pub channel_layer: Option<source::channel_layer::Settings>,
    /// The Redis for keys, if that is not the channel layer's.
    pub redis: Option<redis::Server>,
    /// How the process ends.
    pub stop: Stop,
    /// How logs are written.
    pub log: logs::Settings,
}

/// How the process ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// From `ready` saying 503 to the door closing, so that a balancer notices.
    pub notice: Duration,
    /// Sessions are sent home at random moments within this time.
    pub spread: Duration,
    /// After this long whatever is left is cut.
    pub deadline: Duration,
}

/// What the command line says louder than the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--app`: where the app is.
    pub app: Option<upstream::Address>,
    /// `--listen`: where clients connect.
    pub listen: Option<SocketAddr>,
    /// `--admin`: where operators look in.
    pub admin: Option<SocketAddr>,
}

/// A file that can be used.
#[derive(Debug)]
pub struct Loaded {
    /// What it says.
    pub settings: Settings,
    /// What somebody should look at; empty if nothing.
    pub warnings: Report,
    /// The text it was read from, so that a later change is known from it.
    pub text: Secret,
}

/// Reads a file, with secrets from the process's environment.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load(path: &Path, overrides: &Overrides) -> Result<Loaded, Report> {
    let unreadable = |why: String| {
        let problem = Problem::error(None, format!("{} cannot be read: {why}", path.display()));
        let help = "name another file with --config, or run without one: --app, --listen, --admin";
        Report::new(path, String::new(), vec![problem.help(help)])
    };
    let size = std::fs::metadata(path)
        .map_err(|error| unreadable(error.to_string()))?
        .len();
    if size > MOST_BYTES {
        return Err(unreadable(format!(
            "{size} bytes are too many for a config"
        )));
    }
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
    parse(&text, path, overrides, &environment)
}

/// The settings of a plain reverse proxy, where there is no file.
///
/// # Errors
/// The overrides do not fit together.
pub fn without_file(overrides: &Overrides) -> Result<Loaded, Report> {
    parse("", Path::new("(no file)"), overrides, &environment)
}

/// Reads a text. `origin` names it in reports, and relative paths in it start
/// from the folder of `origin`; `environment` is asked for secrets.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse(
    text: &str,
    origin: &Path,
    overrides: &Overrides,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Loaded, Report> {
    let read::Reading {
        file,
        mut problems,
        hurt,
    } = read::read(text);
    let folder = origin.parent().unwrap_or(Path::new(""));
    let mut check = check::Check::new((text, folder), environment, hurt);
    let settings = check::settings(&mut check, &file, overrides);
    problems.append(&mut check.problems);
    let report = Report::new(origin, mask::mask(text), problems);
    match report.has_errors() {
        true => Err(report),
        false => Ok(Loaded {
            settings,
            warnings: report,
            text: Secret::new(text),
        }),
    }
}

/// Reads a span of time as it is written in the file: `500ms`, `10s`, `5m`, `1h`, `7d`.
///
/// # Errors
/// It is none, or not more than none; the text says how one is written.
pub fn duration(text: &str) -> Result<Duration, String> {
    match value::Wait::try_from(text.to_owned()) {
        Ok(wait) => Ok(wait.0),
        Err(problem) => Err(problem.replace('\n', ": ")),
    }
}

/// A variable of the process's environment.
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
