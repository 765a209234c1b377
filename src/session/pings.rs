//! Pings besides those of the heartbeat: somebody asks whether the client is there, or
//! the endpoint wants to know soon what has reached it.

use tokio::time::{Duration, Instant};

use crate::event::Offset;

/// The least time between two such pings: a burst is proven as a whole.
const GAP: Duration = Duration::from_millis(100);

/// When such a ping is due.
#[derive(Debug, Default)]
pub(super) struct Pings {
    last: Option<Instant>,
    due: Option<Instant>,
    /// The last such ping says so; it has not been answered.
    awaited: Option<Offset>,
}

impl Pings {
    /// One is wanted, as soon as may be.
    pub(super) fn want(&mut self) {
        let now = Instant::now();
        let soonest = self.last.map_or(now, |last| now.max(last + GAP));
        self.due.get_or_insert(soonest);
    }

    /// When one is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.due
    }

    /// One is written, and says that the client has been given so much.
    pub(super) fn sent(&mut self, given: Offset) {
        self.last = Some(Instant::now());
        self.due = None;
        self.awaited = Some(given);
    }

    /// A pong came, which proves so much.
    pub(super) fn proven(&mut self, confirmed: Offset) {
        self.awaited = self.awaited.filter(|awaited| *awaited > confirmed);
    }

    /// Whether one is on its way.
    pub(super) fn is_awaited(&self) -> bool {
        self.awaited.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn between_two_pings_is_a_gap() {
        let (mut pings, began) = (Pings::default(), Instant::now());
        pings.want();
        assert_eq!(pings.next(), Some(began));
        pings.sent(Offset(0, 7));
        assert_eq!(pings.next(), None);
        pings.want();
        assert_eq!(pings.next(), Some(began + GAP));
        pings.proven(Offset(0, 6));
        assert!(pings.is_awaited());
        pings.proven(Offset(0, 7));
        assert!(!pings.is_awaited());
    }
}
