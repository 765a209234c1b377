//! The JSON of an event, as apps write it, into an [`Event`].
//!
//! Everything an event says is checked here, once: what is behind believes it.
//! The payload is kept as the bytes that came. A key that is there twice, or is
//! not known, makes the event rejected; `null` is the same as leaving a key out.

use std::{borrow::Cow, collections::HashSet, fmt};

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use smallvec::SmallVec;

use crate::{
    event::{Event, EventId, Except, Kind, Topic, UserId, is_name},
    order::{Malformed, Order},
};

const MAX_TOPICS: usize = 100;
pub(super) const MAX_USERS: usize = 1_000;
/// Readers stop at some depth (serde_json at 128), so we do a little before them.
const MAX_DEPTH: usize = 100;

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

/// The members of an object in their order, none of them twice.
pub(super) fn members(json: &RawValue) -> Result<Vec<(Cow<'_, str>, &RawValue)>, Rejected> {
    if !json.get().starts_with('{') {
        return Err(Rejected::NotAnObject);
    }
    // It has been read before: only a key can be wrong, by half a surrogate pair.
    let Members(members) = serde_json::from_str(json.get())
        .map_err(|_| Rejected::Wrong("a key", "is not valid text"))?;
    let mut seen = HashSet::new();
    match members.iter().find(|(key, _)| !seen.insert(key.as_ref())) {
        Some((key, _)) => Err(Rejected::Twice(short(key))),
        None => Ok(members),
    }
}

/// One text of 1 to 255 bytes without control characters.
pub(super) fn text(key: &'static str, json: &RawValue) -> Result<String, Rejected> {
    let text = serde_json::from_str::<String>(json.get());
    checked(
        key,
        text.map_err(|_| Rejected::Wrong(key, "must be a text"))?,
    )
}

/// A list of topics.
pub(super) fn names(key: &'static str, json: &RawValue) -> Result<SmallVec<[Topic; 1]>, Rejected> {
    let items = list(key, json)?;
    if items.len() > MAX_TOPICS {
        return Err(Rejected::Wrong(key, "holds more than 100 names"));
    }
    let items = items.into_iter().map(|item| text(key, item));
    Ok(distinct(items.collect::<Result<Vec<_>, _>>()?))
}

/// A list of users that is not empty: an app that worked out "none of them" must
/// not reach everybody on the topics instead.
pub(super) fn audience(
    key: &'static str,
    json: &RawValue,
) -> Result<SmallVec<[UserId; 1]>, Rejected> {
    let users = users(key, json)?;
    match users.is_empty() {
        true => Err(Rejected::Wrong(
            key,
            "is an empty list: leave it out to reach everyone on the topics",
        )),
        false => Ok(users),
    }
}

/// A list of users: texts or whole numbers.
pub(super) fn users(key: &'static str, json: &RawValue) -> Result<SmallVec<[UserId; 1]>, Rejected> {
    let items = list(key, json)?;
    if items.len() > MAX_USERS {
        return Err(Rejected::Wrong(key, "holds more than 1,000 users"));
    }
    let items = items.into_iter().map(|item| match is_integer(item.get()) {
        true => checked(key, item.get().into()),
        false => text(key, item).map_err(|_| {
            Rejected::Wrong(key, "must hold whole numbers or texts of 1 to 255 bytes")
        }),
    });
    Ok(distinct(items.collect::<Result<Vec<_>, _>>()?))
}

/// `true` or `false`.
pub(super) fn flag(key: &'static str, json: &RawValue) -> Result<bool, Rejected> {
    let flag = serde_json::from_str(json.get());
    flag.map_err(|_| Rejected::Wrong(key, "must be true or false"))
}

/// The payload as it came.
pub(super) fn payload(json: &RawValue) -> Result<Box<RawValue>, Rejected> {
    match depth(json.get()) > MAX_DEPTH {
        true => Err(Rejected::Wrong("data", "is nested deeper than 100 levels")),
        false => Ok(json.to_owned()),
    }
}

pub(super) fn is_null(json: &RawValue) -> bool {
    json.get() == "null"
}

/// Drops what is there twice, so that nobody is sent an event twice.
pub(super) fn distinct<T: From<String>>(mut texts: Vec<String>) -> SmallVec<[T; 1]> {
    let mut seen = HashSet::new();
    texts.retain(|text| seen.insert(text.clone()));
    texts.into_iter().map(T::from).collect()
}

