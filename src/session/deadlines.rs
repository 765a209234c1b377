//! The moments at which something is due for a session though nobody said a word:
//! the heartbeat, the end of its credential, the time to go home.

use std::time::SystemTime;

use tokio::time::{Duration, Instant};

use super::CloseReason;
use crate::routes::{Endpoint, Expiry};

/// Tokens that last longer than this are as good as endless: clocks can add it.
const FAR: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// What a deadline asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Ping,
    Nothing,
}

/// All deadlines of one session.
#[derive(Debug)]
pub(super) struct Deadlines {
    heartbeat: Duration,
    ping: Instant,
    /// A ping is out and nothing has been heard since.
    unanswered: bool,
    expires_at: Option<SystemTime>,
    expiry: Option<(Instant, CloseReason)>,
    home: Option<(Instant, CloseReason)>,
}

impl Deadlines {
    pub(super) fn new(endpoint: &Endpoint, expires_at: Option<SystemTime>) -> Self {
        Self {
            heartbeat: endpoint.heartbeat,
            ping: Instant::now() + endpoint.heartbeat,
            unanswered: false,
            expires_at,
            expiry: expiry(endpoint, expires_at),
            home: None,
        }
    }

    /// Takes over the rules of a changed endpoint.
    pub(super) fn follow(&mut self, endpoint: &Endpoint) {
        self.heartbeat = endpoint.heartbeat;
        self.ping = self.ping.min(Instant::now() + endpoint.heartbeat);
        self.expiry = expiry(endpoint, self.expires_at);
    }

    /// Sets the time to go home. The first such time stands.
    pub(super) fn go_home(&mut self, reason: CloseReason, at: Instant) {
        self.home.get_or_insert((at, reason));
    }

    /// The client gave a sign of life.
    pub(super) fn heard(&mut self) {
        self.unanswered = false;
    }

    /// When something is due next.
    pub(super) fn next(&self) -> Instant {
        let ends = [&self.expiry, &self.home]
            .into_iter()
            .flatten()
            .map(|(at, _)| *at);
        ends.fold(self.ping, Instant::min)
    }

    /// What is due. A client whose messages are not read for the moment cannot be
    /// blamed for silence.
    pub(super) fn due(&mut self, now: Instant, reading: bool) -> Result<Act, CloseReason> {
        for (at, reason) in [&self.home, &self.expiry].into_iter().flatten() {
            if *at <= now {
                return Err(reason.clone());
            }
        }
        if self.ping > now {
            return Ok(Act::Nothing);
        }
        if self.unanswered && reading {
            return Err(CloseReason::NoPong);
        }
        self.ping = now + self.heartbeat;
        self.unanswered = true;
        Ok(Act::Ping)
    }
}

fn expiry(endpoint: &Endpoint, expires_at: Option<SystemTime>) -> Option<(Instant, CloseReason)> {
    match endpoint.expiry {
        Expiry::Keep => None,
        Expiry::Close { code, grace } => {
            // By the wall clock as a whole: a changed endpoint does not begin the
            // grace anew.
            let ends = expires_at?.checked_add(grace)?;
            let left = ends.duration_since(SystemTime::now()).unwrap_or_default();
            let at = Instant::now() + left.min(FAR);
            Some((at, CloseReason::TokenExpired(code)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEARTBEAT: Duration = Duration::from_secs(30);

    fn deadlines() -> Deadlines {
        Deadlines {
            heartbeat: HEARTBEAT,
            ping: Instant::now() + HEARTBEAT,
            unanswered: false,
            expires_at: None,
            expiry: None,
            home: None,
        }
    }

    fn due(deadlines: &mut Deadlines, reading: bool) -> Result<Act, CloseReason> {
        let at = deadlines.ping;
        deadlines.due(at, reading)
    }

    #[test]
    fn who_does_not_answer_a_ping_by_the_next_is_gone() {
        let mut deadlines = deadlines();
        assert_eq!(due(&mut deadlines, true), Ok(Act::Ping));
        deadlines.heard();
        assert_eq!(due(&mut deadlines, true), Ok(Act::Ping));
        assert_eq!(due(&mut deadlines, true), Err(CloseReason::NoPong));
    }

    #[test]
    fn who_has_not_come_to_the_ping_yet_is_not_blamed() {
        let mut deadlines = deadlines();
        for _ in 0..5 {
            assert_eq!(due(&mut deadlines, false), Ok(Act::Ping));
        }
        assert_eq!(due(&mut deadlines, true), Err(CloseReason::NoPong));
    }
}
