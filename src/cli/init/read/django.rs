//! Django Channels: the consumers behind the routing, method by method.

use std::collections::BTreeSet;

use super::{
    super::{
        follow::{Effect, Follow, Place, Value, What},
        found::{Endpoint, Found, Handler, Note},
        names::{Lineage, methods},
        project::Project,
        python::Function,
    },
    routing::{Route, routing},
    settings,
};

/// What Channels itself calls, and what is no handler of events.
const NOT_HANDLERS: [&str; 12] = [
    "connect",
    "disconnect",
    "receive",
    "receive_json",
    "send",
    "send_json",
    "accept",
    "close",
    "encode_json",
    "decode_json",
    "websocket_connect",
    "websocket_disconnect",
];

pub(super) fn read(project: &Project, found: &mut Found) {
    let routing = routing(project);
    found.notes.extend(routing.notes);
    found.layer = settings::layer(project);
    // Sessions of Django, unless another middleware stands there too.
    let plain = ["AuthMiddlewareStack", "SessionMiddlewareStack"];
    let (sessions, others): (Vec<_>, Vec<_>) = routing
        .around
        .iter()
        .filter(|name| !name.ends_with("OriginValidator"))
        .partition(|name| plain.iter().any(|plain| name.ends_with(plain)));
    if !sessions.is_empty() && others.is_empty() {
        found.auth.jwt = None;
        found.auth.token = vec!["cookie:sessionid".into()];
    }
    for route in routing.routes {
        let endpoint = endpoint(project, &route, &mut found.notes);
        found.endpoints.push(endpoint);
    }
}

fn endpoint(project: &Project, route: &Route, notes: &mut Vec<Note>) -> Endpoint {
    let lineage = project.lineage(route.file, &route.class);
    for name in foreign(&lineage) {
        let text = format!("`{name}` is not in the project: what it does is missing here");
        notes.push(Note::new(
            &place(project, route.file, route.class.line),
            text,
        ));
    }
    let mut follow = Follow::new(project, lineage.clone());
    let mut connect = joined(
        &lineage,
        &mut follow,
        &place(project, route.file, route.class.line),
    );
    connect.extend(follow.method("connect", &[]));
    let mut receive = follow.method("receive", &[Value::Path("raw".into())]);
    if lineage.method("receive", 0).is_none() {
        receive = follow.method("receive_json", &[Value::Path("message".into())]);
    }
    let disconnect = follow.method("disconnect", &[]);
    let handlers = handlers(project, &lineage, &mut follow);
    Endpoint {
        code: format!("{} routed at {}", route.class.name, route.place),
        place: place(project, route.file, route.class.line),
        path: route.path.clone(),
        connect,
        receive,
        disconnect,
        handlers,
        ..Endpoint::default()
    }
}

/// `groups = ["online"]`: Channels joins them itself.
fn joined(lineage: &Lineage, follow: &mut Follow<'_>, place: &Place) -> Vec<Effect> {
    let groups = lineage.field("groups");
    let Some(Value::List(groups)) = groups.map(|(file, groups)| follow.constant(file, groups))
    else {
        return Vec::new();
    };
    let joins = groups.into_iter().map(|group| Effect {
        what: What::Join(group),
        when: Vec::new(),
        place: place.clone(),
    });
    joins.collect()
}

/// Bases that are not Channels' own.
fn foreign(lineage: &Lineage) -> BTreeSet<&str> {
    let known = [
        "WebsocketConsumer",
        "object",
        "AsyncConsumer",
        "SyncConsumer",
        "ABC",
        "Generic",
    ];
    let foreign = lineage.foreign.iter().map(String::as_str);
    foreign
        .filter(|name| !known.iter().any(|known| name.ends_with(known)))
        .collect()
}

/// The methods that take an event: one parameter, called by nobody else.
fn handlers(project: &Project, lineage: &Lineage, follow: &mut Follow<'_>) -> Vec<Handler> {
    let mut seen = BTreeSet::new();
    let mut handlers = Vec::new();
    for (file, class) in &lineage.classes {
        for method in methods(class) {
            if !seen.insert(method.name.clone()) || !is_handler(project, lineage, method) {
                continue;
            }
            let effects = follow.method(&method.name, &[Value::Path("event".into())]);
            let event = method
                .params
                .get(1)
                .is_some_and(|param| param.name == "event");
            if event || !effects.is_empty() {
                handlers.push(Handler {
                    kind: method.name.clone(),
                    place: place(project, *file, method.line),
                    effects,
                });
            }
        }
    }
    handlers
}

fn is_handler(project: &Project, lineage: &Lineage, method: &Function) -> bool {
    let one = method.params.len() == 2;
    let own = method.decorators.is_empty() && !method.name.starts_with('_');
    let event = method
        .params
        .get(1)
        .is_some_and(|param| param.name == "event");
    let called = format!("self.{}(", method.name);
    let is_called = lineage.classes.iter().any(|(file, _)| {
        let module = project.modules.get(*file);
        module.is_some_and(|module| module.text.contains(&called))
    });
    one && own && !NOT_HANDLERS.contains(&method.name.as_str()) && (event || !is_called)
}

fn place(project: &Project, file: usize, line: usize) -> Place {
    let path = project.modules.get(file);
    Place {
        path: path.map_or_else(String::new, |module| module.path.clone()),
        line,
    }
}
