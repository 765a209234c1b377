//! An endpoint: who may connect, what they hear, what they may say. Immutable;
//! a reload makes a new one.

use std::{collections::HashMap, sync::Arc, time::Duration};

use serde_json::Value;

use super::{Action, Exclusions, Moments, PathPattern, Presence, Reply, Step, TopicsFrom};
use crate::{
    event::Kind,
    frame::{JsonStyle, Template, Text},
    rollout::Rollout,
};

/// A WebSocket path that Outrigger can serve.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    /// Its name in the config, logs and metrics.
    pub name: Arc<str>,
    /// Where it is.
    pub path: PathPattern,
    /// Whether somebody without a credential may connect.
    pub anonymous: bool,
    /// Which of the identified may.
    pub permit: Permit,
    /// What is asked of the app at connect, in order.
    pub lookups: Vec<Lookup>,
    /// What its sessions subscribe to.
    pub topics: Vec<Text>,
    /// What they subscribe to besides, as the app says at connect.
    pub topics_from: Vec<TopicsFrom>,
    /// What they are sent.
    pub frames: Frames,
    /// Who of those who hear an event is sent no frame for it.
    pub except: Exclusions,
    /// What they may send, first fit wins.
    pub actions: Vec<Action>,
    /// What is done when they say nothing.
    pub moments: Moments,
    /// How it counts who is online, if it does.
    pub presence: Option<Box<Presence>>,
    /// Sent first.
    pub welcome: Option<Reply>,
    /// Sent to who has missed what is not remembered: it goes on from here. Without, it
    /// is closed.
    pub history_lost: Option<Reply>,
    /// Sent for a message that is not JSON; `None` is silence.
    pub invalid_json: Option<Reply>,
    /// How somebody is turned away.
    pub refuse: Refusals,
    /// How frames are spelled.
    pub json: JsonStyle,
    /// Which subprotocols of the client's offer are accepted, best first.
    pub subprotocols: Vec<Box<str>>,
    /// Who stands on which leg.
    pub rollout: Rollout,
    /// From where browsers may connect.
    pub origins: Origins,
    /// What happens to an open session when its credential runs out.
    pub expiry: Expiry,
    /// A ping each so often; as long again without any answer closes the session.
    pub heartbeat: Duration,
    /// How a client goes on that comes back and cannot say where it was.
    pub resume: Resume,
    /// What a client may cost.
    pub limits: Limits,
}

impl Endpoint {
    /// All that its sessions may cause, at any moment.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        let actions = self.actions.iter().flat_map(|action| &action.steps);
        let presence = self.presence.iter();
        let presence =
            presence.flat_map(|presence| presence.online.iter().chain(&presence.offline));
        actions.chain(self.moments.steps()).chain(presence)
    }
}

/// Who of the identified may connect.
#[derive(Clone, Debug, PartialEq)]
pub enum Permit {
    /// Everybody.
    Anyone,
    /// The path parameter of this name is the user's own id.
    Own(Arc<str>),
    /// The claim of this name is or lists the value.
    Claim {
        /// The claim's name.
        claim: Box<str>,
        /// The value it must be or list.
        value: Text,
    },
    /// The app answers this path with 2xx for the client's own credentials.
    Ask {
        /// The path, percent-encoded where filled in.
        path: Text,
        /// How long an answer is believed.
        cache: Duration,
    },
}

/// A question to the app at connect, with the client's own credentials. Its JSON
/// is in reach of templates by `name`; a 4xx refuses the client.
#[derive(Clone, Debug, PartialEq)]
pub struct Lookup {
    /// Its name in templates.
    pub name: Arc<str>,
    /// The path.
    pub path: Text,
    /// How long an answer is believed.
    pub cache: Duration,
}

/// Event types and the templates of their frames.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Frames {
    by_kind: HashMap<Box<str>, Arc<Template>>,
    default: Option<Arc<Template>>,
}

