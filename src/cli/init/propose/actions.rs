//! What clients may say, and what it causes.

use serde_json::Value as Json;

use super::{
    super::{
        follow::{Condition, Effect, Spelling, Value, What},
        found::Endpoint,
    },
    Draft, Moment, Templates,
    connect::conditions,
    quoted, shown,
    template::key,
};

/// What one kind of message causes, in order.
struct Group<'e> {
    when: Vec<(String, Vec<Json>)>,
    effects: Vec<&'e Effect>,
    /// Conditions that an action cannot have.
    unclear: Vec<String>,
    require: Vec<(String, &'static str)>,
    /// What is done with a message that lacks them.
    lacking: Vec<&'e Effect>,
    /// The message is the frame: its type stays in it.
    as_given: bool,
}

pub(super) fn actions(endpoint: &Endpoint, templates: &Templates<'_>, draft: &mut Draft) {
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut invalid = false;
    for effect in &endpoint.receive {
        if matches!(
            effect.what,
            What::Join(_) | What::Leave | What::Hear | What::Accept
        ) {
            continue;
        }
        if effect.when.contains(&Condition::NotJson) {
            invalid |= on_invalid(effect, invalid, templates, draft);
            continue;
        }
        let group = group(effect, endpoint);
        match groups.iter_mut().find(|known| known.when == group.when) {
            Some(known) => {
                known.effects.extend(group.effects);
                known.unclear.extend(group.unclear);
                known.require.extend(group.require);
                known.lacking.extend(group.lacking);
            }
            None => groups.push(group),
        }
    }
    // What is for every message comes after what is for some.
    groups.sort_by_key(|group| group.when.is_empty());
    for group in groups {
        action(&group, templates, draft);
    }
}

fn group<'e>(effect: &'e Effect, endpoint: &Endpoint) -> Group<'e> {
    let mut group = Group {
        when: Vec::new(),
        effects: vec![effect],
        unclear: Vec::new(),
        require: Vec::new(),
        lacking: Vec::new(),
        as_given: endpoint.as_given,
    };
    for condition in conditions(endpoint, effect) {
        match condition {
            Condition::OneOf(path, values, true) => match field(path) {
                // Only one field may be absent: for that there is an action of its own.
                Some(field)
                    if !values.contains(&Json::Null)
                        || group
                            .when
                            .iter()
                            .all(|(_, known)| !known.contains(&Json::Null)) =>
                {
                    group.when.push((field, values.clone()));
                }
                _ => group.unclear.push(shown(condition)),
            },
            // The actions before it have taken those.
            Condition::OneOf(path, _, false) if field(path).is_some() => {}
            Condition::Type(path, kind, true) => match field(path) {
                Some(field) => group.require.push((field, kind)),
                None => group.unclear.push(shown(condition)),
            },
            Condition::Type(path, _, false) if field(path).is_some() => {
                group.lacking.push(effect);
                group.effects.clear();
            }
            other => group.unclear.push(shown(other)),
        }
    }
    group.when.sort_by(|a, b| a.0.cmp(&b.0));
    group
}

/// The field of a message that a path names.
fn field(path: &str) -> Option<String> {
    let field = path.strip_prefix("message.")?;
    let letters = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-' || c == '.';
    field.chars().all(letters).then(|| field.to_owned())
}

fn on_invalid(effect: &Effect, again: bool, templates: &Templates<'_>, draft: &mut Draft) -> bool {
    let written = match &effect.what {
        _ if again => Err("it does more than one thing".to_owned()),
        What::Send(value, Spelling::Text) => templates
            .text(value, Moment::Connect)
            .map(|text| format!("reply_text = {}", quoted(&text))),
        What::Send(value, _) => templates
            .toml(value, Moment::Connect)
            .map(|toml| format!("reply = {toml}")),
        _ => Err("it does something else than answer".to_owned()),
    };
    match written {
        Ok(answer) => {
            draft.keys.push(format!("on_invalid_json = {{ {answer} }}"));
            true
        }
        Err(why) => {
            draft.note(effect, format!("for what is no JSON: {why}"));
            false
        }
    }
}

