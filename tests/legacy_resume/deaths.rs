//! How a session ends decides whether its place can be taken over, and what was
//! confirmed where.

use serde_json::json;

use super::*;
use crate::harness::as_user;

#[tokio::test]
async fn after_a_reset_a_client_goes_on_at_its_last_pong() {
    let stage = Stage::new(&eager("")).await;
    let mut socket = stage.open("/ws/news/", 1).await;
    written(&stage, 1..3).await;
    hears(&mut socket, 1..3).await;
    proven(&stage, &mut socket).await;
    // It reads these and is gone before it answers.
    written(&stage, 3..5).await;
    hears(&mut socket, 3..5).await;
    reset(socket);
    orphans(&stage, 1.0).await;
    tell(&stage, 5).await;
    let mut again = stage.open("/ws/news/", 1).await;
    hears(&mut again, 3..6).await;
    tell(&stage, 6).await;
    hears(&mut again, [6]).await;
    assert_eq!(adoptions(&stage, "adopted").await, 1.0);
    orphans(&stage, 0.0).await;
    let again = reader(again);
    let mut third = stage.open("/ws/news/", 1).await;
    tell(&stage, 7).await;
    hears(&mut third, [7]).await;
    again.abort();
}

#[tokio::test]
async fn a_place_is_for_the_same_user_on_the_same_path_for_a_time() {
    let more = "[[endpoint]]\nname = \"room\"\npath = \"/ws/rooms/{room}\"\ntopics = [\"news\"]\n\
                frames = { news = { n = \"{data.n}\" } }\nresume = { window = \"60s\" }\n";
    let stage = Stage::new(&endpoint("resume = { window = \"1s\" }", more)).await;
    let first = stage.open("/ws/rooms/a", 1).await;
    written(&stage, 1..2).await;
    reset(first);
    orphans(&stage, 1.0).await;
    let mut others = [
        stage.open("/ws/rooms/a", 2).await,
        stage.open("/ws/rooms/b", 1).await,
        stage.open("/ws/news/", 1).await,
    ];
    tell(&stage, 2).await;
    for other in &mut others {
        hears(other, [2]).await;
    }
    let mut same = stage.open("/ws/rooms/a", 1).await;
    hears(&mut same, 1..3).await;
    let [_, _, news] = others;
    reset(news);
    orphans(&stage, 1.0).await;
    orphans(&stage, 0.0).await;
    assert_eq!(adoptions(&stage, "expired").await, 1.0);
    let mut late = stage.open("/ws/news/", 1).await;
    tell(&stage, 3).await;
    hears(&mut late, [3]).await;
}

#[tokio::test]
async fn who_says_goodbye_or_is_sent_away_begins_anew() {
    let stage = Stage::new(&eager("")).await;
    let mut socket = stage.open("/ws/news/", 1).await;
    written(&stage, 1..2).await;
    hears(&mut socket, [1]).await;
    socket.close().await;
    open(&stage, 0.0).await;
    tell(&stage, 2).await;
    let mut again = stage.open("/ws/news/", 1).await;
    written(&stage, 3..4).await;
    hears(&mut again, [3]).await;
    let order = json!({"type": "outrigger.disconnect", "users": [1], "data": {}});
    stage.publish(&order).await;
    again.closed().await;
    open(&stage, 0.0).await;
    tell(&stage, 4).await;
    let mut third = stage.open("/ws/news/", 1).await;
    tell(&stage, 5).await;
    hears(&mut third, [5]).await;
    assert_eq!(
        stage.outrigger.metric("outrigger_adoptions_total").await,
        0.0
    );
}

/// Each message asks the app, which never answers.
async fn never_answered(endpoint: impl Fn(&str) -> String) -> Stage {
    let app = crate::harness::App::start().await;
    let call = "[[endpoint.actions]]\nwhen = {}\ncall = { path = \"/api/\" }\n";
    Stage::with(app, "", &endpoint(call)).await
}

/// A socket with so many messages before the app that nothing behind them is read.
async fn unread() -> (Stage, Socket) {
    let stage = never_answered(eager).await;
    let mut socket = stage.open("/ws/news/", 1).await;
    for n in 0..40 {
        socket.send(&json!({ "n": n }).to_string()).await;
    }
    (stage, socket)
}

#[tokio::test]
async fn a_goodbye_that_nobody_has_read_is_one() {
    let (stage, mut socket) = unread().await;
    let goodbye = tokio_tungstenite::tungstenite::Message::Close(None);
    socket.send_frame(goodbye).await;
    drop(socket);
    // It is written to until the connection is found to be gone.
    until("the end of the session", || async {
        tell(&stage, 1).await;
        stage.outrigger.metric("outrigger_sessions").await == 0.0
    })
    .await;
    assert_eq!(stage.outrigger.metric("outrigger_orphans").await, 0.0);
}

