//! What is done before a client is told that it is connected, and while it is.

use std::time::Duration;

use serde_json::json;

use super::{app, called, calls, endpoint};
use crate::harness::{App, Stage, as_user, ok, until};

#[tokio::test]
async fn the_answer_of_on_connect_is_in_reach_of_topics_welcome_and_frames() {
    let endpoints = r#"
[[endpoint]]
name = "room"
path = "/ws/room/{room}"
topics = ["room_{joined.id}"]
welcome = { hello = "{user.id}", joined = "{joined.path}", then = "{second.path}" }
frames = { x = { n = "{data.n}", id = "{joined.id}" } }
[[endpoint.on_connect]]
name = "joined"
call = { path = "/join/{room}" }
[[endpoint.on_connect]]
name = "second"
call = { method = "GET", path = "/second/{joined.id}" }
publish = { type = "x", topics = ["room_{joined.id}"], data = { n = "came" } }
"#;
    let stage = Stage::with(app().await, "", endpoints).await;
    let mut first = stage.open("/ws/room/a", 1).await;
    let welcome = r#"{"hello":1,"joined":"/join/a","then":"/second/7"}"#;
    assert_eq!(first.text().await, welcome);
    let mut second = stage.open("/ws/room/b", 2).await;
    assert_eq!(second.json().await["hello"], 2);
    stage.tell("room_7", "x", &json!({"n": 1})).await;
    assert_eq!(first.json().await, json!({"n": "came", "id": 7}));
    assert_eq!(first.json().await, json!({"n": 1, "id": 7}));
    assert_eq!(
        second.json().await["n"],
        1,
        "who comes does not hear of itself"
    );
    let expected = ["/join/a", "/second/7", "/join/b", "/second/7"];
    calls(&stage, &expected).await;
    let name = "outrigger_moments_total{moment=\"on_connect\",result=\"ok\"}";
    assert_eq!(stage.outrigger.metric(name).await, 4.0);
}

#[tokio::test]
async fn on_connect_refuses_as_the_endpoint_does_and_nobody_is_said_to_have_left() {
    let endpoints = r#"
[[endpoint]]
name = "room"
path = "/ws/room/{status}"
topics = ["room"]
frames = { "*" = "{data}" }
refuse = { bad_token = { close = 4001, reason = "who" }, not_permitted = { close = 4003, reason = "no" } }
on_connect = [{ call = { path = "/no/{status}" } }]
on_disconnect = [{ call = { path = "/left/{status}" } }]
"#;
    let stage = Stage::with(app().await, "", endpoints).await;
    for (status, code) in [(401, 4001), (403, 4003), (404, 4003)] {
        let target = as_user(&format!("/ws/room/{status}"), 1);
        assert_eq!(stage.turned_away(&target, &[]).await.code, code, "{status}");
    }
    for status in [429, 500] {
        let target = as_user(&format!("/ws/room/{status}"), 1);
        assert_eq!(stage.refused(&target, &[]).await, 503, "{status}");
    }
    stage.open("/ws/room/fine", 1).await.close().await;
    let expected = ["401", "403", "404", "429", "500", "fine"].map(|no| format!("/no/{no}"));
    let mut expected: Vec<_> = expected.iter().map(String::as_str).collect();
    expected.push("/left/fine");
    calls(&stage, &expected).await;
    for (result, count) in [("refused", 5.0), ("ok", 1.0)] {
        let name = format!("outrigger_moments_total{{moment=\"on_connect\",result=\"{result}\"}}");
        assert_eq!(stage.outrigger.metric(&name).await, count, "{result}");
    }
    let opened = "outrigger_sessions_opened_total";
    assert_eq!(stage.outrigger.metric(opened).await, 1.0);
}

#[tokio::test]
async fn on_the_app_leg_the_app_does_it_all() {
    let more = r#"
rollout = "off"
on_connect = [{ call = { path = "/came" } }]
on_disconnect = [{ call = { path = "/left" } }]
"#;
    let stage = Stage::with(app().await, "", &endpoint(more)).await;
    // The app is no WebSocket server: it answers as to any request.
    let target = as_user("/ws/chat/", 1);
    assert_eq!(stage.refused(&target, &[]).await, 200);
    let relayed = "outrigger_sessions{leg=\"app\"}";
    stage.outrigger.metric_becomes(relayed, 0.0).await;
    assert_eq!(called(&stage), [target]);
}

#[tokio::test]
async fn what_comes_again_and_again_never_overlaps_itself() {
    let every =
        "every = [{ interval = \"20ms\", call = { path = \"/beat\", reply = { beat = true } } }]";
    let stage = Stage::with(App::start().await, "", &endpoint(every)).await;
    let mut socket = stage.open("/ws/chat", 1).await;
    let mut connection = stage.app.accept().await;
    for _ in 0..3 {
        assert_eq!(connection.request().await.target(), "/beat");
        assert!(stage.app.accept_soon().await.is_none(), "one at a time");
        connection.send(ok("{}")).await;
        assert_eq!(socket.json().await["beat"], true);
    }
}

#[tokio::test]
async fn a_failing_beat_goes_on_and_tells_nobody_and_a_reload_changes_it() {
    let every = |path: &str| {
        endpoint(&format!(
            "every = [{{ interval = \"20ms\", call = {{ path = \"{path}\" }} }}]"
        ))
    };
    let stage = Stage::with(app().await, "", &every("/no/500")).await;
    let mut socket = stage.open("/ws/chat", 1).await;
    let failed = "outrigger_moments_total{moment=\"every\",result=\"refused\"}";
    let often = || async { stage.outrigger.metric(failed).await >= 3.0 };
    until("three beats", often).await;
    stage.outrigger.rewrite(&stage.config(&every("/beat")));
    let beats = || async { called(&stage).iter().any(|path| path == "/beat") };
    until("the new beat", beats).await;
    let none = stage.config(&endpoint("heartbeat = \"30s\""));
    stage.outrigger.rewrite(&none);
    let generation = "outrigger_config_generation";
    stage.outrigger.metric_becomes(generation, 3.0).await;
    stage.tell("chat", "x", &json!(1)).await;
    assert_eq!(socket.text().await, "1", "it is the same session");
    stage.app.take_seen();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(called(&stage), Vec::<String>::new());
}
