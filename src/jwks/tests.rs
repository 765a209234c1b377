//! When a document is fetched, and what is taken of it.

use std::cell::Cell;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::sleep,
};

use super::*;
use crate::upstream::{self, Address};

const SECOND: Duration = Duration::from_secs(1);

const DOCUMENT: &str =
    r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

fn jwks() -> Arc<Jwks> {
    jwks_at("127.0.0.1:9")
}

fn jwks_at(server: &str) -> Arc<Jwks> {
    let address: Address = format!("http://{server}").parse().unwrap();
    let metrics = Metrics::new();
    let upstream = Upstream::new(
        upstream::Settings {
            address: address.clone(),
            connect_timeout: SECOND,
            response_timeout: SECOND,
            idle_timeout: SECOND,
            keep_alive: SECOND,
            max_connections: 1,
        },
        metrics.clone(),
    );
    let settings = Settings {
        address,
        path: "/jwks.json?key=hidden".into(),
        refresh: SECOND * 600,
        cooldown: SECOND * 10,
        keys: KeySet::empty(),
    };
    Jwks::new(settings, upstream, metrics)
}

/// Runs `client` beside a keeper whose fetches take a second, fail for the
/// first `failures` times and are counted.
async fn beside(jwks: &Jwks, failures: u32, fetches: &Cell<u32>, client: impl Future) {
    let keeper = jwks.keep(async || {
        fetches.set(fetches.get() + 1);
        sleep(SECOND).await;
        match fetches.get() > failures {
            true => Ok(1),
            false => Err(FetchError::Status(StatusCode::BAD_GATEWAY)),
        }
    });
    select! {
        () = keeper => {}
        _ = client => {}
    }
}

#[tokio::test(start_paused = true)]
async fn many_unknown_keys_share_one_fetch() {
    let (jwks, fetches) = (jwks(), Cell::new(0));
    beside(&jwks, 0, &fetches, async {
        sleep(SECOND * 60).await;
        assert_eq!(fetches.get(), 1);
        let ask = || jwks.refresh_for_unknown_key();
        let (a, b, c) = tokio::join!(ask(), ask(), ask());
        assert!(a && b && c);
        assert_eq!(fetches.get(), 2);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn unknown_keys_cause_one_fetch_per_cooldown() {
    let (jwks, fetches) = (jwks(), Cell::new(0));
    beside(&jwks, 0, &fetches, async {
        for _ in 0..400 {
            jwks.refresh_for_unknown_key().await;
            sleep(SECOND / 4).await;
        }
    })
    .await;
    // 100 seconds; a fetch takes one and rests ten.
    assert!((9..=10).contains(&fetches.get()), "{}", fetches.get());
}

#[tokio::test(start_paused = true)]
async fn the_document_is_fetched_at_each_refresh() {
    let (jwks, fetches) = (jwks(), Cell::new(0));
    beside(&jwks, 0, &fetches, sleep(SECOND * 6020)).await;
    assert_eq!(fetches.get(), 11);
}

#[tokio::test(start_paused = true)]
async fn a_failed_fetch_is_tried_again_soon() {
    let (jwks, fetches) = (jwks(), Cell::new(0));
    beside(&jwks, 3, &fetches, async {
        assert!(!jwks.refresh_for_unknown_key().await);
        sleep(SECOND * 15).await;
        assert_eq!(fetches.get(), 4);
        assert!(jwks.last.borrow().unwrap().loaded);
    })
    .await;
    let text = jwks.metrics.text();
    assert!(text.contains(r#"jwks_fetches_total{result="failed"} 3"#));
    assert!(text.contains(r#"jwks_fetches_total{result="loaded"} 1"#));
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_forever_for_a_keeper_that_stopped() {
    assert!(!jwks().refresh_for_unknown_key().await);
}

#[tokio::test(start_paused = true)]
async fn cancelling_ends_the_task() {
    let (jwks, cancel) = (jwks(), CancellationToken::new());
    cancel.cancel();
    let tasks = tokio_util::task::TaskTracker::new();
    tasks.spawn(async move { jwks.run(cancel).await });
    tasks.close();
    tasks.wait().await;
}

/// Fetches once from a server that gives this answer; says what was asked and
/// what came of it.
async fn fetch_from(answer: String) -> (String, Result<usize, FetchError>) {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let jwks = jwks_at(&server.local_addr().unwrap().to_string());
    let serve = async {
        let (mut socket, _) = server.accept().await.unwrap();
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            socket.read_buf(&mut asked).await.unwrap();
        }
        // The client may hang up on an answer that is too large.
        drop(socket.write_all(answer.as_bytes()).await);
        String::from_utf8(asked).unwrap()
    };
    tokio::join!(serve, jwks.fetch())
}

fn answer(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}")
}

#[tokio::test]
async fn the_keys_at_the_url_are_loaded() {
    let (asked, fetched) = fetch_from(answer("200 OK", DOCUMENT)).await;
    assert!(asked.starts_with("GET /jwks.json?key=hidden HTTP/1.1\r\n"));
    assert_eq!(fetched.unwrap(), 1);
}

#[tokio::test]
async fn only_a_whole_document_is_taken() {
    let big = format!("{DOCUMENT}{}", " ".repeat(LARGEST));
    for (answer, why) in [
        (answer("404 Not Found", DOCUMENT), "answered 404"),
        (answer("302 Found", DOCUMENT), "answered 302"),
        (answer("200 OK", "<html>"), "not a JWKS document"),
        (answer("200 OK", &big), "larger than 1048576 bytes"),
    ] {
        let (_, fetched) = fetch_from(answer).await;
        let error = fetched.unwrap_err().to_string();
        assert!(error.contains(why), "{error} should say {why}");
        assert!(!error.contains("hidden"));
    }
}

#[test]
fn waits_are_spread_over_the_upper_half() {
    for _ in 0..100 {
        let wait = jittered(SECOND);
        assert!(wait >= SECOND / 2 && wait <= SECOND);
    }
}
