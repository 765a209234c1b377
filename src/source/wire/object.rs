//! An object taken apart: its members in their order, none of them twice.

use std::{borrow::Cow, collections::HashSet, fmt};

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::Rejected;

/// The members of an object in their order, none of them twice.
pub(in crate::source) fn members(
    json: &RawValue,
) -> Result<Vec<(Cow<'_, str>, &RawValue)>, Rejected> {
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

/// A key in an answer: enough to find it, not a second copy of the body.
pub(super) fn short(key: &str) -> String {
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
