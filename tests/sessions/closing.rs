//! How sessions end whose clients do not keep to the rules, and that nobody else
//! notices.

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::tungstenite::{Bytes, Message as Frame};

use super::{closed, endpoint};
use crate::harness::{Closed, Stage, within};

/// A frame as a client sends it, masked with zeros: the payload stays as it is.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match u16::try_from(payload.len()) {
        Ok(length) if length < 126 => frame.push(0x80 | u8::try_from(length).unwrap()),
        Ok(length) => {
            frame.push(0x80 | 126);
            frame.extend(length.to_be_bytes());
        }
        Err(_) => {
            frame.push(0x80 | 127);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

/// Reads frames until the close frame, and then the end of the stream.
async fn ended(mut stream: TcpStream) -> Closed {
    within("the close frame and the end", async {
        loop {
            let (first, length) = (
                stream.read_u8().await.unwrap(),
                stream.read_u8().await.unwrap(),
            );
            let mut payload = vec![0; usize::from(length)];
            stream.read_exact(&mut payload).await.unwrap();
            if first == 0x88 {
                let code = u16::from_be_bytes([payload[0], payload[1]]);
                stream.write_all(&masked(0x88, &payload[..2])).await.ok();
                let mut rest = Vec::new();
                stream.read_to_end(&mut rest).await.unwrap();
                return closed(code, &String::from_utf8_lossy(&payload[2..]));
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_client_that_breaks_the_rules_is_told_so_and_others_go_on() {
    let limits = "[endpoint.limits]\nmax_message = \"1KiB\"\n";
    let stage = Stage::new(&endpoint(limits)).await;
    let mut other = stage.open("/ws/news", 2).await;
    let large = vec![b'x'; 900_000];
    let cases: [(&str, Vec<u8>, u16); 7] = [
        ("binary", masked(0x82, b"abc"), 1003),
        ("not_utf8", masked(0x81, b"\xff\xfe"), 1007),
        ("too_large", masked(0x81, &large), 1009),
        ("protocol", b"\x81\x02hi".to_vec(), 1002),
        ("protocol", masked(0xC1, b"reserved bit"), 1002),
        ("protocol", masked(0x83, b"reserved opcode"), 1002),
        ("protocol", masked(0x09, b"control frame in pieces"), 1002),
    ];
    for (n, (reason, bytes, code)) in (3..).zip(cases) {
        // Another user each: the same one would go on where the last one broke off.
        let mut stream = stage.open("/ws/news", n).await.into_stream();
        stream.write_all(&bytes).await.unwrap();
        let ended = ended(stream).await;
        assert_eq!(ended.code, code, "{reason} {ended:?}");
        let name = format!("outrigger_sessions_closed_total{{reason=\"{reason}\"}}");
        super::at_least(&stage, &name, 1.0).await;
        stage.tell("news", "news", &json!({ "n": n })).await;
        assert_eq!(other.json().await["n"], n);
    }
}

#[tokio::test]
async fn a_flood_is_ended() {
    let limits = "[endpoint.limits]\nmax_rate = 5\n";
    let stage = Stage::new(&endpoint(limits)).await;
    let mut other = stage.open("/ws/news", 2).await;
    let texts = masked(0x81, b"{}").repeat(50);
    let pings = masked(0x89, b"").repeat(500);
    for flood in [texts, pings] {
        let mut stream = stage.open("/ws/news", 1).await.into_stream();
        stream.write_all(&flood).await.unwrap();
        assert_eq!(ended(stream).await, closed(1008, "too many messages"));
    }
    super::at_least(
        &stage,
        "outrigger_sessions_closed_total{reason=\"too_fast\"}",
        2.0,
    )
    .await;
    stage.tell("news", "news", &json!({"n": 1})).await;
    assert_eq!(other.json().await["n"], 1);
}

#[tokio::test]
async fn who_does_not_answer_pings_is_closed_and_who_does_stays() {
    let stage = Stage::new(&endpoint("heartbeat = \"300ms\"")).await;
    let mut answers = stage.open("/ws/news", 1).await;
    let silent = stage.open("/ws/news", 2).await.into_stream();
    let (ended, ()) = tokio::join!(ended(silent), async {
        for _ in 0..6 {
            while !matches!(answers.frame().await, Some(Frame::Ping(_))) {}
        }
    });
    assert_eq!(ended, closed(1011, "no answer to ping"));
    super::at_least(
        &stage,
        "outrigger_sessions_closed_total{reason=\"no_pong\"}",
        1.0,
    )
    .await;
    stage.tell("news", "news", &json!({"n": 1})).await;
    assert_eq!(answers.json().await["n"], 1);
}

#[tokio::test]
async fn pings_are_answered_and_a_goodbye_is_returned() {
    let stage = Stage::new(&endpoint("")).await;
    let mut socket = stage.open("/ws/news", 1).await;
    socket
        .send_frame(Frame::Ping(Bytes::from_static(b"hi")))
        .await;
    assert_eq!(
        socket.frame().await,
        Some(Frame::Pong(Bytes::from_static(b"hi")))
    );
    socket.close().await;
    super::at_least(
        &stage,
        "outrigger_sessions_closed_total{reason=\"client_closed\"}",
        1.0,
    )
    .await;
    drop(stage.open("/ws/news", 1).await);
    super::at_least(
        &stage,
        "outrigger_sessions_closed_total{reason=\"client_gone\"}",
        1.0,
    )
    .await;
    stage
        .outrigger
        .metric_becomes("outrigger_sessions", 0.0)
        .await;
}

#[tokio::test]
async fn frames_sent_right_behind_the_handshake_are_heard() {
    let reply = "[[endpoint.actions]]\nwhen = { say = \"hi\" }\nreply_text = \"hello\"\n";
    let stage = Stage::new(&endpoint(reply)).await;
    let mut client = stage.outrigger.connect().await;
    let target = crate::harness::as_user("/ws/news", 1);
    let mut bytes = crate::harness::handshake(&target, &[]).into_bytes();
    bytes.extend(masked(0x81, br#"{"say": "hi"}"#));
    client.send(bytes).await;
    assert_eq!(client.response("GET").await.status(), 101);
    assert_eq!(client.read(7).await, b"\x81\x05hello");
}

#[tokio::test]
async fn a_handshake_that_is_none_is_refused() {
    let stage = Stage::new(&endpoint("")).await;
    let mut client = stage.outrigger.connect().await;
    let target = crate::harness::as_user("/ws/news", 1);
    let request = crate::harness::handshake(&target, &[]).replace("Version: 13", "Version: 8");
    let response = client.exchange(request).await;
    assert_eq!(response.status(), 426);
    assert_eq!(
        response.header("sec-websocket-version").as_deref(),
        Some("13")
    );
}
