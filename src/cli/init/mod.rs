//! `outrigger init`: writes a first config, from answers or from a project's own code.
//!
//! `project` reads files, `python` parses them, `names` finds what a name means,
//! `follow` walks through consumers, `read` knows the frameworks, `propose` makes TOML
//! of what was found, `write` proves it, `report` tells about it. Nothing of the project
//! is run, and no secret is copied.

mod ask;
mod choices;
mod follow;
mod found;
mod names;
mod project;
mod propose;
mod python;
mod read;
mod report;
mod starter;
#[cfg(test)]
mod tests;
mod write;

use std::{
    fs::OpenOptions,
    io::{self, ErrorKind, IsTerminal, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
};

use clap::Args;

use self::{
    ask::Ask,
    choices::{Choices, Events, Method},
    found::{Found, Kind},
    project::Project,
};
use super::output::{Failure, print, say};
use crate::upstream::Address;

/// Write a first config, from your project's own code
///
/// With --from it reads the routing, the consumers and the settings of a Django Channels
/// project, or the WebSocket functions of a FastAPI one, and proposes a config: endpoints,
/// topics, frames, actions. What it could not translate it names with file and line, in
/// its report and in the config. It runs nothing of the project and copies no secret.
/// Every endpoint starts as rollout = "off": the app goes on serving its sockets.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment, after_help = EXAMPLES)]
pub(super) struct InitArgs {
    /// The project to read: its folder, or one file
    #[arg(long, value_name = "PATH")]
    from: Option<PathBuf>,
    /// What the app is made with [default: found out, or asked]
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// Where the app is: http://127.0.0.1:8000 or unix:/run/app.sock
    #[arg(long, value_name = "ADDRESS")]
    app: Option<Address>,
    /// Where clients shall connect [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// How users are known [default: found out, or asked]
    #[arg(long, value_enum)]
    auth: Option<Method>,
    /// The variable that holds the secret of the tokens, never the secret itself
    #[arg(long, value_name = "NAME", value_parser = variable)]
    secret_env: Option<String>,
    /// The path of the app that says who a user is
    #[arg(long, value_name = "PATH", value_parser = app_path, conflicts_with = "secret_env")]
    ask_url: Option<String>,
    /// Where events come from [default: webhook]
    #[arg(long, value_enum)]
    events: Option<Events>,
    /// The file to write
    #[arg(long, short, value_name = "FILE", default_value = "outrigger.toml")]
    output: PathBuf,
    /// Print the config and write no file; the report goes to standard error
    #[arg(long)]
    stdout: bool,
    /// Write over a file that is there
    #[arg(long)]
    force: bool,
    /// Ask nothing: take the defaults
    #[arg(long, short)]
    yes: bool,
}

const EXAMPLES: &str = "\
Examples:
  outrigger init
  outrigger init --from path/to/project
  outrigger init --from path/to/project --app http://127.0.0.1:8000 --yes --stdout
  outrigger init --kind fastapi --secret-env JWT_SECRET --yes

Questions come only on a terminal; without one, and with --yes, what no flag says is
found out or has its default.
Exit codes: 0 the config is written and passes `outrigger check` (also if not all could
be translated), 1 nothing is written, 2 the command line cannot be understood.";

pub(super) fn run(args: &InitArgs) -> Result<(), Failure> {
    if !args.stdout && !args.force {
        free(&args.output)?;
    }
    let project = args.from.as_deref().map(Project::read).transpose()?;
    let found = project
        .as_ref()
        .map(|project| read::read(project, args.kind));
    if let (Some(from), Some(found), Some(project)) = (&args.from, &found, &project) {
        something(from, found, project)?;
    }
    let choices = choose(args, found.as_ref())?;
    let layer = choices.events == Events::ChannelLayer;
    let drafts = found.as_ref().map(|found| propose::drafts(found, layer));
    let drafts = drafts.unwrap_or_else(|| starter::drafts(choices.kind));
    let written = write::write(&choices, drafts)?;
    if !args.stdout {
        store(&args.output, &written.text, args.force)?;
    }
    let mut report = Vec::new();
    if let (Some(project), Some(found)) = (&project, &found) {
        report.push(report::found(project, found, &written));
    }
    let file = args.output.display().to_string();
    if !args.stdout {
        report.push(format!("Written: {file}"));
    }
    report.push(report::next(&choices, &file, &written.drafts));
    let report = report.join("\n\n");
    if args.stdout {
        say(&report);
        return print(written.text.trim_end());
    }
    print(&report)
}

fn choose(args: &InitArgs, found: Option<&Found>) -> Result<Choices, Failure> {
    let stdin = io::stdin();
    if args.yes || !stdin.is_terminal() {
        return Choices::make(args, found, &mut Ask::Silent);
    }
    Choices::make(args, found, &mut Ask::Person(&mut stdin.lock()))
}

/// A project without a socket is a folder that was not meant.
fn something(from: &Path, found: &Found, project: &Project) -> Result<(), Failure> {
    if !found.endpoints.is_empty() {
        return Ok(());
    }
    let mut what = format!("no WebSocket path was found in {}", from.display());
    for note in found
        .notes
        .iter()
        .map(ToString::to_string)
        .chain(project.skipped.iter().cloned())
    {
        what.push_str(&format!("\n  {}", write::plain(&note)));
    }
    let help = "name the folder with asgi.py and routing.py, or the one with @app.websocket; \
                or leave out --from";
    Err(Failure::new(what, help))
}

fn free(path: &Path) -> Result<(), Failure> {
    match path.symlink_metadata() {
        Ok(_) => Err(taken(path)),
        Err(_) => Ok(()),
    }
}

fn taken(path: &Path) -> Failure {
    let what = format!("{} is there already", path.display());
    Failure::new(
        what,
        "name another file with --output, look with --stdout, or write over it with --force",
    )
}

/// Writes the file; without `force` only if there is none, to the last moment.
fn store(path: &Path, text: &str, force: bool) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    options.write(true);
    match force {
        true => options.create(true).truncate(true),
        false => options.create_new(true),
    };
    let written = options
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => taken(path),
        _ => Failure::new(
            format!("{} cannot be written: {error}", path.display()),
            "name another file with --output",
        ),
    })
}

fn variable(text: &str) -> Result<String, String> {
    text.parse::<choices::Variable>().map(|variable| variable.0)
}

fn app_path(text: &str) -> Result<String, String> {
    text.parse::<choices::AppPath>().map(|path| path.0)
}
