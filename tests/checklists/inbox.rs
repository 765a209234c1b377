//! All conversations of a user on one socket, `/ws/inbox/`.

use serde_json::{Value, json};

use super::play::{Page, Play, checklist};
use crate::harness::apps::Example;

checklist! { Example::Inbox =>
    several_conversations_are_open_on_one_socket
    messages_route_to_their_conversation
    the_app_gets_the_conversation_id
    switching_makes_no_new_socket
    the_socket_survives_many_switches
    a_reconnect_hears_all_conversations_again
    a_retry_reconnects_after_outrigger_was_away
    a_conversation_made_later_is_told_and_joined
    errors_name_their_conversation_and_disturb_no_other
    what_the_app_does_not_take_is_tried_again
    typing_is_heard_by_the_others_only
    a_read_receipt_is_heard_by_both
    who_is_there_is_told_once_for_all_tabs
    those_on_the_app_and_those_here_hear_each_other
    strangers_to_a_conversation_are_refused
    nothing_is_left_of_conversations_that_were_opened
}

const INBOX: &str = "/ws/inbox/";
const NAMES: [&str; 2] = [
    r"Jos\u00e9 \u00c5ngstr\u00f6m",
    r"Zo\u00eb O'Neil \ud83d\udea3",
];

/// José begins a conversation with Zoë. Both inboxes have heard of it, so nothing
/// of it is on its way to a page that opens later.
fn begin(play: &Play) -> i64 {
    let mut pages = ["jose", "zoe"].map(|who| play.open(who, INBOX));
    let begun = play.post("jose", "/api/conversations/", &json!({ "members": [2] }));
    let id = begun["id"].as_i64().expect("an id");
    for page in &mut pages {
        page.hears(&created(id));
    }
    id
}

fn created(id: i64) -> String {
    format!(
        r#"{{"type": "CONVERSATION_CREATED", "conversation": {{"id": {id}, "members": [1, 2]}}}}"#
    )
}

