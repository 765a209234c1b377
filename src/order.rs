//! Events that are not for clients but for their sessions: the reserved types
//! `outrigger.join`, `outrigger.leave` and `outrigger.disconnect`.
//!
//! Sources refuse what is badly formed with its reason; the hub obeys each order at
//! its place in the feed. Pure: it reads an event and does nothing.

use std::sync::Arc;

use serde::Deserialize;

use crate::event::{Event, Kind, NODE_FACTS, Topic, is_name};

/// Types that begin like this are never sent to clients.
const RESERVED: &str = "outrigger.";
/// Topics of one order.
const MAX_TOPICS: usize = 100;
/// The text of a close frame (RFC 6455, 5.5).
const MAX_REASON: usize = 123;
/// The code where the order names none: applications use it for "not allowed (any more)".
const CODE: u16 = 4003;

/// What the sessions that a reserved event is for are to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// What.
    pub act: Act,
    /// Only the sessions on this endpoint.
    pub endpoint: Option<Arc<str>>,
}

/// What an order is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Hear these topics from here on.
    Join(Vec<Topic>),
    /// Hear these topics no more.
    Leave(Vec<Topic>),
    /// End.
    Disconnect(Farewell),
}

/// What the client of an ended session is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Farewell {
    /// The close code.
    pub code: u16,
    /// The text beside it.
    pub reason: Arc<str>,
}

/// Why a reserved event is no order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` {1}")]
pub struct Malformed(pub &'static str, pub &'static str);

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Data {
    topics: Option<Vec<String>>,
    endpoint: Option<String>,
    code: Option<u16>,
    reason: Option<String>,
}

impl Order {
    /// Whether an event is what one node tells the others: sources refuse it as they do all
    /// reserved types that they do not know, and the hub passes over it.
    pub fn is_between_nodes(event: &Event) -> bool {
        event.kind.as_str().starts_with(NODE_FACTS)
    }

    /// Whether a type is reserved.
    pub fn is_reserved(kind: &Kind) -> bool {
        kind.as_str().starts_with(RESERVED)
    }

    /// The order that an event of a reserved type gives; none for all other events.
    ///
    /// # Errors
    /// Its type is reserved, and it is badly formed.
    pub fn of(event: &Event) -> Result<Option<Self>, Malformed> {
        let Some(name) = event.kind.as_str().strip_prefix(RESERVED) else {
            return Ok(None);
        };
        let moves = matches!(name, "join" | "leave");
        if !moves && name != "disconnect" {
            let known =
                "is reserved: known are outrigger.join, outrigger.leave, outrigger.disconnect";
            return Err(Malformed("type", known));
        }
        if event.ephemeral {
            return Err(Malformed("ephemeral", "does not go with a reserved type"));
        }
        let data = match event.data.get() {
            "null" => Data::default(),
            // A list would be read as well, by the order of the keys.
            json if !json.starts_with('{') => return Err(wrong_data(name)),
            json => serde_json::from_str(json).map_err(|_| wrong_data(name))?,
        };
        let endpoint = data.endpoint.as_deref().map(Arc::from);
        if !moves {
            let act = Act::Disconnect(farewell(&data)?);
            return Ok(Some(Self { act, endpoint }));
        }
        if event.users.is_empty() {
            return Err(Malformed("users", "is missing: whose sessions is it for?"));
        }
        if !event.topics.is_empty() {
            return Err(Malformed("topics", "stands in `data` for this type"));
        }
        if data.code.is_some() || data.reason.is_some() {
            return Err(wrong_data(name));
        }
        let topics = topics(data.topics.unwrap_or_default())?;
        let act = match name {
            "join" => Act::Join(topics),
            _ => Act::Leave(topics),
        };
        Ok(Some(Self { act, endpoint }))
    }
}

fn wrong_data(name: &str) -> Malformed {
    match name {
        "disconnect" => Malformed("data", "must be an object of code, reason, endpoint"),
        _ => Malformed(
            "data",
            "must be an object of topics (a list of texts) and endpoint",
        ),
    }
}

