//! What nodes tell each other on the feed they share: events of the reserved types
//! `outrigger.node.*`, ephemeral, for nobody's client. Here they are read and written.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::{
    Value,
    value::{RawValue, to_raw_value},
};

use crate::event::{Event, NODE_FACTS, Offset, UserId};

/// One life of a node on the feed: a process, and how often it had to begin anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NodeId(pub u64, pub u32);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}.{}", self.0, self.1)
    }
}

/// Who counts once, among the members of all nodes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// One socket of a process.
    Socket(u64, u64),
    /// A user, on however many sockets of however many nodes.
    User(Arc<str>),
}

impl Who {
    /// The user, if it is one.
    pub fn user(&self) -> Option<UserId> {
        match self {
            Self::User(user) => Some(user.clone().into()),
            Self::Socket(..) => None,
        }
    }
}

/// A member under a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// The key.
    pub key: Arc<str>,
    /// Who.
    pub who: Who,
}

/// What any node can know of a member, to tell of it in another's place.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// Where it came in.
    pub endpoint: Arc<str>,
    /// The user, as the app writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Value>,
    /// The values of the path's parameters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<(Arc<str>, Value)>,
    /// Whoever is back within so many milliseconds was never away.
    pub grace: u64,
}

/// Which of the two is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Turn {
    /// That it is online.
    Online,
    /// That it is offline.
    Offline,
}

/// What has changed for one member on one node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Its first socket is there. `known`: it was online before this node began anew.
    Came(Place, About, bool),
    /// Its last socket has left.
    Left(Place),
    /// The grace of the leaving with this number has passed.
    Over(Place, u64),
    /// This has been told.
    Told(Place, Turn),
}

/// Who a node is, for people.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Info {
    /// Its name.
    pub name: Arc<str>,
    /// The version of Outrigger.
    pub version: Arc<str>,
    /// When it began, in Unix seconds.
    pub since: u64,
}

/// A part of all that a node knows at a place of the feed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Roll {
    /// For whom.
    pub to: NodeId,
    /// Everything up to here is in it.
    pub at: (u64, u64),
    /// Which part this is, and how many there are.
    pub part: (u32, u32),
    /// It: a list in JSON.
    pub records: Vec<Value>,
}

/// What a node says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// It is there. With a number it asks, for that time, what the others know.
    Hello(Info, Option<u32>),
    /// It has asked and heard of nobody up to there: all begins with it.
    Found(Info, (u64, u64)),
    /// An answer.
    Roll(Roll),
    /// Members came and went.
    Changes(Vec<Change>),
    /// It is still there.
    Beat,
    /// It ends.
    Bye,
    /// Another node is gone, and the one that says so sees to its members.
    Gone(NodeId),
}

impl Fact {
    /// The last word of its type.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Hello(..) => "hello",
            Self::Found(..) => "found",
            Self::Roll(_) => "roll",
            Self::Changes(_) => "changes",
            Self::Beat => "beat",
            Self::Bye => "bye",
            Self::Gone(_) => "gone",
        }
    }
}

/// A fact and who says it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Said {
    /// Who.
    pub node: NodeId,
    /// Its facts are numbered: one that comes twice counts once.
    pub number: u64,
    /// What.
    pub fact: Fact,
}

impl Said {
    /// The fact that an event is, if it is one.
    pub fn of(event: &Event) -> Option<Result<Self, serde_json::Error>> {
        let is_fact = event.kind.as_str().starts_with(NODE_FACTS);
        is_fact.then(|| serde_json::from_str(event.data.get()))
    }

    /// The event of a fact.
    pub fn event(&self) -> Event {
        // Texts, numbers and JSON: nothing can fail.
        let data = to_raw_value(self).unwrap_or_else(|_| RawValue::NULL.to_owned());
        let (node, number, word) = (self.node, self.number, self.fact.word());
        let id = match &self.fact {
            // Not numbered: it changes nothing.
            Fact::Roll(roll) => {
                let Roll { to, at, part, .. } = roll;
                format!("{NODE_FACTS}{node}.{to}.{}-{}.{}", at.0, at.1, part.0)
            }
            _ => format!("{NODE_FACTS}{node}.{number}"),
        };
        Event {
            id: id.into(),
            kind: format!("{NODE_FACTS}{word}").into(),
            topics: Default::default(),
            users: Default::default(),
            except: Default::default(),
            data,
            ephemeral: true,
        }
    }
}

/// An offset as facts write it.
pub(super) fn pair(offset: Offset) -> (u64, u64) {
    (offset.0, offset.1)
}
