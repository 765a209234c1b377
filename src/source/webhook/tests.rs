//! The webhook as a sender sees it: requests in, status and JSON out.

use std::{sync::Arc, time::UNIX_EPOCH};

use http::Request;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{event::Offset, feed, secret::Secret};

const NOW: u64 = 1_763_700_000;
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

struct Door {
    rules: routes::Webhook,
    feed: Arc<Feed>,
    metrics: Arc<Metrics>,
}

struct Reply {
    status: u16,
    headers: HeaderMap,
    json: Value,
}

impl Door {
    fn open() -> Self {
        let metrics = Metrics::new();
        let settings = feed::Settings::memory(Duration::from_secs(600), 100, 1 << 20);
        Self {
            rules: routes::Webhook {
                secrets: vec![Secret::new(SECRET)],
                tolerance: Duration::from_secs(300),
                max_body: 4096,
            },
            feed: Feed::new(settings, metrics.clone()),
            metrics,
        }
    }

    async fn send(&self, request: Request<String>) -> Reply {
        let (head, body) = request.into_parts();
        let now = UNIX_EPOCH + Duration::from_secs(NOW);
        let answer = receive(
            &self.rules,
            &self.feed,
            &self.metrics,
            &head,
            body.into(),
            now,
        );
        let (head, body) = answer.await.into_parts();
        Reply {
            status: head.status.as_u16(),
            headers: head.headers,
            json: serde_json::from_slice(&body).unwrap(),
        }
    }

    async fn post(&self, body: &str) -> Reply {
        self.send(signed("m1", "application/json", body)).await
    }

    fn heard(&self) -> Vec<String> {
        match self.feed.recent(Offset::ZERO, 100).unwrap() {
            feed::Page::Entries { entries, .. } => entries
                .iter()
                .map(|entry| format!("{} {}", entry.event.id, entry.event.data.get()))
                .collect(),
            feed::Page::Lost { .. } => vec!["lost".into()],
        }
    }

    fn counted(&self, result: &'static str) -> u64 {
        let source = "webhook";
        let labels = Taken { source, result };
        self.metrics.events.get_or_create(&labels).get()
    }
}

fn signed(id: &str, media_type: &str, body: &str) -> Request<String> {
    let secret = Secret::new(SECRET);
    Request::post(routes::WEBHOOK_PATH)
        .header(CONTENT_TYPE, media_type)
        .header(signature::ID, id)
        .header(signature::TIMESTAMP, NOW)
        .header(
            signature::SIGNATURE,
            signature::sign(&secret, id, NOW, body.as_bytes()).unwrap(),
        )
        .body(body.to_owned())
        .unwrap()
}

