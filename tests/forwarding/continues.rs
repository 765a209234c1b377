//! `Expect: 100-continue` and other interim answers, in both directions
//! (RFC 9110 section 10.1.1).

use crate::harness::asked;

const HEAD: &str =
    "POST /up HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test]
async fn the_app_decides_whether_the_body_is_sent() {
    let (_outrigger, _app, mut client, mut connection) = asked(HEAD).await;
    let request = connection.request_head().await;
    assert_eq!(request.header("expect").as_deref(), Some("100-continue"));
    assert!(client.is_silent().await, "a 100 that the app did not say");
    connection.send("HTTP/1.1 100 Continue\r\n\r\n").await;
    assert_eq!(client.any_response("POST").await.status(), 100);
    client.send("hello").await;
    assert_eq!(connection.read(5).await, b"hello");
    connection.send(OK).await;
    let response = client.any_response("POST").await;
    assert_eq!((response.status(), &*response.body), (200, &b"ok"[..]));
}

#[tokio::test]
async fn a_chunked_body_is_asked_for_too() {
    let head = HEAD.replace("Content-Length: 5", "Transfer-Encoding: chunked");
    let (_outrigger, _app, mut client, mut connection) = asked(&head).await;
    connection.request_head().await;
    connection.send("HTTP/1.1 100 Continue\r\n\r\n").await;
    assert_eq!(client.any_response("POST").await.status(), 100);
    client.send("5\r\nhello\r\n0\r\n\r\n").await;
    connection.read_until(b"0\r\n\r\n").await;
    connection.send(OK).await;
    assert_eq!(client.any_response("POST").await.status(), 200);
}

#[tokio::test]
async fn a_refusal_before_the_body_reaches_the_client() {
    for status in [
        "417 Expectation Failed",
        "401 Unauthorized",
        "413 Content Too Large",
    ] {
        let (_outrigger, _app, mut client, mut connection) = asked(HEAD).await;
        connection.request_head().await;
        let refusal = format!("HTTP/1.1 {status}\r\nContent-Length: 4\r\n\r\nno!\n");
        connection.send(refusal).await;
        let response = client.any_response("POST").await;
        assert_eq!(response.line, format!("HTTP/1.1 {status}"));
        assert_eq!(response.body, b"no!\n");
        drop(client);
        let rest = connection.rest().await;
        assert!(rest.is_empty(), "the app got a body that was never sent");
    }
}

#[tokio::test]
async fn a_client_that_does_not_wait_is_served() {
    let (_outrigger, _app, mut client, mut connection) = asked(&format!("{HEAD}hello")).await;
    let request = connection.request_head().await;
    assert_eq!(request.header("expect").as_deref(), Some("100-continue"));
    assert_eq!(connection.read(5).await, b"hello");
    connection.send(OK).await;
    assert_eq!(client.response("POST").await.status(), 200);
}

#[tokio::test]
async fn an_app_that_says_nothing_still_gets_a_body_in_the_end() {
    let (_outrigger, _app, mut client, mut connection) = asked(HEAD).await;
    connection.request_head().await;
    client.send("hello").await;
    assert_eq!(connection.read(5).await, b"hello");
    connection.send(OK).await;
    assert_eq!(client.response("POST").await.status(), 200);
}

#[tokio::test]
async fn early_hints_come_early() {
    let (_outrigger, _app, mut client, mut connection) =
        asked("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    connection.request().await;
    connection
        .send("HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n")
        .await;
    let hints = client.any_response("GET").await;
    assert_eq!(hints.line, "HTTP/1.1 103 Early Hints");
    assert_eq!(hints.header("Link").as_deref(), Some("</a>; rel=preload"));
    connection.send(OK).await;
    assert_eq!(client.any_response("GET").await.status(), 200);
}

/// RFC 9110 section 15.2: a proxy sends no interim answer to an HTTP/1.0 client.
#[tokio::test]
async fn an_old_client_gets_no_interim_answers() {
    let (_outrigger, _app, mut client, mut connection) =
        asked("GET / HTTP/1.0\r\nHost: a\r\n\r\n").await;
    connection.request().await;
    connection
        .send("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")
        .await;
    connection.send(OK).await;
    assert_eq!(client.any_response("GET").await.status(), 200);
}

/// RFC 9110 sections 7.6.1 and 8.6.
#[tokio::test]
async fn interim_answers_lose_what_is_between_neighbours() {
    let (_outrigger, _app, mut client, mut connection) =
        asked("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    connection.request().await;
    connection
        .send(
            "HTTP/1.1 103 Early Hints\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: x\r\n\
             Upgrade: h2c\r\nContent-Length: 5\r\nLink: </a>\r\n\r\n",
        )
        .await;
    let hints = client.any_response("GET").await;
    assert_eq!(hints.headers, [(b"Link".to_vec(), b"</a>".to_vec())]);
    connection.send(OK).await;
    assert_eq!(client.any_response("GET").await.status(), 200);
}
