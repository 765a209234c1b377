//! What a client's message causes: its condition and its step.

use std::{sync::Arc, time::Duration};

use http::{HeaderName, Method};
use serde_json::Value;

use crate::{
    event::Kind,
    frame::{Template, Text},
};

/// A rule: messages that fit `when` cause the step.
#[derive(Clone, Debug, PartialEq)]
pub struct Action {
    /// Names and the values they must have in the message. Empty: every message.
    pub when: Vec<(Box<str>, Value)>,
    /// What happens.
    pub step: Step,
}

impl Action {
    /// Whether a message is for this action. Only objects are.
    pub fn fits(&self, message: &Value) -> bool {
        message.is_object()
            && self
                .when
                .iter()
                .all(|(key, value)| message.get(&**key) == Some(value))
    }
}

/// What an action does.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Asks the app to do it.
    Call(Call),
    /// Puts an event on the feed.
    Publish(Publish),
    /// Answers this socket.
    Reply(Reply),
    /// Nothing, on purpose.
    Ignore,
}

/// A request to the app on behalf of the client, with the client's own credentials.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The method.
    pub method: Method,
    /// The path, percent-encoded where filled in.
    pub path: Text,
    /// Headers besides the client's credentials.
    pub headers: Vec<(HeaderName, Text)>,
    /// A JSON body.
    pub body: Option<Template>,
    /// How long the app may take.
    pub timeout: Duration,
    /// Sent to this socket after a 2xx.
    pub reply: Option<Reply>,
    /// Sent to this socket after anything else.
    pub on_failure: Option<Reply>,
}

/// An event made from a message.
#[derive(Clone, Debug, PartialEq)]
pub struct Publish {
    /// The event's type.
    pub kind: Kind,
    /// Its topics.
    pub topics: Vec<Text>,
    /// Its users.
    pub users: Vec<Text>,
    /// Who is left out.
    pub except: Exclude,
    /// Delivered to who is connected, never replayed.
    pub ephemeral: bool,
    /// Its payload.
    pub data: Template,
}

/// Whom a published event leaves out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Exclude {
    /// Nobody.
    #[default]
    Nobody,
    /// The sending socket: the user's other tab still hears.
    Socket,
    /// The sending user, on all sockets.
    User,
}

/// A message to one socket.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// A frame.
    Json(Template),
    /// This very text, for apps whose spelling is their own.
    Text(Arc<str>),
}
