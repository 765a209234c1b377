//! An event becomes the text of a WebSocket message; a client's message finds
//! its action. Pure.
//!
//! A [`Template`] is built from a JSON tree whose strings may hold references,
//! so it cannot produce invalid JSON. It is compiled at load to a list of
//! pieces, and rendering splices the payload as it came. [`Text`] is the same
//! for plain strings: topics, paths, headers.

mod moment;
mod scope;
mod style;
mod text;

use serde_json::Value;

pub use scope::{Client, Reference, Scope, Vocabulary};
pub use style::JsonStyle;
pub use text::{Missing, Text};

#[allow(unused_imports, reason = "used by the session room")]
pub(crate) use scope::descend;
use text::Part;

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    /// JSON text that is always the same.
    Fixed(Box<str>),
    /// A whole value.
    Value(Reference),
    /// A value inside a string.
    Within(Reference),
}

/// A JSON value with holes.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    pieces: Box<[Piece]>,
    style: JsonStyle,
    personal: bool,
}

/// What is wrong with a template, and where in its tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Keys from the root of the tree to the string.
    pub path: Vec<String>,
    /// What is wrong and the way out.
    pub message: String,
}

impl Template {
    /// Compiles a tree. A string that is one reference and nothing else is the
    /// value itself, of whatever type; a reference within a longer string is
    /// written into it; `{{` and `}}` are braces.
    ///
    /// # Errors
    /// Every string that cannot be understood here.
    pub fn compile(tree: &Value, style: JsonStyle, known: &Vocabulary) -> Result<Self, Vec<Fault>> {
        let mut compiler = Compiler {
            style,
            known,
            pieces: Vec::new(),
            fixed: String::new(),
            path: Vec::new(),
            faults: Vec::new(),
        };
        compiler.value(tree);
        compiler.flush();
        if !compiler.faults.is_empty() {
            return Err(compiler.faults);
        }
        let pieces = compiler.pieces.into_boxed_slice();
        let personal = pieces.iter().any(Piece::is_personal);
        Ok(Self {
            pieces,
            style,
            personal,
        })
    }

    /// Whether each client gets its own text. If not, it is rendered once for all.
    pub fn is_personal(&self) -> bool {
        self.personal
    }

    /// Writes the text. A reference to nothing is `null`, or nothing inside a string.
    pub fn render(&self, scope: &Scope<'_>) -> String {
        let mut out = String::with_capacity(128);
        for piece in &self.pieces {
            match piece {
                Piece::Fixed(text) => out.push_str(text),
                Piece::Value(reference) => match reference.resolve(scope) {
                    Some(json) => self.style.write_raw(&json, &mut out),
                    None => out.push_str("null"),
                },
                Piece::Within(reference) => {
                    if let Some(json) = reference.resolve(scope) {
                        self.style.write_escaped(&text::unquoted(&json), &mut out);
                    }
                }
            }
        }
        out
    }
}

impl Piece {
    fn is_personal(&self) -> bool {
        match self {
            Self::Fixed(_) => false,
            Self::Value(reference) | Self::Within(reference) => reference.is_personal(),
        }
    }
}

struct Compiler<'a> {
    style: JsonStyle,
    known: &'a Vocabulary,
    pieces: Vec<Piece>,
    fixed: String,
    path: Vec<String>,
    faults: Vec<Fault>,
}

impl Compiler<'_> {
    fn value(&mut self, tree: &Value) {
        match tree {
            Value::Object(members) => self.members(members),
            Value::Array(items) => self.items(items),
            Value::String(text) => self.string(text),
            other => self.style.write_value(other, &mut self.fixed),
        }
    }

    fn members(&mut self, members: &serde_json::Map<String, Value>) {
        self.fixed.push('{');
        for (index, (key, value)) in members.iter().enumerate() {
            if index > 0 {
                self.fixed.push_str(self.style.comma());
            }
            self.style
                .write_value(&Value::String(key.clone()), &mut self.fixed);
            self.fixed.push_str(self.style.colon());
            self.path.push(key.clone());
            self.value(value);
            self.path.pop();
        }
        self.fixed.push('}');
    }

    fn items(&mut self, items: &[Value]) {
        self.fixed.push('[');
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.fixed.push_str(self.style.comma());
            }
            self.path.push(index.to_string());
            self.value(item);
            self.path.pop();
        }
        self.fixed.push(']');
    }

    fn string(&mut self, text: &str) {
        let parts = match text::parse(text, self.known) {
            Ok(parts) => parts,
            Err(message) => {
                let path = self.path.clone();
                return self.faults.push(Fault { path, message });
            }
        };
        if let [Part::Reference(reference)] = &parts[..] {
            self.flush();
            return self.pieces.push(Piece::Value(reference.clone()));
        }
        self.fixed.push('"');
        for part in parts {
            match part {
                Part::Fixed(text) => self.style.write_escaped(&text, &mut self.fixed),
                Part::Reference(reference) => {
                    self.flush();
                    self.pieces.push(Piece::Within(reference));
                }
            }
        }
        self.fixed.push('"');
    }

    fn flush(&mut self) {
        if !self.fixed.is_empty() {
            let text = std::mem::take(&mut self.fixed).into_boxed_str();
            self.pieces.push(Piece::Fixed(text));
        }
    }
}

#[cfg(test)]
mod tests;
