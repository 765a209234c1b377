//! `/trace`: what became of an event.

use std::time::Duration;

use http::{Response, StatusCode, Uri};
use serde_json::{Map, Value, json};
use tokio::time::timeout;

use super::{clock, query::Query};
use crate::{
    event::{Entry, Topic, UserId},
    feed::Sought,
    reply::{self, Body},
    routes::RouteTable,
    session::{Evidence, Sessions, State, Trail},
};

/// Sessions shown where nothing else is asked for, and at most.
const SHOWN: (usize, usize) = (100, 10_000);
/// How long a store may take to find an event that memory does not hold.
const SEARCH: Duration = Duration::from_secs(10);

/// Answers `/trace?event=ID&user=42&limit=100`.
pub(super) async fn answer(uri: &Uri, sessions: &Sessions, table: &RouteTable) -> Response<Body> {
    let query = match Query::read(uri, &["event", "user", "limit"]) {
        Ok(query) => query,
        Err(problem) => return reply::text(StatusCode::BAD_REQUEST, problem),
    };
    let Some(event) = query.get("event") else {
        let usage = "Say which: /trace?event=ID, or a position as in 1a2b.0-17.\n";
        return reply::text(StatusCode::BAD_REQUEST, usage);
    };
    let user = query.get("user").map(UserId::from);
    let limit = query.get("limit").and_then(|limit| limit.parse().ok());
    let limit = limit.unwrap_or(SHOWN.0).min(SHOWN.1);
    let Ok(sought) = timeout(SEARCH, sessions.feed().search(event)).await else {
        let slow = "It was not found in time: the feed's store is large, slow or away.\n";
        return reply::text(StatusCode::SERVICE_UNAVAILABLE, slow);
    };
    match sought {
        Sought::Found(entry) => {
            let evidence = sessions.evidence(&entry, user.as_ref(), limit);
            let shown = found(&entry, &evidence, user.as_ref(), table);
            reply::json(StatusCode::OK, format!("{shown:#}\n"))
        }
        missing => {
            let (why, oldest) = not_found(&missing);
            let oldest = oldest.map(|entry| clock::text(entry.at));
            let shown = json!({ "found": false, "why": why, "oldest": oldest });
            reply::json(StatusCode::NOT_FOUND, format!("{shown:#}\n"))
        }
    }
}

/// Why an event is not there, and the oldest one that is.
fn not_found(sought: &Sought) -> (&'static str, Option<&Entry>) {
    match sought {
        Sought::Found(entry) => ("found", Some(entry)),
        Sought::Forgotten(oldest) => ("forgotten", oldest.as_deref()),
        Sought::NeverSeen => ("never_seen", None),
        Sought::NotSince(oldest) => ("not_since", Some(oldest)),
        Sought::OtherLife => ("other_life", None),
    }
}

fn found(entry: &Entry, evidence: &Evidence, user: Option<&UserId>, table: &RouteTable) -> Value {
    let place = entry.position.offset;
    let states = evidence.states.iter();
    let states: Map<_, _> = states
        .map(|(word, count)| ((*word).to_owned(), (*count).into()))
        .collect();
    json!({
        "found": true,
        "event": self::event(entry),
        "sessions": evidence.sessions,
        "states": states,
        "user": user.map(UserId::as_str),
        "shown": evidence.shown.iter().map(trail).collect::<Vec<_>>(),
        "rules_changed_since": table.swaps.iter().any(|swap| swap.since >= place),
    })
}

/// An event without its payload.
pub(super) fn event(entry: &Entry) -> Value {
    let event = &entry.event;
    json!({
        "position": entry.position.to_string(),
        "at": clock::text(entry.at),
        "id": event.id.as_str(),
        "type": event.kind.as_str(),
        "topics": event.topics.iter().map(Topic::as_str).collect::<Vec<_>>(),
        "users": event.users.iter().map(UserId::as_str).collect::<Vec<_>>(),
        "ephemeral": event.ephemeral,
        "size": event.data.get().len(),
    })
}

fn trail(trail: &Trail) -> Value {
    let mut shown = json!({
        "session": trail.session.to_string(),
        "endpoint": trail.endpoint,
        "user": trail.user.as_ref().map(UserId::as_str),
        "address": trail.address.to_string(),
        "leg": trail.leg.to_string(),
        "opened": clock::text(trail.opened),
        "state": trail.state.word(),
    });
    if let State::Confirmed(Some(by)) = trail.state {
        shown["confirmed_by"] = clock::text(by).into();
    }
    if let Some((at, why)) = trail.ended {
        shown["closed"] = clock::text(at).into();
        shown["closed_because"] = why.into();
    }
    shown
}
