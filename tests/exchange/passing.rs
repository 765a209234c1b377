//! With a rule on it, an exchange passes as without: the same bytes, at the same
//! moments. What is watched is heard even if its client does not wait for the answer.

use super::{ENDPOINT, RULE, exchange, listen, message, request, skipped};
use crate::harness::{App, Connection, End, Message, Outrigger, Stage, within};

const MIB: usize = 1 << 20;

/// An app that the test itself plays, with the client's request at it.
async fn asked(asked: &str) -> (Stage, Connection, Connection) {
    let stage = Stage::with(App::start().await, RULE, ENDPOINT).await;
    let mut client = stage.outrigger.connect().await;
    client.send(asked).await;
    let mut app = stage.app.accept().await;
    app.request().await;
    (stage, client, app)
}

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

const CHUNKED: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";

#[tokio::test]
async fn the_first_piece_is_there_before_the_second_is_made() {
    let (stage, mut client, mut app) = asked(&message("1", "{}")).await;
    let mut socket = listen(&stage).await;
    app.send(CHUNKED).await;
    assert_eq!(client.response_head().await.status(), 200);
    for piece in [r#"{"n": "#, "1"] {
        app.send(chunk(piece)).await;
        client.read_until(piece.as_bytes()).await;
    }
    app.send(format!("{}0\r\n\r\n", chunk("}"))).await;
    client.read_until(b"0\r\n\r\n").await;
    assert_eq!(socket.json().await["data"]["n"], 1);
}

#[tokio::test]
async fn an_upload_passes_as_it_comes() {
    let stage = Stage::with(App::start().await, RULE, ENDPOINT).await;
    let mut client = stage.outrigger.connect().await;
    let head = "POST /chats/1/messages HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    client.send(head).await;
    let mut app = stage.app.accept().await;
    app.request_head().await;
    for piece in ["first", "second"] {
        client.send(chunk(piece)).await;
        app.read_until(piece.as_bytes()).await;
    }
}

#[tokio::test]
async fn large_bodies_pass_and_are_not_kept() {
    let rule = RULE.replace("{response}", "{request.n}");
    let app = App::answering(|request| {
        let body = &request.body;
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        [head.as_bytes(), body].concat()
    })
    .await;
    let stage = Stage::with(app, &rule, ENDPOINT).await;
    let body = "x".repeat(8 * MIB);
    let echoed = exchange(&stage, &message("1", &body)).await;
    assert_eq!(echoed.body, body.as_bytes());
    skipped(&stage, "request_too_large").await;
}

/// Answers of every framing: what the client sees with a rule and without.
#[tokio::test]
async fn the_bytes_are_those_of_a_plain_proxy() {
    let answers = [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: 1\r\nx-a: 2\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\nuntil the end",
        "HTTP/1.1 204 No Content\r\nX-B: c\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
        "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno",
    ];
    let rules = "[[source.exchange]]\non = { method = [\"POST\", \"GET\"], path = \"/a\", status = [\"2xx\", \"3xx\", \"4xx\"] }\nevent = { type = \"t\", topics = [\"t\"], data = [\"{request}\", \"{response}\"] }\n";
    for said in answers {
        let mut seen = Vec::new();
        for rules in ["", rules] {
            let app = App::start().await;
            let outrigger = Outrigger::start(&(app.config() + rules)).await;
            let mut client = outrigger.connect().await;
            client.send(request("POST", "/a", "", "{}")).await;
            let mut connection = app.accept().await;
            let asked = connection.request().await;
            connection.send(said).await;
            drop(connection);
            let response = client.response("POST").await;
            let headers = |message: &Message| {
                let mut headers = message.headers.clone();
                headers.retain(|(name, _)| {
                    !name.eq_ignore_ascii_case(b"date")
                        && !name.eq_ignore_ascii_case(b"x-request-id")
                        && !name.eq_ignore_ascii_case(b"forwarded")
                });
                headers
            };
            seen.push((
                (
                    asked.line.clone(),
                    headers(&asked).len(),
                    asked.body.clone(),
                ),
                (
                    response.line.clone(),
                    headers(&response),
                    response.body.clone(),
                ),
                (response.chunks.clone(), response.end),
            ));
        }
        assert_eq!(seen[0], seen[1], "{said}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_is_heard_all_the_same() {
    let (stage, client, mut app) = asked(&message("1", "{}")).await;
    let mut socket = listen(&stage).await;
    client.reset();
    stage
        .outrigger
        .metric_becomes("outrigger_requests_total{status=\"499\"}", 1.0)
        .await;
    app.send("HTTP/1.1 201 Created\r\nContent-Length: 8\r\n\r\n{\"n\": 1}")
        .await;
    assert_eq!(socket.json().await["data"]["n"], 1);
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_the_answer_is_heard_all_the_same() {
    let (stage, mut client, mut app) = asked(&message("1", "{}")).await;
    let mut socket = listen(&stage).await;
    app.send(CHUNKED).await;
    app.send(chunk("{\"n\": ")).await;
    client.read_until(b"{\"n\": ").await;
    client.reset();
    stage
        .outrigger
        .metric_becomes("outrigger_requests_total{fault=\"client\"}", 1.0)
        .await;
    app.send(format!("{}0\r\n\r\n", chunk("1}"))).await;
    assert_eq!(socket.json().await["data"]["n"], 1);
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_its_request_takes_it_along() {
    let stage = Stage::with(App::start().await, RULE, ENDPOINT).await;
    let mut client = stage.outrigger.connect().await;
    client
        .send("POST /chats/1/messages HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{\"n\"")
        .await;
    let mut app = stage.app.accept().await;
    app.request_head().await;
    client.reset();
    assert_ne!(within("the app's end", app.end()).await, End::Complete);
    skipped(&stage, "client_gone").await;
}

#[tokio::test]
async fn an_app_that_breaks_off_has_said_nothing() {
    let length = "HTTP/1.1 201 Created\r\nContent-Length: 9\r\n\r\n".to_owned();
    for head in [length + "{\"n\"", CHUNKED.to_owned() + &chunk("{\"n\"")] {
        let (stage, mut client, mut app) = asked(&message("1", "{}")).await;
        app.send(head).await;
        client.read_until(b"{\"n\"").await;
        drop(app);
        assert_ne!(client.end().await, End::Complete);
        skipped(&stage, "response_broke_off").await;
    }
}

#[tokio::test]
async fn an_app_that_does_not_answer_is_counted() {
    let stage = Stage::with(App::gone().await, RULE, ENDPOINT).await;
    assert_eq!(exchange(&stage, &message("1", "{}")).await.status(), 502);
    skipped(&stage, "no_answer").await;
}
