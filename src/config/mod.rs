//! Text becomes settings: TOML as written, checked as a whole, translated into
//! the settings that each room defines for itself. No room below knows that
//! TOML exists.

use std::time::Duration;

use crate::{admin, feed, jwks, listen, logs, routes, source, upstream};

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
    /// Custom flags.
    pub flags: Vec<routes::Flag>,
    /// How much the feed remembers.
    pub feed: feed::Settings,
    /// The app's own event stream.
    pub sse: Option<source::sse::Settings>,
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
