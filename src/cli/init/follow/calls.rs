//! Calls: whose function is called, and what it gives.

use serde_json::Value as Json;

use super::{Callee, Follow, Local, Part, Value, What};
use crate::cli::init::{
    names::Symbol,
    python::{Call, Expr, ExprKind, Function},
};

impl Follow<'_> {
    pub(super) fn call(&mut self, expr: &Expr, call: &Call, local: &mut Local) -> Option<Value> {
        if let Some(inner) = wrapped(call) {
            return self.wrapped(expr, call, inner, local);
        }
        if let Some(mut callee) = self.callee(call, local) {
            if is_work(&callee.function) {
                let quote = self.quote(expr, local.file);
                self.note(expr, local.file, What::Work(quote));
                return None;
            }
            self.pass(call, &mut callee, local);
            return Some(self.enter(callee, None).0);
        }
        let ExprKind::Attribute(object, name) = &call.callee.kind else {
            return self.plain_function(call, local);
        };
        if call.callee.dotted().as_deref() == Some("json.dumps") {
            let value = self.argument(call, "obj", 0, local)?;
            return Some(Value::Dumps(value.into()));
        }
        if call.callee.dotted().as_deref() == Some("json.loads") {
            let text = self.argument(call, "s", 0, local)?;
            return text.is("raw").then(|| Value::path("message"));
        }
        let object = self.value(object, local);
        match (&object, name.as_str()) {
            (Value::Path(path), name) if path == "self" => {
                self.of_consumer(expr, call, name, local)
            }
            (Value::Path(path), name) if path == "layer" => self.of_layer(expr, call, name, local),
            (Value::Path(path), name) if path == "socket" => {
                self.of_socket(expr, call, name, local)
            }
            (Value::Path(path), name) if path == "manager" => {
                self.of_manager(expr, call, name, local)
            }
            (object, "get") => self.get(object, call, local),
            // A list of its own that it fills.
            (Value::List(_), "append" | "extend" | "insert" | "remove") => {
                if let ExprKind::Attribute(changed, _) = &call.callee.kind {
                    self.without(changed, None, local);
                }
                Some(Value::Json(Json::Null))
            }
            (object, "pop" | "popitem" | "update" | "setdefault" | "clear") => {
                let taken = match name.as_str() {
                    "pop" => self.get(object, call, local),
                    _ => None,
                };
                if let ExprKind::Attribute(changed, _) = &call.callee.kind {
                    let key = call.arguments.first().and_then(Expr::plain);
                    let key = key.filter(|_| name == "pop");
                    self.without(changed, key, local);
                }
                taken
            }
            _ => None,
        }
    }

    /// Functions without an object before them.
    fn plain_function(&mut self, call: &Call, local: &mut Local) -> Option<Value> {
        let name = call.callee.dotted()?;
        match name.as_str() {
            "str" => {
                let value = self.argument(call, "object", 0, local)?;
                value.parts().map(Value::Text)
            }
            "int" | "list" | "dict" | "tuple" => self.argument(call, "x", 0, local),
            "getattr" => {
                let object = self.argument(call, "object", 0, local)?;
                let field = call.arguments.get(1)?.plain()?;
                let known = self.fields.get(field).cloned();
                object.is("self").then_some(known).flatten()
            }
            "get_channel_layer" => Some(Value::path("layer")),
            "AnonymousUser" => Some(Value::path("nobody")),
            _ => None,
        }
    }

    fn get(&mut self, object: &Value, call: &Call, local: &mut Local) -> Option<Value> {
        let key = call.arguments.first()?.plain()?;
        let found = object.item(key);
        let default = match call.arguments.get(1) {
            Some(default) => self.value(default, local),
            None => Value::Json(Json::Null),
        };
        match (found, default) {
            (found, Value::Json(Json::Null)) => found,
            (Some(Value::Path(path)), Value::Json(json)) => Some(Value::Default(path, json)),
            (Some(Value::Path(path)), Value::Dict(empty)) if empty.is_empty() => {
                Some(Value::Default(path, Json::Object(serde_json::Map::new())))
            }
            (Some(Value::Path(path)), Value::List(empty)) if empty.is_empty() => {
                Some(Value::Default(path, Json::Array(Vec::new())))
            }
            _ => None,
        }
    }

    pub(super) fn argument(
        &mut self,
        call: &Call,
        name: &str,
        place: usize,
        local: &mut Local,
    ) -> Option<Value> {
        let argument = call.argument(name, place)?;
        Some(self.value(argument, local))
    }

    /// Adds the values of a call's arguments, in the order of the parameters.
    pub(super) fn pass(&mut self, call: &Call, callee: &mut Callee, local: &mut Local) {
        let before = callee.arguments.len();
        let function = callee.function.clone();
        for (place, param) in function.params.iter().enumerate().skip(before) {
            let value = self.argument(call, &param.name, place - before, local);
            let value = value.unwrap_or_else(|| default(&param.default));
            callee.arguments.push(value);
        }
    }

    /// The function of the project that is called, if it is one.
    pub(super) fn callee(&mut self, call: &Call, local: &mut Local) -> Option<Callee> {
        match &call.callee.kind {
            ExprKind::Attribute(object, name) => {
                let above = object.call().and_then(|call| call.callee.dotted());
                let from = match above.as_deref() {
                    Some("super") => local.place + 1,
                    None if is_self(object, local) => 0,
                    _ => return self.of_project(call, local),
                };
                let (place, file, method) = self.lineage.method(name, from)?;
                Some(Callee {
                    file,
                    place,
                    function: method,
                    arguments: vec![Value::path("self")],
                })
            }
            _ => self.of_project(call, local),
        }
    }

    fn of_project(&mut self, call: &Call, local: &Local) -> Option<Callee> {
        let name = call.callee.dotted()?;
        let first = name.split('.').next()?;
        if local.names.contains_key(first) {
            return None;
        }
        match self.project.symbol(local.file, &name)? {
            Symbol::Function(file, function) => Some(Callee {
                file,
                place: 0,
                function,
                arguments: Vec::new(),
            }),
            _ => None,
        }
    }

    /// `async_to_sync(f)(...)` is `f(...)`; `sync_to_async(f)(...)` is the app's work.
    fn wrapped(
        &mut self,
        expr: &Expr,
        call: &Call,
        inner: &Call,
        local: &mut Local,
    ) -> Option<Value> {
        let wrapper = inner.callee.dotted().unwrap_or_default();
        if wrapper.ends_with("async_to_sync") {
            let direct = Call {
                callee: inner.arguments.first()?.clone(),
                ..call.clone()
            };
            return self.call(expr, &direct, local);
        }
        let quote = self.quote(expr, local.file);
        self.note(expr, local.file, What::Work(quote));
        None
    }
}

