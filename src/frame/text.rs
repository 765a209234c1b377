//! Plain strings with references in them: topics, paths, headers.

use std::borrow::Cow;

use super::{
    Fault, JsonStyle, Reference, Scope, Vocabulary,
    expression::Expression,
    parse::{Part, Purpose, parse},
};

/// A string with holes, such as the topic `messages_{chat_id}`.
#[derive(Clone, Debug, PartialEq)]
pub struct Text {
    parts: Box<[Part]>,
    source: Box<str>,
}

/// A reference had no value, where an empty one would have meant something else.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` has no value to put in here")]
pub struct Missing(pub String);

impl Text {
    /// Compiles a string; `{{` and `}}` are braces.
    ///
    /// # Errors
    /// It says which reference is not known here, and which are.
    pub fn compile(text: &str, known: &Vocabulary) -> Result<Self, Fault> {
        let parts = parse(text, known, Purpose::Plain)?.into();
        let source = text.into();
        Ok(Self { parts, source })
    }

    /// The template as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether it has no references: it is always the same.
    pub fn is_fixed(&self) -> bool {
        let fixed = |part: &Part| matches!(part, Part::Fixed(_));
        self.parts.iter().all(fixed)
    }

    /// What it is filled in from.
    pub fn references(&self) -> impl Iterator<Item = &Reference> {
        self.expressions().flat_map(Expression::references)
    }

    /// Whether it holds the value itself that a reference stands for.
    pub fn holds(&self, value: &Reference) -> bool {
        let is = |one: &Expression| matches!(one, Expression::Value { reference, .. } if reference == value);
        self.expressions().any(is)
    }

    fn expressions(&self) -> impl Iterator<Item = &Expression> {
        self.parts.iter().filter_map(|part| match part {
            Part::Filled(expression) => Some(expression),
            Part::Fixed(_) => None,
        })
    }

    /// Writes the string.
    ///
    /// # Errors
    /// A reference has no value.
    pub fn render(&self, scope: &Scope<'_>) -> Result<String, Missing> {
        self.render_with(scope, |value, out| out.push_str(value))
    }

    /// Writes the string as part of a URL: what is filled in is percent-encoded
    /// (RFC 3986, all but unreserved), so that a value cannot add a segment or a query.
    ///
    /// # Errors
    /// A reference has no value, or one that leads elsewhere: `.` and `..` climb, and an
    /// empty segment makes one chat's path that of all chats.
    pub fn render_path(&self, scope: &Scope<'_>) -> Result<String, Missing> {
        let path = self.render_with(scope, percent_encode)?;
        let climbs = |segment| matches!(segment, "." | "..");
        let leads_elsewhere = segments(&path).any(climbs) || gaps(&path) > gaps(&self.source);
        match leads_elsewhere {
            true => Err(Missing(self.source.to_string())),
            false => Ok(path),
        }
    }

    fn render_with(
        &self,
        scope: &Scope<'_>,
        write: impl Fn(&str, &mut String),
    ) -> Result<String, Missing> {
        let mut out = String::with_capacity(self.source.len() + 16);
        for part in &self.parts {
            match part {
                Part::Fixed(text) => out.push_str(text),
                Part::Filled(expression) => {
                    let json = expression.resolve(scope, JsonStyle::Compact);
                    let json = json.filter(|json| json != "null");
                    let json = json.ok_or_else(|| Missing(self.source.to_string()))?;
                    write(&unquoted(&json), &mut out);
                }
            }
        }
        Ok(out)
    }
}

/// What stands between the slashes, before the query.
fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('?').next().unwrap_or_default().split('/')
}

fn gaps(path: &str) -> usize {
    segments(path).filter(|segment| segment.is_empty()).count()
}

fn percent_encode(value: &str, out: &mut String) {
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
}

/// A JSON value as it reads inside a string: a string without its quotes, all
/// else as it is written.
pub(super) fn unquoted(json: &str) -> Cow<'_, str> {
    if !json.starts_with('"') {
        return json.into();
    }
    serde_json::from_str::<String>(json).map_or_else(|_| json.into(), Cow::Owned)
}
