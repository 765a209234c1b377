//! The harness holds what it says: shown against its own app, directly.

use serde_json::json;

use crate::harness::{App, Client, End, echo, jwt, redis::Redis, webhook_signature};

#[tokio::test]
async fn a_script_is_followed_byte_by_byte() {
    let app = App::start().await;
    let mut client = Client::connect(app.addr()).await;
    client
        .send("POST /a?b HTTP/1.1\r\nHost: x\r\nX-a:  1 \r\nContent-Length: 3\r\n\r\nabc")
        .await;
    let mut connection = app.accept().await;
    let request = connection.request().await;
    assert_eq!((request.method(), request.target()), ("POST", "/a?b"));
    assert_eq!(request.header("x-A").as_deref(), Some("1"));
    assert_eq!(request.body, b"abc");
    connection
        .send("HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n")
        .await;
    assert_eq!(client.any_response("POST").await.status(), 103);
    connection
        .send("HTTP/1.1 200 Fine\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n")
        .await;
    connection.send("0\r\nX-Sum: 2\r\n\r\n").await;
    let response = client.response("POST").await;
    assert_eq!(
        (&*response.line, &*response.body),
        ("HTTP/1.1 200 Fine", &b"hi"[..])
    );
    assert_eq!(response.trailers, [(b"X-Sum".to_vec(), b"2".to_vec())]);
    connection
        .send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        .await;
    drop(connection);
    assert_eq!(client.response("GET").await.end, End::Cut);
}

#[tokio::test]
async fn an_app_answers_by_a_function_and_a_reset_is_seen() {
    let app = App::answering(echo).await;
    let mut client = Client::connect(app.addr()).await;
    assert_eq!(client.get("/one").await.body, b"/one");
    assert_eq!(client.get("/two").await.body, b"/two");
    assert_eq!(app.take_seen().len(), 2);
    let app = App::start().await;
    let mut client = Client::connect(app.addr()).await;
    app.accept().await.reset();
    assert_eq!(client.end().await, End::Reset);
}

/// The example of the Standard Webhooks specification, and RFC 7515 by parts.
#[test]
fn signatures_are_those_of_the_specifications() {
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let signature = webhook_signature(
        secret,
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1_614_265_330,
        br#"{"test": 2432232314}"#,
    );
    assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    let token = jwt("secret", &json!({"user_id": 42, "exp": null}));
    assert_eq!(token.split('.').count(), 3);
    assert!(token.starts_with("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."));
}

#[tokio::test]
async fn redis_comes_back_at_its_place_with_its_data_or_without() {
    let mut redis = Redis::start().await;
    assert_eq!(redis.cli(&["SET", "kept", "yes"]).await, "OK");
    redis.stop_keeping_its_data().await;
    redis.start_again().await;
    assert_eq!(redis.cli(&["GET", "kept"]).await, "yes");
    redis.restart().await;
    assert_eq!(redis.cli(&["KEYS", "*"]).await, "");
}
