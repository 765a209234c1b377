//! A tree of TOML values that remembers where each of them stands: frames,
//! welcomes, bodies and the values that messages and claims are compared with.

use std::{fmt, ops::Range};

use serde::{Deserialize, Deserializer, de};
use serde_json::Value;
use toml::Spanned;

/// How `toml` hands over a date to those who do not ask for one.
const DATE_KEY: &str = "$__toml_private_datetime";

/// A value and where it stands.
pub(super) type Tree = Spanned<Node>;

/// A value of JSON, written in TOML.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Leaf(Value),
    List(Vec<Tree>),
    Table(Vec<(String, Tree)>),
}

impl Node {
    /// As JSON, keys in the order of the file.
    pub(super) fn json(&self) -> Value {
        match self {
            Self::Leaf(value) => value.clone(),
            Self::List(items) => items.iter().map(|item| item.get_ref().json()).collect(),
            Self::Table(pairs) => {
                let pairs = pairs.iter();
                Value::Object(
                    pairs
                        .map(|(key, value)| (key.clone(), value.get_ref().json()))
                        .collect(),
                )
            }
        }
    }
}

/// Where the value at a path stands, as near as it is known.
pub(super) fn span_at(tree: &Tree, path: &[String]) -> Range<usize> {
    let below = path.split_first().and_then(|(first, rest)| {
        let child = match tree.get_ref() {
            Node::Leaf(_) => None,
            Node::List(items) => items.get(first.parse::<usize>().ok()?),
            Node::Table(pairs) => pairs
                .iter()
                .find(|(key, _)| key == first)
                .map(|(_, tree)| tree),
        };
        Some(span_at(child?, rest))
    });
    below.unwrap_or_else(|| tree.span())
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Any)
    }
}

struct Any;

impl<'de> de::Visitor<'de> for Any {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of JSON")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Leaf(value.into()))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Leaf(value.into()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Leaf(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Node, E> {
        let number = serde_json::Number::from_f64(value);
        number
            .map(|number| Node::Leaf(number.into()))
            .ok_or_else(|| {
                E::custom(format!(
                    "JSON has no number `{value}`\nwrite a text, or leave it out"
                ))
            })
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Leaf(value.into()))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut pairs = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            if key == DATE_KEY {
                return Err(de::Error::custom(
                    "JSON has no dates\nwrite it as a text, in quotes",
                ));
            }
            pairs.push((key, map.next_value()?));
        }
        Ok(Node::Table(pairs))
    }
}