fn action(group: &Group<'_>, templates: &Templates<'_>, draft: &mut Draft) {
    let name = name(group);
    draft.actions.push(name.clone());
    let first = group.effects.first().or(group.lacking.first());
    let done = match (group.unclear.first(), first) {
        (Some(why), Some(effect)) => Err((*effect, format!("only if {why}"))),
        _ => steps(group, templates),
    };
    let done = done.and_then(|steps| Ok([required(group, templates)?, steps].concat()));
    let steps = match done {
        Ok(steps) => {
            let text = group.require.iter().find(|(_, kind)| *kind == "text");
            if let (Some((field, _)), Some(effect)) = (text, group.effects.first()) {
                let text = format!(
                    "for {name}: `{field}` must be a text that is not empty; in Python whatever is true will do"
                );
                draft.note(effect, text);
            }
            let told = group
                .effects
                .iter()
                .find(|one| matches!(one.what, What::Tell { .. }) && !templates.layer);
            if let Some(effect) = told {
                let text = format!(
                    "for {name}: sockets that the app still serves do not hear what is published here"
                );
                draft.note(effect, text);
            }
            steps
        }
        Err((effect, why)) => {
            draft.note(effect, format!("for {name}: {why}"));
            todo(group, effect, &why, templates)
        }
    };
    tables(group, &steps, draft);
}

/// For whom an action is, as people read it.
fn name(group: &Group<'_>) -> String {
    let when = group.when.iter().map(|(path, values)| {
        let values: Vec<_> = values.iter().map(named).collect();
        format!("{path} = {}", values.join(" or "))
    });
    match group.when.as_slice() {
        [] => "every message".to_owned(),
        _ => when.collect::<Vec<_>>().join(", "),
    }
}

/// The steps of an action that is left to do.
fn todo(group: &Group<'_>, effect: &Effect, why: &str, templates: &Templates<'_>) -> Vec<String> {
    let mut todo = vec![format!("# TODO {}: {why}", effect.place)];
    if matches!(effect.what, What::Work(_)) {
        let call = "# call = { method = \"POST\", path = \"/api/...\" }";
        todo.push(format!("{call}  # in the place of ignore"));
    }
    let required = required(group, templates).unwrap_or_default();
    todo.extend(required.iter().map(|line| format!("# {line}")));
    todo.push("ignore = true".into());
    todo
}

/// One table, and one more if a field may be absent.
fn tables(group: &Group<'_>, steps: &[String], draft: &mut Draft) {
    for absent in [false, true] {
        let may = |(_, values): &(String, Vec<Json>)| values.contains(&Json::Null);
        let only = |(_, values): &(String, Vec<Json>)| values.iter().all(Json::is_null);
        if absent && !group.when.iter().any(may) || !absent && group.when.iter().any(only) {
            continue;
        }
        draft.tables.push("[[endpoint.actions]]".into());
        if !group.when.is_empty() {
            let when: Vec<_> = group
                .when
                .iter()
                .map(|one| condition(one, absent))
                .collect();
            let when = when.join(", ");
            draft.tables.push(format!("when = {{ {when} }}"));
        }
        draft.tables.extend_from_slice(steps);
    }
}

/// What a message must hold, and the answer to one that does not.
fn required<'e>(group: &Group<'e>, templates: &Templates<'_>) -> Result<Vec<String>, Refused<'e>> {
    let mut fields: Vec<String> = Vec::new();
    for (field, kind) in &group.require {
        let line = format!("{} = {}", key(field), quoted(kind));
        if !fields.contains(&line) {
            fields.push(line);
        }
    }
    let mut lines = Vec::new();
    if !fields.is_empty() {
        lines.push(format!("require = {{ {} }}", fields.join(", ")));
    }
    match group.lacking.as_slice() {
        [] => {}
        [effect] if !fields.is_empty() => {
            let What::Send(value, spelling) = &effect.what else {
                return Err((
                    effect,
                    "it does something else than answer if a field is missing".into(),
                ));
            };
            let answer = answer(value, *spelling, templates).map_err(|why| (*effect, why))?;
            lines.push(format!("on_invalid = {{ {answer} }}"));
        }
        [effect, ..] => {
            return Err((
                effect,
                "what it does if a field is missing is not understood".into(),
            ));
        }
    }
    Ok(lines)
}

fn named(value: &Json) -> String {
    match value {
        Json::Null => "absent".into(),
        other => other.to_string(),
    }
}

/// A field, and what it must be: one value, or one of several.
fn condition((field, values): &(String, Vec<Json>), absent: bool) -> String {
    if absent && values.contains(&Json::Null) {
        return format!("{} = {{ present = false }}", key(field));
    }
    let written: Vec<_> = values
        .iter()
        .filter(|value| **value != Json::Null)
        .map(|value| match value {
            Json::String(text) => quoted(text),
            other => other.to_string(),
        })
        .collect();
    match written.as_slice() {
        [one] => format!("{} = {one}", key(field)),
        all => format!("{} = [{}]", key(field), all.join(", ")),
    }
}

