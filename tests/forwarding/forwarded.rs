//! What the app is told about the client, who is believed about it, and the
//! odd forms of a request's target.

use crate::harness::{App, Client, Message, Outrigger};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const TRUST: &str = "[trust]\nproxies = [\"127.0.0.0/8\"]\n";
const FORGED: &str = "X-Forwarded-For: 10.1.1.1, 10.2.2.2\r\nX-Forwarded-Proto: https\r\n\
    X-Forwarded-Host: forged.test\r\nForwarded: for=10.1.1.1;proto=https;host=forged.test\r\n";

/// What the app sees of a request.
async fn seen(config: &str, request: &str) -> Message {
    let app = App::answering(|_| OK.into()).await;
    let outrigger = Outrigger::start(&(app.config() + config)).await;
    let mut client = Client::connect(outrigger.addr()).await;
    let response = client.exchange(request).await;
    assert_eq!(response.status(), 200, "{}", response.text());
    app.take_seen().remove(0)
}

fn get(lines: &str) -> String {
    format!("GET /who HTTP/1.1\r\nHost: app.test:81\r\n{lines}\r\n")
}

#[tokio::test]
async fn the_app_is_told_who_asked() {
    let request = seen("", &get("")).await;
    assert_eq!(request.all("X-Forwarded-For"), ["127.0.0.1"]);
    assert_eq!(request.all("X-Forwarded-Proto"), ["http"]);
    assert_eq!(request.all("X-Forwarded-Host"), ["app.test:81"]);
    assert_eq!(
        request.all("Forwarded"),
        ["for=127.0.0.1;host=\"app.test:81\";proto=http"]
    );
    assert_eq!(request.all("Host"), ["app.test:81"]);
    assert_eq!(request.all("X-Request-ID").len(), 1);
}

#[tokio::test]
async fn a_stranger_is_not_believed() {
    let request = seen("", &get(FORGED)).await;
    assert_eq!(request.all("X-Forwarded-For"), ["127.0.0.1"]);
    assert_eq!(request.all("X-Forwarded-Proto"), ["http"]);
    assert_eq!(request.all("X-Forwarded-Host"), ["app.test:81"]);
    assert_eq!(request.all("Forwarded").len(), 1);
    assert!(!String::from_utf8_lossy(&request.head).contains("10.1.1.1"));
    assert!(!String::from_utf8_lossy(&request.head).contains("forged"));
}

#[tokio::test]
async fn a_stranger_is_not_believed_in_any_spelling() {
    let lines =
        "x-forwarded-for: 10.1.1.1\r\nX-FORWARDED-FOR: 10.1.1.1\r\nforwarded: for=10.1.1.1\r\n";
    let request = seen("", &get(lines)).await;
    assert!(!String::from_utf8_lossy(&request.head).contains("10.1.1.1"));
}

#[tokio::test]
async fn a_trusted_proxy_is_believed_and_appended_to() {
    let request = seen(TRUST, &get(FORGED)).await;
    assert_eq!(
        request.all("X-Forwarded-For").join(", "),
        "10.1.1.1, 10.2.2.2, 127.0.0.1"
    );
    assert_eq!(request.all("X-Forwarded-Proto"), ["https"]);
    assert_eq!(request.all("X-Forwarded-Host"), ["forged.test"]);
    let forwarded = request.all("Forwarded").join(", ");
    assert!(
        forwarded.starts_with("for=10.1.1.1;proto=https;host=forged.test, "),
        "{forwarded}"
    );
    assert!(forwarded.contains("for=127.0.0.1"), "{forwarded}");
}

#[tokio::test]
async fn a_trusted_proxy_that_says_nothing_is_the_client() {
    let request = seen(TRUST, &get("")).await;
    assert_eq!(request.all("X-Forwarded-For"), ["127.0.0.1"]);
    assert_eq!(request.all("X-Forwarded-Proto"), ["http"]);
}

#[tokio::test]
async fn a_connection_cannot_name_away_what_the_proxy_says() {
    let lines = "Connection: close, X-Forwarded-For, Forwarded, X-Request-ID, Host, Cookie\r\nCookie: a=b\r\n";
    let request = seen("", &get(lines)).await;
    assert_eq!(request.all("X-Forwarded-For"), ["127.0.0.1"]);
    assert_eq!(request.all("Host"), ["app.test:81"]);
    assert_eq!(request.all("Forwarded").len(), 1);
}