impl Frames {
    /// Adds a type; `*` is every type that is not named.
    pub fn insert(&mut self, kind: &str, template: Arc<Template>) {
        if kind == "*" {
            self.default = Some(template);
        } else {
            self.by_kind
                .insert(Kind::from(kind).folded().into(), template);
        }
    }

    /// The frame of a type, if the endpoint has one.
    pub fn get(&self, kind: &Kind) -> Option<&Arc<Template>> {
        self.by_kind.get(&*kind.folded()).or(self.default.as_ref())
    }

    /// The types that have a frame, sorted.
    pub fn kinds(&self) -> Vec<&str> {
        let mut kinds: Vec<_> = self.by_kind.keys().map(|kind| &**kind).collect();
        kinds.sort_unstable();
        kinds.extend(self.default.is_some().then_some("*"));
        kinds
    }
}

/// How somebody is turned away, by reason.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusals {
    /// No credential at all.
    pub no_token: Refuse,
    /// One that does not verify.
    pub bad_token: Refuse,
    /// A good one, but not for this.
    pub not_permitted: Refuse,
}

/// One way of turning somebody away.
#[derive(Clone, Debug, PartialEq)]
pub enum Refuse {
    /// An answer before the upgrade, as Channels does.
    Http(http::StatusCode),
    /// Accepted and closed, as many FastAPI apps do: browsers see the code.
    Close {
        /// 4000 to 4999, or a code of RFC 6455 that may be sent.
        code: u16,
        /// At most 123 bytes.
        reason: Arc<str>,
    },
}

/// From where browsers may connect (the `Origin` header).
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Origins {
    /// The page's own host, if the credential is a cookie; else anywhere. A token
    /// in the URL is not sent by a foreign page on its own; a cookie is.
    #[default]
    Auto,
    /// Anywhere.
    Any,
    /// These only, as `https://app.example`.
    Only(Vec<Box<str>>),
}

/// What happens when a credential runs out while the session is open.
#[derive(Clone, Debug, PartialEq)]
pub enum Expiry {
    /// Nothing: it was checked at connect.
    Keep,
    /// The session is closed.
    Close {
        /// With this code.
        code: u16,
        /// So long after `exp`.
        grace: Duration,
    },
}

/// How clients go on that come back and cannot say where they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resume {
    /// For so long after a socket has died, who comes back begins at its place; zero:
    /// not at all.
    pub window: Duration,
    /// How soon it is known what has reached a client.
    pub confirm: Confirm,
}

/// How soon it is known what has reached a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirm {
    /// At each heartbeat.
    Heartbeat,
    /// Right after each burst.
    Eager,
}

impl Resume {
    /// The window where none is named.
    pub const WINDOW: Duration = Duration::from_secs(60);

    /// Everybody begins at the head of the feed.
    pub fn off() -> Self {
        Self {
            window: Duration::ZERO,
            ..Self::default()
        }
    }
}

impl Default for Resume {
    fn default() -> Self {
        Self {
            window: Self::WINDOW,
            confirm: Confirm::Heartbeat,
        }
    }
}

/// What one client may cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Sessions on this endpoint on this node.
    pub max_sessions: usize,
    /// Sessions of one user on this endpoint on this node.
    pub max_sessions_per_user: usize,
    /// A client's message, in bytes.
    pub max_message: usize,
    /// Messages a second, with bursts of as many.
    pub max_rate: u32,
    /// Frames waiting for a slow reader before it falls behind.
    pub outbox_frames: usize,
    /// The same in bytes.
    pub outbox_bytes: usize,
    /// Topics a session may have besides those of `topics`.
    pub max_topics: usize,
    /// How long one write may take before the reader counts as gone.
    pub write_timeout: Duration,
}

/// A flag of `[flags]`: its value for those on the feed leg of its rollout, and
/// for all others.
#[derive(Clone, Debug, PartialEq)]
pub struct Flag {
    /// Its name.
    pub name: Arc<str>,
    /// Who gets it.
    pub rollout: Rollout,
    /// The value for them.
    pub on: Value,
    /// The value for all others.
    pub off: Value,
}
