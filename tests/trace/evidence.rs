//! How far an event has come with each session, or why not: each answer for real.

use serde_json::json;

use super::{ask, becomes, endpoints, publish, silent, states, trace};
use crate::harness::{App, Stage, ok, until, within};

#[tokio::test]
async fn a_pong_confirms_what_is_otherwise_only_written() {
    let stage = Stage::new(&endpoints("heartbeat = \"200ms\"")).await;
    let mut quick = stage.open("/ws/news", 1).await;
    publish(&stage, "first", &json!({})).await;
    assert_eq!(quick.json().await["n"], "first");
    // Reading answers the pings.
    within("a pong that proves it", async {
        while states(&stage, "first", 1).await != ["confirmed"] {
            assert!(quick.is_silent().await);
        }
    })
    .await;
    let told = trace(&stage, "first").await;
    assert_eq!(
        (&told["sessions"], &told["states"]["confirmed"]),
        (&json!(1), &json!(1))
    );
    assert!(
        told["shown"][0]["confirmed_by"]
            .as_str()
            .unwrap()
            .ends_with('Z'),
        "{told}"
    );
    assert_eq!(told["event"]["size"], r#"{"n":"first"}"#.len());
}

#[tokio::test]
async fn without_a_pong_it_is_written_and_no_more() {
    let stage = Stage::new(&endpoints("heartbeat = \"1m\"")).await;
    let _silent = silent(&stage, 1, false).await;
    publish(&stage, "first", &json!({})).await;
    becomes(&stage, "first", 1, "written").await;
    let position = trace(&stage, "first").await["event"]["position"].clone();
    // The same by its position.
    assert_eq!(
        states(&stage, position.as_str().unwrap(), 1).await,
        ["written"]
    );
}

#[tokio::test]
async fn what_is_given_with_the_goodbye_is_confirmed_by_the_answer() {
    let stage = Stage::new(&endpoints("heartbeat = \"1m\"")).await;
    let mut socket = stage.open("/ws/news", 1).await;
    let first = json!({"id": "first", "type": "news", "topics": ["news"], "data": {"n": "first"}});
    let leave = json!({"type": "outrigger.disconnect", "users": [1], "data": {}});
    let after = json!({"id": "after", "type": "news", "topics": ["news"], "data": {}});
    let batch = json!({"events": [first, leave, after]});
    stage.publish(&batch).await;
    assert_eq!(socket.json().await["n"], "first");
    socket.closed().await;
    becomes(&stage, "first", 1, "confirmed").await;
    let after = states(&stage, "after", 1).await;
    assert!(after[0].starts_with("closed"), "{after:?}");
}

#[tokio::test]
async fn each_reason_why_it_is_not_for_a_session_has_its_word() {
    let stage = Stage::new(&endpoints("")).await;
    let mut one = stage.open("/ws/news", 1).await;
    let _two = stage.open("/ws/news", 2).await;
    let _deaf = stage.open("/ws/deaf", 3).await;
    publish(&stage, "only-1", &json!({"users": [1]})).await;
    publish(&stage, "but-2", &json!({"except": {"users": [2]}})).await;
    publish(&stage, "by-2", &json!({"data": {"by": 2}})).await;
    publish(&stage, "to-1", &json!({"topics": ["user_1"]})).await;
    publish(&stage, "just-1", &json!({"topics": [], "users": ["1"]})).await;
    for _ in 0..5 {
        one.text().await;
    }
    for (event, user, expected) in [
        ("only-1", 2, "not_permitted"),
        ("just-1", 2, "not_permitted"),
        ("but-2", 2, "left_out"),
        ("by-2", 2, "left_out"),
        ("by-2", 3, "no_frame"),
        ("to-1", 2, "no_subscriber"),
        ("to-1", 3, "no_subscriber"),
        ("just-1", 1, "written"),
    ] {
        let states = states(&stage, event, user).await;
        let fits = states == [expected] || (expected == "written" && states == ["confirmed"]);
        assert!(
            fits,
            "{event}, user {user}: {states:?} instead of {expected}"
        );
    }
    assert_eq!(states(&stage, "to-1", 9).await, [""; 0]);
    let told = trace(&stage, "but-2").await;
    assert_eq!(
        (&told["sessions"], &told["states"]["left_out"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(told["states"]["no_frame"], 1);
    let _late = stage.open("/ws/news", 9).await;
    assert_eq!(states(&stage, "by-2", 9).await, ["opened_later"]);
}

/// More than any kernel holds for a client that does not read, in few messages.
async fn flood(stage: &Stage) {
    let filling = "x".repeat(60_000);
    for batch in 0..14 {
        let event =
            |n| json!({"id": format!("e{n}"), "type": "news", "topics": ["news"], "data": filling});
        let events: Vec<_> = (15 * batch..15 * (batch + 1)).map(event).collect();
        stage.publish(&json!({ "events": events })).await;
    }
}

#[tokio::test]
async fn who_does_not_keep_up_is_behind() {
    let limits = "[endpoint.limits]\noutbox_frames = 4\nwrite_timeout = \"5m\"\n";
    let stage = Stage::new(&endpoints(limits)).await;
    let _slow = silent(&stage, 1, true).await;
    publish(&stage, "first", &json!({})).await;
    becomes(&stage, "first", 1, "written").await;
    flood(&stage).await;
    publish(&stage, "typing", &json!({"ephemeral": true})).await;
    becomes(&stage, "typing", 1, "ephemeral_while_behind").await;
    let mut seen = states(&stage, "first", 1).await;
    for n in (0..210).step_by(3) {
        let states = states(&stage, &format!("e{n}"), 1).await;
        if seen.last() != states.first() {
            seen.extend(states);
        }
    }
    // Whether something is between the two is a matter of the moment.
    let order = ["written", "queued", "behind"];
    let places = seen
        .iter()
        .map(|state| order.iter().position(|one| one == state));
    assert!(places.is_sorted(), "{seen:?}");
    assert!(seen.starts_with(&["written".into()]), "{seen:?}");
    assert!(seen.ends_with(&["behind".into()]), "{seen:?}");
}

#[tokio::test]
async fn who_was_closed_as_too_slow_is_told_from_who_left() {
    let limits = "[endpoint.limits]\noutbox_frames = 4\nwrite_timeout = \"4s\"\n";
    let stage = Stage::new(&endpoints(limits)).await;
    let _slow = silent(&stage, 1, true).await;
    publish(&stage, "first", &json!({})).await;
    becomes(&stage, "first", 1, "written").await;
    flood(&stage).await;
    let closed = "outrigger_sessions_closed_total{reason=\"too_slow\"}";
    stage.outrigger.metric_becomes(closed, 1.0).await;
    assert_eq!(states(&stage, "first", 1).await, ["written"]);
    let mut seen = Vec::new();
    for n in (0..210).step_by(5) {
        seen.extend(states(&stage, &format!("e{n}"), 1).await);
    }
    assert!(seen.iter().any(|state| state == "slow"), "{seen:?}");
}

#[tokio::test]
async fn a_session_that_ended_is_remembered_with_its_reason() {
    let stage = Stage::new(&endpoints("heartbeat = \"1m\"")).await;
    let mut socket = stage.open("/ws/news", 1).await;
    publish(&stage, "before", &json!({})).await;
    socket.text().await;
    socket.close().await;
    stage
        .outrigger
        .metric_becomes("outrigger_sessions", 0.0)
        .await;
    publish(&stage, "after", &json!({})).await;
    assert_eq!(states(&stage, "before", 1).await, ["written"]);
    assert_eq!(states(&stage, "after", 1).await, ["closed_before"]);
    let (_, told) = ask(&stage, "/trace?event=after&user=1").await;
    assert_eq!(told["shown"][0]["closed_because"], "client_closed");
    assert_eq!(told["sessions"], 0);
    let _again = stage.open("/ws/news", 1).await;
    assert_eq!(
        states(&stage, "after", 1).await,
        ["closed_before", "opened_later"]
    );
    assert_eq!(
        states(&stage, "before", 1).await,
        ["written", "opened_later"]
    );
}

#[tokio::test]
async fn what_is_forgotten_is_told_from_what_never_was() {
    let stage = Stage::new(&endpoints("")).await;
    let (status, told) = ask(&stage, "/trace?event=nobody-sent-it").await;
    assert_eq!((status, &told["why"]), (404, &json!("never_seen")));
    let (status, told) = ask(&stage, "/trace?event=1a2b.0-3").await;
    assert_eq!((status, &told["why"]), (404, &json!("other_life")));
    for wrong in [
        "/trace",
        "/trace?event=",
        "/trace?event=1&who=2",
        "/tail?since=yesterday",
    ] {
        assert_eq!(ask(&stage, wrong).await.0, 400, "{wrong}");
    }
    let memory = "[feed.memory]\nmax_events = 20\n";
    let stage = Stage::with(App::answering(|_| ok("{}")).await, memory, &endpoints("")).await;
    publish(&stage, "e0", &json!({})).await;
    let first = trace(&stage, "e0").await["event"]["position"].clone();
    let mut socket = stage.open("/ws/news", 1).await;
    for n in 1..40 {
        publish(&stage, &format!("e{n}"), &json!({})).await;
        socket.text().await;
    }
    let (status, told) = ask(&stage, "/trace?event=e0").await;
    assert_eq!((status, &told["why"]), (404, &json!("not_since")));
    assert!(told["oldest"].is_string(), "{told}");
    let by_position = format!("/trace?event={}", first.as_str().unwrap());
    assert_eq!(ask(&stage, &by_position).await.1["why"], "forgotten");
}

#[tokio::test]
async fn a_changed_config_is_told_of() {
    let stage = Stage::new(&endpoints("")).await;
    let _socket = stage.open("/ws/news", 1).await;
    publish(&stage, "before", &json!({})).await;
    assert_eq!(trace(&stage, "before").await["rules_changed_since"], false);
    let changed = endpoints("").replace("other = 1", "news = 2");
    stage.reload(&changed).await;
    assert_eq!(trace(&stage, "before").await["rules_changed_since"], true);
    publish(&stage, "after", &json!({})).await;
    assert_eq!(trace(&stage, "after").await["rules_changed_since"], false);
}

#[tokio::test]
async fn sessions_and_feed_say_how_far_they_are() {
    let stage = Stage::new(&endpoints("heartbeat = \"1m\"")).await;
    let mut socket = stage.open("/ws/news", 1).await;
    publish(&stage, "first", &json!({})).await;
    socket.text().await;
    until("the session is at the head", || async {
        let (_, sessions) = ask(&stage, "/sessions").await;
        let (_, feed) = ask(&stage, "/feed").await;
        let at = &sessions["shown"][0]["feed"];
        let head = feed["head"].as_str().unwrap();
        at["behind"] == 0 && head.ends_with(at["given"].as_str().unwrap())
    })
    .await;
    let (_, feed) = ask(&stage, "/feed").await;
    assert_eq!(
        (&feed["store"], &feed["events"]),
        (&json!("memory"), &json!(1))
    );
    assert_eq!(feed["sources"]["webhook"]["accepted"], 1);
    assert!(feed["last_accepted"].is_string(), "{feed}");
}
