//! Pings that follow a burst at once.

use std::time::Duration;

use tokio_tungstenite::tungstenite::Message as Frame;

use super::*;

#[tokio::test]
async fn an_eager_ping_follows_a_burst_and_says_how_far_it_went() {
    let stage = Stage::new(&eager("heartbeat = \"300s\"")).await;
    let mut socket = stage.open("/ws/news/", 1).await;
    stage.tell_many("news", "news", 1..4).await;
    hears(&mut socket, 1..4).await;
    let Some(Frame::Ping(payload)) = socket.frame().await else {
        panic!("a ping was expected");
    };
    assert_eq!(&payload[..], b"0-3");
    proven(&stage, &mut socket).await;
    assert_eq!(progress(&stage).await["confirmed"], "0-3");
    // Nothing unconfirmed, no ping.
    let quiet = tokio::time::timeout(Duration::from_millis(400), socket.frame());
    assert!(quiet.await.is_err());
}

#[tokio::test]
async fn who_answers_no_eager_ping_is_not_pinged_again_nor_closed() {
    let stage = Stage::new(&eager("heartbeat = \"300s\"")).await;
    let socket = stage.open("/ws/news/", 1).await;
    let mut raw = socket.into_stream();
    for n in 1..4 {
        written(&stage, n..n + 1).await;
    }
    // Three frames of nine bytes and one ping of five.
    let mut bytes = vec![0; 3 * 9 + 5];
    tokio::io::AsyncReadExt::read_exact(&mut raw, &mut bytes)
        .await
        .unwrap();
    let pings = bytes.iter().filter(|byte| **byte == 0x89).count();
    assert_eq!(pings, 1, "{bytes:?}");
    tell(&stage, 4).await;
    let mut rest = [0; 9];
    tokio::io::AsyncReadExt::read_exact(&mut raw, &mut rest)
        .await
        .unwrap();
    assert_eq!(rest[0], 0x81);
    open(&stage, 1.0).await;
}
