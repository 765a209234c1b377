//! Who of the known users may come in, and what the app says about it.

use serde_json::json;

use super::endpoint;
use crate::harness::{App, Stage, answer, as_user, ok, token, token_of};

#[tokio::test]
async fn a_path_of_ones_own() {
    let stage = Stage::new(
        "[[endpoint]]\nname = \"mine\"\npath = \"/ws/users/{id:int}\"\npermit = { own = \"id\" }\ntopics = [\"u_{id}\"]\nframes = { x = \"{data}\" }\n",
    )
    .await;
    let mut socket = stage.open("/ws/users/5", 5).await;
    assert_eq!(stage.refused(&as_user("/ws/users/6", 5), &[]).await, 403);
    stage.tell("u_5", "x", &json!(1)).await;
    assert_eq!(socket.text().await, "1");
}

#[tokio::test]
async fn a_claim_that_lists_it() {
    let stage = Stage::new(
        "[[endpoint]]\nname = \"team\"\npath = \"/ws/teams/{team}\"\npermit = { claim = \"teams\", value = \"{team}\" }\ntopics = [\"t_{team}\"]\nframes = { x = \"{data}\" }\n",
    )
    .await;
    let target = |team: &str, teams| {
        let token = token_of(&json!({"user_id": 1, "teams": teams}));
        format!("/ws/teams/{team}?token={token}")
    };
    assert!(
        stage
            .connect(&target("red", json!(["blue", "red"])), &[])
            .await
            .is_ok()
    );
    assert!(stage.connect(&target("7", json!([7])), &[]).await.is_ok());
    assert!(
        stage
            .connect(&target("red", json!("red")), &[])
            .await
            .is_ok()
    );
    assert_eq!(
        stage.refused(&target("red", json!(["redder"])), &[]).await,
        403
    );
    assert_eq!(stage.refused(&as_user("/ws/teams/red", 1), &[]).await, 403);
}

const ASKS: &str = r#"
[[endpoint]]
name = "chat"
path = "/ws/chats/{chat}"
permit = { ask_app = "/api/chats/{chat}/", cache = "60s" }
topics = ["c_{chat}"]
frames = { x = "{data}" }
[endpoint.refuse]
bad_token = { http = 401 }
not_permitted = { close = 4003, reason = "Not a member" }
"#;

#[tokio::test]
async fn the_app_is_asked_and_its_answer_is_remembered() {
    let app = App::answering(|request| match request.target() {
        "/api/chats/1/" => ok("{}"),
        "/api/chats/2/" => answer(403, "{}"),
        "/api/chats/3/" => answer(401, "{}"),
        "/api/chats/a%20b%3Fc/" => ok("{}"),
        _ => answer(500, "{}"),
    })
    .await;
    let stage = Stage::with(app, "", ASKS).await;
    for _ in 0..2 {
        stage.open("/ws/chats/1", 1).await;
    }
    let seen = stage.app.take_seen();
    assert_eq!(seen.len(), 1);
    let bearer = format!("Bearer {}", token(1));
    assert_eq!(seen[0].header("authorization").as_deref(), Some(&*bearer));
    assert_eq!(seen[0].header("host").as_deref(), Some("outrigger.test"));
    stage.open("/ws/chats/1", 2).await;
    assert_eq!(
        stage.app.take_seen().len(),
        1,
        "another user is asked about anew"
    );
    let refused = stage.turned_away(&as_user("/ws/chats/2", 1), &[]).await;
    assert_eq!(refused, super::closed(4003, "Not a member"));
    assert_eq!(stage.refused(&as_user("/ws/chats/3", 1), &[]).await, 401);
    stage.app.take_seen();
    for _ in 0..2 {
        assert_eq!(stage.refused(&as_user("/ws/chats/4", 1), &[]).await, 503);
    }
    assert_eq!(stage.app.take_seen().len(), 2, "a fault is not remembered");
    stage.open("/ws/chats/a%20b%3Fc", 1).await;
    let name = "outrigger_sessions_refused_total{reason=\"app_unavailable\"}";
    assert_eq!(stage.outrigger.metric(name).await, 2.0);
}

#[tokio::test]
async fn an_app_that_is_gone_lets_nobody_in() {
    let stage = Stage::with(App::gone().await, "", ASKS).await;
    assert_eq!(stage.refused(&as_user("/ws/chats/1", 1), &[]).await, 503);
}

#[tokio::test]
async fn a_look_up_fills_the_welcome_the_topics_and_the_frames() {
    let app = App::answering(|request| match request.target() {
        "/api/me/" => ok(r#"{"id": 5, "username": "änna \"x\"", "team": "red"}"#),
        _ => answer(404, "{}"),
    })
    .await;
    let endpoints = r#"
[[endpoint]]
name = "a"
path = "/ws/a"
lookup = { me = "/api/me/" }
topics = ["team_{me.team}"]
json = "python"
[endpoint.welcome]
type = "connection_established"
message = "Connected as {me.username}"
user_id = "{me.id}"
[endpoint.frames]
x = { for = "{me.username}", data = "{data}" }
[[endpoint]]
name = "b"
path = "/ws/b"
lookup = { me = "/api/nothing/" }
topics = ["b"]
"#;
    let stage = Stage::with(app, "", endpoints).await;
    let mut socket = stage.open("/ws/a", 5).await;
    let welcome = r#"{"type": "connection_established", "message": "Connected as \u00e4nna \"x\"", "user_id": 5}"#;
    assert_eq!(socket.text().await, welcome);
    stage.tell("team_red", "x", &json!([1, 2])).await;
    assert_eq!(
        socket.text().await,
        r#"{"for": "\u00e4nna \"x\"", "data": [1, 2]}"#
    );
    assert_eq!(stage.refused(&as_user("/ws/b", 5), &[]).await, 403);
}

#[tokio::test]
async fn strangers_come_in_only_where_they_may() {
    let open = "[[endpoint]]\nname = \"open\"\npath = \"/ws/open\"\nanonymous = true\norigins = \"any\"\ntopics = [\"open\"]\nframes = { x = \"{data}\" }\n";
    let stage = Stage::new(&format!("{open}{}", endpoint(""))).await;
    let mut socket = stage.connect("/ws/open", &[]).await.ok().unwrap();
    stage.tell("open", "x", &json!("hi")).await;
    assert_eq!(socket.text().await, "\"hi\"");
    assert_eq!(stage.refused("/ws/open?token=bad", &[]).await, 403);
    assert_eq!(stage.refused("/ws/news", &[]).await, 403);
}
