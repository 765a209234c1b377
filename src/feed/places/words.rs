//! What nodes say to each other of their sessions.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::event::Offset;

/// A node asks another whether clients are there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ask {
    /// Who comes.
    pub newcomer: String,
    /// Its node: that has to hear the answer.
    pub node: Arc<str>,
    /// How far its node had the feed.
    pub head: String,
    /// The sessions.
    pub of: Vec<String>,
}

/// What it says.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Answer {
    /// Who says it.
    pub node: Arc<str>,
    /// To whom: who came.
    pub newcomer: String,
    /// Who is not there.
    pub silent: Vec<Silent>,
    /// Somebody is.
    pub answered: bool,
    /// Nodes that said nothing.
    #[serde(skip)]
    pub unanswered: Vec<Arc<str>>,
}

/// A session whose client does not answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Silent {
    /// Its name.
    pub session: String,
    /// Who came long ago and may be its client; not known, if its node is silent, too.
    pub claims: Option<Vec<String>>,
}

/// One or the other.
#[derive(Serialize, Deserialize)]
pub(super) enum Word {
    Ask(Ask),
    Answer(Answer),
}

impl Ask {
    /// How far the node of who comes had the feed.
    pub fn head(&self) -> Offset {
        self.head.parse().unwrap_or_default()
    }
}

impl Answer {
    /// What another says besides.
    pub fn add(&mut self, other: Self) {
        self.answered |= other.answered;
        self.silent.extend(other.silent);
        self.unanswered.extend(other.unanswered);
    }
}

impl Silent {
    /// Of a node that says nothing.
    pub(super) fn unheard(session: String) -> Self {
        let claims = None;
        Self { session, claims }
    }
}
