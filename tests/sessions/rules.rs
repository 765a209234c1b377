//! What becomes of open sessions when the rules change by which they were known.

use serde_json::json;

use super::{closed, endpoint};
use crate::harness::{App, Outrigger, Socket, Stage, TOKEN_SECRET, as_user, jwt, ok};

const OPEN: &str = "[[endpoint]]\nname = \"open\"\npath = \"/ws/open\"\nanonymous = true\ntopics = [\"open\"]\nframes = { x = \"{data}\" }\n";
const SPREAD: &str = "[stop]\nspread = \"0s\"\n";

async fn stage() -> (Stage, String) {
    let endpoints = format!("{OPEN}{}", endpoint(""));
    let app = App::answering(|_| ok("{}")).await;
    let stage = Stage::with(app, SPREAD, &endpoints).await;
    let config = stage.config(&endpoints);
    (stage, config)
}

async fn reload(outrigger: &Outrigger, config: &str, generation: f64) {
    outrigger.rewrite(config);
    let metric = "outrigger_config_generation";
    outrigger.metric_becomes(metric, generation).await;
}

#[tokio::test]
async fn an_exchanged_secret_sends_home_whom_the_old_one_let_in() {
    let (stage, config) = stage().await;
    let mut user = stage.open("/ws/news", 1).await;
    let mut stranger = stage.connect("/ws/open", &[]).await.ok().unwrap();
    let other = "another-secret-after-the-first-one-leaked";
    reload(&stage.outrigger, &config.replace(TOKEN_SECRET, other), 2.0).await;
    assert_eq!(user.closed().await, closed(1012, "service restart"));
    assert_eq!(stage.refused(&as_user("/ws/news", 1), &[]).await, 403);
    let token = jwt(other, &json!({"user_id": 1}));
    let target = format!("/ws/news?token={token}");
    let mut back = stage.connect(&target, &[]).await.ok().unwrap();
    stage.tell("news", "news", &json!({"n": 1})).await;
    assert_eq!(back.json().await["n"], 1);
    stage.tell("open", "x", &json!(2)).await;
    assert_eq!(stranger.text().await, "2", "a stranger was never judged");
}

#[tokio::test]
async fn a_stricter_rule_sends_home_and_another_place_for_tokens_does_not() {
    let (stage, config) = stage().await;
    let mut socket = stage.open("/ws/news", 1).await;
    let places = config.replace(
        "token = [\"query:token\", ",
        "token = [\"query:token\", \"query:t\", ",
    );
    assert_ne!(places, config);
    reload(&stage.outrigger, &places, 2.0).await;
    stage.tell("news", "news", &json!({"n": 1})).await;
    assert_eq!(socket.json().await["n"], 1);
    let stricter = places.replace("[auth.jwt]\n", "[auth.jwt]\nissuers = [\"me\"]\n");
    reload(&stage.outrigger, &stricter, 3.0).await;
    assert_eq!(socket.closed().await, closed(1012, "service restart"));
}

#[tokio::test]
async fn another_question_to_the_app_sends_home_and_another_pace_does_not() {
    let app = App::answering(|_| ok(r#"{"id": 1, "login": "anna"}"#)).await;
    let config = |ask: &str| {
        format!(
            "{}{SPREAD}[auth.app]\nurl = \"/api/me/\"\n{ask}\n{}",
            app.config(),
            endpoint("")
        )
    };
    let outrigger = Outrigger::start(&config("")).await;
    let cookie = [("Cookie", "sessionid=anna")];
    let mut socket = Socket::open_with(outrigger.addr(), "/ws/news", &cookie).await;
    reload(&outrigger, &config("cache = \"1s\""), 2.0).await;
    socket.send("{}").await;
    outrigger
        .metric_becomes("outrigger_messages_received_total", 1.0)
        .await;
    reload(&outrigger, &config("user = \"/login\""), 3.0).await;
    assert_eq!(socket.closed().await, closed(1012, "service restart"));
}
