//! Who came, to whichever node, and may be a session's client.

use tokio::time::{Duration, Instant};

use super::super::Standing;
use crate::event::SessionName;

/// Callers that a silent session notes at most: the rest is one client that comes again
/// and again.
const MOST: usize = 16;

/// Somebody who came.
#[derive(Debug)]
pub(in super::super) struct Caller {
    pub(in super::super) knock: u64,
    at: Instant,
    name: SessionName,
}

impl Standing {
    /// Asks whether it is there, for somebody who comes. The answer bears this number or
    /// a higher one.
    pub(super) fn knock_by(&self, name: SessionName) -> u64 {
        let mut state = self.lock();
        state.knocks += 1;
        let knock = state.knocks;
        if state.callers.len() < MOST {
            let at = Instant::now();
            state.callers.push(Caller { knock, at, name });
        }
        drop(state);
        self.knocked.notify_one();
        knock
    }

    /// Somebody stands in its place; it is asked whether it is there all the same.
    pub(super) fn lose(&self) {
        let mut state = self.lock();
        state.taken = true;
        state.knocks += 1;
        drop(state);
        self.knocked.notify_one();
        self.changed.notify_waiters();
    }

    /// Who came since it last answered.
    pub(super) fn callers(&self) -> Vec<SessionName> {
        self.callers_of_before(Duration::ZERO)
    }

    /// The same, so long ago.
    pub(super) fn callers_of_before(&self, ago: Duration) -> Vec<SessionName> {
        let state = self.lock();
        let callers = state.callers.iter();
        let callers = callers.filter(|caller| caller.at.elapsed() >= ago);
        callers.map(|caller| caller.name).collect()
    }

    /// Whether it is here, and has not answered.
    pub(super) fn is_silent(&self, knock: u64) -> bool {
        let state = self.lock();
        state.answered < knock && !state.ended
    }
}
