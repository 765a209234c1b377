//! `[[source.exchange]]`: which finished HTTP exchanges are events, and which events.

use std::sync::Arc;

use http::{Method, StatusCode};
use serde_json::Value;

use super::PathPattern;
use crate::{
    event::Kind,
    frame::{Template, Text},
};

/// A rule: an exchange that fits becomes events.
#[derive(Clone, Debug, PartialEq)]
pub struct Exchange {
    /// Its name in logs and metrics.
    pub name: Arc<str>,
    /// The methods it is for.
    pub methods: Vec<Method>,
    /// The paths it is for.
    pub path: PathPattern,
    /// The answers it is for.
    pub statuses: Vec<Statuses>,
    /// References and the JSON they must have.
    pub when: Vec<(Template, Box<str>)>,
    /// Where in the answer's JSON the things stand that become one event each.
    pub each: Option<Box<str>>,
    /// The event.
    pub event: Happening,
    /// What has to be known for it.
    pub needs: Needs,
    /// The largest body it looks at, in bytes, after its compression is undone.
    pub max_body: usize,
    /// Whether compressed bodies are looked at.
    pub decompress: bool,
}

/// The statuses a rule is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statuses {
    /// This one.
    One(StatusCode),
    /// All that begin with this digit.
    Class(u16),
}

/// What an exchange becomes.
#[derive(Clone, Debug, PartialEq)]
pub struct Happening {
    /// The event's type.
    pub kind: Kind,
    /// Its id, if a second exchange with the same one is the same event.
    pub id: Option<Text>,
    /// Its topics.
    pub topics: Vec<Name>,
    /// Its users; `None`: all who hear the topics.
    pub users: Option<Vec<Name>>,
    /// Users that are left out.
    pub except: Vec<Name>,
    /// Delivered to who is connected, never replayed.
    pub ephemeral: bool,
    /// Its payload.
    pub data: Template,
}

/// A topic or a user, or a list of them.
#[derive(Clone, Debug, PartialEq)]
pub enum Name {
    /// A reference by itself: its value is a name or a list of names.
    Value(Template),
    /// A text with references in it.
    Text(Text),
}

/// What has to be known of an exchange for a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// The request's body.
    pub request: bool,
    /// The answer's body.
    pub response: bool,
    /// Who asked.
    pub client: bool,
}

impl Exchange {
    /// The values of the path's parameters, if a request may be for this rule.
    pub fn fits(&self, method: &Method, path: &str) -> Option<Vec<(Arc<str>, Value)>> {
        match self.methods.contains(method) {
            true => self.path.matches(path),
            false => None,
        }
    }

    /// Whether an answer is for it.
    pub fn is_for(&self, status: StatusCode) -> bool {
        self.statuses.iter().any(|statuses| match statuses {
            Statuses::One(one) => *one == status,
            Statuses::Class(digit) => status.as_u16() / 100 == *digit,
        })
    }
}
