//! Bodies are passed on as they come: the first byte at once, and no faster
//! than they are read.

use std::sync::Arc;

use crate::harness::{App, Client, Connection, End, Outrigger, within};

const MIB: usize = 1024 * 1024;

/// More than the kernel's buffers on the way can hide.
const TAKEN_AT_MOST: usize = 24 * MIB;

async fn asked(config: &str, head: &str) -> (Outrigger, App, Client, Connection) {
    let app = App::start().await;
    let outrigger = Outrigger::start(&(app.config() + config)).await;
    let mut client = Client::connect_narrow(outrigger.addr()).await;
    client.send(head).await;
    let connection = app.accept().await;
    (outrigger, app, client, connection)
}

const GET: &str = "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n";

#[tokio::test]
async fn each_server_sent_event_comes_at_once() {
    let (_outrigger, _app, mut client, mut connection) = asked("", GET).await;
    connection.request().await;
    let head =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    connection.send(head).await;
    assert_eq!(client.response_head().await.status(), 200);
    for event in ["data: 1\n\n", "data: 2\n\n", ": still here\n\n"] {
        connection
            .send(format!("{:x}\r\n{event}\r\n", event.len()))
            .await;
        client.read_until(event.as_bytes()).await;
    }
    drop(client);
    assert_ne!(connection.end().await, End::Complete);
}

#[tokio::test]
async fn a_stream_without_framing_comes_at_once() {
    let (_outrigger, _app, mut client, mut connection) = asked("", GET).await;
    connection.request().await;
    connection
        .send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        .await;
    assert_eq!(client.response_head().await.status(), 200);
    for event in ["data: 1\n\n", "data: 2\n\n"] {
        connection.send(event).await;
        client.read_until(event.as_bytes()).await;
    }
}

#[tokio::test]
async fn an_upload_is_passed_on_as_it_comes() {
    let head = "POST /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let (_outrigger, _app, mut client, mut connection) = asked("", head).await;
    connection.request_head().await;
    for piece in ["first", "second"] {
        client
            .send(format!("{:x}\r\n{piece}\r\n", piece.len()))
            .await;
        connection.read_until(piece.as_bytes()).await;
    }
    connection
        .send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        .await;
    client.send("0\r\n\r\n").await;
    assert_eq!(client.response("POST").await.status(), 200);
}

/// The app may answer while it is still being sent to.
#[tokio::test]
async fn both_directions_flow_at_the_same_time() {
    let head = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n";
    let (_outrigger, _app, mut client, mut connection) = asked("", head).await;
    connection.request_head().await;
    connection
        .send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n")
        .await;
    client.response_head().await;
    for piece in ["ab", "cd", "ef"] {
        client.send(piece).await;
        let echo = connection.read(2).await;
        connection.send(echo).await;
        assert_eq!(client.read(2).await, piece.as_bytes());
    }
}

#[tokio::test]
async fn ten_mebibytes_pass_both_ways() {
    let body: Arc<Vec<u8>> = Arc::new((0..10 * MIB).map(|n| (n % 251) as u8).collect());
    for chunked in [false, true] {
        let answer = body.clone();
        let app = App::answering(move |request| {
            framed("HTTP/1.1 200 OK\r\n", &answer, request.chunks.is_some())
        })
        .await;
        let outrigger = Outrigger::start(&app.config()).await;
        let mut client = outrigger.connect().await;
        let request = framed("POST /big HTTP/1.1\r\nHost: a\r\n", &body, chunked);
        let response = client.exchange(request).await;
        assert_eq!(response.end, End::Complete);
        assert!(response.body == *body, "the answer was changed");
        assert!(app.take_seen()[0].body == *body, "the upload was changed");
    }
}

fn framed(head: &str, body: &[u8], chunked: bool) -> Vec<u8> {
    if !chunked {
        let head = format!("{head}Content-Length: {}\r\n\r\n", body.len());
        return [head.as_bytes(), body].concat();
    }
    let mut bytes = format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
    for chunk in body.chunks(70_001) {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

#[tokio::test]
async fn a_client_that_does_not_read_stops_the_app() {
    let (_outrigger, _app, mut client, mut connection) = asked("", GET).await;
    connection.request().await;
    connection
        .send(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
            256 * MIB
        ))
        .await;
    let taken = connection.fill(256 * MIB).await;
    assert!(
        taken < TAKEN_AT_MOST,
        "{taken} bytes were taken for a client that reads none"
    );
    client.response_head().await;
    client.read(taken / 2).await;
    within("it to flow again", async {
        while connection.fill(64 * 1024).await == 0 {}
    })
    .await;
}

#[tokio::test]
async fn an_app_that_does_not_read_stops_the_client() {
    let head = format!(
        "POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
        256 * MIB
    );
    let (_outrigger, _app, mut client, mut connection) = asked("", &head).await;
    connection.request_head().await;
    let taken = client.fill(256 * MIB).await;
    assert!(
        taken < TAKEN_AT_MOST,
        "{taken} bytes were taken for an app that reads none"
    );
    connection.read(taken / 2).await;
    within("it to flow again", async {
        while client.fill(64 * 1024).await == 0 {}
    })
    .await;
}

/// An app may refuse an upload without reading it.
#[tokio::test]
async fn an_early_refusal_reaches_a_client_that_still_sends() {
    let head = format!(
        "POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
        256 * MIB
    );
    let (_outrigger, _app, mut client, mut connection) = asked("", &head).await;
    connection.request_head().await;
    client.send(vec![b'x'; 100_000]).await;
    connection.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 9\r\nConnection: close\r\n\r\ntoo large").await;
    let response = client.response("POST").await;
    assert_eq!(
        (response.status(), &*response.body),
        (413, &b"too large"[..])
    );
}
