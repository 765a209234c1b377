//! What code does that a client can notice, and under which conditions.

use serde_json::Value as Json;

use super::value::Value;

/// Something that happens.
#[derive(Clone, Debug)]
pub(in super::super) struct Effect {
    pub(in super::super) what: What,
    pub(in super::super) when: Vec<Condition>,
    pub(in super::super) place: Place,
}

/// A line of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) struct Place {
    pub(in super::super) path: String,
    pub(in super::super) line: usize,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.path, self.line)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(in super::super) enum What {
    Accept,
    Close {
        code: Option<u16>,
        reason: String,
    },
    Join(Value),
    Leave,
    /// From here on it is about what the client says.
    Hear,
    /// JSON, or a text that stands as it is.
    Send(Value, Spelling),
    /// To a group, the message, and whether this socket is left out.
    Tell {
        group: Value,
        message: Value,
        others: bool,
    },
    /// What the app does for itself; as it is written.
    Work(String),
}

/// How JSON is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Spelling {
    /// `json.dumps`.
    Python,
    /// Starlette's `send_json`.
    Compact,
    /// No JSON of ours: the very text.
    Text,
}

#[derive(Clone, Debug, PartialEq)]
pub(in super::super) enum Condition {
    /// What is at the path is one of these (or none of them).
    OneOf(String, Vec<Json>, bool),
    /// Nobody is logged in (or somebody is).
    Stranger(bool),
    /// What the client sent is no JSON.
    NotJson,
    /// The client is gone.
    Gone,
    /// What is at the path is this socket's channel name (or is not).
    OwnSocket(String, bool),
    /// What is at the path is this user's id (or is not).
    OwnUser(String, bool),
    /// What is at the path has this JSON type (or has not).
    Type(String, &'static str, bool),
    /// Not all of these.
    Not(Vec<Condition>),
    /// Always, or never.
    Constant(bool),
    /// Only Python can tell; as it is written.
    Unclear(String),
}

impl Condition {
    /// The opposite of all of them together.
    pub(in super::super) fn negate(mut all: Vec<Self>) -> Vec<Self> {
        use Condition::{Constant, Not, OneOf, OwnSocket, OwnUser, Stranger, Type, Unclear};
        if all.len() != 1 {
            return vec![if all.is_empty() {
                Constant(false)
            } else {
                Not(all)
            }];
        }
        match all.pop() {
            Some(OneOf(path, values, yes)) => vec![OneOf(path, values, !yes)],
            Some(Stranger(yes)) => vec![Stranger(!yes)],
            Some(OwnSocket(path, yes)) => vec![OwnSocket(path, !yes)],
            Some(OwnUser(path, yes)) => vec![OwnUser(path, !yes)],
            Some(Type(path, kind, yes)) => vec![Type(path, kind, !yes)],
            Some(Not(inner)) => inner,
            Some(Constant(yes)) => vec![Constant(!yes)],
            Some(Unclear(text)) if text.starts_with("not (") => {
                let inner = text.trim_start_matches("not (");
                vec![Unclear(inner.strip_suffix(')').unwrap_or(inner).to_owned())]
            }
            Some(Unclear(text)) => vec![Unclear(format!("not ({text})"))],
            Some(other) => vec![Not(vec![other])],
            None => Vec::new(),
        }
    }
}
