//! The list of a FastAPI app that moved from polling to five WebSockets, played at the
//! example as it is: not a line of it knows of Outrigger, and it runs under two workers,
//! each of which knows its own sockets only.
//!
//! All items are played at one stage, one after the other; each has its own test.

use std::{
    any::Any,
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::LazyLock,
};

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::{
    harness::{
        Outrigger,
        apps::{Example, Server},
        plain::{self, Door, Handshake, Socket},
    },
    parity::{Cast, Named, Scenario, Stage, Way},
};

/// Declares the items in their order: those that must know who was online before come first.
macro_rules! checklist {
    ($($name:ident,)*) => {
        static PLAYED: LazyLock<BTreeMap<&str, Option<String>>> =
            LazyLock::new(|| play(&[$((stringify!($name), items::$name)),*]));

        $(#[test]
        fn $name() {
            if let Some(failure) = &PLAYED[stringify!($name)] {
                panic!("{failure}");
            }
        })*
    };
}

checklist! {
    who_comes_and_goes_is_told_across_tabs,
    a_page_that_lost_its_network_comes_back,
    all_five_sockets_open,
    whoever_is_refused_sees_why_as_before,
    a_message_by_http_is_broadcast,
    a_message_sent_in_one_window_is_in_the_other,
    three_users_chat_at_once,
    typing_is_shown_to_the_others_only,
    a_connection_request_appears,
    a_post_appears_on_the_feed,
    every_tab_of_a_user_hears,
    a_heartbeat_is_answered_to_the_byte,
    sockets_stay_open_and_close_cleanly,
    closed_sockets_leave_nothing_behind,
    neither_log_has_an_error,
}

/// Plays all, one after the other: what went wrong in each.
fn play(items: &[Named]) -> BTreeMap<&'static str, Option<String>> {
    let cast = Cast {
        example: Example::FastApi,
        server: Server::TwoWorkers,
        layer: None,
    };
    let stage = Stage::build(cast, Way::Exchange);
    let outcome = |item: Scenario| {
        let panic = catch_unwind(AssertUnwindSafe(|| item(&stage))).err()?;
        Some(said(panic.as_ref()))
    };
    items
        .iter()
        .map(|(name, item)| (*name, outcome(*item)))
        .collect()
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or(panic.downcast_ref::<&str>().copied());
    text.unwrap_or("it broke off").to_owned()
}

const FIVE: [&str; 5] = [
    "/ws/messages/3",
    "/ws/connections",
    "/ws/notifications",
    "/ws/feed",
    "/ws/online",
];
const PEOPLE: [&str; 3] = ["jose", "zoe", "lilei"];
const PING: &str = r#"{"type": "ping"}"#;

/// A window of somebody.
fn open(stage: &Stage, who: &str, path: &str) -> Box<Socket> {
    stage.open(who, path).socket
}

fn say(socket: &mut Socket, message: &Value) {
    socket.say(Message::text(message.to_string()));
}

fn hear(socket: &mut Socket) -> Value {
    let heard = socket.hear();
    let text = heard.strip_prefix("text ");
    serde_json::from_str(text.unwrap_or_else(|| panic!("{heard}"))).expect("JSON")
}

/// What was heard until the server answers a ping, which it does after all else.
fn all_heard(socket: &mut Socket) -> Vec<Value> {
    socket.say(Message::text(PING));
    let heard = std::iter::repeat_with(|| hear(socket));
    heard.take_while(|heard| heard["type"] != "pong").collect()
}

fn post(stage: &Stage, who: &str, path: &str, body: &Value) -> Value {
    let answer = stage.ask(who, "POST", path, Some(body));
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()
}

/// The message that a chat hears, from the API's answer to it.
fn as_heard(kept: &Value) -> Value {
    json!({
        "type": "new_message", "message_id": kept["id"], "sender_id": kept["sender_id"],
        "content": kept["content"], "attachment": kept["attachment"], "timestamp": kept["timestamp"],
    })
}

