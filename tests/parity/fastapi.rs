//! The FastAPI example.

use serde_json::{Value, json};

use super::{
    Difference, FEED, Stage, Way, assert_it_does_without, assert_same_bytes, forged, forged_with,
    in_seconds, scenarios,
};
use crate::harness::apps::Example;

const WAYS: &[Way] = &[Way::Direct, Way::AppLeg, Way::FeedLeg, Way::Exchange];

const DIFFERENCES: &[Difference] = &[
    Difference {
        scenario: "a_path_with_a_slash_too_many_is_unknown_to_starlette",
        ways: &[Way::FeedLeg, Way::Exchange],
        instead: &["jose: 101, text {\"type\": \"pong\"}", "unknown: 403"],
        why: "an endpoint's path fits with and without its slash",
    },
    Difference {
        scenario: "a_token_in_a_header_only",
        ways: &[Way::Exchange],
        instead: &["header only: 101, text {\"type\": \"pong\"}"],
        why: "the API's exchanges have it there, and one list of places is for all",
    },
    Difference {
        scenario: "tokens_about_which_this_app_is_stricter",
        ways: FEED,
        instead: &[
            "user id as a text: 101, text {\"type\": \"pong\"}",
            "for somebody else: 101, text {\"type\": \"pong\"}",
        ],
        why: "a user id is one in either type, and `aud` is looked at only if `audiences` are named",
    },
    Difference {
        scenario: "a_user_who_is_gone",
        ways: FEED,
        instead: &["gone: 101, text {\"type\": \"pong\"}"],
        why: "the token is good; a `lookup` would ask the app",
    },
];

scenarios! { Example::FastApi, WAYS;
    a_good_token_opens_each_endpoint
    who_is_turned_away_and_how
    a_token_in_a_header_only
    odd_tokens
    tokens_about_which_this_app_is_stricter
    a_user_who_is_gone
    the_last_of_two_tokens_counts
    an_offered_subprotocol_is_not_accepted
    strangers_do_not_hear_a_chat
    a_path_with_a_slash_too_many_is_unknown_to_starlette
    a_ping_is_answered_as_the_app_spells_it
    what_is_not_json_is_answered
    what_is_no_action_is_not_answered
    a_message_over_http_reaches_the_chat
    a_message_over_the_socket_reaches_the_chat
    typing_is_heard_by_the_others_only
    many_messages_keep_their_order
    the_inbox_hears_all_chats_of_its_user
    the_inbox_sends_and_reads
    a_connection_request_reaches_one_user
    an_accepted_connection_reaches_two_users
    posts_reach_everybody
    a_comment_reaches_the_author
    both_tabs_hear_everything
    who_is_online_is_told
    a_client_that_closes_is_answered
}

#[test]
fn the_same_event_has_the_same_bytes_on_both_legs() {
    let say = |stage: &Stage| say_over_http(stage, "zoe", 1, "now");
    assert_same_bytes(Example::FastApi, "/ws/messages/1", say);
}

#[test]
fn the_app_does_without_an_outrigger_that_is_down() {
    let say = |stage: &Stage| say_over_http(stage, "zoe", 1, "now");
    assert_it_does_without(Example::FastApi, "/ws/messages/1", say);
}

const PING: &str = r#"{"type": "ping"}"#;
const PATHS: [&str; 5] = [
    "/ws/messages/1",
    "/ws/inbox/",
    "/ws/connections",
    "/ws/notifications",
    "/ws/feed",
];
/// Those that answer what a client says.
const HEARING: [&str; 4] = [
    "/ws/messages/1",
    "/ws/inbox/",
    "/ws/connections",
    "/ws/feed",
];

fn claims() -> Value {
    json!({ "type": "access", "user_id": 1, "exp": in_seconds(3600) })
}

fn with(name: &str, value: Value) -> String {
    let mut claims = claims();
    claims[name] = value;
    forged(&claims)
}

fn without(name: &str) -> String {
    let mut claims = claims();
    claims.as_object_mut().expect("claims").remove(name);
    forged(&claims)
}

