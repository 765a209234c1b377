//! What templates promise.

mod faults;

use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use serde_json::{json, value::RawValue};

use super::*;
use crate::event::{Event, SessionName};

pub(super) fn everything() -> Vocabulary {
    Vocabulary {
        event: true,
        client: true,
        message: true,
        answer: true,
        problem: true,
        online: true,
        params: vec!["chat_id".into()],
        lookups: vec!["me".into()],
    }
}

pub(super) fn event(data: &str) -> Event {
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

pub(super) fn client() -> Client {
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
        online: Some(Online::new(|what| match what {
            Roster::List => json!([42, "zoe"]),
            Roster::Count => json!(3),
        })),
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
            problem: None,
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
fn who_is_online_is_asked_where_it_is_spoken_of() {
    let tree = json!({"users": "{online}", "text": "{online.count} are here"});
    assert_eq!(
        render(&tree, JsonStyle::Python, "{}"),
        r#"{"users": [42, "zoe"], "text": "3 are here"}"#
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

#[test]
fn a_path_never_leads_elsewhere_by_what_is_filled_in() {
    let path = |text: &str, value: &str| {
        let message = json!({ "id": value });
        let scope = Scope {
            message: Some(&message),
            ..Scope::default()
        };
        let text = Text::compile(text, &everything()).unwrap();
        text.render_path(&scope).ok()
    };
    for text in [
        "/rooms/{message.id}/",
        "/rooms/{message.id}",
        "/{message.id}/x?q=1",
    ] {
        assert!(path(text, "7").is_some());
        for value in ["", ".", ".."] {
            assert_eq!(path(text, value), None, "{text} with {value:?}");
        }
    }
    assert_eq!(
        path("/rooms//a{message.id}/", "").as_deref(),
        Some("/rooms//a/")
    );
    assert_eq!(
        path("/find?q={message.id}", "").as_deref(),
        Some("/find?q=")
    );
}

/// What one string becomes, with data that holds a bit of everything.
fn one(text: &str, style: JsonStyle) -> String {
    let data = r#"{"id": 42, "text": "42", "float": 1.0, "exp": 1e5, "none": null, "o": {"é": [1, 2]}, "yes": true}"#;
    render(&json!(text), style, data)
}

#[test]
fn filters_make_other_values() {
    for (text, expected) in [
        ("{data.gone | default 0}", "0"),
        ("{data.none | default \"a | }\"}", r#""a | }""#),
        ("{data.id | default 0}", "42"),
        ("{data.gone | default {\"a\": {}}}", r#"{"a":{}}"#),
        ("{data.gone|default [1]|json}", r#""[1]""#),
        ("{data.id | text}", r#""42""#),
        ("{data.text | text}", r#""42""#),
        ("{data.yes | text}", r#""true""#),
        ("{data.none | text}", "null"),
        ("{data.float | text}", r#""1.0""#),
        ("{data.text | int}", "42"),
        ("{data.exp | int}", "100000"),
        ("{data.o | int | default -1}", "-1"),
        ("{data.o | json}", r#""{\"é\":[1,2]}""#),
        ("{data.gone | json}", "null"),
        ("{data.exp}", "1e5"),
        ("is {data.gone | default \"nobody\"}", r#""is nobody""#),
    ] {
        assert_eq!(one(text, JsonStyle::Compact), expected, "{text}");
    }
    let python = one("{data.o | json}", JsonStyle::Python);
    assert_eq!(python, r#""{\"\\u00e9\": [1, 2]}""#);
}

#[test]
fn comparisons_are_true_or_false() {
    for (text, expected) in [
        ("{data.id == user.id}", "true"),
        ("{data.text == user.id}", "true"),
        ("{data.id!=user.id}", "false"),
        ("{data.id == 42}", "true"),
        ("{data.id == \"42\"}", "true"),
        ("{data.gone == null}", "true"),
        ("{data.yes == true}", "true"),
        ("{data.yes == \"true\"}", "false"),
        ("{data.o == {\"é\": [1,2]}}", "true"),
        ("mine: {data.id == user.id}", r#""mine: true""#),
    ] {
        assert_eq!(one(text, JsonStyle::Python), expected, "{text}");
    }
}

#[test]
fn an_optional_key_is_left_out_when_its_value_is_absent() {
    let tree = json!({
        "a?": "{data.gone}",
        "b?": "{data.none}",
        "c?": "by {data.gone}",
        "d?": {"id": "{data.gone}", "of": "{data.id}"},
        "e?": {"id": "{data.gone}", "kind": "x"},
        "f??": 1,
        "g?": ["{data.gone}"],
    });
    let data = r#"{"none": null, "id": 1}"#;
    assert_eq!(
        render(&tree, JsonStyle::Python, data),
        r#"{"b": null, "d": {"id": null, "of": 1}, "f?": 1}"#
    );
    assert_eq!(
        render(&json!({"a?": "{data.x}"}), JsonStyle::Python, "{}"),
        "{}"
    );
    assert_eq!(
        render(&json!({"f??": 1}), JsonStyle::Compact, "{}"),
        r#"{"f?":1}"#
    );
}

#[test]
fn a_spread_keeps_first_places_and_takes_last_values() {
    let tree = json!({"type": "x", "id": 0, "...": "{data}", "id?": "{data.gone}", "at": 5});
    let wrong = Template::compile(&tree, JsonStyle::Python, &everything()).unwrap_err();
    assert_eq!(
        wrong[0].message,
        "`id` is here with and without a ?: write it once"
    );

    let tree =
        json!({"type": "x", "id": 0, "...": "{data}", "at": 5, "é": 6, "late?": "{data.id}"});
    let data = r#"{ "\u00e9": 1, "at": "old", "id": 1e2, "id": 1.0, "\ud800": {"a" : 1} }"#;
    assert_eq!(
        render(&tree, JsonStyle::Python, data),
        r#"{"type": "x", "id": 1.0, "\u00e9": 6, "at": 5, "\ud800": {"a": 1}, "late": 1.0}"#
    );
    let both = json!({"...": ["{data}", "{me}"], "a?": "{data.gone}"});
    assert_eq!(
        render(&both, JsonStyle::Compact, r#"{"username": 1}"#),
        r#"{"username":"Zoë \"Z\""}"#
    );
    for data in ["null", "[1]", "\"x\"", "3", "{}"] {
        let tree = json!({"...": "{data}", "k": 1});
        assert_eq!(
            render(&tree, JsonStyle::Compact, data),
            r#"{"k":1}"#,
            "{data}"
        );
    }
}

#[test]
fn a_text_takes_the_filters_that_make_texts() {
    let scope = |data: &str| event(data);
    let text = Text::compile("chat_{data.id | default \"all\"}", &everything()).unwrap();
    for (data, expected) in [
        ("{\"id\": 7}", "chat_7"),
        ("{}", "chat_all"),
        ("{\"id\": null}", "chat_all"),
    ] {
        let event = scope(data);
        let scope = Scope {
            event: Some(&event),
            ..Scope::default()
        };
        assert_eq!(text.render(&scope).unwrap(), expected);
    }
    for wrong in ["{data.id | int}", "{data.id | json}", "{data.id == 1}"] {
        assert!(Text::compile(wrong, &everything()).is_err(), "{wrong}");
    }
}

#[test]
fn a_comparison_with_the_client_is_personal() {
    let personal = |text: &str| {
        Template::compile(
            &json!({"a?": "{data.x}", "k": text}),
            JsonStyle::Compact,
            &everything(),
        )
        .unwrap()
        .is_personal()
    };
    assert!(personal("{data.x == user.id}"));
    assert!(personal("{session.id | default 1}"));
    assert!(!personal("{data.x == 1}"));
    assert!(!personal("{now}"));
}
