//! What a template may speak of, and how a reference finds its value.
//!
//! A [`Reference`] such as `{data.notification}` is checked once against the
//! [`Vocabulary`] of the place it stands in and resolved many times against a
//! [`Scope`]. Values of an event are picked out of its bytes without reading
//! the rest into a tree.

use std::{borrow::Cow, fmt, sync::Arc, time::SystemTime};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value, value::RawValue};

use super::{
    expression::quoted,
    moment::Moment,
    online::{Online, Roster},
};
use crate::event::{Event, SessionName, UserId};

/// The client a session belongs to, as templates see it.
#[derive(Clone, Debug, Default)]
pub struct Client {
    /// Its session, where there is one already.
    pub session: Option<SessionName>,
    /// Who it is, if it is anybody.
    pub user: Option<UserId>,
    /// The user's id as the app wrote it: a number stays a number.
    pub user_value: Option<Value>,
    /// The verified claims of the token, or the app's answer to "who is this".
    pub claims: Option<Arc<Map<String, Value>>>,
    /// The values of the path's parameters.
    pub params: Vec<(Arc<str>, Value)>,
    /// Answers of the app to the endpoint's look-ups, by name.
    pub lookups: Map<String, Value>,
    /// Who is online under its key, where that is counted.
    pub online: Option<Online>,
}

/// The values in reach while something is rendered.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scope<'a> {
    /// The event, where there is one.
    pub event: Option<&'a Event>,
    /// The client, where there is one.
    pub client: Option<&'a Client>,
    /// The message the client sent, in an action.
    pub message: Option<&'a Value>,
    /// The app's answer to a call, in what is done after it.
    pub answer: Option<&'a Value>,
    /// What `{now}` means; `None`: the moment of the rendering.
    pub now: Option<SystemTime>,
    /// What is wrong with the message.
    pub problem: Option<&'a str>,
}

/// The names that may be used at one place of the config. `{now}` always may.
#[derive(Clone, Debug, Default)]
pub struct Vocabulary {
    /// `{data...}`, `{event.id}`, `{event.type}`.
    pub event: bool,
    /// `{user.id}`, `{claims...}`, `{session.id}`, path parameters and look-ups.
    pub client: bool,
    /// `{message...}`.
    pub message: bool,
    /// `{answer...}`.
    pub answer: bool,
    /// `{problem}`.
    pub problem: bool,
    /// `{online}`, `{online.count}`.
    pub online: bool,
    /// Path parameters by name.
    pub params: Vec<Arc<str>>,
    /// Look-ups by name.
    pub lookups: Vec<Arc<str>>,
}

impl Vocabulary {
    /// The names, for a message that tells what can be written here.
    fn names(&self) -> String {
        let fixed = [
            (self.event, "data"),
            (self.event, "event.id"),
            (self.event, "event.type"),
            (self.client, "user.id"),
            (self.client, "claims"),
            (self.client, "session.id"),
            (self.message, "message"),
            (self.answer, "answer"),
            (self.online, "online"),
            (self.online, "online.count"),
            (true, "now"),
            (self.problem, "problem"),
        ];
        let fixed = fixed
            .iter()
            .filter(|(known, _)| *known)
            .map(|(_, name)| *name);
        let named = self.params.iter().chain(&self.lookups).map(|name| &**name);
        fixed.chain(named).collect::<Vec<_>>().join(", ")
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Root {
    Data,
    EventId,
    EventType,
    UserId,
    Claims,
    SessionId,
    Message,
    Answer,
    Online(Roster),
    Now(Moment),
    Problem,
    Param(Arc<str>),
    Lookup(Arc<str>),
}

/// A name that stands for a value: `data.notification.id`, `user.id`, `chat_id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    root: Root,
    path: Box<[Box<str>]>,
}

impl Reference {
    /// Reads a reference (without its braces).
    ///
    /// # Errors
    /// The message says what the name should have been.
    pub fn parse(text: &str, known: &Vocabulary) -> Result<Self, String> {
        let mut parts = text.split('.');
        let first = parts.next().unwrap_or_default();
        let path: Vec<Box<str>> = parts.map(Box::from).collect();
        if first.is_empty() || path.iter().any(|part| part.is_empty()) {
            return Err(format!("{{{text}}} is not a name"));
        }
        let root = known
            .root(first, &path)
            .ok_or_else(|| format!("{{{text}}} is not known here; known are: {}", known.names()))?;
        let path = path.into();
        Ok(Self { root, path })
    }

    /// Whether the value differs from one client to the next.
    pub fn is_personal(&self) -> bool {
        !matches!(
            self.root,
            Root::Data | Root::EventId | Root::EventType | Root::Now(_)
        )
    }

    /// Whether the value is the client's own word.
    pub fn is_said(&self) -> bool {
        self.root == Root::Message
    }

    /// Whether this is the path parameter of a name.
    pub fn is_param(&self, name: &str) -> bool {
        matches!(&self.root, Root::Param(param) if &**param == name)
    }

