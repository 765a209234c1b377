//! Branches: what is done in one of them, and what is still known of a value after
//! them. What differs from branch to branch is not known.

use std::collections::HashMap;

use super::{Condition, Follow, Local, MOST_CONDITIONS, Value};
use crate::cli::init::python::{Case, Expr, ExprKind, Stmt};

/// The values that names and fields have.
#[derive(Clone)]
struct Known {
    names: HashMap<String, Value>,
    fields: HashMap<String, Value>,
}

impl Follow<'_> {
    pub(super) fn branches(
        &mut self,
        branches: &[(Option<Expr>, Vec<Stmt>)],
        local: &mut Local,
    ) -> bool {
        let known = self.when.len();
        let (mut ended, mut after) = (Vec::new(), Vec::new());
        let mut all_ended = true;
        for (condition, body) in branches {
            let conditions = match condition {
                Some(condition) => self.conditions(condition, local),
                None => Vec::new(),
            };
            if conditions.contains(&Condition::Constant(false)) {
                continue;
            }
            let before = self.when.len();
            let values = self.known(local);
            self.when.extend(conditions.iter().cloned());
            let over = self.block(body, local);
            self.when.truncate(before);
            if !over {
                after.push(self.known(local));
            }
            self.restore(values, local);
            let opposite = Condition::negate(conditions);
            // A branch for all that ends: nothing comes after.
            if opposite == [Condition::Constant(false)] {
                self.when.truncate(known);
                self.when.extend(ended);
                self.join(after, local);
                return over && all_ended;
            }
            if over {
                ended.extend(opposite.clone());
            }
            all_ended &= over;
            self.when.extend(opposite);
        }
        // What comes after happens unless a branch has ended it.
        self.when.truncate(known);
        self.when.extend(ended);
        after.push(self.known(local));
        self.join(after, local);
        false
    }

    pub(super) fn cases(&mut self, subject: &Expr, cases: &[Case], local: &mut Local) -> bool {
        let known = self.when.len();
        let value = self.value(subject, local);
        let mut after = vec![self.known(local)];
        for case in cases {
            let mut conditions = Vec::new();
            match &value {
                Value::Path(path) if !case.unclear && case.values.len() <= MOST_CONDITIONS => {
                    if !case.values.is_empty() {
                        conditions.push(Condition::OneOf(path.clone(), case.values.clone(), true));
                    }
                }
                _ => conditions.push(Condition::Unclear(self.quote(subject, local.file))),
            }
            if let Some(guard) = &case.guard {
                conditions.extend(self.conditions(guard, local));
            }
            let values = self.known(local);
            self.when.extend(conditions);
            if !self.block(&case.body, local) {
                after.push(self.known(local));
            }
            self.when.truncate(known);
            self.restore(values, local);
        }
        self.join(after, local);
        false
    }

    /// A copy costs as much as it holds.
    fn known(&mut self, local: &Local) -> Known {
        let weight = local.names.values().chain(self.fields.values());
        let weight: usize = weight.map(Value::weight).sum();
        self.steps = self.steps.saturating_add(weight);
        Known {
            names: local.names.clone(),
            fields: self.fields.clone(),
        }
    }

    fn restore(&mut self, known: Known, local: &mut Local) {
        local.names = known.names;
        self.fields = known.fields;
    }

    /// After branches, what all of them agree on is known.
    fn join(&mut self, branches: Vec<Known>, local: &mut Local) {
        let mut branches = branches.into_iter();
        let Some(mut all) = branches.next() else {
            return;
        };
        for other in branches {
            agree(&mut all.names, other.names);
            agree(&mut all.fields, other.fields);
        }
        self.restore(all, local);
    }

    /// `object[key] = value`
    pub(super) fn put(&mut self, object: &Expr, key: &Expr, value: Value, local: &mut Local) {
        let known = self.value(object, local);
        let now = match (known, key.plain()) {
            (Value::Dict(mut entries), Some(key)) => {
                let same = |(name, _): &&mut (Option<String>, Value)| name.as_deref() == Some(key);
                match entries.iter_mut().rev().find(same) {
                    Some((_, known)) => *known = value,
                    None => entries.push((Some(key.to_owned()), value)),
                }
                Value::Dict(entries)
            }
            // `{**event, key: value}`
            (Value::Path(path), Some(key)) if ["event", "data"].contains(&path.as_str()) => {
                let entries = [(None, Value::Path(path)), (Some(key.to_owned()), value)];
                Value::Dict(entries.into())
            }
            _ => Value::Unknown(self.quote(object, local.file)),
        };
        self.rename(object, now, local);
    }

    /// `object.pop(key)`, `del object[key]`, and whatever else changes an object.
    pub(super) fn without(&mut self, object: &Expr, key: Option<&str>, local: &mut Local) {
        let now = match (self.value(object, local), key) {
            (Value::Path(path), Some("type")) if path == "event" => Value::path("data"),
            (Value::Dict(mut entries), Some(key))
                if entries.iter().all(|(name, _)| name.is_some()) =>
            {
                entries.retain(|(name, _)| name.as_deref() != Some(key));
                Value::Dict(entries)
            }
            _ => Value::Unknown(self.quote(object, local.file)),
        };
        self.rename(object, now, local);
    }

    /// What an object is from here on, if it has a name.
    fn rename(&mut self, object: &Expr, now: Value, local: &mut Local) {
        match &object.kind {
            ExprKind::Name(name) if local.names.contains_key(name) => {
                local.names.insert(name.clone(), now);
            }
            ExprKind::Attribute(of, name) if self.value(of, local).is("self") => {
                self.fields.insert(name.clone(), now);
            }
            // A part of something: all of it is not known any more.
            ExprKind::Index(whole, _) => {
                let unknown = Value::Unknown(self.quote(whole, local.file));
                self.rename(whole, unknown, local);
            }
            _ => {}
        }
    }
}

fn agree(all: &mut HashMap<String, Value>, mut other: HashMap<String, Value>) {
    for (name, value) in all.iter_mut() {
        if other.remove(name).is_none_or(|other| other != *value) {
            *value = Value::Unknown(name.clone());
        }
    }
    all.extend(other.into_keys().map(|name| {
        let unknown = Value::Unknown(name.clone());
        (name, unknown)
    }));
}
