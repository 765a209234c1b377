//! The command line: what was typed becomes a command, its end an exit code.

mod changes;
mod check;
mod demo;
mod explain;
mod file;
mod init;
mod output;
mod publish;
mod reach;
mod run;
mod tail;
mod token;
mod trace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Realtime beside the Django or FastAPI app you already have.
///
/// Outrigger stands in front of the app, forwards HTTP unchanged, and takes over
/// its WebSocket endpoints one at a time, fed by a signed webhook.
///
/// Try it:                       outrigger demo
/// Put it in front of an app:    outrigger run --app http://127.0.0.1:8000
/// What would happen, and why:   outrigger explain GET /ws/notifications/ --user 42
/// Who got an event, or why not: outrigger trace EVENT --user 42
#[derive(Debug, Parser)]
#[command(name = "outrigger", version, verbatim_doc_comment, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0   done
  1   failed; standard error says why and what to do
  2   the command line cannot be understood
  78  `run` cannot use its config";

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::InitArgs),
    Run(run::RunArgs),
    Check(check::CheckArgs),
    Explain(explain::ExplainArgs),
    Token(token::TokenArgs),
    Publish(publish::PublishArgs),
    Tail(tail::TailArgs),
    Trace(trace::TraceArgs),
    /// See it work: a small app, Outrigger in front of it, and a page
    Demo(demo::DemoArgs),
}

/// Runs the command that was typed.
pub fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run(args) => return run::run(args),
        Command::Demo(args) => return demo::run(&args),
        Command::Init(args) => init::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Explain(args) => explain::run(args),
        Command::Token(args) => token::run(args),
        Command::Publish(args) => publish::run(args),
        Command::Tail(args) => tail::run(args),
        Command::Trace(args) => match trace::run(args) {
            Ok(code) => return code,
            Err(failure) => Err(failure),
        },
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::say(&failure.to_string());
            ExitCode::FAILURE
        }
    }
}
