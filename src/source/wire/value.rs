//! The values that an event has under its keys: what each may be, and how much of it.

use std::collections::HashSet;

use serde_json::value::RawValue;
use smallvec::SmallVec;

use super::{
    Rejected,
    object::{members, short},
};
use crate::event::{Topic, UserId, is_name};

const MAX_TOPICS: usize = 100;
pub(in crate::source) const MAX_USERS: usize = 1_000;
/// Readers stop at some depth (serde_json at 128), so we do a little before them.
const MAX_DEPTH: usize = 100;

/// One text of 1 to 255 bytes without control characters.
pub(in crate::source) fn text(key: &'static str, json: &RawValue) -> Result<String, Rejected> {
    let text = serde_json::from_str::<String>(json.get());
    checked(
        key,
        text.map_err(|_| Rejected::Wrong(key, "must be a text"))?,
    )
}

/// A list of topics.
pub(in crate::source) fn names(
    key: &'static str,
    json: &RawValue,
) -> Result<SmallVec<[Topic; 1]>, Rejected> {
    let items = list(key, json)?;
    if items.len() > MAX_TOPICS {
        return Err(Rejected::Wrong(key, "holds more than 100 names"));
    }
    let items = items.into_iter().map(|item| text(key, item));
    Ok(distinct(items.collect::<Result<Vec<_>, _>>()?))
}

/// A list of users that is not empty: an app that worked out "none of them" must
/// not reach everybody on the topics instead.
pub(in crate::source) fn audience(
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
pub(in crate::source) fn users(
    key: &'static str,
    json: &RawValue,
) -> Result<SmallVec<[UserId; 1]>, Rejected> {
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
pub(in crate::source) fn flag(key: &'static str, json: &RawValue) -> Result<bool, Rejected> {
    let flag = serde_json::from_str(json.get());
    flag.map_err(|_| Rejected::Wrong(key, "must be true or false"))
}

/// The payload as it came.
pub(in crate::source) fn payload(json: &RawValue) -> Result<Box<RawValue>, Rejected> {
    match depth(json.get()) > MAX_DEPTH {
        true => Err(Rejected::Wrong("data", "is nested deeper than 100 levels")),
        false => Ok(json.to_owned()),
    }
}

pub(in crate::source) fn is_null(json: &RawValue) -> bool {
    json.get() == "null"
}

/// Drops what is there twice, so that nobody is sent an event twice.
pub(in crate::source) fn distinct<T: From<String>>(mut texts: Vec<String>) -> SmallVec<[T; 1]> {
    let mut seen = HashSet::new();
    texts.retain(|text| seen.insert(text.clone()));
    texts.into_iter().map(T::from).collect()
}

pub(in crate::source) fn checked(key: &'static str, text: String) -> Result<String, Rejected> {
    match is_name(&text) {
        true => Ok(text),
        false => Err(Rejected::Wrong(
            key,
            "must be 1 to 255 bytes without control characters",
        )),
    }
}

pub(super) fn except(json: &RawValue) -> Result<SmallVec<[UserId; 1]>, Rejected> {
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
