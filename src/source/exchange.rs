//! Finished HTTP exchanges with the app as a source: what a client asked, what the app
//! answered, and who it was become the events of a rule.
//!
//! Pure: the service watches the exchanges, hands each over when its last byte is out,
//! and puts on the feed what comes back.

mod payload;
mod walk;

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Map, Value, value::RawValue};
use smallvec::SmallVec;

use super::wire::{self, Rejected};
use crate::{
    auth::Identity,
    event::{Event, EventId, Except},
    frame::{Client, Missing, Scope, Template},
    routes::{Exchange, Name},
};

pub use payload::{Payload, Side};

/// More events out of one exchange are a mistake.
const MAX_EVENTS: usize = 1_000;

/// The names under which templates see an exchange, besides the path's parameters.
pub const NAMES: [&str; 5] = ["request", "response", "each", "query", "status"];

/// An exchange that came to its end.
#[derive(Debug)]
pub struct Finished {
    /// The status of the answer.
    pub status: StatusCode,
    /// The request's query.
    pub query: Option<String>,
    /// What the client sent.
    pub request: Payload,
    /// What the app answered.
    pub response: Payload,
}

/// Why an exchange that was for a rule is no event.
#[derive(Debug, thiserror::Error)]
pub enum Skipped {
    /// Nobody waited for the app's answer, and it was not read without them.
    #[error("the client went away before its request was done with")]
    ClientGone,
    /// The app was not reached, or gave no answer.
    #[error("the app gave no answer")]
    NoAnswer,
    /// A body cannot be used.
    #[error("the {0}'s body {1}")]
    Body(Side, payload::Unusable),
    /// Something that the event cannot do without is not there.
    #[error(transparent)]
    Missing(#[from] Missing),
    /// The rule speaks of the user, and there is none.
    #[error("the rule speaks of the user: {0}")]
    NoUser(String),
    /// It would not be taken from any source.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// One answer, too many events.
    #[error("`each` finds more than {MAX_EVENTS} things")]
    TooMany,
    /// The app's clients are quicker than we are.
    #[error("too many exchanges wait to be looked at")]
    QueueFull,
    /// The feed did not take it.
    #[error("the feed took nothing: {0}")]
    Unavailable(String),
}

impl Skipped {
    /// All reasons, as the metric says them.
    pub const REASONS: [&'static str; 18] = [
        "client_gone",
        "no_answer",
        "request_broke_off",
        "request_empty",
        "request_too_large",
        "request_compressed",
        "request_not_json",
        "response_broke_off",
        "response_empty",
        "response_too_large",
        "response_compressed",
        "response_not_json",
        "missing",
        "no_user",
        "rejected",
        "too_many",
        "queue_full",
        "unavailable",
    ];

    /// One fixed word for the metric.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::ClientGone => "client_gone",
            Self::NoAnswer => "no_answer",
            Self::Body(side, why) => why.reason(*side),
            Self::Missing(_) => "missing",
            Self::NoUser(_) => "no_user",
            Self::Rejected(_) => "rejected",
            Self::TooMany => "too_many",
            Self::QueueFull => "queue_full",
            Self::Unavailable(_) => "unavailable",
        }
    }
}

/// The events of a rule in an exchange; none if its conditions are not met.
pub fn events(
    rule: &Exchange,
    params: Vec<(Arc<str>, Value)>,
    seen: &Finished,
    who: Option<&Identity>,
) -> Vec<Result<Event, Skipped>> {
    match in_reach(rule, params, seen, who) {
        Ok(client) if fits(rule, &client) => all_events(rule, client),
        Ok(_) => Vec::new(),
        Err(skipped) => vec![Err(skipped)],
    }
}

/// What the rule's templates may speak of: the client, and the exchange beside it.
fn in_reach(
    rule: &Exchange,
    params: Vec<(Arc<str>, Value)>,
    seen: &Finished,
    who: Option<&Identity>,
) -> Result<Client, Skipped> {
    let mut names = Map::new();
    names.insert("status".into(), seen.status.as_u16().into());
    let query = payload::form(seen.query.as_deref().unwrap_or_default().as_bytes());
    names.insert("query".into(), query);
    let sides = [
        (rule.needs.request, Side::Request, &seen.request),
        (rule.needs.response, Side::Response, &seen.response),
    ];
    for (_, side, payload) in sides.iter().filter(|(needed, ..)| *needed) {
        let json = payload.read(rule.max_body, rule.decompress);
        let json = json.map_err(|why| Skipped::Body(*side, why))?;
        names.insert(side.to_string(), json);
    }
    Ok(Client {
        user: who.map(|who| who.user.clone()),
        user_value: who.map(|who| who.user_value.clone()),
        claims: who.map(|who| who.claims.clone()),
        params,
        lookups: names,
        ..Client::default()
    })
}