#[tokio::test]
async fn a_request_id_is_kept_or_made() {
    let request = seen("", &get("X-Request-ID: mine-1\r\n")).await;
    assert_eq!(request.all("X-Request-ID"), ["mine-1"]);
    let (one, two) = (seen("", &get("")).await, seen("", &get("")).await);
    assert_ne!(one.header("x-request-id"), two.header("x-request-id"));
}

#[tokio::test]
async fn options_may_ask_the_whole_server() {
    let request = seen("", "OPTIONS * HTTP/1.1\r\nHost: app.test\r\n\r\n").await;
    assert_eq!(request.line, "OPTIONS * HTTP/1.1");
}

/// RFC 9112 section 3.2.2: the target's authority counts, not the `Host`.
#[tokio::test]
async fn an_absolute_target_names_the_host() {
    let text = "GET http://real.test/a%2Fb?c HTTP/1.1\r\nHost: other.test\r\n\r\n";
    let request = seen("", text).await;
    assert_eq!(request.target(), "/a%2Fb?c");
    assert_eq!(request.all("Host"), ["real.test"]);
    assert_eq!(request.all("X-Forwarded-Host"), ["real.test"]);
}

#[tokio::test]
async fn an_absolute_target_without_a_path_is_the_root() {
    let request = seen(
        "",
        "GET http://real.test HTTP/1.1\r\nHost: real.test\r\n\r\n",
    )
    .await;
    assert_eq!(request.target(), "/");
}

/// The order of lines of one name is kept, wherever they stand.
#[tokio::test]
async fn lines_of_one_name_keep_their_order() {
    let lines = "Cookie: a=1\r\nX-B: 1\r\nCookie: b=2\r\nX-B: 2\r\nCookie: c=3\r\n";
    let request = seen("", &get(lines)).await;
    assert_eq!(request.all("Cookie"), ["a=1", "b=2", "c=3"]);
    assert_eq!(request.all("X-B"), ["1", "2"]);
}

/// CGI and WSGI servers take `_` for `-`, so these would be ours in another hand.
#[tokio::test]
async fn names_with_underscores_are_left_out() {
    let app = App::answering(|_| OK.into()).await;
    let outrigger = Outrigger::start(&app.config()).await;
    let lines = "X_Forwarded_For: 6.6.6.6\r\nX-Kept: a_b\r\nX_Forwarded-Proto: https\r\n";
    let mut client = outrigger.connect().await;
    assert_eq!(client.exchange(get(lines)).await.status(), 200);
    let request = app.take_seen().remove(0);
    assert!(
        request
            .headers
            .iter()
            .all(|(name, _)| !name.contains(&b'_')),
        "{:?}",
        request.headers
    );
    assert_eq!(request.all("X-Kept"), ["a_b"]);
    assert_eq!(request.all("X-Forwarded-For"), ["127.0.0.1"]);
    let dropped = "outrigger_headers_dropped_total";
    assert_eq!(outrigger.metric(dropped).await, 2.0);
}

/// RFC 9112 section 3.2: it is HTTP/1.1 that reaches the app.
#[tokio::test]
async fn an_old_request_without_a_host_gets_the_apps() {
    let app = App::answering(|_| OK.into()).await;
    let outrigger = Outrigger::start(&app.config()).await;
    let mut client = outrigger.connect().await;
    client.send("GET /old HTTP/1.0\r\n\r\n").await;
    assert_eq!(client.response("GET").await.status(), 200);
    let request = app.take_seen().remove(0);
    assert_eq!(request.line, "GET /old HTTP/1.1");
    assert_eq!(request.all("Host"), [app.addr().to_string()]);
    assert!(request.all("X-Forwarded-Host").is_empty());
}

#[tokio::test]
async fn a_body_of_unknown_length_reaches_the_app_whatever_the_method() {
    for method in ["GET", "HEAD", "DELETE", "OPTIONS", "POST", "ODD"] {
        let chunked = format!(
            "{method} /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        );
        let request = seen("", &chunked).await;
        assert_eq!(request.text(), "abc", "{method}");
        assert_eq!(request.all("Transfer-Encoding"), ["chunked"], "{method}");
    }
}