#[tokio::test]
async fn a_pong_that_comes_during_the_goodbye_counts() {
    let stage = Stage::new(&eager("heartbeat = \"500ms\"")).await;
    let mut raw = stage.open("/ws/news/", 1).await.into_stream();
    written(&stage, 1..3).await;
    // It reads on, and answers no ping until the server has given up.
    let mut bytes = Vec::new();
    let goodbye = b"no answer to ping";
    while !bytes.ends_with(goodbye) {
        let read = tokio::io::AsyncReadExt::read_buf(&mut raw, &mut bytes).await;
        assert!(read.unwrap() > 0, "no goodbye came: {bytes:?}");
    }
    pong(&mut raw, "0-2").await;
    drop(raw);
    orphans(&stage, 1.0).await;
    tell(&stage, 3).await;
    let mut again = stage.open("/ws/news/", 1).await;
    hears(&mut again, [3]).await;
    assert_eq!(adoptions(&stage, "adopted").await, 1.0);
}

#[tokio::test]
async fn a_pong_that_nobody_has_read_counts() {
    let (stage, socket) = unread().await;
    written(&stage, 1..2).await;
    let mut raw = socket.into_stream();
    pong(&mut raw, "0-1").await;
    drop(raw);
    until("the end of the session", || async {
        tell(&stage, 2).await;
        stage.outrigger.metric("outrigger_sessions").await == 0.0
    })
    .await;
    let mut again = stage.open("/ws/news/", 1).await;
    hears(&mut again, [2]).await;
}

#[tokio::test]
async fn who_said_goodbye_while_the_app_is_asked_begins_with_what_comes() {
    let stage = never_answered(|more| endpoint("", more)).await;
    let mut socket = stage.open("/ws/news/", 1).await;
    tell(&stage, 1).await;
    hears(&mut socket, [1]).await;
    socket.send("{}").await;
    socket.close().await;
    let mut again = stage.open("/ws/news/", 1).await;
    tell(&stage, 2).await;
    hears(&mut again, [2]).await;
}

/// A client's pong, masked by zeros.
async fn pong(raw: &mut tokio::net::TcpStream, payload: &str) {
    let length = u8::try_from(payload.len()).unwrap();
    let head = [0x8a, 0x80 | length, 0, 0, 0, 0];
    let bytes = [&head[..], payload.as_bytes()].concat();
    tokio::io::AsyncWriteExt::write_all(raw, &bytes)
        .await
        .unwrap();
}

#[tokio::test]
async fn who_is_sent_home_and_answers_gets_nothing_twice() {
    let tables = "[stop]\nspread = \"0s\"\n";
    let app = crate::harness::App::answering(|_| crate::harness::ok("{}")).await;
    let stage = Stage::with(app, tables, &endpoint("", "")).await;
    let mut socket = stage.open("/ws/news/", 1).await;
    written(&stage, 1..3).await;
    hears(&mut socket, 1..3).await;
    stage
        .outrigger
        .rewrite(&stage.config(&endpoint("anonymous = true", "")));
    assert_eq!(socket.closed().await.code, 1012);
    orphans(&stage, 1.0).await;
    tell(&stage, 3).await;
    let mut again = stage.open("/ws/news/", 1).await;
    hears(&mut again, [3]).await;
}

#[tokio::test]
async fn what_came_before_a_reload_comes_by_the_rules_of_its_time() {
    let stage = Stage::new(&eager("")).await;
    let socket = stage.open("/ws/news/", 1).await;
    written(&stage, 1..2).await;
    reset(socket);
    orphans(&stage, 1.0).await;
    tell(&stage, 2).await;
    let other = eager("").replace("topics = [\"news\"]", "topics = [\"other\"]");
    let other = other.replace("{ n = \"{data.n}\" }", "{ other = \"{data.n}\" }");
    stage.outrigger.rewrite(&stage.config(&other));
    stage
        .outrigger
        .metric_becomes("outrigger_config_generation", 2.0)
        .await;
    tell(&stage, 3).await;
    stage.tell("other", "news", &json!({ "n": 4 })).await;
    let mut again = stage.open("/ws/news/", 1).await;
    hears(&mut again, 1..3).await;
    assert_eq!(again.json().await, json!({ "other": 4 }));
    assert!(again.is_silent().await);
}

#[tokio::test]
async fn where_it_is_off_everybody_begins_at_the_head() {
    for off in ["resume = false", "resume = { window = \"0s\" }"] {
        let stage = Stage::new(&endpoint(off, "")).await;
        let socket = stage.open("/ws/news/", 1).await;
        written(&stage, 1..2).await;
        reset(socket);
        open(&stage, 0.0).await;
        let mut again = stage.open("/ws/news/", 1).await;
        tell(&stage, 2).await;
        hears(&mut again, [2]).await;
    }
}

#[tokio::test]
async fn what_is_forgotten_is_counted() {
    let app = crate::harness::App::answering(|_| crate::harness::ok("{}")).await;
    let feed = "[feed.memory]\nmax_events = 4\n";
    let stage = Stage::with(app, feed, &eager("")).await;
    let socket = stage.open("/ws/news/", 1).await;
    written(&stage, 1..2).await;
    reset(socket);
    orphans(&stage, 1.0).await;
    for n in 2..9 {
        tell(&stage, n).await;
    }
    let target = as_user("/ws/news/", 1);
    let mut again = stage.connect(&target, &[]).await.ok().unwrap();
    tell(&stage, 9).await;
    hears(&mut again, [9]).await;
    assert_eq!(adoptions(&stage, "lost").await, 1.0);
}