fn topics(names: Vec<String>) -> Result<Vec<Topic>, Malformed> {
    match names.len() {
        0 => Err(Malformed("data.topics", "is missing: which topics?")),
        1..=MAX_TOPICS if names.iter().all(|name| is_name(name)) => {
            Ok(names.into_iter().map(Topic::from).collect())
        }
        1..=MAX_TOPICS => Err(Malformed(
            "data.topics",
            "must hold texts of 1 to 255 bytes without control characters",
        )),
        _ => Err(Malformed("data.topics", "holds more than 100 names")),
    }
}

fn farewell(data: &Data) -> Result<Farewell, Malformed> {
    if data.topics.is_some() {
        return Err(Malformed(
            "data.topics",
            "does not go with this type: name `topics` beside `data`",
        ));
    }
    let code = data.code.unwrap_or(CODE);
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        let help = "is not a close code that may be sent: choose one from 4000 to 4999";
        return Err(Malformed("data.code", help));
    }
    let reason: Arc<str> = data.reason.as_deref().unwrap_or("disconnected").into();
    match reason.len() > MAX_REASON {
        true => Err(Malformed("data.reason", "is longer than 123 bytes")),
        false => Ok(Farewell { code, reason }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::value::RawValue;

    fn order(kind: &str, users: &[&str], data: &str) -> Result<Option<Order>, String> {
        let event = Event {
            id: "e".into(),
            kind: kind.into(),
            topics: Default::default(),
            users: users.iter().map(|user| (*user).into()).collect(),
            except: Default::default(),
            data: RawValue::from_string(data.into()).unwrap(),
            ephemeral: false,
        };
        Order::of(&event).map_err(|malformed| malformed.to_string())
    }

    #[test]
    fn other_types_give_no_order() {
        assert_eq!(order("outrigger_join", &["1"], "null"), Ok(None));
        assert_eq!(order("chat.message", &[], "[]"), Ok(None));
    }

    #[test]
    fn orders_are_read() {
        let joined = order(
            "outrigger.join",
            &["1"],
            r#"{"topics": ["a"], "endpoint": "inbox"}"#,
        );
        let joined = joined.unwrap().unwrap();
        assert_eq!(joined.act, Act::Join(vec!["a".into()]));
        assert_eq!(joined.endpoint.as_deref(), Some("inbox"));
        let ended = order("outrigger.disconnect", &["1"], "null")
            .unwrap()
            .unwrap();
        assert!(matches!(ended.act, Act::Disconnect(farewell) if farewell.code == 4003));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let long = format!(r#"{{"reason": "{}"}}"#, "x".repeat(124));
        for (kind, users, data, reason) in [
            ("outrigger.nudge", &["1"][..], "null", "`type` is reserved"),
            ("outrigger.node.beat", &["1"], "null", "`type` is reserved"),
            (
                "outrigger.join",
                &[],
                r#"{"topics":["a"]}"#,
                "`users` is missing",
            ),
            ("outrigger.join", &["1"], "null", "`data.topics` is missing"),
            (
                "outrigger.leave",
                &["1"],
                r#"{"topics":[1]}"#,
                "`data` must be",
            ),
            (
                "outrigger.leave",
                &["1"],
                r#"{"topics":[""]}"#,
                "`data.topics` must hold",
            ),
            (
                "outrigger.join",
                &["1"],
                r#"{"topics":["a"],"code":1}"#,
                "`data` must be",
            ),
            (
                "outrigger.disconnect",
                &["1"],
                r#"{"code":1006}"#,
                "`data.code` is not",
            ),
            (
                "outrigger.disconnect",
                &["1"],
                r#"{"topics":["a"]}"#,
                "`data.topics` does not",
            ),
            (
                "outrigger.disconnect",
                &["1"],
                &long,
                "`data.reason` is longer",
            ),
            ("outrigger.disconnect", &["1"], "[]", "`data` must be"),
        ] {
            let said = order(kind, users, data).unwrap_err();
            assert!(said.starts_with(reason), "{said}");
        }
    }
}
