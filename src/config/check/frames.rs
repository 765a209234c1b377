//! Frames, welcomes and answers: what an endpoint sends.

use std::{collections::HashMap, sync::Arc};

use toml::Spanned;

use super::{super::raw, super::tree::Tree, Check, include::Place};
use crate::{
    event::Kind,
    frame::{Template, Vocabulary},
    routes::{Frames, Reply},
};

/// Frames by kind, with the endpoint that each came from.
pub(super) struct Union {
    own: usize,
    by_kind: HashMap<String, (Arc<Template>, usize)>,
    pub(super) frames: Frames,
}

impl Union {
    /// Nothing yet of an endpoint.
    pub(super) fn new(own: usize) -> Self {
        Self {
            own,
            by_kind: HashMap::new(),
            frames: Frames::default(),
        }
    }

    /// Adds the frames of an endpoint, its own first.
    pub(super) fn add(&mut self, check: &mut Check<'_>, place: &Place<'_>, from: usize) {
        let known = place.vocabulary(true, false);
        for (kind, tree) in &place.part(from).frames.0 {
            let Some(template) = check.template(tree, place.style, &known) else {
                continue;
            };
            let template = Arc::new(template);
            let folded = Kind::from(kind.get_ref().as_str()).folded().into_owned();
            match self.by_kind.get(&folded) {
                Some((_, other)) if *other == from => {
                    let message = format!("`{}` has two frames here", kind.get_ref());
                    check.error(
                        kind.span(),
                        message,
                        "`.` and `_` in a type are the same: keep one",
                    );
                }
                Some((_, other)) if *other == self.own => {}
                Some((same, _)) if *same == template => {}
                Some((_, other)) => differ(check, place, kind, [*other, from]),
                None => {
                    self.frames.insert(kind.get_ref(), template.clone());
                    self.by_kind.insert(folded, (template, from));
                }
            }
        }
    }
}

fn differ(check: &mut Check<'_>, place: &Place<'_>, kind: &Spanned<String>, both: [usize; 2]) {
    let [a, b] = both.map(|index| place.name(index));
    let message = format!(
        "`{a}` and `{b}` have different frames for `{}`",
        kind.get_ref()
    );
    let help = format!(
        "write the one that `{}` shall send under its own frames",
        place.own_name()
    );
    check.error(kind.span(), message, help);
}

/// A frame, or text as it is; `None` if neither is written.
pub(super) fn reply(
    check: &mut Check<'_>,
    place: &Place<'_>,
    known: &Vocabulary,
    (json, text): (Option<&Tree>, Option<&Spanned<String>>),
) -> Option<Reply> {
    if let (Some(_), Some(text)) = (json, text) {
        check.error(
            text.span(),
            "this is written twice: as a frame and as text",
            "keep one",
        );
    }
    match (json, text) {
        (Some(tree), _) => check.template(tree, place.style, known).map(Reply::Json),
        (None, Some(text)) => Some(Reply::Text(text.get_ref().as_str().into())),
        (None, None) => None,
    }
}

/// `{ reply = {...} }` or `{ reply_text = "..." }`.
pub(super) fn answer(
    check: &mut Check<'_>,
    place: &Place<'_>,
    known: &Vocabulary,
    raw: Option<&Spanned<raw::Answer>>,
) -> Option<Reply> {
    let raw = raw?;
    let both = (
        raw.get_ref().reply.as_ref(),
        raw.get_ref().reply_text.as_ref(),
    );
    if both.0.is_none() && both.1.is_none() {
        let help = "write reply = { type = \"error\" } or reply_text = \"...\"";
        check.error(raw.span(), "this answer says nothing", help);
    }
    reply(check, place, known, both)
}
