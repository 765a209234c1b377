//! `subscribe` and `unsubscribe`: clients choose what they hear, of what they may.

use std::{ops::Range, time::Duration};

use toml::Spanned;

use super::{
    super::{raw, value::Short},
    Check,
    frames::answer,
    steps::Moment,
};
use crate::{
    frame::{Reference, Text, Vocabulary},
    routes::{Permit, Subscribe, Topics},
};

/// Topics as they are written: each with its place.
type Written = Vec<(Text, Range<usize>)>;

/// Who may hear what, and what else is said.
pub(super) fn subscribe(
    check: &mut Check<'_>,
    moment: &Moment<'_>,
    known: &Vocabulary,
    raw: &Spanned<raw::Subscribe>,
) -> Option<Subscribe> {
    let (raw, span) = (raw.get_ref(), raw.span());
    let (each, known_each, texts) =
        topics(check, moment, known, (&raw.topics, raw.each.as_ref(), span))?;
    let permit = match &raw.permit {
        None => Some(None),
        Some(raw) => permit(check, &known_each, raw).map(Some),
    };
    if let Some(permit) = &permit {
        for (text, span) in &texts {
            asked(check, permit.as_ref(), each.as_ref(), (text, span.clone()));
        }
    }
    let on_failure = answer(check, moment.place, known, raw.on_failure.as_ref());
    Some(Subscribe {
        topics: together(each, texts),
        permit: permit.flatten().unwrap_or(Permit::Anyone),
        on_failure,
    })
}

/// Everybody may hear less.
pub(super) fn unsubscribe(
    check: &mut Check<'_>,
    moment: &Moment<'_>,
    known: &Vocabulary,
    raw: &Spanned<raw::Unsubscribe>,
) -> Option<Topics> {
    let (raw, span) = (raw.get_ref(), raw.span());
    let named = (&*raw.topics, raw.each.as_ref(), span);
    let (each, _, texts) = topics(check, moment, known, named)?;
    Some(together(each, texts))
}

fn together(each: Option<Reference>, texts: Written) -> Topics {
    let texts = texts.into_iter().map(|(text, _)| text).collect();
    Topics { each, texts }
}

fn topics(
    check: &mut Check<'_>,
    moment: &Moment<'_>,
    known: &Vocabulary,
    (raw, each, span): (&[Spanned<String>], Option<&Spanned<String>>, Range<usize>),
) -> Option<(Option<Reference>, Vocabulary, Written)> {
    if moment.mute.is_some() {
        let help = "write topics or topics_from for what it hears from the start";
        let message = "what a client hears is changed only while it is connected";
        check.error(span.clone(), message, help);
    }
    if raw.is_empty() {
        let help = "add topics = [\"chat_{message.conversation_id}\"]";
        check.error(span, "this names no topics", help);
        return None;
    }
    let mut known = known.clone();
    let list = each.and_then(|each| list(check, &known, each));
    if each.is_some() {
        known.params.push(Topics::EACH.into());
    }
    let texts = raw.iter().filter_map(|raw| {
        let text = check.text(raw, &known)?;
        Some((text, raw.span()))
    });
    let texts: Written = texts.collect();
    let uses = |(text, _): &(Text, _)| text.references().any(|one| one.is_param(Topics::EACH));
    if let Some(each) = each.filter(|_| texts.len() == raw.len() && !texts.iter().any(uses)) {
        let help = "write the topic of a value: topics = [\"chat_{each}\"]";
        check.error(each.span(), "no topic speaks of {each}", help);
    }
    Some((list, known, texts))
}

fn list(check: &mut Check<'_>, known: &Vocabulary, each: &Spanned<String>) -> Option<Reference> {
    if known.params.iter().any(|param| &**param == Topics::EACH) {
        let help = "give the parameter of the path another name";
        let message = "`each` is a parameter of the path already";
        check.error(each.span(), message, help);
        return None;
    }
    let name = each.get_ref().trim_matches(['{', '}']);
    let list = Reference::parse(name, known);
    let note = |fault: String| {
        let help = "name a list: each = \"message.conversation_ids\"";
        check.error(each.span(), fault, help);
    };
    list.map_err(note).ok()
}

fn permit(
    check: &mut Check<'_>,
    known: &Vocabulary,
    permit: &Spanned<Short<raw::Permit>>,
) -> Option<Permit> {
    let help = "write one of { ask_app = \"/api/conversations/{message.conversation_id}/\" }, \
                { claim = \"chats\", value = \"{message.chat_id}\" } and \"anyone\"";
    let raw = match permit.get_ref() {
        Short::Word(word) if word == "anyone" => return Some(Permit::Anyone),
        Short::Word(_) | Short::Switch(_) => {
            check.error(permit.span(), "this is not a rule", help);
            return None;
        }
        Short::Full(raw) => raw,
    };
    if raw.cache.is_some() {
        let message = "an answer of before may be older than what the app said since";
        check.error(permit.span(), message, "leave out cache");
    }
    match (&raw.own, &raw.claim, &raw.value, &raw.ask_app) {
        (None, Some(claim), Some(value), None) => Some(Permit::Claim {
            claim: claim.get_ref().as_str().into(),
            value: check.text(value, known)?,
        }),
        (None, None, None, Some(path)) => Some(Permit::Ask {
            path: check.path(path, known)?,
            cache: Duration::ZERO,
        }),
        _ => {
            check.error(permit.span(), "this permit has not exactly one rule", help);
            None
        }
    }
}

/// Whether somebody is asked about all in a topic that is the client's own word.
fn asked(
    check: &mut Check<'_>,
    permit: Option<&Permit>,
    each: Option<&Reference>,
    (topic, span): (&Text, Range<usize>),
) {
    let is_list = each.is_some_and(Reference::is_said);
    let said = |one: &&Reference| one.is_said() || is_list && one.is_param(Topics::EACH);
    let mut said = topic.references().filter(said);
    match permit {
        Some(Permit::Anyone | Permit::Own(_)) => {}
        None => {
            if said.next().is_some() {
                let help = "add permit = { ask_app = \"/api/...\" } about the same value, or permit = \"anyone\"";
                check.error(span, "any client could hear any such topic", help);
            }
        }
        Some(Permit::Ask { path: asks, .. } | Permit::Claim { value: asks, .. }) => {
            if !said.all(|one| asks.holds(one)) {
                let help = "let the permit ask about everything that the message says in the topic";
                let message = "the permit asks about something else than this topic";
                check.error(span, message, help);
            }
        }
    }
}
