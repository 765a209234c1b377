//! What a client's message causes: its condition, what it must hold, its steps.

use std::fmt;

use serde_json::Value;

use super::{Reply, Step};
use crate::frame::descend;

/// A rule: messages that fit `when` cause the steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Action {
    /// All of them must hold. Empty: every message.
    pub when: Vec<Condition>,
    /// What a message must hold; else it is answered by `on_invalid`.
    pub require: Vec<Required>,
    /// Sent for a message that does not hold what it must.
    pub on_invalid: Option<Reply>,
    /// What happens. Nothing: the message is ignored on purpose.
    pub steps: Vec<Step>,
}

impl Action {
    /// Whether a message is for this action. Only objects are.
    pub fn fits(&self, message: &Value) -> bool {
        message.is_object() && self.when.iter().all(|condition| condition.holds(message))
    }

    /// What is wrong with a message that fits.
    pub fn problem(&self, message: &Value) -> Option<String> {
        self.require.iter().find_map(|one| one.problem(message))
    }

    /// Whether it takes every message that another one takes.
    pub fn covers(&self, other: &Self) -> bool {
        let implied = |mine: &Condition| other.when.iter().any(|theirs| theirs.implies(mine));
        self.when.iter().all(implied)
    }
}

/// Names that lead to a value inside a message.
pub type FieldPath = Box<[Box<str>]>;

/// A condition on one field of a message.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// Where the field is.
    pub field: FieldPath,
    /// What it must be.
    pub test: Test,
}

/// What a field must be.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// One of these values.
    OneOf(Vec<Value>),
    /// There (and not null), or not there.
    Present(bool),
}

impl Condition {
    fn holds(&self, message: &Value) -> bool {
        let found = descend(message, &self.field);
        match &self.test {
            Test::OneOf(values) => found.is_some_and(|found| values.contains(found)),
            Test::Present(present) => found.is_some_and(|found| !found.is_null()) == *present,
        }
    }

    fn implies(&self, other: &Self) -> bool {
        let narrower = match (&self.test, &other.test) {
            (Test::OneOf(mine), Test::OneOf(theirs)) => mine.iter().all(|one| theirs.contains(one)),
            (Test::OneOf(mine), Test::Present(true)) => !mine.contains(&Value::Null),
            (Test::Present(mine), Test::Present(theirs)) => mine == theirs,
            (Test::OneOf(_), Test::Present(false)) | (Test::Present(_), Test::OneOf(_)) => false,
        };
        self.field == other.field && narrower
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = self.field.join(".");
        match &self.test {
            Test::Present(true) => write!(f, "{field} is there"),
            Test::Present(false) => write!(f, "{field} is not there"),
            Test::OneOf(values) => {
                let values: Vec<_> = values.iter().map(Value::to_string).collect();
                write!(f, "{field} = {}", values.join(" or "))
            }
        }
    }
}

/// A field that a message must hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Required {
    /// Where it is.
    pub field: FieldPath,
    /// Of which type it is.
    pub kind: FieldKind,
    /// It may be absent or null, but not of another type.
    pub optional: bool,
}

impl Required {
    fn problem(&self, message: &Value) -> Option<String> {
        let field = self.field.join(".");
        match descend(message, &self.field).filter(|found| !found.is_null()) {
            None if self.optional => None,
            None => Some(format!("{field} is required")),
            Some(found) if self.kind.is(found) => None,
            Some(_) => Some(format!("{field} must be {}", self.kind.in_words())),
        }
    }
}

/// The type of a required field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// A string, perhaps empty.
    String,
    /// A string that is not blank.
    Text,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// True or false.
    Boolean,
    /// An object.
    Object,
    /// A list.
    Array,
    /// Anything but null.
    Any,
}

