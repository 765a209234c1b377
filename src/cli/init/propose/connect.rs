//! The door of an endpoint: its path, who may come in, how others are turned away,
//! which groups it joins, and what is sent first.

use super::{
    super::{
        follow::{Condition, Effect, Part, Spelling, Value, What},
        found::{Endpoint, Note},
    },
    Draft, Moment, Templates, holds, quoted, shown,
};

pub(super) fn connect(endpoint: &Endpoint, templates: &Templates<'_>, draft: &mut Draft) {
    topics(endpoint, templates, draft);
    refusals(endpoint, draft);
    welcome(endpoint, templates, draft);
}

/// What is left of an effect's conditions after the refusals before it.
pub(super) fn conditions<'e>(endpoint: &Endpoint, effect: &'e Effect) -> Vec<&'e Condition> {
    let closes = endpoint
        .connect
        .iter()
        .filter(|other| matches!(other.what, What::Close { .. }));
    let excused: Vec<_> = closes.flat_map(|close| opposites(&close.when)).collect();
    let left = effect.when.iter().filter(|condition| !holds(condition));
    left.filter(|condition| !excused.contains(condition))
        .collect()
}

fn opposites(when: &[Condition]) -> Vec<Condition> {
    let tails = (0..when.len()).map(|from| when.iter().skip(from).cloned().collect());
    tails.flat_map(Condition::negate).collect()
}

fn topics(endpoint: &Endpoint, templates: &Templates<'_>, draft: &mut Draft) {
    let mut topics: Vec<String> = Vec::new();
    for effect in &endpoint.connect {
        let What::Join(group) = &effect.what else {
            continue;
        };
        let left = conditions(endpoint, effect);
        if let Some(condition) = left.first() {
            let text = format!("joins a group only if {}: left out", shown(condition));
            draft.note(effect, text);
            continue;
        }
        match templates.text(group, Moment::Connect) {
            Ok(topic) if !topic.is_empty() => {
                if !topics.contains(&topic) {
                    topics.push(topic);
                }
            }
            Ok(_) => draft.note(effect, "joins a group without a name"),
            Err(why) => {
                let text = format!("which group it joins: {why}; topics_from can ask the app");
                draft.note(effect, text);
                if let Some(topic) = each(group, templates) {
                    draft.keys.push(format!(
                        "#topics_from = {{ ask_app = \"/TODO/\", each = \"/*/id\", topic = {} }}",
                        quoted(&topic)
                    ));
                }
            }
        }
    }
    for effect in &endpoint.receive {
        if matches!(effect.what, What::Join(_) | What::Leave) {
            let text =
                "a message of the client changes its groups: subscribe and unsubscribe can do it";
            draft.note(effect, text);
        }
    }
    if topics.is_empty() && endpoint.as_given {
        topics.push(guessed(endpoint));
        let text = format!(
            "which channel it joins was not seen: the topic `{}` is a guess",
            guessed(endpoint)
        );
        draft.notes.push(Note::new(&endpoint.place, text));
    }
    if topics.is_empty() {
        let text = "no group that it joins was understood: add topics";
        draft.notes.push(Note::new(&endpoint.place, text));
    } else {
        let written: Vec<_> = topics.iter().map(|topic| quoted(topic)).collect();
        draft
            .keys
            .push(format!("topics = [{}]", written.join(", ")));
    }
    draft.topics = topics;
}

/// A topic with one part that only the app knows, for each of its values.
fn each(group: &Value, templates: &Templates<'_>) -> Option<String> {
    let Value::Text(parts) = group else {
        return None;
    };
    let mut unknown = 0;
    let mut topic = String::new();
    for part in parts {
        if let Part::Unknown(_) = part {
            unknown += 1;
            topic.push_str("{value}");
        } else {
            let part = Value::Text(vec![part.clone()]);
            topic.push_str(&templates.text(&part, Moment::Connect).ok()?);
        }
    }
    (unknown == 1).then_some(topic)
}

/// A topic by the endpoint's path.
fn guessed(endpoint: &Endpoint) -> String {
    let params = endpoint.path.params.iter();
    let params: String = params.map(|(_, own)| format!("_{{{own}}}")).collect();
    format!("{}{params}", endpoint.path.name())
}

