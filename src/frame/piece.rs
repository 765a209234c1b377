//! Compiled templates: stretches of JSON text and the holes between them. Rendering
//! is one pass over a flat list; only an object that has optional or spread members
//! is put together when it is rendered.

use std::borrow::Cow;

use indexmap::IndexMap;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{JsonStyle, Scope, expression::Expression, text::unquoted};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Piece {
    /// JSON text that is always the same.
    Fixed(Box<str>),
    /// A whole value.
    Value(Expression),
    /// A value inside a string.
    Within(Expression),
    /// An object whose members depend on the data.
    Object(Box<[Member]>),
}

/// A part of an object whose members depend on the data.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Member {
    /// A key, as JSON text, and its value.
    Pair {
        key: Box<str>,
        value: Box<[Piece]>,
        /// Left out when nothing in its value is there.
        optional: bool,
    },
    /// All members of a value that is an object.
    Spread(Expression),
}

/// What pieces are written with.
#[derive(Clone, Copy)]
pub(super) struct Writer<'a> {
    pub(super) scope: Scope<'a>,
    pub(super) style: JsonStyle,
}

impl<'a> Writer<'a> {
    /// Appends the text of pieces. A reference to nothing is `null`, or nothing inside
    /// a string. Says whether any of the references was to something.
    pub(super) fn write(self, pieces: &'a [Piece], out: &mut String) -> bool {
        let mut found = false;
        for piece in pieces {
            match piece {
                Piece::Fixed(text) => out.push_str(text),
                Piece::Value(expression) => match self.resolve(expression) {
                    Some(json) => {
                        found = true;
                        self.style.write_raw(&json, out);
                    }
                    None => out.push_str("null"),
                },
                Piece::Within(expression) => {
                    if let Some(json) = self.resolve(expression) {
                        found = true;
                        self.style.write_escaped(&unquoted(&json), out);
                    }
                }
                Piece::Object(members) => found |= self.object(members, out),
            }
        }
        found
    }

    fn resolve(self, expression: &'a Expression) -> Option<Cow<'a, str>> {
        expression.resolve(&self.scope, self.style)
    }

    fn object(self, members: &'a [Member], out: &mut String) -> bool {
        let spread = |member: &Member| matches!(member, Member::Spread(_));
        out.push('{');
        let found = match members.iter().any(spread) {
            true => self.merged(members, out),
            false => self.listed(members, out),
        };
        out.push('}');
        found
    }

    /// Members that are all known by name.
    fn listed(self, members: &'a [Member], out: &mut String) -> bool {
        let (start, mut found) = (out.len(), false);
        for member in members {
            let Member::Pair {
                key,
                value,
                optional,
            } = member
            else {
                continue;
            };
            let before = out.len();
            if before > start {
                out.push_str(self.style.comma());
            }
            out.push_str(key);
            out.push_str(self.style.colon());
            match self.write(value, out) {
                false if *optional => out.truncate(before),
                there => found |= there,
            }
        }
        found
    }

    /// As in Python's `{**a, "k": v}`: a key keeps its first place and takes its last
    /// value. What is no object has no members to spread.
    fn merged(self, members: &'a [Member], out: &mut String) -> bool {
        let mut merged: IndexMap<Cow<'_, str>, String> = IndexMap::new();
        let mut found = false;
        for member in members {
            match member {
                Member::Pair {
                    key,
                    value,
                    optional,
                } => {
                    let mut text = String::new();
                    let there = self.write(value, &mut text);
                    found |= there;
                    if there || !*optional {
                        merged.insert(key.as_ref().into(), text);
                    }
                }
                Member::Spread(expression) => {
                    let Some(json) = self.resolve(expression) else {
                        continue;
                    };
                    found = true;
                    for (key, value) in members_of(&json) {
                        merged.insert(self.styled(key).into(), self.styled(value));
                    }
                }
            }
        }
        for (index, (key, value)) in merged.iter().enumerate() {
            if index > 0 {
                out.push_str(self.style.comma());
            }
            out.push_str(key);
            out.push_str(self.style.colon());
            out.push_str(value);
        }
        found
    }

    /// In a style a text has one spelling, so keys that are the same look the same.
    fn styled(self, json: &RawValue) -> String {
        let mut out = String::new();
        self.style.write_raw(json.get(), &mut out);
        out
    }
}

/// Whether any of the expressions in pieces is so.
pub(super) fn any(pieces: &[Piece], is: &dyn Fn(&Expression) -> bool) -> bool {
    pieces.iter().any(|piece| match piece {
        Piece::Fixed(_) => false,
        Piece::Value(expression) | Piece::Within(expression) => is(expression),
        Piece::Object(members) => members.iter().any(|member| match member {
            Member::Pair { value, .. } => any(value, is),
            Member::Spread(expression) => is(expression),
        }),
    })
}

/// The members of an object, keys as they are written; none of anything else.
fn members_of(json: &str) -> Vec<(&RawValue, &RawValue)> {
    let mut json = serde_json::Deserializer::from_str(json);
    json.deserialize_map(Members).unwrap_or_default()
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(&'de RawValue, &'de RawValue)>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(members)
    }
}