mod items {
    use super::*;

    pub(super) fn all_five_sockets_open(stage: &Stage) {
        for who in PEOPLE {
            let mut sockets = FIVE.map(|path| open(stage, who, path));
            assert_eq!(hear(&mut sockets[2])["type"], "connection_established");
            for socket in &mut sockets {
                all_heard(socket);
            }
        }
    }

    pub(super) fn whoever_is_refused_sees_why_as_before(stage: &Stage) {
        let door = &stage.door;
        for path in FIVE {
            assert!(matches!(knock(door, path), Handshake::Refused(403)));
            let Handshake::Open(mut socket, _) = knock(door, &format!("{path}?token=bad")) else {
                panic!("{path} is refused, so that the page does not see why");
            };
            let unauthorized = r#"close 4001 "Unauthorized - invalid token""#;
            assert_eq!(socket.hear(), unauthorized, "{path}");
        }
        let mut socket = open(stage, "lilei", "/ws/messages/1");
        assert_eq!(
            socket.hear(),
            r#"close 4003 "Forbidden - not in this chat""#
        );
    }

    fn knock(door: &Door, path: &str) -> Handshake {
        plain::handshake(door, path, &[]).expect("an answer")
    }

    pub(super) fn a_message_by_http_is_broadcast(stage: &Stage) {
        let mut both = ["jose", "zoe"].map(|who| open(stage, who, "/ws/messages/1"));
        let mut elsewhere = open(stage, "jose", "/ws/messages/2");
        for content in ["Hello!", "Grüße 🚣"] {
            let body = json!({ "content": content, "attachment": "/upload/files/a.jpg" });
            let kept = post(stage, "zoe", "/chats/1/messages", &body);
            for socket in &mut both {
                assert_eq!(hear(socket), as_heard(&kept));
            }
        }
        assert_eq!(all_heard(&mut elsewhere), [] as [Value; 0]);
    }

    pub(super) fn a_message_sent_in_one_window_is_in_the_other(stage: &Stage) {
        let mut one = open(stage, "jose", "/ws/messages/1");
        let mut other = open(stage, "zoe", "/ws/messages/1");
        for attachment in [json!(null), json!("/upload/files/filename.jpg")] {
            let message =
                json!({ "type": "message", "content": "Hello!", "attachment": attachment });
            say(&mut one, &message);
            let heard = hear(&mut other);
            assert_eq!(hear(&mut one), heard, "the sender's own window has it too");
            let keys = [
                "type",
                "message_id",
                "sender_id",
                "content",
                "attachment",
                "timestamp",
            ];
            assert!(heard.as_object().expect("an object").keys().eq(keys));
            assert_eq!(
                (&heard["sender_id"], &heard["attachment"]),
                (&json!(1), &attachment)
            );
        }
        say(&mut one, &json!({ "type": "message" }));
        assert_eq!(
            all_heard(&mut one),
            [] as [Value; 0],
            "what the app does not take"
        );
    }

    const EACH: usize = 20;

    pub(super) fn three_users_chat_at_once(stage: &Stage) {
        let mut sockets = PEOPLE.map(|who| open(stage, who, "/ws/messages/3"));
        let chat = |(who, socket): (usize, &mut Box<Socket>)| {
            for n in 0..EACH {
                let content = format!("{who} {n:02}");
                say(socket, &json!({ "type": "message", "content": content }));
            }
            let heard = (0..EACH * PEOPLE.len()).map(|_| hear(socket));
            let heard = heard.map(|heard| heard["content"].as_str().expect("a text").to_owned());
            heard.collect::<Vec<_>>()
        };
        let heard: Vec<_> = std::thread::scope(|scope| {
            let chats: Vec<_> = sockets
                .iter_mut()
                .enumerate()
                .map(|one| scope.spawn(move || chat(one)))
                .collect();
            let ends = chats.into_iter().map(|chat| chat.join().expect("no panic"));
            ends.collect()
        });
        assert!(
            heard.iter().all(|one| *one == heard[0]),
            "all see one order"
        );
        for who in 0..PEOPLE.len() {
            let begin = format!("{who} ");
            let of_one = heard[0]
                .iter()
                .filter(|content| content.starts_with(&begin));
            assert!(
                of_one.eq((0..EACH)
                    .map(|n| format!("{who} {n:02}"))
                    .collect::<Vec<_>>()
                    .iter())
            );
        }
    }

