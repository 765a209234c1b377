//! The Django example's conversations: one socket for each, and the inbox.

use serde_json::{Value, json};

use super::{Stage, Tab};

const INBOX: &str = "/ws/inbox/";

/// José begins a conversation with Zoë; its id.
fn begin(stage: &Stage) -> i64 {
    let answer = stage.post("jose", "/api/conversations/", &json!({ "members": [2] }));
    answer.json()["id"].as_i64().expect("an id")
}

fn path_of(conversation: i64) -> String {
    format!("/ws/chat/{conversation}/")
}

/// Somebody opens a conversation: the welcome, and what they read. Who is there hears
/// of both; after the second nothing of the first is on its way to who enters next.
fn enter<'s>(stage: &'s Stage, who: &str, conversation: i64) -> Tab<'s> {
    let mut tab = stage.open(who, &path_of(conversation));
    tab.hears(1);
    tab.says(r#"{"type": "read", "message_id": 0}"#);
    tab.hears(1);
    tab
}

/// Says something with its `conversation_id` first.
fn write(tab: &mut Tab<'_>, conversation: i64, rest: &Value) {
    let rest = rest.to_string();
    let rest = rest.strip_prefix('{').expect("an object");
    tab.says(&format!("{{\"conversation_id\": {conversation}, {rest}"));
}

pub(super) fn a_chat_welcomes_its_members_only(stage: &Stage) {
    let conversation = begin(stage);
    enter(stage, "jose", conversation);
    let target = |who| format!("{}?token={}", path_of(conversation), stage.token(who));
    stage.knock("stranger", &target("lilei"), &[], "{");
    stage.knock("no token", &path_of(conversation), &[], "{");
}

pub(super) fn a_message_says_whose_it_is(stage: &Stage) {
    let conversation = begin(stage);
    let mut jose = enter(stage, "jose", conversation);
    let mut zoe = enter(stage, "zoe", conversation);
    jose.hears(2);
    jose.says(r#"{"type": "message", "content": "Grüße 🚣 \"\\/\u0001"}"#);
    jose.hears(1);
    zoe.hears(1);
    let path = format!("/api/conversations/{conversation}/messages/");
    stage.post("zoe", &path, &json!({ "message": "by HTTP" }));
    jose.hears(1);
    zoe.hears(1);
}

pub(super) fn typing_is_heard_by_all_but_the_socket_that_types(stage: &Stage) {
    let conversation = begin(stage);
    let mut jose = enter(stage, "jose", conversation);
    let mut tab = enter(stage, "jose", conversation).named("other tab");
    jose.hears(1);
    let mut zoe = enter(stage, "zoe", conversation);
    jose.hears(2);
    tab.hears(2);
    jose.says(r#"{"type": "typing", "is_typing": true}"#);
    tab.hears(1);
    zoe.hears(1);
    jose.says(r#"{"type": "ping"}"#);
    jose.hears(1);
}

pub(super) fn what_is_read_is_told_to_both(stage: &Stage) {
    let conversation = begin(stage);
    let mut jose = enter(stage, "jose", conversation);
    let mut zoe = enter(stage, "zoe", conversation);
    jose.hears(2);
    jose.says(r#"{"type": "read", "message_id": 12345}"#);
    jose.hears(1);
    zoe.hears(1);
}

pub(super) fn others_hear_who_comes_and_goes(stage: &Stage) {
    let conversation = begin(stage);
    let mut jose = enter(stage, "jose", conversation);
    let zoe = enter(stage, "zoe", conversation);
    jose.hears(2);
    zoe.closes(1000, "");
    jose.hears(1);
}

pub(super) fn a_chat_answers_what_it_cannot_use(stage: &Stage) {
    let mut jose = enter(stage, "jose", begin(stage));
    for text in [
        "{",
        r#"{"type": "message"}"#,
        r#"{"type": "message", "content": 7}"#,
    ] {
        jose.says(text);
        jose.hears(1);
    }
    for text in ["[]", "7", "{}", r#"{"type": "nothing we know"}"#] {
        jose.says(text);
    }
    jose.says(r#"{"type": "ping"}"#);
    jose.hears(1);
}

pub(super) fn an_inbox_hears_all_conversations(stage: &Stage) {
    let conversations = [begin(stage), begin(stage)];
    let mut jose = stage.open("jose", INBOX);
    for conversation in conversations {
        let path = format!("/api/conversations/{conversation}/messages/");
        stage.post("zoe", &path, &json!({ "message": "hello" }));
    }
    jose.hears(2);
    begin(stage);
    jose.hears(1);
}

pub(super) fn an_inbox_routes_by_conversation(stage: &Stage) {
    let conversations = [begin(stage), begin(stage)];
    let mut jose = stage.open("jose", INBOX);
    let mut zoe = stage.open("zoe", INBOX);
    let mut one = enter(stage, "zoe", conversations[1]);
    jose.hears(2);
    zoe.hears(1);
    for conversation in conversations {
        write(
            &mut jose,
            conversation,
            &json!({ "message": "Hello", "type": "TEXT" }),
        );
        write(
            &mut jose,
            conversation,
            &json!({ "is_typing": true, "type": "TYPING" }),
        );
        write(
            &mut jose,
            conversation,
            &json!({ "message_id": 12345, "type": "READ" }),
        );
    }
    jose.hears(4);
    zoe.hears(6);
    one.hears(3);
}

pub(super) fn an_inbox_answers_what_it_cannot_use(stage: &Stage) {
    let conversation = begin(stage);
    let mut jose = stage.open("jose", INBOX);
    for text in [
        "{",
        "{}",
        r#"{"type": "TEXT", "message": "to whom"}"#,
        r#"{"type": "TEXT", "message": "to nobody", "conversation_id": 123456789}"#,
    ] {
        jose.says(text);
        jose.hears(1);
    }
    write(&mut jose, conversation, &json!({ "type": "TEXT" }));
    jose.hears(1);
}

pub(super) fn a_conversation_is_joined_and_left(stage: &Stage) {
    let mut jose = stage.open("jose", INBOX);
    let conversation = begin(stage);
    jose.hears(1);
    write(&mut jose, conversation, &json!({ "type": "JOIN" }));
    jose.hears(1);
    let path = format!("/api/conversations/{conversation}/messages/");
    stage.post("zoe", &path, &json!({ "message": "heard" }));
    jose.hears(1);
    write(&mut jose, conversation, &json!({ "type": "LEAVE" }));
    jose.hears(1);
    stage.post("zoe", &path, &json!({ "message": "not heard" }));
    write(&mut jose, conversation, &json!({ "type": "JOIN" }));
    jose.hears(1);
}
