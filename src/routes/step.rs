//! What can be done at a moment of a session: a list of steps, in one fixed order.

use std::{sync::Arc, time::Duration};

use http::{HeaderName, Method, StatusCode};

use super::{Permit, Subscribe, Topics};
use crate::{
    event::Kind,
    frame::{Template, Text},
};

/// One thing that is done. The first that fails ends its list.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Asks the app to do it. Later steps may speak of the `{answer}`.
    Call(Box<Call>),
    /// Writes a key in Redis.
    SetKey(Box<SetKey>),
    /// Takes a key out of Redis.
    DeleteKey(Text),
    /// Sends a message to a group of the app's channel layer.
    GroupSend(Box<GroupSend>),
    /// Puts an event on the feed.
    Publish(Box<Publish>),
    /// Has the session hear more.
    Subscribe(Box<Subscribe>),
    /// Has it hear less.
    Unsubscribe(Topics),
    /// Answers this socket.
    Reply(Reply),
}

impl Step {
    /// Whether the app may be asked with the client's own credentials.
    pub fn calls_app(&self) -> bool {
        match self {
            Self::Call(_) => true,
            Self::Subscribe(subscribe) => matches!(subscribe.permit, Permit::Ask { .. }),
            _ => false,
        }
    }
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
    /// Sent to this socket after an answer with this status.
    pub on_status: Vec<(StatusCode, Reply)>,
    /// Sent to this socket after anything else.
    pub on_failure: Option<Reply>,
}

impl Call {
    /// What the socket is sent after an answer that is no 2xx, or none.
    pub fn on(&self, status: Option<StatusCode>) -> Option<&Reply> {
        let named = self.on_status.iter().find(|(of, _)| Some(*of) == status);
        match named {
            Some((_, reply)) => Some(reply),
            None => self.on_failure.as_ref(),
        }
    }
}

/// A key in Redis, and what is written into it.
#[derive(Clone, Debug, PartialEq)]
pub struct SetKey {
    /// The key.
    pub key: Text,
    /// Its value, a string.
    pub value: Text,
    /// After this long it is gone by itself.
    pub ttl: Option<Duration>,
}

/// What the app's own `group_send` would do.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupSend {
    /// The group.
    pub group: Text,
    /// The message, an object with a `type`.
    pub message: Template,
}

/// An event made at a moment of a session.
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

/// What is done at moments when the client says nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Moments {
    /// Before the client is told that it is connected.
    pub on_connect: Vec<OnConnect>,
    /// Once it is gone, however it went.
    pub on_disconnect: Vec<Vec<Step>>,
    /// Again and again while it is connected.
    pub every: Vec<Every>,
}

impl Moments {
    /// All lists of steps.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        let connect = self.on_connect.iter().map(|one| &one.steps);
        let every = self.every.iter().map(|one| &one.steps);
        connect.chain(every).chain(&self.on_disconnect).flatten()
    }
}

/// Done before the client is told that it is connected; a call that the app refuses
/// turns it away.
#[derive(Clone, Debug, PartialEq)]
pub struct OnConnect {
    /// The name by which topics, the welcome and frames speak of the call's answer.
    pub name: Option<Arc<str>>,
    /// What is done.
    pub steps: Vec<Step>,
}

/// Done again and again.
#[derive(Clone, Debug, PartialEq)]
pub struct Every {
    /// From one time to the next.
    pub interval: Duration,
    /// What is done.
    pub steps: Vec<Step>,
}