/// `refuse`, `permit` and `anonymous`.
fn refusals(endpoint: &Endpoint, draft: &mut Draft) {
    let mut known = endpoint.known_users;
    let (mut strangers, mut others) = (None, None);
    for (place, effect) in endpoint.connect.iter().enumerate() {
        known |= effect
            .when
            .iter()
            .any(|one| matches!(one, Condition::Stranger(_)));
        let What::Close { code, reason } = &effect.what else {
            continue;
        };
        let before = endpoint.connect.iter().take(place);
        let accepted = before.clone().any(|other| {
            other.what == What::Accept && other.when.iter().all(|one| effect.when.contains(one))
        });
        let refusal = refusal(accepted, *code, reason);
        let left: Vec<_> = effect.when.iter().filter(|one| !holds(one)).collect();
        if effect.when.contains(&Condition::Stranger(true)) {
            strangers.get_or_insert(refusal);
        } else {
            others.get_or_insert(refusal);
            let why = left
                .first()
                .map_or_else(|| "always".into(), |one| shown(one));
            let text = format!(
                "turns a client away (`{why}`): put a URL that says 2xx to who may come in into `permit`"
            );
            draft.note(effect, text);
        }
    }
    known |= draft.topics.iter().any(|topic| topic.contains("{user.id}"));
    if !known && others.is_none() {
        draft.keys.push("anonymous = true".into());
        let text = "nothing was seen that turns strangers away: everybody may connect";
        draft.notes.push(Note::new(&endpoint.place, text));
    }
    if others.is_some() {
        // Nobody gets in by mistake: the app does not know this path.
        let params = endpoint.path.params.iter();
        let params: String = params.map(|(_, own)| format!("{{{own}}}/")).collect();
        let url = quoted(&format!("/TODO/{params}"));
        draft
            .keys
            .push(format!("permit = {{ ask_app = {url} }}  # TODO"));
    }
    let strangers = strangers.filter(|_| known);
    let no_token = match endpoint.token_required {
        true => Some("{ http = 403 }".to_owned()),
        false => strangers.clone(),
    };
    refuse(
        [
            ("no_token", no_token),
            ("bad_token", strangers),
            ("not_permitted", others),
        ],
        draft,
    );
}

fn refuse(each: [(&str, Option<String>); 3], draft: &mut Draft) {
    let each = each.into_iter();
    let each: Vec<_> = each
        .filter_map(|(name, form)| Some(format!("{name} = {}", form?)))
        .collect();
    if !each.is_empty() {
        draft
            .keys
            .push(format!("refuse = {{ {} }}", each.join(", ")));
    }
}

/// Before the upgrade it is a 403 in all servers; after it the code is seen.
fn refusal(accepted: bool, code: Option<u16>, reason: &str) -> String {
    match code {
        Some(code @ (1000..=1003 | 1007..=1014 | 3000..=4999)) if accepted => match reason.len() {
            1..=123 => format!("{{ close = {code}, reason = {} }}", quoted(reason)),
            _ => format!("{{ close = {code} }}"),
        },
        _ if accepted => "{ close = 1000 }".into(),
        _ => "{ http = 403 }".into(),
    }
}

fn welcome(endpoint: &Endpoint, templates: &Templates<'_>, draft: &mut Draft) {
    let mut sent = false;
    for effect in &endpoint.connect {
        let What::Send(value, spelling) = &effect.what else {
            continue;
        };
        if effect.when.contains(&Condition::Stranger(true)) {
            draft.note(effect, "sends something to who is turned away: left out");
            continue;
        }
        let left = conditions(endpoint, effect);
        let written = match (left.first(), sent) {
            (Some(condition), _) => Err(format!("only if {}", shown(condition))),
            (None, true) => Err("a welcome is one frame".into()),
            (None, false) => match spelling {
                Spelling::Text => templates.text(value, Moment::Connect).map(|text| {
                    draft.keys.push(format!("welcome_text = {}", quoted(&text)));
                }),
                _ => templates.toml(value, Moment::Connect).map(|toml| {
                    draft.keys.push(format!("welcome = {toml}"));
                }),
            },
        };
        match written {
            Ok(()) => sent = true,
            Err(why) => draft.note(effect, format!("what it sends at connect: {why}")),
        }
    }
}