pub(super) fn checked(key: &'static str, text: String) -> Result<String, Rejected> {
    match is_name(&text) {
        true => Ok(text),
        false => Err(Rejected::Wrong(
            key,
            "must be 1 to 255 bytes without control characters",
        )),
    }
}

fn except(json: &RawValue) -> Result<SmallVec<[UserId; 1]>, Rejected> {
    let members = members(json).map_err(|problem| match problem {
        Rejected::NotAnObject => Rejected::Wrong("except", "must be an object with `users`"),
        other => other,
    })?;
    let mut left_out = SmallVec::new();
    for (key, value) in members {
        match &*key {
            "users" if is_null(value) => {}
            "users" => left_out = users("except.users", value)?,
            unknown => return Err(Rejected::Unknown(format!("except.{}", short(unknown)))),
        }
    }
    Ok(left_out)
}

fn list<'j>(key: &'static str, json: &'j RawValue) -> Result<Vec<&'j RawValue>, Rejected> {
    serde_json::from_str(json.get()).map_err(|_| Rejected::Wrong(key, "must be a list"))
}

fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// How deep lists and objects stand in each other in valid JSON.
fn depth(json: &str) -> usize {
    let (mut depth, mut deepest, mut quoted, mut escaped) = (0_usize, 0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// A key in an answer: enough to find it, not a second copy of the body.
fn short(key: &str) -> String {
    key.chars().take(40).collect()
}

/// Reads an object without losing what is there twice.
struct Members<'j>(Vec<(Cow<'j, str>, &'j RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        json.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(json: &str) -> Result<Event, String> {
        let raw: &RawValue = serde_json::from_str(json).unwrap();
        let (draft, result) = Draft::read(raw);
        result
            .and_then(|()| draft.finish("default".into()))
            .map_err(|rejected| rejected.to_string())
    }

    fn wrong(json: &str) -> String {
        read(json).unwrap_err()
    }

    #[test]
    fn an_event_is_read_and_its_payload_left_as_it_came() {
        let event = read(
            r#" {"id": "e1", "type": "chat.message", "topics": ["a", "b", "a"], "users": [42, "7", -1, 7],
                "except": {"users": [9]}, "data": {"x": 1.50,  "y": "\u00e9", "x": 2}, "ephemeral": true} "#,
        )
        .unwrap();
        assert_eq!(event.id.as_str(), "e1");
        assert_eq!(event.kind.as_str(), "chat.message");
        assert_eq!(event.topics[..], ["a".into(), "b".into()]);
        assert_eq!(event.users[..], ["42".into(), "7".into(), "-1".into()]);
        assert_eq!(event.except.users[..], ["9".into()]);
        assert_eq!(event.data.get(), r#"{"x": 1.50,  "y": "\u00e9", "x": 2}"#);
        assert!(event.ephemeral);
    }

    #[test]
    fn what_is_left_out_or_null_has_a_default() {
        let json = r#"{"id":null,"type":"t","topics":["a"],"users":null,"except":null,"data":null,"ephemeral":null}"#;
        for json in [json, r#"{"type":"t","topics":["a"]}"#] {
            let event = read(json).unwrap();
            assert_eq!(event.id.as_str(), "default");
            assert_eq!(event.data.get(), "null");
            assert!(event.users.is_empty() && !event.ephemeral);
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (json, reason) in [
            ("[]", "an event is a JSON object"),
            ("null", "an event is a JSON object"),
            (
                r#"{"type":"t"}"#,
                "it is for nobody: give `topics` or `users`",
            ),
            (
                r#"{"type":"t","topics":[]}"#,
                "it is for nobody: give `topics` or `users`",
            ),
            (r#"{"topics":["a"]}"#, "`type` is missing"),
            (r#"{"type":"t","topics":"a"}"#, "`topics` must be a list"),
            (r#"{"type":"t","topics":[1]}"#, "`topics` must be a text"),
            (r#"{"type":7,"topics":["a"]}"#, "`type` must be a text"),
            (
                r#"{"type":"t","users":[{}]}"#,
                "`users` must hold whole numbers or texts of 1 to 255 bytes",
            ),
            (
                r#"{"type":"t","users":[1.5]}"#,
                "`users` must hold whole numbers or texts of 1 to 255 bytes",
            ),
            (r#"{"type":"t","type":"u"}"#, "`type` is given twice"),
            (r#"{"type":"t","\u0074ype":"u"}"#, "`type` is given twice"),
            (
                r#"{"type":"t","ephemeral":1}"#,
                "`ephemeral` must be true or false",
            ),
            (
                r#"{"type":"t","except":[7]}"#,
                "`except` must be an object with `users`",
            ),
            (r#"{"type":"t","\ud800":1}"#, "`a key` is not valid text"),
            (r#"{"type":"\ud800"}"#, "`type` must be a text"),
        ] {
            assert_eq!(wrong(json), reason, "{json}");
        }
        for text in ["", r"a\nb", r"\u0085", &"x".repeat(256)] {
            let json = format!(r#"{{"type":"{text}","topics":["a"]}}"#);
            let reason = "`type` must be 1 to 255 bytes without control characters";
            assert_eq!(wrong(&json), reason);
        }
    }

    #[test]
    fn unknown_keys_are_named_and_cut_short() {
        assert!(wrong(r#"{"type":"t","topic":["a"]}"#).starts_with("`topic` is not a key"));
        assert!(wrong(r#"{"except":{"sessions":[1]}}"#).starts_with("`except.sessions` is not"));
        assert!(wrong(&format!(r#"{{"{}":1}}"#, "k".repeat(10_000))).len() < 200);
    }

    #[test]
    fn an_empty_audience_does_not_become_everybody() {
        let reason = wrong(r#"{"type":"t","topics":["a"],"users":[]}"#);
        assert!(reason.starts_with("`users` is an empty list"), "{reason}");
        assert!(read(r#"{"type":"t","topics":[],"users":[1]}"#).is_ok());
        assert!(read(r#"{"type":"t","topics":["a"],"except":{"users":[]}}"#).is_ok());
    }

    #[test]
    fn lists_are_bounded() {
        let list = |key: &str, n: usize| {
            let items: Vec<_> = (0..n).map(|n| format!(r#""{n}""#)).collect();
            format!(r#"{{"type":"t","{key}":[{}]}}"#, items.join(","))
        };
        assert!(read(&list("topics", 100)).is_ok());
        assert_eq!(
            wrong(&list("topics", 101)),
            "`topics` holds more than 100 names"
        );
        assert!(read(&list("users", 1000)).is_ok());
        assert_eq!(
            wrong(&list("users", 1001)),
            "`users` holds more than 1,000 users"
        );
    }

    #[test]
    fn depth_is_bounded_and_costs_no_stack() {
        let nested = |n: usize| {
            format!(
                r#"{{"type":"t","topics":["a"],"data":{}{}}}"#,
                "[".repeat(n),
                "]".repeat(n)
            )
        };
        assert!(read(&nested(100)).is_ok());
        assert_eq!(
            wrong(&nested(101)),
            "`data` is nested deeper than 100 levels"
        );
        assert_eq!(
            wrong(&nested(1_000_000)),
            "`data` is nested deeper than 100 levels"
        );
        assert!(read(r#"{"type":"t","topics":["a"],"data":"[[\"{{"}"#).is_ok());
        let deep = "[".repeat(500_000) + &"]".repeat(500_000);
        assert!(wrong(&format!(r#"{{"type":{deep}}}"#)).contains("`type`"));
        assert!(wrong(&format!(r#"{{"users":[{deep}]}}"#)).contains("`users`"));
        assert!(wrong(&format!(r#"{{"ephemeral":{deep}}}"#)).contains("`ephemeral`"));
    }

    #[test]
    fn the_id_is_known_even_if_something_is_wrong() {
        let raw = RawValue::from_string(r#"{"nope":1,"id":"e1"}"#.into()).unwrap();
        let (draft, result) = Draft::read(&raw);
        assert!(result.is_err());
        assert_eq!(draft.id, Some("e1".into()));
    }

    proptest! {
        #[test]
        fn no_json_panics(json in r#"(\{|\}|\[|\]|:|,|"type"|"users"|"data"|"x"|1|-1|1e9|null|true| ){0,30}"#) {
            if let Ok(raw) = serde_json::from_str::<&RawValue>(&json) {
                let (draft, result) = Draft::read(raw);
                let event = result.and_then(|()| draft.finish("x".into()));
                prop_assert!(event.is_err() || json.contains("users"));
            }
        }
    }
}
