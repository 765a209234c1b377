//! How it is with a stream: where its reader is, what came of what it read; counted,
//! logged and kept for operators.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use aws_lc_rs::digest::{SHA256, digest};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::{Failure, Settings, reading::Skipped};
use crate::{
    feed::Appended,
    metrics::{Ended, Metrics, Taken},
};

/// The log hears of skipped events at most so often: a stream may hold nothing else.
const SAY_AGAIN: Duration = Duration::from_secs(10);

/// The stream of the moment, if one is configured.
pub type Current = tokio::sync::watch::Receiver<Option<Arc<Stream>>>;

/// One stream, for whoever reads it and for those who look at it.
#[derive(Debug)]
pub struct Stream {
    url: String,
    name: Arc<str>,
    metrics: Arc<Metrics>,
    status: Mutex<Status>,
}

/// How it is with a stream.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// The id of the last event that the feed has taken; empty if there is none.
    pub cursor: String,
    /// Since when it is being read.
    pub connected: Option<SystemTime>,
    /// When the last event came.
    pub last_event: Option<SystemTime>,
    /// What went wrong last, and when.
    pub last_error: Option<(SystemTime, String)>,
    /// What became of its events.
    pub events: BTreeMap<&'static str, u64>,
    /// Why some were skipped.
    pub rejected: BTreeMap<&'static str, u64>,
    /// When the log last heard of a skipped event, and how many there were since.
    said: Option<Instant>,
    unsaid: u64,
    /// The log has heard that events have no ids.
    unnamed: bool,
}

impl Stream {
    /// A stream of which nothing was read yet.
    pub fn new(settings: &Settings, metrics: Arc<Metrics>) -> Arc<Self> {
        let url = settings.url();
        let hash = digest(&SHA256, url.as_bytes());
        let hash: String = hash
            .as_ref()
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Arc::new(Self {
            url,
            name: format!("sse-{hash}").into(),
            metrics,
            status: Mutex::default(),
        })
    }

    /// Its address and path; a query may hold secrets.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// By which the feed keeps how far it was read.
    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// How it is.
    pub fn status(&self) -> Status {
        self.lock().clone()
    }

    pub(super) fn cursor(&self) -> String {
        self.lock().cursor.clone()
    }

    pub(super) fn reached(&self, id: String) {
        self.lock().cursor = id;
    }

    pub(super) fn opened(&self) {
        self.lock().connected = Some(SystemTime::now());
        self.count_end("opened");
        info!(url = %self.url, "Reading the app's event stream");
    }

    pub(super) fn ended(&self, failure: &Failure, pause: Duration) {
        self.left();
        self.lock().last_error = Some((SystemTime::now(), failure.to_string()));
        self.count_end(failure.word());
        warn!(url = %self.url, error = %failure, ?pause, "The app's event stream is not read; trying again after a pause");
    }

    /// It is not read for now.
    pub(super) fn left(&self) {
        self.lock().connected = None;
    }

    pub(super) fn took(&self, appended: &Appended) {
        self.lock().last_event = Some(SystemTime::now());
        self.count_event(match appended {
            Appended::Accepted(_) => "accepted",
            Appended::Duplicate(_) => "duplicate",
        });
    }

    /// The feed does not take events now.
    pub(super) fn waits(&self, error: &crate::feed::Unavailable) {
        self.count_event("unavailable");
        warn!(source = "sse", %error, "Events wait for the feed");
    }

    /// What came is no event.
    pub(super) fn skipped(&self, why: &Skipped) {
        self.count_event("rejected");
        let result = why.reason();
        let rejected = &self.metrics.sse_rejected;
        rejected.get_or_create(&Ended { result }).inc();
        let mut status = self.lock();
        *status.rejected.entry(result).or_default() += 1;
        status.last_event = Some(SystemTime::now());
        status.last_error = Some((SystemTime::now(), why.to_string()));
        if status.said.is_some_and(|said| said.elapsed() < SAY_AGAIN) {
            status.unsaid += 1;
            drop(status);
            return debug!(source = "sse", reason = result, error = %why, "An event was skipped");
        }
        status.said = Some(Instant::now());
        let unsaid = std::mem::take(&mut status.unsaid);
        drop(status);
        warn!(source = "sse", reason = result, error = %why, unsaid, "An event was skipped");
    }

    /// An event came before there was any id: said once.
    pub(super) fn has_no_ids(&self) {
        if !std::mem::replace(&mut self.lock().unnamed, true) {
            warn!(url = %self.url, "The app's event stream gives events no ids: what is sent while it is not read is lost");
        }
    }

    fn count_event(&self, result: &'static str) {
        let source = "sse";
        let labels = Taken { source, result };
        self.metrics.events.get_or_create(&labels).inc();
        *self.lock().events.entry(result).or_default() += 1;
    }

    fn count_end(&self, result: &'static str) {
        let labels = Ended { result };
        self.metrics.sse_connects.get_or_create(&labels).inc();
    }

    fn lock(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
