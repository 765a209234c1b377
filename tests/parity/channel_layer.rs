//! A Django app with no line changed: its own channel layer in Redis is the
//! source. Each scenario is recorded on the app's own consumers, then played
//! with Outrigger in front; the frames must be equal to the byte, for both
//! classes of `channels_redis` and under both servers.

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use super::{Cast, Named, Played, Stage, Way, django};
use crate::harness::apps::{Example, Layer, Server};

#[test]
fn frames_are_those_of_the_core_layer_under_daphne() {
    assert_equal_to_the_byte(Server::Daphne, Layer::Core);
}

#[test]
fn frames_are_those_of_the_pubsub_layer_under_daphne() {
    assert_equal_to_the_byte(Server::Daphne, Layer::PubSub);
}

#[test]
fn frames_are_those_of_the_core_layer_under_uvicorn() {
    assert_equal_to_the_byte(Server::Uvicorn, Layer::Core);
}

#[test]
fn frames_are_those_of_the_pubsub_layer_under_uvicorn() {
    assert_equal_to_the_byte(Server::Uvicorn, Layer::PubSub);
}

/// The scenarios of notifications with `outrigger.toml`, those of conversations with
/// `inbox.toml`.
fn assert_equal_to_the_byte(server: Server, layer: Layer) {
    let first = |(name, _): &Named| *name == "a_chat_welcomes_its_members_only";
    let first = django::SCENARIOS.iter().position(first).expect("the first");
    let (notified, chats) = django::SCENARIOS.split_at(first);
    let mut differing = Vec::new();
    for (example, scenarios) in [(Example::Django, notified), (Example::Inbox, chats)] {
        let cast = Cast {
            example,
            server,
            layer: Some(layer),
        };
        let played = Played::play(cast, &[Way::Direct, Way::ChannelLayer], scenarios);
        let differs =
            |(name, _): &Named| played.difference(name, Way::ChannelLayer, django::DIFFERENCES);
        let count = differing.len();
        differing.extend(scenarios.iter().filter_map(differs));
        let lines = scenarios
            .iter()
            .flat_map(|(name, _)| played.seen(name, Way::Direct));
        let frames = lines.filter(|line| line.contains(" hears text ")).count();
        println!(
            "{server:?}, {}, {example:?}: {} scenarios with {frames} frames recorded on the app's own \
             consumers, then served from the channel layer: {} differ",
            layer.name(),
            scenarios.len(),
            differing.len() - count
        );
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

/// Not even the times in frames differ: the same `group_send` is heard at the app's own
/// consumers and through Outrigger.
#[test]
fn the_same_group_send_has_the_same_bytes_at_the_app_and_here() {
    for layer in [Layer::Core, Layer::PubSub] {
        let cast = Cast {
            example: Example::Django,
            server: Server::Uvicorn,
            layer: Some(layer),
        };
        let stage = Stage::build(cast, Way::ChannelLayer);
        let app = stage.app.door();
        let paths = [
            "/ws/realtime/",
            "/ws/notifications/",
            "/ws/friend-requests/",
        ];
        let mut twins = paths.map(|path| {
            let theirs = stage.open_at(&app, "jose", path).socket;
            (theirs, stage.open("jose", path).socket)
        });
        stage.post(
            "zoe",
            "/api/notifications/",
            &json!({ "recipient": 1, "title": "Zoë 🚣\u{7f}" }),
        );
        let request = stage.post("zoe", "/api/friend-requests/", &json!({ "to": 1 }));
        let path = format!("/api/friend-requests/{}/accept/", request.json()["id"]);
        stage.post("jose", &path, &json!({}));
        for ((theirs, ours), count) in twins.iter_mut().zip([3, 1, 2]) {
            for _ in 0..count {
                let heard = theirs.hear();
                assert!(heard.starts_with("text "), "{heard}");
                assert_eq!(heard, ours.hear(), "{layer:?}");
            }
        }
    }
}

/// The other direction: a chat whose members are half at the app's consumers and half here.
#[test]
fn an_action_s_group_send_is_heard_by_users_on_both_legs() {
    const TALK: &str = r#"
[[endpoint]]
name = "talk"
path = "/ws/talk/{conversation_id:int}/"
topics = ["chat_{conversation_id}"]
frames = { chat_typing = { typing = "{data.user_id}", in = "{data.conversation_id}" } }
[[endpoint.actions]]
[endpoint.actions.group_send]
group = "chat_{conversation_id}"
message = { type = "chat.typing", conversation_id = "{conversation_id}", user_id = "{user.id | int}", is_typing = "{message.on}", sender_channel = "{session.id}" }
"#;
    for layer in [Layer::Core, Layer::PubSub] {
        let cast = Cast {
            example: Example::Django,
            server: Server::Uvicorn,
            layer: Some(layer),
        };
        let stage = Stage::build(cast, Way::ChannelLayer);
        let front = stage.front.as_ref().expect("Outrigger");
        front.rewrite(&format!("{}{TALK}", stage.config));
        let swapped = front.metric_becomes("outrigger_config_generation", 2.0);
        stage.runtime.block_on(swapped);
        let made = stage.post("jose", "/api/conversations/", &json!({ "members": [2] }));
        let chat = &made.json()["id"];
        let mut theirs = stage.open("jose", &format!("/ws/chat/{chat}/")).socket;
        assert!(theirs.hear().contains("connection_established"));
        let mut ours =
            ["zoe", "zoe"].map(|who| stage.open(who, &format!("/ws/talk/{chat}/")).socket);
        for on in ["true", "false"] {
            ours[0].say(Message::text(format!("{{\"on\": {on}}}")));
            let typing = format!(
                "text {{\"type\": \"TYPING\", \"conversation_id\": {chat}, \"user_id\": 2, \"is_typing\": {on}}}"
            );
            assert_eq!(theirs.hear(), typing, "{layer:?}");
            for socket in &mut ours {
                assert_eq!(
                    socket.hear(),
                    format!("text {{\"typing\":2,\"in\":{chat}}}")
                );
            }
        }
    }
}
