//! FastAPI and Starlette: functions with `@app.websocket`, with the routers that they
//! hang on.

use std::{collections::HashMap, rc::Rc};

use super::{
    super::{
        follow::{Condition, Effect, Follow, Place, Value, What},
        found::{Endpoint, Found, Note, Path},
        names::{Lineage, Symbol},
        project::Project,
        python::{Expr, ExprKind, Function, Stmt},
    },
    auth::is_socket,
    paths,
};

pub(super) fn read(project: &Project, found: &mut Found) {
    for file in 0..project.modules.len() {
        let mut sockets = Vec::new();
        for stmt in project.statements(file) {
            functions(stmt, &mut sockets, 3);
        }
        for function in sockets {
            for decorator in function.decorators.iter().filter(|one| is_socket(one)) {
                add(project, file, &function, decorator, found);
            }
        }
    }
}

/// A function, and those inside it: apps are made by functions too.
fn functions(stmt: &Stmt, all: &mut Vec<Rc<Function>>, deep: usize) {
    if let (Stmt::Function(function), true) = (stmt, deep > 0) {
        all.push(function.clone());
        for inner in &function.body {
            functions(inner, all, deep - 1);
        }
    }
}

fn add(project: &Project, file: usize, function: &Function, decorator: &Expr, found: &mut Found) {
    let Some(call) = decorator.call() else { return };
    let place = Place {
        path: project
            .modules
            .get(file)
            .map_or_else(String::new, |module| module.path.clone()),
        line: function.line,
    };
    let Some(text) = call.argument("path", 0).and_then(Expr::plain) else {
        let text = "only Python can tell which path this is";
        return found.notes.push(Note::new(&place, text));
    };
    let ExprKind::Attribute(router, _) = &call.callee.kind else {
        return;
    };
    let prefix = prefix(project, file, router);
    let ints = function.params.iter().filter(|param| param.kind == "int");
    let ints: Vec<_> = ints.map(|param| param.name.clone()).collect();
    match paths::braces(&Path::default(), &format!("{prefix}{text}"), &ints) {
        Ok(path) => found
            .endpoints
            .push(endpoint(project, file, function, path, place)),
        Err(why) => found
            .notes
            .push(Note::new(&place, format!("the path `{text}`: {why}"))),
    }
}

fn endpoint(
    project: &Project,
    file: usize,
    function: &Function,
    path: Path,
    place: Place,
) -> Endpoint {
    let mut follow = Follow::new(project, Lineage::default());
    let names = parameters(function, &path);
    let tokens = names
        .iter()
        .any(|(_, value)| *value == Value::Path("user".into()));
    let effects = follow.function(file, function, names);
    let mut endpoint = Endpoint {
        code: function.name.clone(),
        place,
        path,
        as_given: true,
        known_users: tokens
            || function
                .params
                .iter()
                .any(|param| param.name.contains("token")),
        token_required: function.params.iter().any(|param| {
            param.name.contains("token")
                && !param.default.contains("None")
                && !param.kind.contains("None")
        }),
        ..Endpoint::default()
    };
    split(effects, &mut endpoint);
    endpoint
}

/// What happens at connect, with what is said, and at the end.
fn split(effects: Vec<Effect>, endpoint: &mut Endpoint) {
    let mut hearing = false;
    for effect in effects {
        if effect.when.contains(&Condition::Gone) {
            endpoint.disconnect.push(effect);
        } else if effect.what == What::Hear {
            hearing = true;
        } else if hearing {
            endpoint.receive.push(effect);
        } else {
            endpoint.connect.push(effect);
        }
    }
}

/// What is known of a function's parameters.
fn parameters(function: &Function, path: &Path) -> HashMap<String, Value> {
    let params = function.params.iter().map(|param| {
        let name = param.name.as_str();
        let user = param.default.contains("Depends") && name.contains("user");
        let value = if param.kind.ends_with("WebSocket") || name == "websocket" || name == "ws" {
            Value::Path("socket".into())
        } else if path.params.iter().any(|(known, _)| known == name) {
            Value::Path(format!("path.{name}"))
        } else if user && name.ends_with("id") {
            Value::Path("user.id".into())
        } else if user {
            Value::Path("user".into())
        } else {
            Value::Unknown(name.to_owned())
        };
        (name.to_owned(), value)
    });
    params.collect()
}

/// What stands before the paths of a router: its own prefix, and the one that it is
/// included with.
fn prefix(project: &Project, file: usize, router: &Expr) -> String {
    let Some(Symbol::Values(home, values)) =
        router.dotted().and_then(|name| project.symbol(file, &name))
    else {
        return String::new();
    };
    let of_call = |value: &Expr| {
        let call = value.call()?;
        let named = call.named.iter().find(|(name, _)| name == "prefix");
        named
            .and_then(|(_, prefix)| prefix.plain())
            .map(str::to_owned)
    };
    let own = values
        .first()
        .and_then(|value| of_call(value))
        .unwrap_or_default();
    let start = values.first().map(|value| value.span.start);
    for file in 0..project.modules.len() {
        for call in includes(project, file) {
            let Some(inner) = call.call() else { continue };
            let included = inner.arguments.first().and_then(Expr::dotted);
            let included = included.and_then(|name| project.symbol(file, &name));
            let same = match &included {
                Some(Symbol::Values(other, values)) => {
                    *other == home && values.first().map(|value| value.span.start) == start
                }
                _ => false,
            };
            if same {
                return format!("{}{own}", of_call(call).unwrap_or_default());
            }
        }
    }
    own
}

/// The calls of `include_router` in a file.
fn includes(project: &Project, file: usize) -> Vec<&Expr> {
    let mut found = Vec::new();
    for stmt in project.statements(file) {
        calls(stmt, &mut found, 3);
    }
    found
}

fn calls<'p>(stmt: &'p Stmt, found: &mut Vec<&'p Expr>, deep: usize) {
    match stmt {
        Stmt::Expr(expr) => {
            let name = expr.call().map(|call| &call.callee.kind);
            if matches!(name, Some(ExprKind::Attribute(_, name)) if name == "include_router") {
                found.push(expr);
            }
        }
        Stmt::Function(function) if deep > 0 => {
            for stmt in &function.body {
                calls(stmt, found, deep - 1);
            }
        }
        _ => {}
    }
}
