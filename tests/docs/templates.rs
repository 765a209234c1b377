//! The table of templates in docs/configuration.md, row by row.

use std::sync::Arc;

use outrigger::{
    event::{Event, Kind, SessionName},
    frame::{Client, JsonStyle, Scope, Template, Vocabulary},
};
use serde_json::{Value, json, value::RawValue};

use super::{doc, table};

const DOC: &str = "docs/configuration.md";

#[derive(serde::Deserialize)]
struct Shown {
    r#type: String,
    data: Box<RawValue>,
}

fn event() -> Event {
    let doc = doc(DOC);
    let shown = doc
        .blocks()
        .find(|block| block.is("json"))
        .expect("the event of the examples");
    let shown: Shown = serde_json::from_str(&shown.text).unwrap();
    Event {
        id: "1".into(),
        kind: Kind::from(shown.r#type),
        topics: Default::default(),
        users: Default::default(),
        except: Default::default(),
        data: shown.data,
        ephemeral: false,
    }
}

fn client() -> Client {
    Client {
        session: Some(SessionName(1)),
        user: Some("42".into()),
        user_value: Some(json!(42)),
        claims: json!({"role": "admin"}).as_object().cloned().map(Arc::new),
        ..Client::default()
    }
}

#[test]
fn each_row_sends_what_it_says() {
    let known = Vocabulary {
        event: true,
        client: true,
        ..Vocabulary::default()
    };
    let (event, client) = (event(), client());
    let scope = Scope {
        event: Some(&event),
        client: Some(&client),
        ..Scope::default()
    };
    let rows = table(DOC, "| written | sent |");
    assert!(rows.len() >= 20);
    for row in rows {
        let [written, sent] = [0, 1].map(|cell| row[cell].trim_matches('`'));
        let tree: toml::Table = toml::from_str(&format!("it = {{ {written} }}")).unwrap();
        let tree: Value = serde_json::to_value(&tree["it"]).unwrap();
        let template = Template::compile(&tree, JsonStyle::Python, &known);
        let template = template.unwrap_or_else(|faults| panic!("{written}: {faults:?}"));
        assert_eq!(template.render(&scope), sent, "{written}");
    }
}
