//! The Django Channels example.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::{
    Cast, Difference, FEED, Stage, Way, assert_it_does_without, assert_same_bytes, chat::*, forged,
    forged_with, in_seconds, scenarios,
};
use crate::harness::apps::Example;

const WAYS: &[Way] = &[Way::Direct, Way::AppLeg, Way::FeedLeg];

pub(crate) const DIFFERENCES: &[Difference] = &[
    Difference {
        scenario: "a_path_without_its_slash_is_unknown_to_channels",
        ways: FEED,
        instead: &[
            "jose: 101, text {\"error\": \"Invalid JSON\"}",
            "unknown: 500",
        ],
        why: "an endpoint's path fits with and without its slash",
    },
    Difference {
        scenario: "a_user_who_is_gone",
        ways: FEED,
        instead: &["gone: 101, text {\"error\": \"Invalid JSON\"}"],
        why: "the token is good; a `lookup` would ask the app",
    },
    Difference {
        scenario: "a_binary_message",
        ways: FEED,
        instead: &["jose hears close 1003 \"binary messages are not taken\""],
        why: "no endpoint of this app means to take them; here it happens to be no JSON",
    },
];

scenarios! { Example::Django, WAYS;
    a_good_token_opens_each_endpoint
    who_is_turned_away_and_how
    odd_tokens
    a_user_who_is_gone
    the_first_of_two_tokens_counts
    an_offered_subprotocol_is_not_accepted
    a_path_without_its_slash_is_unknown_to_channels
    plain_http_on_a_socket_path_is_the_apps
    a_notification_arrives
    a_friend_request_arrives
    an_accepted_request_is_told_in_order
    the_unified_endpoint_hears_both
    both_tabs_hear_everything
    only_the_recipient_hears
    many_events_keep_their_order
    mark_as_read_changes_the_database
    mark_all_as_read_changes_the_database
    nobody_marks_what_is_anothers
    what_is_not_json_is_answered
    what_is_no_action_is_not_answered
    a_binary_message
    a_heartbeat_is_heard_by_friends
    a_client_that_closes_is_answered
    a_chat_welcomes_its_members_only
    a_message_says_whose_it_is
    typing_is_heard_by_all_but_the_socket_that_types
    what_is_read_is_told_to_both
    others_hear_who_comes_and_goes
    a_chat_answers_what_it_cannot_use
    an_inbox_hears_all_conversations
    an_inbox_routes_by_conversation
    an_inbox_answers_what_it_cannot_use
    a_conversation_is_joined_and_left
}

#[test]
fn the_same_event_has_the_same_bytes_on_both_legs() {
    assert_same_bytes(Example::Django, NOTIFICATIONS, |stage| notify(stage, "now"));
}

#[test]
fn what_is_published_by_hand_is_heard() {
    let stage = Stage::build(Cast::of(Example::Django), Way::FeedLeg);
    let mut tab = stage.open("jose", NOTIFICATIONS);
    let publish = "from outrigger_django import publish
publish('notification_message', ['notifications_1'], {'notification': 'by hand'})";
    stage.app.manage(&["shell", "-v0", "-c", publish]);
    let frame = "text {\"type\": \"notification\", \"notification\": \"by hand\"}";
    assert_eq!(tab.socket.hear(), frame);
}

#[test]
fn the_app_does_without_an_outrigger_that_is_down() {
    assert_it_does_without(Example::Django, NOTIFICATIONS, |stage| notify(stage, "now"));
}

const NOTIFICATIONS: &str = "/ws/notifications/";
const FRIENDS: &str = "/ws/friend-requests/";
const REALTIME: &str = "/ws/realtime/";
/// Answered by the two endpoints that complain about invalid JSON.
const PROBE: &str = "{";

/// The claims of a token that SimpleJWT would have made for user 1.
fn claims() -> Value {
    json!({
        "token_type": "access", "user_id": "1", "jti": "0123456789abcdef",
        "iat": in_seconds(-60), "exp": in_seconds(3600),
    })
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
    stage.knock(what, &format!("{FRIENDS}?token={token}"), &[], PROBE);
}

fn notify(stage: &Stage, title: &str) {
    let body = json!({ "recipient": 1, "title": title, "message": "für dich: 你好 🚣 \"\\/" });
    stage.post("zoe", "/api/notifications/", &body);
}

fn a_good_token_opens_each_endpoint(stage: &Stage) {
    let token = stage.token("jose");
    for path in [FRIENDS, REALTIME] {
        stage.knock(path, &format!("{path}?token={token}"), &[], PROBE);
    }
    let mut tab = stage.open("jose", NOTIFICATIONS);
    notify(stage, "open");
    tab.hears(1);
}

