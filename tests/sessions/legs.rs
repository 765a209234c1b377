//! Which leg a user stands on, and what the app leg carries.

use serde_json::{Value, json};

use super::endpoint;
use crate::harness::{App, Stage, answer, as_user, token};

#[tokio::test]
async fn the_app_leg_carries_bytes_and_close_codes() {
    let stage = Stage::with(App::start().await, "", &endpoint("rollout = \"off\"")).await;
    let mut client = stage.outrigger.connect().await;
    let target = as_user("/ws/news", 1);
    client
        .send(crate::harness::handshake(&target, &[("X-Own", "1")]))
        .await;
    let mut app = stage.app.accept().await;
    let request = app.request_head().await;
    assert_eq!(
        (request.target(), request.header("x-own").as_deref()),
        (&*target, Some("1"))
    );
    app.send("HTTP/1.1 101 Fine\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-App: 2\r\n\r\n\u{1}hello").await;
    let response = client.response_head().await;
    assert_eq!(
        (response.status(), response.header("x-app").as_deref()),
        (101, Some("2"))
    );
    assert_eq!(client.read(6).await, b"\x01hello");
    client.send(b"\x88\x80anything at all\xff").await;
    assert_eq!(app.read(18).await, b"\x88\x80anything at all\xff");
    stage
        .outrigger
        .metric_becomes("outrigger_sessions{leg=\"app\"}", 1.0)
        .await;
    app.send(b"\x88\x04\x10\xe1hi").await;
    drop(app);
    assert_eq!(client.rest().await, b"\x88\x04\x10\xe1hi");
    drop(client);
    stage
        .outrigger
        .metric_becomes("outrigger_sessions", 0.0)
        .await;
}

/// The app refuses every handshake with 418, so that a leg can be told.
async fn leg(stage: &Stage, path: &str, user: u64) -> &'static str {
    match stage.connect(&as_user(path, user), &[]).await {
        Ok(_) => "feed",
        Err(refusal) if refusal.status() == 418 => "app",
        Err(other) => panic!("{}", other.line),
    }
}

async fn flags(stage: &Stage, user: u64) -> Value {
    let mut client = stage.outrigger.connect().await;
    let bearer = token(user);
    let request = format!(
        "GET /outrigger/flags HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {bearer}\r\n\r\n"
    );
    let response = client.exchange(request).await;
    assert_eq!(response.status(), 200);
    serde_json::from_slice(&response.body).unwrap()
}

#[tokio::test]
async fn a_share_and_lists_decide_and_the_flags_say_the_same() {
    let app = App::answering(|_| answer(418, "{}")).await;
    let tables = "[flags]\ntheme = { percent = 50, always = [1], on = \"dark\", off = \"light\" }\nplain = true\n";
    let rollout = "rollout = { percent = 50, always = [1, 2], never = [2, 3] }";
    let stage = Stage::with(app, tables, &endpoint(rollout)).await;
    assert_eq!(leg(&stage, "/ws/news", 1).await, "feed");
    assert_eq!(leg(&stage, "/ws/news", 2).await, "app");
    assert_eq!(leg(&stage, "/ws/news", 3).await, "app");
    let mut on_feed = 0;
    for user in 1..=40 {
        let leg = leg(&stage, "/ws/news/", user).await;
        let flags = flags(&stage, user).await;
        assert_eq!(
            flags["endpoints"]["news"]["realtime"],
            leg == "feed",
            "{flags}"
        );
        assert_eq!(flags["user"], user.to_string());
        on_feed += usize::from(leg == "feed");
    }
    assert!((8..32).contains(&on_feed), "{on_feed} of 40");
    let said = flags(&stage, 1).await;
    assert_eq!(said["flags"], json!({"theme": "dark", "plain": true}));
    assert_eq!(
        stage.refused("/ws/news", &[]).await,
        418,
        "who is nobody is the app's"
    );
    // A handshake with a bad token is the app's to refuse, too.
    assert_eq!(stage.refused("/ws/news?token=bad", &[]).await, 418);
}

#[tokio::test]
async fn plain_http_on_an_endpoints_path_is_the_apps() {
    let app = App::answering(|_| answer(418, "{}")).await;
    let stage = Stage::with(app, "", &endpoint("")).await;
    assert_eq!(
        stage
            .outrigger
            .connect()
            .await
            .get("/ws/news/")
            .await
            .status(),
        418
    );
}
