//! A response that two readers could read differently is a bad gateway or a
//! broken one, and never part of another answer.

use crate::harness::{App, Client, End, Outrigger, show, within};

/// What the app answers; whether the client may get the first one whole.
const ANSWERS: &[(&str, bool, &str)] = &[
    (
        "two lengths",
        false,
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 6\r\n\r\nokEVIL",
    ),
    (
        "both lengths",
        false,
        "HTTP/1.1 200 OK\r\nContent-Length: 50\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 200 EVIL\r\n\r\n",
    ),
    (
        "odd length",
        false,
        "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nokEVIL",
    ),
    (
        "negative length",
        false,
        "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nokEVIL",
    ),
    (
        "list of lengths",
        false,
        "HTTP/1.1 200 OK\r\nContent-Length: 2, 6\r\n\r\nokEVIL",
    ),
    (
        "folded line",
        false,
        "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok",
    ),
    (
        "NUL in a value",
        false,
        "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nok",
    ),
    (
        "CR in a value",
        false,
        "HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: EVIL=1\r\nContent-Length: 2\r\n\r\nok",
    ),
    (
        "control byte in a name",
        false,
        "HTTP/1.1 200 OK\r\nX\x0b: a\r\nContent-Length: 2\r\n\r\nok",
    ),
    (
        "space before a colon",
        false,
        "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nokEVIL",
    ),
    (
        "switching unasked",
        false,
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nEVIL",
    ),
    (
        "odd coding",
        false,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n2\r\nok\r\n0\r\n\r\nEVIL",
    ),
    (
        "a second response",
        true,
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL",
    ),
    (
        "a second response after chunks",
        true,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL",
    ),
    (
        "a body after 204",
        true,
        "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL",
    ),
    (
        "a body after 304",
        true,
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL",
    ),
    (
        "a bad chunk size",
        false,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nzz\r\nEVIL",
    ),
    (
        "a chunk overflow",
        false,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000002\r\nok\r\n0\r\n\r\nEVIL",
    ),
];

#[tokio::test]
async fn the_next_answer_is_never_the_one_the_app_hid() {
    let mut faults = Vec::new();
    for (name, may_pass, answer) in ANSWERS {
        let app = App::answering(move |request| match request.target() {
            "/bad" => answer.as_bytes().to_vec(),
            _ => b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood".to_vec(),
        })
        .await;
        let outrigger = Outrigger::start(&app.config()).await;
        let mut client = outrigger.connect().await;
        client
            .send("GET /bad HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            .await;
        let bad = within(name, client.next_response("GET")).await;
        client.end().await;
        let received = show(client.received());
        let whole = bad.is_some_and(|bad| bad.status() < 500 && bad.end == End::Complete);
        if received.contains("EVIL") || (whole && !may_pass) {
            faults.push(format!("{name}: the client received {received}"));
        }
        for _ in 0..2 {
            let good = outrigger.connect().await.get("/good").await;
            if good.text() != "good" {
                faults.push(format!("{name}: the next got {}", show(&good.head)));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[tokio::test]
async fn a_body_after_the_answer_to_head_goes_nowhere() {
    let app = App::answering(|request| match request.method() {
        "HEAD" => b"HTTP/1.1 200 OK\r\nContent-Length: 45\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL".to_vec(),
        _ => b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood".to_vec(),
    })
    .await;
    let outrigger = Outrigger::start(&app.config()).await;
    let mut client = Client::connect(outrigger.addr()).await;
    let head = client.exchange("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(head.status(), 200);
    assert_eq!(client.get("/").await.text(), "good");
}