fn who_is_turned_away_and_how(stage: &Stage) {
    for path in [NOTIFICATIONS, FRIENDS, REALTIME] {
        stage.knock("no token", path, &[], PROBE);
        stage.knock("empty token", &format!("{path}?token="), &[], PROBE);
        stage.knock("no JWT", &format!("{path}?token=a.b.c"), &[], PROBE);
    }
    knock(stage, "expired", &with("exp", in_seconds(-5).into()));
    knock(stage, "refresh token", &stage.login("jose", "refresh"));
    knock(stage, "other type", &with("token_type", "sliding".into()));
    let good = stage.token("jose");
    let (signed, _) = good.rsplit_once('.').expect("a JWT");
    knock(stage, "no signature", &format!("{signed}."));
    knock(
        stage,
        "other key",
        &forged_with("another-key-0123456789abcdefghijk", &claims()),
    );
    let header = [&format!("Authorization: Bearer {good}")[..]];
    stage.knock("header only", FRIENDS, &header, PROBE);
}

fn odd_tokens(stage: &Stage) {
    knock(stage, "user id as a number", &with("user_id", 1.into()));
    knock(stage, "no user id", &without("user_id"));
    knock(stage, "no exp", &without("exp"));
    knock(stage, "no jti", &without("jti"));
    knock(stage, "no iat", &without("iat"));
    knock(stage, "no type", &without("token_type"));
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
    knock(stage, "for somebody else", &with("aud", "another".into()));
    knock(stage, "by somebody else", &with("iss", "another".into()));
}

fn a_user_who_is_gone(stage: &Stage) {
    knock(stage, "gone", &with("user_id", "999".into()));
}

fn the_first_of_two_tokens_counts(stage: &Stage) {
    let good = stage.token("jose");
    knock(stage, "bad, good", &format!("bad&token={good}"));
    knock(stage, "good, bad", &format!("{good}&token=bad"));
}

fn an_offered_subprotocol_is_not_accepted(stage: &Stage) {
    let target = format!("{FRIENDS}?token={}", stage.token("jose"));
    stage.knock("json", &target, &["Sec-WebSocket-Protocol: json"], PROBE);
}

fn a_path_without_its_slash_is_unknown_to_channels(stage: &Stage) {
    let token = stage.token("jose");
    stage.knock(
        "jose",
        &format!("/ws/friend-requests?token={token}"),
        &[],
        PROBE,
    );
    stage.knock(
        "unknown",
        &format!("/ws/nothing/?token={token}"),
        &[],
        PROBE,
    );
}

fn plain_http_on_a_socket_path_is_the_apps(stage: &Stage) {
    let answer = stage.ask("jose", "GET", NOTIFICATIONS, None);
    stage.note(format!("{} {}", answer.status, answer.body));
}

fn a_notification_arrives(stage: &Stage) {
    let mut tab = stage.open("jose", NOTIFICATIONS);
    notify(stage, "Zoë wrote 🚣\u{7f}\u{1}\n");
    tab.hears(1);
}

fn a_friend_request_arrives(stage: &Stage) {
    let mut tab = stage.open("jose", FRIENDS);
    stage.post("lilei", "/api/friend-requests/", &json!({ "to": 1 }));
    tab.hears(1);
}

fn an_accepted_request_is_told_in_order(stage: &Stage) {
    let mut asked = stage.open("jose", REALTIME);
    let mut asks = stage.open("zoe", REALTIME);
    let request = stage.post("zoe", "/api/friend-requests/", &json!({ "to": 1 }));
    let path = format!("/api/friend-requests/{}/accept/", request.json()["id"]);
    stage.post("jose", &path, &json!({}));
    asked.hears(2);
    asks.hears(2);
}

fn the_unified_endpoint_hears_both(stage: &Stage) {
    let mut unified = stage.open("jose", REALTIME).named("unified");
    let mut notifications = stage.open("jose", NOTIFICATIONS).named("notifications");
    let mut friends = stage.open("jose", FRIENDS).named("friend requests");
    notify(stage, "first");
    stage.post("lilei", "/api/friend-requests/", &json!({ "to": 1 }));
    notify(stage, "second");
    unified.hears(3);
    notifications.hears(2);
    friends.hears(1);
}

fn both_tabs_hear_everything(stage: &Stage) {
    let mut first = stage.open("jose", NOTIFICATIONS).named("first tab");
    notify(stage, "one");
    first.hears(1);
    let mut second = stage.open("jose", NOTIFICATIONS).named("second tab");
    notify(stage, "two");
    notify(stage, "three");
    first.hears(2);
    second.hears(2);
}

fn only_the_recipient_hears(stage: &Stage) {
    let mut jose = stage.open("jose", NOTIFICATIONS);
    let mut lilei = stage.open("lilei", NOTIFICATIONS);
    notify(stage, "for José");
    stage.post(
        "zoe",
        "/api/notifications/",
        &json!({ "recipient": 3, "title": "给雷" }),
    );
    notify(stage, "for José again");
    lilei.hears(1);
    jose.hears(2);
}