fn knock(stage: &Stage, what: &str, token: &str) {
    stage.knock(what, &format!("/ws/feed?token={token}"), &[], PING);
}

fn say_over_http(stage: &Stage, who: &str, chat: u32, content: &str) {
    let body = json!({ "content": content });
    stage.post(who, &format!("/chats/{chat}/messages"), &body);
}

fn a_good_token_opens_each_endpoint(stage: &Stage) {
    let token = stage.token("jose");
    for path in PATHS {
        stage.knock(path, &format!("{path}?token={token}"), &[], PING);
    }
}

fn who_is_turned_away_and_how(stage: &Stage) {
    for path in PATHS {
        stage.knock("no token", path, &[], PING);
        stage.knock("empty token", &format!("{path}?token="), &[], PING);
        stage.knock("no JWT", &format!("{path}?token=a.b.c"), &[], PING);
    }
    knock(stage, "expired", &with("exp", in_seconds(-5).into()));
    knock(
        stage,
        "refresh token",
        &stage.login("jose", "refresh_token"),
    );
    let good = stage.token("jose");
    let (signed, _) = good.rsplit_once('.').expect("a JWT");
    knock(stage, "no signature", &format!("{signed}."));
    knock(
        stage,
        "other key",
        &forged_with("another-key-0123456789abcdefghijk", &claims()),
    );
}

fn a_token_in_a_header_only(stage: &Stage) {
    let header = format!("Authorization: Bearer {}", stage.token("jose"));
    stage.knock("header only", "/ws/feed", &[&header], PING);
}

fn odd_tokens(stage: &Stage) {
    knock(stage, "no user id", &without("user_id"));
    knock(stage, "no type", &without("type"));
    knock(stage, "no exp", &without("exp"));
    knock(
        stage,
        "issued in the future",
        &with("iat", in_seconds(600).into()),
    );
    knock(
        stage,
        "not before later",
        &with("nbf", in_seconds(600).into()),
    );
    knock(stage, "by somebody else", &with("iss", "another".into()));
}

fn tokens_about_which_this_app_is_stricter(stage: &Stage) {
    knock(stage, "user id as a text", &with("user_id", "1".into()));
    knock(stage, "for somebody else", &with("aud", "another".into()));
}

fn a_user_who_is_gone(stage: &Stage) {
    knock(stage, "gone", &with("user_id", 999.into()));
}

fn the_last_of_two_tokens_counts(stage: &Stage) {
    let good = stage.token("jose");
    knock(stage, "bad, good", &format!("bad&token={good}"));
    knock(stage, "good, bad", &format!("{good}&token=bad"));
}

fn an_offered_subprotocol_is_not_accepted(stage: &Stage) {
    let target = format!("/ws/feed?token={}", stage.token("jose"));
    stage.knock("json", &target, &["Sec-WebSocket-Protocol: json"], PING);
}

fn strangers_do_not_hear_a_chat(stage: &Stage) {
    let token = stage.token("lilei");
    for path in [
        "/ws/messages/1",
        "/ws/messages/999",
        "/ws/messages/one",
        "/ws/messages/-1",
    ] {
        stage.knock(path, &format!("{path}?token={token}"), &[], PING);
    }
    stage.knock("bad token", "/ws/messages/999?token=bad", &[], PING);
}

fn a_path_with_a_slash_too_many_is_unknown_to_starlette(stage: &Stage) {
    let token = stage.token("jose");
    stage.knock("jose", &format!("/ws/feed/?token={token}"), &[], PING);
    stage.knock("unknown", &format!("/ws/nothing?token={token}"), &[], PING);
}

