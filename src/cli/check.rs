//! `outrigger check`: everything that is wrong with a config, and what a change
//! of it would do.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{
    changes, file,
    output::{Failure, print, render, say},
};
use crate::config::{Settings, Severity};

/// Say everything that is wrong with a config
///
/// Reads a config as `run` does, with the secrets of this environment, and says all
/// problems at once. With warnings alone the file can be used.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment, after_help = EXAMPLES)]
pub(super) struct CheckArgs {
    /// The file to check
    #[arg(value_name = "FILE", default_value = "outrigger.toml")]
    file: PathBuf,
    /// The file as it runs now: say what the change does, and what of it needs a restart
    #[arg(long, value_name = "FILE")]
    running: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  outrigger check outrigger.toml
  outrigger check new.toml --running outrigger.toml

Relative paths start from the folder of each file, so keep both in the same one.
Exit codes: 0 it can be used (warnings too), 1 it cannot.";

pub(super) fn run(args: &CheckArgs) -> Result<(), Failure> {
    let loaded = file::read(&args.file)?;
    let warnings = loaded.warnings.problems().iter();
    let warnings = warnings.filter(|problem| problem.severity == Severity::Warning);
    let verdict = match warnings.count() {
        0 => "is good".to_owned(),
        1 => "can be used, with the warning above".to_owned(),
        count => format!("can be used, with the {count} warnings above"),
    };
    if !loaded.warnings.is_empty() {
        say(&render(&loaded.warnings));
        say("");
    }
    let summary = summary(&loaded.settings);
    print(&format!("{} {verdict}: {summary}", args.file.display()))?;
    match &args.running {
        Some(running) => compare(running, &loaded.settings),
        None => Ok(()),
    }
}

fn compare(running: &Path, new: &Settings) -> Result<(), Failure> {
    let old = file::read(running)?;
    print(&format!("\ncompared with {}:", running.display()))?;
    print(&changes::between(&old.settings, new))
}

/// What is in it, in a few words.
fn summary(settings: &Settings) -> String {
    let some = |there: bool, what: &str| there.then(|| what.to_owned());
    let parts = [
        many(settings.endpoints.len(), "endpoint"),
        many(settings.flags.len(), "flag"),
        some(settings.webhook.is_some(), "webhook"),
        some(settings.sse.is_some(), "event stream"),
        some(settings.listen.tls.is_some(), "TLS"),
        Some(format!("app at {}", settings.app.address)),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn many(count: usize, what: &str) -> Option<String> {
    match count {
        0 => None,
        1 => Some(format!("1 {what}")),
        _ => Some(format!("{count} {what}s")),
    }
}
