//! A stream that begins where its client was.

use serde_json::json;

use super::{endpoint, open};
use crate::harness::{Events, Stage, as_user};

#[tokio::test]
async fn who_names_the_last_id_gets_what_came_after_it() {
    let stage = Stage::new(&endpoint("")).await;
    let mut stream = open(&stage, 1, &[]).await;
    stage.tell("user_1", "news", &json!({"n": 1})).await;
    stage.tell("user_1", "news", &json!({"n": 2})).await;
    let first = stream.next().await.unwrap().id;
    stream.reset();
    for (topic, n) in [("user_2", 3), ("news", 4)] {
        stage.tell(topic, "news", &json!({ "n": n })).await;
    }
    let mut by_header = open(&stage, 1, &[("Last-Event-ID", &first)]).await;
    let target = format!("{}&since={first}", as_user("/ws/news", 1));
    let mut by_query = Events::open(stage.outrigger.addr(), &target, &[]).await;
    stage.tell("news", "news", &json!({"n": 5})).await;
    for stream in [&mut by_header, &mut by_query] {
        for n in [2, 4, 5] {
            assert_eq!(stream.json().await["n"], n);
        }
    }
}

#[tokio::test]
async fn who_was_elsewhere_is_told_that_history_is_lost() {
    let own = "history_lost = { type = \"reload\", of = \"{user.id}\" }";
    for (more, words) in [("", "{}"), (own, r#"{"type":"reload","of":1}"#)] {
        let stage = Stage::new(&endpoint(more)).await;
        for elsewhere in ["1f.0-3", "17"] {
            let mut stream = open(&stage, 1, &[("Last-Event-ID", elsewhere)]).await;
            let lost = stream.next().await.unwrap();
            assert_eq!(
                (lost.kind.as_str(), lost.data.as_str()),
                ("history_lost", words)
            );
            assert_ne!(lost.id, elsewhere, "from where it goes on");
            stage.tell("news", "news", &json!({"n": 1})).await;
            assert_eq!(stream.json().await["n"], 1);
        }
    }
}
