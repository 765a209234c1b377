//! `include`: which endpoints' parts an endpoint has, and in what words their
//! templates are read.

use std::{ops::Range, sync::Arc};

use toml::Spanned;

use super::{super::raw, super::words, Check};
use crate::frame::{JsonStyle, Vocabulary};

/// The endpoints as written.
type Endpoints = [Spanned<raw::Endpoint>];

/// An endpoint whose parts are read, own or another's.
pub(super) struct Place<'a> {
    pub(super) endpoints: &'a Endpoints,
    pub(super) own: usize,
    pub(super) style: JsonStyle,
    pub(super) params: Vec<Arc<str>>,
    pub(super) lookups: Vec<Arc<str>>,
}

impl Place<'_> {
    /// An endpoint as written.
    pub(super) fn part(&self, index: usize) -> &raw::Endpoint {
        self.endpoints[index].get_ref()
    }

    /// An endpoint's name.
    pub(super) fn name(&self, index: usize) -> &str {
        self.part(index)
            .name
            .as_ref()
            .map_or("(no name)", |name| name.get_ref())
    }

    /// The name of the endpoint that is being read.
    pub(super) fn own_name(&self) -> &str {
        self.name(self.own)
    }

    /// The names that are known once a client is connected.
    pub(super) fn open(&self, message: bool) -> Vocabulary {
        let others = included(self.endpoints, self.own);
        let mut parts = std::iter::once(self.own).chain(others.into_iter().map(|(index, _)| index));
        Vocabulary {
            online: parts.any(|index| self.part(index).presence.is_some()),
            ..self.vocabulary(false, message)
        }
    }

    /// The names that are known where there is a client, and perhaps an event or
    /// a message.
    pub(super) fn vocabulary(&self, event: bool, message: bool) -> Vocabulary {
        Vocabulary {
            event,
            client: true,
            message,
            params: self.params.clone(),
            lookups: self.lookups.clone(),
            ..Vocabulary::default()
        }
    }
}

/// An included endpoint and the place of the `include` that leads to it.
pub(super) type Included = (usize, Range<usize>);

/// All that an endpoint includes, directly or not, each once, in order.
pub(super) fn included(endpoints: &Endpoints, own: usize) -> Vec<Included> {
    let mut found: Vec<Included> = Vec::new();
    for item in &endpoints[own].get_ref().include {
        follow(endpoints, own, (item.get_ref(), item.span()), &mut found);
    }
    found
}

fn follow(
    endpoints: &Endpoints,
    own: usize,
    (name, span): (&str, Range<usize>),
    found: &mut Vec<Included>,
) {
    let Some(index) = position(endpoints, name) else {
        return;
    };
    if index == own || found.iter().any(|(known, _)| *known == index) {
        return;
    }
    found.push((index, span.clone()));
    for item in &endpoints[index].get_ref().include {
        follow(endpoints, own, (item.get_ref(), span.clone()), found);
    }
}

fn position(endpoints: &Endpoints, name: &str) -> Option<usize> {
    let is = |one: &Spanned<raw::Endpoint>| {
        one.get_ref()
            .name
            .as_ref()
            .is_some_and(|known| known.get_ref() == name)
    };
    endpoints.iter().position(is)
}

/// Names that lead nowhere, and includes that lead back.
pub(super) fn check_includes(check: &mut Check<'_>, endpoints: &Endpoints, own: usize) {
    for item in &endpoints[own].get_ref().include {
        let name = item.get_ref().as_str();
        let Some(index) = position(endpoints, name) else {
            unknown(check, endpoints, item);
            continue;
        };
        if index == own {
            check.error(
                item.span(),
                format!("`{name}` includes itself"),
                "leave it out",
            );
            continue;
        }
        let back = included(endpoints, index);
        let leads_back = back.iter().any(|(known, _)| *known == own);
        if leads_back {
            let help = "include one way only, or name the shared endpoints in both";
            check.error(
                item.span(),
                format!("`{name}` includes this endpoint in turn"),
                help,
            );
        }
    }
}

fn unknown(check: &mut Check<'_>, endpoints: &Endpoints, item: &Spanned<String>) {
    let names = endpoints
        .iter()
        .filter_map(|one| one.get_ref().name.as_ref());
    let names: Vec<_> = names.map(|name| name.get_ref().as_str()).collect();
    let help = match words::nearest(item.get_ref(), names.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known are: {}", names.join(", ")),
    };
    check.error(
        item.span(),
        format!("there is no endpoint `{}`", item.get_ref()),
        help,
    );
}
