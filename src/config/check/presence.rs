//! `[endpoint.presence]`: who counts as online, and what is done about it.

use std::{ops::Range, time::Duration};

use toml::Spanned;

use super::{
    super::raw,
    Check,
    include::{Included, Place},
    steps::{self, Moment},
};
use crate::routes::{Per, Presence, Step};

/// Whoever comes and goes may have left already.
const MUTE: (&str, &str) = (
    "there is no one socket to answer here",
    "publish to users = [\"{user.id}\"], or write a welcome",
);
/// A page reload is over by then.
const GRACE: Duration = Duration::from_secs(5);

/// How an endpoint counts: by its own rules, or by those of the one endpoint it includes
/// that has some.
pub(super) fn presence(
    check: &mut Check<'_>,
    place: &Place<'_>,
    others: &[Included],
) -> Option<Box<Presence>> {
    if place.part(place.own).presence.is_some() {
        // What is wrong with it was said when it was first read.
        check.behalf = place.part(place.own).presence.as_ref().map(Spanned::span);
        let own = read(check, place, place.own);
        check.behalf = None;
        return own.map(Box::new);
    }
    let mut found: Option<(Presence, usize)> = None;
    for (from, include) in others {
        if place.part(*from).presence.is_none() {
            continue;
        }
        check.behalf = Some(include.clone());
        let presence = read(check, place, *from);
        check.behalf = None;
        match (&found, presence) {
            (None, presence) => found = presence.map(|presence| (presence, *from)),
            (Some((first, _)), Some(presence)) if *first == presence => {}
            (Some((_, first)), _) => differ(check, place, include, [*first, *from]),
        }
    }
    found.map(|(presence, _)| Box::new(presence))
}

fn differ(check: &mut Check<'_>, place: &Place<'_>, include: &Range<usize>, both: [usize; 2]) {
    let [a, b] = both.map(|index| place.name(index));
    let message = format!("`{a}` and `{b}` count who is online by different rules");
    let help = format!("give `{}` a presence of its own", place.own_name());
    check.error(include.clone(), message, help);
}

/// The presence that one endpoint has written.
pub(super) fn read(check: &mut Check<'_>, place: &Place<'_>, from: usize) -> Option<Presence> {
    let raw = place.part(from).presence.as_ref()?;
    let (span, raw) = (raw.span(), raw.get_ref());
    // Those who include it count together with it.
    let name = Spanned::new(span, place.name(from).to_owned());
    let key = raw.key.as_ref().unwrap_or(&name);
    if key.get_ref().is_empty() {
        let help = "write key = \"online\", or leave it out: the endpoint's name";
        check.error(key.span(), "this key is empty", help);
    }
    let key = check.text(key, &place.vocabulary(false, false));
    let mut steps = |raw: &Option<Spanned<raw::Steps>>| transition(check, place, raw.as_ref());
    let (online, offline) = (steps(&raw.online), steps(&raw.offline));
    Some(Presence {
        key: key?,
        per: match raw.per {
            Some(raw::Per::Socket) => Per::Socket,
            Some(raw::Per::User) | None => Per::User,
        },
        grace: raw.grace.map_or(GRACE, |grace| grace.0),
        online,
        offline,
    })
}

fn transition(
    check: &mut Check<'_>,
    place: &Place<'_>,
    raw: Option<&Spanned<raw::Steps>>,
) -> Vec<Step> {
    let Some(raw) = raw else { return Vec::new() };
    if steps::is_empty(raw.get_ref()) {
        let help = "write a call or publish, or leave the table out";
        check.error(raw.span(), "nothing is done here", help);
    }
    let moment = Moment {
        place,
        known: place.open(false),
        mute: Some(MUTE),
    };
    steps::steps(check, &moment, (raw.get_ref(), raw.span()))
}

/// Endpoints that count together must count the same.
pub(super) fn together(check: &mut Check<'_>, file: &raw::File) {
    let counts = |one: &Spanned<raw::Endpoint>| {
        let raw = one.get_ref();
        let presence = raw.presence.as_ref()?;
        let name = raw.name.as_ref().map(|name| name.get_ref().clone());
        let key = presence.get_ref().key.as_ref();
        let key = key.map(|key| key.get_ref().clone()).or(name)?;
        let by_socket = matches!(presence.get_ref().per, Some(raw::Per::Socket));
        Some((key, by_socket, presence.span()))
    };
    let all: Vec<_> = file.endpoint.iter().filter_map(counts).collect();
    for (index, (key, by_socket, span)) in all.iter().enumerate() {
        let mut earlier = all.iter().take(index);
        if earlier.any(|(other, per, _)| other == key && per != by_socket) {
            let message = format!(
                "`{key}` is counted per user elsewhere and per socket here, or the reverse"
            );
            let help = "write the same per everywhere, or give one another key";
            check.error(span.clone(), message, help);
        }
    }
}
