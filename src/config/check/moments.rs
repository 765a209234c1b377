//! Moments at which a client says nothing: it connects, it is connected, it has left.

use std::sync::Arc;

use super::{
    Check,
    endpoint::{distinct, reserved},
    include::{Included, Place},
    steps::{self, Moment},
};
use crate::routes::{Every, Moments, OnConnect, Step};

/// What the client cannot be sent before it is connected.
const EARLY: (&str, &str) = (
    "a client that is not connected yet cannot be answered",
    "write a welcome: it may speak of the answer by the name of this table",
);
/// What it cannot be sent any more.
const LATE: (&str, &str) = (
    "a client that has left cannot be answered",
    "leave out what is sent to it",
);

/// The moments of an endpoint and of those it includes. From here on, templates know
/// the names of the answers.
pub(super) fn moments(
    check: &mut Check<'_>,
    place: &mut Place<'_>,
    others: &[Included],
) -> Moments {
    let mut moments = Moments::default();
    let own = (place.own, None);
    let others = others.iter().map(|(from, at)| (*from, Some(at.clone())));
    let parts: Vec<_> = std::iter::once(own).chain(others).collect();
    for (from, behalf) in &parts {
        check.behalf.clone_from(behalf);
        on_connect(check, place, *from, &mut moments.on_connect);
    }
    for (from, behalf) in parts {
        check.behalf = behalf;
        moments
            .on_disconnect
            .extend(on_disconnect(check, place, from));
        moments.every.extend(every(check, place, from));
    }
    check.behalf = None;
    moments.on_disconnect = distinct(moments.on_disconnect);
    moments.every = distinct(moments.every);
    moments
}

fn on_connect(
    check: &mut Check<'_>,
    place: &mut Place<'_>,
    from: usize,
    known: &mut Vec<OnConnect>,
) {
    let endpoints = place.endpoints;
    for raw in &endpoints[from].get_ref().on_connect {
        let span = raw.span();
        let name = raw.get_ref().name.as_ref();
        let written = raw.get_ref().steps();
        if let Some(name) = name.filter(|_| written.call.is_none()) {
            let help = "add a call, or leave out name";
            check.error(name.span(), "there is no answer to give a name to", help);
        }
        nothing(check, &written, &span);
        let moment = Moment {
            place,
            known: place.vocabulary(false, false),
            mute: Some(EARLY),
        };
        let steps = steps::steps(check, &moment, (&written, span));
        let one = OnConnect {
            name: name.map(|name| name.get_ref().as_str().into()),
            steps,
        };
        if known.contains(&one) {
            continue;
        }
        if let Some(written) = name {
            let name: Arc<str> = written.get_ref().as_str().into();
            if reserved(place, &name) || place.lookups.contains(&name) {
                let message = format!("`{name}` means something else in templates already");
                let help = "give the answer another name, such as joined";
                check.error(written.span(), message, help);
            }
            place.lookups.push(name);
        }
        known.push(one);
    }
}

fn on_disconnect(check: &mut Check<'_>, place: &Place<'_>, from: usize) -> Vec<Vec<Step>> {
    let moment = Moment {
        place,
        known: place.open(false),
        mute: Some(LATE),
    };
    let raws = place.part(from).on_disconnect.iter();
    let steps = raws.map(|raw| {
        let written = raw.get_ref().steps();
        nothing(check, &written, &raw.span());
        steps::steps(check, &moment, (&written, raw.span()))
    });
    steps.collect()
}

fn every(check: &mut Check<'_>, place: &Place<'_>, from: usize) -> Vec<Every> {
    let moment = Moment {
        place,
        known: place.open(false),
        mute: None,
    };
    let mut all = Vec::new();
    for raw in &place.part(from).every {
        let written = raw.get_ref().steps();
        nothing(check, &written, &raw.span());
        let interval = raw.get_ref().interval.map(|wait| wait.0);
        if interval.is_none() {
            let help = "add interval = \"30s\"";
            check.error(raw.span(), "this does not say how often", help);
        }
        let steps = steps::steps(check, &moment, (&written, raw.span()));
        all.extend(interval.map(|interval| Every { interval, steps }));
    }
    all
}

fn nothing(check: &mut Check<'_>, written: &super::raw::Steps, span: &std::ops::Range<usize>) {
    if steps::is_empty(written) {
        let help = "write a call, set_key, delete_key, group_send or publish";
        check.error(span.clone(), "nothing is done here", help);
    }
}
