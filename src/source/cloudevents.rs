//! CloudEvents 1.0 in the JSON format (structured mode) into our own form.
//!
//! `id`, `type` and `data` mean the same on both sides. Whom an event is for stands
//! in extension attributes: `topics`, `users` and `exceptusers` (texts separated by
//! commas, or lists) and `ephemeral`; with neither topics nor users, the `subject`
//! is the topic. Binary mode is not read: a webhook's signature covers the body
//! alone, and there the address of an event would stand in unsigned headers.

use serde_json::value::RawValue;

use super::wire::{self, Draft, Rejected};

/// The media type of one event.
pub(super) const ONE: &str = "application/cloudevents+json";
/// The media type of a list of events.
pub(super) const BATCH: &str = "application/cloudevents-batch+json";

/// Reads one event. Like [`Draft::read`], it keeps what it could read.
pub(super) fn read(json: &RawValue) -> (Draft, Result<(), Rejected>) {
    let members = match wire::members(json) {
        Ok(members) => members,
        Err(problem) => return (Draft::default(), Err(problem)),
    };
    let mut event = CloudEvent::default();
    let mut result = Ok(());
    for (key, value) in members {
        let set = event.set(&key, value);
        result = result.and(set);
    }
    let result = result.and_then(|()| event.check());
    (event.draft, result)
}

#[derive(Default)]
struct CloudEvent {
    draft: Draft,
    version: bool,
    source: bool,
    subject: Option<String>,
}

impl CloudEvent {
    fn set(&mut self, key: &str, value: &RawValue) -> Result<(), Rejected> {
        let draft = &mut self.draft;
        match key {
            _ if wire::is_null(value) => {}
            "specversion" if value.get() == r#""1.0""# => self.version = true,
            "specversion" => return Err(Rejected::Wrong("specversion", "must be 1.0")),
            "id" => draft.id = Some(wire::text("id", value)?.into()),
            "type" => draft.kind = Some(wire::text("type", value)?.into()),
            "source" => self.source = true,
            "subject" => self.subject = serde_json::from_str(value.get()).ok(),
            "topics" => draft.topics = wire::names("topics", &listed(value)?)?,
            "users" => draft.users = wire::audience("users", &listed(value)?)?,
            "exceptusers" => draft.except = wire::users("exceptusers", &listed(value)?)?,
            "ephemeral" => draft.ephemeral = wire::flag("ephemeral", value)?,
            "data" => draft.data = Some(wire::payload(value)?),
            "data_base64" => {
                return Err(Rejected::Wrong("data_base64", "is not JSON: send `data`"));
            }
            // Extension attributes are anybody's.
            _ => {}
        }
        Ok(())
    }

    fn check(&mut self) -> Result<(), Rejected> {
        for (key, given) in [
            ("specversion", self.version),
            ("id", self.draft.id.is_some()),
            ("source", self.source),
        ] {
            if !given {
                return Err(Rejected::Missing(key));
            }
        }
        if let Some(subject) = self.subject.take()
            && self.draft.topics.is_empty()
            && self.draft.users.is_empty()
        {
            self.draft
                .topics
                .push(wire::checked("subject", subject)?.into());
        }
        Ok(())
    }
}

/// `"a, b"` as `["a","b"]`: attributes of CloudEvents cannot be lists.
fn listed(value: &RawValue) -> Result<Box<RawValue>, Rejected> {
    let Ok(text) = serde_json::from_str::<String>(value.get()) else {
        return Ok(value.to_owned());
    };
    let items = text
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty());
    let items = items.collect::<Vec<_>>();
    serde_json::value::to_raw_value(&items)
        .map_err(|_| Rejected::Wrong("an attribute", "is not a list"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;

    fn event(json: &str) -> Result<Event, String> {
        let raw = RawValue::from_string(json.into()).unwrap();
        let (draft, result) = read(&raw);
        result
            .and_then(|()| draft.finish("default".into()))
            .map_err(|rejected| rejected.to_string())
    }

    fn with(more: &str) -> Result<Event, String> {
        event(&format!(
            r#"{{"specversion":"1.0","id":"c1","source":"/app","type":"order.paid",{more}}}"#
        ))
    }

    #[test]
    fn attributes_say_whom_it_is_for() {
        let event = with(
            r#""topics":"a, b","users":"1,2","exceptusers":["3"],"ephemeral":true,"subject":"s",
               "time":"2026-01-01T00:00:00Z","datacontenttype":"application/json","data":{"n":1}"#,
        )
        .unwrap();
        assert_eq!(event.id.as_str(), "c1");
        assert_eq!(event.kind.as_str(), "order.paid");
        assert_eq!(event.topics[..], ["a".into(), "b".into()]);
        assert_eq!(event.users[..], ["1".into(), "2".into()]);
        assert_eq!(event.except.users[..], ["3".into()]);
        assert_eq!(event.data.get(), r#"{"n":1}"#);
        assert!(event.ephemeral);
    }

    #[test]
    fn the_subject_is_the_topic_of_an_event_for_nobody_else() {
        assert_eq!(
            with(r#""subject":"a, b""#).unwrap().topics[..],
            ["a, b".into()]
        );
        let for_users = with(r#""subject":"s","users":"42""#).unwrap();
        assert!(for_users.topics.is_empty());
        assert!(
            with(r#""data":1"#)
                .unwrap_err()
                .starts_with("it is for nobody")
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        let says = |more| with(more).unwrap_err();
        assert_eq!(
            says(r#""data_base64":"AA==""#),
            "`data_base64` is not JSON: send `data`"
        );
        assert!(says(r#""topics":"a","users":"""#).starts_with("`users` is an empty list"));
        assert_eq!(says(r#""id":"c2""#), "`id` is given twice");
        assert_eq!(
            event(r#"{"id":"c1","type":"t"}"#).unwrap_err(),
            "`specversion` is missing"
        );
        assert_eq!(
            event(r#"{"specversion":"0.3"}"#).unwrap_err(),
            "`specversion` must be 1.0"
        );
        assert_eq!(event("[]").unwrap_err(), "an event is a JSON object");
    }
}
