//! One socket, `/ws/realtime/`, in place of two that go on working.

use serde_json::json;

use super::play::{Page, Play, checklist};
use crate::harness::apps::Example;

checklist! { Example::Django =>
    the_unified_socket_opens_and_strangers_are_refused
    it_joins_both_groups
    it_hears_notifications
    it_hears_friend_request_updates
    it_marks_as_read
    it_marks_all_as_read
    a_disconnect_is_graceful
    the_old_sockets_hear_the_same_beside_it
    two_tabs_hear_the_same_and_one_may_go
    an_error_is_answered_and_the_socket_goes_on
    a_heartbeat_is_heard_by_friends
    a_network_that_comes_back_is_a_reconnect
    a_restart_of_the_app_is_not_noticed
    a_restart_of_outrigger_is_a_reconnect
    the_flag_toggles_old_and_new
    nothing_is_left_of_pages_that_went
}

const UNIFIED: &str = "/ws/realtime/";
const OLD: [&str; 2] = ["/ws/notifications/", "/ws/friend-requests/"];
const JOSE: &str = r#"{"id": 1, "username": "jose", "name": "Jos\u00e9 \u00c5ngstr\u00f6m"}"#;
const ZOE: &str = r#"{"id": 2, "username": "zoe", "name": "Zo\u00eb O'Neil \ud83d\udea3"}"#;

/// Zoë notifies José; the frame that this becomes.
fn notify(play: &Play, title: &str) -> String {
    let body = json!({ "recipient": 1, "title": title });
    let id = &play.post("zoe", "/api/notifications/", &body)["id"];
    format!(
        r#"{{"type": "notification", "notification": {{"id": {id}, "type": "Message", "title": "{title}", "message": "", "is_read": false, "created_at": "<time>+00:00"}}}}"#
    )
}

/// A page hears what happens now.
fn is_well(play: &Play, page: &mut Page) {
    let frame = notify(play, "Are you there?");
    page.hears(&frame);
}

/// Which of José's notifications are read, once it is so.
fn reads(play: &Play, wanted: impl Fn(&[bool]) -> bool) {
    play.0.until("jose", "/api/notifications/", |list| {
        let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
        let read: Vec<_> = list.iter().map(|one| one["is_read"] == true).collect();
        wanted(&read)
    });
}

fn the_unified_socket_opens_and_strangers_are_refused(play: &mut Play) {
    let page = play.open("jose", UNIFIED);
    assert_eq!(play.refused(UNIFIED), 403);
    assert_eq!(play.refused(&format!("{UNIFIED}?token=wrong")), 403);
    page.closes();
}

fn it_joins_both_groups(play: &mut Play) {
    play.sessions(0);
    let _page = play.open("jose", UNIFIED);
    play.sessions(1);
    for group in ["notifications_1", "friend_requests_1", "presence_1"] {
        play.members(group, 1);
    }
}

fn it_hears_notifications(play: &mut Play) {
    let mut page = play.open("jose", UNIFIED);
    let frame = notify(play, "Hello");
    page.hears(&frame);
}

fn it_hears_friend_request_updates(play: &mut Play) {
    let mut page = play.open("jose", UNIFIED);
    let id = &play.post("zoe", "/api/friend-requests/", &json!({ "to": 1 }))["id"];
    let update = |action, status, received| {
        format!(
            r#"{{"type": "friend_request_update", "action": "{action}", "friend_request": {{"id": {id}, "from_user": {ZOE}, "to_user": {JOSE}, "status": "{status}", "created_at": "<time>+00:00"}}, "count": {{"received": {received}, "sent": 0}}}}"#
        )
    };
    page.hears(&update("created", "pending", 1));
    let accept = format!("/api/friend-requests/{id}/accept/");
    play.post("jose", &accept, &json!({}));
    page.hears(&update("accepted", "accepted", 0));
}

fn it_marks_as_read(play: &mut Play) {
    let mut page = play.open("jose", UNIFIED);
    notify(play, "To be read");
    let id = &page.hears_something()["notification"]["id"];
    let message = json!({ "action": "mark_as_read", "notification_id": id });
    page.says(&message.to_string());
    reads(play, |read| read.last() == Some(&true));
    reads(play, |read| read.contains(&false));
}

