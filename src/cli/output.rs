//! What commands say, and where: answers on standard output, everything about
//! them on standard error.

use std::io::{self, ErrorKind, IsTerminal, Write};

use crate::config::{Report, Severity};

/// Why a command failed, with the way out; already as text.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Failure(String);

impl Failure {
    /// What went wrong, and what to do about it.
    pub(super) fn new(what: impl std::fmt::Display, help: &str) -> Self {
        Self(format!("error: {what}\nhelp: {help}"))
    }
}

impl From<Report> for Failure {
    fn from(report: Report) -> Self {
        let errors = report.problems().iter();
        let errors = errors.filter(|problem| problem.severity == Severity::Error);
        let total = match errors.count() {
            1 => "1 error: the config cannot be used".to_owned(),
            count => format!("{count} errors: the config cannot be used"),
        };
        Self(format!("{}\n\n{total}", render(&report)))
    }
}

/// A report for standard error, in colours for a terminal that wants them.
pub(super) fn render(report: &Report) -> String {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    report.render(io::stderr().is_terminal() && !unwanted)
}

/// Writes a line of the answer. Who closed the pipe has read enough.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    print_on(text).map(drop)
}

/// The same; says whether anybody reads on.
pub(super) fn print_on(text: &str) -> Result<bool, Failure> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::new(
            format!("standard output cannot be written: {error}"),
            "look at where it goes: is the disk full?",
        )),
    }
}

/// Writes a line for people to standard error; where that is closed nobody reads.
pub(super) fn say(text: &str) {
    writeln!(io::stderr(), "{text}").unwrap_or_default();
}
