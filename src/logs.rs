//! Where log lines go and how they look.

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
