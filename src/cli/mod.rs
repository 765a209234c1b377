//! The command line: what was typed becomes a command, its end an exit code.

mod demo;
mod run;

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

use crate::{config::Overrides, upstream::Address};

/// Realtime beside the Django or FastAPI app you already have.
///
/// Outrigger stands in front of the app, forwards HTTP unchanged, and takes over
/// its WebSocket endpoints one at a time, fed by a signed webhook. Try it with
/// `outrigger demo`; put it in front of an app with
/// `outrigger run --app http://127.0.0.1:8000`.
#[derive(Debug, Parser)]
#[command(name = "outrigger", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Stand in front of an app
    Run(RunArgs),
    /// See it work: a small app, Outrigger in front of it, and a page
    Demo(demo::DemoArgs),
}

/// Without a config this is a plain reverse proxy; with one (outrigger.toml in this
/// folder is taken by itself) it serves the endpoints named there and follows every
/// change of the file. SIGHUP reads it again, SIGTERM stops in good order.
#[derive(Args, Debug)]
struct RunArgs {
    /// The config file [default: outrigger.toml, if it is there]
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    overrides: OverrideArgs,
}

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

/// Runs the command that was typed.
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run(args) => run::run(args),
        Command::Demo(args) => demo::run(&args),
    }
}