fn many_events_keep_their_order(stage: &Stage) {
    let mut tab = stage.open("jose", REALTIME);
    for n in 0..25 {
        notify(stage, &format!("n {n}"));
    }
    tab.hears(25);
}

/// A new notification's id.
fn notified(stage: &Stage, title: &str) -> i64 {
    let body = json!({ "recipient": 1, "title": title });
    let answer = stage.post("zoe", "/api/notifications/", &body);
    answer.json()["id"].as_i64().expect("an id")
}

fn is_read(list: &Value, id: i64) -> bool {
    let mut items = list.as_array().into_iter().flatten();
    items.any(|item| item["id"] == id && item["is_read"] == true)
}

fn mark_as_read_changes_the_database(stage: &Stage) {
    for path in [NOTIFICATIONS, REALTIME] {
        let mut tab = stage.open("jose", path);
        let (read, unread) = (notified(stage, "read me"), notified(stage, "leave me"));
        tab.hears(2);
        tab.says(&json!({ "action": "mark_as_read", "notification_id": read }).to_string());
        stage.until("jose", "/api/notifications/", |list| is_read(list, read));
        let list = stage.ask("jose", "GET", "/api/notifications/", None).json();
        assert!(!is_read(&list, unread), "{list}");
        notify(stage, "nothing was answered");
        tab.hears(1);
    }
}

fn mark_all_as_read_changes_the_database(stage: &Stage) {
    for path in [NOTIFICATIONS, REALTIME] {
        let mut tab = stage.open("jose", path);
        let (one, two) = (notified(stage, "one"), notified(stage, "two"));
        tab.hears(2);
        tab.says(r#"{"action": "mark_all_as_read"}"#);
        let both = |list: &Value| is_read(list, one) && is_read(list, two);
        stage.until("jose", "/api/notifications/", both);
        notify(stage, "nothing was answered");
        tab.hears(1);
    }
}

fn nobody_marks_what_is_anothers(stage: &Stage) {
    let mut tab = stage.open("lilei", NOTIFICATIONS);
    let (theirs, path) = (notified(stage, "José's"), "/api/notifications/");
    let body = json!({ "recipient": 3, "title": "雷's" });
    let own = stage.post("zoe", path, &body).json()["id"]
        .as_i64()
        .expect("an id");
    tab.hears(1);
    for id in [theirs, own] {
        tab.says(&json!({ "action": "mark_as_read", "notification_id": id }).to_string());
    }
    stage.until("lilei", path, |list| is_read(list, own));
    let list = stage.ask("jose", "GET", path, None).json();
    assert!(!is_read(&list, theirs), "{list}");
}

fn what_is_not_json_is_answered(stage: &Stage) {
    for path in [FRIENDS, REALTIME] {
        let mut tab = stage.open("jose", path);
        for text in ["{", "", "not json", "{'a': 1}", "[1,]"] {
            tab.says(text);
            tab.hears(1);
        }
    }
    let mut silent = stage.open("jose", NOTIFICATIONS);
    silent.says("{");
    notify(stage, "nothing was answered");
    silent.hears(1);
}

fn what_is_no_action_is_not_answered(stage: &Stage) {
    for path in [NOTIFICATIONS, REALTIME] {
        let mut tab = stage.open("jose", path);
        for text in [
            r#"{"action": "nothing we know"}"#,
            r#"{"action": null}"#,
            r#"{"action": "mark_as_read"}"#,
            r#"{"action": "mark_as_read", "notification_id": "x/../../y"}"#,
            r#"{"action": "mark_as_read", "notification_id": 123456789}"#,
            "{}",
            "[]",
            "[1, 2]",
            "7",
            "null",
            "\"text\"",
        ] {
            tab.says(text);
        }
        notify(stage, "nothing was answered");
        tab.hears(1);
    }
}

fn a_binary_message(stage: &Stage) {
    let mut tab = stage.open("jose", FRIENDS);
    tab.socket.say(Message::Binary(b"{}".to_vec().into()));
    stage.note(format!("jose hears {}", tab.socket.hear()));
}

fn a_heartbeat_is_heard_by_friends(stage: &Stage) {
    let mut friend = stage.open("jose", REALTIME);
    let mut stranger = stage.open("lilei", REALTIME);
    let mut tab = stage.open("zoe", REALTIME);
    tab.says(r#"{"action": "presence_heartbeat"}"#);
    friend.hears(1);
    stage.post(
        "zoe",
        "/api/notifications/",
        &json!({ "recipient": 3, "title": "after" }),
    );
    stranger.hears(1);
}

fn a_client_that_closes_is_answered(stage: &Stage) {
    stage.open("jose", REALTIME).closes(1000, "");
    let mut tab = stage.open("jose", REALTIME);
    tab.socket
        .say(Message::Ping(b"are you there".to_vec().into()));
    stage.note(format!("ping: {}", tab.socket.hear_pong()));
}
