//! The JSON of an event, as apps write it, into an [`Event`].
//!
//! Everything an event says is checked here, once: what is behind believes it. `object`
//! takes it apart, `value` reads what stands under each key, [`Draft`] puts it together.
//! The payload is kept as the bytes that came. A key that is there twice, or is
//! not known, makes the event rejected; `null` is the same as leaving a key out.

mod object;
#[cfg(test)]
mod tests;
mod value;

use std::borrow::Cow;

use serde_json::value::RawValue;
use smallvec::SmallVec;

use crate::{
    event::{Event, EventId, Except, Kind, Topic, UserId},
    order::{Malformed, Order},
};

pub(super) use object::members;
pub(super) use value::{
    MAX_USERS, audience, checked, distinct, flag, is_null, names, payload, text, users,
};

use object::short;
use value::except;

/// Why an event is not taken. It says nothing of the payload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// A number, a list, a text.
    #[error("an event is a JSON object")]
    NotAnObject,
    /// A key nobody would read.
    #[error(
        "`{0}` is not a key of an event; known are id, type, topics, users, except.users, data, ephemeral"
    )]
    Unknown(String),
    /// Two values for one key.
    #[error("`{0}` is given twice")]
    Twice(String),
    /// It cannot do without.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A value is not what it must be.
    #[error("`{0}` {1}")]
    Wrong(&'static str, &'static str),
    /// It would reach nobody.
    #[error("it is for nobody: give `topics` or `users`")]
    Nobody,
}

/// What is known of an event so far.
#[derive(Debug, Default)]
pub struct Draft {
    /// Its own id.
    pub id: Option<EventId>,
    /// What kind of thing happened.
    pub kind: Option<Kind>,
    /// Its topics.
    pub topics: SmallVec<[Topic; 1]>,
    /// Its users.
    pub users: SmallVec<[UserId; 1]>,
    /// Users that are left out.
    pub except: SmallVec<[UserId; 1]>,
    /// The payload.
    pub data: Option<Box<RawValue>>,
    /// Delivered to who is connected, never replayed.
    pub ephemeral: bool,
}

impl Draft {
    /// Reads the JSON of an event. What could be read is there even if something
    /// is wrong, so that the answer can name the id.
    pub fn read(json: &RawValue) -> (Self, Result<(), Rejected>) {
        let mut draft = Self::default();
        let members = match members(json) {
            Ok(members) => members,
            Err(problem) => return (draft, Err(problem)),
        };
        // All of them are read, the first problem is told.
        let set = |first: Result<_, _>, (key, value): (Cow<'_, str>, &RawValue)| {
            let this = draft.set(&key, value);
            first.and(this)
        };
        let result = members.into_iter().fold(Ok(()), set);
        (draft, result)
    }

    fn set(&mut self, key: &str, value: &RawValue) -> Result<(), Rejected> {
        match key {
            _ if is_null(value) => {}
            "id" => self.id = Some(text("id", value)?.into()),
            "type" => self.kind = Some(text("type", value)?.into()),
            "topics" => self.topics = names("topics", value)?,
            "users" => self.users = audience("users", value)?,
            "except" => self.except = except(value)?,
            "data" => self.data = Some(payload(value)?),
            "ephemeral" => self.ephemeral = flag("ephemeral", value)?,
            unknown => return Err(Rejected::Unknown(short(unknown))),
        }
        Ok(())
    }

    /// The event, with `id` if it has none of its own.
    ///
    /// # Errors
    /// It lacks something.
    pub fn finish(self, id: EventId) -> Result<Event, Rejected> {
        if self.topics.is_empty() && self.users.is_empty() {
            return Err(Rejected::Nobody);
        }
        let event = Event {
            id: self.id.unwrap_or(id),
            kind: self.kind.ok_or(Rejected::Missing("type"))?,
            topics: self.topics,
            users: self.users,
            except: Except {
                users: self.except,
                sessions: SmallVec::new(),
            },
            data: self.data.unwrap_or_else(|| RawValue::NULL.to_owned()),
            ephemeral: self.ephemeral,
        };
        match Order::of(&event) {
            Ok(_) => Ok(event),
            Err(Malformed(key, what)) => Err(Rejected::Wrong(key, what)),
        }
    }
}