    /// Whether the value depends on the moment.
    pub(super) fn is_timed(&self) -> bool {
        matches!(self.root, Root::Now(_))
    }

    /// Whether there is a value in any case.
    pub(super) fn is_certain(&self) -> bool {
        matches!(self.root, Root::EventId | Root::EventType | Root::Now(_))
    }

    /// Finds the value as JSON text; `None` where there is nothing.
    pub fn resolve<'a>(&self, scope: &Scope<'a>) -> Option<Cow<'a, str>> {
        match &self.root {
            Root::Data => pick(&scope.event?.data, &self.path).map(|raw| raw.get().into()),
            Root::EventId => quoted(scope.event?.id.as_str()),
            Root::EventType => quoted(scope.event?.kind.as_str()),
            Root::SessionId => quoted(&scope.client?.session?.to_string()),
            Root::Online(what) => {
                let online = scope.client?.online.as_ref()?;
                Some(online.ask(*what).to_string().into())
            }
            Root::Now(form) => {
                let now = scope.now.unwrap_or_else(SystemTime::now);
                Some(form.write(now).into())
            }
            Root::Problem => quoted(scope.problem?),
            _ => Some(self.resolve_value(scope)?.to_string().into()),
        }
    }

    fn resolve_value<'a>(&self, scope: &Scope<'a>) -> Option<&'a Value> {
        match &self.root {
            Root::UserId => scope.client?.user_value.as_ref(),
            Root::Message => descend(scope.message?, &self.path),
            Root::Answer => descend(scope.answer?, &self.path),
            Root::Claims => {
                let (first, rest) = self.path.split_first()?;
                descend(scope.client?.claims.as_ref()?.get(&**first)?, rest)
            }
            Root::Lookup(name) => descend(scope.client?.lookups.get(&**name)?, &self.path),
            Root::Param(name) => {
                let mut params = scope.client?.params.iter();
                params
                    .find(|(param, _)| param == name)
                    .map(|(_, value)| value)
            }
            Root::Data
            | Root::EventId
            | Root::EventType
            | Root::SessionId
            | Root::Online(_)
            | Root::Now(_)
            | Root::Problem => None,
        }
    }
}

impl Vocabulary {
    fn root(&self, first: &str, path: &[Box<str>]) -> Option<Root> {
        let only = |path: &[Box<str>], name: &str| path.len() == 1 && &*path[0] == name;
        let named = |names: &[Arc<str>]| names.iter().find(|name| &***name == first).cloned();
        match first {
            "data" if self.event => Some(Root::Data),
            "event" if self.event && only(path, "id") => Some(Root::EventId),
            "event" if self.event && only(path, "type") => Some(Root::EventType),
            "user" if self.client && only(path, "id") => Some(Root::UserId),
            "claims" if self.client && !path.is_empty() => Some(Root::Claims),
            "session" if self.client && only(path, "id") => Some(Root::SessionId),
            "message" if self.message => Some(Root::Message),
            "answer" if self.answer => Some(Root::Answer),
            "online" if self.online && path.is_empty() => Some(Root::Online(Roster::List)),
            "online" if self.online && only(path, "count") => Some(Root::Online(Roster::Count)),
            "now" => Moment::named(path).map(Root::Now),
            "problem" if self.problem && path.is_empty() => Some(Root::Problem),
            _ if path.is_empty() && named(&self.params).is_some() => {
                named(&self.params).map(Root::Param)
            }
            _ => named(&self.lookups).map(Root::Lookup),
        }
    }
}

/// Follows names and indices into a value.
pub(crate) fn descend<'a>(value: &'a Value, path: &[Box<str>]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, part| match value {
        Value::Object(members) => members.get(&**part),
        Value::Array(items) => items.get(part.parse::<usize>().ok()?),
        _ => None,
    })
}

/// Follows names and indices into JSON text.
fn pick<'a>(raw: &'a RawValue, path: &[Box<str>]) -> Option<&'a RawValue> {
    path.iter().try_fold(raw, |raw, part| {
        let mut json = serde_json::Deserializer::from_str(raw.get());
        Member(part).deserialize(&mut json).ok().flatten()
    })
}

/// Whether a key reads so. One that is no text, by half a surrogate pair, has no name.
fn reads(key: &RawValue, name: &str) -> bool {
    match key.get().contains('\\') {
        true => serde_json::from_str::<String>(key.get()).is_ok_and(|key| key == name),
        false => key.get().get(1..key.get().len() - 1) == Some(name),
    }
}

/// Reads one member of an object, or one item of an array, and skips the rest.
struct Member<'n>(&'n str);

impl<'de> DeserializeSeed<'de> for Member<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<&'de RawValue>()? {
            if reads(key, self.0) {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut left = self.0.parse::<usize>().ok();
        let mut found = None;
        while let Some(item) = items.next_element::<&'de RawValue>()? {
            if left == Some(0) {
                found = Some(item);
            }
            left = left.and_then(|left| left.checked_sub(1));
        }
        Ok(found)
    }
}