fn a_ping_is_answered_as_the_app_spells_it(stage: &Stage) {
    for path in HEARING {
        let mut tab = stage.open("jose", path);
        tab.says(PING);
        tab.says(r#"{"type":"ping","n":1}"#);
        tab.hears(2);
    }
}

fn what_is_not_json_is_answered(stage: &Stage) {
    for path in HEARING {
        let mut tab = stage.open("jose", path);
        for text in ["{", "", "not json", "{'a': 1}", "[1,]"] {
            tab.says(text);
            tab.hears(1);
        }
    }
}

fn what_is_no_action_is_not_answered(stage: &Stage) {
    for path in HEARING {
        let mut tab = stage.open("jose", path);
        let unknown = r#"{"type": "nothing we know"}"#;
        for text in [
            unknown,
            r#"{"type": null}"#,
            "{}",
            "[]",
            "[1, 2]",
            "7",
            "null",
            "\"text\"",
        ] {
            tab.says(text);
        }
        for text in [
            r#"{"type": "message"}"#,
            r#"{"type": "TEXT", "message": "no conversation"}"#,
            r#"{"type": "TEXT", "message": "not a member", "conversation_id": 999}"#,
            r#"{"type": "TEXT", "message": 7, "conversation_id": 1}"#,
        ] {
            tab.says(text);
        }
        tab.says(PING);
        tab.hears(1);
    }
}

fn a_message_over_http_reaches_the_chat(stage: &Stage) {
    let mut jose = stage.open("jose", "/ws/messages/1");
    let mut zoe = stage.open("zoe", "/ws/messages/1");
    let mut elsewhere = stage.open("jose", "/ws/messages/2").named("other chat");
    say_over_http(stage, "zoe", 1, "Grüße 🚣 \"\\/\u{7f}\n\u{1} 你好 \u{2028}");
    say_over_http(stage, "jose", 2, "elsewhere");
    jose.hears(1);
    zoe.hears(1);
    elsewhere.hears(1);
}

fn a_message_over_the_socket_reaches_the_chat(stage: &Stage) {
    let mut jose = stage.open("jose", "/ws/messages/1");
    let mut zoe = stage.open("zoe", "/ws/messages/1");
    let mut inbox = stage.open("zoe", "/ws/inbox/").named("zoe's inbox");
    jose.says(r#"{"type": "message", "content": "Hello, Zoë!"}"#);
    jose.says(
        r#"{"type": "message", "content": "\u00e9\ud83d\udea3", "attachment": "/upload/a b.jpg"}"#,
    );
    zoe.hears(2);
    jose.hears(2);
    inbox.hears(2);
    stage.until("zoe", "/chats/1/messages", |list| {
        list.as_array().is_some_and(|list| list.len() >= 2)
    });
}

fn typing_is_heard_by_the_others_only(stage: &Stage) {
    let mut first = stage.open("jose", "/ws/messages/1").named("jose");
    let mut second = stage
        .open("jose", "/ws/messages/1")
        .named("jose's other tab");
    let mut zoe = stage.open("zoe", "/ws/messages/1");
    first.says(r#"{"type": "typing", "is_typing": true}"#);
    zoe.hears(1);
    second.hears(1);
    first.says(r#"{"type": "typing", "is_typing": false}"#);
    first.says(r#"{"type": "typing"}"#);
    zoe.hears(2);
    say_over_http(stage, "zoe", 1, "I see");
    first.hears(1);
    second.hears(3);
    zoe.hears(1);
}

fn many_messages_keep_their_order(stage: &Stage) {
    let mut jose = stage.open("jose", "/ws/messages/1");
    let mut zoe = stage.open("zoe", "/ws/messages/1");
    let mut inbox = stage.open("zoe", "/ws/inbox/").named("zoe's inbox");
    for n in 0..20 {
        jose.says(&json!({ "type": "message", "content": format!("n {n}") }).to_string());
    }
    zoe.hears(20);
    jose.hears(20);
    inbox.hears(20);
}

fn the_inbox_hears_all_chats_of_its_user(stage: &Stage) {
    let mut jose = stage.open("jose", "/ws/inbox/");
    let mut zoe = stage.open("zoe", "/ws/inbox/");
    let mut lilei = stage.open("lilei", "/ws/inbox/");
    say_over_http(stage, "zoe", 1, "one");
    say_over_http(stage, "lilei", 2, "二");
    say_over_http(stage, "zoe", 3, "three");
    jose.hears(3);
    zoe.hears(2);
    lilei.hears(2);
}

fn the_inbox_sends_and_reads(stage: &Stage) {
    let mut jose = stage.open("jose", "/ws/inbox/");
    let mut zoe = stage.open("zoe", "/ws/inbox/");
    jose.says(r#"{"conversation_id": 1, "type": "TYPING", "is_typing": true}"#);
    jose.says(r#"{"conversation_id": 1, "message": "Hello", "type": "TEXT"}"#);
    zoe.hears(2);
    jose.hears(1);
    zoe.says(r#"{"conversation_id": 1, "type": "READ", "message_id": 1}"#);
    jose.hears(1);
    say_over_http(stage, "jose", 1, "after");
    zoe.hears(1);
    jose.hears(1);
}

fn a_connection_request_reaches_one_user(stage: &Stage) {
    let mut jose = stage.open("jose", "/ws/connections");
    let mut zoe = stage.open("zoe", "/ws/connections");
    stage.post("lilei", "/connections", &json!({ "to_user_id": 1 }));
    stage.post("lilei", "/connections", &json!({ "to_user_id": 2 }));
    stage.post("lilei", "/connections", &json!({ "to_user_id": 1 }));
    zoe.hears(1);
    jose.hears(2);
}

fn an_accepted_connection_reaches_two_users(stage: &Stage) {
    let mut jose = stage.open("jose", "/ws/connections");
    let mut zoe = stage.open("zoe", "/ws/connections");
    let mut lilei = stage.open("lilei", "/ws/connections");
    let request = stage.post("zoe", "/connections", &json!({ "to_user_id": 1 }));
    let path = format!("/connections/{}/accept", request.json()["id"]);
    stage.post("jose", &path, &json!({}));
    stage.post("zoe", "/connections", &json!({ "to_user_id": 3 }));
    jose.hears(2);
    zoe.hears(1);
    lilei.hears(1);
}

fn posts_reach_everybody(stage: &Stage) {
    let mut jose = stage.open("jose", "/ws/feed");
    let mut lilei = stage.open("lilei", "/ws/feed");
    let post = stage.post(
        "zoe",
        "/posts",
        &json!({ "content": "Check out 我的 research!" }),
    );
    let path = format!("/posts/{}/comments", post.json()["id"]);
    stage.post("jose", &path, &json!({ "content": "¡Olé!" }));
    jose.hears(2);
    lilei.hears(2);
}

fn a_comment_reaches_the_author(stage: &Stage) {
    let mut zoe = stage.open("zoe", "/ws/notifications");
    let mut lilei = stage.open("lilei", "/ws/notifications");
    zoe.hears(1);
    lilei.hears(1);
    let post = stage.post("zoe", "/posts", &json!({ "content": "Hm" }));
    let comments = format!("/posts/{}/comments", post.json()["id"]);
    stage.post("jose", &comments, &json!({ "content": "Sí" }));
    zoe.hears(1);
    zoe.says(PING);
    lilei.says(PING);
    zoe.hears(1);
    lilei.hears(1);
}

fn both_tabs_hear_everything(stage: &Stage) {
    let mut first = stage.open("jose", "/ws/messages/1").named("first tab");
    say_over_http(stage, "zoe", 1, "one");
    first.hears(1);
    let mut second = stage.open("jose", "/ws/messages/1").named("second tab");
    say_over_http(stage, "zoe", 1, "two");
    first.hears(1);
    second.hears(1);
}

fn who_is_online_is_told(stage: &Stage) {
    let mut jose = stage.open("jose", "/ws/online");
    // What she hears is not noted: that he came may still be on its way.
    let zoe = stage.open("zoe", "/ws/online");
    jose.hears(1);
    drop(zoe);
    jose.hears(1);
}

fn a_client_that_closes_is_answered(stage: &Stage) {
    stage.open("jose", "/ws/feed").closes(1000, "");
    stage.open("jose", "/ws/feed").closes(4000, "bye");
}