    pub(super) fn typing_is_shown_to_the_others_only(stage: &Stage) {
        let [mut jose, mut zoe, mut lilei] = PEOPLE.map(|who| open(stage, who, "/ws/messages/3"));
        for is_typing in [true, false] {
            say(
                &mut jose,
                &json!({ "type": "typing", "is_typing": is_typing }),
            );
            let wanted = json!({ "type": "typing", "user_id": 1, "is_typing": is_typing });
            assert_eq!(hear(&mut zoe), wanted);
            assert_eq!(hear(&mut lilei), wanted);
        }
        let kept = post(
            stage,
            "zoe",
            "/chats/3/messages",
            &json!({ "content": "I see" }),
        );
        assert_eq!(
            hear(&mut jose),
            as_heard(&kept),
            "nothing of the own typing"
        );
    }

    pub(super) fn a_connection_request_appears(stage: &Stage) {
        let [mut jose, mut zoe, mut lilei] = PEOPLE.map(|who| open(stage, who, "/ws/connections"));
        let asked = post(stage, "lilei", "/connections", &json!({ "to_user_id": 2 }));
        let wanted = json!({
            "type": "connection_request", "request_id": asked["id"],
            "from_user_id": 3, "from_user_name": "李雷",
        });
        assert_eq!(hear(&mut zoe), wanted);
        for other in [&mut jose, &mut lilei] {
            assert_eq!(all_heard(other), [] as [Value; 0]);
        }
    }

    pub(super) fn a_post_appears_on_the_feed(stage: &Stage) {
        let mut readers = PEOPLE.map(|who| open(stage, who, "/ws/feed"));
        let body = json!({ "content": "Check out my new research!" });
        let kept = post(stage, "zoe", "/posts", &body);
        for reader in &mut readers {
            assert_eq!(hear(reader), json!({ "type": "new_post", "post": kept }));
        }
    }

    pub(super) fn every_tab_of_a_user_hears(stage: &Stage) {
        let mut tabs = [(); 3].map(|()| open(stage, "jose", "/ws/messages/1"));
        let kept = post(
            stage,
            "zoe",
            "/chats/1/messages",
            &json!({ "content": "to all" }),
        );
        for tab in &mut tabs {
            assert_eq!(hear(tab), as_heard(&kept));
        }
        let [first, mut second, third] = tabs;
        drop((first, third));
        let kept = post(
            stage,
            "zoe",
            "/chats/1/messages",
            &json!({ "content": "to one" }),
        );
        assert_eq!(hear(&mut second), as_heard(&kept));
    }

    pub(super) fn who_comes_and_goes_is_told_across_tabs(stage: &Stage) {
        let mut watching = open(stage, "jose", "/ws/online");
        let first = open(stage, "zoe", "/ws/online");
        let came = json!({ "type": "user_online", "user_id": 2, "full_name": "Zoë O'Neil 🚣" });
        assert_eq!(hear(&mut watching), came);
        let mut second = open(stage, "zoe", "/ws/online");
        closes(first);
        let of_oneself = |heard: &Value| heard["user_id"] == 2;
        assert!(!all_heard(&mut second).iter().any(of_oneself));
        let lilei = open(stage, "lilei", "/ws/online");
        let came = json!({ "type": "user_online", "user_id": 3, "full_name": "李雷" });
        assert_eq!(hear(&mut watching), came, "nothing of the other tab");
        assert_eq!(hear(&mut second), came);
        closes(lilei);
        closes(second);
        let mut gone = [hear(&mut watching), hear(&mut watching)];
        gone.sort_by_key(|gone| gone["user_id"].as_u64());
        let left = |user: u64| json!({ "type": "user_offline", "user_id": user });
        assert_eq!(gone, [left(2), left(3)]);
    }

