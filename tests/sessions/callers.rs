//! In whose name the app is asked: what a page of somebody else, a proxy and a
//! header of one's own have to do with it.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::harness::{App, Message, Outrigger, Socket, Stage, answer, ok, token};

const NOTES: &str = r#"
[[endpoint]]
name = "notes"
path = "/ws/notes"
topics = ["notes_{user.id}"]
welcome = { user = "{user.id}" }
"#;

/// An app that is asked who a client is, and knows only the victim's cookie.
async fn asking(tables: &str, app: &App) -> Outrigger {
    let ask = "[auth.app]\nurl = \"/api/me/\"\n";
    Outrigger::start(&format!("{}{tables}{ask}{NOTES}", app.config())).await
}

fn victim(request: &Message) -> Vec<u8> {
    let cookie = request.header("cookie").unwrap_or_default();
    match cookie.contains("sessionid=victim") {
        true => ok(r#"{"id": 42, "email": "victim@outrigger.test"}"#),
        false => ok("{}"),
    }
}

async fn status(outrigger: &Outrigger, target: &str, headers: &[(&str, &str)]) -> u16 {
    match Socket::connect(outrigger.addr(), target, headers).await {
        Ok(_) => 101,
        Err(refusal) => refusal.status(),
    }
}

#[tokio::test]
async fn a_foreign_page_gains_nothing_by_a_token_next_to_the_cookie() {
    let app = App::answering(victim).await;
    let outrigger = asking("", &app).await;
    let cookie = ("Cookie", "sessionid=victim");
    for target in ["/ws/notes", "/ws/notes?token=x"] {
        let evil = [("Origin", "https://evil.test"), cookie];
        assert_eq!(status(&outrigger, target, &evil).await, 403, "{target}");
        let own = [("Origin", "http://outrigger.test"), cookie];
        assert_eq!(status(&outrigger, target, &own).await, 101, "{target}");
    }
    let password = ("Authorization", "Basic dmljdGltOnB3");
    let evil = [("Origin", "https://evil.test"), password];
    app.take_seen();
    assert_eq!(status(&outrigger, "/ws/notes?token=x", &evil).await, 403);
    let refused = "outrigger_sessions_refused_total{reason=\"origin\"}";
    assert_eq!(outrigger.metric(refused).await, 3.0);
}

const LOOKS_UP: &str = r#"
[[endpoint]]
name = "notes"
path = "/ws/notes"
permit = { ask_app = "/api/permit/" }
lookup = { me = "/api/me/" }
topics = ["notes"]
[[endpoint.actions]]
when = {}
call = { path = "/api/do/", reply = { done = true } }
"#;

#[tokio::test]
async fn the_app_is_asked_with_the_proven_token_and_nothing_of_somebody_else() {
    let stage = Stage::with(App::answering(victim).await, "", LOOKS_UP).await;
    let headers = [
        ("Origin", "https://evil.test"),
        ("Cookie", "sessionid=victim"),
        ("Authorization", "Basic dmljdGltOnB3"),
    ];
    let token = token(7);
    let target = format!("/ws/notes?token={token}");
    let mut socket = stage.connect(&target, &headers).await.ok().unwrap();
    socket.send("{}").await;
    assert_eq!(socket.text().await, r#"{"done":true}"#);
    let seen = stage.app.take_seen();
    let paths: Vec<_> = seen.iter().map(Message::target).collect();
    assert_eq!(paths, ["/api/permit/", "/api/me/", "/api/do/"]);
    let bearer = format!("Bearer {token}");
    for request in &seen {
        assert_eq!(request.header("cookie"), None);
        assert_eq!(request.header("authorization").as_deref(), Some(&*bearer));
    }
}

#[tokio::test]
async fn a_proven_cookie_goes_on_with_its_token() {
    let stage = Stage::with(App::answering(victim).await, "", LOOKS_UP).await;
    let token = token(7);
    let cookie = format!("session={token}; csrf=1");
    let headers = [("Cookie", &*cookie)];
    let mut socket = stage.connect("/ws/notes", &headers).await.ok().unwrap();
    socket.send("{}").await;
    socket.text().await;
    for request in stage.app.take_seen() {
        assert_eq!(request.header("cookie").as_deref(), Some(&*cookie));
        let bearer = request.header("authorization").unwrap_or_default();
        assert_eq!(bearer, format!("Bearer {token}"));
    }
}

#[tokio::test]
async fn the_app_is_told_what_a_trusted_proxy_said() {
    let answers = |request: &Message| match request.header("x-forwarded-proto").as_deref() {
        Some("https") => ok(r#"{"id": 42}"#),
        _ => answer(301, "{}"),
    };
    let app = App::answering(answers).await;
    let told = [
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-For", "203.0.113.9"),
        ("Cookie", "sessionid=anna"),
    ];
    let trusting = asking("[trust]\nproxies = [\"127.0.0.1\"]\n", &app).await;
    // Plain HTTP first: what it was told then is not what counts by TLS.
    assert_eq!(status(&trusting, "/ws/notes", &told[2..]).await, 403);
    assert_eq!(status(&trusting, "/ws/notes", &told).await, 101);
    let seen = app.take_seen();
    let came_from = seen[1].header("x-forwarded-for");
    assert_eq!(came_from.as_deref(), Some("203.0.113.9, 127.0.0.1"));
    let wary = asking("", &app).await;
    assert_eq!(status(&wary, "/ws/notes", &told).await, 403);
    let came_from = app.take_seen()[0].header("x-forwarded-for");
    assert_eq!(came_from.as_deref(), Some("127.0.0.1"));
}

#[tokio::test]
async fn a_token_in_a_header_of_its_own_is_sent_on_and_told_apart() {
    let app = App::answering(|request| match request.header("x-auth-token").as_deref() {
        Some("anna") => ok(r#"{"id": 1}"#),
        Some("bert") => ok(r#"{"id": 2}"#),
        _ => answer(401, "{}"),
    })
    .await;
    let outrigger = asking("[auth]\ntoken = [\"header:x-auth-token\"]\n", &app).await;
    for (token, welcome) in [("anna", r#"{"user":1}"#), ("bert", r#"{"user":2}"#)] {
        let headers = [("X-Auth-Token", token)];
        let mut socket = Socket::open_with(outrigger.addr(), "/ws/notes", &headers).await;
        assert_eq!(socket.text().await, welcome);
    }
    let nobody = [("X-Auth-Token", "carl")];
    assert_eq!(status(&outrigger, "/ws/notes", &nobody).await, 403);
}

#[tokio::test]
async fn an_app_that_is_busy_for_a_moment_is_asked_again() {
    let asked = AtomicU64::new(0);
    let app = App::answering(move |_| match asked.fetch_add(1, Ordering::Relaxed) {
        0 => answer(429, "{}"),
        _ => ok(r#"{"id": 1}"#),
    })
    .await;
    let ask = "[auth.app]\nurl = \"/api/me/\"\ncache = \"60s\"\n";
    let outrigger = Outrigger::start(&format!("{}{ask}{NOTES}", app.config())).await;
    let cookie = [("Cookie", "sessionid=anna")];
    for expected in [503, 101, 101] {
        assert_eq!(status(&outrigger, "/ws/notes", &cookie).await, expected);
    }
    assert_eq!(app.seen().len(), 2);
}
