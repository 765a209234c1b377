//! Keeps a key set equal to the document at a JWKS URL.
//!
//! One task fetches ([`Jwks::run`]); whoever meets an unknown key asks it and
//! waits ([`Jwks::refresh_for_unknown_key`]). So there is never more than one
//! fetch at a time, however many clients come with however odd keys.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use tokio::{
    select,
    sync::{Notify, watch},
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    auth::{KeySet, NotAKey},
    metrics::{Ended, Metrics},
    upstream::{self, Address, CallError, CallRequest, Upstream},
};

/// For one fetch as a whole: clients with an unknown key wait for it.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// The largest document that is read, in bytes. Real ones have a few thousand.
const LARGEST: usize = 1024 * 1024;

/// The wait after the first failed fetch; it doubles with each further one.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// The longest wait after a failed fetch.
const LAST_RETRY: Duration = Duration::from_secs(60);

/// Where the keys are published and how often they are looked at.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The server.
    pub address: Address,
    /// The path with its query.
    pub path: String,
    /// How long a document is believed.
    pub refresh: Duration,
    /// The least time between two fetches, however many unknown keys are asked for.
    pub cooldown: Duration,
    /// The set that is kept.
    pub keys: KeySet,
}

impl Settings {
    /// Whether both follow the same document.
    pub fn same_document(&self, other: &Self) -> bool {
        self.address == other.address && self.path == other.path
    }

    /// Whether both follow it in the same way, too.
    pub fn same_place(&self, other: &Self) -> bool {
        let pace = |settings: &Self| (settings.refresh, settings.cooldown);
        self.same_document(other) && pace(self) == pace(other)
    }

    /// The server, as one to connect to.
    pub fn upstream(&self) -> upstream::Settings {
        upstream::Settings {
            address: self.address.clone(),
            connect_timeout: FETCH_TIMEOUT,
            response_timeout: FETCH_TIMEOUT,
            idle_timeout: FETCH_TIMEOUT,
            keep_alive: Duration::ZERO,
            max_connections: 1,
        }
    }
}

/// A key set that follows its document.
#[derive(Debug)]
pub struct Jwks {
    settings: Settings,
    upstream: Arc<Upstream>,
    metrics: Arc<Metrics>,
    /// Somebody met an unknown key.
    asked: Notify,
    /// How the last fetch ended.
    last: watch::Sender<Option<Fetched>>,
}

#[derive(Clone, Copy, Debug)]
struct Fetched {
    ended: Instant,
    loaded: bool,
}

#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error(transparent)]
    NoAnswer(#[from] CallError),
    #[error("the server answered {0}")]
    Status(StatusCode),
    #[error(transparent)]
    NotAKey(#[from] NotAKey),
}

impl Jwks {
    /// The keys of the document of the moment.
    pub fn keys(&self) -> &KeySet {
        &self.settings.keys
    }

    /// Makes it; nothing is fetched before [`Jwks::run`].
    pub fn new(settings: Settings, upstream: Arc<Upstream>, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            settings,
            upstream,
            metrics,
            asked: Notify::new(),
            last: watch::Sender::new(None),
        })
    }

    /// Fetches at once, then at each `refresh` and when an unknown key is met, until
    /// `cancel`. A failed fetch leaves the keys as they are and is tried again soon.
    pub async fn run(&self, cancel: CancellationToken) {
        let fetching = self.keep(|| self.fetch());
        // Nothing is lost when it is cut off: only this process waits for the answer.
        cancel.run_until_cancelled(fetching).await;
    }

    /// Has the document fetched because a token named a key that is not in the
    /// set, unless that was done within `cooldown`. Says whether the set was loaded
    /// anew just now, so that verifying again may help.
    pub async fn refresh_for_unknown_key(&self) -> bool {
        let mut last = self.last.subscribe();
        let before = *last.borrow_and_update();
        if let Some(fetched) = before.filter(|fetched| self.is_fresh(fetched)) {
            return fetched.loaded;
        }
        self.asked.notify_one();
        let fetched = timeout(FETCH_TIMEOUT, last.changed()).await;
        matches!(fetched, Ok(Ok(()))) && last.borrow().is_some_and(|fetched| fetched.loaded)
    }

    async fn keep<F>(&self, fetch: impl Fn() -> F)
    where
        F: Future<Output = Result<usize, FetchError>>,
    {
        let mut retry = FIRST_RETRY;
        loop {
            let loaded = self.report(&fetch().await);
            let ended = Instant::now();
            self.last.send_replace(Some(Fetched { ended, loaded }));
            let pause = match loaded {
                true => self.settings.refresh,
                false => jittered(retry).min(self.settings.refresh),
            };
            retry = match loaded {
                true => FIRST_RETRY,
                false => (retry * 2).min(LAST_RETRY),
            };
            self.wait(ended + pause, ended + self.settings.cooldown)
                .await;
        }
    }

    /// Until it is time, or until somebody asks after the cooldown. Who asked
    /// before it was answered by the fetch that has just ended.
    async fn wait(&self, due: Instant, cooled_down: Instant) {
        loop {
            select! {
                () = sleep_until(due) => return,
                () = self.asked.notified() => if Instant::now() >= cooled_down { return },
            }
        }
    }

    async fn fetch(&self) -> Result<usize, FetchError> {
        let accept = HeaderValue::from_static("application/jwk-set+json, application/json");
        let request = CallRequest {
            method: Method::GET,
            path: self.settings.path.clone(),
            headers: HeaderMap::from_iter([(header::ACCEPT, accept)]),
            body: Bytes::new(),
            timeout: FETCH_TIMEOUT,
            max_body: LARGEST,
        };
        let response = self.upstream.call(request).await?;
        match response.status {
            StatusCode::OK => Ok(self.settings.keys.replace(&response.body)?),
            other => Err(FetchError::Status(other)),
        }
    }

    fn report(&self, fetched: &Result<usize, FetchError>) -> bool {
        // The path stays out of the log: its query may hold a key to the server.
        let server = &self.settings.address;
        let result = match fetched {
            Ok(0) => {
                warn!(%server, "The JWKS holds no key that can be used; no token verifies");
                "empty"
            }
            Ok(keys) => {
                info!(%server, keys, "Loaded the JWKS");
                "loaded"
            }
            Err(error) => {
                warn!(%server, %error, "Fetching the JWKS failed; keeping the keys of before");
                "failed"
            }
        };
        self.metrics
            .jwks_fetches
            .get_or_create(&Ended { result })
            .inc();
        fetched.is_ok()
    }

    fn is_fresh(&self, fetched: &Fetched) -> bool {
        fetched.ended.elapsed() < self.settings.cooldown
    }
}

/// Between half of a time and all of it, so that many nodes do not ask at once.
fn jittered(most: Duration) -> Duration {
    let random = RandomState::new().hash_one(());
    let share = f64::from(u32::try_from(random >> 32).unwrap_or(u32::MAX)) / f64::from(u32::MAX);
    most.mul_f64(0.5 + share / 2.0)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
        time::sleep,
    };

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    const DOCUMENT: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

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
}
