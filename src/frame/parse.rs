//! Strings are split at their braces, and what stands in braces is read. Everything
//! that is wrong is said here, with its place in the string.

use std::ops::Range;

use serde_json::value::RawValue;

use super::{
    Fault, Reference, Vocabulary,
    expression::{Expression, Filter, Operand},
};

/// A stretch of a string.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part {
    Fixed(String),
    Filled(Expression),
}

/// What a string is filled in for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A value of JSON.
    Json,
    /// Plain text.
    Plain,
}

/// Splits a string at its references.
pub(super) fn parse(text: &str, known: &Vocabulary, purpose: Purpose) -> Result<Vec<Part>, Fault> {
    let mut reader = Reader {
        text,
        at: 0,
        known,
        purpose,
    };
    let mut parts = Vec::new();
    let mut fixed = String::new();
    while let Some(length) = reader.rest().find(['{', '}']) {
        fixed.push_str(reader.take(length));
        let start = reader.at;
        if reader.eats("{{") || reader.eats("}}") {
            fixed.push_str(text.get(start..=start).unwrap_or_default());
            continue;
        }
        if !reader.eats("{") {
            return Err(fault(start..start + 1, SINGLE));
        }
        if !fixed.is_empty() {
            parts.push(Part::Fixed(std::mem::take(&mut fixed)));
        }
        parts.push(Part::Filled(reader.expression(start)?));
    }
    fixed.push_str(reader.rest());
    if !fixed.is_empty() {
        parts.push(Part::Fixed(fixed));
    }
    Ok(parts)
}

const SINGLE: &str = "a brace that is not part of a {name} is written twice: {{ or }}";

struct Reader<'a> {
    text: &'a str,
    at: usize,
    known: &'a Vocabulary,
    purpose: Purpose,
}

impl<'a> Reader<'a> {
    /// What follows an opening brace, up to and with the closing one.
    fn expression(&mut self, brace: usize) -> Result<Expression, Fault> {
        let left = self.reference(brace)?;
        let from = self.at;
        let expression = if self.eats("==") {
            self.same(left, true)?
        } else if self.eats("!=") {
            self.same(left, false)?
        } else {
            self.filtered(left)?
        };
        self.space();
        if self.purpose == Purpose::Plain && matches!(expression, Expression::Same { .. }) {
            let message = "a comparison is true or false, which says nothing within a text: \
                           write a reference alone";
            return Err(fault(from..self.at, message));
        }
        match self.eats("}") {
            true => Ok(expression),
            false => Err(self.unexpected(brace)),
        }
    }

    fn same(&mut self, left: Reference, expected: bool) -> Result<Expression, Fault> {
        self.space();
        let right = match self.literal() {
            Some(json) => Operand::Literal(json),
            None => Operand::Reference(self.operand()?),
        };
        Ok(Expression::Same {
            left,
            right,
            expected,
        })
    }

    fn filtered(&mut self, reference: Reference) -> Result<Expression, Fault> {
        let mut filters = Vec::new();
        while self.eats("|") {
            filters.push(self.filter()?);
            self.space();
        }
        let filters = filters.into();
        Ok(Expression::Value { reference, filters })
    }

    fn filter(&mut self) -> Result<Filter, Fault> {
        self.space();
        let (name, place) = self.word();
        match (name, self.purpose) {
            ("default", _) => self.default(place).map(Filter::Default),
            ("text", _) => Ok(Filter::Text),
            ("int", Purpose::Json) => Ok(Filter::Int),
            ("json", Purpose::Json) => Ok(Filter::Json),
            (_, Purpose::Json) => {
                let message = format!(
                    "`{name}` is not a filter: write default and a value, text, int or json"
                );
                Err(fault(place, message))
            }
            (_, Purpose::Plain) => {
                let message = format!(
                    "`{name}` is not a filter within a text: write default and a value, or text"
                );
                Err(fault(place, message))
            }
        }
    }

