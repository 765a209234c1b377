//! Clients that an event names are sent no frame for it.

use serde_json::{Value, json};

use super::slow::{burst, frame, slow_reader};
use crate::harness::Stage;

const CHAT: &str = r#"
[[endpoint]]
name = "chat"
path = "/ws/chat"
topics = ["chat"]
welcome = { session = "{session.id}" }
[endpoint.frames]
chat_typing = { typing = "{data.sender_id}" }
chat_moved = { moved = true }
chat_message = { mine = "{data.sender_id == user.id}" }
[endpoint.except]
"chat.typing" = "{data.sender_id}"
chat_moved = { session = "{data.session}" }
[[endpoint]]
name = "all"
path = "/ws/all"
include = ["chat"]
"#;

#[tokio::test]
async fn the_user_or_the_session_that_an_event_names_gets_no_frame() {
    let stage = Stage::new(CHAT).await;
    let mut tabs = [
        stage.open("/ws/chat", 1).await,
        stage.open("/ws/chat", 1).await,
        stage.open("/ws/chat", 2).await,
    ];
    let mut including = stage.open("/ws/all", 1).await;
    let mut names = Vec::new();
    for tab in &mut tabs {
        names.push(tab.json().await["session"].as_str().unwrap().to_owned());
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    assert!(
        names
            .iter()
            .all(|name| name.len() < 60 && name.chars().all(plain))
    );
    assert_ne!(names[0], names[1]);

    let by = json!({"sender_id": "1"});
    stage.tell("chat", "chat.typing", &by).await;
    stage
        .tell("chat", "chat_moved", &json!({ "session": names[0] }))
        .await;
    stage.tell("chat", "chat_message", &by).await;
    let (typing, moved) = (json!({"typing": "1"}), json!({"moved": true}));
    let mine = |mine: bool| json!({ "mine": mine });
    let heard: [&[Value]; 3] = [
        &[mine(true)],
        &[moved.clone(), mine(true)],
        &[typing, moved.clone(), mine(false)],
    ];
    for (tab, frames) in tabs.iter_mut().zip(heard) {
        for frame in frames {
            assert_eq!(&tab.json().await, frame);
        }
    }
    for frame in [moved, mine(true)] {
        assert_eq!(including.json().await, frame);
    }
}

#[tokio::test]
async fn who_catches_up_is_left_out_as_well() {
    let rules = "[endpoint.except]\nnews = \"{data.n.at}\"\n[endpoint.limits]\noutbox_frames = 4\n";
    let stage = Stage::new(&super::endpoint(rules)).await;
    let mut slow = slow_reader(&stage, 150).await;
    let mut quick = stage.open("/ws/news", 1000).await;
    burst(&stage, &mut quick, 200).await;
    for n in (0..200).filter(|n| *n != 150) {
        let (_, payload) = frame(&mut slow).await;
        let frame: Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(frame["n"]["at"], n);
    }
    let left_behind = "outrigger_deliveries_dropped_total";
    assert_eq!(stage.outrigger.metric(left_behind).await, 0.0);
}