fn it_marks_all_as_read(play: &mut Play) {
    let mut page = play.open("jose", UNIFIED);
    notify(play, "One of all");
    page.says(r#"{"action": "mark_all_as_read"}"#);
    reads(play, |read| !read.is_empty() && !read.contains(&false));
}

fn a_disconnect_is_graceful(play: &mut Play) {
    let page = play.open("jose", UNIFIED);
    page.closes();
    play.sessions(0);
}

fn the_old_sockets_hear_the_same_beside_it(play: &mut Play) {
    let mut unified = play.open("jose", UNIFIED);
    let mut old = OLD.map(|path| play.open("jose", path));
    let frame = notify(play, "To both");
    unified.hears(&frame);
    old[0].hears(&frame);
    play.post("lilei", "/api/friend-requests/", &json!({ "to": 1 }));
    assert_eq!(unified.hears_something(), old[1].hears_something());
}

fn two_tabs_hear_the_same_and_one_may_go(play: &mut Play) {
    let mut tabs = [play.open("jose", UNIFIED), play.open("jose", UNIFIED)];
    let frame = notify(play, "To each tab");
    for tab in &mut tabs {
        tab.hears(&frame);
    }
    let [goes, mut stays] = tabs;
    goes.closes();
    is_well(play, &mut stays);
}

fn an_error_is_answered_and_the_socket_goes_on(play: &mut Play) {
    let mut page = play.open("jose", UNIFIED);
    page.says("not JSON");
    page.hears(r#"{"error": "Invalid JSON"}"#);
    page.says(r#"{"action": "mark_as_read", "notification_id": 123456789}"#);
    page.says(r#"{"action": "nothing we know"}"#);
    is_well(play, &mut page);
}

fn a_heartbeat_is_heard_by_friends(play: &mut Play) {
    let path = "/api/friend-requests/";
    let id = &play.post("zoe", path, &json!({ "to": 3 }))["id"];
    play.post("lilei", &format!("{path}{id}/accept/"), &json!({}));
    let mut friend = play.open("lilei", UNIFIED);
    let mut zoe = play.open("zoe", UNIFIED);
    zoe.says(r#"{"action": "presence_heartbeat"}"#);
    friend.hears(r#"{"type": "presence", "user_id": 2, "online": true}"#);
    let online = |list: &serde_json::Value| *list == json!([2]);
    play.0.until("lilei", "/api/presence/", online);
}

fn a_network_that_comes_back_is_a_reconnect(play: &mut Play) {
    let page = play.open("jose", UNIFIED);
    page.breaks();
    play.sessions(0);
    let mut page = play.open("jose", UNIFIED);
    is_well(play, &mut page);
}

fn a_restart_of_the_app_is_not_noticed(play: &mut Play) {
    let mut page = play.open("jose", UNIFIED);
    play.0.app.stop();
    page.says(r#"{"action": "mark_all_as_read"}"#);
    play.0.app.start_again();
    is_well(play, &mut page);
}

fn a_restart_of_outrigger_is_a_reconnect(play: &mut Play) {
    let mut page = play.open("jose", UNIFIED);
    play.0.restart_front();
    page.is_closed(1012);
    let mut page = play.open("jose", UNIFIED);
    is_well(play, &mut page);
}

fn the_flag_toggles_old_and_new(play: &mut Play) {
    let rule = "topics  = [\"presence_{user.id}\"]\nrollout = ";
    let (on, off) = (format!("{rule}\"on\""), format!("{rule}\"off\""));
    assert_eq!(play.flag("jose", "realtime"), json!(true));
    let mut page = play.open("jose", UNIFIED);
    play.reconfigure(&on, &off);
    assert_eq!(play.flag("jose", "realtime"), json!(false));
    // The old pair is there for who does without, the app's own consumer for who does not.
    let mut others = [OLD[0], UNIFIED].map(|path| play.open("jose", path));
    let frame = notify(play, "Old and new");
    page.hears(&frame);
    for other in &mut others {
        other.hears(&frame);
    }
    play.rewrite(&play.0.config);
    assert_eq!(play.flag("jose", "realtime"), json!(true));
}

fn nothing_is_left_of_pages_that_went(play: &mut Play) {
    for n in 0..20 {
        let page = play.open("jose", UNIFIED);
        if n % 2 == 0 {
            page.closes();
        } else {
            page.breaks();
        }
    }
    play.sessions(0);
    for group in ["notifications_1", "friend_requests_1", "presence_1"] {
        play.members(group, 0);
    }
}
