//! How far the process has come in its life, for balancers and operators.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use http::{Response, StatusCode};

use crate::{
    feed::Feed,
    metrics::Metrics,
    reply::{self, Body},
};

/// The phases of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Not ready yet.
    Starting,
    /// Serving.
    Running,
    /// Serving, but balancers should look elsewhere.
    Draining,
    /// No more connections and no more webhooks.
    DoorClosed,
    /// Sessions are being closed, spread over time.
    GoingHome,
    /// Nothing is left.
    Stopped,
}

/// Names by phase, in their order.
const NAMES: [&str; 6] = [
    "starting",
    "running",
    "draining",
    "door closed",
    "sending sessions home",
    "stopped",
];

/// The phase of the moment.
#[derive(Debug)]
pub struct Readiness {
    phase: AtomicU8,
    feed: Arc<Feed>,
    metrics: Arc<Metrics>,
}

impl Readiness {
    /// A process that starts.
    pub fn new(feed: Arc<Feed>, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            phase: AtomicU8::new(Phase::Starting as u8),
            feed,
            metrics,
        })
    }

    /// Goes into a phase.
    pub fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
        self.metrics.stop_phase.set(i64::from(
            (phase as u8).saturating_sub(Phase::Running as u8),
        ));
    }

    /// 200 while serving, else 503 with the phase, or with why nobody can be served yet.
    pub(super) fn answer(&self) -> Response<Body> {
        let phase = self.phase.load(Ordering::Acquire);
        let running = phase == Phase::Running as u8;
        if let Some(why) = self.feed.unopened().filter(|_| running) {
            let text = format!("the feed was not reached yet: {why}\n");
            return reply::text(StatusCode::SERVICE_UNAVAILABLE, text);
        }
        let status = if running {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        let name = NAMES.get(usize::from(phase)).copied().unwrap_or_default();
        reply::text(status, format!("{name}\n"))
    }
}
