//! The door of an endpoint: who may connect, from where, and how the others are
//! turned away.

use std::time::Duration;

use toml::Spanned;

use super::{
    super::{
        raw,
        value::{Count, Short},
        words,
    },
    Check, flags,
    include::Place,
};
use crate::{
    frame::{Text, Vocabulary},
    routes::{Confirm, Expiry, Limits, Origins, Permit, Refusals, Refuse, Resume},
};

/// Whether anybody can be known, where somebody must be.
pub(super) fn known_users(check: &mut Check<'_>, file: &raw::File, raw: &Spanned<raw::Endpoint>) {
    if file.auth.jwt.is_some() || file.auth.app.is_some() {
        return;
    }
    let (span, raw) = (raw.span(), raw.get_ref());
    if raw.anonymous != Some(true) {
        let name = raw.name.as_ref().map_or("", |name| name.get_ref());
        let message = format!("nobody can connect to `{name}`: nothing says who is who");
        check.error(
            span,
            message,
            "add [auth.jwt] or [auth.app], or anonymous = true for everybody",
        );
    }
    if let Some(rollout) = &raw.rollout {
        let chosen = match rollout.get_ref() {
            Short::Full(full) => {
                full.percent.is_some() || !full.always.is_empty() || !full.never.is_empty()
            }
            Short::Word(_) | Short::Switch(_) => false,
        };
        if chosen {
            flags::strangers(check, rollout);
        }
    }
}

/// Who of the identified may connect.
pub(super) fn permit(check: &mut Check<'_>, place: &Place<'_>, raw: &raw::Endpoint) -> Permit {
    let known = unasked(place);
    let Some(permit) = &raw.permit else {
        return Permit::Anyone;
    };
    if raw.anonymous == Some(true) {
        let help = "leave out permit, or anonymous = true";
        check.error(
            permit.span(),
            "an endpoint for everybody cannot ask who may connect",
            help,
        );
    }
    let raw = permit.get_ref();
    let way = match (&raw.own, &raw.claim, &raw.ask_app) {
        (Some(own), None, None) if raw.value.is_none() => own_param(check, place, own),
        (None, Some(claim), None) => claim_lists(check, place, (claim, raw.value.as_ref())),
        (None, None, Some(path)) if raw.value.is_none() => {
            let path = check.path(path, &known);
            let cache = raw.cache.map_or(Duration::from_secs(30), |time| time.0);
            path.map(|path| Permit::Ask { path, cache })
        }
        _ => {
            let help = "write one of { own = \"user_id\" }, { claim = \"chats\", value = \"{chat_id}\" } \
                        and { ask_app = \"/api/chats/{chat_id}/\" }";
            check.error(permit.span(), "this permit has not exactly one rule", help);
            None
        }
    };
    if raw.cache.is_some() && raw.ask_app.is_none() {
        check.error(
            permit.span(),
            "only answers of the app are kept",
            "leave out cache",
        );
    }
    way.unwrap_or(Permit::Anyone)
}

/// What is known before the look-ups are asked: a permit comes first.
fn unasked(place: &Place<'_>) -> Vocabulary {
    let mut known = place.vocabulary(false, false);
    known.lookups.clear();
    known
}

fn own_param(check: &mut Check<'_>, place: &Place<'_>, own: &Spanned<String>) -> Option<Permit> {
    let name = own.get_ref().trim_matches(['{', '}']);
    let param = place.params.iter().find(|param| &***param == name);
    if param.is_none() {
        let help = match words::nearest(name, place.params.iter().map(|param| &**param)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "name a parameter of the path, as in /ws/users/{user_id}".into(),
        };
        check.error(
            own.span(),
            format!("the path has no parameter `{name}`"),
            help,
        );
    }
    param.cloned().map(Permit::Own)
}

fn claim_lists(
    check: &mut Check<'_>,
    place: &Place<'_>,
    (claim, value): (&Spanned<String>, Option<&Spanned<String>>),
) -> Option<Permit> {
    let Some(value) = value else {
        let help = "add value = \"{chat_id}\"";
        check.error(
            claim.span(),
            "this permit does not say what the claim must be or list",
            help,
        );
        return None;
    };
    let value: Text = check.text(value, &unasked(place))?;
    let claim = claim.get_ref().as_str().into();
    Some(Permit::Claim { claim, value })
}

/// How somebody is turned away, by reason.
pub(super) fn refusals(check: &mut Check<'_>, raw: &raw::Refuse) -> Refusals {
    Refusals {
        no_token: refuse(check, raw.no_token.as_ref()),
        bad_token: refuse(check, raw.bad_token.as_ref()),
        not_permitted: refuse(check, raw.not_permitted.as_ref()),
    }
}

fn refuse(check: &mut Check<'_>, refusal: Option<&Spanned<raw::Refusal>>) -> Refuse {
    let usual = Refuse::Http(http::StatusCode::FORBIDDEN);
    let Some(refusal) = refusal else {
        return usual;
    };
    let raw = refusal.get_ref();
    let reason = raw.reason.as_ref();
    match (raw.http, raw.close) {
        (Some(status), None) => {
            if let Some(reason) = reason {
                let help = "leave it out, or write close = 4001 instead of http";
                check.error(reason.span(), "only a close has a reason", help);
            }
            Refuse::Http(status.0)
        }
        (None, Some(code)) => Refuse::Close {
            code: code.0,
            reason: reason
                .map_or("", |reason| reason.get_ref().0.as_str())
                .into(),
        },
        _ => {
            let help = "write { http = 403 }, or { close = 4001, reason = \"...\" }";
            check.error(
                refusal.span(),
                "a refusal is either by HTTP or by a close",
                help,
            );
            usual
        }
    }
}

