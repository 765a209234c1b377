//! A table of steps, as it stands at every moment: in one fixed order, each at most
//! once.

use std::{ops::Range, time::Duration};

use http::StatusCode;
use toml::Spanned;

use super::{
    super::{
        raw,
        tree::{Node, Tree},
        value::Pairs,
    },
    Check,
    frames::{answer, reply},
    include::Place,
    source::header_name,
    subscribe,
};
use crate::{
    frame::{JsonStyle, Text, Vocabulary},
    routes::{Call, Exclude, GroupSend, Publish, Reply, SetKey, Step},
};

/// Where a table of steps stands.
pub(super) struct Moment<'a> {
    /// The endpoint.
    pub(super) place: &'a Place<'a>,
    /// What its templates may speak of; `{answer}` after a call comes by itself.
    pub(super) known: Vocabulary,
    /// Why its client cannot be sent anything, and the way out.
    pub(super) mute: Option<(&'static str, &'static str)>,
}

/// Translates a table of steps.
pub(super) fn steps(
    check: &mut Check<'_>,
    moment: &Moment<'_>,
    (raw, span): (&raw::Steps, Range<usize>),
) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut known = moment.known.clone();
    mute(check, moment, (raw, &span));
    if let Some(raw) = &raw.call {
        known.answer = true;
        steps.extend(call(check, moment, &known, raw).map(|call| Step::Call(Box::new(call))));
    }
    if let Some(raw) = &raw.set_key {
        let set = set_key(check, &known, raw);
        steps.extend(set.map(|set| Step::SetKey(Box::new(set))));
    }
    if let Some(raw) = &raw.delete_key {
        in_redis(check, raw.span());
        let key = needed(check, (raw.get_ref().key.as_ref(), raw.span()), KEY, &known);
        steps.extend(key.map(Step::DeleteKey));
    }
    if let Some(raw) = &raw.group_send {
        let send = group_send(check, &known, raw);
        steps.extend(send.map(|send| Step::GroupSend(Box::new(send))));
    }
    if let Some(raw) = &raw.publish {
        let publish = publish(check, &known, raw);
        steps.extend(publish.map(|publish| Step::Publish(Box::new(publish))));
    }
    let subscribe = raw.subscribe.as_ref();
    let subscribe = subscribe.and_then(|raw| subscribe::subscribe(check, moment, &known, raw));
    steps.extend(subscribe.map(|subscribe| Step::Subscribe(Box::new(subscribe))));
    let unsubscribe = raw.unsubscribe.as_ref();
    let unsubscribe =
        unsubscribe.and_then(|raw| subscribe::unsubscribe(check, moment, &known, raw));
    steps.extend(unsubscribe.map(Step::Unsubscribe));
    let both = (raw.reply.as_ref(), raw.reply_text.as_ref());
    steps.extend(reply(check, moment.place, &known, both).map(Step::Reply));
    steps
}

/// Whether nothing at all is written.
pub(super) fn is_empty(raw: &raw::Steps) -> bool {
    raw.call.is_none()
        && raw.set_key.is_none()
        && raw.delete_key.is_none()
        && raw.group_send.is_none()
        && raw.publish.is_none()
        && raw.subscribe.is_none()
        && raw.unsubscribe.is_none()
        && raw.reply.is_none()
        && raw.reply_text.is_none()
}

/// What the client is sent where it cannot be sent anything, or sent twice.
fn mute(check: &mut Check<'_>, moment: &Moment<'_>, (raw, span): (&raw::Steps, &Range<usize>)) {
    let call = raw.call.as_ref().map(|call| (call.get_ref(), call.span()));
    let replies = raw.reply.is_some() || raw.reply_text.is_some();
    let calls_reply = |call: &raw::Call| call.reply.is_some() || call.reply_text.is_some();
    if let Some((message, help)) = moment.mute {
        if replies {
            check.error(span.clone(), message, help);
        }
        let answers = |call: &raw::Call| {
            calls_reply(call) || call.on_failure.is_some() || !call.on_status.0.is_empty()
        };
        if let Some((_, span)) = call.filter(|(call, _)| answers(call)) {
            check.error(span, message, help);
        }
    } else if replies && let Some((_, span)) = call.filter(|(call, _)| calls_reply(call)) {
        let help = "keep the reply beside the call: it may speak of {answer}";
        check.error(span, "this replies twice", help);
    }
}

