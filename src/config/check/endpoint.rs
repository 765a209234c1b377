//! `[[endpoint]]`: each by itself, then all together.

use std::{ops::Range, sync::Arc, time::Duration};

use toml::Spanned;

use super::{
    super::{raw, value::Short},
    Check, Problem, actions, door,
    except::{self, Rules},
    flags,
    frames::{self, Union},
    include::{Place, check_includes, included},
    moments, presence, topics_from,
};
use crate::{
    frame::{JsonStyle, Text},
    routes::{Action, Endpoint, Exclusions, Frames, Lookup, PathPattern, TopicsFrom},
};

/// All endpoints, in the order of the file.
pub(super) fn endpoints(check: &mut Check<'_>, file: &raw::File) -> Vec<Endpoint> {
    let raws = &file.endpoint;
    let places: Vec<_> = (0..raws.len())
        .filter_map(|own| place(check, raws, own))
        .collect();
    // What is wrong with a part is said where it is written, before it is included.
    for (place, _) in &places {
        parts(check, place, place.own);
    }
    together(check, &places);
    presence::together(check, file);
    let mut endpoints = Vec::new();
    for (place, path) in places {
        endpoints.extend(endpoint(check, file, place, path));
    }
    endpoints
}

/// Name and path, without which an endpoint cannot be spoken of.
fn place<'a>(
    check: &mut Check<'_>,
    endpoints: &'a [Spanned<raw::Endpoint>],
    own: usize,
) -> Option<(Place<'a>, PathPattern)> {
    let (span, raw) = (endpoints[own].span(), endpoints[own].get_ref());
    let Some(name) = &raw.name else {
        check.error(
            span,
            "this endpoint has no name",
            "add name = \"notifications\"",
        );
        return None;
    };
    let letters = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.get_ref().is_empty() || !name.get_ref().chars().all(letters) {
        let message = format!("`{}` is not a name for an endpoint", name.get_ref());
        check.error(
            name.span(),
            message,
            "write letters, digits, dashes, dots and underscores",
        );
    }
    let Some(path) = &raw.path else {
        let help = "add path = \"/ws/notifications/\"";
        check.error(
            span,
            format!("the endpoint `{}` has no path", name.get_ref()),
            help,
        );
        return None;
    };
    let pattern = match PathPattern::parse(path.get_ref()) {
        Ok(pattern) => pattern,
        Err(message) => {
            let help = "a pattern looks like /ws/messages/{chat_id} or /ws/messages/{chat_id:int}";
            check.error(path.span(), message, help);
            return None;
        }
    };
    let place = Place {
        endpoints,
        own,
        style: match raw.json {
            Some(raw::Json::Python) => JsonStyle::Python,
            Some(raw::Json::Compact) | None => JsonStyle::Compact,
        },
        params: pattern.params().cloned().collect(),
        lookups: lookup_names(endpoints, own),
    };
    Some((place, pattern))
}

/// The names of all answers that an endpoint and those it includes ask for at connect.
fn lookup_names(endpoints: &[Spanned<raw::Endpoint>], own: usize) -> Vec<Arc<str>> {
    let others = included(endpoints, own);
    let all = std::iter::once(own).chain(others.into_iter().map(|(index, _)| index));
    let names = all.flat_map(|index| {
        let raw = endpoints[index].get_ref();
        let lookups = raw.lookup.0.iter().map(|(name, _)| name);
        let calls = raw.on_connect.iter();
        lookups.chain(calls.filter_map(|call| call.get_ref().name.as_ref()))
    });
    names.map(|name| name.get_ref().as_str().into()).collect()
}

/// What can be included: topics, frames, actions, presence.
fn parts(check: &mut Check<'_>, place: &Place<'_>, from: usize) {
    topics(check, place, from);
    topics_from::topics_from(check, place, from);
    Union::new(from).add(check, place, from);
    Rules::new(from).add(check, place, from);
    actions::actions(check, place, from);
    presence::read(check, place, from);
}

fn topics(check: &mut Check<'_>, place: &Place<'_>, from: usize) -> Vec<Text> {
    let known = place.vocabulary(false, false);
    let topics = place.part(from).topics.iter();
    topics
        .filter_map(|topic| check.text(topic, &known))
        .collect()
}

