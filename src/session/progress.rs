//! How far a session has come in the feed, for whoever looks at it from outside. The
//! session writes it after a write and after a pong, never for each frame.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use crate::event::Offset;

/// How far a session has come in the feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Entries up to here are not for it.
    pub since: Offset,
    /// All that is for it up to here has been given to its socket.
    pub given: Offset,
    /// All that is for it up to here has reached the client: a pong says so.
    pub confirmed: Offset,
    /// When the last pong said so.
    pub confirmed_at: Option<SystemTime>,
    /// Since when there is something between the two.
    pub unconfirmed_since: Option<SystemTime>,
}

/// A session's progress, shared with those who look at it.
#[derive(Clone, Debug)]
pub(super) struct Track(Arc<Mutex<Progress>>);

impl Track {
    /// Of a session that begins at a place.
    pub(super) fn new(since: Offset) -> Self {
        Self(Arc::new(Mutex::new(Progress::at(since))))
    }

    /// It begins at another place than it seemed at first.
    pub(super) fn begin(&self, since: Offset) {
        *self.lock() = Progress::at(since);
    }

    /// The socket has all up to here.
    pub(super) fn give(&self, given: Offset) {
        let mut progress = self.lock();
        progress.given = progress.given.max(given);
        if progress.given > progress.confirmed {
            progress
                .unconfirmed_since
                .get_or_insert_with(SystemTime::now);
        }
    }

    /// The client has all up to here.
    pub(super) fn confirm(&self, confirmed: Offset) {
        let now = SystemTime::now();
        let mut progress = self.lock();
        progress.confirmed = progress.confirmed.max(confirmed);
        progress.confirmed_at = Some(now);
        let all = progress.confirmed >= progress.given;
        progress.unconfirmed_since = (!all).then_some(now);
    }

    pub(super) fn get(&self) -> Progress {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress {
    fn at(since: Offset) -> Self {
        Self {
            since,
            given: since,
            confirmed: since,
            confirmed_at: None,
            unconfirmed_since: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_is_unconfirmed_until_a_pong_says_otherwise() {
        let track = Track::new(Offset(0, 3));
        assert_eq!(track.get().unconfirmed_since, None);
        track.give(Offset(0, 5));
        assert!(track.get().unconfirmed_since.is_some());
        track.confirm(Offset(0, 4));
        assert!(track.get().unconfirmed_since.is_some());
        track.confirm(Offset(0, 5));
        let progress = track.get();
        assert_eq!(
            (progress.given, progress.confirmed),
            (Offset(0, 5), Offset(0, 5))
        );
        assert!(progress.confirmed_at.is_some() && progress.unconfirmed_since.is_none());
    }
}
