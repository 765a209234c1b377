//! What templates promise.

use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use serde_json::{json, value::RawValue};

use super::*;
use crate::event::{Event, SessionName};

fn everything() -> Vocabulary {
    Vocabulary {
        event: true,
        client: true,
        message: true,
        answer: true,
        params: vec!["chat_id".into()],
        lookups: vec!["me".into()],
    }
}

fn event(data: &str) -> Event {
    Event {
        id: "e1".into(),
        kind: "chat.message".into(),
        topics: Default::default(),
        users: Default::default(),
        except: Default::default(),
        data: RawValue::from_string(data.into()).unwrap(),
        ephemeral: false,
    }
}

fn client() -> Client {
    Client {
        session: Some(SessionName(0xa1)),
        user: Some("42".into()),
        user_value: Some(json!(42)),
        claims: json!({"token_type": "access"})
            .as_object()
            .cloned()
            .map(Arc::new),
        params: vec![("chat_id".into(), json!(7))],
        lookups: json!({"me": {"username": "Zoë \"Z\""}})
            .as_object()
            .cloned()
            .unwrap(),
    }
}

fn render(tree: &Value, style: JsonStyle, data: &str) -> String {
    let message = json!({"text": "hi"});
    Template::compile(tree, style, &everything())
        .unwrap()
        .render(&Scope {
            event: Some(&event(data)),
            client: Some(&client()),
            message: Some(&message),
            answer: Some(&json!({"id": 9})),
            now: Some(UNIX_EPOCH + Duration::from_millis(1_500)),
        })
}

#[test]
fn a_lone_reference_is_the_value_itself() {
    let tree = json!({"type": "notification", "notification": "{data.notification}"});
    let data = r#"{ "other": 1, "notification": {"id": 12345678901234567890, "x": 1.0} }"#;
    assert_eq!(
        render(&tree, JsonStyle::Python, data),
        r#"{"type": "notification", "notification": {"id": 12345678901234567890, "x": 1.0}}"#
    );
}

#[test]
fn a_reference_within_a_string_is_text_and_cannot_break_out() {
    let tree = json!({"m": "{me.username} in {chat_id}: {message.text} {{x}}", "n": ["{user.id}"]});
    assert_eq!(
        render(&tree, JsonStyle::Compact, "{}"),
        r#"{"m":"Zoë \"Z\" in 7: hi {x}","n":[42]}"#
    );
}

#[test]
fn the_moment_the_session_and_the_answer_have_names() {
    let tree = json!([
        "{now.z}",
        "{now.unix}",
        "{session.id}",
        "{answer.id}",
        "{answer}"
    ]);
    assert_eq!(
        render(&tree, JsonStyle::Compact, "{}"),
        r#"["1970-01-01T00:00:01.500000Z",1,"000000000000000000000000000000a1",9,{"id":9}]"#
    );
}

#[test]
fn what_is_missing_is_null_or_nothing() {
    let tree = json!({"a": "{data.x.y}", "b": "<{data.z}>", "c": "{data.list.1}"});
    assert_eq!(
        render(&tree, JsonStyle::Compact, r#"{"x":[],"list":[1,{"k":2}]}"#),
        r#"{"a":null,"b":"<>","c":{"k":2}}"#
    );
}

#[test]
fn only_what_depends_on_the_client_is_personal() {
    let personal = |tree| {
        Template::compile(&tree, JsonStyle::Compact, &everything())
            .unwrap()
            .is_personal()
    };
    assert!(!personal(json!({"a": "{data.x}", "b": "{event.id}"})));
    assert!(personal(json!({"a": "{user.id}"})));
}

#[test]
fn every_unknown_name_is_reported_with_its_place() {
    let tree = json!({"a": ["ok", "{dta.x}"], "b": "{"});
    let faults = Template::compile(
        &tree,
        JsonStyle::Compact,
        &Vocabulary {
            event: true,
            ..Vocabulary::default()
        },
    );
    let faults = faults.unwrap_err();
    assert_eq!(faults[0].path, ["a", "1"]);
    assert_eq!(
        faults[0].message,
        "{dta.x} is not known here; known are: data, event.id, event.type, now"
    );
    assert_eq!(faults[1].path, ["b"]);
}

#[test]
fn a_path_is_filled_in_without_adding_segments() {
    let text = Text::compile("/api/{message.text}/?u={user.id}", &everything()).unwrap();
    let message = json!({"text": "../a b?é"});
    let client = client();
    let scope = Scope {
        message: Some(&message),
        client: Some(&client),
        ..Scope::default()
    };
    assert_eq!(
        text.render_path(&scope).unwrap(),
        "/api/..%2Fa%20b%3F%C3%A9/?u=42"
    );
    let nothing = Scope::default();
    assert!(text.render(&nothing).is_err());
}

mod prop {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_template_is_an_error_or_valid_json(text in "[{}a-z.\"\\\\ ]{0,12}", data in any::<String>()) {
            let tree = json!({"k": text});
            let data = json!({"a": data}).to_string();
            if let Ok(template) = Template::compile(&tree, JsonStyle::Python, &everything()) {
                let out = template.render(&Scope { event: Some(&event(&data)), ..Scope::default() });
                prop_assert!(serde_json::from_str::<Value>(&out).is_ok(), "{}", out);
            }
        }
    }
}
