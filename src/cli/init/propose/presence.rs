//! What is done when somebody comes or goes: proposed as comments, since a consumer
//! counts its users in a way that only its author can tell.

use super::{
    super::{
        follow::{Effect, What},
        found::Endpoint,
    },
    Draft, Templates,
    actions::told_at,
    quoted,
};

pub(super) fn presence(endpoint: &Endpoint, templates: &Templates<'_>, draft: &mut Draft) {
    let counts = endpoint.connect.iter().any(|one| keeps(one, &[".add("]))
        && endpoint
            .disconnect
            .iter()
            .any(|one| keeps(one, &[".discard(", ".remove("]));
    let moments = if counts {
        let key = quoted(&draft.name);
        draft
            .proposals
            .extend(["[endpoint.presence]".into(), format!("key = {key}")]);
        ["[endpoint.presence.online]", "[endpoint.presence.offline]"]
    } else {
        ["[[endpoint.on_connect]]", "[[endpoint.on_disconnect]]"]
    };
    let each = [&endpoint.connect, &endpoint.disconnect];
    for ((effects, table), when) in each.into_iter().zip(moments).zip(["connect", "the end"]) {
        let mut proposed = false;
        for effect in effects {
            let text = match &effect.what {
                What::Work(text)
                    if counts && keeps(effect, &[".add(", ".discard(", ".remove("]) =>
                {
                    format!("at {when} it does `{text}`: proposed below as presence")
                }
                What::Work(text) => {
                    format!("at {when} it does `{text}`: a step can `call` the app")
                }
                What::Tell { .. } => match told_at(effect, endpoint.as_given, templates) {
                    Ok(step) if !proposed => {
                        proposed = true;
                        draft.proposals.extend([table.to_owned(), step]);
                        format!("at {when} it tells others: proposed below")
                    }
                    Ok(_) => format!("at {when} it tells others, once more: add a step"),
                    Err(why) => format!("at {when} it tells others: {why}"),
                },
                _ => continue,
            };
            draft.note(effect, text);
        }
    }
}

/// It writes down who is there.
fn keeps(effect: &Effect, verbs: &[&str]) -> bool {
    let What::Work(text) = &effect.what else {
        return false;
    };
    verbs.iter().any(|verb| text.contains(verb)) && text.contains("user")
}
