//! Whether an entry is for a session, and if not, why: asked as it is handed out, as it
//! is read from the feed, and later by whoever wants to know what became of it.

use std::sync::Arc;

use crate::{
    event::{Event, SessionName, UserId},
    frame::Template,
    routes::{Endpoint, Exclusion},
};

/// Why an entry is not for a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotFor {
    /// It heard none of the topics at that place of the feed.
    NotSubscribed,
    /// The event names users, and the session's is none of them.
    OtherUsers,
    /// The event, or the endpoint's rules, leave out this very client.
    LeftOut,
    /// Its endpoint sends nothing for the type.
    NoFrame,
    /// The app had ended it before.
    Ended,
    /// The type is an order to sessions, never sent to clients.
    Reserved,
}

/// A session as far as the decision looks at it.
#[derive(Clone, Copy, Debug)]
pub struct Listener<'a> {
    /// Whose frames it is sent.
    pub endpoint: &'a Endpoint,
    /// Whose it is.
    pub user: Option<&'a UserId>,
    /// What events call it by.
    pub name: Option<SessionName>,
}

impl<'a> Listener<'a> {
    /// The frame for an event of one of its topics. `leaves_out` says whether the
    /// endpoint's rule for the type leaves this client out.
    ///
    /// # Errors
    /// It is not for this session.
    pub fn frame(
        self,
        event: &Event,
        leaves_out: impl FnOnce(&Exclusion) -> bool,
    ) -> Result<&'a Arc<Template>, NotFor> {
        self.hears(event)?;
        let frame = self.endpoint.frames.get(&event.kind);
        let frame = frame.ok_or(NotFor::NoFrame)?;
        match self.endpoint.except.get(&event.kind) {
            Some(rule) if leaves_out(rule) => Err(NotFor::LeftOut),
            Some(_) | None => Ok(frame),
        }
    }

    /// Whether a rule leaves it out of an event.
    pub fn is_left_out(self, rule: &Exclusion, event: &Event) -> bool {
        rule.of(event).has(self.user, self.name)
    }

    /// Whether an event of one of its topics is for this very client.
    pub(super) fn hears(self, event: &Event) -> Result<(), NotFor> {
        let is_named = |user| event.users.contains(user);
        if !event.users.is_empty() && !self.user.is_some_and(is_named) {
            return Err(NotFor::OtherUsers);
        }
        let except = &event.except;
        let left_out = self
            .name
            .is_some_and(|name| except.sessions.contains(&name))
            || self.user.is_some_and(|user| except.users.contains(user));
        match left_out {
            true => Err(NotFor::LeftOut),
            false => Ok(()),
        }
    }
}
