//! Actions: what a client's message causes.

use std::time::Duration;

use serde_json::Value;
use toml::Spanned;

use super::{
    super::raw,
    Check,
    frames::{answer, reply},
    include::Place,
    source::header_name,
};
use crate::{
    frame::{Text, Vocabulary},
    routes::{Action, Call, Exclude, Publish, Step},
};

/// The actions of one endpoint, in order.
pub(super) fn actions(check: &mut Check<'_>, place: &Place<'_>, from: usize) -> Vec<Action> {
    let mut actions: Vec<Action> = Vec::new();
    for raw in &place.part(from).actions {
        let when = when(raw.get_ref());
        let hides = |earlier: &Action| earlier.when.iter().all(|pair| when.contains(pair));
        if actions.iter().any(hides) {
            let help = "the first action that fits is taken: write the narrower one first";
            check.warn(
                raw.span(),
                "an earlier action takes every message that this one is for",
                help,
            );
        }
        if let Some(step) = step(check, place, raw) {
            actions.push(Action { when, step });
        }
    }
    actions
}

fn when(raw: &raw::Action) -> Vec<(Box<str>, Value)> {
    let pairs = raw.when.0.iter();
    let pairs = pairs.map(|(key, value)| (key.get_ref().as_str().into(), value.get_ref().json()));
    pairs.collect()
}

fn step(check: &mut Check<'_>, place: &Place<'_>, action: &Spanned<raw::Action>) -> Option<Step> {
    let raw = action.get_ref();
    let written = [
        raw.call.is_some(),
        raw.publish.is_some(),
        raw.reply.is_some() || raw.reply_text.is_some(),
        raw.ignore.is_some(),
    ];
    let help = "write one of call, publish, reply, reply_text and ignore = true";
    match written.iter().filter(|written| **written).count() {
        0 => check.error(action.span(), "this action does nothing", help),
        1 => {}
        _ => check.error(action.span(), "this action does more than one thing", help),
    }
    if let Some(ignore) = raw.ignore.as_ref().filter(|ignore| !*ignore.get_ref()) {
        check.error(
            ignore.span(),
            "an action cannot be turned off like this",
            "leave the action out",
        );
    }
    let known = place.vocabulary(false, true);
    match (&raw.call, &raw.publish) {
        (Some(raw), _) => call(check, place, &known, raw).map(Step::Call),
        (None, Some(raw)) => publish(check, &known, raw).map(Step::Publish),
        (None, None) if raw.ignore.is_some() => Some(Step::Ignore),
        (None, None) => {
            let both = (raw.reply.as_ref(), raw.reply_text.as_ref());
            reply(check, place, &known, both).map(Step::Reply)
        }
    }
}

fn call(
    check: &mut Check<'_>,
    place: &Place<'_>,
    known: &Vocabulary,
    call: &Spanned<raw::Call>,
) -> Option<Call> {
    let raw = call.get_ref();
    if raw.path.is_none() {
        let help = "add path = \"/api/notifications/{message.id}/read/\"";
        check.error(call.span(), "this call has no path", help);
    }
    let path = raw.path.as_ref().and_then(|path| check.path(path, known));
    let headers = raw.headers.0.iter().filter_map(|(name, value)| {
        let name = header_name(check, name);
        let value = check.text(value, known);
        name.zip(value)
    });
    let headers = headers.collect();
    let body = raw
        .body
        .as_ref()
        .and_then(|body| check.template(body, place.style, known));
    let both = (raw.reply.as_ref(), raw.reply_text.as_ref());
    let reply = reply(check, place, known, both);
    let on_failure = answer(check, place, known, raw.on_failure.as_ref());
    Some(Call {
        method: raw
            .method
            .as_ref()
            .map_or(http::Method::POST, |method| method.0.clone()),
        path: path?,
        headers,
        body,
        timeout: raw.timeout.map_or(Duration::from_secs(10), |wait| wait.0),
        reply,
        on_failure,
    })
}

fn publish(
    check: &mut Check<'_>,
    known: &Vocabulary,
    publish: &Spanned<raw::Publish>,
) -> Option<Publish> {
    let raw = publish.get_ref();
    let kind = raw.r#type.as_ref().map(|kind| kind.get_ref().as_str());
    if kind.is_none_or(str::is_empty) {
        check.error(
            publish.span(),
            "this event has no type",
            "add type = \"typing\"",
        );
    }
    if raw.topics.is_empty() && raw.users.is_empty() {
        let help = "add topics = [\"messages_{chat_id}\"] or users = [\"{message.to}\"]";
        check.error(publish.span(), "this event is for nobody", help);
    }
    let mut texts = |list: &[Spanned<String>]| -> Vec<Text> {
        list.iter()
            .filter_map(|text| check.text(text, known))
            .collect()
    };
    let (topics, users) = (texts(&raw.topics), texts(&raw.users));
    let nothing = || Spanned::new(publish.span(), super::tree::Node::Table(Vec::new()));
    let data = raw.data.clone().unwrap_or_else(nothing);
    Some(Publish {
        kind: kind?.into(),
        topics,
        users,
        except: match raw.except {
            Some(raw::Except::Socket) => Exclude::Socket,
            Some(raw::Except::User) => Exclude::User,
            None => Exclude::Nobody,
        },
        ephemeral: raw.ephemeral,
        // What sources append is compact, whatever the endpoint's spelling.
        data: check.template(&data, crate::frame::JsonStyle::Compact, known)?,
    })
}
