//! The app's own event stream (`text/event-stream`) as a source.

use std::time::Duration;

use http::{HeaderName, HeaderValue};

use crate::upstream::Address;

/// Which stream is read, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The server.
    pub address: Address,
    /// The path with its query.
    pub path: String,
    /// Headers to send, such as an API key. Values are marked sensitive.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// So long without a byte and the stream counts as hung.
    pub silence: Duration,
    /// The longest pause between two attempts.
    pub max_backoff: Duration,
}