fn endpoint(
    check: &mut Check<'_>,
    file: &raw::File,
    mut place: Place<'_>,
    path: PathPattern,
) -> Option<Endpoint> {
    let own = place.own;
    let spanned = file.endpoint.get(own)?;
    let (span, raw) = (spanned.span(), spanned.get_ref());
    check_includes(check, place.endpoints, own);
    let lookups = lookups(check, &mut place);
    let others = included(place.endpoints, own);
    let moments = moments::moments(check, &mut place, &others);
    let sent = gather(check, &place, &span);
    door::known_users(check, file, spanned);
    let known = place.open(false);
    let welcome = (raw.welcome.as_ref(), raw.welcome_text.as_ref());
    let lost = (raw.history_lost.as_ref(), None);
    let name: Arc<str> = place.own_name().into();
    Some(Endpoint {
        permit: door::permit(check, &place, raw),
        welcome: frames::reply(check, &place, &known, welcome),
        history_lost: frames::reply(check, &place, &known, lost),
        invalid_json: frames::answer(check, &place, &known, raw.on_invalid_json.as_ref()),
        refuse: door::refusals(check, &raw.refuse),
        rollout: flags::rollout(check, raw.rollout.as_ref(), &name),
        origins: door::origins(check, raw),
        expiry: door::expiry(check, raw),
        subprotocols: door::subprotocols(check, raw),
        limits: door::limits(&raw.limits),
        resume: door::resume(check, raw),
        heartbeat: raw.heartbeat.map_or(Duration::from_secs(20), |wait| wait.0),
        anonymous: raw.anonymous.unwrap_or(false),
        json: place.style,
        frames: sent.frames,
        except: sent.except,
        name,
        path,
        lookups,
        topics: distinct(sent.topics),
        topics_from: distinct(sent.topics_from),
        actions: distinct(sent.actions),
        moments,
        presence: presence::presence(check, &place, &others),
    })
}

/// An endpoint's parts and those that come in with `include`.
struct Gathered {
    frames: Frames,
    except: Exclusions,
    topics: Vec<Text>,
    topics_from: Vec<TopicsFrom>,
    actions: Vec<Action>,
}

fn gather(check: &mut Check<'_>, place: &Place<'_>, span: &Range<usize>) -> Gathered {
    let others = included(place.endpoints, place.own);
    let mut written = !place.part(place.own).frames.0.is_empty();
    for (from, include) in &others {
        written |= !place.part(*from).frames.0.is_empty();
        unguarded(check, place, *from, include);
    }
    if !written {
        let message = format!(
            "`{}` has no frames: it never sends an event",
            place.own_name()
        );
        let help = "add [endpoint.frames] or include = [...]";
        check.warn(span.clone(), message, help);
    }
    let mut union = Union::new(place.own);
    let mut rules = Rules::new(place.own);
    let (mut topics, mut topics_from, mut actions) = (Vec::new(), Vec::new(), Vec::new());
    // Errors in own parts are known since they were first read.
    for (from, behalf) in std::iter::once((place.own, span.clone())).chain(others) {
        check.behalf = Some(behalf);
        union.add(check, place, from);
        rules.add(check, place, from);
        topics.extend(self::topics(check, place, from));
        topics_from.extend(topics_from::topics_from(check, place, from));
        actions.extend(actions::actions(check, place, from));
    }
    check.behalf = None;
    except::unsent(check, place, &union.frames);
    Gathered {
        frames: union.frames,
        except: rules.exclusions,
        topics,
        topics_from,
        actions,
    }
}

/// Topics come in with an `include`, and the `permit` that guarded them does not.
fn unguarded(check: &mut Check<'_>, place: &Place<'_>, from: usize, include: &Range<usize>) {
    let (own, part) = (place.part(place.own), place.part(from));
    if part.permit.is_some() && own.permit.is_none() && !part.topics.is_empty() {
        let name = place.name(from);
        let message = format!("the permit of `{name}` does not come in with its topics");
        let help = format!("give `{}` a permit of its own", place.own_name());
        check.warn(include.clone(), message, help);
    }
}

