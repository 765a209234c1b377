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
        as_given: endpoint.as_given,
    };
    for condition in conditions(endpoint, effect) {
        match condition {
            Condition::OneOf(path, values, true) => match field(path) {
                Some(field) if !values.contains(&Json::Null) => {
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
            Condition::Type(_, _, false) => {}
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
    let name = match group.when.as_slice() {
        [] => "every message".to_owned(),
        when => {
            let when = when.iter().map(|(path, values)| {
                let values: Vec<_> = values.iter().map(ToString::to_string).collect();
                format!("{path} = {}", values.join(" or "))
            });
            when.collect::<Vec<_>>().join(", ")
        }
    };
    draft.actions.push(name.clone());
    let done = match (group.unclear.first(), group.effects.first()) {
        (Some(why), Some(effect)) => Err((*effect, format!("only if {why}"))),
        _ => steps(group, templates),
    };
    for (field, kind) in &group.require {
        if let Some(effect) = group.effects.first() {
            draft.note(
                effect,
                format!("for {name}: that `{field}` is of type {kind} is not checked"),
            );
        }
    }
    let steps = match done {
        Ok(steps) => {
            let told = group
                .effects
                .iter()
                .find(|one| matches!(one.what, What::Tell { .. }));
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
            let mut todo = vec![format!("# TODO {}: {why}", effect.place)];
            if matches!(effect.what, What::Work(_)) {
                let call = "# call = { method = \"POST\", path = \"/api/...\" }";
                todo.push(format!("{call}  # in the place of ignore"));
            }
            todo.push("ignore = true".into());
            todo
        }
    };
    for when in alternatives(&group.when) {
        draft.tables.push("[[endpoint.actions]]".into());
        if !when.is_empty() {
            draft.tables.push(format!("when = {{ {when} }}"));
        }
        draft.tables.extend(steps.iter().cloned());
    }
}

/// One `when` for each value of the first field; of the others the first value.
fn alternatives(when: &[(String, Vec<Json>)]) -> Vec<String> {
    let pair = |field: &str, value: &Json| match value {
        Json::String(text) => format!("{} = {}", key(field), quoted(text)),
        other => format!("{} = {other}", key(field)),
    };
    let Some(((field, values), rest)) = when.split_first() else {
        return vec![String::new()];
    };
    let rest: Vec<_> = rest
        .iter()
        .filter_map(|(field, values)| Some(pair(field, values.first()?)))
        .collect();
    let all = values.iter().map(|value| {
        let mut pairs = vec![pair(field, value)];
        pairs.extend(rest.iter().cloned());
        pairs.join(", ")
    });
    all.collect()
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
                let message = event(message, group.as_given).map_err(refused)?;
                let line = publish(&effect.what, message, templates).map_err(refused)?;
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
    match (lines.is_empty(), group.effects.first()) {
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

fn publish(
    what: &What,
    (kind, data): (String, Value),
    templates: &Templates<'_>,
) -> Result<String, String> {
    let What::Tell { group, others, .. } = what else {
        return Err("it tells nobody".into());
    };
    let topic = quoted(&templates.text(group, Moment::Message)?);
    let data = templates.toml(&data, Moment::Message)?;
    let except = if *others { ", except = \"self\"" } else { "" };
    let kind = quoted(&kind);
    Ok(format!(
        "publish = {{ type = {kind}, topics = [{topic}]{except}, data = {data} }}"
    ))
}
