//! What was found in a project: what can be said of its sockets, and what not.

use super::follow::{Effect, Place};

/// A kind of app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Kind {
    /// Django with Channels
    Django,
    /// FastAPI or Starlette
    Fastapi,
}

/// All that was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) kind: Kind,
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) auth: Auth,
    pub(super) layer: Option<Layer>,
    /// What is not about one endpoint.
    pub(super) notes: Vec<Note>,
}

/// Something that somebody has to look at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Note {
    pub(super) place: Place,
    pub(super) text: String,
}

impl Note {
    pub(super) fn new(place: &Place, text: impl Into<String>) -> Self {
        Self {
            place: place.clone(),
            text: text.into(),
        }
    }
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.place, self.text)
    }
}

/// A WebSocket path and the code behind it.
#[derive(Debug, Default)]
pub(super) struct Endpoint {
    /// The consumer's or the function's name.
    pub(super) code: String,
    pub(super) place: Place,
    pub(super) path: Path,
    pub(super) connect: Vec<Effect>,
    /// What it does with what clients say.
    pub(super) receive: Vec<Effect>,
    pub(super) disconnect: Vec<Effect>,
    /// For each type of event.
    pub(super) handlers: Vec<Handler>,
    /// Messages are sent as they are given to the manager.
    pub(super) as_given: bool,
    /// It asks who connects, in its signature.
    pub(super) known_users: bool,
    /// Without a token the framework itself refuses.
    pub(super) token_required: bool,
}

#[derive(Debug)]
pub(super) struct Handler {
    pub(super) kind: String,
    pub(super) place: Place,
    pub(super) effects: Vec<Effect>,
}

/// A path as Outrigger writes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Path {
    pub(super) written: String,
    /// The parameters: as in the app, as in Outrigger.
    pub(super) params: Vec<(String, String)>,
}

/// Words that mean something else in templates.
const RESERVED: [&str; 11] = [
    "data", "event", "user", "claims", "message", "now", "session", "answer", "online", "problem",
    "value",
];

impl Path {
    pub(super) fn push(&mut self, text: &str) {
        if !self.written.starts_with('/') && !text.starts_with('/') {
            self.written.push('/');
        }
        let doubled = self.written.ends_with('/') && text.starts_with('/');
        self.written.push_str(if doubled {
            text.trim_start_matches('/')
        } else {
            text
        });
    }

    /// Adds a parameter; `int` takes whole numbers only.
    pub(super) fn param(&mut self, name: &str, int: bool) {
        let own = match RESERVED.contains(&name) {
            true => format!("{name}_in_path"),
            false => name.to_owned(),
        };
        let kind = if int { ":int" } else { "" };
        self.push(&format!("{{{own}{kind}}}"));
        self.params.push((name.to_owned(), own));
    }

    /// A name for an endpoint: the fixed parts that tell something.
    pub(super) fn name(&self) -> String {
        let parts = self.written.split('/');
        let parts = parts.filter(|part| !part.is_empty() && !part.contains('{') && *part != "ws");
        let name = parts.collect::<Vec<_>>().join("-");
        let letters = |c: char| {
            if c.is_ascii_alphanumeric() || c == '_' || c == '.' {
                c
            } else {
                '-'
            }
        };
        let name: String = name.chars().map(letters).collect();
        match name.is_empty() {
            true => "socket".into(),
            false => name,
        }
    }
}

/// How the app knows its users, as far as it can be seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Auth {
    /// JWTs, by these rules; else the app is asked.
    pub(super) jwt: Option<Jwt>,
    /// Places of tokens, as `[auth] token` writes them.
    pub(super) token: Vec<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Jwt {
    pub(super) algorithm: String,
    /// Where the public keys are, if tokens are not signed with a secret and that is known.
    pub(super) jwks_url: Option<String>,
    /// The variable that holds the secret. The secret itself is never read.
    pub(super) secret_env: String,
    pub(super) user_claim: String,
    /// A claim and its value.
    pub(super) require: Option<(String, String)>,
    pub(super) issuer: Option<String>,
    pub(super) audience: Option<String>,
}

impl Jwt {
    /// Tokens are signed with a secret, and not with a private key.
    pub(super) fn has_secret(&self) -> bool {
        self.algorithm.starts_with("HS")
    }
}

/// The app's channel layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layer {
    pub(super) place: Place,
    pub(super) backend: String,
    /// Where Redis is, if that is written there without a password.
    pub(super) redis: Option<String>,
    /// The variable that it is read from.
    pub(super) redis_env: Option<String>,
    pub(super) prefix: Option<String>,
    /// Its messages are encrypted.
    pub(super) encrypted: bool,
    /// The variable that the key is read from.
    pub(super) key_env: Option<String>,
}

impl Layer {
    /// Others than the processes of the app can hear it.
    pub(super) fn is_redis(&self) -> bool {
        self.backend.starts_with("channels_redis.")
    }
}
