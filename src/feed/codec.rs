//! An event as the stores keep it: JSON in the form in which the webhook takes it, with
//! when it was accepted.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use smallvec::SmallVec;

use crate::event::{Event, Except, SessionName};

#[derive(Serialize, Deserialize)]
struct Kept<'a> {
    id: std::borrow::Cow<'a, str>,
    #[serde(rename = "type")]
    kind: std::borrow::Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    topics: Vec<std::borrow::Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    users: Vec<std::borrow::Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    except_users: Vec<std::borrow::Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    except_sessions: Vec<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    ephemeral: bool,
    /// Unix milliseconds.
    at: u64,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// The text of an event that was accepted at a time.
pub(super) fn encode(event: &Event, at: SystemTime) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let kept = Kept {
        id: event.id.as_str().into(),
        kind: event.kind.as_str().into(),
        topics: event
            .topics
            .iter()
            .map(|topic| topic.as_str().into())
            .collect(),
        users: event
            .users
            .iter()
            .map(|user| user.as_str().into())
            .collect(),
        except_users: event
            .except
            .users
            .iter()
            .map(|user| user.as_str().into())
            .collect(),
        except_sessions: event
            .except
            .sessions
            .iter()
            .map(ToString::to_string)
            .collect(),
        ephemeral: event.ephemeral,
        at: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
        data: &event.data,
    };
    // Names are texts and data is JSON already: nothing can fail.
    serde_json::to_string(&kept).unwrap_or_default()
}

/// The event of a text, and when it was accepted.
///
/// # Errors
/// It is none.
pub(super) fn decode(text: &str) -> Result<(Event, SystemTime), serde_json::Error> {
    let kept: Kept<'_> = serde_json::from_str(text)?;
    fn names<T: From<String>, C: FromIterator<T>>(names: Vec<std::borrow::Cow<'_, str>>) -> C {
        names
            .into_iter()
            .map(|name| T::from(name.into_owned()))
            .collect()
    }
    let sessions: SmallVec<_> = kept
        .except_sessions
        .iter()
        .filter_map(|name| SessionName::read(name))
        .collect();
    let event = Event {
        id: kept.id.into_owned().into(),
        kind: kept.kind.into_owned().into(),
        topics: names(kept.topics),
        users: names(kept.users),
        except: Except {
            users: names(kept.except_users),
            sessions,
        },
        data: kept.data.to_owned(),
        ephemeral: kept.ephemeral,
    };
    let at = UNIX_EPOCH.checked_add(Duration::from_millis(kept.at));
    Ok((event, at.unwrap_or(UNIX_EPOCH)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_survives_its_text() {
        let event = Event {
            id: "é\"1".into(),
            kind: "chat.message".into(),
            topics: [crate::event::Topic::from("a"), "b\\".into()]
                .into_iter()
                .collect(),
            users: ["7".into()].into_iter().collect(),
            except: Except {
                users: ["8".into()].into_iter().collect(),
                sessions: [SessionName(17)].into_iter().collect(),
            },
            data: RawValue::from_string(r#"{"a":1.50, "b":"\u00e9"}"#.into()).unwrap(),
            ephemeral: true,
        };
        let at = UNIX_EPOCH + Duration::from_millis(1_763_700_000_123);
        let (read, when) = decode(&encode(&event, at)).unwrap();
        assert_eq!(when, at);
        assert_eq!(format!("{read:?}"), format!("{event:?}"));
    }
}
