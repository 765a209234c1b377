//! Events as apps write them, right and wrong.

use proptest::prelude::*;

use super::*;

fn read(json: &str) -> Result<Event, String> {
    let raw: &RawValue = serde_json::from_str(json).unwrap();
    let (draft, result) = Draft::read(raw);
    result
        .and_then(|()| draft.finish("default".into()))
        .map_err(|rejected| rejected.to_string())
}

fn wrong(json: &str) -> String {
    read(json).unwrap_err()
}

#[test]
fn an_event_is_read_and_its_payload_left_as_it_came() {
    let event = read(
        r#" {"id": "e1", "type": "chat.message", "topics": ["a", "b", "a"], "users": [42, "7", -1, 7],
            "except": {"users": [9]}, "data": {"x": 1.50,  "y": "\u00e9", "x": 2}, "ephemeral": true} "#,
    )
    .unwrap();
    assert_eq!(event.id.as_str(), "e1");
    assert_eq!(event.kind.as_str(), "chat.message");
    assert_eq!(event.topics[..], ["a".into(), "b".into()]);
    assert_eq!(event.users[..], ["42".into(), "7".into(), "-1".into()]);
    assert_eq!(event.except.users[..], ["9".into()]);
    assert_eq!(event.data.get(), r#"{"x": 1.50,  "y": "\u00e9", "x": 2}"#);
    assert!(event.ephemeral);
}

#[test]
fn what_is_left_out_or_null_has_a_default() {
    let json = r#"{"id":null,"type":"t","topics":["a"],"users":null,"except":null,"data":null,"ephemeral":null}"#;
    for json in [json, r#"{"type":"t","topics":["a"]}"#] {
        let event = read(json).unwrap();
        assert_eq!(event.id.as_str(), "default");
        assert_eq!(event.data.get(), "null");
        assert!(event.users.is_empty() && !event.ephemeral);
    }
}

#[test]
fn what_is_wrong_is_named() {
    for (json, reason) in [
        ("[]", "an event is a JSON object"),
        ("null", "an event is a JSON object"),
        (
            r#"{"type":"t"}"#,
            "it is for nobody: give `topics` or `users`",
        ),
        (
            r#"{"type":"t","topics":[]}"#,
            "it is for nobody: give `topics` or `users`",
        ),
        (r#"{"topics":["a"]}"#, "`type` is missing"),
        (r#"{"type":"t","topics":"a"}"#, "`topics` must be a list"),
        (r#"{"type":"t","topics":[1]}"#, "`topics` must be a text"),
        (r#"{"type":7,"topics":["a"]}"#, "`type` must be a text"),
        (
            r#"{"type":"t","users":[{}]}"#,
            "`users` must hold whole numbers or texts of 1 to 255 bytes",
        ),
        (
            r#"{"type":"t","users":[1.5]}"#,
            "`users` must hold whole numbers or texts of 1 to 255 bytes",
        ),
        (r#"{"type":"t","type":"u"}"#, "`type` is given twice"),
        (r#"{"type":"t","\u0074ype":"u"}"#, "`type` is given twice"),
        (
            r#"{"type":"t","ephemeral":1}"#,
            "`ephemeral` must be true or false",
        ),
        (
            r#"{"type":"t","except":[7]}"#,
            "`except` must be an object with `users`",
        ),
        (r#"{"type":"t","\ud800":1}"#, "`a key` is not valid text"),
        (r#"{"type":"\ud800"}"#, "`type` must be a text"),
    ] {
        assert_eq!(wrong(json), reason, "{json}");
    }
    for text in ["", r"a\nb", r"\u0085", &"x".repeat(256)] {
        let json = format!(r#"{{"type":"{text}","topics":["a"]}}"#);
        let reason = "`type` must be 1 to 255 bytes without control characters";
        assert_eq!(wrong(&json), reason);
    }
}

#[test]
fn unknown_keys_are_named_and_cut_short() {
    assert!(wrong(r#"{"type":"t","topic":["a"]}"#).starts_with("`topic` is not a key"));
    assert!(wrong(r#"{"except":{"sessions":[1]}}"#).starts_with("`except.sessions` is not"));
    assert!(wrong(&format!(r#"{{"{}":1}}"#, "k".repeat(10_000))).len() < 200);
}

#[test]
fn an_empty_audience_does_not_become_everybody() {
    let reason = wrong(r#"{"type":"t","topics":["a"],"users":[]}"#);
    assert!(reason.starts_with("`users` is an empty list"), "{reason}");
    assert!(read(r#"{"type":"t","topics":[],"users":[1]}"#).is_ok());
    assert!(read(r#"{"type":"t","topics":["a"],"except":{"users":[]}}"#).is_ok());
}

#[test]
fn lists_are_bounded() {
    let list = |key: &str, n: usize| {
        let items: Vec<_> = (0..n).map(|n| format!(r#""{n}""#)).collect();
        format!(r#"{{"type":"t","{key}":[{}]}}"#, items.join(","))
    };
    assert!(read(&list("topics", 100)).is_ok());
    assert_eq!(
        wrong(&list("topics", 101)),
        "`topics` holds more than 100 names"
    );
    assert!(read(&list("users", 1000)).is_ok());
    assert_eq!(
        wrong(&list("users", 1001)),
        "`users` holds more than 1,000 users"
    );
}

#[test]
fn depth_is_bounded_and_costs_no_stack() {
    let nested = |n: usize| {
        format!(
            r#"{{"type":"t","topics":["a"],"data":{}{}}}"#,
            "[".repeat(n),
            "]".repeat(n)
        )
    };
    assert!(read(&nested(100)).is_ok());
    assert_eq!(
        wrong(&nested(101)),
        "`data` is nested deeper than 100 levels"
    );
    assert_eq!(
        wrong(&nested(1_000_000)),
        "`data` is nested deeper than 100 levels"
    );
    assert!(read(r#"{"type":"t","topics":["a"],"data":"[[\"{{"}"#).is_ok());
    let deep = "[".repeat(500_000) + &"]".repeat(500_000);
    assert!(wrong(&format!(r#"{{"type":{deep}}}"#)).contains("`type`"));
    assert!(wrong(&format!(r#"{{"users":[{deep}]}}"#)).contains("`users`"));
    assert!(wrong(&format!(r#"{{"ephemeral":{deep}}}"#)).contains("`ephemeral`"));
}

#[test]
fn the_id_is_known_even_if_something_is_wrong() {
    let raw = RawValue::from_string(r#"{"nope":1,"id":"e1"}"#.into()).unwrap();
    let (draft, result) = Draft::read(&raw);
    assert!(result.is_err());
    assert_eq!(draft.id, Some("e1".into()));
}

proptest! {
    #[test]
    fn no_json_panics(json in r#"(\{|\}|\[|\]|:|,|"type"|"users"|"data"|"x"|1|-1|1e9|null|true| ){0,30}"#) {
        if let Ok(raw) = serde_json::from_str::<&RawValue>(&json) {
            let (draft, result) = Draft::read(raw);
            let event = result.and_then(|()| draft.finish("x".into()));
            prop_assert!(event.is_err() || json.contains("users"));
        }
    }
}
