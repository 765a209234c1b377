//! Keeps a key set equal to the document at a JWKS URL.
//!
//! One task fetches ([`Jwks::run`]); whoever meets an unknown key asks it and
//! waits ([`Jwks::refresh_for_unknown_key`]). So there is never more than one
//! fetch at a time, however many clients come with however odd keys.

mod settings;
#[cfg(test)]
mod tests;

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
    upstream::{CallError, CallRequest, Upstream},
};

pub use settings::Settings;

/// For one fetch as a whole: clients with an unknown key wait for it.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// The largest document that is read, in bytes. Real ones have a few thousand.
const LARGEST: usize = 1024 * 1024;

/// The wait after the first failed fetch; it doubles with each further one.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// The longest wait after a failed fetch.
const LAST_RETRY: Duration = Duration::from_secs(60);

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
