//! Which consumer serves which path: `asgi.py` from its `websocket` on, through
//! `URLRouter`, `include` and lists of other files.

use std::rc::Rc;

use super::{
    super::{
        follow::Place,
        found::{Note, Path},
        names::Symbol,
        project::Project,
        python::{Call, Class, Expr, ExprKind, Stmt},
    },
    paths,
};

/// How deep routers stand in routers.
const DEEPEST: usize = 40;
/// What is wrong with more paths than that is not read by anybody.
const MOST_NOTES: usize = 200;
/// More paths than that are no routing that somebody wrote.
const MOST_ROUTES: usize = 500;

/// A path and its consumer.
pub(super) struct Route {
    pub(super) path: Path,
    pub(super) place: Place,
    pub(super) file: usize,
    pub(super) class: Rc<Class>,
}

/// What the routing says.
pub(super) struct Routing<'p> {
    project: &'p Project,
    pub(super) routes: Vec<Route>,
    pub(super) notes: Vec<Note>,
    /// What stands around the router: middleware.
    pub(super) around: Vec<String>,
}

/// The routing of a project: what `asgi.py` uses, else whatever is called
/// `websocket_urlpatterns`.
pub(super) fn routing(project: &Project) -> Routing<'_> {
    let mut routing = Routing {
        project,
        routes: Vec::new(),
        notes: Vec::new(),
        around: Vec::new(),
    };
    for file in 0..project.modules.len() {
        for stmt in project.statements(file) {
            let Stmt::Assign(_, value) = stmt else {
                continue;
            };
            if let Some(websocket) = websocket_of(value) {
                routing.around(file, websocket, DEEPEST);
            }
        }
    }
    if routing.routes.is_empty() {
        for file in 0..project.modules.len() {
            if let Some(Symbol::Values(file, values)) =
                project.symbol(file, "websocket_urlpatterns")
            {
                for value in values {
                    routing.list(file, value, &Path::default(), DEEPEST);
                }
            }
        }
    }
    routing
}

/// The `"websocket"` of a `ProtocolTypeRouter`.
fn websocket_of(value: &Expr) -> Option<&Expr> {
    let call = value.call()?;
    let ExprKind::Dict(entries) = &call.arguments.first()?.kind else {
        return None;
    };
    let mut entries = entries.iter();
    let websocket =
        entries.find(|(key, _)| key.as_ref().and_then(Expr::plain) == Some("websocket"));
    websocket.map(|(_, value)| value)
}

impl<'p> Routing<'p> {
    fn note(&mut self, file: usize, expr: &Expr, text: String) {
        let note = Note::new(&place(self.project, file, expr), text);
        if self.notes.len() < MOST_NOTES && !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Middleware around a router.
    fn around(&mut self, file: usize, expr: &Expr, deep: usize) {
        let Some(call) = expr.call().filter(|_| deep > 0) else {
            let name = expr.dotted().filter(|_| deep > 0);
            let symbol = name.and_then(|name| self.project.symbol(file, &name));
            if let Some(Symbol::Values(file, values)) = symbol {
                for value in values {
                    self.around(file, value, deep - 1);
                }
            }
            return;
        };
        let name = call.callee.dotted().unwrap_or_default();
        if name.ends_with("URLRouter") {
            if let Some(list) = call.argument("routes", 0) {
                self.list(file, list, &Path::default(), deep - 1);
            }
            return;
        }
        self.around.push(name);
        for argument in &call.arguments {
            self.around(file, argument, deep - 1);
        }
    }

    /// A list of paths, in whatever way it is put together.
    fn list(&mut self, file: usize, expr: &Expr, prefix: &Path, deep: usize) {
        if deep == 0 || self.routes.len() > MOST_ROUTES {
            return;
        }
        match &expr.kind {
            ExprKind::List(parts) | ExprKind::Sum(parts) => {
                for part in parts {
                    self.list(file, part, prefix, deep - 1);
                }
            }
            ExprKind::Spread(inner) => self.list(file, inner, prefix, deep - 1),
            ExprKind::Call(_) => self.path(file, expr, prefix, deep - 1),
            ExprKind::Name(_) | ExprKind::Attribute(..) => {
                let name = expr.dotted().unwrap_or_default();
                match self.project.symbol(file, &name) {
                    Some(Symbol::Values(file, values)) => {
                        for value in values {
                            self.list(file, value, prefix, deep - 1);
                        }
                    }
                    _ => self.note(
                        file,
                        expr,
                        format!("`{name}` was not found: its paths are missing here"),
                    ),
                }
            }
            _ => {
                let text = "only Python can tell which paths these are".to_owned();
                self.note(file, expr, text);
            }
        }
    }

    /// `path(...)`, `re_path(...)`, `url(...)`.
    fn path(&mut self, file: usize, expr: &Expr, prefix: &Path, deep: usize) {
        let Some(call) = expr.call() else { return };
        let how = call.callee.dotted().unwrap_or_default();
        let (Some(route), Some(target)) = (call.argument("route", 0), call.argument("view", 1))
        else {
            return self.note(file, expr, format!("`{how}` is no path that is understood"));
        };
        let Some(text) = route.plain() else {
            return self.note(file, expr, "only Python can tell which path this is".into());
        };
        let path = match how.ends_with("re_path") || how.ends_with("url") {
            true => paths::regex(prefix, text),
            false => paths::converters(prefix, text),
        };
        match path {
            Ok(path) => self.target(file, target, &path, deep),
            Err(why) => self.note(file, expr, format!("the path `{text}`: {why}")),
        }
    }

    fn target(&mut self, file: usize, target: &Expr, path: &Path, deep: usize) {
        let Some(call) = target.call().filter(|_| deep > 0) else {
            let text = format!("what serves `{}` is not understood", path.written);
            return self.note(file, target, text);
        };
        if let Some(inner) = included(call) {
            let symbol = self.project.file(file, inner);
            let symbol = symbol.and_then(|file| self.project.symbol(file, "urlpatterns"));
            return match symbol {
                Some(Symbol::Values(file, values)) => {
                    for value in values {
                        self.list(file, value, path, deep - 1);
                    }
                }
                _ => self.note(file, target, format!("`{inner}` was not found")),
            };
        }
        if call
            .callee
            .dotted()
            .is_some_and(|name| name.ends_with("URLRouter"))
        {
            for argument in &call.arguments {
                self.list(file, argument, path, deep - 1);
            }
            return;
        }
        match consumer(call) {
            Some(name) => match self.project.symbol(file, &name) {
                Some(Symbol::Class(home, class)) => self.routes.push(Route {
                    path: path.clone(),
                    place: place(self.project, file, target),
                    file: home,
                    class,
                }),
                _ => self.note(file, target, format!("the consumer `{name}` was not found")),
            },
            // Middleware around one consumer.
            None => {
                for argument in &call.arguments {
                    self.target(file, argument, path, deep - 1);
                }
            }
        }
    }
}

/// `include("app.routing")`.
fn included(call: &Call) -> Option<&str> {
    let name = call.callee.dotted()?;
    (name == "include").then(|| call.arguments.first()?.plain())?
}

/// `Consumer.as_asgi()`.
fn consumer(call: &Call) -> Option<String> {
    match &call.callee.kind {
        ExprKind::Attribute(class, name) if name == "as_asgi" => class.dotted(),
        _ => None,
    }
}

fn place(project: &Project, file: usize, expr: &Expr) -> Place {
    let path = project.modules.get(file);
    Place {
        path: path.map_or_else(String::new, |module| module.path.clone()),
        line: expr.line,
    }
}
