//! `[[source.exchange]]`: which HTTP exchanges are events.

use std::sync::Arc;

use http::Method;
use serde_json::Value;
use toml::Spanned;

use super::{
    super::raw,
    super::value::Short,
    Check,
    tree::{Node, Tree},
};
use crate::{
    frame::{JsonStyle, Template, Text, Vocabulary},
    routes::{Exchange, Happening, Name, Needs, PathPattern, Statuses},
    source::exchange::NAMES,
};

/// The largest body looked at, where the file does not say.
const MAX_BODY: usize = 64 << 10;

/// What may be spoken of in one rule, and what of it was spoken of.
struct Words {
    known: Vocabulary,
    needs: Needs,
}

/// All rules, in the order of the file.
pub(super) fn exchanges(check: &mut Check<'_>, file: &raw::File) -> Vec<Exchange> {
    let mut rules: Vec<Exchange> = Vec::new();
    for raw in &file.source.exchange {
        let Some(rule) = exchange(check, raw) else {
            continue;
        };
        if rule.needs.client && file.auth.jwt.is_none() && file.auth.app.is_none() {
            let help =
                "add [auth.jwt] or [auth.app], or take the user from {request...} or {response...}";
            check.error(
                raw.span(),
                "this rule speaks of the user, whom nobody knows",
                help,
            );
        }
        if rules.iter().any(|other| other.name == rule.name) {
            let span = raw
                .get_ref()
                .name
                .as_ref()
                .map_or(raw.span(), Spanned::span);
            let message = format!("two rules are called `{}`", rule.name);
            check.error(span, message, "give each a `name` of its own");
        }
        rules.push(rule);
    }
    rules
}

fn exchange(check: &mut Check<'_>, rule: &Spanned<raw::Exchange>) -> Option<Exchange> {
    let raw = rule.get_ref();
    if raw.on.is_none() {
        let help = "add on = { method = \"POST\", path = \"/chats/message\" }";
        check.error(rule.span(), "this rule is for no exchange", help);
    }
    if raw.event.is_none() {
        let help = "add event = { type = \"new_message\", topics = [\"chat_{response.chat_id}\"], data = \"{response}\" }";
        check.error(rule.span(), "this rule makes no event", help);
    }
    let on = raw.on.as_ref()?;
    let path = path(check, on)?;
    let mut words = words(check, on, &path, raw.each.is_some());
    let each = raw.each.as_ref().and_then(|each| pointer(check, each));
    words.needs.response |= each.is_some();
    let when = when(check, &mut words, &raw.when.0);
    let event = happening(check, &mut words, raw.event.as_ref()?)?;
    let methods = methods(on.get_ref());
    let name = raw.name.as_ref().map(|name| name.get_ref().clone());
    let name = name.unwrap_or_else(|| {
        let method = methods.first().map_or("", Method::as_str);
        format!("{method} {path}: {}", event.kind)
    });
    Some(Exchange {
        name: name.into(),
        methods,
        path,
        statuses: match on.get_ref().status.0.as_slice() {
            [] => vec![Statuses::Class(2)],
            named => named.iter().map(|status| status.0).collect(),
        },
        when,
        each,
        event,
        needs: words.needs,
        max_body: raw.max_body.map_or(MAX_BODY, |size| size.0),
        decompress: raw.decompress,
    })
}

fn methods(on: &raw::On) -> Vec<Method> {
    match on.method.0.as_slice() {
        [] => vec![Method::POST],
        named => named.iter().map(|method| method.0.clone()).collect(),
    }
}

fn path(check: &mut Check<'_>, on: &Spanned<raw::On>) -> Option<PathPattern> {
    let Some(path) = &on.get_ref().path else {
        let help = "add path = \"/chats/{chat_id}/messages\"";
        check.error(on.span(), "this rule is for no path", help);
        return None;
    };
    match PathPattern::parse(path.get_ref()) {
        Ok(pattern) => Some(pattern),
        Err(message) => {
            let help = "write it as clients ask for it: /chats/{chat_id}/messages";
            check.error(path.span(), message, help);
            None
        }
    }
}

fn words(check: &mut Check<'_>, on: &Spanned<raw::On>, path: &PathPattern, each: bool) -> Words {
    let params: Vec<Arc<str>> = path.params().cloned().collect();
    if let Some(taken) = params.iter().find(|name| NAMES.contains(&&***name)) {
        let span = on.get_ref().path.as_ref().map_or(on.span(), Spanned::span);
        let message = format!("{{{taken}}} is a part of the exchange already");
        check.error(span, message, "give the parameter another name");
    }
    let names = NAMES.iter().filter(|name| each || **name != "each");
    Words {
        known: Vocabulary {
            client: true,
            params,
            lookups: names.map(|name| Arc::from(*name)).collect(),
            ..Vocabulary::default()
        },
        needs: Needs::default(),
    }
}

