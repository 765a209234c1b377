//! `[endpoint.except]`: whom an event type leaves out.

use std::collections::HashMap;

use toml::Spanned;

use super::{
    super::{raw, value::Short},
    Check,
    include::Place,
};
use crate::{
    event::Kind,
    frame::{Text, Vocabulary},
    routes::{Exclusion, Exclusions, Frames},
};

const HELP: &str = "write \"{data.sender_id}\", the user, or { session = \"{data.session}\" }";

/// The rules of an endpoint, with those that came in by `include`.
pub(super) struct Rules {
    own: usize,
    by_kind: HashMap<String, (Exclusion, usize)>,
    pub(super) exclusions: Exclusions,
}

impl Rules {
    /// Nothing yet of an endpoint.
    pub(super) fn new(own: usize) -> Self {
        Self {
            own,
            by_kind: HashMap::new(),
            exclusions: Exclusions::default(),
        }
    }

    /// Adds the rules of an endpoint, its own first.
    pub(super) fn add(&mut self, check: &mut Check<'_>, place: &Place<'_>, from: usize) {
        for (kind, raw) in &place.part(from).except.0 {
            let Some(rule) = exclusion(check, raw) else {
                continue;
            };
            let folded = Kind::from(kind.get_ref().as_str()).folded().into_owned();
            match self.by_kind.get(&folded) {
                Some((_, other)) if *other == from => {
                    let message = format!("`{}` is here twice", kind.get_ref());
                    check.error(
                        kind.span(),
                        message,
                        "`.` and `_` in a type are the same: keep one",
                    );
                }
                Some((_, other)) if *other == self.own => {}
                Some((same, _)) if *same == rule => {}
                Some((_, other)) => differ(check, place, kind, [*other, from]),
                None => {
                    self.exclusions.insert(kind.get_ref(), rule.clone());
                    self.by_kind.insert(folded, (rule, from));
                }
            }
        }
    }
}

fn differ(check: &mut Check<'_>, place: &Place<'_>, kind: &Spanned<String>, both: [usize; 2]) {
    let [a, b] = both.map(|index| place.name(index));
    let kind_name = kind.get_ref();
    let message = format!("`{a}` and `{b}` leave out different clients for `{kind_name}`");
    let own = place.own_name();
    let help = format!("write whom `{own}` shall leave out in its own [endpoint.except]");
    check.error(kind.span(), message, help);
}

/// Whoever is left out for a type that nobody is sent.
pub(super) fn unsent(check: &mut Check<'_>, place: &Place<'_>, frames: &Frames) {
    for (kind, _) in &place.part(place.own).except.0 {
        let name = kind.get_ref().as_str();
        if name != "*" && frames.get(&Kind::from(name)).is_none() {
            let message = format!("`{name}` has no frame here: nobody is sent it anyway");
            check.warn(kind.span(), message, "add its frame, or leave this out");
        }
    }
}

fn exclusion(check: &mut Check<'_>, raw: &Spanned<Short<raw::LeftOut>>) -> Option<Exclusion> {
    let (user, session) = match raw.get_ref() {
        Short::Word(user) => (Some(Spanned::new(raw.span(), user.clone())), None),
        Short::Full(full) => (full.user.clone(), full.session.clone()),
        Short::Switch(_) => (None, None),
    };
    if user.is_none() && session.is_none() {
        check.error(raw.span(), "this leaves out nobody", HELP);
        return None;
    }
    let user = named(check, user.as_ref());
    let session = named(check, session.as_ref());
    Some(Exclusion {
        user: user?,
        session: session?,
    })
}

/// `None` if it is wrong, `Some(None)` if it is not there.
fn named(check: &mut Check<'_>, text: Option<&Spanned<String>>) -> Option<Option<Text>> {
    let Some(text) = text else { return Some(None) };
    let known = Vocabulary {
        event: true,
        ..Vocabulary::default()
    };
    let compiled = check.text(text, &known)?;
    if compiled.is_fixed() {
        let message = format!("`{}` names the same one for every event", text.get_ref());
        check.error(text.span(), message, HELP);
    }
    Some(Some(compiled))
}
