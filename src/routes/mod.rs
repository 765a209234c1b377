//! [`RouteTable`]: what is served where, by which rules. Built from the file,
//! swapped whole, never changed in place. It knows no I/O; [`Tables`] hands the
//! table of the moment to whoever asks.

mod action;
mod endpoint;
mod exchange;
mod exclusion;
mod pattern;
mod presence;
mod status;
mod step;
mod subscribe;
mod topics_from;
mod trust;

use std::{sync::Arc, time::Duration};

use serde_json::Value;
use tokio::sync::watch;

use crate::{
    auth::{TokenSources, Verifier},
    event::Offset,
    jwks::Jwks,
    redis::Redis,
    upstream::Upstream,
};

pub use action::{Action, Condition, FieldKind, FieldPath, Required, Test};
pub use endpoint::{
    Confirm, Endpoint, Expiry, Flag, Frames, Limits, Lookup, Origins, Permit, Refusals, Refuse,
    Resume,
};
pub use exchange::{Exchange, Happening, Name, Needs, Statuses};
pub use exclusion::{Exclusion, Exclusions, LeftOut};
pub use pattern::PathPattern;
pub use presence::{Per, Presence};
pub use status::FileStatus;
pub use step::{Call, Every, Exclude, GroupSend, Moments, OnConnect, Publish, Reply, SetKey, Step};
pub use subscribe::{Subscribe, Topics};
pub use topics_from::{Each, Nowhere, TopicsFrom};
pub use trust::{NotANetwork, Trusted};

/// How clients are told who they are.
#[derive(Clone, Debug)]
pub struct Auth {
    /// Where a token is looked for.
    pub tokens: TokenSources,
    /// Who checks it.
    pub method: Method,
}

/// Who checks a credential.
#[derive(Clone, Debug)]
pub enum Method {
    /// Nobody: every client is a stranger.
    None,
    /// We do.
    Jwt(Arc<Verifier>),
    /// The app does.
    App(AskApp),
}

/// `[auth.app]`: who is this? The client's own credentials are sent along.
#[derive(Clone, Debug, PartialEq)]
pub struct AskApp {
    /// The path that answers 2xx with JSON for a user, 401 or 403 for nobody.
    pub path: String,
    /// JSON pointer (RFC 6901) to the user's id in the answer.
    pub user: String,
    /// How long an answer is believed.
    pub cache: Duration,
    /// How long the app may take.
    pub timeout: Duration,
}

impl Auth {
    /// Why a client is nobody that has shown nothing.
    pub fn why_nobody(&self) -> String {
        match &self.method {
            Method::None => "the config has no [auth]".into(),
            Method::App(_) => "no credential for the app".into(),
            Method::Jwt(_) => {
                let places = self.tokens.sources.iter().map(ToString::to_string);
                format!("no token in {}", places.collect::<Vec<_>>().join(", "))
            }
        }
    }
}

impl Method {
    /// Whether both come to the same about a credential: by the same keys and rules, or
    /// by the same question to the app. Keys that are published are the same as long as
    /// they are looked for in the same place.
    pub fn judges_alike(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::None, Self::None) => true,
            (Self::Jwt(one), Self::Jwt(other)) => one == other,
            (Self::App(one), Self::App(other)) => one.path == other.path && one.user == other.user,
            _ => false,
        }
    }
}

/// Where Outrigger's own paths stand and what they let in.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// The keys a signature may be made with, newest first.
    pub secrets: Vec<crate::secret::Secret>,
    /// How far the sender's clock may be off, both ways.
    pub tolerance: Duration,
    /// The largest body, in bytes.
    pub max_body: usize,
}

/// Everything that decides, as the file says at one moment.
#[derive(Debug)]
pub struct RouteTable {
    /// Counts the tables of this process from 1.
    pub generation: u64,
    /// How the latest tables came into force, this one last.
    pub swaps: Vec<Swap>,
    /// The app.
    pub app: Arc<Upstream>,
    /// Which neighbours are believed about `X-Forwarded-*` and `Forwarded`.
    pub trusted: Trusted,
    /// How clients are told who they are.
    pub auth: Auth,
    /// The endpoints, in the order of the file; the first that fits serves.
    pub endpoints: Vec<Arc<Endpoint>>,
    /// The webhook, if there is one.
    pub webhook: Option<Webhook>,
    /// Which exchanges with the app are events.
    pub exchanges: Vec<Arc<Exchange>>,
    /// Custom flags.
    pub flags: Vec<Flag>,
    /// What keeps the verifier's keys up to date.
    pub jwks: Option<Arc<Jwks>>,
    /// Sessions that have to go are sent home at moments within this time.
    pub spread: Duration,
    /// Where steps put keys.
    pub keys: Option<Arc<Redis>>,
}

/// The moment at which a table came into force, for sessions that did not look.
#[derive(Clone, Debug)]
pub struct Swap {
    /// Where the feed stood: what is later is under the rules of this table.
    pub since: Offset,
    /// Its endpoints.
    pub endpoints: Vec<Arc<Endpoint>>,
}

/// Where a request goes.
#[derive(Debug)]
pub enum Route {
    /// To the app, as it is.
    Forward,
    /// To a session.
    Session(Arc<Endpoint>, Vec<(Arc<str>, Value)>),
    /// Events from the app.
    Webhook,
    /// The frontend asks for its flags.
    Flags,
}

/// The path of the webhook.
pub const WEBHOOK_PATH: &str = "/outrigger/events";
/// The path of the flags.
pub const FLAGS_PATH: &str = "/outrigger/flags";

impl RouteTable {
    /// Where a request goes. On an endpoint's path what asks for a session gets one, as
    /// a WebSocket or an event stream; all else is the app's. So is the webhook's path
    /// where none is configured.
    pub fn find(&self, path: &str, session: bool) -> Route {
        match path {
            WEBHOOK_PATH if self.webhook.is_some() => return Route::Webhook,
            FLAGS_PATH if !self.endpoints.is_empty() || !self.flags.is_empty() => {
                return Route::Flags;
            }
            _ if !session => return Route::Forward,
            _ => {}
        }
        let fits =
            |endpoint: &Arc<Endpoint>| Some((endpoint.clone(), endpoint.path.matches(path)?));
        match self.endpoints.iter().find_map(fits) {
            Some((endpoint, params)) => Route::Session(endpoint, params),
            None => Route::Forward,
        }
    }

    /// How the tables after `generation` came into force, as far as is known.
    pub fn swaps_after(&self, generation: u64) -> &[Swap] {
        let newer = usize::try_from(self.generation.saturating_sub(generation)).unwrap_or(0);
        let known = self.swaps.len().saturating_sub(newer);
        self.swaps.get(known..).unwrap_or_default()
    }

    /// An endpoint by its name.
    pub fn endpoint(&self, name: &str) -> Option<&Arc<Endpoint>> {
        self.endpoints
            .iter()
            .find(|endpoint| &*endpoint.name == name)
    }
}

/// The table of the moment, for all who serve by it.
pub type Tables = watch::Receiver<Arc<RouteTable>>;
