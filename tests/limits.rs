//! What a client may cost: the size and time of a head, idle connections, and
//! how many of them. The times are real but short.

use std::time::Duration;

use crate::harness::{App, Client, End, Outrigger, show, until};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

async fn limited(limits: &str) -> (App, Outrigger) {
    let app = App::answering(|_| OK.into()).await;
    let config = format!("{}[listen.limits]\n{limits}\n", app.config());
    let outrigger = Outrigger::start(&config).await;
    (app, outrigger)
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let (app, outrigger) = limited("max_header_bytes = \"16KiB\"").await;
    let with = |size: usize| {
        format!(
            "GET / HTTP/1.1\r\nHost: a\r\nX-Big: {}\r\n\r\n",
            "x".repeat(size)
        )
    };
    let mut client = outrigger.connect().await;
    assert_eq!(client.exchange(with(12_000)).await.status(), 200);
    let response = client.exchange(with(20_000)).await;
    assert_eq!(response.status(), 431);
    client.end().await;
    let mut client = outrigger.connect().await;
    let target = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(20_000));
    let status = client.exchange(target).await.status();
    assert!([414, 431].contains(&status), "{status}");
    client.end().await;
    assert_eq!(app.take_seen().len(), 1);
}

#[tokio::test]
async fn too_many_headers_are_refused() {
    let (app, outrigger) = limited("max_headers = 20").await;
    let with = |count: usize| {
        let lines: String = (0..count).map(|n| format!("X-{n}: {n}\r\n")).collect();
        format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n")
    };
    let mut client = outrigger.connect().await;
    assert_eq!(client.exchange(with(19)).await.status(), 200);
    assert_eq!(client.exchange(with(20)).await.status(), 431);
    client.end().await;
    assert_eq!(app.take_seen().len(), 1);
}

#[tokio::test]
async fn a_head_that_does_not_end_is_closed() {
    let (app, outrigger) = limited("header_timeout = \"300ms\"").await;
    let mut client = outrigger.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n").await;
    client.end().await;
    let received = client.received();
    assert!(
        received.is_empty() || received.starts_with(b"HTTP/1.1 408"),
        "{}",
        show(received)
    );
    assert!(app.take_seen().is_empty());
}

/// The time counts from the head's first byte, however many follow it.
#[tokio::test]
async fn a_head_that_drips_is_closed() {
    let (_app, outrigger) = limited("header_timeout = \"300ms\"").await;
    let mut client = outrigger.connect().await;
    client.send("GET / HTTP/1.1\r\n").await;
    let drip = async {
        while client.try_send("X: y\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    crate::harness::within("the head to be refused", drip).await;
}

#[tokio::test]
async fn a_slow_body_is_no_slow_head() {
    let (_app, outrigger) = limited("header_timeout = \"300ms\"\nidle_timeout = \"300ms\"").await;
    let mut client = outrigger.connect().await;
    client
        .send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n")
        .await;
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        client.send("x").await;
    }
    assert_eq!(client.response("POST").await.status(), 200);
}

#[tokio::test]
async fn a_slow_answer_is_no_idle_connection() {
    let app = App::start().await;
    let limits = "[listen.limits]\nheader_timeout = \"200ms\"\nidle_timeout = \"200ms\"\n";
    let outrigger = Outrigger::start(&(app.config() + limits)).await;
    let mut client = outrigger.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut connection = app.accept().await;
    connection.request().await;
    for _ in 0..3 {
        assert!(client.is_silent().await);
    }
    connection.send(OK).await;
    assert_eq!(client.response("GET").await.status(), 200);
}

#[tokio::test]
async fn an_idle_connection_is_closed_without_a_word() {
    let (_app, outrigger) = limited("idle_timeout = \"300ms\"").await;
    let mut client = outrigger.connect().await;
    assert_eq!(client.get("/").await.status(), 200);
    let before = client.received().len();
    assert_eq!(client.end().await, End::Close);
    assert_eq!(
        client.received().len(),
        before,
        "{}",
        show(client.received())
    );
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed() {
    let (_app, outrigger) = limited("idle_timeout = \"300ms\"\nheader_timeout = \"300ms\"").await;
    let mut client = outrigger.connect().await;
    assert_ne!(client.end().await, End::Complete);
}

/// Whether a new connection is served at once; a served one is returned.
async fn served(mut client: Client) -> Option<Client> {
    drop(client.try_send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await);
    let answer = client.next_response("GET");
    match tokio::time::timeout(Duration::from_millis(500), answer).await {
        Ok(Some(response)) if response.status() == 200 => Some(client),
        _ => None,
    }
}

/// So many connections are served, and not one more.
async fn fill(outrigger: &Outrigger, most: usize) -> Vec<Client> {
    let mut open = Vec::new();
    for _ in 0..most {
        let client = served(outrigger.connect().await).await;
        open.push(client.expect("within the limit"));
    }
    let more = served(outrigger.connect().await).await;
    assert!(more.is_none(), "one more than {most} was served");
    open
}

#[tokio::test]
async fn connections_are_limited_in_total() {
    let (_app, outrigger) = limited("max_connections = 3").await;
    let mut open = fill(&outrigger, 3).await;
    let refused = "outrigger_connections_refused_total{result=\"max_connections\"}";
    outrigger.metric_becomes(refused, 1.0).await;
    for client in &mut open {
        assert_eq!(client.get("/").await.status(), 200, "the open ones suffer");
    }
    open.pop();
    let again = || async { served(outrigger.connect().await).await.is_some() };
    until("a place to be free again", again).await;
}

#[tokio::test]
async fn connections_are_limited_per_address() {
    let (_app, outrigger) = limited("max_connections_per_address = 2").await;
    let mut open = fill(&outrigger, 2).await;
    let other = Client::connect_from("127.0.0.2", outrigger.addr()).await;
    assert!(served(other).await.is_some(), "another address suffers");
    open.pop();
    let again = || async { served(outrigger.connect().await).await.is_some() };
    until("a place to be free again", again).await;
}

/// Who does not read is cut off after a time, and the app with it.
#[tokio::test]
async fn a_client_that_does_not_read_is_cut() {
    let app = App::start().await;
    let limits = "[listen.limits]\nwrite_timeout = \"300ms\"\n";
    let outrigger = Outrigger::start(&(app.config() + limits)).await;
    let mut client = Client::connect_narrow(outrigger.addr()).await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut connection = app.accept().await;
    connection.request().await;
    connection
        .send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        .await;
    let piece = vec![b'x'; 64 * 1024];
    let write = async { while connection.try_send(&piece).await.is_ok() {} };
    crate::harness::within("the app to be cut", write).await;
}
