//! Where log lines go and how they look.

use std::io::IsTerminal;

use tracing_subscriber::{
    EnvFilter, Layer, filter::ParseError, layer::SubscriberExt, util::SubscriberInitExt,
};

/// How logs are written (to standard error).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// One JSON object a line, or text for people.
    pub json: bool,
    /// A filter as `tracing` reads it: `info`, `outrigger=debug`.
    pub filter: String,
    /// Whether each finished request is logged.
    pub access: bool,
}

/// Starts writing logs; the environment's `RUST_LOG` speaks louder than the file.
///
/// # Errors
/// The filter cannot be read.
pub fn start(settings: &Settings) -> Result<(), ParseError> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(filter) if !filter.is_empty() => EnvFilter::try_new(filter)?,
        _ => EnvFilter::try_new(&settings.filter)?,
    };
    let colours = std::io::stderr().is_terminal();
    let writer = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(colours);
    let layer = match settings.json {
        true => writer.json().boxed(),
        false => writer.with_target(false).boxed(),
    };
    // A second start (in tests) leaves the first one's lines as they are.
    tracing_subscriber::registry()
        .with(filter)
        .with(layer)
        .try_init()
        .unwrap_or_default();
    Ok(())
}
