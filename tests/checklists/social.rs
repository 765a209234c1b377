//! Friend requests, answers and messages on one socket from login to logout.

use serde_json::json;

use super::play::{Play, checklist};
use crate::harness::apps::Example;

checklist! { Example::Friends =>
    a_login_opens_the_socket
    strangers_are_refused
    a_friend_request_comes_by_itself
    its_acceptance_comes_by_itself
    a_message_comes_by_itself
    what_a_client_says_is_ignored
    a_broken_connection_is_opened_again
    a_logout_closes_the_socket_and_leaves_nothing
}

const PATH: &str = "/ws/notifications/";

fn a_login_opens_the_socket(play: &mut Play) {
    let token = play.0.login("jose", "access");
    assert_eq!(token.split('.').count(), 3, "{token}");
    play.open("jose", PATH).closes();
}

fn strangers_are_refused(play: &mut Play) {
    for query in ["", "?token=", "?token=wrong"] {
        assert_eq!(play.refused(&format!("{PATH}{query}")), 403, "{query}");
    }
}

fn a_friend_request_comes_by_itself(play: &mut Play) {
    let (mut jose, mut lilei) = (play.open("jose", PATH), play.open("lilei", PATH));
    play.post("zoe", "/api/friends/request/jose/", &json!({}));
    jose.hears(r#"{"type": "friend_request", "from_user": {"id": 2, "username": "zoe"}}"#);
    // Not for her, whose next frame is another one.
    play.post("zoe", "/api/friends/request/lilei/", &json!({}));
    lilei.hears(r#"{"type": "friend_request", "from_user": {"id": 2, "username": "zoe"}}"#);
}

fn its_acceptance_comes_by_itself(play: &mut Play) {
    let mut zoe = play.open("zoe", PATH);
    let id = &play.post("zoe", "/api/friends/request/jose/", &json!({}))["id"];
    play.post("jose", &format!("/api/friends/accept/{id}/"), &json!({}));
    zoe.hears(r#"{"type": "friend_accepted", "from_user": {"id": 1, "username": "jose"}}"#);
}

fn send(play: &Play, content: &str) -> String {
    let body = json!({ "to_user_id": 1, "content": content });
    let id = &play.post("zoe", "/api/messages/send/", &body)["id"];
    format!(
        r#"{{"type": "new_message", "from_user": {{"id": 2, "username": "zoe"}}, "message": {{"id": {id}, "content": "{content}"}}}}"#
    )
}

fn a_message_comes_by_itself(play: &mut Play) {
    let mut tabs = [play.open("jose", PATH), play.open("jose", PATH)];
    let frame = send(play, "Hi!");
    for tab in &mut tabs {
        tab.hears(&frame);
    }
}

fn what_a_client_says_is_ignored(play: &mut Play) {
    let mut page = play.open("jose", PATH);
    for text in ["{", "[]", r#"{"type": "ping"}"#] {
        page.says(text);
    }
    let frame = send(play, "still there");
    page.hears(&frame);
}

fn a_broken_connection_is_opened_again(play: &mut Play) {
    play.open("jose", PATH).breaks();
    play.sessions(0);
    let mut page = play.open("jose", PATH);
    play.0.restart_front();
    page.is_closed(1012);
    let mut page = play.open("jose", PATH);
    let frame = send(play, "again");
    page.hears(&frame);
}

fn a_logout_closes_the_socket_and_leaves_nothing(play: &mut Play) {
    let page = play.open("jose", PATH);
    play.members("user_1", 1);
    page.closes();
    play.sessions(0);
    play.members("user_1", 0);
}
