//! What a client is told that has missed what nobody remembers.

use serde_json::{Value, json};

use super::{Modern, endpoint};
use crate::harness::{App, Socket, Stage, as_user, ok};

async fn forgetful(more: &str) -> Stage {
    let app = App::answering(|_| ok("{}")).await;
    let memory = "[feed.memory]\nmax_events = 20\n";
    Stage::with(app, memory, &endpoint(more)).await
}

/// Events, a few at a time, so that the feed can forget them.
async fn many(stage: &Stage, count: u64) {
    let mut reader = stage.open("/ws/news", 99).await;
    for first in (0..count).step_by(10) {
        stage.tell_many("news", "news", first..first + 10).await;
        for n in first..first + 10 {
            assert_eq!(reader.json().await["n"], n);
        }
    }
}

#[tokio::test]
async fn who_comes_back_too_late_is_told_and_goes_on_at_the_head() {
    let stage = forgetful("").await;
    let mut client = Modern::new(&stage, 1).await;
    stage.tell("news", "news", &json!({"n": 0})).await;
    client.hears([0]).await;
    let since = client.cut();
    many(&stage, 50).await;
    let (mut client, first) = Modern::open(&stage, 1, &since).await;
    let head = since.replace(".0-1", ".0-51");
    assert_eq!(first, json!({"history_lost": true, "position": head}));
    stage.tell("news", "news", &json!({"n": 50})).await;
    client.hears([50]).await;
    let lost = "outrigger_resumes_total{endpoint=\"news\",reason=\"history_lost\"}";
    assert_eq!(stage.outrigger.metric(lost).await, 1.0);
}

#[tokio::test]
async fn positions_of_another_life_and_from_beyond_are_lost() {
    let stage = Stage::new(&endpoint("")).await;
    let here = Modern::new(&stage, 1).await.cut();
    let epoch = here.split('.').next().unwrap();
    for elsewhere in [
        "1.0-0",
        "ffffffffffffffff.0-0",
        &format!("{epoch}.0-1"),
        &format!("{epoch}.7-0"),
    ] {
        let (mut client, first) = Modern::open(&stage, 1, elsewhere).await;
        assert_eq!(first, json!({"history_lost": true, "position": here}));
        client.hears([]).await;
    }
    stage.tell("news", "news", &json!({"n": 1})).await;
    Modern::at(&stage, 1, &here).await.hears([1]).await;
}

#[tokio::test]
async fn clients_of_old_are_told_in_their_own_words() {
    let words =
        "welcome = { hello = true }\nhistory_lost = { type = \"reload\", user = \"{user.id}\" }\n";
    let stage = Stage::new(&endpoint(words)).await;
    let target = format!("{}&since=1.0-0", as_user("/ws/news", 7));
    let mut client = Socket::open(stage.outrigger.addr(), &target).await;
    assert_eq!(client.text().await, r#"{"hello":true}"#);
    assert_eq!(client.text().await, r#"{"type":"reload","user":7}"#);
    stage.tell("news", "news", &json!({"n": 1})).await;
    assert_eq!(client.text().await, r#"{"type":"news","n":1}"#);
}

#[tokio::test]
async fn who_has_no_words_for_it_is_closed() {
    let stage = Stage::new(&endpoint("")).await;
    let target = format!("{}&since=1.0-0", as_user("/ws/news", 7));
    let mut client = Socket::open(stage.outrigger.addr(), &target).await;
    let closed = client.closed().await;
    assert_eq!((closed.code, &*closed.reason), (1012, "history lost"));
    let name = "outrigger_sessions_closed_total{endpoint=\"news\",reason=\"history_lost\"}";
    stage.outrigger.metric_becomes(name, 1.0).await;
}

/// The same while it is connected: it reads too slowly for the feed's memory.
async fn falls_out(more: &str, headers: &[(&str, &str)]) -> (Stage, Vec<Value>) {
    let more = format!("{more}[endpoint.limits]\noutbox_frames = 4\n");
    let stage = forgetful(&more).await;
    let mut slow = crate::harness::Client::connect_narrow(stage.outrigger.addr()).await;
    let target = as_user("/ws/news", 1);
    slow.send(crate::harness::handshake(&target, headers)).await;
    assert_eq!(slow.response("GET").await.status(), 101);
    let mut quick = stage.open("/ws/news", 2).await;
    crate::sessions::slow::burst(&stage, &mut quick, 200).await;
    let mut heard = Vec::new();
    loop {
        let (first, payload) = crate::sessions::slow::frame(&mut slow).await;
        assert_eq!(first, 0x81);
        let frame: Value = serde_json::from_slice(&payload).unwrap();
        let is_last = frame["n"] == "last" || frame["frame"]["n"] == "last";
        let lost = frame["history_lost"] == true || frame["type"] == "reload";
        heard.push(frame);
        match is_last {
            true => return (stage, heard),
            false if lost => stage.tell("news", "news", &json!({"n": "last"})).await,
            false => {}
        }
    }
}

#[tokio::test]
async fn who_falls_out_of_the_memory_goes_on_at_the_head() {
    let (stage, heard) = falls_out("history_lost = { type = \"reload\" }\n", &[]).await;
    let (last, before) = heard.split_last().unwrap();
    assert_eq!(last["n"], "last");
    let (lost, frames) = before.split_last().unwrap();
    assert_eq!(*lost, json!({"type": "reload"}));
    assert!(frames.len() < 200);
    for (n, frame) in frames.iter().enumerate() {
        assert_eq!(frame["n"]["at"], n);
    }
    let dropped = "outrigger_deliveries_dropped_total{reason=\"history_lost\"}";
    stage.outrigger.metric_becomes(dropped, 1.0).await;
}

#[tokio::test]
async fn who_speaks_our_subprotocol_learns_where_it_goes_on() {
    let (_, heard) = falls_out("", &[super::MODERN]).await;
    let (last, before) = heard.split_last().unwrap();
    let (lost, frames) = before.split_last().unwrap();
    assert_eq!(last["frame"]["n"], "last");
    let head = lost["position"].as_str().unwrap();
    assert_eq!(*lost, json!({"history_lost": true, "position": head}));
    assert!(head.ends_with(".0-200"), "{head}");
    let begins = frames[0]["position"].as_str().unwrap();
    assert_eq!(frames[0], json!({ "position": begins }));
    for (n, frame) in frames[1..].iter().enumerate() {
        assert_eq!(frame["frame"]["n"]["at"], n);
        let position = begins.replace(".0-0", &format!(".0-{}", n + 1));
        assert_eq!(frame["position"], position);
    }
}
