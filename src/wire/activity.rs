//! How long a connection has been doing what it does. One watchdog looks at all
//! of them a few times a second, so that no request arms a timer of its own.

use std::{
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
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
    /// The connection has ended or become a tunnel: nothing to watch, for good.
    Gone,
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
    now: Now,
    /// Requests that have begun to be served.
    requests: AtomicU32,
    /// The number of the first one whose bytes are improper; 0 if there is none.
    improper: AtomicU32,
    /// A session begins, and the stream does not know yet.
    session: AtomicBool,
    cut: Notify,
}

/// A [`Moment`] in one atomic, so that the ticks of one phase are never counted
/// for another.
#[derive(Debug, Default)]
struct Now(AtomicU64);

/// What a connection is doing and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Moment {
    phase: Phase,
    /// A write does not move.
    stuck: bool,
    /// It has overstayed, and has not moved since.
    over: bool,
    /// Ticks since the phase began or bytes last moved.
    ticks: u32,
}

impl Now {
    fn get(&self) -> Moment {
        Moment::unpack(self.0.load(Relaxed))
    }

    /// Changes it, unless there is nothing to change.
    fn change(&self, change: impl Fn(Moment) -> Option<Moment>) {
        let update = |bits| change(Moment::unpack(bits)).map(Moment::pack);
        // An error says that there was nothing to change.
        self.0.fetch_update(Relaxed, Relaxed, update).ok();
    }
}

impl Moment {
    fn pack(self) -> u64 {
        let flags = u64::from(self.over) << 3 | u64::from(self.stuck) << 2 | self.phase as u64;
        flags << 32 | u64::from(self.ticks)
    }

    fn unpack(bits: u64) -> Self {
        let flags = bits >> 32;
        let phase = match flags & 3 {
            0 => Phase::Idle,
            1 => Phase::Head,
            2 => Phase::Busy,
            _ => Phase::Gone,
        };
        Self {
            phase,
            stuck: flags & 4 != 0,
            over: flags & 8 != 0,
            // The lower half, which is all of it.
            ticks: bits as u32,
        }
    }

    fn begin(self, phase: Phase) -> Self {
        Self {
            phase,
            over: false,
            ticks: 0,
            ..self
        }
    }

    fn wrote(self, moved: bool) -> Self {
        let moment = if moved || !self.stuck {
            self.begin(self.phase)
        } else {
            self
        };
        Self {
            stuck: !moved,
            ..moment
        }
    }

    /// One tick more.
    fn tick(self, limits: &Timeouts) -> Self {
        let ticks = self.ticks.saturating_add(1);
        let limit = match self.phase {
            _ if self.stuck => Some(limits.write),
            Phase::Idle => Some(limits.idle),
            Phase::Head => Some(limits.header),
            Phase::Busy | Phase::Gone => None,
        };
        let over = limit.is_some_and(|limit| TICK * ticks > limit);
        Self {
            ticks,
            over,
            ..self
        }
    }

    fn reason(self) -> &'static str {
        match self.phase {
            _ if self.stuck => "write_timeout",
            Phase::Head => "header_timeout",
            Phase::Idle | Phase::Busy | Phase::Gone => "idle_timeout",
        }
    }
}

impl Activity {
    /// A request begins to be served, or is done, or the connection is.
    pub fn enter(&self, phase: Phase) {
        self.now
            .change(|now| (now.phase != Phase::Gone).then(|| now.begin(phase)));
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

    /// What is written from now on is for a session.
    pub fn begin_session(&self) {
        self.session.store(true, Relaxed);
    }

    /// Whether a session begins; says so once.
    pub(super) fn take_session(&self) -> bool {
        self.session.load(Relaxed) && self.session.swap(false, Relaxed)
    }

    /// Waits until the connection has overstayed, and tells how. What moved after
    /// the watchdog looked is forgiven.
    pub async fn overstayed(&self) -> &'static str {
        loop {
            self.cut.notified().await;
            let now = self.now.get();
            if now.over {
                return now.reason();
            }
        }
    }

    /// Bytes came. The first ones after a pause are the beginning of a head.
    pub(super) fn read(&self) {
        self.now
            .change(|now| (now.phase == Phase::Idle).then(|| now.begin(Phase::Head)));
    }

    /// A write moved or did not.
    pub(super) fn wrote(&self, moved: bool) {
        self.now.change(|now| Some(now.wrote(moved)));
    }

    /// A flush is over or not. One that had nothing to do says nothing.
    pub(super) fn flushed(&self, done: bool) {
        self.now
            .change(|now| (now.stuck == done).then(|| now.wrote(done)));
    }

    /// Whether it is still to be watched.
    fn tick(&self, limits: &Timeouts) -> bool {
        self.now.change(|now| Some(now.tick(limits)));
        let now = self.now.get();
        if now.over {
            self.cut.notify_one();
        }
        now.phase != Phase::Gone
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

    /// A connection to look at until it is [`Phase::Gone`].
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
                .is_some_and(|activity| activity.tick(limits))
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
    #[tokio::test(start_paused = true)]
    async fn what_moves_after_the_look_is_not_cut() {
        let activity = Activity::default();
        for _ in 0..11 {
            activity.tick(&LIMITS);
        }
        assert!(activity.now.get().over);
        activity.enter(Phase::Busy);
        let cut = tokio::time::timeout(Duration::ZERO, activity.overstayed()).await;
        assert!(cut.is_err(), "cut for {cut:?} while a request is served");
    }

    #[test]
    fn a_flush_that_does_not_move_is_a_write_that_does_not() {
        let activity = Activity::default();
        activity.enter(Phase::Busy);
        activity.tick(&LIMITS);
        activity.flushed(true);
        assert_eq!(activity.now.get().ticks, 1, "nothing was written");
        activity.flushed(false);
        activity.tick(&LIMITS);
        activity.flushed(false);
        let now = activity.now.get();
        assert_eq!((now.stuck, now.ticks), (true, 1));
        activity.flushed(true);
        let now = activity.now.get();
        assert_eq!((now.stuck, now.ticks), (false, 0));
    }

    #[test]
    fn what_is_gone_is_not_watched() {
        let watchdog = Watchdog::new(LIMITS);
        let activity = watchdog.watch();
        watchdog.look(&LIMITS);
        assert_eq!(watchdog.watched.lock().unwrap().len(), 1);
        activity.enter(Phase::Gone);
        activity.enter(Phase::Idle);
        watchdog.look(&LIMITS);
        assert!(watchdog.watched.lock().unwrap().is_empty());
    }

    #[test]
    fn a_moment_survives_its_packing() {
        for phase in [Phase::Idle, Phase::Head, Phase::Busy, Phase::Gone] {
            for (stuck, over) in [(false, false), (true, false), (false, true)] {
                let moment = Moment {
                    phase,
                    stuck,
                    over,
                    ticks: u32::MAX - 1,
                };
                assert_eq!(Moment::unpack(moment.pack()), moment);
            }
        }
    }
}
