//! A tree of JSON with references in its strings becomes pieces.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::{
    Fault, JsonStyle, Vocabulary,
    expression::Expression,
    parse::{Part, Purpose, parse},
    piece::{Member, Piece, any},
};

/// The key whose value's members stand in its place.
const SPREAD: &str = "...";

/// Compiles a tree.
pub(super) fn compile(
    tree: &Value,
    style: JsonStyle,
    known: &Vocabulary,
) -> Result<Box<[Piece]>, Vec<Fault>> {
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
    match compiler.faults.is_empty() {
        true => Ok(compiler.pieces.into()),
        false => Err(compiler.faults),
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

/// What a key asks for.
enum Key<'a> {
    Always(&'a str),
    Optional(&'a str),
    Spread,
}

impl<'a> Key<'a> {
    /// A `?` at the end of a key that is meant as such is written twice.
    fn of(written: &'a str) -> Self {
        match written.strip_suffix('?') {
            None if written == SPREAD => Self::Spread,
            None => Self::Always(written),
            Some(name) if name.ends_with('?') => Self::Always(name),
            Some(name) => Self::Optional(name),
        }
    }

    fn name(&self) -> &'a str {
        match self {
            Self::Always(name) | Self::Optional(name) => name,
            Self::Spread => SPREAD,
        }
    }
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

    fn members(&mut self, members: &Map<String, Value>) {
        let depends = |key: &String| !matches!(Key::of(key), Key::Always(_));
        if members.keys().any(depends) {
            return self.object(members);
        }
        self.fixed.push('{');
        for (index, (key, value)) in members.iter().enumerate() {
            if index > 0 {
                self.fixed.push_str(self.style.comma());
            }
            let name = self.quoted(Key::of(key).name());
            self.fixed.push_str(&name);
            self.fixed.push_str(self.style.colon());
            self.path.push(key.clone());
            self.value(value);
            self.path.pop();
        }
        self.fixed.push('}');
    }

    /// An object whose members depend on the data.
    fn object(&mut self, members: &Map<String, Value>) {
        self.flush();
        let mut compiled = Vec::with_capacity(members.len());
        let mut names = HashSet::new();
        for (written, value) in members {
            self.path.push(written.clone());
            let key = Key::of(written);
            if !names.insert(key.name()) {
                let name = key.name();
                self.fault(format!(
                    "`{name}` is here with and without a ?: write it once"
                ));
            }
            match key {
                Key::Spread => self.spread(value, &mut compiled),
                Key::Always(name) => compiled.push(self.pair(name, value, false)),
                Key::Optional(name) => compiled.push(self.pair(name, value, true)),
            }
            self.path.pop();
        }
        self.pieces.push(Piece::Object(compiled.into()));
    }

    fn pair(&mut self, name: &str, value: &Value, optional: bool) -> Member {
        let faults = self.faults.len();
        let outer = std::mem::take(&mut self.pieces);
        self.value(value);
        self.flush();
        let value = std::mem::replace(&mut self.pieces, outer);
        let open = any(&value, &|_| true) && !any(&value, &Expression::is_certain);
        if optional && !open && self.faults.len() == faults {
            self.fault(format!(
                "`{name}?` is never left out, for its value is always there: write `{name}`, or {name}?? for a key that ends in ?"
            ));
        }
        Member::Pair {
            key: self.quoted(name).into(),
            value: value.into(),
            optional,
        }
    }

    /// One reference, or a list of them.
    fn spread(&mut self, value: &Value, compiled: &mut Vec<Member>) {
        match value {
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.path.push(index.to_string());
                    compiled.extend(self.spread_one(item));
                    self.path.pop();
                }
            }
            one => compiled.extend(self.spread_one(one)),
        }
    }

    fn spread_one(&mut self, value: &Value) -> Option<Member> {
        let parts = match value {
            Value::String(text) => self.parts(text)?,
            _ => Vec::new(),
        };
        if let [Part::Filled(expression @ Expression::Value { .. })] = &parts[..] {
            return Some(Member::Spread(expression.clone()));
        }
        self.fault("only an object can be spread: write \"...\" = \"{data}\"");
        None
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
        let Some(parts) = self.parts(text) else {
            return;
        };
        if let [Part::Filled(expression)] = &parts[..] {
            self.flush();
            return self.pieces.push(Piece::Value(expression.clone()));
        }
        self.fixed.push('"');
        for part in parts {
            match part {
                Part::Fixed(text) => self.style.write_escaped(&text, &mut self.fixed),
                Part::Filled(expression) => {
                    self.flush();
                    self.pieces.push(Piece::Within(expression));
                }
            }
        }
        self.fixed.push('"');
    }

    fn parts(&mut self, text: &str) -> Option<Vec<Part>> {
        let parts = parse(text, self.known, Purpose::Json);
        let note = |fault| {
            let path = self.path.clone();
            self.faults.push(Fault { path, ..fault });
        };
        parts.map_err(note).ok()
    }

    fn fault(&mut self, message: impl Into<String>) {
        self.faults.push(Fault {
            path: self.path.clone(),
            at: None,
            message: message.into(),
        });
    }

    fn quoted(&self, name: &str) -> String {
        let mut out = String::new();
        self.style.write_value(&name.into(), &mut out);
        out
    }

    fn flush(&mut self) {
        if !self.fixed.is_empty() {
            let text = std::mem::take(&mut self.fixed).into_boxed_str();
            self.pieces.push(Piece::Fixed(text));
        }
    }
}
