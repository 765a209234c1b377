//! Follows a function line by line, without running it, and notes what it does
//! that a client can notice. Functions of the project are followed too.
//!
//! `value` is what is known of values, `effect` what is noted; `calls` knows the
//! framework's own functions.

mod branches;
mod calls;
mod conditions;
mod effect;
mod evaluate;
mod framework;
mod value;

use std::{collections::HashMap, mem, rc::Rc};

pub(super) use self::{
    effect::{Condition, Effect, Place, Spelling, What},
    value::{Part, Value},
};
use super::{
    names::Lineage,
    project::Project,
    python::{Expr, ExprKind, Function, Stmt, Try},
};

/// A line is looked at again for each way to it; some thousand are usual.
const MOST_STEPS: usize = 200_000;
/// How deep calls are followed.
const DEEPEST: usize = 12;
/// More is not what somebody wrote by hand.
const MOST_EFFECTS: usize = 2_000;
const MOST_CONDITIONS: usize = 40;

/// One way through a project's code, from one function on.
pub(super) struct Follow<'p> {
    project: &'p Project,
    /// The consumer whose methods are followed.
    lineage: Lineage,
    fields: HashMap<String, Value>,
    pub(super) effects: Vec<Effect>,
    when: Vec<Condition>,
    depth: usize,
    steps: usize,
}

/// What is known inside one function.
#[derive(Default)]
pub(super) struct Local {
    file: usize,
    /// The place of its class in the line, for `super()`.
    place: usize,
    names: HashMap<String, Value>,
    results: Vec<Value>,
    yields: Option<Box<Yields>>,
}

/// A function of the project that is called: where it is, the place of its class in
/// the line, and the values of its parameters.
struct Callee {
    file: usize,
    place: usize,
    function: Rc<Function>,
    arguments: Vec<Value>,
}

/// The loop that a generator runs.
struct Yields {
    each: Expr,
    body: Rc<[Stmt]>,
    outer: Local,
    /// It was a generator.
    ran: bool,
}

impl<'p> Follow<'p> {
    pub(super) fn new(project: &'p Project, lineage: Lineage) -> Self {
        Self {
            project,
            lineage,
            fields: HashMap::new(),
            effects: Vec::new(),
            when: Vec::new(),
            depth: 0,
            steps: 0,
        }
    }

    /// Follows a method of the consumer, with values for its parameters.
    pub(super) fn method(&mut self, name: &str, arguments: &[Value]) -> Vec<Effect> {
        if let Some((place, file, method)) = self.lineage.method(name, 0) {
            let mut arguments = arguments.to_vec();
            arguments.insert(0, Value::path("self"));
            let callee = Callee {
                file,
                place,
                function: method,
                arguments,
            };
            self.enter(callee, None);
        }
        mem::take(&mut self.effects)
    }

    /// The value of an expression that stands in a class or in a file.
    pub(super) fn constant(&mut self, file: usize, value: &Expr) -> Value {
        let mut there = Local {
            file,
            ..Local::default()
        };
        self.value(value, &mut there)
    }

    /// Follows a function, with values for its parameters by their names.
    pub(super) fn function(
        &mut self,
        file: usize,
        function: &Function,
        names: HashMap<String, Value>,
    ) -> Vec<Effect> {
        let mut local = Local {
            file,
            names,
            ..Local::default()
        };
        self.block(&function.body, &mut local);
        mem::take(&mut self.effects)
    }

    /// A call of a function of the project; what it gives back.
    fn enter(
        &mut self,
        callee: Callee,
        yields: Option<Box<Yields>>,
    ) -> (Value, Option<Box<Yields>>) {
        let function = callee.function;
        if self.depth >= DEEPEST {
            return (Value::Unknown(function.name.clone()), yields);
        }
        let names = function.params.iter().map(|param| param.name.clone());
        let mut local = Local {
            file: callee.file,
            place: callee.place,
            names: names.zip(callee.arguments).collect(),
            yields,
            ..Local::default()
        };
        let known = self.when.len();
        self.depth += 1;
        self.block(&function.body, &mut local);
        self.depth -= 1;
        self.when.truncate(known);
        // What is given back where nothing went wrong.
        let nothing = Value::Json(serde_json::Value::Null);
        let mut results = local.results.into_iter();
        let result = results.find(|result| *result != nothing);
        (result.unwrap_or(nothing), local.yields)
    }

    fn note(&mut self, expr: &Expr, file: usize, what: What) {
        let place = self.place(expr.line, file);
        let mut when: Vec<_> = self.when.iter().take(MOST_CONDITIONS).cloned().collect();
        if self.when.len() > MOST_CONDITIONS {
            when.push(Condition::Unclear("many conditions".into()));
        }
        let effect = Effect { what, when, place };
        if self.effects.len() < MOST_EFFECTS {
            self.effects.push(effect);
        }
    }

    fn place(&self, line: usize, file: usize) -> Place {
        let path = self.project.modules.get(file);
        let path = path.map_or_else(String::new, |module| module.path.clone());
        Place { path, line }
    }

