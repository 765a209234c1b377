//! What was found, as a config: tables of TOML, and for each endpoint what could not
//! be translated. Whatever is written here is proved by the check before anybody
//! sees it (`write`).

mod actions;
mod connect;
mod frames;
mod presence;
mod template;

use super::{
    follow::{Condition, Effect, Place, Spelling, What},
    found::{Endpoint, Found, Note},
};

use self::template::{Moment, Templates};
pub(super) use self::template::{key, quoted};

/// A proposed endpoint.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) path: String,
    /// Where its code is: the name of the class, file and line.
    pub(super) code: String,
    pub(super) place: Place,
    /// The lines of its table that say what it does; without them it is relayed all the same.
    pub(super) keys: Vec<String>,
    /// Its tables.
    pub(super) tables: Vec<String>,
    pub(super) notes: Vec<Note>,
    /// Tables that may be what the code means: they are written as comments.
    pub(super) proposals: Vec<String>,
    /// For the report: what it hears, sends, answers.
    pub(super) topics: Vec<String>,
    pub(super) frames: Vec<String>,
    pub(super) actions: Vec<String>,
}

impl Draft {
    fn note(&mut self, effect: &Effect, text: impl Into<String>) {
        self.notes.push(Note::new(&effect.place, text));
    }

    /// Its tables, each with its lines.
    pub(super) fn groups(&self) -> Vec<Vec<String>> {
        let mut groups: Vec<Vec<String>> = Vec::new();
        for line in &self.tables {
            match groups.last_mut() {
                Some(group) if !line.starts_with('[') => group.push(line.clone()),
                _ => groups.push(vec![line.clone()]),
            }
        }
        groups
    }
}

/// A draft for each endpoint, with names that differ; whether there is a channel layer
/// to send to.
pub(super) fn drafts(found: &Found, layer: bool) -> Vec<Draft> {
    let mut drafts: Vec<Draft> = Vec::new();
    for endpoint in &found.endpoints {
        let wanted = endpoint.path.name();
        let taken = |name: &str| drafts.iter().any(|draft| draft.name == name);
        let mut numbers = 2..;
        let mut name = wanted.clone();
        while taken(&name) {
            name = format!("{wanted}-{}", numbers.next().unwrap_or(0));
        }
        drafts.push(draft(endpoint, name, layer));
    }
    drafts
}

fn draft(endpoint: &Endpoint, name: String, layer: bool) -> Draft {
    let mut draft = Draft {
        name,
        path: endpoint.path.written.clone(),
        code: format!("{}, {}", endpoint.code, endpoint.place),
        place: endpoint.place.clone(),
        keys: Vec::new(),
        tables: Vec::new(),
        notes: Vec::new(),
        proposals: Vec::new(),
        topics: Vec::new(),
        frames: Vec::new(),
        actions: Vec::new(),
    };
    let templates = Templates {
        path: &endpoint.path,
        layer: layer && !endpoint.as_given,
    };
    connect::connect(endpoint, &templates, &mut draft);
    let json = spelling(endpoint);
    draft.keys.push(format!("json = {}", quoted(json)));
    draft.keys.push("expiry = \"keep\"".into());
    frames::frames(endpoint, &templates, &mut draft);
    actions::actions(endpoint, &templates, &mut draft);
    presence::presence(endpoint, &templates, &mut draft);
    draft.notes.sort();
    draft.notes.dedup();
    draft
}

/// How most of its JSON is spelled.
fn spelling(endpoint: &Endpoint) -> &'static str {
    let all = endpoint.connect.iter().chain(&endpoint.receive);
    let compact = all
        .clone()
        .any(|effect| matches!(effect.what, What::Send(_, Spelling::Compact)));
    match compact || endpoint.as_given {
        true => "compact",
        false => "python",
    }
}

/// Conditions that hold for everybody who is connected.
fn holds(condition: &Condition) -> bool {
    match condition {
        Condition::Stranger(false) => true,
        Condition::Type(path, kind, yes) => path == "message" && (*kind == "object") == *yes,
        Condition::Not(_) | Condition::Constant(true) => true,
        _ => false,
    }
}

/// A condition as people read it.
fn shown(condition: &Condition) -> String {
    match condition {
        Condition::OneOf(path, values, yes) => {
            let values: Vec<_> = values.iter().map(ToString::to_string).collect();
            let is = if *yes { "is" } else { "is not" };
            format!("{path} {is} {}", values.join(" or "))
        }
        Condition::Stranger(_) => "nobody is logged in".into(),
        Condition::NotJson => "the message is no JSON".into(),
        Condition::Gone => "the client is gone".into(),
        Condition::OwnSocket(path, _) => format!("{path} is this socket or not"),
        Condition::OwnUser(path, _) => format!("{path} is this user or not"),
        Condition::Type(path, kind, _) => format!("{path} is of type {kind} or not"),
        Condition::Not(inner) => {
            let inner: Vec<_> = inner.iter().map(shown).collect();
            format!("not ({})", inner.join(" and "))
        }
        Condition::Constant(yes) => if *yes { "always" } else { "never" }.into(),
        Condition::Unclear(text) => text.clone(),
    }
}
