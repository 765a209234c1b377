//! How the demo's app tells Outrigger what happened: one signed webhook after
//! the other, in the order in which things happened, as Standard Webhooks says.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header::CONTENT_TYPE};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{
    routes::WEBHOOK_PATH,
    secret::Secret,
    source::signature,
    upstream::{CallRequest, Upstream},
};

/// Events that wait for Outrigger; a person cannot click faster.
const QUEUE: usize = 256;
/// Outrigger answers in a millisecond; this is for a machine that is busy.
const TIMEOUT: Duration = Duration::from_secs(5);
/// First pause before an event is sent again; doubled each time.
const PAUSE: Duration = Duration::from_millis(100);
/// Times one event is sent before it is given up.
const TRIES: u32 = 6;

/// Where to put events that Outrigger shall hear of.
#[derive(Clone, Debug)]
pub(super) struct Publisher {
    queue: mpsc::Sender<Value>,
    accepted: Arc<AtomicU64>,
}

/// The other end: sends what was put in.
#[derive(Debug)]
pub(super) struct Delivery {
    queue: mpsc::Receiver<Value>,
    accepted: Arc<AtomicU64>,
    secret: Secret,
}

/// Makes both ends.
pub(super) fn publisher(secret: Secret) -> (Publisher, Delivery) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let accepted = Arc::<AtomicU64>::default();
    let publisher = Publisher {
        queue: sender,
        accepted: accepted.clone(),
    };
    let delivery = Delivery {
        queue: receiver,
        accepted,
        secret,
    };
    (publisher, delivery)
}

impl Publisher {
    /// Queues an event; never waits.
    pub(super) fn publish(&self, event: Value) {
        if self.queue.try_send(event).is_err() {
            warn!("Webhook queue is full; an event is lost");
        }
    }

    /// Events that Outrigger has accepted so far.
    pub(super) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }
}

impl Delivery {
    /// Sends events to Outrigger until told to stop.
    pub(super) async fn run(mut self, outrigger: Arc<Upstream>, stop: CancellationToken) {
        let work = async {
            while let Some(event) = self.queue.recv().await {
                self.deliver(&outrigger, &event).await;
            }
        };
        tokio::select! {
            () = work => {}
            () = stop.cancelled() => {}
        }
    }

    /// Sends one event until it is accepted. The id stays the same, so an event
    /// whose answer was lost is not heard twice.
    async fn deliver(&self, outrigger: &Arc<Upstream>, event: &Value) {
        let mut pause = PAUSE;
        for _ in 0..TRIES {
            match outrigger.call(self.request(event)).await {
                Ok(answer) if answer.status == StatusCode::ACCEPTED => {
                    self.accepted.fetch_add(1, Ordering::Relaxed);
                    return;
                }
                Ok(answer) => warn!(status = %answer.status, "Webhook not accepted"),
                Err(error) => warn!(%error, "Webhook not delivered"),
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        warn!("Webhook given up");
    }

    fn request(&self, event: &Value) -> CallRequest {
        let body = event.to_string();
        let id = event["id"].as_str().unwrap_or_default();
        CallRequest {
            method: Method::POST,
            path: WEBHOOK_PATH.into(),
            headers: sign(&self.secret, id, SystemTime::now(), &body),
            body: Bytes::from(body),
            timeout: TIMEOUT,
            max_body: 64 * 1024,
        }
    }
}

/// The headers of a webhook, signed as Standard Webhooks says.
fn sign(secret: &Secret, id: &str, now: SystemTime, body: &str) -> HeaderMap {
    let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    // Outrigger refuses what has no signature, and the log then says so.
    let signature = signature::sign(secret, id, seconds, body.as_bytes()).unwrap_or_default();
    let headers = [
        (CONTENT_TYPE.as_str(), "application/json".to_owned()),
        (signature::ID, id.to_owned()),
        (signature::TIMESTAMP, seconds.to_string()),
        (signature::SIGNATURE, signature),
    ];
    let parsed = headers.into_iter().filter_map(|(name, value)| {
        Some((
            HeaderName::from_bytes(name.as_bytes()).ok()?,
            HeaderValue::try_from(value).ok()?,
        ))
    });
    parsed.collect()
}