type Refused<'e> = (&'e Effect, String);

/// The steps of an action, as lines.
fn steps<'e>(group: &Group<'e>, templates: &Templates<'_>) -> Result<Vec<String>, Refused<'e>> {
    let (mut tell, mut reply) = (None, None);
    for effect in &group.effects {
        let refused = |why: String| (*effect, why);
        let slot = match &effect.what {
            What::Work(text) => {
                return Err(refused(format!(
                    "`{text}` is the app's own work: give it a URL and `call` it"
                )));
            }
            What::Close { .. } => return Err(refused("it closes the socket".into())),
            What::Tell { message, .. } => {
                let whole = group.as_given || templates.layer;
                let message = event(message, whole).map_err(refused)?;
                let line =
                    told(&effect.what, message, Moment::Message, templates).map_err(refused)?;
                tell.replace(line)
            }
            What::Send(value, spelling) => {
                let line = answer(value, *spelling, templates).map_err(refused)?;
                reply.replace(line)
            }
            _ => None,
        };
        if slot.is_some() {
            return Err(refused("it does the same thing twice".into()));
        }
    }
    let lines: Vec<String> = tell.into_iter().chain(reply).collect();
    let first = group.effects.first().or(group.lacking.first());
    match (lines.is_empty(), first) {
        (true, Some(effect)) => Err((effect, "nothing of it was understood".into())),
        _ => Ok(lines),
    }
}

fn answer(value: &Value, spelling: Spelling, templates: &Templates<'_>) -> Result<String, String> {
    match spelling {
        Spelling::Text => Ok(format!("reply_text = {}", quoted(&plain(value)?))),
        _ => Ok(format!(
            "reply = {}",
            templates.toml(value, Moment::Message)?
        )),
    }
}

fn plain(value: &Value) -> Result<String, String> {
    match value {
        Value::Json(Json::String(text)) => Ok(text.clone()),
        Value::Path(raw) if raw == "raw" => Err("it sends back what it got".into()),
        _ => Err("the text that it sends is made up as it runs".into()),
    }
}

/// A message to a group as an event: its type, and its data.
fn event(message: &Value, as_given: bool) -> Result<(String, Value), String> {
    if let Value::Text(_) | Value::Json(Json::String(_)) = message {
        return Err("the message is a text without a type; frames are JSON".into());
    }
    let Value::Dict(entries) = message else {
        return Err(message.unknown().map_or_else(
            || "its message is made up elsewhere".to_owned(),
            |text| format!("only Python can tell what `{text}` is"),
        ));
    };
    let is_type = |key: &Option<String>| key.as_deref() == Some("type");
    let kind = entries.iter().find(|(key, _)| is_type(key));
    let Some((_, Value::Json(Json::String(kind)))) = kind else {
        return Err("the message has no type that is written there".into());
    };
    let data = entries.iter().filter(|(key, _)| as_given || !is_type(key));
    Ok((kind.clone(), Value::Dict(data.cloned().collect())))
}

/// What is told to others when somebody comes or goes.
pub(super) fn told_at(
    effect: &Effect,
    as_given: bool,
    templates: &Templates<'_>,
) -> Result<String, String> {
    let What::Tell { message, .. } = &effect.what else {
        return Err("it tells nobody".into());
    };
    let message = event(message, as_given || templates.layer)?;
    told(&effect.what, message, Moment::Connect, templates)
}

/// The app's consumers hear a `group_send`, and by the channel layer so do we.
fn told(
    what: &What,
    (kind, data): (String, Value),
    moment: Moment,
    templates: &Templates<'_>,
) -> Result<String, String> {
    let What::Tell { group, others, .. } = what else {
        return Err("it tells nobody".into());
    };
    if templates.layer {
        let group = quoted(&templates.text(group, moment)?);
        let message = templates.toml(&data, moment)?;
        return Ok(format!(
            "group_send = {{ group = {group}, message = {message} }}"
        ));
    }
    let topic = quoted(&templates.text(group, moment)?);
    let data = templates.toml(&data, moment)?;
    let except = if *others { ", except = \"self\"" } else { "" };
    let kind = quoted(&kind);
    Ok(format!(
        "publish = {{ type = {kind}, topics = [{topic}]{except}, data = {data} }}"
    ))
}
