//! The forms a webhook's body may have: one event, `{"events": [...]}`, objects one
//! after the other (NDJSON), CloudEvents.
//!
//! A body is read to its end before anything is taken from it. The form follows
//! from the body (and the media type of CloudEvents), and so does the id of an event
//! that has none, because the signature covers no header that could say otherwise.

use http::{HeaderMap, header::CONTENT_TYPE};
use serde_json::value::RawValue;

use super::{
    cloudevents,
    signature::WebhookId,
    wire::{self, Draft, Rejected},
};
use crate::event::{Event, EventId};

/// More would make an answer of many megabytes.
const MAX_EVENTS: usize = 10_000;

/// Why nothing can be taken from a body.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// Nothing in it.
    #[error("the body is empty: send an event")]
    Empty,
    /// JSON is UTF-8.
    #[error("the body is not UTF-8 at line {line} column {column}")]
    NotUtf8 {
        /// Counted from 1.
        line: usize,
        /// In bytes, counted from 1.
        column: usize,
    },
    /// Not JSON; the error tells line and column.
    #[error("the body is not JSON: {0}")]
    NotJson(#[from] serde_json::Error),
    /// JSON, but not a form of ours.
    #[error("{0}")]
    NoForm(&'static str),
    /// Too much for one answer.
    #[error("more than {MAX_EVENTS} events: send them in several requests")]
    TooMany,
}

/// One event of a body and the id to answer for it.
pub struct Item {
    /// Its own id, or the one it gets from the message.
    pub id: EventId,
    /// The event, or why it is none.
    pub event: Result<Event, Rejected>,
}

type Read = fn(&RawValue) -> (Draft, Result<(), Rejected>);

/// Reads a body.
pub fn read(headers: &HeaderMap, body: &[u8], id: &WebhookId) -> Result<Vec<Item>, Unreadable> {
    let text = std::str::from_utf8(body).map_err(|error| not_utf8(body, error.valid_up_to()))?;
    let media_type = media_type(headers);
    let values = values(text)?;
    let (events, read): (Vec<&RawValue>, Read) = match (media_type.as_str(), &values[..]) {
        ("application/x-ndjson", []) => return Ok(Vec::new()),
        (_, []) => return Err(Unreadable::Empty),
        (cloudevents::BATCH, [batch]) => (listed(batch)?, cloudevents::read),
        (cloudevents::ONE, [event]) => (vec![*event], cloudevents::read),
        (cloudevents::BATCH | cloudevents::ONE, _) => {
            return Err(Unreadable::NoForm(
                "the body holds more than one JSON value",
            ));
        }
        (_, [one]) => match batch(one)? {
            Some(events) => return items(&events, Draft::read, |n| id.nth(n)),
            None => return items(&values, Draft::read, |_| id.single()),
        },
        _ => (values, Draft::read),
    };
    items(&events, read, |n| id.nth(n))
}

fn items(
    events: &[&RawValue],
    read: Read,
    default_id: impl Fn(usize) -> EventId,
) -> Result<Vec<Item>, Unreadable> {
    if events.len() > MAX_EVENTS {
        return Err(Unreadable::TooMany);
    }
    let item = |(index, json): (usize, &&RawValue)| {
        let (draft, result) = read(json);
        let default_id = default_id(index);
        let id = draft.id.clone().unwrap_or_else(|| default_id.clone());
        let event = result.and_then(|()| draft.finish(default_id));
        Item { id, event }
    };
    Ok(events.iter().enumerate().map(item).collect())
}

/// The JSON values of the body, one after the other.
fn values(text: &str) -> Result<Vec<&RawValue>, serde_json::Error> {
    serde_json::Deserializer::from_str(text)
        .into_iter()
        .collect()
}

/// The events of `{"events": [...]}`.
fn batch(json: &RawValue) -> Result<Option<Vec<&RawValue>>, Unreadable> {
    if json.get().starts_with('[') {
        return Err(Unreadable::NoForm(
            r#"the body is a list: send {"events": [...]}"#,
        ));
    }
    match wire::members(json).as_deref() {
        Ok([(key, events)]) if key == "events" => listed(events).map(Some),
        Ok(members) if members.iter().any(|(key, _)| key == "events") => Err(Unreadable::NoForm(
            "`events` stands beside other keys: a batch has only `events`",
        )),
        _ => Ok(None),
    }
}

fn listed(json: &RawValue) -> Result<Vec<&RawValue>, Unreadable> {
    serde_json::from_str(json.get())
        .map_err(|_| Unreadable::NoForm("a batch must be a list of events"))
}

fn media_type(headers: &HeaderMap) -> String {
    let value = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = value.unwrap_or_default().split(';').next();
    essence.unwrap_or_default().trim().to_ascii_lowercase()
}

fn not_utf8(body: &[u8], valid_up_to: usize) -> Unreadable {
    let before = body.get(..valid_up_to).unwrap_or_default();
    let mut lines = before.rsplit(|&byte| byte == b'\n');
    Unreadable::NotUtf8 {
        column: lines.next().map_or(0, <[u8]>::len) + 1,
        line: lines.count() + 1,
    }
}