fn not_a_member(id: i64) -> String {
    format!(r#"{{"type": "error", "message": "Not a member", "conversation_id": {id}}}"#)
}

fn chat(id: i64) -> String {
    format!("/ws/chat/{id}/")
}

fn text(id: i64, message: &str) -> String {
    json!({ "conversation_id": id, "message": message, "type": "TEXT" }).to_string()
}

/// What became of a text of José (0) or Zoë (1).
fn frame(id: i64, message: &str, who: usize, message_id: &Value, is_mine: bool) -> String {
    let (user, name, avatar) = (who + 1, NAMES[who], ["jose", "zoe"][who]);
    format!(
        r#"{{"type": "TEXT", "message": "{message}", "conversation_id": {id}, "sender_id": {user}, "sender_name": "{name}", "sender_avatar": "/media/avatars/{avatar}.png", "created_at": "<time>Z", "message_id": {message_id}, "is_mine": {is_mine}}}"#
    )
}

fn typing(id: i64, user: i64) -> String {
    format!(
        r#"{{"type": "TYPING", "conversation_id": {id}, "user_id": {user}, "is_typing": true}}"#
    )
}

fn presence(status: &str, id: i64, user: i64) -> String {
    format!(r#"{{"type": "user_{status}", "conversation_id": {id}, "user_id": {user}}}"#)
}

fn welcome(id: i64, user: i64) -> String {
    let name = NAMES[usize::from(user != 1)];
    format!(
        r#"{{"type": "connection_established", "message": "Connected as {name}", "user_id": {user}, "conversation_id": {id}}}"#
    )
}

/// Zoë says something by HTTP, and José's page hears it with its conversation's id.
fn hears_of(play: &Play, page: &mut Page, id: i64) {
    let path = format!("/api/conversations/{id}/messages/");
    let said = play.post("zoe", &path, &json!({ "message": "hello" }));
    page.hears(&frame(id, "hello", 1, &said["message_id"], false));
}

fn opened(play: &Play) -> f64 {
    let name = "outrigger_sessions_opened_total";
    play.0.runtime.block_on(play.front().metric(name))
}

fn several_conversations_are_open_on_one_socket(play: &mut Play) {
    let conversations = [begin(play), begin(play), begin(play)];
    play.sessions(0);
    let mut page = play.open("jose", INBOX);
    for id in conversations {
        hears_of(play, &mut page, id);
    }
    play.sessions(1);
}

fn messages_route_to_their_conversation(play: &mut Play) {
    let conversations = [begin(play), begin(play)];
    let (mut jose, mut zoe) = (play.open("jose", INBOX), play.open("zoe", INBOX));
    for id in conversations {
        jose.says(&text(id, "Hello"));
        let heard = jose.hears_something();
        assert_eq!(
            (&heard["conversation_id"], &heard["is_mine"]),
            (&json!(id), &json!(true))
        );
        zoe.hears(&frame(id, "Hello", 0, &heard["message_id"], false));
    }
}

fn the_app_gets_the_conversation_id(play: &mut Play) {
    let (one, other) = (begin(play), begin(play));
    let mut page = play.open("jose", INBOX);
    page.says(&text(other, "to the other one"));
    page.hears_something();
    let messages = |id| format!("/api/conversations/{id}/messages/");
    let is = |list: &Value| list[0]["message"] == "to the other one";
    play.0.until("zoe", &messages(other), is);
    let none = play.0.ask("zoe", "GET", &messages(one), None);
    assert_eq!(none.json(), json!([]));
}

fn switching_makes_no_new_socket(play: &mut Play) {
    let conversations = [begin(play), begin(play)];
    let mut page = play.open("jose", INBOX);
    let before = opened(play);
    for id in [conversations, conversations].concat() {
        page.says(&text(id, "here now"));
        assert_eq!(page.hears_something()["conversation_id"], json!(id));
    }
    assert!((opened(play) - before).abs() < 0.5);
}

fn the_socket_survives_many_switches(play: &mut Play) {
    let conversations = [begin(play), begin(play)];
    let mut page = play.open("jose", INBOX);
    for n in 0..30 {
        page.says(&text(conversations[n % 2], &n.to_string()));
    }
    for n in 0..30 {
        let heard = page.hears_something();
        assert_eq!(heard["conversation_id"], json!(conversations[n % 2]));
        assert_eq!(heard["message"], json!(n.to_string()));
    }
}

fn a_reconnect_hears_all_conversations_again(play: &mut Play) {
    let conversations = [begin(play), begin(play)];
    play.open("jose", INBOX).breaks();
    play.sessions(0);
    let mut page = play.open("jose", INBOX);
    for id in conversations {
        hears_of(play, &mut page, id);
    }
}

fn a_retry_reconnects_after_outrigger_was_away(play: &mut Play) {
    let conversations = [begin(play), begin(play)];
    let mut page = play.open("jose", INBOX);
    play.0.restart_front();
    page.is_closed(1012);
    let mut page = play.open("jose", INBOX);
    for id in conversations {
        hears_of(play, &mut page, id);
    }
}

fn a_conversation_made_later_is_told_and_joined(play: &mut Play) {
    let mut page = play.open("jose", INBOX);
    let id = begin(play);
    page.hears(&created(id));
    let say = |kind| json!({ "conversation_id": id, "type": kind }).to_string();
    page.says(&say("JOIN"));
    page.hears(&format!(r#"{{"type": "JOINED", "conversation_id": {id}}}"#));
    hears_of(play, &mut page, id);
    page.says(&say("LEAVE"));
    page.hears(&format!(r#"{{"type": "LEFT", "conversation_id": {id}}}"#));
    page.says(&json!({ "conversation_id": 123_456_789, "type": "JOIN" }).to_string());
    page.hears(&not_a_member(123_456_789));
}

fn errors_name_their_conversation_and_disturb_no_other(play: &mut Play) {
    let id = begin(play);
    let mut page = play.open("jose", INBOX);
    page.says("{");
    page.hears(r#"{"type": "error", "message": "Invalid JSON"}"#);
    page.says(r#"{"type": "TEXT", "message": "to whom"}"#);
    page.hears(r#"{"type": "error", "message": "conversation_id is required"}"#);
    page.says(&text(123_456_789, "to nobody"));
    page.hears(&not_a_member(123_456_789));
    page.says(&json!({ "conversation_id": id, "type": "TEXT" }).to_string());
    page.hears(&format!(
        r#"{{"type": "error", "message": "message is required", "conversation_id": {id}}}"#
    ));
    hears_of(play, &mut page, id);
}

fn what_the_app_does_not_take_is_tried_again(play: &mut Play) {
    let id = begin(play);
    let mut page = play.open("jose", INBOX);
    play.0.app.stop();
    page.says(&text(id, "lost"));
    page.hears(&format!(
        r#"{{"type": "error", "message": "Try again", "conversation_id": {id}}}"#
    ));
    play.0.app.start_again();
    page.says(&text(id, "taken"));
    assert_eq!(page.hears_something()["message"], "taken");
}

fn typing_is_heard_by_the_others_only(play: &mut Play) {
    let id = begin(play);
    let (mut jose, mut tab) = (play.open("jose", INBOX), play.open("jose", INBOX));
    let mut zoe = play.open("zoe", INBOX);
    jose.says(&json!({ "conversation_id": id, "type": "TYPING", "is_typing": true }).to_string());
    tab.hears(&typing(id, 1));
    zoe.hears(&typing(id, 1));
    hears_of(play, &mut jose, id);
}

fn a_read_receipt_is_heard_by_both(play: &mut Play) {
    let id = begin(play);
    let (mut jose, mut zoe) = (play.open("jose", INBOX), play.open("zoe", INBOX));
    zoe.says(&text(id, "read me"));
    let message = jose.hears_something()["message_id"].clone();
    zoe.hears_something();
    let read = json!({ "conversation_id": id, "type": "READ", "message_id": message });
    jose.says(&read.to_string());
    let frame = format!(
        r#"{{"type": "READ", "conversation_id": {id}, "user_id": 1, "message_id": {message}}}"#
    );
    jose.hears(&frame);
    zoe.hears(&frame);
}

fn who_is_there_is_told_once_for_all_tabs(play: &mut Play) {
    let id = begin(play);
    let mut jose = play.open("jose", INBOX);
    let mut tabs = [play.open("zoe", &chat(id)), play.open("zoe", &chat(id))];
    for tab in &mut tabs {
        tab.hears(&welcome(id, 2));
    }
    jose.hears(&presence("online", id, 2));
    let [goes, mut stays] = tabs;
    goes.closes();
    stays.says(r#"{"type": "typing"}"#);
    jose.hears(&typing(id, 2));
    stays.says(r#"{"type": "ping"}"#);
    stays.hears(r#"{"type": "pong"}"#);
    stays.closes();
    jose.hears(&presence("offline", id, 2));
}

fn those_on_the_app_and_those_here_hear_each_other(play: &mut Play) {
    let id = begin(play);
    let mut inbox = play.open("jose", INBOX);
    let mut theirs = play.open_at_the_app("zoe", &chat(id));
    theirs.hears(&welcome(id, 2));
    inbox.hears(&presence("online", id, 2));
    let mut ours = play.open("jose", &chat(id));
    ours.hears(&welcome(id, 1));
    theirs.hears(&presence("online", id, 1));
    ours.says(r#"{"type": "typing"}"#);
    theirs.hears(&typing(id, 1));
    inbox.hears(&typing(id, 1));
    theirs.says(r#"{"type": "typing"}"#);
    ours.hears(&typing(id, 2));
    inbox.hears(&typing(id, 2));
    ours.says(r#"{"type": "message", "content": "from here"}"#);
    let said = ours.hears_something()["message_id"].clone();
    inbox.hears(&frame(id, "from here", 0, &said, true));
    theirs.hears(&frame(id, "from here", 0, &said, false));
    ours.closes();
    theirs.hears(&presence("offline", id, 1));
    theirs.closes();
    inbox.hears(&presence("offline", id, 2));
}

fn strangers_to_a_conversation_are_refused(play: &mut Play) {
    let id = begin(play);
    let target = format!("{}?token={}", chat(id), play.0.token("lilei"));
    assert_eq!(play.refused(&target), 403);
    for path in [INBOX, &chat(id)] {
        assert_eq!(play.refused(path), 403);
    }
    let mut stranger = play.open("lilei", INBOX);
    stranger.says(&text(id, "let me in"));
    stranger.hears(&not_a_member(id));
}

fn nothing_is_left_of_conversations_that_were_opened(play: &mut Play) {
    let id = begin(play);
    for _ in 0..10 {
        play.open("jose", INBOX).breaks();
        let mut page = play.open("zoe", &chat(id));
        page.hears(&welcome(id, 2));
        page.closes();
    }
    play.sessions(0);
    for group in [format!("chat_{id}"), "inbox_1".into(), "inbox_2".into()] {
        play.members(&group, 0);
    }
}
