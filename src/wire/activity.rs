//! How long a connection has been doing what it does. One watchdog looks at all
//! of them a few times a second, so that no request arms a timer of its own.

use std::{
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::interval};
use tokio_util::sync::CancellationToken;

/// How often the watchdog looks: limits are kept to within this.
const TICK: Duration = Duration::from_millis(200);

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing: between requests.
    Idle,
    /// Sending us the head of a request.
    Head,
    /// A request is being served; that has limits of its own.
    Busy,
}

/// How long each may last.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// [`Phase::Idle`].
    pub idle: Duration,
    /// [`Phase::Head`].
    pub header: Duration,
    /// A write that does not move.
    pub write: Duration,
}

/// The state of one connection.
#[derive(Debug, Default)]
pub struct Activity {
    phase: AtomicU8,
    /// Ticks since the phase began or bytes last moved.
    ticks: AtomicU32,
    stuck: AtomicBool,
    /// Requests that have begun to be served.
    requests: AtomicU32,
    /// The number of the first one whose bytes are improper; 0 if there is none.
    improper: AtomicU32,
    cut: Notify,
    reason: Mutex<Option<&'static str>>,
}

impl Activity {
    /// A request begins to be served, or is done.
    pub fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Relaxed);
        self.ticks.store(0, Relaxed);
        if phase == Phase::Busy {
            self.requests.fetch_add(1, Relaxed);
        }
    }

    /// Whether the bytes of the request being served could be read in two ways.
    pub fn is_improper(&self) -> bool {
        let first = self.improper.load(Relaxed);
        first != 0 && self.requests.load(Relaxed) >= first
    }

    pub(super) fn improper_from(&self, number: u32) {
        self.improper.store(number, Relaxed);
    }

    /// Waits until the connection has overstayed, and tells how.
    pub async fn overstayed(&self) -> &'static str {
        self.cut.notified().await;
        let reason = self.reason.lock().unwrap_or_else(PoisonError::into_inner);
        reason.unwrap_or("idle_timeout")
    }

    /// Bytes came. The first ones after a pause are the beginning of a head.
    pub(super) fn read(&self) {
        if self.phase.load(Relaxed) == Phase::Idle as u8 {
            self.enter(Phase::Head);
        }
    }

    pub(super) fn wrote(&self, moved: bool) {
        if moved || !self.stuck.load(Relaxed) {
            self.ticks.store(0, Relaxed);
        }
        self.stuck.store(!moved, Relaxed);
    }

    fn tick(&self, limits: &Timeouts) {
        let lasted = TICK * (self.ticks.fetch_add(1, Relaxed) + 1);
        let phase = self.phase.load(Relaxed);
        let over = if self.stuck.load(Relaxed) {
            (lasted > limits.write).then_some("write_timeout")
        } else if phase == Phase::Head as u8 {
            (lasted > limits.header).then_some("header_timeout")
        } else if phase == Phase::Idle as u8 {
            (lasted > limits.idle).then_some("idle_timeout")
        } else {
            None
        };
        if over.is_some() {
            *self.reason.lock().unwrap_or_else(PoisonError::into_inner) = over;
            self.cut.notify_one();
        }
    }
}

/// Looks at all connections.
#[derive(Debug)]
pub struct Watchdog {
    watched: Mutex<Vec<Weak<Activity>>>,
    limits: Mutex<Timeouts>,
}

impl Watchdog {
    /// Nobody is watched yet.
    pub fn new(limits: Timeouts) -> Self {
        Self {
            watched: Mutex::default(),
            limits: Mutex::new(limits),
        }
    }

    /// From now on these limits hold, for open connections too.
    pub fn set_limits(&self, limits: Timeouts) {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner) = limits;
    }

    /// A connection to look at as long as it lives.
    pub fn watch(&self) -> Arc<Activity> {
        let activity = Arc::default();
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.push(Arc::downgrade(&activity));
        activity
    }

    /// Looks until it is told to stop.
    pub async fn run(&self, stop: CancellationToken) {
        let mut tick = interval(TICK);
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            let limits = *self.limits.lock().unwrap_or_else(PoisonError::into_inner);
            self.look(&limits);
        }
    }

    fn look(&self, limits: &Timeouts) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|activity| {
            activity
                .upgrade()
                .inspect(|activity| activity.tick(limits))
                .is_some()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Timeouts = Timeouts {
        idle: Duration::from_secs(2),
        header: Duration::from_secs(1),
        write: Duration::from_secs(3),
    };

    async fn lasts(activity: &Activity) -> Option<(u32, &'static str)> {
        for ticks in 1..100 {
            activity.tick(&LIMITS);
            let cut = tokio::time::timeout(Duration::ZERO, activity.overstayed()).await;
            if let Ok(reason) = cut {
                return Some((ticks, reason));
            }
        }
        None
    }

    #[tokio::test(start_paused = true)]
    async fn each_phase_has_its_own_limit() {
        let activity = Activity::default();
        assert_eq!(lasts(&activity).await, Some((11, "idle_timeout")));
        activity.enter(Phase::Idle);
        activity.read();
        assert_eq!(lasts(&activity).await, Some((6, "header_timeout")));
        activity.enter(Phase::Busy);
        assert_eq!(lasts(&activity).await, None);
        activity.wrote(false);
        assert_eq!(
            lasts(&activity).await.map(|cut| cut.1),
            Some("write_timeout")
        );
    }
}
