//! What is done once a client has gone, however it went: exactly once for each.

use std::time::Duration;

use serde_json::json;
use tokio_tungstenite::tungstenite::{Bytes, Message as Frame};

use super::{app, called, calls, endpoint};
use crate::harness::{App, Client, Socket, Stage, as_user, handshake, ok, until};

const LEAVES: &str = "on_disconnect = [{ call = { path = \"/left/{user.id}\" } }]\n";

/// Waits until it was said that these have left, each once.
async fn left(stage: &Stage, users: &[u64]) {
    let mut expected: Vec<_> = users.iter().map(|user| format!("/left/{user}")).collect();
    let all = || async { called(stage).len() >= expected.len() };
    until(&format!("{expected:?}"), all).await;
    let name = "outrigger_moments_total{moment=\"on_disconnect\",result=\"ok\"}";
    stage
        .outrigger
        .metric_becomes(name, users.len() as f64)
        .await;
    let mut called = called(stage);
    called.sort();
    expected.sort();
    assert_eq!(called, expected);
}

async fn reset(socket: Socket) {
    let stream = socket.into_stream();
    socket2::SockRef::from(&stream)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
}

#[tokio::test]
async fn it_is_said_once_of_each_however_it_went() {
    let more = format!("{LEAVES}heartbeat = \"300ms\"\n");
    let stage = Stage::with(app().await, "", &endpoint(&more)).await;
    stage.open("/ws/chat", 1).await.close().await;
    left(&stage, &[1]).await;
    reset(stage.open("/ws/chat", 2).await).await;
    left(&stage, &[1, 2]).await;
    drop(stage.open("/ws/chat", 3).await);
    left(&stage, &[1, 2, 3]).await;
    let mut breaks = stage.open("/ws/chat", 4).await;
    let binary = Frame::Binary(Bytes::from_static(b"no"));
    breaks.send_frame(binary).await;
    assert_eq!(breaks.closed().await.code, 1003);
    left(&stage, &[1, 2, 3, 4]).await;
    // It answers no ping, as its reader never runs.
    let silent = stage.open("/ws/chat", 5).await;
    left(&stage, &[1, 2, 3, 4, 5]).await;
    drop(silent);
}

#[tokio::test]
async fn a_stop_of_the_process_says_it_of_all() {
    let tables = "[stop]\nspread = \"100ms\"\n";
    let mut stage = Stage::with(app().await, tables, &endpoint(LEAVES)).await;
    let mut sockets = Vec::new();
    for user in 1..=10 {
        sockets.push(stage.open("/ws/chat", user).await);
    }
    stage.outrigger.signal("TERM").await;
    for mut socket in sockets {
        assert_eq!(socket.closed().await.code, 1012);
    }
    assert!(stage.outrigger.exit().await.success());
    let mut called = called(&stage);
    called.sort();
    let mut expected: Vec<_> = (1..=10).map(|user| format!("/left/{user}")).collect();
    expected.sort();
    assert_eq!(called, expected);
}

#[tokio::test]
async fn what_was_said_before_is_done_first() {
    let more =
        format!("{LEAVES}[[endpoint.actions]]\ncall = {{ path = \"/said/{{message.n}}\" }}\n");
    let stage = Stage::with(app().await, "", &endpoint(&more)).await;
    let mut socket = stage.open("/ws/chat", 1).await;
    for n in 0..3 {
        socket.send(&json!({ "n": n }).to_string()).await;
    }
    socket.close().await;
    calls(&stage, &["/said/0", "/said/1", "/said/2", "/left/1"]).await;
}

#[tokio::test]
async fn who_goes_before_it_is_let_in_is_said_to_have_left() {
    let more = format!("on_connect = [{{ call = {{ path = \"/came\" }} }}]\n{LEAVES}");
    let stage = Stage::with(App::start().await, "", &endpoint(&more)).await;
    let mut client = stage.outrigger.connect().await;
    let request = handshake(&as_user("/ws/chat", 1), &[]);
    client.send(request).await;
    let mut connection = stage.app.accept().await;
    assert_eq!(connection.request().await.target(), "/came");
    drop::<Client>(client);
    stage
        .outrigger
        .metric_becomes("outrigger_connections", 0.0)
        .await;
    connection.send(ok("{}")).await;
    assert_eq!(connection.request().await.target(), "/left/1");
}

/// More than are called for at the same time.
#[tokio::test]
async fn a_crowd_that_is_cut_off_at_once_is_said_to_have_left_one_by_one() {
    let stage = Stage::with(app().await, "", &endpoint(LEAVES)).await;
    let mut sockets = Vec::new();
    for user in 1..=200 {
        sockets.push(stage.open("/ws/chat", user).await);
    }
    for socket in sockets {
        reset(socket).await;
    }
    left(&stage, &(1..=200).collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn a_reload_changes_what_is_done_for_those_who_are_here() {
    let stage = Stage::with(app().await, "", &endpoint(LEAVES)).await;
    let socket = stage.open("/ws/chat", 1).await;
    let changed = endpoint(&LEAVES.replace("/left/", "/gone/"));
    stage.reload(&changed).await;
    socket.close().await;
    calls(&stage, &["/gone/1"]).await;
}
