//! An event becomes the text of a WebSocket message; a client's message finds
//! its action. Pure, but for the clock that `{now}` reads.
//!
//! A [`Template`] is built from a JSON tree whose strings may hold references,
//! so it cannot produce invalid JSON. It is compiled at load to a list of
//! pieces, and rendering splices the payload as it came. [`Text`] is the same
//! for plain strings: topics, paths, headers.

mod compile;
mod expression;
mod moment;
mod online;
mod parse;
mod piece;
mod scope;
mod style;
mod text;

use std::{ops::Range, time::SystemTime};

use serde_json::Value;

pub use online::{Online, Roster};
pub use scope::{Client, Reference, Scope, Vocabulary};
pub use style::JsonStyle;
pub use text::{Missing, Text};

use expression::Expression;
use piece::{Piece, Writer};
pub(crate) use scope::descend;

/// A JSON value with holes.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    pieces: Box<[Piece]>,
    style: JsonStyle,
    personal: bool,
    timed: bool,
}

/// What is wrong with a template, and where in its tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Keys from the root of the tree to the string.
    pub path: Vec<String>,
    /// The place in the string, in bytes; `None`: all of the value.
    pub at: Option<Range<usize>>,
    /// What is wrong and the way out.
    pub message: String,
}

impl Template {
    /// Compiles a tree. A string that is one reference and nothing else is the
    /// value itself, of whatever type; a reference within a longer string is
    /// written into it; `{{` and `}}` are braces. A key that ends in `?` is left out
    /// when its value is not there; the members of the value of `"..."` stand in its
    /// place.
    ///
    /// # Errors
    /// Every string that cannot be understood here.
    pub fn compile(tree: &Value, style: JsonStyle, known: &Vocabulary) -> Result<Self, Vec<Fault>> {
        let pieces = compile::compile(tree, style, known)?;
        Ok(Self {
            personal: piece::any(&pieces, &Expression::is_personal),
            timed: piece::any(&pieces, &Expression::is_timed),
            pieces,
            style,
        })
    }

    /// Whether each client gets its own text. If not, it is rendered once for all.
    pub fn is_personal(&self) -> bool {
        self.personal
    }

    /// Writes the text. A reference to nothing is `null`, or nothing inside a string.
    pub fn render(&self, scope: &Scope<'_>) -> String {
        let mut out = String::with_capacity(128);
        let (mut scope, style) = (*scope, self.style);
        if self.timed {
            // It is one moment all through the text.
            scope.now = scope.now.or_else(|| Some(SystemTime::now()));
        }
        Writer { scope, style }.write(&self.pieces, &mut out);
        out
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
