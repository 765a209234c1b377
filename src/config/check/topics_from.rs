//! `topics_from`: topics that the app names at connect.

use std::time::Duration;

use super::{super::raw, Check, include::Place};
use crate::routes::{Each, TopicsFrom};

/// The questions of one endpoint.
pub(super) fn topics_from(
    check: &mut Check<'_>,
    place: &Place<'_>,
    from: usize,
) -> Vec<TopicsFrom> {
    let Some(raw) = &place.part(from).topics_from else {
        return Vec::new();
    };
    let mut all = Vec::new();
    for one in &raw.get_ref().0 {
        all.extend(question(check, place, one, raw.span()));
    }
    all
}

fn question(
    check: &mut Check<'_>,
    place: &Place<'_>,
    raw: &raw::TopicsFrom,
    span: std::ops::Range<usize>,
) -> Option<TopicsFrom> {
    let (Some(path), Some(topic)) = (&raw.ask_app, &raw.topic) else {
        let help = "write { ask_app = \"/api/conversations/\", each = \"/results/*/id\", topic = \"chat_{value}\" }";
        check.error(span, "topics_from needs ask_app and topic", help);
        return None;
    };
    let mut known = place.vocabulary(false, false);
    let path = check.path(path, &known);
    if known
        .params
        .iter()
        .any(|param| &**param == TopicsFrom::VALUE)
    {
        let help = "give the parameter of the path another name";
        check.error(
            topic.span(),
            "`value` is a parameter of the path already",
            help,
        );
    }
    known.params.push(TopicsFrom::VALUE.into());
    let topic = check.text(topic, &known);
    let each = match raw.each.as_ref() {
        Some(each) => pointer(check, each),
        None => Each::parse("/*").ok(),
    };
    if let Some(next) = &raw.next {
        pointer(check, next);
    }
    Some(TopicsFrom {
        path: path?,
        each: each?,
        topic: topic?,
        next: raw.next.as_ref().map(|next| next.get_ref().as_str().into()),
        cache: raw.cache.map_or(Duration::ZERO, |time| time.0),
    })
}

fn pointer(check: &mut Check<'_>, text: &toml::Spanned<String>) -> Option<Each> {
    match Each::parse(text.get_ref()) {
        Ok(each) => Some(each),
        Err(message) => {
            let help = "write a place in the answer: /results/*/id, or /*/id if it is a list";
            check.error(text.span(), message, help);
            None
        }
    }
}
