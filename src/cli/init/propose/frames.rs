//! What an endpoint sends for which event.

use super::{
    super::{
        follow::{Condition, Effect, Spelling, Value, What},
        found::{Endpoint, Handler, Note},
    },
    Draft, Moment, Templates, holds, quoted, shown,
    template::key,
};

/// A longer frame has a table of its own.
const WIDEST: usize = 90;

pub(super) fn frames(endpoint: &Endpoint, templates: &Templates<'_>, draft: &mut Draft) {
    let (mut short, mut long, mut except) = (Vec::new(), Vec::new(), Vec::new());
    if endpoint.as_given {
        short.push("\"*\" = \"{data}\"".to_owned());
        draft.frames.push("*".into());
    }
    for handler in &endpoint.handlers {
        if draft.frames.contains(&handler.kind) {
            continue;
        }
        let (frame, leaves_out) = match frame(handler, templates) {
            Ok(Some(found)) => found,
            Ok(None) => continue,
            Err((effect, why)) => {
                let text = format!("what it sends for `{}`: {why}", handler.kind);
                let place = effect.map_or(&handler.place, |effect| &effect.place);
                draft.notes.push(Note::new(place, text));
                continue;
            }
        };
        draft.frames.push(handler.kind.clone());
        let inline = format!("{} = {}", key(&handler.kind), frame.inline);
        match frame.entries {
            Some(entries) if inline.len() > WIDEST => long.push((key(&handler.kind), entries)),
            _ => short.push(inline),
        }
        except.extend(leaves_out.map(|whom| format!("{} = {whom}", key(&handler.kind))));
        beside(handler, draft);
    }
    if !short.is_empty() {
        draft.tables.push("[endpoint.frames]".into());
        draft.tables.extend(short);
    }
    for (kind, entries) in long {
        draft.tables.push(format!("[endpoint.frames.{kind}]"));
        draft.tables.extend(
            entries
                .iter()
                .map(|(key, value)| format!("{key} = {value}")),
        );
    }
    if !except.is_empty() {
        draft.tables.push("[endpoint.except]".into());
        draft.tables.extend(except);
    }
}

struct Frame {
    inline: String,
    entries: Option<Vec<(String, String)>>,
}

type Refused<'h> = (Option<&'h Effect>, String);

/// The one frame of a handler, and whom it leaves out.
fn frame<'h>(
    handler: &'h Handler,
    templates: &Templates<'_>,
) -> Result<Option<(Frame, Option<String>)>, Refused<'h>> {
    let sends = handler
        .effects
        .iter()
        .filter(|effect| matches!(effect.what, What::Send(..)));
    let sends: Vec<_> = sends.collect();
    let (Some(effect), one) = (sends.first(), sends.len() == 1) else {
        return match handler.effects.first() {
            None => Ok(None),
            Some(effect) => Err((Some(effect), "it sends nothing that was understood".into())),
        };
    };
    let refused = |why: String| (Some(*effect), why);
    if !one {
        return Err(refused(
            "it sends one of several frames, or more than one".into(),
        ));
    }
    let whom = left_out(&effect.when, templates).map_err(refused)?;
    let What::Send(value, spelling) = &effect.what else {
        return Ok(None);
    };
    if *spelling == Spelling::Text {
        return Err(refused("it sends a text that is no JSON of its own".into()));
    }
    let inline = templates.toml(value, Moment::Event).map_err(refused)?;
    let entries = match value {
        Value::Dict(entries) => Some(templates.entries(entries, Moment::Event).map_err(refused)?),
        _ => None,
    };
    Ok(Some((Frame { inline, entries }, whom)))
}

/// Whom a frame is not for, by the conditions that stand before it.
fn left_out(when: &[Condition], templates: &Templates<'_>) -> Result<Option<String>, String> {
    let mut whom = None;
    for condition in when.iter().filter(|condition| !holds(condition)) {
        let found = match condition {
            Condition::OwnSocket(path, false) => {
                let path = templates.reference(path, Moment::Event)?;
                format!("{{ session = {} }}", quoted(&format!("{{{path}}}")))
            }
            Condition::OwnUser(path, false) => quoted(&format!(
                "{{{}}}",
                templates.reference(path, Moment::Event)?
            )),
            other => return Err(format!("only if {}", shown(other))),
        };
        if whom.replace(found).is_some() {
            return Err("it leaves out more than one".into());
        }
    }
    Ok(whom)
}

/// What a handler does besides sending.
fn beside(handler: &Handler, draft: &mut Draft) {
    for effect in &handler.effects {
        let what = match &effect.what {
            What::Work(text) => format!("does `{text}`"),
            What::Join(_) | What::Leave => "changes the groups".into(),
            What::Close { .. } => "closes the socket".into(),
            What::Tell { .. } => "tells others".into(),
            _ => continue,
        };
        let text = format!("for `{}` it also {what}: left out", handler.kind);
        draft.notes.push(Note::new(&effect.place, text));
    }
}
