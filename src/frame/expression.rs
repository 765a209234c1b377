//! What may stand in braces: a reference with filters, or a comparison.

use std::borrow::Cow;

use serde_json::Value;

use super::{JsonStyle, Reference, Scope, text::unquoted};

/// Integers up to here are exact as floating point numbers.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A value that is worked out from references.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expression {
    /// `{data.x | default 0}`.
    Value {
        reference: Reference,
        filters: Box<[Filter]>,
    },
    /// `{data.x == user.id}`: whether they are the same, or that they are not.
    Same {
        left: Reference,
        right: Operand,
        expected: bool,
    },
}

/// The right side of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Operand {
    Reference(Reference),
    /// JSON text.
    Literal(Box<str>),
}

/// What makes another value of a value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Filter {
    /// This JSON text stands in for what is absent or null.
    Default(Box<str>),
    /// A text that reads as the value does.
    Text,
    /// A whole number; what is none is absent.
    Int,
    /// A text that holds the value as JSON.
    Json,
}

impl Expression {
    /// Finds the value as JSON text; `None` where there is nothing.
    pub(super) fn resolve<'a>(
        &'a self,
        scope: &Scope<'a>,
        style: JsonStyle,
    ) -> Option<Cow<'a, str>> {
        match self {
            Self::Value { reference, filters } => {
                let value = reference.resolve(scope);
                let apply = |value, filter: &'a Filter| filter.apply(value, style);
                filters.iter().fold(value, apply)
            }
            Self::Same {
                left,
                right,
                expected,
            } => {
                let right = match right {
                    Operand::Reference(reference) => reference.resolve(scope),
                    Operand::Literal(json) => Some(json.as_ref().into()),
                };
                let same = same(left.resolve(scope).as_deref(), right.as_deref());
                Some(if same == *expected { "true" } else { "false" }.into())
            }
        }
    }

    /// Whether the value differs from one client to the next.
    pub(super) fn is_personal(&self) -> bool {
        self.references().any(Reference::is_personal)
    }

    /// Whether the value depends on the moment.
    pub(super) fn is_timed(&self) -> bool {
        self.references().any(Reference::is_timed)
    }

    /// Whether there is a value in any case.
    pub(super) fn is_certain(&self) -> bool {
        match self {
            Self::Same { .. } => true,
            Self::Value { reference, filters } => match filters.last() {
                Some(Filter::Default(_)) => true,
                Some(_) => false,
                None => reference.is_certain(),
            },
        }
    }

    /// What it is worked out from.
    pub(super) fn references(&self) -> impl Iterator<Item = &Reference> {
        let (first, second) = match self {
            Self::Value { reference, .. } => (reference, None),
            Self::Same { left, right, .. } => match right {
                Operand::Reference(right) => (left, Some(right)),
                Operand::Literal(_) => (left, None),
            },
        };
        std::iter::once(first).chain(second)
    }
}

impl Filter {
    fn apply<'a>(&'a self, value: Option<Cow<'a, str>>, style: JsonStyle) -> Option<Cow<'a, str>> {
        match self {
            Self::Default(json) => match value {
                Some(value) if value != "null" => Some(value),
                _ => Some(json.as_ref().into()),
            },
            Self::Int => int(&value?).map(Cow::Owned),
            Self::Text => match value? {
                value if value.starts_with('"') || value == "null" => Some(value),
                value => quoted(&value),
            },
            Self::Json => {
                let mut text = String::new();
                style.write_raw(&value?, &mut text);
                quoted(&text)
            }
        }
    }
}

/// A text as a JSON string.
pub(super) fn quoted(text: &str) -> Option<Cow<'static, str>> {
    serde_json::to_string(text).ok().map(Cow::Owned)
}

/// Digits stay as they are, however many. A number's fraction is cut off, as Python's
/// `int` does.
fn int(json: &str) -> Option<String> {
    let text = unquoted(json);
    let (sign, digits) = match text.trim().strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.trim().trim_start_matches('+')),
    };
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(match digits.trim_start_matches('0') {
            "" => "0".into(),
            digits => format!("{sign}{digits}"),
        });
    }
    let number: f64 = json.parse().ok()?;
    // Adding nothing makes -0 a 0.
    (number.abs() < EXACT).then(|| format!("{:.0}", number.trunc() + 0.0))
}

/// Whether two values are the same. Numbers and texts are by what they read as: apps
/// write an id as either. What is absent is null.
pub(super) fn same(left: Option<&str>, right: Option<&str>) -> bool {
    let (left, right) = (left.unwrap_or("null"), right.unwrap_or("null"));
    match (sort(left), sort(right)) {
        (Sort::Text, Sort::Text) => unquoted(left) == unquoted(right),
        (Sort::Tree, Sort::Tree) => tree(left).is_some_and(|left| Some(left) == tree(right)),
        _ => left == right,
    }
}

#[derive(PartialEq)]
enum Sort {
    /// A text or a number.
    Text,
    /// An object or a list.
    Tree,
    /// True, false or null.
    Word,
}

fn sort(json: &str) -> Sort {
    match json.bytes().next() {
        Some(b'"' | b'-' | b'0'..=b'9') => Sort::Text,
        Some(b'{' | b'[') => Sort::Tree,
        _ => Sort::Word,
    }
}

fn tree(json: &str) -> Option<Value> {
    serde_json::from_str(json).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_made_of_texts_and_numbers_only() {
        for (json, expected) in [
            ("42", Some("42")),
            ("\"42\"", Some("42")),
            ("\" -007 \"", Some("-7")),
            ("\"+5\"", Some("5")),
            ("-0", Some("0")),
            (
                "123456789012345678901234567890",
                Some("123456789012345678901234567890"),
            ),
            ("1.9", Some("1")),
            ("-0.5", Some("0")),
            ("1e5", Some("100000")),
            ("1e300", None),
            ("\"1.5\"", None),
            ("\"\"", None),
            ("\"-\"", None),
            ("\"inf\"", None),
            ("\"\u{664}\"", None),
            ("true", None),
            ("null", None),
            ("[1]", None),
        ] {
            assert_eq!(int(json).as_deref(), expected, "{json}");
        }
    }

    #[test]
    fn sameness_is_by_what_a_value_reads_as() {
        for (left, right, expected) in [
            (Some("42"), Some("\"42\""), true),
            (Some("\"a\\u00e9\""), Some("\"aé\""), true),
            (Some("42"), Some("43"), false),
            (Some("true"), Some("true"), true),
            (Some("true"), Some("\"true\""), false),
            (None, Some("null"), true),
            (None, None, true),
            (None, Some("\"\""), false),
            (
                Some("{\"a\":1,\"b\":[2]}"),
                Some("{ \"b\": [2], \"a\": 1 }"),
                true,
            ),
            (Some("[1,2]"), Some("[2,1]"), false),
            (Some("[1]"), Some("\"[1]\""), false),
        ] {
            assert_eq!(same(left, right), expected, "{left:?} {right:?}");
        }
    }
}
