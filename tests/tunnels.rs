//! An `Upgrade` on a path that is no endpoint is the app's: the handshake
//! passes unchanged, and after a 101 both directions are bytes.

use crate::harness::{App, Client, Connection, End, Outrigger, asked, show};

const HANDSHAKE: &str = "GET /ws/other?token=a.b HTTP/1.1\r\nHost: app.test\r\nUpgrade: websocket\r\n\
    Connection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://app.test\r\n\
    Sec-WebSocket-Protocol: chat.v2, chat\r\nSec-WebSocket-Protocol: bearer\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, x\r\n\
    Cookie: sessionid=abc\r\n\r\n";
const ACCEPTED: &str = "HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n\
    Set-Cookie: a=b\r\nX-odd: 1\r\n\r\n";

/// Both ends of an open tunnel.
async fn open() -> (Outrigger, App, Client, Connection) {
    let (outrigger, app, mut client, mut connection) = asked(HANDSHAKE).await;
    connection.request_head().await;
    connection.send(ACCEPTED).await;
    assert_eq!(client.response_head().await.status(), 101);
    (outrigger, app, client, connection)
}

#[tokio::test]
async fn the_handshake_passes_unchanged_both_ways() {
    let (_outrigger, _app, mut client, mut connection) = asked(HANDSHAKE).await;
    let request = connection.request_head().await;
    assert_eq!(request.line, "GET /ws/other?token=a.b HTTP/1.1");
    let head = show(&request.head);
    for line in HANDSHAKE.lines().skip(2).filter(|line| !line.is_empty()) {
        let hop = line.starts_with("Connection") || line.starts_with("Upgrade");
        assert!(hop || head.contains(line), "{line} is missing in {head}");
    }
    assert_eq!(request.all("upgrade"), ["websocket"]);
    assert!(
        request
            .all("connection")
            .join(",")
            .to_ascii_lowercase()
            .contains("upgrade")
    );
    assert_eq!(
        request.all("sec-websocket-protocol"),
        ["chat.v2, chat", "bearer"]
    );
    assert_eq!(request.all("x-forwarded-for"), ["127.0.0.1"]);
    connection.send(ACCEPTED).await;
    let response = client.response_head().await;
    let head = show(&response.head);
    for line in ACCEPTED.lines().filter(|line| !line.is_empty()) {
        let hop =
            line.to_ascii_lowercase().starts_with("connection") || line.starts_with("upgrade");
        assert!(hop || head.contains(line), "{line} is missing in {head}");
    }
    assert_eq!(
        response.all("connection").join(",").to_ascii_lowercase(),
        "upgrade"
    );
    assert_eq!(
        response.all("upgrade").join(",").to_ascii_lowercase(),
        "websocket"
    );
}

#[tokio::test]
async fn bytes_pass_both_ways_as_they_come() {
    let (_outrigger, _app, mut client, mut connection) = open().await;
    for bytes in [
        &b"\x81\x85mask....."[..],
        b"\0",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"\xff\xfe",
    ] {
        client.send(bytes).await;
        assert_eq!(connection.read(bytes.len()).await, bytes);
        connection.send(bytes).await;
        assert_eq!(client.read(bytes.len()).await, bytes);
    }
}

#[tokio::test]
async fn what_the_app_says_with_its_101_is_not_lost() {
    let (_outrigger, _app, mut client, mut connection) = asked(HANDSHAKE).await;
    connection.request_head().await;
    connection.send(format!("{ACCEPTED}\u{1}\u{5}hello")).await;
    assert_eq!(client.response_head().await.status(), 101);
    assert_eq!(client.read(7).await, b"\x01\x05hello");
}

#[tokio::test]
async fn what_the_client_says_with_its_handshake_is_not_lost() {
    let (_outrigger, _app, mut client, mut connection) = asked(&format!("{HANDSHAKE}eager")).await;
    connection.request_head().await;
    connection.send(ACCEPTED).await;
    assert_eq!(client.response_head().await.status(), 101);
    assert_eq!(connection.read(5).await, b"eager");
}

