//! Actions: which messages they are for, what those must hold, and what they cause.

use toml::Spanned;

use super::{
    super::{
        raw,
        tree::{Node, Tree},
        value::Pairs,
        words,
    },
    Check,
    frames::answer,
    include::Place,
    steps::{self, Moment},
};
use crate::routes::{Action, Condition, FieldKind, FieldPath, Required, Test};

/// The actions of one endpoint, in order.
pub(super) fn actions(check: &mut Check<'_>, place: &Place<'_>, from: usize) -> Vec<Action> {
    let mut actions: Vec<Action> = Vec::new();
    for raw in &place.part(from).actions {
        let action = action(check, place, raw);
        if actions.iter().any(|earlier| earlier.covers(&action)) {
            let help = "the first action that fits is taken: write the narrower one first";
            check.warn(
                raw.span(),
                "an earlier action takes every message that this one is for",
                help,
            );
        }
        actions.push(action);
    }
    actions
}

fn action(check: &mut Check<'_>, place: &Place<'_>, action: &Spanned<raw::Action>) -> Action {
    let raw = action.get_ref();
    let moment = Moment {
        place,
        known: place.open(true),
        mute: None,
    };
    let written = raw.steps();
    let help = "write call, publish, subscribe, reply, reply_text, or ignore = true";
    match (&raw.ignore, steps::is_empty(&written)) {
        (None, true) => check.error(action.span(), "this action does nothing", help),
        (Some(ignore), _) if !*ignore.get_ref() => check.error(
            ignore.span(),
            "an action cannot be turned off like this",
            "leave the action out",
        ),
        (Some(ignore), false) => check.error(
            ignore.span(),
            "this action does something and is ignored",
            "keep one",
        ),
        _ => {}
    }
    let mut with_problem = moment.known.clone();
    with_problem.problem = true;
    if let Some(answer) = raw.on_invalid.as_ref().filter(|_| raw.require.0.is_empty()) {
        let help = "add require = { content = \"text\" }";
        check.error(answer.span(), "no message is invalid here", help);
    }
    Action {
        when: fields(check, &raw.when, condition),
        require: fields(check, &raw.require, required),
        on_invalid: answer(check, place, &with_problem, raw.on_invalid.as_ref()),
        steps: steps::steps(check, &moment, (&written, action.span())),
    }
}

/// One thing for each field: tables in tables and dotted keys both lead into the
/// message.
fn fields<T>(
    check: &mut Check<'_>,
    raw: &Pairs<Tree>,
    read: fn(&mut Check<'_>, FieldPath, &Tree) -> Result<T, NotHere>,
) -> Vec<T> {
    let mut found = Vec::new();
    let top = raw.0.iter();
    let mut left: Vec<(Vec<Box<str>>, &Tree)> = top
        .rev()
        .map(|(key, tree)| (names(key.get_ref()), tree))
        .collect();
    while let Some((path, tree)) = left.pop() {
        if path.iter().any(|name| name.is_empty()) {
            let help = "write names with a dot between them: \"data.kind\"";
            check.error(tree.span(), "this field has no name", help);
            continue;
        }
        match read(check, path.clone().into(), tree) {
            Ok(one) => found.push(one),
            Err(NotHere::Wrong) => {}
            Err(NotHere::Below) => {
                let Node::Table(pairs) = tree.get_ref() else {
                    continue;
                };
                let below = pairs.iter().rev();
                left.extend(below.map(|(key, tree)| {
                    let path = path.iter().cloned().chain(names(key)).collect();
                    (path, tree)
                }));
            }
        }
    }
    found
}

/// Why a field is nothing by itself.
enum NotHere {
    /// It is a table of other fields.
    Below,
    /// It is wrong, and that was said.
    Wrong,
}

fn names(key: &str) -> Vec<Box<str>> {
    key.split('.').map(Box::from).collect()
}

fn condition(check: &mut Check<'_>, field: FieldPath, tree: &Tree) -> Result<Condition, NotHere> {
    let test = match tree.get_ref() {
        Node::Leaf(value) => Test::OneOf(vec![value.clone()]),
        Node::List(items) if !items.is_empty() => {
            Test::OneOf(items.iter().map(|item| item.get_ref().json()).collect())
        }
        Node::Table(pairs) => match &pairs[..] {
            [(key, present)] if key == "present" => match present.get_ref() {
                Node::Leaf(serde_json::Value::Bool(present)) => Test::Present(*present),
                _ => return Err(NotHere::Below),
            },
            [] => return Err(nothing(check, tree)),
            _ => return Err(NotHere::Below),
        },
        Node::List(_) => return Err(nothing(check, tree)),
    };
    Ok(Condition { field, test })
}

fn nothing(check: &mut Check<'_>, tree: &Tree) -> NotHere {
    let help = "write a value, a list of values, or { present = true }";
    check.error(tree.span(), "no message fits this", help);
    NotHere::Wrong
}

fn required(check: &mut Check<'_>, field: FieldPath, tree: &Tree) -> Result<Required, NotHere> {
    let word = match tree.get_ref() {
        Node::Leaf(serde_json::Value::String(word)) => word.as_str(),
        Node::Table(pairs) if !pairs.is_empty() => return Err(NotHere::Below),
        Node::Leaf(_) | Node::List(_) | Node::Table(_) => "",
    };
    let known = FieldKind::WORDS.iter().find(|(known, _)| *known == word);
    let Some((_, kind)) = known else {
        let names = FieldKind::WORDS.map(|(name, _)| name);
        let help = match words::nearest(word, names) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known are: {}", names.join(", ")),
        };
        check.error(tree.span(), "this is not the type of a field", help);
        return Err(NotHere::Wrong);
    };
    let mut field = field;
    let mut optional = false;
    if let Some(last) = field.last_mut()
        && let Some(name) = last.strip_suffix('?')
    {
        *last = name.into();
        optional = true;
    }
    let kind = *kind;
    Ok(Required {
        field,
        kind,
        optional,
    })
}
