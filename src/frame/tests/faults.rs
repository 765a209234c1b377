//! What is wrong in a template is told when it is compiled, with its place.

use serde_json::json;

use super::*;

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
    assert_eq!(faults[0].at, Some(1..6));
}

#[test]
fn what_is_wrong_in_a_string_has_its_place_in_it() {
    for (text, at, message) in [
        ("ab {dta.x}", "dta.x", "{dta.x} is not known here"),
        ("{data.x | dflt 0}", "dflt", "`dflt` is not a filter"),
        ("{data.x | default}", "default", "`default` has no value"),
        ("{data.x | default none}", "none", "`none` is not JSON"),
        (
            "{data.x | default \"a}",
            "\"a}",
            "this is not JSON, or does not end",
        ),
        ("{data.x | default 0 1}", "1", "`1` does not belong here"),
        ("{data.x text}", "text", "`text` does not belong here"),
        ("{data.x == }", "}", "there is nothing to compare with"),
        ("{data.x == userid}", "userid", "{userid} is not known here"),
        ("{data.x == 1 | text}", "|", "`|` does not belong here"),
        ("x {data.x", "{data.x", "`{data.x` is not closed"),
        (
            "x {data.x | text",
            "{data.x | text",
            "a brace is not closed",
        ),
        ("{\"a\": 1}", "{", "a brace that is not part of a {name}"),
        ("{now.utc}", "now.utc", "{now.utc} is not known here"),
    ] {
        let faults = Template::compile(&json!(text), JsonStyle::Compact, &everything());
        let fault = &faults.unwrap_err()[0];
        assert!(
            fault.message.starts_with(message),
            "{text}: {}",
            fault.message
        );
        assert_eq!(text.get(fault.at.clone().unwrap()), Some(at), "{text}");
    }
}

#[test]
fn a_key_that_can_never_be_left_out_is_a_fault() {
    for value in [
        json!(1),
        json!("{data.x == 1}"),
        json!("{data.x | default 1}"),
        json!("{now}"),
    ] {
        let tree = json!({"k?": value});
        let faults = Template::compile(&tree, JsonStyle::Compact, &everything()).unwrap_err();
        assert!(
            faults[0].message.starts_with("`k?` is never left out"),
            "{value}"
        );
    }
    for value in [
        json!(1),
        json!("x{data}"),
        json!("{data == 1}"),
        json!({"a": "{data}"}),
    ] {
        let tree = json!({"...": value});
        let faults = Template::compile(&tree, JsonStyle::Compact, &everything()).unwrap_err();
        assert!(
            faults[0]
                .message
                .starts_with("only an object can be spread"),
            "{value}"
        );
    }
}
