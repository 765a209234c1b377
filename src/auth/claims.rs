//! Reading what a token says: claims by name, moments, the user's id.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Number, Value};

use super::Rejected;
use crate::event::UserId;

/// A claim by its name, or by a path through objects (`realm.user_id`). A name
/// that has dots itself (`https://app.example/user`) goes first.
pub(super) fn find<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(name) {
        return Some(value);
    }
    let (first, rest) = name.split_once('.')?;
    find(claims.get(first)?.as_object()?, rest)
}

/// The moment that a claim names (`NumericDate`, RFC 7519 section 2).
pub(super) fn moment(
    claims: &Map<String, Value>,
    name: &str,
) -> Result<Option<SystemTime>, Rejected> {
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    let moment = value.as_number().and_then(since_epoch);
    let wrong = || Rejected::Invalid(format!("the token's `{name}` is not a number of seconds"));
    moment.map(Some).ok_or_else(wrong)
}

fn since_epoch(seconds: &Number) -> Option<SystemTime> {
    let seconds = seconds.as_f64()?;
    let distance = Duration::try_from_secs_f64(seconds.abs()).ok()?;
    match seconds < 0.0 {
        true => SystemTime::UNIX_EPOCH.checked_sub(distance),
        false => SystemTime::UNIX_EPOCH.checked_add(distance),
    }
}

/// The user that a claim's value names: a text or a whole number.
pub(super) fn user(value: &Value) -> Option<UserId> {
    match value {
        Value::String(text) => (!text.is_empty()).then(|| UserId::from(text.as_str())),
        Value::Number(number) => {
            let text = number.to_string();
            let is_whole = !text.contains(['.', 'e', 'E']);
            is_whole.then(|| UserId::from(text))
        }
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}