fn event(data: u32) -> String {
    format!(r#"{{"type":"t","topics":["a"],"data":{data}}}"#)
}

#[tokio::test]
async fn one_event_is_in_the_feed_when_it_is_answered() {
    let door = Door::open();
    let reply = door.post(&event(1)).await;
    assert_eq!(reply.status, 202);
    let position = door.feed.head().to_string();
    assert_eq!(
        reply.json,
        json!({"results": [{"id": "m1", "result": "accepted", "position": position}]})
    );
    assert_eq!(reply.headers[CONTENT_TYPE], "application/json");
    assert_eq!(door.heard(), ["m1 1"]);
    assert_eq!(door.counted("accepted"), 1);
}

#[tokio::test]
async fn the_same_message_again_is_a_duplicate_at_the_same_position() {
    let door = Door::open();
    let first = door.post(&event(1)).await;
    let again = door.post(&event(1)).await;
    assert_eq!(again.status, 202);
    assert_eq!(again.json["results"][0]["result"], "duplicate");
    assert_eq!(
        again.json["results"][0]["position"],
        first.json["results"][0]["position"]
    );
    assert_eq!(door.heard().len(), 1);
    assert_eq!(door.counted("duplicate"), 1);
}

#[tokio::test]
async fn the_good_events_of_a_batch_are_taken_and_the_bad_named() {
    let door = Door::open();
    let own = r#"{"id":"own","type":"t","users":[7],"data":2}"#;
    let body = format!(
        r#"{{"events": [{}, {{"id":"bad","topics":[]}}, {own}, 5]}}"#,
        event(1)
    );
    let reply = door.post(&body).await;
    assert_eq!(reply.status, 202);
    let results = reply.json["results"].as_array().unwrap();
    let told: Vec<_> = results
        .iter()
        .map(|result| {
            (
                result["id"].as_str().unwrap(),
                result["result"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("m1.0", "accepted"),
            ("bad", "rejected"),
            ("own", "accepted"),
            ("m1.3", "rejected"),
        ]
    );
    assert_eq!(results[3]["reason"], "an event is a JSON object");
    assert_eq!(door.heard(), ["m1.0 1", "own 2"]);
    assert_eq!(door.counted("rejected"), 2);
}

#[tokio::test]
async fn nothing_taken_is_not_a_success() {
    let door = Door::open();
    for body in ["{}", "5", r#"{"events":[{},{}]}"#] {
        let reply = door.post(body).await;
        assert_eq!(reply.status, 422, "{body}");
        assert_eq!(reply.json["error"], "no event could be taken");
        assert_eq!(reply.json["results"][0]["result"], "rejected");
    }
    assert_eq!(door.post(r#"{"events":[]}"#).await.status, 202);
    assert!(door.heard().is_empty());
}

#[tokio::test]
async fn lines_are_a_batch_by_name_and_by_look() {
    for media_type in ["application/x-ndjson; charset=utf-8", "text/plain"] {
        let door = Door::open();
        let body = format!("{}\n\n{}\r\n", event(1), event(2));
        let reply = door.send(signed("m1", media_type, &body)).await;
        assert_eq!(reply.status, 202);
        assert_eq!(door.heard(), ["m1.0 1", "m1.1 2"]);
    }
    let door = Door::open();
    let reply = door.send(signed("m1", "application/x-ndjson", "")).await;
    assert_eq!((reply.status, reply.json), (202, json!({"results": []})));
}

#[tokio::test]
async fn a_header_that_nobody_signed_cannot_make_an_event_new() {
    let door = Door::open();
    for media_type in ["application/json", "application/x-ndjson", "text/plain"] {
        door.send(signed("m1", media_type, &event(1))).await;
    }
    assert_eq!(door.heard(), ["m1 1"]);
}

#[tokio::test]
async fn cloudevents_come_alone_or_in_a_batch() {
    let door = Door::open();
    let cloud = |id: &str| {
        format!(
            r#"{{"specversion":"1.0","id":"{id}","source":"/app","type":"t","subject":"a","data":1}}"#
        )
    };
    let one = "application/CloudEvents+json; charset=utf-8";
    let reply = door.send(signed("m1", one, &cloud("c1"))).await;
    assert_eq!(reply.json["results"][0]["id"], "c1");
    let batch = "application/cloudevents-batch+json";
    let body = format!("[{},{},{{}}]", cloud("c1"), cloud("c2"));
    let reply = door.send(signed("m2", batch, &body)).await;
    assert_eq!(reply.json["results"][0]["result"], "duplicate");
    assert_eq!(reply.json["results"][1]["result"], "accepted");
    assert_eq!(
        reply.json["results"][2]["reason"],
        "`specversion` is missing"
    );
    assert_eq!(door.heard(), ["c1 1", "c2 1"]);
    let reply = door.send(signed("m3", batch, &cloud("c3"))).await;
    assert_eq!(reply.status, 400);
    assert_eq!(reply.json["error"], "a batch must be a list of events");
}

#[tokio::test]
async fn what_is_not_json_is_told_with_its_place() {
    let door = Door::open();
    for (body, error) in [
        ("", "the body is empty: send an event"),
        (
            "{\"a\":1,\n  x}",
            "the body is not JSON: key must be a string at line 2 column 3",
        ),
        ("[{}]", r#"the body is a list: send {"events": [...]}"#),
        (r#"{"events":{}}"#, "a batch must be a list of events"),
        (
            r#"{"events":[],"id":"x"}"#,
            "`events` stands beside other keys: a batch has only `events`",
        ),
    ] {
        let reply = door.post(body).await;
        assert_eq!(reply.status, 400, "{body}");
        assert_eq!(reply.json, json!({ "error": error }));
    }
    let cut = format!("{}\n{{\"type\":", event(1));
    let reply = door.post(&cut).await;
    assert!(
        reply.json["error"]
            .as_str()
            .unwrap()
            .ends_with("at line 2 column 8")
    );
    assert!(door.heard().is_empty());
}

#[test]
fn what_is_not_utf8_is_told_with_its_place() {
    let id = "m1";
    let request = signed(id, "application/json", "{}");
    let rules = Door::open().rules;
    let now = UNIX_EPOCH + Duration::from_secs(NOW);
    let id = signature::verify(&rules, request.headers(), b"{}", now).unwrap();
    let refused = body::read(request.headers(), b"{\n \"\xff\"}", &id)
        .err()
        .unwrap();
    assert_eq!(
        refused.to_string(),
        "the body is not UTF-8 at line 2 column 3"
    );
}

#[tokio::test]
async fn every_refusal_has_its_status_and_its_word() {
    let door = Door::open();
    let good = || signed("m1", "application/json", &event(1)).into_parts();
    let changed = |change: fn(&mut Parts)| {
        let (mut head, body) = good();
        change(&mut head);
        Request::from_parts(head, body)
    };
    let forged = changed(|head| drop(head.headers.insert(signature::ID, "m2".parse().unwrap())));
    let unsigned = changed(|head| drop(head.headers.remove(signature::SIGNATURE)));
    let old = changed(|head| drop(head.headers.insert(signature::TIMESTAMP, 1.into())));
    let get = changed(|head| head.method = Method::GET);
    let gzip = changed(|head| {
        drop(
            head.headers
                .insert(CONTENT_ENCODING, "gzip".parse().unwrap()),
        )
    });
    let large = signed("m1", "application/json", &" ".repeat(5000));
    let promised =
        changed(|head| drop(head.headers.insert(CONTENT_LENGTH, "5000".parse().unwrap())));
    for (request, status, word, header) in [
        (forged, 401, "bad_signature", Some(WWW_AUTHENTICATE)),
        (unsigned, 401, "unsigned", Some(WWW_AUTHENTICATE)),
        (old, 401, "too_old", Some(WWW_AUTHENTICATE)),
        (get, 405, "bad_method", Some(ALLOW)),
        (gzip, 415, "bad_encoding", Some(ACCEPT_ENCODING)),
        (large, 413, "too_large", None),
        (promised, 413, "too_large", None),
    ] {
        let before = door.counted(word);
        let reply = door.send(request).await;
        assert_eq!(reply.status, status, "{word}");
        assert_eq!(door.counted(word), before + 1, "{word}");
        assert!(reply.json["error"].as_str().unwrap().len() > 10);
        assert!(
            header.is_none_or(|name| reply.headers.contains_key(name)),
            "{word}"
        );
    }
    assert!(door.heard().is_empty());
}

#[tokio::test]
async fn a_feed_that_takes_nothing_is_not_a_success() {
    let door = Door::open();
    door.feed.close();
    let reply = door.post(&event(1)).await;
    assert_eq!(reply.status, 503);
    assert_eq!(reply.headers[RETRY_AFTER], "5");
    assert_eq!(door.counted("unavailable"), 1);
    assert_eq!(door.counted("accepted"), 0);
}

#[tokio::test]
async fn too_many_events_at_once_are_refused() {
    let mut door = Door::open();
    door.rules.max_body = 1 << 20;
    let reply = door.post(&"1 ".repeat(10_001)).await;
    assert_eq!(reply.status, 413);
    assert_eq!(
        reply.json["error"],
        "more than 10000 events: send them in several requests"
    );
}

proptest! {
    #[test]
    fn no_body_panics_and_every_answer_is_json(
        body in prop_oneof![
            any::<String>(),
            r#"(\{|\}|\[|\]|:|,|"events"|"type":"t"|"topics":\["a"\]|1| |\n){0,20}"#,
        ],
        media_type in "(application/json|application/cloudevents(-batch)?\\+json|;)",
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let door = Door::open();
        let reply = runtime.block_on(door.send(signed("m1", &media_type, &body)));
        prop_assert!([202, 400, 413, 422].contains(&reply.status));
        prop_assert!(reply.json.is_object());
    }
}
