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

/// Where a part of a string's value stands in the string as it is written in TOML;
/// `None` where it is written over several lines.
pub(super) fn part_of_string(written: &str, part: Range<usize>) -> Option<Range<usize>> {
    let quote = written.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let inside = written.strip_prefix(quote)?.strip_suffix(quote)?;
    if inside.starts_with(quote) {
        return None;
    }
    // Each character of the value with its place in what is written.
    let mut places = Vec::with_capacity(part.end + 1);
    let mut rest = inside;
    while let Some(c) = rest.chars().next() {
        let at = written.len() - 1 - rest.len();
        let (length, value) = match c {
            '\\' if quote == '"' => escape(rest)?,
            c => (c.len_utf8(), c),
        };
        places.extend(std::iter::repeat_n(at, value.len_utf8()));
        rest = rest.get(length..)?;
    }
    places.push(written.len() - 1);
    Some(*places.get(part.start)?..*places.get(part.end)?)
}

/// How long an escape is, and what it stands for.
fn escape(written: &str) -> Option<(usize, char)> {
    let digits = match written.as_bytes().get(1)? {
        b'x' => 2,
        b'u' => 4,
        b'U' => 8,
        // All others stand for one byte.
        _ => return Some((2, ' ')),
    };
    let code = u32::from_str_radix(written.get(2..2 + digits)?, 16).ok()?;
    Some((2 + digits, char::from_u32(code)?))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_string_is_found_where_it_is_written() {
        for (written, part, expected) in [
            ("\"ab{x}\"", 2..5, Some("{x}")),
            ("'a\\b{x}'", 3..6, Some("{x}")),
            (r#""\"\u00e9\\{x}""#, 4..7, Some("{x}")),
            (r#""é{x}""#, 2..5, Some("{x}")),
            ("\"{x}\"", 1..3, Some("x}")),
            ("\"{x}\"", 0..9, None),
            ("\"\"\"\n{x}\"\"\"", 0..3, None),
            ("x", 0..1, None),
        ] {
            let found = part_of_string(written, part).and_then(|place| written.get(place));
            assert_eq!(found, expected, "{written}");
        }
    }
}
