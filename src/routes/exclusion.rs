//! Who of those who hear an event is sent no frame for it, by what the event says.

use std::collections::HashMap;

use crate::{
    event::{Event, Kind, SessionName, UserId},
    frame::{Scope, Text},
};

/// Event types and whom they leave out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exclusions {
    by_kind: HashMap<Box<str>, Exclusion>,
    default: Option<Exclusion>,
}

/// Whom one event type leaves out.
#[derive(Clone, Debug, PartialEq)]
pub struct Exclusion {
    /// The user of this id, on all sockets.
    pub user: Option<Text>,
    /// The session of this name only.
    pub session: Option<Text>,
}

/// Whom one event leaves out.
#[derive(Debug, Default)]
pub struct LeftOut {
    user: Option<String>,
    session: Option<SessionName>,
}

impl Exclusions {
    /// Adds a type; `*` is every type that is not named.
    pub fn insert(&mut self, kind: &str, exclusion: Exclusion) {
        if kind == "*" {
            self.default = Some(exclusion);
        } else {
            let kind = Kind::from(kind).folded().into();
            self.by_kind.insert(kind, exclusion);
        }
    }

    /// The rule for a type, if there is one.
    pub fn get(&self, kind: &Kind) -> Option<&Exclusion> {
        // Most endpoints have none, and every delivery asks.
        if self.by_kind.is_empty() {
            return self.default.as_ref();
        }
        self.by_kind.get(&*kind.folded()).or(self.default.as_ref())
    }
}

impl Exclusion {
    /// Whom an event leaves out. What it does not name leaves out nobody.
    pub fn of(&self, event: &Event) -> LeftOut {
        let scope = Scope {
            event: Some(event),
            ..Scope::default()
        };
        let named = |text: &Option<Text>| text.as_ref()?.render(&scope).ok();
        LeftOut {
            user: named(&self.user),
            session: named(&self.session).and_then(|name| SessionName::read(&name)),
        }
    }
}

impl LeftOut {
    /// Whether a client is among them.
    pub fn has(&self, user: Option<&UserId>, session: Option<SessionName>) -> bool {
        let user = user.map(UserId::as_str);
        (user.is_some() && user == self.user.as_deref())
            || (session.is_some() && session == self.session)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::frame::{Client, Vocabulary};

    fn text(text: &str) -> Option<Text> {
        let known = Vocabulary {
            event: true,
            ..Vocabulary::default()
        };
        Text::compile(text, &known).ok()
    }

    fn left_out(data: &str, client: &Client) -> bool {
        let exclusion = Exclusion {
            user: text("{data.user}"),
            session: text("{data.session}"),
        };
        let event = Event {
            id: "1".into(),
            kind: "typing".into(),
            topics: Default::default(),
            users: Default::default(),
            except: Default::default(),
            data: RawValue::from_string(data.into()).unwrap(),
            ephemeral: false,
        };
        exclusion
            .of(&event)
            .has(client.user.as_ref(), client.session)
    }

    #[test]
    fn whom_the_event_names_is_left_out_and_nobody_else() {
        let client = Client {
            user: Some("42".into()),
            session: Some(SessionName(0xab)),
            ..Client::default()
        };
        let session = format!(r#"{{"session": "{}"}}"#, SessionName(0xab));
        for data in [r#"{"user": 42}"#, r#"{"user": "42"}"#, &session] {
            assert!(left_out(data, &client), "{data}");
            assert!(!left_out(data, &Client::default()), "{data}");
        }
        for data in [
            "{}",
            "null",
            r#"{"user": null}"#,
            r#"{"user": [42]}"#,
            r#"{"session": "ab"}"#,
        ] {
            assert!(!left_out(data, &client), "{data}");
            assert!(!left_out(data, &Client::default()), "{data}");
        }
    }

    #[test]
    fn a_type_has_its_own_rule_or_that_of_all_others() {
        let mut rules = Exclusions::default();
        assert_eq!(rules.get(&"chat.typing".into()), None);
        let rule = |user: &str| Exclusion {
            user: text(user),
            session: None,
        };
        rules.insert("*", rule("{data.a}"));
        assert_eq!(rules.get(&"chat.typing".into()), Some(&rule("{data.a}")));
        rules.insert("chat_typing", rule("{data.b}"));
        assert_eq!(rules.get(&"chat.typing".into()), Some(&rule("{data.b}")));
        assert_eq!(rules.get(&"x".into()), Some(&rule("{data.a}")));
    }
}