impl Words {
    /// Notes what a tree speaks of: it cannot be compiled without that.
    fn note(&mut self, tree: &Value) {
        let needs = |without: &dyn Fn(&mut Vocabulary)| {
            let mut known = self.known.clone();
            without(&mut known);
            Template::compile(tree, JsonStyle::Compact, &known).is_err()
        };
        let named = |name: &'static str| {
            move |known: &mut Vocabulary| known.lookups.retain(|other| **other != *name)
        };
        let found = Needs {
            request: needs(&named("request")),
            response: needs(&named("response")),
            client: needs(&|known| known.client = false),
        };
        self.needs.request |= found.request;
        self.needs.response |= found.response;
        self.needs.client |= found.client;
    }

    fn template(&mut self, check: &mut Check<'_>, tree: &Tree) -> Option<Template> {
        let template = check.template(tree, JsonStyle::Compact, &self.known)?;
        let json = tree.get_ref().json();
        if json.to_string().contains("{session.id") {
            let help = "take it out: a request has no socket";
            check.error(tree.span(), "{session.id} is not known here", help);
            return None;
        }
        self.note(&json);
        Some(template)
    }

    fn text(&mut self, check: &mut Check<'_>, text: &Spanned<String>) -> Option<Text> {
        let compiled = check.text(text, &self.known)?;
        self.note(&Value::from(text.get_ref().as_str()));
        Some(compiled)
    }

    /// Topics or users.
    fn names(&mut self, check: &mut Check<'_>, list: &[Spanned<String>]) -> Vec<Name> {
        let mut names = Vec::new();
        for text in list {
            let inside = text.get_ref().strip_prefix('{');
            let inside = inside.and_then(|rest| rest.strip_suffix('}'));
            let alone = inside.is_some_and(|inside| !inside.contains(['{', '}']));
            names.extend(match alone {
                true => self.template(check, &leaf(text)).map(Name::Value),
                false => self.text(check, text).map(Name::Text),
            });
        }
        names
    }
}

fn leaf(text: &Spanned<String>) -> Tree {
    let value = Value::from(text.get_ref().as_str());
    Spanned::new(text.span(), Node::Leaf(value))
}

/// A pointer into the answer.
fn pointer(check: &mut Check<'_>, each: &Spanned<String>) -> Option<Box<str>> {
    let text = each.get_ref();
    if text.starts_with('/') && text.split('/').any(|part| part == "*") {
        return Some(text.as_str().into());
    }
    let message = format!("`{text}` does not point to the items of a list");
    check.error(
        each.span(),
        message,
        "write each = \"/items/*\", a JSON pointer into the response",
    );
    None
}

/// Conditions: names with dots, or tables in tables, and the values they must have.
fn when(
    check: &mut Check<'_>,
    words: &mut Words,
    pairs: &[(Spanned<String>, Tree)],
) -> Vec<(Template, Box<str>)> {
    let mut conditions = Vec::new();
    for (key, wanted) in pairs {
        condition(
            check,
            words,
            (key.get_ref().clone(), key.span()),
            wanted,
            &mut conditions,
        );
    }
    conditions
}

fn condition(
    check: &mut Check<'_>,
    words: &mut Words,
    (name, span): (String, std::ops::Range<usize>),
    wanted: &Tree,
    conditions: &mut Vec<(Template, Box<str>)>,
) {
    if let Node::Table(pairs) = wanted.get_ref() {
        for (key, wanted) in pairs {
            let below = (format!("{name}.{key}"), span.clone());
            condition(check, words, below, wanted, conditions);
        }
        return;
    }
    let reference = Spanned::new(span, format!("{{{name}}}"));
    let found = words.template(check, &leaf(&reference));
    let wanted = wanted.get_ref().json().to_string();
    conditions.extend(found.map(|found| (found, wanted.into())));
}

fn happening(
    check: &mut Check<'_>,
    words: &mut Words,
    event: &Spanned<raw::Happening>,
) -> Option<Happening> {
    let raw = event.get_ref();
    let kind = raw.r#type.as_ref().map(|kind| kind.get_ref().as_str());
    if kind.is_none_or(str::is_empty) {
        check.error(
            event.span(),
            "this event has no type",
            "add type = \"new_message\"",
        );
    }
    if raw.topics.is_empty() && raw.users.is_none() {
        let help = "add topics = [\"chat_{response.chat_id}\"] or users = [\"{request.to}\"]";
        check.error(event.span(), "this event is for nobody", help);
    }
    if let Some(users) = raw
        .users
        .as_ref()
        .filter(|users| users.get_ref().is_empty())
    {
        let help = "leave it out to reach everyone on the topics";
        check.error(users.span(), "an event for no users is for nobody", help);
    }
    let id = raw.id.as_ref().and_then(|id| words.text(check, id));
    let topics = words.names(check, &raw.topics);
    let users = raw.users.as_ref();
    let users = users.map(|users| words.names(check, users.get_ref()));
    let except = except(check, words, raw.except.as_ref());
    let nothing = || Spanned::new(event.span(), Node::Table(Vec::new()));
    let data = raw.data.clone().unwrap_or_else(nothing);
    Some(Happening {
        kind: kind?.into(),
        id,
        topics,
        users,
        except,
        ephemeral: raw.ephemeral,
        data: words.template(check, &data)?,
    })
}

/// `"user"`, who asked; or `{ users = [...] }`.
fn except(
    check: &mut Check<'_>,
    words: &mut Words,
    raw: Option<&Spanned<Short<raw::Left>>>,
) -> Vec<Name> {
    let Some(raw) = raw else {
        return Vec::new();
    };
    match raw.get_ref() {
        Short::Full(left) => words.names(check, &left.users),
        Short::Word(word) if word == "user" => {
            words.names(check, &[Spanned::new(raw.span(), "{user.id}".to_owned())])
        }
        Short::Word(_) | Short::Switch(_) => {
            let help = "write \"user\" (who asked) or { users = [\"{response.sender_id}\"] }";
            check.error(raw.span(), "this says nobody to leave out", help);
            Vec::new()
        }
    }
}
