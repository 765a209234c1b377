//! What is known of an expression's value.

use serde_json::Value as Json;

use super::{Follow, Local, MOST_STEPS, Part, Value, What};
use crate::cli::init::{
    names::Symbol,
    python::{Expr, ExprKind, Piece},
};

impl Follow<'_> {
    pub(super) fn value(&mut self, expr: &Expr, local: &mut Local) -> Value {
        self.steps += 1;
        let unknown = || Value::Unknown(String::new());
        if self.steps > MOST_STEPS {
            return unknown();
        }
        let known = match &expr.kind {
            ExprKind::Constant(json) => Some(Value::Json(json.clone())),
            ExprKind::Name(name) => self.name(name, local),
            ExprKind::Text(pieces) => self.text(pieces, local),
            ExprKind::Attribute(object, name) => self.attribute(object, name, local),
            ExprKind::Index(object, key) => {
                let object = self.value(object, local);
                match self.value(key, local) {
                    Value::Json(Json::String(key)) => object.item(&key),
                    _ => None,
                }
            }
            ExprKind::Dict(entries) => Some(self.dict(entries, local)),
            ExprKind::List(items) => {
                let items = items.iter().map(|item| self.value(item, local));
                Some(Value::List(items.collect()))
            }
            // `text_data or "{}"`
            ExprKind::Or(parts) => match parts.first().map(|first| self.value(first, local)) {
                Some(raw) if raw.is("raw") => Some(raw),
                _ => None,
            },
            ExprKind::Named(name, value) => {
                let value = self.value(value, local);
                local.names.insert(name.clone(), value.clone());
                Some(value)
            }
            ExprKind::Sum(parts) => self.sum(parts, local),
            ExprKind::Comprehension(parts) => self.comprehension(parts, local),
            ExprKind::Compare(left, operator, right) => {
                let (left, right) = (self.value(left, local), self.value(right, local));
                equal(left, operator, right)
            }
            ExprKind::Call(call) => self.call(expr, call, local),
            ExprKind::Yield(value) => self.yielded(value.as_deref(), local),
            _ => None,
        };
        known.unwrap_or_else(|| Value::Unknown(self.quote(expr, local.file)))
    }

    /// An expression that stands for itself: what it does counts.
    pub(super) fn statement(&mut self, expr: &Expr, local: &mut Local) {
        let before = self.effects.len();
        let value = self.value(expr, local);
        let silent = self.effects.len() == before;
        let ExprKind::Call(call) = &expr.kind else {
            return;
        };
        let name = call.callee.dotted().unwrap_or_default();
        let quiet = ["print", "log", "super", "asyncio.sleep"];
        if silent && value.unknown().is_some() && !quiet.iter().any(|quiet| name.starts_with(quiet))
        {
            let quote = self.quote(expr, local.file);
            self.note(expr, local.file, What::Work(quote));
        }
    }

    fn name(&mut self, name: &str, local: &mut Local) -> Option<Value> {
        if let Some(value) = local.names.get(name) {
            self.steps = self.steps.saturating_add(value.weight());
            return match value {
                Value::Unknown(_) => guessed(name).or_else(|| Some(value.clone())),
                value => Some(value.clone()),
            };
        }
        match self.project.symbol(local.file, name) {
            // A constant of the file: settings, names of groups.
            Some(Symbol::Values(file, values)) if self.depth < super::DEEPEST => {
                if values.iter().any(|value| value.call().is_some()) {
                    return guessed(name);
                }
                let [only] = values.as_slice() else {
                    return None;
                };
                self.depth += 1;
                let mut there = Local {
                    file,
                    ..Local::default()
                };
                let value = self.value(only, &mut there);
                self.depth -= 1;
                Some(value)
            }
            Some(_) => None,
            None => guessed(name),
        }
    }

    fn attribute(&mut self, object: &Expr, name: &str, local: &mut Local) -> Option<Value> {
        let object = self.value(object, local);
        if object.is("self") {
            if let Some(value) = self.fields.get(name) {
                self.steps = self.steps.saturating_add(value.weight());
                return match value {
                    Value::Unknown(_) => guessed(name).or_else(|| Some(value.clone())),
                    value => Some(value.clone()),
                };
            }
            let field = self.lineage.field(name);
            if let Some((file, value)) = field.map(|(file, value)| (file, value.clone())) {
                let mut there = Local {
                    file,
                    ..Local::default()
                };
                return Some(self.value(&value, &mut there));
            }
        }
        object
            .attribute(name)
            .or_else(|| object.is("self").then(|| guessed(name)).flatten())
    }

    fn text(&mut self, pieces: &[Piece], local: &mut Local) -> Option<Value> {
        let mut parts = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Plain(text) => parts.push(Part::Plain(text.clone())),
                Piece::Hole(expr) => match self.value(expr, local) {
                    Value::Default(path, json) => parts.push(Part::Default(path, json)),
                    value => match value.parts() {
                        Some(known) => parts.extend(known),
                        None => parts.push(Part::Unknown(self.quote(expr, local.file))),
                    },
                },
            }
        }
        Some(Value::Text(parts))
    }

    fn dict(&mut self, entries: &[(Option<Expr>, Expr)], local: &mut Local) -> Value {
        let mut made = Vec::new();
        for (key, value) in entries {
            let spread = key.is_none();
            let key = key.as_ref().map(|key| self.value(key, local));
            let mut value = self.value(value, local);
            let name = match key {
                Some(Value::Json(Json::String(name))) => Some(name),
                Some(_) => {
                    value = Value::Unknown("a key that is made up as it runs".into());
                    Some("?".into())
                }
                None => None,
            };
            match value {
                // `**` of what is known is as if it had been written out.
                Value::Dict(inner) if spread => made.extend(inner),
                value => made.push((name, value)),
            }
        }
        Value::Dict(made)
    }

    /// Texts one after the other, or lists.
    fn sum(&mut self, parts: &[Expr], local: &mut Local) -> Option<Value> {
        let values: Vec<_> = parts.iter().map(|part| self.value(part, local)).collect();
        if values.iter().all(|value| matches!(value, Value::List(_))) {
            let lists = values.into_iter().filter_map(|value| match value {
                Value::List(items) => Some(items),
                _ => None,
            });
            return Some(Value::List(lists.flatten().collect()));
        }
        let texts = values
            .iter()
            .map(Value::parts)
            .collect::<Option<Vec<_>>>()?;
        Some(Value::Text(texts.concat()))
    }

    fn comprehension(&mut self, parts: &[Expr; 3], local: &mut Local) -> Option<Value> {
        let [body, each, all] = parts;
        let Value::List(values) = self.value(all, local) else {
            return None;
        };
        let mut made = Vec::new();
        for value in values {
            self.assign(each, value, local);
            made.push(self.value(body, local));
        }
        Some(Value::List(made))
    }

    /// `yield`: the loop over this generator runs.
    fn yielded(&mut self, value: Option<&Expr>, local: &mut Local) -> Option<Value> {
        let value = value.map(|value| self.value(value, local));
        if let Some(mut yields) = local.yields.take() {
            self.assign(&yields.each.clone(), value?, &mut yields.outer);
            let body = yields.body.clone();
            yields.ran = true;
            self.block(&body, &mut yields.outer);
            local.yields = Some(yields);
        }
        None
    }
}

/// What a name says where nothing else is known of it, as people name things.
fn guessed(name: &str) -> Option<Value> {
    let path = match name {
        "user" | "current_user" | "me" => "user",
        "user_id" | "current_user_id" => "user.id",
        "AnonymousUser" => "nobody",
        name if name.ends_with("manager") => "manager",
        _ => return None,
    };
    Some(Value::path(path))
}

/// A comparison that a frame can hold.
fn equal(left: Value, operator: &str, right: Value) -> Option<Value> {
    let yes = match operator {
        "==" => true,
        "!=" => false,
        _ => return None,
    };
    let plain = |value: &Value| match value {
        Value::Path(path) => Some(path.clone()),
        Value::Text(parts) => match parts.as_slice() {
            [Part::Path(path)] => Some(path.clone()),
            _ => None,
        },
        _ => None,
    };
    match (plain(&left), plain(&right)) {
        (Some(left), Some(right)) => Some(Value::Equal(left, Value::Path(right).into(), yes)),
        (Some(left), None) => Some(Value::Equal(left, right.into(), yes)),
        (None, Some(right)) => Some(Value::Equal(right, left.into(), yes)),
        (None, None) => None,
    }
}
