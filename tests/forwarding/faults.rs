//! What breaks is seen on the other side as broken, and what is not there is
//! said in the right words.

use crate::harness::{App, End, Outrigger, asked, asked_with, show};

const GET: &str = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
const POST: &str = "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n";

#[tokio::test]
async fn an_app_that_dies_in_its_answer_is_never_a_clean_end() {
    for (head, reset) in [
        ("Content-Length: 100\r\n\r\nhalf", false),
        ("Content-Length: 100\r\n\r\nhalf", true),
        ("Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", false),
        ("Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", true),
        ("Transfer-Encoding: chunked\r\n\r\n9\r\nhalf", false),
        (
            "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n",
            false,
        ),
    ] {
        let (_outrigger, _app, mut client, mut connection) = asked(GET).await;
        connection.request().await;
        connection.send(format!("HTTP/1.1 200 OK\r\n{head}")).await;
        client.read_until(b"half").await;
        connection.hang_up(reset);
        client.end().await;
        let received = client.received();
        assert!(
            !received.ends_with(b"0\r\n\r\n"),
            "a clean end: {}",
            show(received)
        );
    }
}

/// A connection whose answer had no framing can only be told from a whole one
/// by a reset.
#[tokio::test]
async fn a_reset_of_an_answer_without_framing_is_no_clean_end() {
    let (_outrigger, _app, mut client, mut connection) = asked(GET).await;
    connection.request().await;
    connection.send("HTTP/1.1 200 OK\r\n\r\nhalf").await;
    client.read_until(b"half").await;
    connection.reset();
    client.end().await;
    assert!(!client.received().ends_with(b"0\r\n\r\n"));
}

#[tokio::test]
async fn an_app_that_dies_before_its_answer_is_a_bad_gateway() {
    for answer in [
        "",
        "HTTP/1.1 200 OK\r\nX-Half",
        "nonsense\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
    ] {
        let (outrigger, _app, mut client, mut connection) = asked(GET).await;
        connection.request().await;
        connection.send(answer).await;
        drop(connection);
        let response = client.response("GET").await;
        assert_eq!(response.status(), 502, "{answer:?}");
        assert!(
            (1..200).contains(&response.body.len()),
            "{answer:?}: {}",
            response.text()
        );
        drop(outrigger);
    }
}

#[tokio::test]
async fn an_app_that_is_down_is_a_bad_gateway_and_can_come_back() {
    let app = App::gone().await;
    let outrigger = Outrigger::start(&app.config()).await;
    let mut client = outrigger.connect().await;
    for _ in 0..2 {
        let response = client.get("/x").await;
        assert_eq!(response.status(), 502);
        assert!(
            (1..200).contains(&response.body.len()),
            "{}",
            response.text()
        );
    }
    let app = App::start_at(app.addr()).await;
    client.send(GET).await;
    let mut connection = app.accept().await;
    connection.request().await;
    connection
        .send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nback")
        .await;
    assert_eq!(client.response("GET").await.body, b"back");
}

#[tokio::test]
async fn a_slow_app_is_a_gateway_timeout() {
    let config = "response_timeout = \"300ms\"\n";
    let (_outrigger, _app, mut client, mut connection) = asked_with(config, GET).await;
    connection.request().await;
    let response = client.response("GET").await;
    assert_eq!(response.status(), 504);
    assert!(
        (1..200).contains(&response.body.len()),
        "{}",
        response.text()
    );
    assert_ne!(connection.end().await, End::Complete);
}

#[tokio::test]
async fn an_answer_that_stalls_is_cut() {
    let config = "idle_timeout = \"300ms\"\n";
    let (_outrigger, _app, mut client, mut connection) = asked_with(config, GET).await;
    connection.request().await;
    connection
        .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
        .await;
    let response = client.response("GET").await;
    assert!(
        matches!(response.end, End::Cut | End::Reset),
        "{:?}",
        response.end
    );
    connection.end().await;
}

#[tokio::test]
async fn a_client_that_goes_is_gone_for_the_app_too() {
    let (_outrigger, _app, client, mut connection) = asked(GET).await;
    connection.request().await;
    drop(client);
    connection.end().await;
}

#[tokio::test]
async fn a_client_that_goes_in_the_answer_is_gone_for_the_app_too() {
    for reset in [false, true] {
        let (_outrigger, _app, mut client, mut connection) = asked(GET).await;
        connection.request().await;
        connection
            .send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            .await;
        client.read_until(b"half").await;
        client.hang_up(reset);
        connection.end().await;
    }
}

#[tokio::test]
async fn an_upload_that_breaks_off_breaks_off_at_the_app() {
    let chunked = "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n";
    for request in [&*format!("{POST}half"), chunked] {
        for reset in [false, true] {
            let (_outrigger, _app, client, mut connection) = asked(request).await;
            connection.read_until(b"half").await;
            client.hang_up(reset);
            connection.end().await;
            let received = connection.received();
            assert!(
                !received.ends_with(b"0\r\n\r\n"),
                "a clean end: {}",
                show(received)
            );
        }
    }
}

#[tokio::test]
async fn the_reason_of_a_fault_is_in_the_log() {
    let app = App::gone().await;
    let outrigger = Outrigger::start(&app.config()).await;
    outrigger.connect().await.get("/x?token=secret").await;
    let fits = |entry: &serde_json::Value| entry["fields"]["error"].is_string();
    let line = outrigger.logs().find("an error", fits).await.unwrap();
    assert!(!line.to_string().contains("secret"), "{line}");
    assert!(!outrigger.logs().text().contains("token=secret"));
}

#[tokio::test]
async fn an_answer_with_two_lengths_is_a_bad_gateway() {
    let (_outrigger, _app, mut client, mut connection) = asked(GET).await;
    connection.request().await;
    connection
        .send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nmore\r\n0\r\n\r\n")
        .await;
    assert_eq!(client.response("GET").await.status(), 502);
}