impl FieldKind {
    /// The words of the config, with what they stand for.
    pub const WORDS: [(&'static str, Self); 8] = [
        ("string", Self::String),
        ("text", Self::Text),
        ("integer", Self::Integer),
        ("number", Self::Number),
        ("boolean", Self::Boolean),
        ("object", Self::Object),
        ("array", Self::Array),
        ("any", Self::Any),
    ];

    fn is(self, value: &Value) -> bool {
        match self {
            Self::String => value.is_string(),
            Self::Text => value.as_str().is_some_and(|text| !text.trim().is_empty()),
            Self::Integer => value.is_i64() || value.is_u64(),
            Self::Number => value.is_number(),
            Self::Boolean => value.is_boolean(),
            Self::Object => value.is_object(),
            Self::Array => value.is_array(),
            Self::Any => true,
        }
    }

    fn in_words(self) -> &'static str {
        match self {
            Self::String => "a string",
            Self::Text => "a text that is not empty",
            Self::Integer => "a whole number",
            Self::Number => "a number",
            Self::Boolean => "true or false",
            Self::Object => "an object",
            Self::Array => "a list",
            Self::Any => "anything",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn path(text: &str) -> FieldPath {
        text.split('.').map(Box::from).collect()
    }

    fn condition(field: &str, test: Test) -> Condition {
        let field = path(field);
        Condition { field, test }
    }

    fn action(when: Vec<Condition>) -> Action {
        Action {
            when,
            require: Vec::new(),
            on_invalid: None,
            steps: Vec::new(),
        }
    }

    #[test]
    fn conditions_look_into_a_message() {
        let kind = action(vec![condition(
            "data.kind",
            Test::OneOf(vec![json!("typing"), json!(1)]),
        )]);
        let fits = |message: Value| kind.fits(&message);
        assert!(fits(json!({"data": {"kind": "typing"}})));
        assert!(fits(json!({"data": {"kind": 1, "more": 2}})));
        for other in [
            json!({"data": {"kind": "2"}}),
            json!({"data": "typing"}),
            json!({"data.kind": "typing"}),
            json!({}),
            json!([{"data": {"kind": "typing"}}]),
        ] {
            assert!(!fits(other.clone()), "{other}");
        }
    }

    #[test]
    fn absent_and_null_are_the_same() {
        let there = action(vec![condition("a.b", Test::Present(true))]);
        let gone = action(vec![condition("a.b", Test::Present(false))]);
        for (message, is_there) in [
            (json!({"a": {"b": 0}}), true),
            (json!({"a": {"b": null}}), false),
            (json!({"a": 1}), false),
            (json!({}), false),
        ] {
            assert_eq!(there.fits(&message), is_there, "{message}");
            assert_eq!(gone.fits(&message), !is_there, "{message}");
        }
    }

    #[test]
    fn a_wider_action_covers_a_narrower_one() {
        let all = action(Vec::new());
        let one = action(vec![condition("t", Test::OneOf(vec![json!("x")]))]);
        let two = action(vec![condition(
            "t",
            Test::OneOf(vec![json!("x"), json!("y")]),
        )]);
        let there = action(vec![condition("t", Test::Present(true))]);
        for (wide, narrow) in [(&all, &one), (&two, &one), (&there, &two), (&all, &there)] {
            assert!(wide.covers(narrow));
            assert!(!narrow.covers(wide));
        }
    }

    #[test]
    fn what_a_message_lacks_is_said() {
        let required = |field: &str, kind, optional| Required {
            field: path(field),
            kind,
            optional,
        };
        let mut action = action(Vec::new());
        action.require = vec![
            required("content", FieldKind::Text, false),
            required("data.id", FieldKind::Integer, false),
            required("to", FieldKind::Array, true),
        ];
        for (message, problem) in [
            (json!({"data": {"id": 1}}), Some("content is required")),
            (
                json!({"content": " ", "data": {"id": 1}}),
                Some("content must be a text that is not empty"),
            ),
            (
                json!({"content": "x", "data": {}}),
                Some("data.id is required"),
            ),
            (
                json!({"content": "x", "data": {"id": 1.5}}),
                Some("data.id must be a whole number"),
            ),
            (
                json!({"content": "x", "data": {"id": 1}, "to": "x"}),
                Some("to must be a list"),
            ),
            (json!({"content": "x", "data": {"id": 1}, "to": null}), None),
            (json!({"content": "x", "data": {"id": 1}, "to": []}), None),
        ] {
            assert_eq!(action.problem(&message).as_deref(), problem, "{message}");
        }
    }
}