pub(super) fn distinct<T: PartialEq>(all: Vec<T>) -> Vec<T> {
    let mut distinct = Vec::with_capacity(all.len());
    for one in all {
        if !distinct.contains(&one) {
            distinct.push(one);
        }
    }
    distinct
}

/// Own look-ups, then those that included templates may speak of. Each knows the
/// ones before it.
fn lookups(check: &mut Check<'_>, place: &mut Place<'_>) -> Vec<Lookup> {
    let mut lookups: Vec<Lookup> = Vec::new();
    place.lookups.clear();
    let own = (place.own, None);
    let others = included(place.endpoints, place.own);
    let others = others
        .into_iter()
        .map(|(index, include)| (index, Some(include)));
    for (from, include) in std::iter::once(own).chain(others) {
        check.behalf = include;
        for (name, raw) in &place.endpoints[from].get_ref().lookup.0 {
            let name: Arc<str> = name.get_ref().as_str().into();
            if place.lookups.contains(&name) {
                continue;
            }
            lookups.extend(lookup(check, place, &name, raw));
            place.lookups.push(name);
        }
    }
    check.behalf = None;
    lookups
}

/// Names that templates know already.
pub(super) fn reserved(place: &Place<'_>, name: &Arc<str>) -> bool {
    let known = [
        "data", "event", "user", "claims", "message", "answer", "online", "problem", "now",
        "session",
    ];
    known.contains(&&**name) || place.params.contains(name)
}

fn lookup(
    check: &mut Check<'_>,
    place: &Place<'_>,
    name: &Arc<str>,
    raw: &Spanned<Short<raw::Lookup>>,
) -> Option<Lookup> {
    if reserved(place, name) {
        let message = format!("`{name}` means something else in templates already");
        check.error(
            raw.span(),
            message,
            "give the look-up another name, such as me",
        );
    }
    let (path, cache) = match raw.get_ref() {
        Short::Word(path) => (Some(Spanned::new(raw.span(), path.clone())), None),
        Short::Full(full) => (full.path.clone(), full.cache),
        Short::Switch(_) => (None, None),
    };
    let Some(path) = path else {
        check.error(
            raw.span(),
            "this look-up has no path",
            "write me = \"/api/auth/me/\"",
        );
        return None;
    };
    Some(Lookup {
        name: name.clone(),
        path: check.path(&path, &place.vocabulary(false, false))?,
        cache: cache.map_or(Duration::from_secs(5), |time| time.0),
    })
}

/// What only shows when all endpoints are seen together.
fn together(check: &mut Check<'_>, places: &[(Place<'_>, PathPattern)]) {
    for (index, (place, path)) in places.iter().enumerate() {
        let raw = place.part(place.own);
        let (Some(name), Some(written)) = (&raw.name, &raw.path) else {
            continue;
        };
        let mut earlier = places.iter().take(index);
        if let Some((same, _)) = earlier.find(|(other, _)| other.own_name() == place.own_name()) {
            let message = format!("two endpoints are called `{}`", name.get_ref());
            let first = same.part(same.own).name.as_ref();
            let problem =
                Problem::error(name.span(), message).help("give one of them another name");
            check
                .problems
                .push(second_place(problem, first, "the first"));
        }
        let mut earlier = places.iter().take(index);
        if let Some((first, _)) = earlier.find(|(_, other)| other.covers(path)) {
            let message = format!(
                "this path is never reached: `{}` takes all of it",
                first.own_name()
            );
            let problem = Problem::error(written.span(), message);
            let problem =
                problem.help("the first endpoint that fits serves: put the narrower one first");
            check.problems.push(second_place(
                problem,
                first.part(first.own).path.as_ref(),
                "taken here",
            ));
        }
        if written.get_ref().starts_with("/outrigger/") {
            let help = "choose a path that does not begin with /outrigger/";
            check.error(
                written.span(),
                "paths under /outrigger/ are Outrigger's own",
                help,
            );
        }
    }
}

fn second_place(problem: Problem, place: Option<&Spanned<String>>, label: &str) -> Problem {
    match place {
        Some(place) => problem.other(place.span(), label),
        None => problem,
    }
}
