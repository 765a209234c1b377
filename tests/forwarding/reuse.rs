//! Connections are used again, requests are repeated only where that is safe,
//! and the app may be behind a Unix socket.

use crate::harness::{App, Client, Connection, End, Outrigger, asked, echo, show};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const GET: &str = "GET /again HTTP/1.1\r\nHost: a\r\n\r\n";
const POST: &str = "POST /again HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody";

#[tokio::test]
async fn a_client_keeps_its_connection_and_so_does_the_app() {
    let (_outrigger, _app, mut client, mut connection) = kept().await;
    for request in [POST, GET, GET] {
        client.send(request).await;
        connection.request().await;
        connection.send(OK).await;
        assert_eq!(client.response("GET").await.body, b"ok");
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let app = App::answering(echo).await;
    let outrigger = Outrigger::start(&app.config()).await;
    let mut client = outrigger.connect().await;
    let requests: String = (0..20)
        .map(|n| match n % 2 {
            0 => format!("GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n"),
            _ => format!("POST /{n} HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nGET"),
        })
        .collect();
    client.send(requests).await;
    for n in 0..20 {
        assert_eq!(client.response("GET").await.text(), format!("/{n}"));
    }
    assert_eq!(app.take_seen().len(), 20);
}

#[tokio::test]
async fn bodiless_answers_leave_the_connection_in_step() {
    let app = App::answering(|request| match request.method() {
        "HEAD" => b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n".to_vec(),
        "PUT" => b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(),
        "PATCH" => b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n".to_vec(),
        _ => OK.into(),
    })
    .await;
    let outrigger = Outrigger::start(&app.config()).await;
    let mut client = outrigger.connect().await;
    for method in ["HEAD", "GET", "PUT", "GET", "PATCH", "GET"] {
        let request = format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
        let response = client.exchange(request).await;
        assert_eq!(response.end, End::Complete, "{method}");
    }
}

/// After one exchange: the connection to the app is kept.
async fn kept() -> (Outrigger, App, Client, Connection) {
    let (outrigger, app, mut client, mut connection) = asked(GET).await;
    connection.request().await;
    connection.send(OK).await;
    client.response("GET").await;
    (outrigger, app, client, connection)
}

/// The client is told, and the app is not asked a second time.
async fn is_not_sent_again(app: &App, mut client: Client) {
    assert_eq!(client.response("POST").await.status(), 502);
    if let Some(mut connection) = app.accept_soon().await {
        assert!(
            connection.is_silent().await,
            "sent again: {}",
            show(connection.received())
        );
    }
}

/// After one exchange, the app closes its idle connection under the next request.
async fn closed_under(request: &str) -> (Outrigger, App, Client) {
    let (outrigger, app, mut client, mut connection) = kept().await;
    client.send(request).await;
    connection.request().await;
    connection.reset();
    (outrigger, app, client)
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_is_not_seen_by_the_client() {
    let app = App::start().await;
    let outrigger = Outrigger::start(&app.config()).await;
    let mut client = outrigger.connect().await;
    for request in [GET, GET, POST, GET] {
        client.send(request).await;
        let mut connection = app.accept().await;
        connection.request().await;
        connection.send(OK).await;
        assert_eq!(client.response("GET").await.status(), 200, "{request}");
        drop(connection);
        // Its end is seen before what comes later from elsewhere.
        let refused = outrigger
            .connect()
            .await
            .exchange("GET / HTTP/1.1\r\n\r\n")
            .await;
        assert_eq!(refused.status(), 400);
    }
}

/// The app read the POST, so it may have acted on it.
#[tokio::test]
async fn a_post_that_arrived_is_never_sent_again() {
    let (_outrigger, app, client) = closed_under(POST).await;
    is_not_sent_again(&app, client).await;
}

#[tokio::test]
async fn a_first_connection_is_never_tried_again() {
    let (_outrigger, app, client, mut connection) = asked(POST).await;
    connection.request().await;
    connection.reset();
    is_not_sent_again(&app, client).await;
}

#[tokio::test]
async fn a_begun_body_is_never_sent_again() {
    let head = "POST /again HTTP/1.1\r\nHost: a\r\nContent-Length: 400\r\n\r\nbegun";
    let (_outrigger, app, mut client, mut connection) = kept().await;
    client.send(head).await;
    connection.read_until(b"begun").await;
    connection.reset();
    is_not_sent_again(&app, client).await;
}

#[tokio::test]
async fn an_app_on_a_unix_socket_is_served() {
    let app = App::start_unix();
    let outrigger = Outrigger::start(&app.config()).await;
    let mut client = outrigger.connect().await;
    client.send(POST).await;
    let mut connection = app.accept().await;
    let request = connection.request().await;
    assert_eq!(
        (request.header("host").as_deref(), &*request.body),
        (Some("a"), &b"body"[..])
    );
    connection.send(OK).await;
    assert_eq!(client.response("POST").await.body, b"ok");
}

#[tokio::test]
async fn a_client_that_asks_to_close_is_closed_and_the_app_is_not() {
    let app = App::start().await;
    let outrigger = Outrigger::start(&app.config()).await;
    let mut client = outrigger.connect().await;
    client
        .send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .await;
    let mut connection = app.accept().await;
    connection.request().await;
    connection.send(OK).await;
    assert_eq!(client.response("GET").await.body, b"ok");
    assert_eq!(client.end().await, End::Close);
    let mut client = outrigger.connect().await;
    client.send(GET).await;
    assert_eq!(connection.request().await.target(), "/again");
}

#[tokio::test]
async fn who_waits_for_a_connection_gets_the_one_that_is_free() {
    let app = App::start().await;
    // Longer than the test waits for anything.
    let limits = "max_connections = 1\nkeep_alive = \"60s\"\nconnect_timeout = \"60s\"\n";
    let outrigger = Outrigger::start(&(app.config() + limits)).await;
    let mut first = outrigger.connect().await;
    first.send("GET /one HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut connection = app.accept().await;
    assert_eq!(connection.request().await.target(), "/one");
    let mut second = outrigger.connect().await;
    second.send("GET /two HTTP/1.1\r\nHost: a\r\n\r\n").await;
    outrigger
        .metric_becomes("outrigger_requests_in_flight", 2.0)
        .await;
    connection.send(OK).await;
    assert_eq!(first.response("GET").await.status(), 200);
    assert_eq!(connection.request().await.target(), "/two");
    connection.send(OK).await;
    assert_eq!(second.response("GET").await.status(), 200);
}

#[tokio::test]
async fn open_connections_to_the_app_are_counted() {
    let app = App::start().await;
    let outrigger = Outrigger::start(&(app.config() + "keep_alive = \"60s\"\n")).await;
    let mut client = outrigger.connect().await;
    client.send(GET).await;
    let mut connection = app.accept().await;
    connection.request().await;
    assert_eq!(outrigger.metric("outrigger_app_connections").await, 1.0);
    connection.send(OK).await;
    client.response("GET").await;
    assert_eq!(outrigger.metric("outrigger_app_connections").await, 1.0);
    client
        .send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .await;
    connection.request().await;
    connection
        .send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        .await;
    client.response("GET").await;
    outrigger
        .metric_becomes("outrigger_app_connections", 0.0)
        .await;
}

/// gunicorn closes what was unused for 2 s: a request that meets that is lost, so
/// it is Outrigger who closes first.
#[tokio::test]
async fn an_unused_connection_is_closed_before_gunicorn_would() {
    let (_outrigger, app, mut client, mut connection) = kept().await;
    tokio::time::sleep(std::time::Duration::from_millis(1600)).await;
    client.send(GET).await;
    app.accept().await.request().await;
    assert_eq!(connection.end().await, End::Close);
}