fn is_self(object: &Expr, local: &Local) -> bool {
    match &object.kind {
        ExprKind::Name(name) => local.names.get(name).is_some_and(|value| value.is("self")),
        _ => false,
    }
}

/// The call that makes the function which is called.
fn wrapped(call: &Call) -> Option<&Call> {
    let inner = call.callee.call()?;
    let name = inner.callee.dotted()?;
    let known = ["async_to_sync", "sync_to_async", "run_in_threadpool"];
    known
        .iter()
        .any(|known| name.ends_with(known))
        .then_some(inner)
}

/// Functions that speak with the database say so.
fn is_work(function: &Function) -> bool {
    function.decorators.iter().any(|decorator| {
        let name = decorator
            .call()
            .map_or_else(|| decorator.dotted(), |call| call.callee.dotted());
        name.is_some_and(|name| name.ends_with("sync_to_async"))
    })
}

/// A parameter's default, as far as it is a plain constant.
fn default(written: &str) -> Value {
    match written {
        "False" => Value::Json(Json::Bool(false)),
        "True" => Value::Json(Json::Bool(true)),
        "None" | "" => Value::Json(Json::Null),
        other => Value::Unknown(other.to_owned()),
    }
}

impl Part {
    /// The place it is filled from.
    pub(in super::super) fn hole(&self) -> Option<&str> {
        match self {
            Self::Path(path) | Self::Default(path, _) => Some(path),
            Self::Plain(_) | Self::Unknown(_) => None,
        }
    }
}