/// From where browsers may connect.
pub(super) fn origins(check: &mut Check<'_>, raw: &raw::Endpoint) -> Origins {
    let Some(origins) = &raw.origins else {
        return Origins::Auto;
    };
    match origins.get_ref() {
        Short::Word(word) if word == "any" => Origins::Any,
        Short::Word(word) if word == "auto" => Origins::Auto,
        Short::Full(list) => {
            for origin in list {
                origin_form(check, origin);
            }
            Origins::Only(
                list.iter()
                    .map(|one| one.get_ref().to_ascii_lowercase().into())
                    .collect(),
            )
        }
        Short::Word(_) | Short::Switch(_) => {
            let help = "write \"any\", \"auto\" or a list: [\"https://app.example\"]";
            check.error(origins.span(), "these are no origins", help);
            Origins::Auto
        }
    }
}

/// An origin is scheme, host and port, and nothing else (RFC 6454, 6.2).
fn origin_form(check: &mut Check<'_>, origin: &Spanned<String>) {
    let host = origin.get_ref().split_once("://").map(|(_, host)| host);
    let fits = host
        .is_some_and(|host| host.parse::<http::uri::Authority>().is_ok() && !host.contains('@'));
    if !fits {
        let message = format!("`{}` is not an origin", origin.get_ref());
        let help = "write scheme, host and port as browsers do, without a slash at the end: https://app.example";
        check.error(origin.span(), message, help);
    }
}

/// What happens to an open session when its credential runs out.
pub(super) fn expiry(check: &mut Check<'_>, raw: &raw::Endpoint) -> Expiry {
    let close = |raw: Option<&raw::Expiry>| Expiry::Close {
        code: raw.and_then(|raw| raw.close).map_or(4001, |code| code.0),
        grace: raw
            .and_then(|raw| raw.grace)
            .map_or(Duration::ZERO, |time| time.0),
    };
    let Some(expiry) = &raw.expiry else {
        return close(None);
    };
    match expiry.get_ref() {
        Short::Full(full) => close(Some(full)),
        Short::Word(word) if word == "keep" => Expiry::Keep,
        Short::Word(_) | Short::Switch(_) => {
            let help = "write \"keep\" or { close = 4001, grace = \"0s\" }";
            check.error(
                expiry.span(),
                "this does not say what happens when a token expires",
                help,
            );
            Expiry::Keep
        }
    }
}

/// How clients that cannot say where they were go on.
pub(super) fn resume(check: &mut Check<'_>, raw: &raw::Endpoint) -> Resume {
    let Some(resume) = &raw.resume else {
        return Resume::default();
    };
    match resume.get_ref() {
        Short::Switch(true) => Resume::default(),
        Short::Switch(false) => Resume::off(),
        Short::Full(full) => Resume {
            window: full.window.map_or(Resume::WINDOW, |time| time.0),
            confirm: match full.confirm {
                Some(raw::Confirm::Eager) => Confirm::Eager,
                Some(raw::Confirm::Heartbeat) | None => Confirm::Heartbeat,
            },
        },
        Short::Word(_) => {
            let help = "write { window = \"60s\", confirm = \"heartbeat\" }, or false";
            check.error(resume.span(), "this does not say how clients go on", help);
            Resume::off()
        }
    }
}

/// Subprotocols are tokens (RFC 6455, 4.1).
pub(super) fn subprotocols(check: &mut Check<'_>, raw: &raw::Endpoint) -> Vec<Box<str>> {
    let token = |c: char| c.is_ascii_graphic() && !"()<>@,;:\\\"/[]?={}".contains(c);
    for name in &raw.subprotocols {
        if name.get_ref().is_empty() || !name.get_ref().chars().all(token) {
            let message = format!("`{}` is not a subprotocol", name.get_ref());
            check.error(
                name.span(),
                message,
                "write a name without spaces and commas: graphql-ws",
            );
        }
    }
    raw.subprotocols
        .iter()
        .map(|name| name.get_ref().as_str().into())
        .collect()
}

/// What one client may cost.
pub(super) fn limits(raw: &raw::Limits) -> Limits {
    Limits {
        max_sessions: raw.max_sessions.map_or(20_000, Count::get),
        max_sessions_per_user: raw.max_sessions_per_user.map_or(100, Count::get),
        max_message: raw.max_message.map_or(64 << 10, |size| size.0),
        max_rate: raw.max_rate.map_or(50, |count| count.0),
        outbox_frames: raw.outbox_frames.map_or(256, Count::get),
        outbox_bytes: raw.outbox_bytes.map_or(256 << 10, |size| size.0),
        max_topics: raw.max_topics.map_or(1000, Count::get),
        write_timeout: raw
            .write_timeout
            .map_or(Duration::from_secs(30), |wait| wait.0),
    }
}