fn fits(rule: &Exchange, client: &Client) -> bool {
    let scope = scope(client);
    let mut conditions = rule.when.iter();
    conditions.all(|(found, wanted)| found.render(&scope) == **wanted)
}

fn all_events(rule: &Exchange, mut client: Client) -> Vec<Result<Event, Skipped>> {
    let Some(pointer) = &rule.each else {
        return vec![event(rule, &client)];
    };
    let found = client.lookups.get("response");
    let found = found.and_then(|json| walk::all(json, pointer));
    let Some(found) = found else {
        return vec![Err(Missing(pointer.to_string()).into())];
    };
    if found.len() > MAX_EVENTS {
        return vec![Err(Skipped::TooMany)];
    }
    let found: Vec<Value> = found.into_iter().cloned().collect();
    let one = |item: Value| {
        client.lookups.insert("each".into(), item);
        event(rule, &client)
    };
    found.into_iter().map(one).collect()
}

fn event(rule: &Exchange, client: &Client) -> Result<Event, Skipped> {
    let (scope, happening) = (scope(client), &rule.event);
    let users = happening.users.as_ref();
    let users = users
        .map(|users| names("users", users, &scope))
        .transpose()?;
    // An app that found nobody to tell must not reach everybody on the topics instead.
    if users.as_ref().is_some_and(Vec::is_empty) {
        return Err(Rejected::Nobody.into());
    }
    let topics = names("topics", &happening.topics, &scope)?;
    let data = RawValue::from_string(happening.data.render(&scope));
    let data = data.map_err(|error| Missing(error.to_string()))?;
    let draft = wire::Draft {
        id: None,
        kind: Some(happening.kind.clone()),
        topics: wire::distinct(topics),
        users: wire::distinct(users.unwrap_or_default()),
        except: SmallVec::new(),
        data: Some(wire::payload(&data)?),
        ephemeral: happening.ephemeral,
    };
    let mut event = draft.finish(id(rule, &scope)?)?;
    event.except = Except {
        users: wire::distinct(names("except.users", &happening.except, &scope)?),
        ..Except::default()
    };
    Ok(event)
}

/// The app's own id, so that a second exchange about the same thing is no second event;
/// else one that no other event has.
fn id(rule: &Exchange, scope: &Scope<'_>) -> Result<EventId, Skipped> {
    let Some(id) = &rule.event.id else {
        let mut bytes = [0; 16];
        // Without randomness the process could not have started: TLS and JWT need it.
        aws_lc_rs::rand::fill(&mut bytes).unwrap_or_default();
        return Ok(format!("exchange-{:032x}", u128::from_be_bytes(bytes)).into());
    };
    let id = format!("exchange:{}:{}", rule.name, id.render(scope)?);
    Ok(wire::checked("id", id)?.into())
}

fn names(key: &'static str, names: &[Name], scope: &Scope<'_>) -> Result<Vec<String>, Skipped> {
    let mut found = Vec::new();
    for name in names {
        match name {
            Name::Text(text) => found.push(text.render(scope)?),
            Name::Value(template) => values(key, template, scope, &mut found)?,
        }
    }
    if found.len() > wire::MAX_USERS {
        return Err(Rejected::Wrong(key, "holds more than 1,000 names").into());
    }
    let checked = found.into_iter().map(|name| wire::checked(key, name));
    Ok(checked.collect::<Result<_, _>>()?)
}

fn values(
    key: &'static str,
    template: &Template,
    scope: &Scope<'_>,
    found: &mut Vec<String>,
) -> Result<(), Skipped> {
    let value = serde_json::from_str(&template.render(scope)).unwrap_or_default();
    let items = match value {
        Value::Null => return Err(Missing(key.into()).into()),
        Value::Array(items) => items,
        one => vec![one],
    };
    for item in items {
        found.push(match item {
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            _ => return Err(Rejected::Wrong(key, "must be texts or numbers").into()),
        });
    }
    Ok(())
}

fn scope(client: &Client) -> Scope<'_> {
    Scope {
        client: Some(client),
        ..Scope::default()
    }
}