fn call(
    check: &mut Check<'_>,
    moment: &Moment<'_>,
    known: &Vocabulary,
    call: &Spanned<raw::Call>,
) -> Option<Call> {
    let (raw, place, before) = (call.get_ref(), moment.place, &moment.known);
    if raw.path.is_none() {
        let help = "add path = \"/api/notifications/{message.id}/read/\"";
        check.error(call.span(), "this call has no path", help);
    }
    let path = raw.path.as_ref().and_then(|path| check.path(path, before));
    let headers = raw.headers.0.iter().filter_map(|(name, value)| {
        let name = header_name(check, name);
        let value = check.text(value, before);
        name.zip(value)
    });
    let headers = headers.collect();
    let body = raw.body.as_ref();
    let body = body.and_then(|body| check.template(body, place.style, before));
    let both = (raw.reply.as_ref(), raw.reply_text.as_ref());
    let reply = reply(check, place, known, both);
    let on_status = on_status(check, place, known, &raw.on_status);
    let on_failure = answer(check, place, known, raw.on_failure.as_ref());
    let method = raw.method.as_ref();
    Some(Call {
        method: method.map_or(http::Method::POST, |method| method.0.clone()),
        path: path?,
        headers,
        body,
        timeout: raw.timeout.map_or(Duration::from_secs(10), |wait| wait.0),
        reply,
        on_status,
        on_failure,
    })
}

fn on_status(
    check: &mut Check<'_>,
    place: &Place<'_>,
    known: &Vocabulary,
    raw: &Pairs<Spanned<raw::Answer>>,
) -> Vec<(StatusCode, Reply)> {
    let mut replies = Vec::new();
    for (key, raw) in &raw.0 {
        let status = key.get_ref().parse::<StatusCode>().ok();
        let known_status = status.filter(|status| (300..600).contains(&status.as_u16()));
        if known_status.is_none() {
            let message = format!("`{}` is not a status of a refusal", key.get_ref());
            let help = "write one from 300 to 599: 404 = { reply = {...} }; a 2xx has reply";
            check.error(key.span(), message, help);
        }
        replies.extend(known_status.zip(answer(check, place, known, Some(raw))));
    }
    replies
}

/// What is said where a text is missing, and the way out.
type Lack = (&'static str, &'static str);

const KEY: Lack = ("this has no key", "add key = \"presence:{user.id}\"");
const VALUE: Lack = ("this key has no value", "add value = \"1\"");
const GROUP: Lack = ("this has no group", "add group = \"chat_{chat_id}\"");

fn needed(
    check: &mut Check<'_>,
    (text, span): (Option<&Spanned<String>>, Range<usize>),
    (lack, help): Lack,
    known: &Vocabulary,
) -> Option<Text> {
    if text.is_none_or(|text| text.get_ref().is_empty()) {
        check.error(span, lack, help);
        return None;
    }
    check.text(text?, known)
}

fn in_redis(check: &mut Check<'_>, span: Range<usize>) {
    if !check.has.redis {
        let help = "add [redis] with url = \"redis://127.0.0.1:6379/0\", or [source.channel_layer]";
        check.error(span, "there is no Redis for this key", help);
    }
}

fn set_key(
    check: &mut Check<'_>,
    known: &Vocabulary,
    set: &Spanned<raw::SetKey>,
) -> Option<SetKey> {
    let (raw, span) = (set.get_ref(), set.span());
    in_redis(check, span.clone());
    let key = needed(check, (raw.key.as_ref(), span.clone()), KEY, known);
    let value = needed(check, (raw.value.as_ref(), span), VALUE, known);
    Some(SetKey {
        key: key?,
        value: value?,
        ttl: raw.ttl.map(|time| time.0),
    })
}

fn group_send(
    check: &mut Check<'_>,
    known: &Vocabulary,
    send: &Spanned<raw::GroupSend>,
) -> Option<GroupSend> {
    let (raw, span) = (send.get_ref(), send.span());
    if !check.has.layer {
        let help = "add [source.channel_layer] with the app's CHANNEL_LAYERS";
        check.error(span.clone(), "there is no channel layer to send to", help);
    }
    let group = needed(check, (raw.group.as_ref(), span.clone()), GROUP, known);
    let typed = |tree: &Tree| match tree.get_ref() {
        Node::Table(pairs) => pairs.iter().any(|(key, _)| key == "type" || key == "..."),
        Node::Leaf(_) | Node::List(_) => false,
    };
    if !raw.message.as_ref().is_some_and(typed) {
        let help = "add message = { type = \"chat.message\", text = \"{message.text}\" }";
        check.error(span, "no consumer takes a message without a type", help);
    }
    let message = raw.message.as_ref();
    let message = message.and_then(|tree| check.template(tree, JsonStyle::Compact, known));
    Some(GroupSend {
        group: group?,
        message: message?,
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
    let nothing = || Spanned::new(publish.span(), Node::Table(Vec::new()));
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
        data: check.template(&data, JsonStyle::Compact, known)?,
    })
}