    fn closes(mut socket: Box<Socket>) {
        socket.close(1000, "");
        let mut heard = std::iter::repeat_with(|| socket.hear());
        let end = heard.find(|heard| !heard.starts_with("text "));
        assert_eq!(end.expect("an end"), "close 1000 \"\"");
    }

    pub(super) fn a_page_that_lost_its_network_comes_back(stage: &Stage) {
        let mut watching = open(stage, "jose", "/ws/online");
        let mut jose = open(stage, "jose", "/ws/messages/1");
        for turn in 0..3 {
            let mut chat = open(stage, "zoe", "/ws/messages/1");
            let online = open(stage, "zoe", "/ws/online");
            if turn == 0 {
                assert_eq!(hear(&mut watching)["type"], "user_online");
            }
            say(
                &mut jose,
                &json!({ "type": "message", "content": turn.to_string() }),
            );
            assert_eq!(hear(&mut chat)["content"], turn.to_string());
            assert_eq!(hear(&mut jose)["content"], turn.to_string());
            // The connections break, and nobody says goodbye.
            drop((chat, online));
        }
        assert_eq!(
            all_heard(&mut watching),
            [] as [Value; 0],
            "zoe was never away"
        );
        assert_eq!(
            hear(&mut watching),
            json!({ "type": "user_offline", "user_id": 2 })
        );
    }

    pub(super) fn a_heartbeat_is_answered_to_the_byte(stage: &Stage) {
        for path in FIVE.into_iter().filter(|path| *path != "/ws/notifications") {
            let mut socket = open(stage, "jose", path);
            for _ in 0..3 {
                socket.say(Message::text(r#"{"type":"ping"}"#));
                assert_eq!(socket.hear(), r#"text {"type": "pong"}"#, "{path}");
            }
        }
    }

    pub(super) fn sockets_stay_open_and_close_cleanly(stage: &Stage) {
        let mut sockets: Vec<_> = PEOPLE
            .iter()
            .flat_map(|who| FIVE.map(|path| open(stage, who, path)))
            .collect();
        for who in PEOPLE {
            post(stage, who, "/chats/3/messages", &json!({ "content": "hi" }));
            post(stage, who, "/connections", &json!({ "to_user_id": 1 }));
            post(stage, who, "/posts", &json!({ "content": "hi" }));
        }
        for socket in &mut sockets {
            socket.say(Message::text("no JSON"));
            let heard = all_heard(socket);
            let wrong = json!({ "type": "error", "message": "Invalid JSON" });
            assert!(heard.contains(&wrong), "{heard:?}");
        }
        sockets.into_iter().for_each(closes);
    }

    pub(super) fn closed_sockets_leave_nothing_behind(stage: &Stage) {
        for number in 0..50 {
            let socket = open(stage, PEOPLE[number % 3], FIVE[number % 5]);
            if number % 2 == 0 {
                closes(socket);
            }
        }
        let gone = front(stage).metric_becomes("outrigger_sessions", 0.0);
        stage.runtime.block_on(gone);
    }

    pub(super) fn neither_log_has_an_error(stage: &Stage) {
        let entries = front(stage).logs().entries();
        assert!(!entries.is_empty());
        let calm =
            |entry: &&Value| ["INFO", "DEBUG"].contains(&entry["level"].as_str().unwrap_or(""));
        let strange: Vec<_> = entries.iter().filter(|entry| !calm(entry)).collect();
        assert!(strange.is_empty(), "{strange:#?}");
        assert_eq!(stage.app.log(), "", "the app's own, from warnings on");
    }

    fn front(stage: &Stage) -> &Outrigger {
        stage.front.as_ref().expect("Outrigger")
    }
}