    fn default(&mut self, name: Range<usize>) -> Result<Box<str>, Fault> {
        self.space();
        if let Some(json) = self.literal() {
            return Ok(json);
        }
        let start = self.at;
        let (written, place) = self.word();
        let (message, place) = match written {
            "" if self.rest().starts_with(['"', '{', '[']) => (
                "this is not JSON, or does not end".to_owned(),
                start..self.text.len(),
            ),
            "" => ("`default` has no value".to_owned(), name),
            written => (format!("`{written}` is not JSON"), place),
        };
        let message = format!("{message}: write it as in default 0 or default \"none\"");
        Err(fault(place, message))
    }

    /// A JSON value, if one stands here.
    fn literal(&mut self) -> Option<Box<str>> {
        let rest = self.rest();
        let length = if rest.starts_with(['"', '{', '[']) {
            let mut values = serde_json::Deserializer::from_str(rest).into_iter::<&RawValue>();
            values.next()?.ok()?;
            values.byte_offset()
        } else {
            let length = rest.find(ends_word).unwrap_or(rest.len());
            serde_json::from_str::<&RawValue>(rest.get(..length)?).ok()?;
            length
        };
        Some(self.take(length).into())
    }

    /// The reference behind an opening brace.
    fn reference(&mut self, brace: usize) -> Result<Reference, Fault> {
        self.space();
        let (name, place) = self.word();
        self.space();
        if self.rest().is_empty() {
            return Err(fault(brace..self.at, unclosed(name)));
        }
        if name.is_empty() {
            return Err(fault(brace..brace + 1, SINGLE));
        }
        // Better said first: what was meant is perhaps no reference at all.
        if !["}", "|", "==", "!="]
            .iter()
            .any(|next| self.rest().starts_with(next))
        {
            return Err(self.unexpected(brace));
        }
        Reference::parse(name, self.known).map_err(|message| fault(place, message))
    }

    /// The reference on the right side of a comparison.
    fn operand(&mut self) -> Result<Reference, Fault> {
        let (name, place) = self.word();
        if name.is_empty() {
            let message = "there is nothing to compare with: write a reference or a value of JSON";
            let first = self.rest().chars().next().map_or(0, char::len_utf8);
            return Err(fault(place.start..place.start + first, message));
        }
        Reference::parse(name, self.known).map_err(|message| fault(place, message))
    }

    /// Something stands where the expression should end.
    fn unexpected(&self, brace: usize) -> Fault {
        let rest = self.rest();
        if rest.is_empty() {
            return fault(brace..self.text.len(), unclosed(""));
        }
        let length = rest.find(ends_word).unwrap_or(rest.len());
        let first = rest.chars().next().map_or(0, char::len_utf8);
        let end = self.at + length.max(first);
        let written = self.text.get(self.at..end).unwrap_or_default();
        let message = format!(
            "`{written}` does not belong here: write {{name}}, {{name | filter}} or {{name == value}}, \
             or {{{{ for a brace"
        );
        fault(self.at..end, message)
    }

    fn word(&mut self) -> (&'a str, Range<usize>) {
        let (start, rest) = (self.at, self.rest());
        let end = rest.find(ends_word).unwrap_or(rest.len());
        let before = |sign| rest.find(sign).unwrap_or(end);
        let word = self.take(end.min(before("==")).min(before("!=")));
        (word, start..self.at)
    }

    fn space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn eats(&mut self, sign: &str) -> bool {
        let is_here = self.rest().starts_with(sign);
        self.at += if is_here { sign.len() } else { 0 };
        is_here
    }

    fn take(&mut self, length: usize) -> &'a str {
        let taken = self.rest().get(..length).unwrap_or_default();
        self.at += taken.len();
        taken
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }
}

fn fault(at: Range<usize>, message: impl Into<String>) -> Fault {
    Fault {
        path: Vec::new(),
        at: Some(at),
        message: message.into(),
    }
}

fn ends_word(c: char) -> bool {
    c.is_whitespace() || matches!(c, '|' | '{' | '}' | '"')
}

/// What to do about a brace that is opened only.
fn unclosed(name: &str) -> String {
    match name {
        "" => "a brace is not closed: write {{ for a brace".into(),
        name => format!("`{{{name}` is not closed: write {{{name}}}, or {{{{ for a brace"),
    }
}
