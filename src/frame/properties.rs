//! What holds for any template and any data.

use proptest::prelude::*;
use serde_json::{Value, json, value::RawValue};

use super::{
    JsonStyle, Scope, Template, Text,
    tests::{client, event, everything},
};

/// Any JSON text, also such that serde's own tree cannot hold.
fn any_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("1e999".to_owned()),
        Just(r#""\ud800""#.to_owned()),
        any::<f64>().prop_map(|number| json!(number).to_string()),
        any::<String>().prop_map(|text| json!(text).to_string()),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let key = prop_oneof![
            "[a-c]".prop_map(|key| json!(key).to_string()),
            any::<String>().prop_map(|key| json!(key).to_string()),
            Just(r#""\udfff""#.to_owned()),
            Just(r#""\u0061""#.to_owned()),
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|items| format!("[{}]", items.join(" , "))),
            prop::collection::vec((key, inner), 0..4).prop_map(|members| {
                let members = members
                    .iter()
                    .map(|(key, value)| format!("{key} : {value}"));
                format!("{{{}}}", members.collect::<Vec<_>>().join(","))
            }),
        ]
    })
}

/// Strings that are likely to be templates.
fn any_text() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "{",
        "}",
        "{{",
        "data",
        ".a",
        ".b",
        " | ",
        "default ",
        "text",
        "int",
        "json",
        "0",
        "\"x\"",
        "{}",
        "[",
        " == ",
        "!=",
        "user.id",
        "now",
        "answer",
        "message.text",
        "é",
        " ",
        "{data.a}",
        "{data}",
        "{user.id}",
        "{data.b | default 1}",
        "{data.a == data.b}",
    ]);
    prop_oneof![
        prop::collection::vec(word, 0..7).prop_map(|words| words.concat()),
        any::<String>(),
    ]
}

fn any_tree() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any_text().prop_map(Value::from),
        any::<i64>().prop_map(Value::from)
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let key = prop::sample::select(vec!["a", "a?", "b", "b?", "c??", "...", "\"é"]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..4).prop_map(|members| {
                Value::Object(
                    members
                        .into_iter()
                        .map(|(key, value)| (key.to_owned(), value))
                        .collect(),
                )
            }),
        ]
    })
}

proptest! {
    #[test]
    fn any_template_and_any_data_are_an_error_or_valid_json(
        tree in any_tree(),
        data in any_json(),
        python in any::<bool>(),
    ) {
        let style = if python { JsonStyle::Python } else { JsonStyle::Compact };
        if let Ok(template) = Template::compile(&tree, style, &everything()) {
            let event = event(&data);
            let client = client();
            for client in [None, Some(&client)] {
                let out = template.render(&Scope { event: Some(&event), client, ..Scope::default() });
                prop_assert!(serde_json::from_str::<&RawValue>(&out).is_ok(), "{}", out);
                let mut again = String::new();
                style.write_raw(&out, &mut again);
                prop_assert_eq!(out, again);
            }
        }
    }

    #[test]
    fn any_text_is_an_error_with_its_place_or_a_text(text in any_text()) {
        match Text::compile(&text, &everything()) {
            Ok(compiled) => drop(compiled.render_path(&Scope::default())),
            Err(fault) => prop_assert!(text.get(fault.at.unwrap()).is_some()),
        }
        if let Err(faults) = Template::compile(&json!(text), JsonStyle::Compact, &everything()) {
            prop_assert!(text.get(faults[0].at.clone().unwrap()).is_some());
        }
    }
}