#[tokio::test]
async fn other_protocols_pass_too() {
    for protocol in ["irc/6.9", "tcp", "x-own"] {
        let handshake = format!(
            "GET /up HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: {protocol}\r\n\r\n"
        );
        let (_outrigger, _app, mut client, mut connection) = asked(&handshake).await;
        let request = connection.request_head().await;
        assert_eq!(request.all("upgrade"), [protocol]);
        let accepted =
            format!("HTTP/1.1 101 Yes\r\nConnection: upgrade\r\nUpgrade: {protocol}\r\n\r\n");
        connection.send(accepted).await;
        assert_eq!(client.response_head().await.all("upgrade"), [protocol]);
        client.send("one").await;
        assert_eq!(connection.read(3).await, b"one");
    }
}

#[tokio::test]
async fn a_refusal_comes_with_its_body_and_the_connection_stays() {
    for (answer, status, body) in [
        (
            "HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 6\r\nX-Why: token\r\n\r\nno way",
            403,
            "no way",
        ),
        (
            "HTTP/1.1 404 Not Found\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nnone\r\n0\r\n\r\n",
            404,
            "none",
        ),
        (
            "HTTP/1.1 426 Upgrade Required\r\nConnection: close\r\nContent-Length: 0\r\nSec-WebSocket-Version: 8\r\n\r\n",
            426,
            "",
        ),
        (
            "HTTP/1.1 302 Found\r\nLocation: /login\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            302,
            "",
        ),
        (
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nplain",
            200,
            "plain",
        ),
    ] {
        let (_outrigger, app, mut client, mut connection) = asked(HANDSHAKE).await;
        connection.request_head().await;
        connection.send(answer).await;
        let response = client.response("GET").await;
        assert_eq!((response.status(), &*response.text()), (status, body));
        drop(connection);
        client.send("GET /next HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let mut connection = app.accept().await;
        assert_eq!(connection.request().await.target(), "/next");
    }
}

#[tokio::test]
async fn a_half_close_passes_and_the_other_half_goes_on() {
    let (_outrigger, _app, mut client, mut connection) = open().await;
    client.send("last words").await;
    client.finish().await;
    assert_eq!(connection.rest().await, b"last words");
    connection.send("still here").await;
    assert_eq!(client.read(10).await, b"still here");
    drop(connection);
    assert_eq!(client.end().await, End::Close);

    let (_outrigger, _app, mut client, mut connection) = open().await;
    connection.send("goodbye").await;
    connection.finish().await;
    assert_eq!(client.rest().await, b"goodbye");
    client.send("one more").await;
    assert_eq!(connection.read(8).await, b"one more");
}

#[tokio::test]
async fn an_end_on_one_side_is_an_end_on_the_other() {
    for reset in [false, true] {
        let (_outrigger, _app, mut client, connection) = open().await;
        connection.hang_up(reset);
        client.end().await;
        let (_outrigger, _app, client, mut connection) = open().await;
        client.hang_up(reset);
        connection.end().await;
    }
}

#[tokio::test]
async fn an_app_that_is_down_or_dies_is_a_bad_gateway() {
    let app = App::gone().await;
    let outrigger = Outrigger::start(&app.config()).await;
    let response = outrigger.connect().await.exchange(HANDSHAKE).await;
    assert_eq!(response.status(), 502);
    let (_outrigger, _app, mut client, mut connection) = asked(HANDSHAKE).await;
    connection.request_head().await;
    drop(connection);
    assert_eq!(client.response("GET").await.status(), 502);
}

#[tokio::test]
async fn a_reader_that_stops_stops_the_writer() {
    const MIB: usize = 1024 * 1024;
    let (_outrigger, _app, mut client, mut connection) = open().await;
    let taken = connection.fill(256 * MIB).await;
    assert!(
        taken < 24 * MIB,
        "{taken} bytes were taken for a client that reads none"
    );
    client.read(MIB).await;
    let taken = client.fill(256 * MIB).await;
    assert!(
        taken < 24 * MIB,
        "{taken} bytes were taken for an app that reads none"
    );
    connection.read(MIB).await;
}

/// A silent tunnel is not an idle connection: a notification may come in an hour.
#[tokio::test]
async fn a_silent_tunnel_stays_open() {
    let app = App::start().await;
    let short = "idle_timeout = \"200ms\"\nresponse_timeout = \"5s\"\nkeep_alive = \"200ms\"\n\
                 [listen.limits]\nidle_timeout = \"200ms\"\nheader_timeout = \"200ms\"\n";
    let outrigger = Outrigger::start(&(app.config() + short)).await;
    let mut client = outrigger.connect().await;
    client.send(HANDSHAKE).await;
    let mut connection = app.accept().await;
    connection.request_head().await;
    connection.send(ACCEPTED).await;
    client.response_head().await;
    for _ in 0..4 {
        assert!(client.is_silent().await, "{}", show(client.received()));
    }
    connection.send("late").await;
    assert_eq!(client.read(4).await, b"late");
}

/// Its connection was one more than the pool's limit.
#[tokio::test]
async fn the_connection_of_a_refusal_is_not_used_again() {
    let (_outrigger, app, mut client, mut connection) = asked(HANDSHAKE).await;
    connection.request_head().await;
    connection
        .send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
        .await;
    assert_eq!(client.response("GET").await.status(), 403);
    client.send("GET /next HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(app.accept().await.request().await.target(), "/next");
    connection.end().await;
}

#[tokio::test]
async fn handshakes_on_their_way_are_bounded() {
    let app = App::start().await;
    let limits = "max_connections = 1\nconnect_timeout = \"300ms\"\n";
    let outrigger = Outrigger::start(&(app.config() + limits)).await;
    let mut first = outrigger.connect().await;
    first.send(HANDSHAKE).await;
    let mut connection = app.accept().await;
    connection.request_head().await;
    let refused = outrigger.connect().await.exchange(HANDSHAKE).await;
    assert_eq!(refused.status(), 503);
    connection.send(ACCEPTED).await;
    assert_eq!(first.response_head().await.status(), 101);
    let mut second = outrigger.connect().await;
    second.send(HANDSHAKE).await;
    app.accept().await.request_head().await;
}

/// Requests inside HTTP/2 would pass unseen.
#[tokio::test]
async fn h2c_is_not_asked_for_wherever_it_stands() {
    for upgrade in [
        "Upgrade: h2c",
        "Upgrade: x, h2c",
        "Upgrade: x,H2C-16 ,y",
        "Upgrade: x\r\nUpgrade: h2c",
    ] {
        let request = format!(
            "GET /up HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n{upgrade}\r\nX-Kept: 1\r\n\r\n"
        );
        let (_outrigger, _app, mut client, mut connection) = asked(&request).await;
        let request = connection.request_head().await;
        assert!(request.all("upgrade").is_empty(), "{upgrade}");
        assert_eq!(request.all("x-kept"), ["1"]);
        connection
            .send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            .await;
        assert_eq!(client.response("GET").await.status(), 200);
    }
}

#[tokio::test]
async fn a_refusal_that_could_be_read_in_two_ways_is_a_bad_gateway() {
    for headers in [
        "Content-Length: 50\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip, chunked",
    ] {
        let (_outrigger, _app, mut client, mut connection) = asked(HANDSHAKE).await;
        connection.request_head().await;
        let refusal = format!("HTTP/1.1 403 Forbidden\r\n{headers}\r\n\r\n2\r\nno\r\n0\r\n\r\n");
        connection.send(refusal).await;
        assert_eq!(client.response("GET").await.status(), 502, "{headers}");
    }
}

#[tokio::test]
async fn a_refusal_by_a_broken_app_is_the_apps_fault() {
    let (outrigger, _app, mut client, mut connection) = asked(HANDSHAKE).await;
    connection.request_head().await;
    connection
        .send("HTTP/1.1 500 Oh No\r\nContent-Length: 2\r\n\r\nno")
        .await;
    assert_eq!(client.response("GET").await.status(), 500);
    let fault = "outrigger_requests_total{status=\"500\",fault=\"app\"}";
    outrigger.metric_becomes(fault, 1.0).await;
}