    fn quote(&self, expr: &Expr, file: usize) -> String {
        let module = self.project.modules.get(file);
        module.map_or_else(String::new, |module| module.quote(&expr.span))
    }

    /// Follows statements; whether nothing comes after them.
    fn block(&mut self, body: &[Stmt], local: &mut Local) -> bool {
        let known = self.when.len();
        let ended = body.iter().any(|stmt| self.stmt(stmt, local));
        self.when.truncate(known);
        ended
    }

    fn stmt(&mut self, stmt: &Stmt, local: &mut Local) -> bool {
        self.steps += 1;
        if self.steps > MOST_STEPS {
            return true;
        }
        match stmt {
            Stmt::Assign(to, value) => {
                let value = self.value(value, local);
                self.assign(to, value, local);
            }
            Stmt::Extend(to, _) => {
                let unknown = Value::Unknown(self.quote(to, local.file));
                self.assign(to, unknown, local);
            }
            Stmt::Expr(expr) => self.statement(expr, local),
            Stmt::If(branches) => return self.branches(branches, local),
            Stmt::Match(subject, cases) => return self.cases(subject, cases, local),
            Stmt::For(each, all, body) => self.repeat(each, all, body, local),
            Stmt::Block(body) => {
                self.block(body, local);
            }
            Stmt::Try(attempt) => return self.attempt(attempt, local),
            Stmt::Return(value) => {
                let value = value.as_ref().map(|value| self.value(value, local));
                local.results.extend(value);
                return true;
            }
            Stmt::Raise(what) => {
                self.raised(what.as_ref(), local);
                return true;
            }
            Stmt::Leave => return true,
            Stmt::Delete(gone) => {
                for one in gone {
                    if let ExprKind::Index(object, key) = &one.kind {
                        self.without(object, key.plain(), local);
                    }
                }
            }
            _ => {}
        }
        false
    }

    fn assign(&mut self, to: &Expr, value: Value, local: &mut Local) {
        match (&to.kind, value) {
            (ExprKind::Name(name), value) => {
                local.names.insert(name.clone(), value);
            }
            (ExprKind::Attribute(object, name), value) if self.value(object, local).is("self") => {
                self.fields.insert(name.clone(), value);
            }
            (ExprKind::Index(object, key), value) => self.put(object, key, value, local),
            (ExprKind::List(targets), Value::List(values)) if targets.len() == values.len() => {
                for (target, value) in targets.iter().zip(values) {
                    self.assign(target, value, local);
                }
            }
            (ExprKind::List(targets), value) => {
                for target in targets {
                    let known = value.unknown().map(str::to_owned);
                    let known = known.unwrap_or_else(|| self.quote(target, local.file));
                    self.assign(target, Value::Unknown(known), local);
                }
            }
            _ => {}
        }
    }

    fn repeat(&mut self, each: &Expr, all: &Expr, body: &Rc<[Stmt]>, local: &mut Local) {
        if self.generate(each, all, body, local) {
            return;
        }
        let all = self.value(all, local);
        self.each(each, all, body, local);
    }

    fn each(&mut self, each: &Expr, all: Value, body: &Rc<[Stmt]>, local: &mut Local) {
        let values = match all {
            Value::List(values) => values,
            _ => vec![Value::Unknown(self.quote(each, local.file))],
        };
        for value in values {
            self.assign(each, value, local);
            self.block(body, local);
        }
    }

    /// A loop over a generator of the project: its body runs at each `yield`.
    fn generate(&mut self, each: &Expr, all: &Expr, body: &Rc<[Stmt]>, local: &mut Local) -> bool {
        let Some(call) = all.call() else { return false };
        let Some(mut callee) = self.callee(call, local) else {
            return false;
        };
        self.pass(call, &mut callee, local);
        let yields = Box::new(Yields {
            each: each.clone(),
            body: body.clone(),
            outer: mem::take(local),
            ran: false,
        });
        let (given, yields) = self.enter(callee, Some(yields));
        let Some(yields) = yields else { return true };
        *local = yields.outer;
        if !yields.ran {
            self.each(each, given, body, local);
        }
        true
    }

    fn attempt(&mut self, attempt: &Try, local: &mut Local) -> bool {
        let before = self.effects.len();
        let ended = self.block(&attempt.body, local);
        // A `try` in which nothing happens but the reading of a message.
        let reading = self.effects.len() == before;
        for (caught, body) in &attempt.handlers {
            let condition = if caught.contains("Disconnect") {
                Condition::Gone
            } else if ["JSONDecodeError", "ValueError"]
                .iter()
                .any(|name| caught.contains(name))
                || reading
            {
                Condition::NotJson
            } else {
                Condition::Unclear(format!(
                    "after an error ({})",
                    caught.trim_end_matches(": \n")
                ))
            };
            self.when.push(condition);
            self.block(body, local);
            self.when.pop();
        }
        let at_end = attempt
            .handlers
            .iter()
            .any(|(caught, _)| caught.contains("Disconnect"));
        if at_end {
            self.when.push(Condition::Gone);
        }
        self.block(&attempt.rest, local);
        if at_end {
            self.when.pop();
        }
        ended
    }
}
